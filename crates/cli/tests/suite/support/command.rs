//! Programs with an end: one that hangs is killed and its output shown.

use std::fs::File;
use std::io::Seek as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::outcome::Outcome;

/// No program of a test takes longer than this on a slow machine.
const DEADLINE: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_millis(2);

/// A started program; its output goes to files, so that nothing waits for whoever inherited it.
pub(crate) struct Running {
    child: Child,
    stdout: File,
    stderr: File,
    title: String,
    started: Instant,
}

impl Running {
    /// Starts a program without input.
    pub(crate) fn start(command: &mut Command) -> Self {
        Self::with_stdin(command, Stdio::null())
    }

    /// Starts a program that reads `input`.
    pub(crate) fn with_input(command: &mut Command, input: &[u8]) -> Self {
        let mut file = tempfile::tempfile().expect("a temporary file");
        std::io::Write::write_all(&mut file, input).expect("a written file");
        file.rewind().expect("a file seeks");
        Self::with_stdin(command, file.into())
    }

    fn with_stdin(command: &mut Command, stdin: Stdio) -> Self {
        let stdout = tempfile::tempfile().expect("a temporary file");
        let stderr = tempfile::tempfile().expect("a temporary file");
        let title = format!("{command:?}");
        let child = command
            .stdin(stdin)
            .stdout(stdout.try_clone().expect("a descriptor"))
            .stderr(stderr.try_clone().expect("a descriptor"))
            .spawn()
            .unwrap_or_else(|error| panic!("{title} does not start: {error}"));
        Self {
            child,
            stdout,
            stderr,
            title,
            started: Instant::now(),
        }
    }

    /// The process's id.
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"))
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        // It may be over already.
        let _ = kill(self.pid(), signal);
    }

    /// What it wrote to standard error so far.
    pub(crate) fn stderr(&self) -> String {
        read(&self.stderr)
    }

    /// What it wrote to standard output so far.
    pub(crate) fn stdout(&self) -> String {
        read(&self.stdout)
    }

    /// Whether it is over.
    pub(crate) fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_some()
    }

    /// Waits until standard error has `text`.
    pub(crate) fn until_stderr_has(&mut self, text: &str) {
        while !self.stderr().contains(text) {
            let over = self.is_over();
            assert!(
                !over || self.stderr().contains(text),
                "{} ended before it wrote {text:?}:\n{}",
                self.title,
                self.stderr()
            );
            self.check_deadline();
            std::thread::sleep(POLL);
        }
    }

    /// Waits for its end.
    pub(crate) fn wait(mut self) -> Outcome {
        let status = self.status();
        Outcome {
            title: self.title.clone(),
            status,
            stdout: self.stdout(),
            stderr: self.stderr(),
            took: self.started.elapsed(),
        }
    }

    fn status(&mut self) -> ExitStatus {
        loop {
            if let Some(status) = self.child.try_wait().expect("our child") {
                return status;
            }
            self.check_deadline();
            std::thread::sleep(POLL);
        }
    }

    fn check_deadline(&mut self) {
        if self.started.elapsed() > DEADLINE {
            let _ = self.child.kill();
            panic!(
                "{} does not end\n--- stdout\n{}\n--- stderr\n{}",
                self.title,
                self.stdout(),
                self.stderr()
            );
        }
    }
}

fn read(file: &File) -> String {
    use std::os::unix::fs::FileExt as _;
    // The descriptor's offset is the program's own: read without moving it.
    let mut bytes = vec![0; file.metadata().map_or(0, |found| found.len() as usize)];
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], filled as u64) {
            Ok(0) | Err(_) => break,
            Ok(count) => filled += count,
        }
    }
    bytes.truncate(filled);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, arguments: &[&str]) -> Outcome {
    Running::start(Command::new(program).args(arguments)).wait()
}

//! One run of a check, on a thread of its own: what a hostile container can hold up is that thread alone.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rbuild_sandbox::{Process, Running, Stdio, Tie, enter};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::link::Message;
use crate::supervisor::do_not_block;
use crate::{ContainerError, ContainerId, control};

/// What is kept of a probe's output, as Docker has it.
const OUTPUT_BYTES: usize = 4096;
/// What the thread needs is little.
const STACK_BYTES: usize = 256 << 10;
/// The status of a probe that has none.
const NO_STATUS: i32 = -1;

/// A probe under way.
#[derive(Debug)]
pub(crate) struct Probe {
    /// Closed when the thread is done.
    done: OwnedFd,
    thread: JoinHandle<Outcome>,
}

/// How a probe ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) code: i32,
    pub(crate) output: String,
}

impl Outcome {
    /// Of one that took longer than it may.
    pub(crate) fn overdue(timeout: Duration) -> Self {
        Self {
            code: NO_STATUS,
            output: format!("Health check exceeded timeout ({timeout:?})"),
        }
    }

    /// Of one that could not be run.
    pub(crate) fn failed(error: &dyn std::error::Error) -> Self {
        Self {
            code: NO_STATUS,
            output: crate::error::with_causes(error),
        }
    }
}

impl Probe {
    /// Runs `process` in the container of `directory`, whose supervisor goes on listening meanwhile.
    pub(crate) fn begin(
        directory: PathBuf,
        id: ContainerId,
        process: Process,
        timeout: Duration,
    ) -> io::Result<Self> {
        let (done, open) = pipe_with(PipeFlags::CLOEXEC)?;
        let thread = thread::Builder::new()
            .name("health".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                let launch = |channel| {
                    control::send_with(&directory, &id, "check", &Message::Enter, &channel)
                };
                let outcome = run(&process, timeout, launch);
                drop(open);
                outcome.unwrap_or_else(|error| Outcome::failed(&error))
            })?;
        Ok(Self { done, thread })
    }

    /// Readable when [`Self::end`] returns at once.
    pub(crate) fn done(&self) -> BorrowedFd<'_> {
        self.done.as_fd()
    }

    /// Waits for it.
    pub(crate) fn end(self) -> Outcome {
        self.thread.join().unwrap_or_else(|_| Outcome {
            code: NO_STATUS,
            output: "the check could not be made".to_owned(),
        })
    }
}

fn run(
    process: &Process,
    timeout: Duration,
    launch: impl FnOnce(OwnedFd) -> Result<(), ContainerError>,
) -> Result<Outcome, ContainerError> {
    let deadline = Instant::now() + timeout;
    let (read, write) = pipe_with(PipeFlags::CLOEXEC).map_err(failed)?;
    let stdio = Stdio::Descriptors {
        stdin: None,
        stdout: write.as_fd(),
        stderr: write.as_fd(),
    };
    let running = enter(process, stdio, Tie::Firm, launch)?;
    drop(write);
    do_not_block(&read).map_err(ContainerError::Supervise)?;
    let mut output = Output {
        from: read.into(),
        kept: Vec::new(),
        whole: true,
        open: true,
    };
    if !watch(&running, &mut output, deadline).map_err(failed)? {
        running.kill();
        running.wait()?;
        return Ok(Outcome::overdue(timeout));
    }
    let code = running.wait()?.code();
    output.read();
    Ok(Outcome {
        code,
        output: output.text(),
    })
}

fn failed(error: rustix::io::Errno) -> ContainerError {
    ContainerError::Supervise(error.into())
}

/// Reads what comes until the process has ended. Whether that was in time.
fn watch(running: &Running, output: &mut Output, deadline: Instant) -> rustix::io::Result<bool> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let timeout = Timespec {
            tv_sec: left.as_secs() as i64,
            tv_nsec: i64::from(left.subsec_nanos()),
        };
        let mut watched = vec![PollFd::from_borrowed_fd(running.end(), PollFlags::IN)];
        if output.open {
            watched.push(PollFd::new(&output.from, PollFlags::IN));
        }
        if rustix::io::retry_on_intr(|| poll(&mut watched, Some(&timeout)))? == 0 {
            return Ok(false);
        }
        if !watched[0].revents().is_empty() {
            return Ok(true);
        }
        output.read();
    }
}

/// What a probe writes.
struct Output {
    from: File,
    kept: Vec<u8>,
    whole: bool,
    open: bool,
}

impl Output {
    /// Takes what is there.
    fn read(&mut self) {
        let mut piece = [0; OUTPUT_BYTES];
        match self.from.read(&mut piece) {
            Ok(0) => self.open = false,
            Ok(count) => {
                let room = (OUTPUT_BYTES - self.kept.len()).min(count);
                self.kept.extend_from_slice(&piece[..room]);
                self.whole &= room == count;
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(_) => self.open = false,
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.kept);
        let more = if self.whole { "" } else { "..." };
        format!("{text}{more}")
    }
}

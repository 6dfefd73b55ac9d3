//! A terminal, as tmux has it.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use super::Lab;

/// A terminal that somebody types at.
pub(crate) struct Screen<'a> {
    lab: &'a Lab,
    socket: PathBuf,
}

impl<'a> Screen<'a> {
    /// One of 100 by 30 letters, with a shell.
    pub(crate) fn new(lab: &'a Lab) -> Self {
        let socket = lab.path("tmux");
        let screen = Self { lab, socket };
        let size = ["new-session", "-d", "-x", "100", "-y", "30", "sh"];
        screen.tmux(&size);
        screen
    }

    /// Has tmux do something.
    pub(crate) fn tmux(&self, arguments: &[&str]) -> String {
        // The environment of a test's commands is what the shell in it gets.
        let own = self.lab.command(&[]);
        let mut command = Command::new("tmux");
        command.env_clear();
        for (name, value) in own.get_envs() {
            if let Some(value) = value {
                command.env(name, value);
            }
        }
        command.env("TERM", "xterm").env("PS1", "$ ");
        command.args(["-f", "/dev/null", "-S"]).arg(&self.socket);
        let output = command.args(arguments).output().expect("tmux is there");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Types a line.
    pub(crate) fn type_line(&self, line: &str) {
        self.tmux(&["send-keys", "-l", line]);
        self.tmux(&["send-keys", "Enter"]);
    }

    /// Waits until the terminal shows `text`.
    pub(crate) fn until(&self, text: &str) {
        let end = Instant::now() + Duration::from_secs(30);
        loop {
            // Lines that were too long are one again.
            let shown = self.tmux(&["capture-pane", "-p", "-J"]);
            if shown.contains(text) {
                return;
            }
            assert!(Instant::now() < end, "{text:?} is not shown:\n{shown}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Screen<'_> {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

//! The user's own terminal: its size, and raw mode for as long as a container has it.

use std::os::fd::{AsFd, OwnedFd};

use rbuild_sandbox::TerminalSize;
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

use crate::ContainerError;

/// A terminal in raw mode; dropped, it is as it was before.
#[derive(Debug)]
pub struct RawTerminal {
    terminal: OwnedFd,
    before: Termios,
}

impl RawTerminal {
    /// Turns echo, line editing and signal keys off: every key goes to the container.
    pub fn enter(terminal: impl AsFd) -> Result<Self, ContainerError> {
        let terminal = terminal
            .as_fd()
            .try_clone_to_owned()
            .map_err(ContainerError::Attach)?;
        let attach = |error: rustix::io::Errno| ContainerError::Attach(error.into());
        let before = tcgetattr(&terminal).map_err(attach)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(&terminal, OptionalActions::Now, &raw).map_err(attach)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // What the container wrote last is shown in its own mode first. A terminal that is gone needs nothing.
        let _ = tcsetattr(&self.terminal, OptionalActions::Drain, &self.before);
    }
}

/// The size of the terminal behind a descriptor; `None` if it is none, or does not know.
pub fn terminal_size(terminal: impl AsFd) -> Option<TerminalSize> {
    let size = tcgetwinsize(terminal).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then_some(TerminalSize {
        rows: size.ws_row,
        columns: size.ws_col,
    })
}

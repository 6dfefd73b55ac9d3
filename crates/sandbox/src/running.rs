//! A command in its sandbox, from outside: heard until it runs, waited for, killed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::process::Child;
use std::sync::Arc;

use rustix::process::{Signal, pidfd_send_signal};

use crate::channel::{Channel, Hold, MadeAt, Report, TerminalSize};
use crate::{SandboxError, cleanup};

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// By itself, with this code.
    Code(i32),
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// Whether the code is 0.
    pub fn success(self) -> bool {
        self == Self::Code(0)
    }

    /// As shells tell it: 128 is added to the number of a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }
}

/// A command in its sandbox. Dropping it kills whatever runs there.
#[derive(Debug)]
pub struct Running {
    /// Our own child; that of a process that was added is its supervisor's.
    keeper: Option<Child>,
    control: Channel,
    pid: u32,
    killer: Killer,
    terminal: Option<OwnedFd>,
    made: Vec<MadeAt>,
    changes: Option<PathBuf>,
    exit: Option<Exit>,
}

/// Ends a sandbox from another thread.
#[derive(Debug, Clone)]
pub struct Killer(Arc<OwnedFd>);

impl Killer {
    /// Kills the command and with it all that it started. No error when it has already ended.
    pub fn kill(&self) {
        let _ = pidfd_send_signal(&*self.0, Signal::KILL);
    }

    /// Sends a signal to the command. As process 1 of its world it only gets those it handles,
    /// besides KILL and STOP.
    ///
    /// # Errors
    /// [`SandboxError::Reach`] for a number that is no signal.
    pub fn signal(&self, number: i32) -> Result<(), SandboxError> {
        match rbuild_sys::send_signal(self.0.as_fd(), number) {
            Err(error) if error.errno() != Some(libc::ESRCH) => {
                Err(SandboxError::Reach(io::Error::other(error)))
            }
            _ => Ok(()),
        }
    }
}

impl Running {
    /// The command's process id, outside.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Whether [`Running::pid`] is still the command's number: what was looked up by it before this was asked was its own.
    pub fn has_its_number(&self) -> bool {
        rbuild_sys::send_signal(self.killer.0.as_fd(), 0).is_ok()
    }

    /// Another descriptor of the command's process.
    pub(crate) fn process(&self) -> io::Result<OwnedFd> {
        self.killer.0.try_clone()
    }

    /// A handle that other threads can end the sandbox with.
    pub fn killer(&self) -> Killer {
        self.killer.clone()
    }

    /// Readable as soon as the command has ended, so that `wait` returns at once.
    pub fn end(&self) -> BorrowedFd<'_> {
        self.control.as_fd()
    }

    /// Kills the command and all that it started; `wait` then returns at once.
    pub fn kill(&self) {
        self.killer.kill();
    }

    /// The caller's end of the pseudo terminal, where one was asked for.
    pub fn terminal(&self) -> Option<BorrowedFd<'_>> {
        self.terminal.as_ref().map(AsFd::as_fd)
    }

    /// Tells the terminal that its window has another size now.
    ///
    /// # Errors
    /// [`SandboxError::Reach`]. Without a terminal nothing happens.
    pub fn resize(&self, size: TerminalSize) -> Result<(), SandboxError> {
        let Some(terminal) = &self.terminal else {
            return Ok(());
        };
        let size = rustix::termios::Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        rustix::termios::tcsetwinsize(terminal, size)
            .map_err(|error| SandboxError::Reach(error.into()))
    }

    /// Of a process that was started with [`Tie::Loose`]: once we are gone, what it writes is read from these, so that it
    /// can go on. They take the place of those that were named before.
    ///
    /// # Errors
    /// [`SandboxError::Reach`].
    pub fn leave_to_read(&self, outputs: &[BorrowedFd<'_>]) -> Result<(), SandboxError> {
        match self.control.send(&Hold, outputs) {
            // It has ended.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            other => other.map_err(SandboxError::Reach),
        }
    }

    /// Lets go of a process that was started with [`Tie::Loose`].
    pub fn release(mut self) {
        self.exit = Some(Exit::Code(0));
    }

    /// Waits for the end of the command. When this returns, all that it left running is dead, and
    /// the mount points that were made for it are gone from the changes.
    ///
    /// # Errors
    /// [`SandboxError::Wait`], [`SandboxError::Cleanup`].
    pub fn wait(mut self) -> Result<Exit, SandboxError> {
        self.finish()
    }

    fn finish(&mut self) -> Result<Exit, SandboxError> {
        if let Some(exit) = self.exit {
            return Ok(exit);
        }
        let exit = match self.control.receive().map_err(SandboxError::Wait)? {
            Some((
                Report::Ended {
                    code: Some(code), ..
                },
                _,
            )) => Exit::Code(code),
            Some((
                Report::Ended {
                    signal: Some(signal),
                    ..
                },
                _,
            )) => Exit::Signal(signal),
            // The keeper was killed, and the kernel killed the command with it.
            _ => {
                self.killer.kill();
                Exit::Signal(libc::SIGKILL)
            }
        };
        self.exit = Some(exit);
        if let Some(keeper) = &mut self.keeper {
            keeper.wait().map_err(SandboxError::Wait)?;
        }
        if let Some(changes) = &self.changes {
            cleanup::remove(changes, &self.made)?;
        }
        Ok(exit)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.exit.is_none() {
            self.killer.kill();
            // There is nobody left to tell.
            let _ = self.finish();
        }
    }
}

/// Listens until the command runs, which closes the report channel, or something failed.
pub(crate) fn await_start(
    changes: Option<PathBuf>,
    keeper: Option<Child>,
    control: Channel,
    report: &Channel,
) -> Result<Running, SandboxError> {
    let (pid, pidfd) = match control.receive().map_err(SandboxError::Prepare) {
        Ok(Some((Report::Started { pid }, mut descriptors))) if descriptors.len() == 1 => {
            (pid, descriptors.remove(0))
        }
        other => {
            drop(control);
            reap(keeper);
            return Err(match other {
                Ok(Some((Report::Failed(failure), _))) => SandboxError::Init(failure),
                Ok(_) => SandboxError::Died,
                Err(error) => error,
            });
        }
    };
    let mut running = Running {
        keeper,
        control,
        pid,
        killer: Killer(Arc::new(pidfd)),
        terminal: None,
        made: Vec::new(),
        changes,
        exit: None,
    };
    loop {
        match report.receive().map_err(SandboxError::Prepare)? {
            None => return Ok(running),
            Some((Report::Terminal, mut descriptors)) => running.terminal = descriptors.pop(),
            Some((Report::Made(mut made), _)) => running.made.append(&mut made),
            Some((Report::Failed(failure), _)) => {
                running.finish()?;
                return Err(SandboxError::Init(failure));
            }
            Some((Report::Started { .. } | Report::Ended { .. }, _)) => {
                return Err(SandboxError::Died);
            }
        }
    }
}

/// Waits for a keeper that was told nothing, or whose channel was closed: it ends at once.
pub(crate) fn reap(keeper: Option<Child>) {
    if let Some(mut keeper) = keeper {
        let _ = keeper.wait();
    }
}

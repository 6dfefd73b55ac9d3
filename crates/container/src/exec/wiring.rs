//! What a process of `exec` reads and writes, decided before it starts.
//!
//! ```text
//! -t        terminal ⇄ pty ⇄ process       (raw mode, size follows)
//! not -t    stdout ◀───────── process      through pipes of our own: neither the user's terminal nor its files can be
//!           stdin  ─────────▶ process      touched, and who reads what we write sees its end when we are gone. Only a
//!                                          pipe that is to be read is handed on as it is
//! ```

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rbuild_sandbox::{Running, Stdio, TerminalSize};
use rustix::fs::{Stat, fstat};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::isatty;

use super::ExecOptions;
use super::copies::{Inflow, Outflow};
use crate::ContainerError;
use crate::direct::may_be_given;
use crate::session::Streams;
use crate::supervisor::do_not_block;
use crate::terminal::{RawTerminal, terminal_size};

/// A terminal whose size nobody knows.
pub(super) const UNKNOWN_SIZE: TerminalSize = TerminalSize {
    rows: 24,
    columns: 80,
};

/// How the streams are connected.
pub(super) struct Wiring<'a> {
    user: Streams<'a>,
    mode: Wired,
}

enum Wired {
    Terminal {
        input: Input,
        size: TerminalSize,
    },
    Plain {
        stdin: Option<Inward>,
        stdout: Outward,
        stderr: Outward,
    },
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Input {
    Keyboard,
    Nothing,
}

/// Input of a process without a terminal.
enum Inward {
    /// The user's descriptor itself.
    Direct,
    /// Through this pipe.
    Piped { read: OwnedFd, write: OwnedFd },
}

/// Output of a process without a terminal.
enum Outward {
    /// Through this pipe.
    Piped { read: OwnedFd, write: OwnedFd },
    /// Where its standard output goes, so that the order stays.
    WithStdout,
}

/// What there is to be copied while the process runs.
pub(super) struct Flows {
    pub(super) outputs: Vec<Outflow>,
    pub(super) input: Option<Inflow>,
    /// The user's terminal, as long as the process has the keys.
    pub(super) raw: Option<RawTerminal>,
}

impl<'a> Wiring<'a> {
    /// Looks at the streams.
    pub(super) fn new(options: &ExecOptions, user: Streams<'a>) -> Result<Self, ContainerError> {
        let mode = if options.tty {
            Wired::terminal(options, user)?
        } else {
            Wired::plain(options, user)?
        };
        Ok(Self { user, mode })
    }

    /// What the sandbox connects the process to.
    pub(super) fn stdio(&self) -> Stdio<'_> {
        match &self.mode {
            Wired::Terminal { size, .. } => Stdio::Terminal(*size),
            Wired::Plain {
                stdin,
                stdout,
                stderr,
            } => {
                let stdout = stdout.inside(self.user.stdout);
                Stdio::Descriptors {
                    stdin: stdin.as_ref().map(|stdin| stdin.inside(self.user.stdin)),
                    stdout,
                    stderr: stderr.inside(stdout),
                }
            }
        }
    }

    /// Our ends, once the process has its own.
    pub(super) fn flows(self, running: &Running) -> Result<Flows, ContainerError> {
        match self.mode {
            Wired::Terminal { input, .. } => terminal_flows(self.user, input, running.terminal()),
            Wired::Plain {
                stdin,
                stdout,
                stderr,
            } => plain_flows(self.user, stdin, stdout, stderr),
        }
    }
}

impl Wired {
    fn terminal(options: &ExecOptions, user: Streams<'_>) -> Result<Self, ContainerError> {
        if options.interactive && !isatty(user.stdin) {
            return Err(ContainerError::NotATerminal);
        }
        let size = terminal_size(user.stdout).or_else(|| terminal_size(user.stdin));
        Ok(Self::Terminal {
            input: if options.interactive {
                Input::Keyboard
            } else {
                Input::Nothing
            },
            size: size.unwrap_or(UNKNOWN_SIZE),
        })
    }

    fn plain(options: &ExecOptions, user: Streams<'_>) -> Result<Self, ContainerError> {
        let stdin = options
            .interactive
            .then(|| Inward::new(user.stdin))
            .transpose()?;
        let (out, err) = (status(user.stdout)?, status(user.stderr)?);
        let stdout = Outward::new()?;
        let stderr = if (out.st_dev, out.st_ino) == (err.st_dev, err.st_ino) {
            Outward::WithStdout
        } else {
            Outward::new()?
        };
        Ok(Self::Plain {
            stdin,
            stdout,
            stderr,
        })
    }
}

fn terminal_flows(
    user: Streams<'_>,
    input: Input,
    terminal: Option<BorrowedFd<'_>>,
) -> Result<Flows, ContainerError> {
    let Some(terminal) = terminal else {
        return Ok(Flows {
            outputs: Vec::new(),
            input: None,
            raw: None,
        });
    };
    let master = duplicate(terminal)?;
    do_not_block(&master).map_err(ContainerError::Attach)?;
    let outputs = vec![Outflow {
        from: master,
        to: duplicate(user.stdout)?.into(),
    }];
    let (input, raw) = match input {
        Input::Nothing => (None, None),
        Input::Keyboard => {
            let keys = Inflow {
                from: duplicate(user.stdin)?.into(),
                to: duplicate(terminal)?,
            };
            (Some(keys), Some(RawTerminal::enter(user.stdin)?))
        }
    };
    Ok(Flows {
        outputs,
        input,
        raw,
    })
}

fn plain_flows(
    user: Streams<'_>,
    stdin: Option<Inward>,
    stdout: Outward,
    stderr: Outward,
) -> Result<Flows, ContainerError> {
    let input = match stdin {
        // The process has its own copy of the reading end by now.
        Some(Inward::Piped { write, .. }) => {
            do_not_block(&write).map_err(ContainerError::Attach)?;
            Some(Inflow {
                from: duplicate(user.stdin)?.into(),
                to: write,
            })
        }
        Some(Inward::Direct) | None => None,
    };
    let mut outputs = Vec::new();
    for (outward, user) in [(stdout, user.stdout), (stderr, user.stderr)] {
        if let Outward::Piped { read, .. } = outward {
            outputs.push(Outflow {
                from: read,
                to: duplicate(user)?.into(),
            });
        }
    }
    Ok(Flows {
        outputs,
        input,
        raw: None,
    })
}

impl Inward {
    fn new(user: BorrowedFd<'_>) -> Result<Self, ContainerError> {
        if may_be_given(user) {
            return Ok(Self::Direct);
        }
        let (read, write) = pipe()?;
        Ok(Self::Piped { read, write })
    }

    fn inside<'a>(&'a self, user: BorrowedFd<'a>) -> BorrowedFd<'a> {
        match self {
            Self::Direct => user,
            Self::Piped { read, .. } => read.as_fd(),
        }
    }
}

impl Outward {
    fn new() -> Result<Self, ContainerError> {
        let (read, write) = pipe()?;
        Ok(Self::Piped { read, write })
    }

    /// What the process gets; `stdout` is what it gets for that.
    fn inside<'a>(&'a self, stdout: BorrowedFd<'a>) -> BorrowedFd<'a> {
        match self {
            Self::Piped { write, .. } => write.as_fd(),
            Self::WithStdout => stdout,
        }
    }
}

fn status(stream: BorrowedFd<'_>) -> Result<Stat, ContainerError> {
    fstat(stream).map_err(|error| ContainerError::Attach(error.into()))
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, ContainerError> {
    fd.try_clone_to_owned().map_err(ContainerError::Attach)
}

/// Both ends are closed by exec.
pub(super) fn pipe() -> Result<(OwnedFd, OwnedFd), ContainerError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|error| ContainerError::Attach(error.into()))
}

//! The user's streams, connected to a process of `exec`: nobody stands between.
//!
//! ```text
//! -t        terminal ⇄ pty ⇄ process       (raw mode, size follows)
//! not -t    stdout ◀───────── process      a pipe is handed on as it is; all else is copied, so that the process cannot
//!           stdin  ─────────▶ process      reach the user's terminal or files
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::thread;

use rbuild_sandbox::{Exit, Stdio, TerminalSize};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::{Winsize, isatty, tcsetwinsize};
use signal_hook::consts::signal as signals;
use signal_hook::iterator::Signals;

use super::ExecOptions;
use crate::ContainerError;
use crate::direct::may_be_given;
use crate::session::Streams;
use crate::terminal::{RawTerminal, terminal_size};

/// One read of output or input.
const CHUNK_BYTES: usize = 64 << 10;

/// A terminal whose size nobody knows.
const UNKNOWN_SIZE: TerminalSize = TerminalSize {
    rows: 24,
    columns: 80,
};

/// How the streams are connected, made before the container starts.
pub(super) struct Wiring<'a> {
    user: Streams<'a>,
    mode: Wired,
    signals: Signals,
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

/// Input of a container without a terminal.
enum Inward {
    /// The user's descriptor itself.
    Direct,
    /// Through this pipe.
    Piped { read: OwnedFd, write: OwnedFd },
}

/// Output of a container without a terminal.
enum Outward {
    /// The user's descriptor itself.
    Direct,
    /// Through this pipe.
    Piped { read: OwnedFd, write: OwnedFd },
}

/// A copy from one descriptor to another, to be run on a thread.
struct Copy {
    from: OwnedFd,
    to: OwnedFd,
}

impl<'a> Wiring<'a> {
    /// Looks at the streams.
    pub(super) fn new(options: &ExecOptions, user: Streams<'a>) -> Result<Self, ContainerError> {
        let mode = if options.tty {
            Self::terminal(options, user)?
        } else {
            let stdin = options
                .interactive
                .then(|| Inward::new(user.stdin))
                .transpose()?;
            Wired::Plain {
                stdin,
                stdout: Outward::new(user.stdout)?,
                stderr: Outward::new(user.stderr)?,
            }
        };
        let signals = Signals::new([signals::SIGWINCH]).map_err(ContainerError::Attach)?;
        Ok(Self {
            user,
            mode,
            signals,
        })
    }

    fn terminal(options: &ExecOptions, user: Streams<'_>) -> Result<Wired, ContainerError> {
        if options.interactive && !isatty(user.stdin) {
            return Err(ContainerError::NotATerminal);
        }
        let size = terminal_size(user.stdout).or_else(|| terminal_size(user.stdin));
        Ok(Wired::Terminal {
            input: if options.interactive {
                Input::Keyboard
            } else {
                Input::Nothing
            },
            size: size.unwrap_or(UNKNOWN_SIZE),
        })
    }

    /// What the sandbox connects the container to.
    pub(super) fn stdio(&self) -> Stdio<'_> {
        match &self.mode {
            Wired::Terminal { size, .. } => Stdio::Terminal(*size),
            Wired::Plain {
                stdin,
                stdout,
                stderr,
            } => Stdio::Descriptors {
                stdin: stdin.as_ref().map(|stdin| match stdin {
                    Inward::Direct => self.user.stdin,
                    Inward::Piped { read, .. } => read.as_fd(),
                }),
                stdout: stdout.inside(self.user.stdout),
                stderr: stderr.inside(self.user.stderr),
            },
        }
    }

    /// Copies until the process ends.
    pub(super) fn run(self, running: rbuild_sandbox::Running) -> Result<Exit, ContainerError> {
        let Self {
            user,
            mode,
            mut signals,
        } = self;
        let terminal = running.terminal().map(duplicate).transpose()?;
        let (outputs, input, raw) = match mode {
            Wired::Terminal { input, .. } => terminal_copies(user, input, terminal.as_ref())?,
            Wired::Plain {
                stdin,
                stdout,
                stderr,
            } => plain_copies(user, stdin, stdout, stderr)?,
        };
        let handle = signals.handle();
        let (ended, end) = pipe()?;
        thread::scope(|scope| {
            scope.spawn(|| follow_size(&mut signals, user, terminal.as_ref()));
            scope.spawn(|| input.map(|copy| copy.run_until(&ended)));
            let outputs: Vec<_> = outputs
                .into_iter()
                .map(|copy| scope.spawn(|| copy.run(&ended)))
                .collect();
            let exit = running.wait();
            // What it wrote comes out, and then the copies end, even if it left processes behind that could write more.
            drop(end);
            for output in outputs {
                let _ = output.join();
            }
            handle.close();
            drop(raw);
            Ok(exit?)
        })
    }
}

type Copies = (Vec<Copy>, Option<Copy>, Option<RawTerminal>);

fn terminal_copies(
    user: Streams<'_>,
    input: Input,
    terminal: Option<&OwnedFd>,
) -> Result<Copies, ContainerError> {
    let Some(terminal) = terminal else {
        return Ok((Vec::new(), None, None));
    };
    let output = Copy {
        from: duplicate(terminal.as_fd())?,
        to: duplicate(user.stdout)?,
    };
    if input == Input::Nothing {
        return Ok((vec![output], None, None));
    }
    let raw = RawTerminal::enter(user.stdin)?;
    let input = Copy {
        from: duplicate(user.stdin)?,
        to: duplicate(terminal.as_fd())?,
    };
    Ok((vec![output], Some(input), Some(raw)))
}

fn plain_copies(
    user: Streams<'_>,
    stdin: Option<Inward>,
    stdout: Outward,
    stderr: Outward,
) -> Result<Copies, ContainerError> {
    let input = match stdin {
        // The container has its own copy of the reading end by now.
        Some(Inward::Piped { write, .. }) => Some(Copy {
            from: duplicate(user.stdin)?,
            to: write,
        }),
        Some(Inward::Direct) | None => None,
    };
    let outputs = [(stdout, user.stdout), (stderr, user.stderr)];
    let outputs = outputs
        .into_iter()
        .filter_map(|(outward, user)| match outward {
            Outward::Piped { read, .. } => Some(duplicate(user).map(|to| Copy { from: read, to })),
            Outward::Direct => None,
        });
    Ok((outputs.collect::<Result<_, _>>()?, input, None))
}

impl Inward {
    fn new(user: BorrowedFd<'_>) -> Result<Self, ContainerError> {
        if may_be_given(user) {
            return Ok(Self::Direct);
        }
        let (read, write) = pipe()?;
        Ok(Self::Piped { read, write })
    }
}

impl Outward {
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
            Self::Piped { write, .. } => write.as_fd(),
        }
    }
}

impl Copy {
    /// Copies to the end, or to what there is once the other end of `ended` is closed. A terminal whose last user is gone
    /// ends in an error (EIO), as does a reader that is gone: then the other side learns it from the closed pipe.
    fn run(self, ended: &OwnedFd) {
        self.copy(ended, |here, over| over && !here);
    }

    /// As `run`, but stops when the other end of `ended` is closed, whatever there is.
    fn run_until(self, ended: &OwnedFd) {
        self.copy(ended, |_, over| over);
    }

    /// Copies until `stops` says so, of whether there is something to read and whether the other end of `ended` is closed.
    fn copy(self, ended: &OwnedFd, stops: impl Fn(bool, bool) -> bool) {
        let (mut from, mut to) = (File::from(self.from), File::from(self.to));
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let mut watched = [
                PollFd::new(&from, PollFlags::IN),
                PollFd::new(ended, PollFlags::IN),
            ];
            if rustix::io::retry_on_intr(|| poll(&mut watched, None)).is_err() {
                return;
            }
            let [here, over] = [0, 1].map(|index: usize| !watched[index].revents().is_empty());
            if stops(here, over) {
                return;
            }
            let Some(taken) = read_some(&mut from, &mut chunk) else {
                return;
            };
            if to.write_all(&chunk[..taken]).is_err() {
                return;
            }
        }
    }
}

/// `None` at the end of the input, whatever ended it.
fn read_some(from: &mut File, chunk: &mut [u8]) -> Option<usize> {
    loop {
        match from.read(chunk) {
            Ok(0) => return None,
            Ok(taken) => return Some(taken),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
}

/// Gives the terminal the size of the user's until the handle of `signals` is closed.
fn follow_size(signals: &mut Signals, user: Streams<'_>, terminal: Option<&OwnedFd>) {
    for _ in signals.forever() {
        let size = terminal_size(user.stdout).or_else(|| terminal_size(user.stdin));
        if let (Some(terminal), Some(size)) = (terminal, size) {
            resize(terminal, size);
        }
    }
}

fn resize(terminal: &OwnedFd, size: TerminalSize) {
    let size = Winsize {
        ws_row: size.rows,
        ws_col: size.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    // A terminal that is closed already has no size to change.
    let _ = tcsetwinsize(terminal, size);
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, ContainerError> {
    fd.try_clone_to_owned().map_err(ContainerError::Attach)
}

fn pipe() -> Result<(OwnedFd, OwnedFd), ContainerError> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|error| ContainerError::Attach(error.into()))
}

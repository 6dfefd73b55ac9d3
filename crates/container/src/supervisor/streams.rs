//! The container's ends of its streams.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rbuild_sandbox::{Stdio, TerminalSize};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};

use super::do_not_block;
use crate::link::{CHUNK_BYTES, Stream};

/// A terminal whose size nobody knows.
const UNKNOWN_SIZE: TerminalSize = TerminalSize {
    rows: 24,
    columns: 80,
};

/// What the container is given, and our ends of it.
pub(super) struct Wiring {
    terminal: Option<TerminalSize>,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
    outputs: Vec<Output>,
    input: Option<Input>,
}

/// Something that the container writes to.
pub(super) struct Output {
    pub(super) stream: Stream,
    pub(super) from: OwnedFd,
    /// Nothing more comes.
    pub(super) ended: bool,
}

/// What the container reads from.
pub(super) struct Input {
    pub(super) to: OwnedFd,
    pending: Vec<u8>,
    last: bool,
}

/// What reading an output came to.
pub(super) enum Taken {
    Bytes(Vec<u8>),
    NothingNow,
    End,
}

impl Wiring {
    /// Pipes for what does not come as a descriptor of the user's own in `given`.
    pub(super) fn plain(
        wants_input: bool,
        direct: [bool; 3],
        given: Vec<OwnedFd>,
    ) -> io::Result<Self> {
        let mut given = given.into_iter();
        let mut wiring = Self {
            terminal: None,
            stdin: None,
            stdout: None,
            stderr: None,
            outputs: Vec::new(),
            input: None,
        };
        if direct[0] {
            wiring.stdin = given.next();
        } else if wants_input {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
            wiring.stdin = Some(read);
            wiring.input = Some(Input::new(write)?);
        }
        for (stream, direct) in [(Stream::Stdout, direct[1]), (Stream::Stderr, direct[2])] {
            let inside = if direct {
                given.next()
            } else {
                let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
                wiring.outputs.push(Output::new(stream, read)?);
                Some(write)
            };
            match stream {
                Stream::Stdout => wiring.stdout = inside,
                Stream::Stderr => wiring.stderr = inside,
            }
        }
        Ok(wiring)
    }

    /// A terminal, which the sandbox makes.
    pub(super) fn terminal(size: Option<TerminalSize>) -> Self {
        Self {
            terminal: Some(size.unwrap_or(UNKNOWN_SIZE)),
            stdin: None,
            stdout: None,
            stderr: None,
            outputs: Vec::new(),
            input: None,
        }
    }

    pub(super) fn stdio(&self) -> Stdio<'_> {
        match (self.terminal, &self.stdout, &self.stderr) {
            (Some(size), ..) => Stdio::Terminal(size),
            (None, Some(stdout), Some(stderr)) => Stdio::Descriptors {
                stdin: self.stdin.as_ref().map(|stdin| stdin.as_fd()),
                stdout: stdout.as_fd(),
                stderr: stderr.as_fd(),
            },
            _ => Stdio::Null,
        }
    }

    /// Our ends, once the container has its own. `master` is that of its terminal.
    pub(super) fn ours(
        mut self,
        master: Option<BorrowedFd<'_>>,
        wants_input: bool,
    ) -> io::Result<(Vec<Output>, Option<Input>)> {
        if let Some(master) = master {
            let master = master.try_clone_to_owned()?;
            if wants_input {
                self.input = Some(Input::new(master.try_clone()?)?);
            }
            self.outputs.push(Output::new(Stream::Stdout, master)?);
        }
        Ok((self.outputs, self.input))
    }
}

impl Output {
    fn new(stream: Stream, from: OwnedFd) -> io::Result<Self> {
        do_not_block(&from)?;
        Ok(Self {
            stream,
            from,
            ended: false,
        })
    }

    /// What is there to be read. A terminal whose last user is gone ends in an error (EIO).
    pub(super) fn take(&self) -> Taken {
        let mut chunk = vec![0; CHUNK_BYTES];
        match rustix::io::retry_on_intr(|| rustix::io::read(&self.from, &mut chunk)) {
            Ok(0) => Taken::End,
            Ok(count) => {
                chunk.truncate(count);
                Taken::Bytes(chunk)
            }
            Err(Errno::AGAIN) => Taken::NothingNow,
            Err(_) => Taken::End,
        }
    }
}

impl Input {
    fn new(to: OwnedFd) -> io::Result<Self> {
        do_not_block(&to)?;
        Ok(Self {
            to,
            pending: Vec::new(),
            last: false,
        })
    }

    /// Whether the container has not read all yet.
    pub(super) fn is_full(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// Nothing more comes.
    pub(super) fn finish(&mut self) {
        self.last = true;
    }

    /// Writes what there is room for. Whether there can be more.
    pub(super) fn flush(&mut self) -> bool {
        while !self.pending.is_empty() {
            match rustix::io::write(&self.to, &self.pending) {
                Ok(count) => {
                    self.pending.drain(..count);
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return true,
                // Nobody reads it any more.
                Err(_) => return false,
            }
        }
        !self.last
    }
}

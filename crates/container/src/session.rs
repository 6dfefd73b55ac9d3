//! The user's streams and signals, connected to a container through its supervisor.
//!
//! ```text
//! keys    ─▶ detach keys? ─▶ link ─▶ supervisor ─▶ terminal or pipe of the container
//! screen  ◀───────────────── link ◀─ supervisor ◀─ what it writes
//! signals ─▶ requests of their own, so that no input is in their way
//! ```
//!
//! Pipes are handed to a container of `run --rm` themselves, so that nothing stands between a pipeline's programs; what
//! else there is never is, so that the container cannot reach it.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rbuild_sandbox::TerminalSize;
use rbuild_store::{Container, Store};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::termios::isatty;
use signal_hook::consts::signal as signals;
use signal_hook::iterator::Signals;

use crate::control;
use crate::direct::may_be_given;
use crate::keys::{DetachKeys, Typed};
use crate::link::{CHUNK_BYTES, Intent, Link, Message, Packet, Room, Stream};
use crate::options::Cleanup;
use crate::signals::KILL;
use crate::terminal::{RawTerminal, terminal_size};
use crate::{ContainerError, ContainerId, Options};

/// Interrupts after which a container that does not listen is killed, as Docker's client does.
const INTERRUPTS_TO_KILL: u32 = 3;
/// The end of a program whose reader is gone: 128 and SIGPIPE.
const BROKEN_PIPE: i32 = 141;

/// Passed on to the container's first process. Not here: those that stop us, and those that tell of our own children,
/// pipes and sockets.
const FORWARDED: [i32; 8] = [
    signals::SIGHUP,
    signals::SIGINT,
    signals::SIGQUIT,
    signals::SIGTERM,
    signals::SIGUSR1,
    signals::SIGUSR2,
    signals::SIGCONT,
    signals::SIGALRM,
];

/// The user's three streams.
#[derive(Debug, Clone, Copy)]
pub struct Streams<'a> {
    /// Read by the container with `-i`.
    pub stdin: BorrowedFd<'a>,
    /// Written by the container.
    pub stdout: BorrowedFd<'a>,
    /// Written by the container; with `-t` all goes to stdout.
    pub stderr: BorrowedFd<'a>,
}

/// How the user is connected to a container.
#[derive(Debug, Clone, Copy)]
pub struct Attachment<'a> {
    /// What is connected.
    pub streams: Streams<'a>,
    /// Whether the container reads what the user types, if it reads anything.
    pub input: Typing,
    /// Whether it takes the user's signals.
    pub signals: Proxy,
    /// Keys that leave it.
    pub keys: &'a DetachKeys,
    /// What becomes of it when nobody reads what it writes any more.
    pub tie: Bond,
}

impl Attachment<'_> {
    /// Whether the streams are such as the container wants.
    pub(crate) fn check(&self, options: &Options) -> Result<(), ContainerError> {
        if options.tty && self.types(options) && !isatty(self.streams.stdin) {
            return Err(ContainerError::NotATerminal);
        }
        Ok(())
    }

    /// Whether the container reads what the user types.
    fn types(&self, options: &Options) -> bool {
        options.interactive && self.input == Typing::Passed
    }
}

/// Whether the user's input goes to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Typing {
    /// It does.
    Passed,
    /// It does not.
    Kept,
}

/// Whether the user's signals go to the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proxy {
    /// They do.
    Passed,
    /// They end the command, and the container goes on.
    Kept,
}

/// What becomes of a container when nobody reads what it writes any more (`run … | head`). It outlives the command in any
/// case, should that be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bond {
    /// It goes on.
    Loose,
    /// It is killed, as a program of a pipeline would be.
    Firm,
}

/// How a session ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// The container has ended with this status.
    Exited(i32),
    /// The user left; it runs on.
    Left,
}

/// A connection that is about to be made.
pub(crate) struct Session<'a> {
    directory: PathBuf,
    id: ContainerId,
    attachment: Attachment<'a>,
    tty: bool,
    input: bool,
    direct: [bool; 3],
    signals: Signals,
}

impl<'a> Session<'a> {
    /// Looks at the streams; from here on signals wait for the container instead of ending us.
    pub(crate) fn new(
        store: &Store,
        container: &Container,
        options: &Options,
        attachment: Attachment<'a>,
    ) -> Result<Self, ContainerError> {
        attachment.check(options)?;
        let streams = attachment.streams;
        let input = attachment.types(options);
        let own =
            attachment.tie == Bond::Firm && options.cleanup == Cleanup::Remove && !options.tty;
        let direct = [
            own && input && may_be_given(streams.stdin),
            own && may_be_given(streams.stdout),
            own && may_be_given(streams.stderr),
        ];
        let window = [signals::SIGWINCH];
        let wanted: &[i32] = match attachment.signals {
            Proxy::Passed => &FORWARDED,
            Proxy::Kept => &[],
        };
        let signals = Signals::new(wanted.iter().chain(&window)).map_err(ContainerError::Attach)?;
        Ok(Self {
            directory: store.container_path(&container.id),
            id: ContainerId::from_store(&container.id),
            attachment,
            tty: options.tty,
            input,
            direct,
            signals,
        })
    }

    /// Which streams are handed to the container itself, and they.
    pub(crate) fn direct(&self) -> ([bool; 3], Vec<BorrowedFd<'a>>) {
        let streams = self.attachment.streams;
        let all = [streams.stdin, streams.stdout, streams.stderr];
        let chosen = all.into_iter().zip(self.direct);
        let chosen = chosen.filter_map(|(stream, direct)| direct.then_some(stream));
        (self.direct, chosen.collect())
    }

    /// The size of the user's terminal, where the container has one.
    pub(crate) fn size(&self) -> Option<TerminalSize> {
        let streams = self.attachment.streams;
        if !self.tty {
            return None;
        }
        terminal_size(streams.stdout).or_else(|| terminal_size(streams.stdin))
    }

    /// Copies and forwards until the container ends, or the user leaves.
    pub(crate) fn run(mut self, link: &Link) -> Result<Outcome, ContainerError> {
        let streams = self.attachment.streams;
        let raw = if self.tty && self.input {
            Some(RawTerminal::enter(streams.stdin)?)
        } else {
            None
        };
        let (ended, end) =
            pipe_with(PipeFlags::CLOEXEC).map_err(|error| ContainerError::Attach(error.into()))?;
        let left = AtomicBool::new(false);
        let mut signals = std::mem::replace(
            &mut self.signals,
            Signals::new([0_i32; 0]).map_err(ContainerError::Attach)?,
        );
        let handle = signals.handle();
        let stdin = streams
            .stdin
            .try_clone_to_owned()
            .map_err(ContainerError::Attach)?;
        let session = &self;
        thread::scope(|scope| {
            scope.spawn(|| session.forward(&mut signals));
            if session.input && !session.direct[0] {
                scope.spawn(|| session.type_on(stdin, link, &ended, &left));
            }
            let outcome = session.show(link, &left);
            // From here on the threads have nothing to wait for.
            drop(end);
            handle.close();
            drop(raw);
            outcome
        })
    }

    /// Shows what the container writes, to its end.
    fn show(&self, link: &Link, left: &AtomicBool) -> Result<Outcome, ContainerError> {
        let copy = |stream: BorrowedFd<'_>| {
            let copy = stream
                .try_clone_to_owned()
                .map_err(ContainerError::Attach)?;
            Ok::<File, ContainerError>(File::from(copy))
        };
        let mut stdout = copy(self.attachment.streams.stdout)?;
        let mut stderr = copy(self.attachment.streams.stderr)?;
        loop {
            let (packet, _) = match link.receive().map_err(ContainerError::Supervise)? {
                Some(received) => received,
                None if left.load(Ordering::Acquire) => return Ok(Outcome::Left),
                None => {
                    return Err(ContainerError::Supervise(io::Error::other(
                        "its supervisor died, and with it the container",
                    )));
                }
            };
            let written = match packet {
                Packet::Output(Stream::Stdout, bytes) => stdout.write_all(&bytes),
                Packet::Output(Stream::Stderr, bytes) => stderr.write_all(&bytes),
                Packet::Message(Message::Exit(code)) => return Ok(Outcome::Exited(code)),
                _ => Ok(()),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => {
                    if self.attachment.tie == Bond::Firm {
                        let (number, intent) = (KILL, Intent::End);
                        self.ask(&Message::Signal { number, intent });
                    }
                    return Ok(Outcome::Exited(BROKEN_PIPE));
                }
                other => other.map_err(ContainerError::Attach)?,
            }
        }
    }

    /// Passes on what the user types, until the other end of `ended` is closed.
    fn type_on(&self, stdin: OwnedFd, link: &Link, ended: &OwnedFd, left: &AtomicBool) {
        let mut stdin = File::from(stdin);
        let mut keys = self.attachment.keys.watch();
        let mut chunk = vec![0; CHUNK_BYTES / 2];
        loop {
            let mut watched = [
                PollFd::new(&stdin, PollFlags::IN),
                PollFd::new(ended, PollFlags::IN),
            ];
            if rustix::io::retry_on_intr(|| poll(&mut watched, None)).is_err()
                || !watched[1].revents().is_empty()
            {
                return;
            }
            let taken = match stdin.read(&mut chunk) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Ok(0) | Err(_) => {
                    // The container may have ended meanwhile.
                    let _ = link.tell(&Message::InputEnd);
                    return;
                }
                Ok(taken) => taken,
            };
            let (bytes, leaves) = if self.tty {
                match keys.see(&chunk[..taken]) {
                    Typed::On(bytes) => (bytes, false),
                    Typed::Leave(bytes) => (bytes, true),
                }
            } else {
                (chunk[..taken].to_vec(), false)
            };
            if !bytes.is_empty() && link.send(&Packet::Input(bytes), &[], Room::Wait).is_err() {
                return;
            }
            if leaves {
                left.store(true, Ordering::Release);
                // Whether it hears that or is gone, the link ends.
                let _ = link.tell(&Message::Leave);
                return;
            }
        }
    }

    /// Passes signals on until the handle of `signals` is closed.
    fn forward(&self, signals: &mut Signals) {
        let mut interrupts = 0;
        for signal in signals.forever() {
            if signal == signals::SIGWINCH {
                if let Some(size) = self.size() {
                    self.ask(&Message::Resize(size));
                }
                continue;
            }
            if matches!(signal, signals::SIGINT | signals::SIGTERM) {
                interrupts += 1;
            }
            let (number, intent) = if interrupts == INTERRUPTS_TO_KILL {
                (KILL, Intent::End)
            } else {
                (signal, Intent::Tell)
            };
            self.ask(&Message::Signal { number, intent });
        }
    }

    /// A container that has just ended takes no signals.
    fn ask(&self, message: &Message) {
        let _ = control::ask(&self.directory, &self.id, "signal", message);
    }
}

/// Connects the user's streams to a container that runs.
pub fn attach(
    store: &Store,
    container: &Container,
    attachment: Attachment<'_>,
) -> Result<Outcome, ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let config = crate::StoredConfig::from_json(&id, &container.config)?;
    let session = Session::new(store, container, &config.options, attachment)?;
    let link = control::request(&session.directory, &id, "attach to", &Message::Attach)?;
    if let Some(size) = session.size() {
        // Another size first, so that programs that fill the screen draw it again.
        let other = TerminalSize {
            rows: size.rows.saturating_add(1),
            ..size
        };
        session.ask(&Message::Resize(other));
        session.ask(&Message::Resize(size));
    }
    session.run(&link)
}

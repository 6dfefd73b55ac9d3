//! Commands that are connected to the supervisor.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::process::Child;

use rbuild_sandbox::start_keeper_inside;
use rbuild_store::Store;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use super::Supervisor;
use super::life::{Frozen, Life};
use crate::ContainerError;
use crate::link::{Intent, Link, Message, Packet, Room, Stream};
use crate::signals::KILL;
use crate::update::{self, Update};

/// A command.
pub(super) struct Client {
    pub(super) number: u64,
    pub(super) link: Link,
    pub(super) role: Role,
    /// What it had no room for.
    pub(super) pending: VecDeque<Packet>,
}

/// What a command is here for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// It has not said so yet, or it has only questions.
    Visitor,
    /// It wants to know when the container ends.
    Watcher,
    /// It sees the container's output and gives it input.
    Session,
    /// As a session, of the command that started the container: what that was to read ends with it.
    Starter,
}

impl Role {
    pub(super) fn has_streams(self) -> bool {
        matches!(self, Self::Session | Self::Starter)
    }
}

/// A process that joins the container's namespaces for `exec`; the container's end is its end.
pub(super) struct Helper {
    pub(super) child: Child,
    pub(super) end: OwnedFd,
}

impl Client {
    /// Sends what it had no room for. Whether it is still there.
    pub(super) fn flush(&mut self) -> bool {
        while let Some(packet) = self.pending.front() {
            match send(&self.link, packet) {
                Sent::Yes => {
                    self.pending.pop_front();
                }
                Sent::Later => return true,
                Sent::Never => return false,
            }
        }
        true
    }

    /// Sends `packet` after all before it. Whether it is still there.
    pub(super) fn give(&mut self, packet: Packet) -> bool {
        self.pending.push_back(packet);
        self.flush()
    }
}

enum Sent {
    Yes,
    Later,
    Never,
}

fn send(link: &Link, packet: &Packet) -> Sent {
    match link.send(packet, &[], Room::Now) {
        Ok(()) => Sent::Yes,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Sent::Later,
        Err(error) if error.raw_os_error() == Some(Errno::NOBUFS.raw_os_error()) => Sent::Later,
        Err(_) => Sent::Never,
    }
}

impl Supervisor {
    pub(super) fn admit(&mut self, link: Link, role: Role) {
        self.next_client += 1;
        self.clients.push(Client {
            number: self.next_client,
            link,
            role,
            pending: VecDeque::new(),
        });
    }

    /// Gives a piece of output to all who watch the streams.
    pub(super) fn show(&mut self, stream: Stream, bytes: &[u8]) {
        let mut gone = Vec::new();
        for client in self.clients.iter_mut().filter(|one| one.role.has_streams()) {
            if !client.give(Packet::Output(stream, bytes.to_vec())) {
                gone.push(client.number);
            }
        }
        for number in gone {
            self.lose(number);
        }
    }

    /// Client `number` is gone.
    pub(super) fn lose(&mut self, number: u64) {
        let Some(index) = self.clients.iter().position(|one| one.number == number) else {
            return;
        };
        let starter = self.clients.remove(index).role == Role::Starter;
        // A terminal stays, for the next to attach.
        if let Some(input) = self
            .life
            .input()
            .filter(|_| starter && !self.config.options.tty)
        {
            input.finish();
            self.pour();
        }
    }

    /// Tells all who wait for it how the container ended.
    pub(super) fn tell_end(&mut self, code: i32) {
        self.clients.retain_mut(|client| {
            client.role != Role::Visitor && client.give(Packet::Message(Message::Exit(code)))
        });
    }

    /// Hears what client `number` says.
    pub(super) fn hear(&mut self, number: u64) {
        let Some(index) = self.clients.iter().position(|one| one.number == number) else {
            return;
        };
        let client = &self.clients[index];
        let role = client.role;
        match client.link.receive() {
            Ok(Some((Packet::Input(bytes), _))) if role.has_streams() => {
                if let Some(input) = self.life.input() {
                    input.push(&bytes);
                    self.pour();
                }
            }
            Ok(Some((Packet::Message(Message::InputEnd), _))) if role.has_streams() => {
                if let Some(input) = self.life.input() {
                    input.finish();
                    self.pour();
                }
            }
            Ok(Some((Packet::Message(Message::Leave), _))) => {
                self.clients.remove(index);
            }
            Ok(Some((Packet::Message(Message::Root), _))) => {
                let answered = self.root().and_then(|root| {
                    let done = Packet::Message(Message::Done);
                    let link = &self.clients[index].link;
                    link.send(&done, &[root.as_fd()], Room::Now)
                });
                // Who asked hears that there is nothing to be had when the link ends.
                if answered.is_err() {
                    self.lose(number);
                }
            }
            Ok(Some((Packet::Message(message), descriptors))) => {
                let answer = self.answer(index, &message, descriptors);
                if !self.clients[index].give(Packet::Message(answer)) {
                    self.lose(number);
                }
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => self.lose(number),
        }
    }

    fn answer(&mut self, index: usize, message: &Message, descriptors: Vec<OwnedFd>) -> Message {
        let done = match message {
            Message::Watch => {
                self.clients[index].role = Role::Watcher;
                Ok(())
            }
            Message::Attach => {
                self.clients[index].role = Role::Session;
                Ok(())
            }
            Message::Signal { number, intent } => self.signal(*number, *intent),
            Message::Resize(size) => self.life.resize(*size),
            Message::Enter => self.enter(descriptors),
            Message::Pause => self.set_frozen(Frozen::Yes),
            Message::Resume => self.set_frozen(Frozen::No),
            Message::Network(change) => self.change_network(change),
            Message::Update(change) => self.update(change),
            _ => Err(ContainerError::Supervise(io::Error::other(
                "it knows no such request: another version of rbuild started it",
            ))),
        };
        match done {
            Ok(()) => Message::Done,
            Err(error) => Message::Refused {
                status: error.exit_code(),
                why: crate::error::with_causes(&error),
            },
        }
    }

    /// Starts the keeper of a process that joins the container; who asked for it holds the other end of its channel.
    fn enter(&mut self, descriptors: Vec<OwnedFd>) -> Result<(), ContainerError> {
        let failed = ContainerError::Supervise;
        let channel = descriptors.into_iter().next();
        let channel = channel.ok_or_else(|| failed(io::Error::other("a channel is missing")))?;
        let Life::Running(run) = &self.life else {
            return Err(ContainerError::NotRunning {
                action: "exec in",
                id: self.id.short().to_owned(),
            });
        };
        let child = start_keeper_inside(&run.sandbox, &self.cgroup.directories(), channel)?;
        let end = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())
            .map_err(|error| failed(error.into()))?;
        self.helpers.push(Helper { child, end });
        Ok(())
    }

    /// The container's root directory, with all that is mounted there.
    pub(super) fn root(&self) -> io::Result<OwnedFd> {
        let Life::Running(run) = &self.life else {
            return Err(io::ErrorKind::NotFound.into());
        };
        let path = format!("/proc/{}/root/", run.sandbox.pid());
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::open(path, flags, Mode::empty())?;
        if !run.sandbox.has_its_number() {
            return Err(io::ErrorKind::NotFound.into());
        }
        Ok(root)
    }

    /// What cannot be applied changes nothing that is kept; the kernel then has some of it.
    fn update(&mut self, change: &Update) -> Result<(), ContainerError> {
        let options = change.apply(&self.config.options)?;
        if matches!(self.life, Life::Running(_)) {
            self.cgroup.limit(&options.limits)?;
        }
        update::keep(&Store::open(&self.root)?, &self.id, change)?;
        self.config.options = options;
        Ok(())
    }

    fn signal(&mut self, number: i32, intent: Intent) -> Result<(), ContainerError> {
        if intent == Intent::End || number == KILL {
            self.ending = true;
            // What stands still does not end either.
            let _ = self.cgroup.thaw();
        }
        match &self.life {
            Life::Running(running) => Ok(running.sandbox.killer().signal(number)?),
            // Between two runs there is nobody to tell, and with the wish to end there will be no other.
            Life::Resting { .. } | Life::Over => Ok(()),
        }
    }
}

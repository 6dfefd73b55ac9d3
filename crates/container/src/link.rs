//! Packets between a container's supervisor and the commands that deal with it.
//!
//! ```text
//! command ─ Start + descriptors ─▶ supervisor     over the socket that it was born with
//!         ─ Request ─────────────▶                over containers/<id>/control
//!         ◀──── Started, Done, Refused, Exit ─
//!         ◀──── output ── ── input ──────────▶    bytes as they are, behind one byte that tells whose they are
//! ```
//!
//! Both ends are the same program, or two versions of it side by side: messages may be added, not changed.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_sandbox::TerminalSize;
use rbuild_sys::Packets;
pub(crate) use rbuild_sys::Room;
use serde::{Deserialize, Serialize};

use crate::network_change::NetworkChange;
use crate::update::Update;

/// One read of output or input; with its first byte it fits a packet.
pub(crate) const CHUNK_BYTES: usize = 32 << 10;
/// The socket in a container's directory.
const DOOR: &str = "control";

/// Which of a container's outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stream {
    /// Its standard output, or its terminal.
    Stdout,
    /// Its standard error.
    Stderr,
}

/// What goes over a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// The container wrote this.
    Output(Stream, Vec<u8>),
    /// The user typed this.
    Input(Vec<u8>),
    /// All else.
    Message(Message),
}

/// Words in both directions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Message {
    /// To a new supervisor.
    Start(Start),
    /// To a supervisor: from here on this link gets the output, and its input is the container's.
    Attach,
    /// To a supervisor: tell me when it has ended.
    Watch,
    /// To a supervisor: pass this signal on.
    Signal { number: i32, intent: Intent },
    /// To a supervisor: the terminal's window has another size.
    Resize(TerminalSize),
    /// To a supervisor: freeze it.
    Pause,
    /// To a supervisor: let it go on.
    Resume,
    /// To a supervisor: the container's networks change.
    Network(NetworkChange),
    /// To a supervisor: other limits, another restart policy.
    Update(Update),
    /// To a supervisor: start a helper in the container's namespaces; its channel comes along.
    Enter,
    /// To a supervisor: hand out the container's root directory.
    Root,
    /// In a session: the user's input has ended.
    InputEnd,
    /// In a session: the user leaves, the container goes on.
    Leave,
    /// It runs.
    Started,
    /// It was done.
    Done,
    /// It was not done.
    Refused { status: u8, why: String },
    /// It has ended with this status.
    Exit(i32),
}

/// What a signal is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Intent {
    /// The container is told something.
    Tell,
    /// The container is to end, and not to be started again.
    End,
}

/// How a container is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Start {
    /// The directories of its layers, bottom first.
    pub(crate) layers: Vec<PathBuf>,
    /// The size of its terminal, if it gets one.
    pub(crate) size: Option<TerminalSize>,
    /// What this link is for after the start.
    pub(crate) tie: Tie,
    /// Which of the three streams come along as descriptors, to be the container's own.
    pub(crate) direct: [bool; 3],
}

/// How a container depends on the command that started it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Tie {
    /// Not at all: the link ends when it runs.
    Detached,
    /// The command sees its streams; the container outlives it.
    Attached,
}

/// One end of a connection.
#[derive(Debug)]
pub(crate) struct Link(Packets);

impl Link {
    /// Two connected ends, both closed by exec.
    pub(crate) fn pair() -> io::Result<(Self, Self)> {
        let (left, right) = Packets::pair()?;
        Ok((Self(left), Self(right)))
    }

    pub(crate) fn from_fd(fd: OwnedFd) -> Self {
        Self(fd.into())
    }

    pub(crate) fn into_fd(self) -> OwnedFd {
        self.0.into()
    }

    /// A link to the supervisor of the container in `directory`; `None` if it has none.
    pub(crate) fn connect(directory: &Path) -> io::Result<Option<Self>> {
        Ok(Packets::connect(directory, DOOR)?.map(Self))
    }

    pub(crate) fn tell(&self, message: &Message) -> io::Result<()> {
        self.send(&Packet::Message(message.clone()), &[], Room::Wait)
    }

    pub(crate) fn send(
        &self,
        packet: &Packet,
        descriptors: &[BorrowedFd<'_>],
        room: Room,
    ) -> io::Result<()> {
        let (tag, bytes) = match packet {
            Packet::Output(Stream::Stdout, bytes) => (b'o', bytes),
            Packet::Output(Stream::Stderr, bytes) => (b'e', bytes),
            Packet::Input(bytes) => (b'i', bytes),
            Packet::Message(message) => (b'm', &serde_json::to_vec(message)?),
        };
        self.0.send(&[&[tag], bytes], descriptors, room)
    }

    /// The next packet with its descriptors; `None` when the other end is gone.
    pub(crate) fn receive(&self) -> io::Result<Option<(Packet, Vec<OwnedFd>)>> {
        let Some((bytes, descriptors)) = self.0.receive()? else {
            return Ok(None);
        };
        let Some((tag, rest)) = bytes.split_first() else {
            return Ok(None);
        };
        let packet = match tag {
            b'o' => Packet::Output(Stream::Stdout, rest.to_vec()),
            b'e' => Packet::Output(Stream::Stderr, rest.to_vec()),
            b'i' => Packet::Input(rest.to_vec()),
            _ => Packet::Message(serde_json::from_slice(rest)?),
        };
        Ok(Some((packet, descriptors)))
    }

    /// The next message; output that comes before it is of no interest.
    pub(crate) fn hear(&self) -> io::Result<Option<Message>> {
        loop {
            match self.receive()? {
                None => return Ok(None),
                Some((Packet::Message(message), _)) => return Ok(Some(message)),
                Some(_) => {}
            }
        }
    }
}

impl AsFd for Link {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Where a supervisor lets commands in.
#[derive(Debug)]
pub(crate) struct Door(rbuild_sys::Door);

impl Door {
    /// Opens the door of the container in `directory`, in the place of one that a dead supervisor left.
    pub(crate) fn open(directory: &Path) -> io::Result<Self> {
        rbuild_sys::Door::open(directory, DOOR).map(Self)
    }

    /// Lets the next command in.
    pub(crate) fn accept(&self) -> io::Result<Link> {
        self.0.accept().map(Link)
    }
}

impl AsFd for Door {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Whoever comes from here on finds no supervisor.
pub(crate) fn remove_door(directory: &Path) -> io::Result<()> {
    rbuild_sys::Door::remove(directory, DOOR)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packets_come_as_they_went() {
        let (one, other) = Link::pair().expect("sockets");
        for packet in [
            Packet::Output(Stream::Stdout, b"out".to_vec()),
            Packet::Output(Stream::Stderr, vec![0; CHUNK_BYTES]),
            Packet::Input(Vec::new()),
            Packet::Message(Message::Exit(7)),
        ] {
            one.send(&packet, &[], Room::Wait).expect("there is room");
            let (received, _) = other.receive().expect("it is whole").expect("it is there");
            assert_eq!(received, packet);
        }
        drop(one);
        assert!(other.receive().expect("an end").is_none());
    }

    #[test]
    fn the_last_words_are_heard_although_the_speaker_did_not_listen() {
        let (one, other) = Link::pair().expect("sockets");
        one.tell(&Message::InputEnd).expect("there is room");
        other.tell(&Message::Exit(3)).expect("there is room");
        drop(other);
        assert_eq!(one.hear().expect("whole"), Some(Message::Exit(3)));
        assert_eq!(one.hear().expect("an end"), None);
    }

    #[test]
    fn a_door_in_a_deep_directory_can_be_found() {
        let place = tempfile::tempdir().expect("a directory");
        let deep = place.path().join("a".repeat(100)).join("b".repeat(100));
        std::fs::create_dir_all(&deep).expect("new directories");
        assert!(Link::connect(&deep).expect("no error").is_none());
        let door = Door::open(&deep).expect("a door");
        let command = Link::connect(&deep).expect("no error").expect("it is open");
        let supervisor = door.accept().expect("a visitor");
        command.tell(&Message::Watch).expect("there is room");
        assert_eq!(supervisor.hear().expect("whole"), Some(Message::Watch));
        drop(door);
        assert!(Link::connect(&deep).expect("no error").is_none());
        Door::open(&deep).expect("what was left is no obstacle");
    }
}

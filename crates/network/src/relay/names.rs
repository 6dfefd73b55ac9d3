//! The name server of one container.

use std::fs;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{SocketType, listen};

use super::dns::{ADDRESS, ADDRESS_6, Code, Question};
use super::listen::bind_to;
use super::sockets::{Inside, connect_outside};
use super::{Key, NamesTask, Part, RESOLVER, Side};
use crate::NetworkError;
use crate::members::{self, Member, names};

/// The port of name servers.
pub(super) const PORT: u16 = 53;
/// Questions that are being asked elsewhere. One more takes the place of the oldest.
const MOST: usize = 128;
/// How long a server has to answer before the next one is asked.
const PATIENCE: Duration = Duration::from_secs(3);
/// The largest datagram.
const DATAGRAM_BYTES: usize = 64 << 10;
/// Questions in one go before others have their turn.
const QUESTIONS: usize = 64;
/// Connections that may wait to be taken.
const BACKLOG: i32 = 16;

/// What it answers from, and whom it asks.
pub(super) struct Names {
    socket: UdpSocket,
    directories: Vec<PathBuf>,
    servers: Vec<IpAddr>,
    pending: Vec<Pending>,
    datagram: Vec<u8>,
}

/// A question that is asked of somebody else.
struct Pending {
    client: SocketAddr,
    question: Question,
    message: Vec<u8>,
    socket: UdpSocket,
    /// Which server is being asked.
    server: usize,
    since: Instant,
    done: bool,
}

impl Names {
    /// Listens in the container's namespace; over connections, too.
    pub(super) fn new(
        task: NamesTask,
        inside: &Inside,
    ) -> Result<(Self, TcpListener), NetworkError> {
        let address = SocketAddr::from((RESOLVER, PORT));
        let bound = |kind| bind_to(inside.socket(address.ip(), kind)?, kind, address);
        let listening = || {
            let socket = UdpSocket::from(bound(SocketType::DGRAM)?);
            let stream = bound(SocketType::STREAM)?;
            listen(&stream, BACKLOG)?;
            Ok::<_, io::Error>((socket, TcpListener::from(stream)))
        };
        let (socket, listener) =
            listening().map_err(NetworkError::step("listen for questions for names"))?;
        let names = Self {
            socket,
            directories: task.members,
            servers: task.servers,
            pending: Vec::new(),
            datagram: vec![0; DATAGRAM_BYTES],
        };
        Ok((names, listener))
    }

    /// Other networks' members, other servers.
    pub(super) fn answer_from(&mut self, task: NamesTask) {
        self.directories = task.members;
        self.servers = task.servers;
    }

    pub(super) fn is_waiting(&self) -> bool {
        !self.pending.is_empty()
    }

    pub(super) fn watch<'a>(&'a self, keys: &mut Vec<Key>, watched: &mut Vec<PollFd<'a>>) {
        keys.push((Part::Names, 0, Side::Near));
        watched.push(PollFd::new(&self.socket, PollFlags::IN));
        for (index, pending) in self.pending.iter().enumerate() {
            keys.push((Part::Names, index, Side::Far));
            watched.push(PollFd::new(&pending.socket, PollFlags::IN));
        }
    }

    pub(super) fn serve(&mut self, index: usize, side: Side) {
        match side {
            Side::Near => self.hear(),
            Side::Far => self.answered(index),
        }
    }

    /// The container asks.
    fn hear(&mut self) {
        for _ in 0..QUESTIONS {
            let Ok((length, client)) = self.socket.recv_from(&mut self.datagram) else {
                return;
            };
            let message = self.datagram[..length].to_vec();
            let Some(question) = Question::parse(&message) else {
                continue;
            };
            let answer = match self.known(&question) {
                Some(answer) => Some(answer),
                None => self.ask(client, question, message),
            };
            if let Some(answer) = answer {
                // Who does not take it asks again.
                let _ = self.socket.send_to(&answer, client);
            }
        }
    }

    /// The answer that the networks' members give.
    fn known(&self, question: &Question) -> Option<Vec<u8>> {
        if !question.is_internet() {
            return None;
        }
        let members = self.members();
        if let Some(address) = question.reverse() {
            let member = members.iter().find(|member| member.address == address)?;
            return Some(question.pointer(&member.name));
        }
        if !matches!(question.kind, ADDRESS | ADDRESS_6) {
            return None;
        }
        let known = names(&members);
        let addresses = known.get(&question.name)?;
        Some(match question.kind {
            ADDRESS => question.addresses(addresses),
            // It exists, without such an address.
            _ => question.nothing(Code::Fine),
        })
    }

    fn members(&self) -> Vec<Member> {
        let mut all = Vec::new();
        for directory in &self.directories {
            let entries = fs::read_dir(directory).into_iter().flatten().flatten();
            // One that goes just now is not known any more.
            all.extend(entries.filter_map(|entry| members::live(&entry.path()).ok().flatten()));
        }
        all
    }

    /// Asks somebody else; an answer right away if there is nobody.
    fn ask(&mut self, client: SocketAddr, question: Question, message: Vec<u8>) -> Option<Vec<u8>> {
        let Some(socket) = self.send(0, &message) else {
            return Some(question.nothing(Code::ServerFailure));
        };
        let pending = Pending {
            client,
            question,
            message,
            socket,
            server: 0,
            since: Instant::now(),
            done: false,
        };
        if self.pending.len() < MOST {
            self.pending.push(pending);
        } else if let Some(oldest) = self.pending.iter_mut().min_by_key(|one| one.since) {
            *oldest = pending;
        }
        None
    }

    fn send(&self, server: usize, message: &[u8]) -> Option<UdpSocket> {
        let address = SocketAddr::new(*self.servers.get(server)?, PORT);
        let socket = UdpSocket::from(connect_outside(SocketType::DGRAM, address).ok()?);
        // One that cannot be sent to does not answer, either.
        let _ = socket.send(message);
        Some(socket)
    }

    fn answered(&mut self, index: usize) {
        let Some(pending) = self.pending.get_mut(index) else {
            return;
        };
        // An error is a server that is not there: its time will be over.
        let Ok(length) = pending.socket.recv(&mut self.datagram) else {
            pending.since = pending.since.checked_sub(PATIENCE).unwrap_or(pending.since);
            return;
        };
        let answer = &self.datagram[..length];
        if pending.question.is_answered_by(answer) {
            let _ = self.socket.send_to(answer, pending.client);
            pending.done = true;
        }
    }

    /// Asks the next server where one was silent, and gives up after the last.
    pub(super) fn settle(&mut self, now: Instant) {
        self.pending.retain(|one| !one.done);
        for index in 0..self.pending.len() {
            let one = &self.pending[index];
            if now.duration_since(one.since) < PATIENCE {
                continue;
            }
            let next = one.server + 1;
            if let Some(socket) = self.send(next, &one.message) {
                let one = &mut self.pending[index];
                (one.socket, one.server, one.since) = (socket, next, now);
            } else {
                let answer = one.question.nothing(Code::ServerFailure);
                // Who does not take it asks again.
                let _ = self.socket.send_to(&answer, one.client);
                self.pending[index].done = true;
            }
        }
        self.pending.retain(|one| !one.done);
    }
}

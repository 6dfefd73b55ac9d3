//! Connections handed on.

use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};

use rustix::event::{PollFd, PollFlags};
use rustix::net::{SocketType, sockopt};

use super::sockets::{Inside, connect_outside};
use super::{Key, Part, Side};

/// Connections at a time. More wait in the kernel until one of these ends.
const MOST: usize = 1024;
/// One read. What the other side does not take of it is kept; meanwhile nothing more is read.
const CHUNK_BYTES: usize = 64 << 10;
/// Connections taken in one go before others have their turn.
const ACCEPTS: usize = 64;

/// Where a listener's connections lead.
enum Target {
    /// To this port of the container.
    Container(u16),
    /// From the container to the host's name server.
    NameServer,
}

/// All listeners and their connections.
pub(super) struct Connections {
    inside: Inside,
    container: Option<Ipv4Addr>,
    server: Option<SocketAddr>,
    listeners: Vec<(TcpListener, Target)>,
    all: Vec<Connection>,
    chunk: Vec<u8>,
}

struct Connection {
    near: TcpStream,
    far: TcpStream,
    /// The far side has not answered yet.
    connecting: bool,
    /// From near to far.
    there: Half,
    back: Half,
    broken: bool,
}

/// One direction.
#[derive(Default)]
struct Half {
    /// What was read and not taken yet.
    pending: Vec<u8>,
    ended: bool,
    /// The end was passed on.
    closed: bool,
}

impl Connections {
    pub(super) fn new(inside: Inside) -> Self {
        Self {
            inside,
            container: None,
            server: None,
            listeners: Vec::new(),
            all: Vec::new(),
            chunk: vec![0; CHUNK_BYTES],
        }
    }

    pub(super) fn listen(&mut self, listener: TcpListener, port: u16) {
        self.listeners.push((listener, Target::Container(port)));
    }

    /// `listener` is where the container's questions for names come in.
    pub(super) fn listen_inside(&mut self, listener: TcpListener) {
        self.listeners.push((listener, Target::NameServer));
    }

    /// The container's address from here on. Connections that there are end when it is gone.
    pub(super) fn lead_to(&mut self, container: Option<Ipv4Addr>) {
        self.container = container;
    }

    /// Who is asked for names from here on.
    pub(super) fn ask(&mut self, server: Option<SocketAddr>) {
        self.server = server;
    }

    pub(super) fn watch<'a>(&'a self, keys: &mut Vec<Key>, watched: &mut Vec<PollFd<'a>>) {
        if self.all.len() < MOST {
            for (index, (listener, _)) in self.listeners.iter().enumerate() {
                keys.push((Part::Listener, index, Side::Near));
                watched.push(PollFd::new(listener, PollFlags::IN));
            }
        }
        for (index, one) in self.all.iter().enumerate() {
            for (side, socket) in [(Side::Near, &one.near), (Side::Far, &one.far)] {
                let flags = one.interest(side);
                if !flags.is_empty() {
                    keys.push((Part::Connection, index, side));
                    watched.push(PollFd::new(socket, flags));
                }
            }
        }
    }

    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS {
            if self.all.len() >= MOST {
                return;
            }
            let (listener, target) = &self.listeners[index];
            // Who is gone again before being let in is no loss.
            let Ok((near, _)) = listener.accept() else {
                return;
            };
            let far = match (target, self.container, self.server) {
                (Target::Container(port), Some(container), _) => {
                    let to = SocketAddr::from((container, *port));
                    self.inside.connect(SocketType::STREAM, to)
                }
                (Target::NameServer, _, Some(server)) => {
                    connect_outside(SocketType::STREAM, server)
                }
                _ => Err(io::ErrorKind::NotConnected.into()),
            };
            // Nobody listens there: the caller sees its connection closed.
            if let Ok(connection) = far.and_then(|far| Connection::new(near, TcpStream::from(far)))
            {
                self.all.push(connection);
            }
        }
    }

    pub(super) fn serve(&mut self, index: usize, side: Side, flags: PollFlags) {
        let chunk = &mut self.chunk;
        if let Some(one) = self.all.get_mut(index)
            && one.serve(side, flags, chunk).is_err()
        {
            one.broken = true;
        }
    }

    pub(super) fn settle(&mut self) {
        self.all.retain(|one| !one.is_over());
    }
}

impl Connection {
    fn new(near: TcpStream, far: TcpStream) -> io::Result<Self> {
        near.set_nonblocking(true)?;
        for socket in [&near, &far] {
            socket.set_nodelay(true)?;
            // One whose peer has vanished is noticed some day.
            sockopt::set_socket_keepalive(socket, true)?;
        }
        Ok(Self {
            near,
            far,
            connecting: true,
            there: Half::default(),
            back: Half::default(),
            broken: false,
        })
    }

    fn is_over(&self) -> bool {
        self.broken || (self.there.closed && self.back.closed)
    }

    /// What is awaited of a side.
    fn interest(&self, side: Side) -> PollFlags {
        let (from, to) = match side {
            Side::Near => (&self.there, &self.back),
            Side::Far => (&self.back, &self.there),
        };
        let mut flags = PollFlags::empty();
        if self.connecting {
            if side == Side::Far {
                flags |= PollFlags::OUT;
            }
            return flags;
        }
        if from.pending.is_empty() && !from.ended {
            flags |= PollFlags::IN;
        }
        if !to.pending.is_empty() {
            flags |= PollFlags::OUT;
        }
        flags
    }

    fn serve(&mut self, side: Side, flags: PollFlags, chunk: &mut [u8]) -> io::Result<()> {
        if self.connecting {
            sockopt::socket_error(&self.far)??;
            self.connecting = false;
            return Ok(());
        }
        if flags.contains(PollFlags::ERR) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        let (own, other, from, to) = match side {
            Side::Near => (&self.near, &self.far, &mut self.there, &mut self.back),
            Side::Far => (&self.far, &self.near, &mut self.back, &mut self.there),
        };
        if flags.contains(PollFlags::OUT) {
            to.flush(own)?;
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP) && from.pending.is_empty() {
            from.fill(own, other, chunk)?;
        }
        Ok(())
    }
}

impl Half {
    /// Reads what is there, and hands it on as far as there is room.
    fn fill(&mut self, mut own: &TcpStream, other: &TcpStream, chunk: &mut [u8]) -> io::Result<()> {
        if self.ended {
            return Ok(());
        }
        match own.read(chunk) {
            Ok(0) => self.ended = true,
            Ok(count) => {
                let mut rest = &chunk[..count];
                write_some(other, &mut rest)?;
                self.pending.extend_from_slice(rest);
            }
            Err(error) if is_temporary(&error) => {}
            Err(error) => return Err(error),
        }
        self.flush(other)
    }

    /// Writes what there is room for, and the end after all of it.
    fn flush(&mut self, to: &TcpStream) -> io::Result<()> {
        let mut rest = self.pending.as_slice();
        write_some(to, &mut rest)?;
        let written = self.pending.len() - rest.len();
        self.pending.drain(..written);
        if self.pending.is_empty() {
            // Idle connections hold no memory.
            self.pending = Vec::new();
            if self.ended && !self.closed {
                self.closed = true;
                // It may be closed already.
                let _ = to.shutdown(Shutdown::Write);
            }
        }
        Ok(())
    }
}

fn write_some(mut to: &TcpStream, rest: &mut &[u8]) -> io::Result<()> {
    while !rest.is_empty() {
        match to.write(rest) {
            Ok(count) => *rest = &rest[count..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn is_temporary(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

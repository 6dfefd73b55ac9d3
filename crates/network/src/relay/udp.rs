//! Datagrams handed on. Who sends to a published port has a flow, with a socket of its own, so that answers find the way back.

use std::collections::HashMap;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags};
use rustix::net::SocketType;

use super::sockets::Inside;
use super::{Key, Part, Side};

/// Flows at a time; with more, the one that was silent the longest goes.
const MOST: usize = 512;
/// A flow ends after this silence: docker's time.
const IDLE: Duration = Duration::from_secs(90);
/// The largest datagram.
const DATAGRAM_BYTES: usize = 64 << 10;
/// Datagrams in one go before others have their turn.
const DATAGRAMS: usize = 64;

/// All ports for datagrams, and who sends to them.
pub(super) struct Flows {
    inside: Inside,
    container: Option<Ipv4Addr>,
    ports: Vec<(UdpSocket, u16)>,
    all: Vec<Flow>,
    /// Which flow somebody's datagrams to a port belong to.
    index: HashMap<(usize, SocketAddr), usize>,
    datagram: Vec<u8>,
}

struct Flow {
    port: usize,
    client: SocketAddr,
    socket: UdpSocket,
    last: Instant,
}

impl Flows {
    pub(super) fn new(inside: Inside) -> Self {
        Self {
            inside,
            container: None,
            ports: Vec::new(),
            all: Vec::new(),
            index: HashMap::new(),
            datagram: Vec::new(),
        }
    }

    pub(super) fn listen(&mut self, socket: UdpSocket, port: u16) {
        self.datagram.resize(DATAGRAM_BYTES, 0);
        self.ports.push((socket, port));
    }

    /// The container's address from here on.
    pub(super) fn lead_to(&mut self, container: Option<Ipv4Addr>) {
        if self.container != container {
            // Who sends again begins anew.
            self.all.clear();
            self.index.clear();
        }
        self.container = container;
    }

    pub(super) fn has_any(&self) -> bool {
        !self.all.is_empty()
    }

    pub(super) fn watch<'a>(&'a self, keys: &mut Vec<Key>, watched: &mut Vec<PollFd<'a>>) {
        for (index, (socket, _)) in self.ports.iter().enumerate() {
            keys.push((Part::Datagrams, index, Side::Near));
            watched.push(PollFd::new(socket, PollFlags::IN));
        }
        for (index, flow) in self.all.iter().enumerate() {
            keys.push((Part::Flow, index, Side::Far));
            watched.push(PollFd::new(&flow.socket, PollFlags::IN));
        }
    }

    /// Something came to a port. What cannot be handed on is lost, as datagrams may be.
    pub(super) fn receive(&mut self, port: usize) {
        for _ in 0..DATAGRAMS {
            let Ok((length, client)) = self.ports[port].0.recv_from(&mut self.datagram) else {
                return;
            };
            let Some(flow) = self.flow(port, client) else {
                continue;
            };
            flow.last = Instant::now();
            let socket = flow.socket.try_clone();
            if let Ok(socket) = socket {
                let _ = socket.send(&self.datagram[..length]);
            }
        }
    }

    fn flow(&mut self, port: usize, client: SocketAddr) -> Option<&mut Flow> {
        if let Some(known) = self.index.get(&(port, client)) {
            return self.all.get_mut(*known);
        }
        if self.all.len() >= MOST {
            let oldest = self
                .all
                .iter()
                .enumerate()
                .min_by_key(|(_, flow)| flow.last);
            let oldest = oldest.map(|(index, _)| index)?;
            // In the same place: events that are still to be dealt with are about places.
            let new = self.begin(port, client)?;
            let old = std::mem::replace(&mut self.all[oldest], new);
            self.index.remove(&(old.port, old.client));
            self.index.insert((port, client), oldest);
            return self.all.get_mut(oldest);
        }
        let new = self.begin(port, client)?;
        self.index.insert((port, client), self.all.len());
        self.all.push(new);
        self.all.last_mut()
    }

    fn begin(&self, port: usize, client: SocketAddr) -> Option<Flow> {
        let to = SocketAddr::from((self.container?, self.ports[port].1));
        let socket = self.inside.connect(SocketType::DGRAM, to).ok()?;
        Some(Flow {
            port,
            client,
            socket: UdpSocket::from(socket),
            last: Instant::now(),
        })
    }

    /// The container answered.
    pub(super) fn answer(&mut self, index: usize) {
        for _ in 0..DATAGRAMS {
            let Some(flow) = self.all.get_mut(index) else {
                return;
            };
            // An error is a port where nobody listens yet.
            let Ok(length) = flow.socket.recv(&mut self.datagram) else {
                return;
            };
            flow.last = Instant::now();
            let _ = self.ports[flow.port]
                .0
                .send_to(&self.datagram[..length], flow.client);
        }
    }

    pub(super) fn settle(&mut self, now: Instant) {
        let before = self.all.len();
        self.all.retain(|flow| now.duration_since(flow.last) < IDLE);
        if self.all.len() == before {
            return;
        }
        let places = self.all.iter().enumerate();
        self.index = places
            .map(|(index, flow)| ((flow.port, flow.client), index))
            .collect();
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    #[test]
    #[allow(clippy::print_stderr, reason = "a test that is skipped says so")]
    fn answers_go_back_to_whoever_asked() {
        let own = std::fs::File::open("/proc/thread-self/ns/net").expect("it is ours");
        let Ok(inside) = Inside::new(OwnedFd::from(own)) else {
            eprintln!("skipped: only root may enter a network namespace");
            return;
        };
        let bind = || UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let (server, port, clients) = (bind(), bind(), [bind(), bind()]);
        let at = port.local_addr().expect("bound");
        let mut flows = Flows::new(inside);
        flows.lead_to(Some(Ipv4Addr::LOCALHOST));
        flows.listen(port, server.local_addr().expect("bound").port());
        let mut bytes = [0; 16];
        for client in &clients {
            client.send_to(b"ask", at).expect("sent");
            flows.ports[0].0.set_nonblocking(false).expect("ours");
            let (length, from) = {
                // One datagram at a time: the next look would wait.
                flows.ports[0].0.peek(&mut bytes).expect("it came");
                flows.ports[0].0.set_nonblocking(true).expect("ours");
                flows.receive(0);
                server.recv_from(&mut bytes).expect("handed on")
            };
            assert_eq!(&bytes[..length], b"ask");
            server.send_to(b"answer", from).expect("sent");
        }
        assert_eq!(flows.all.len(), 2);
        for (index, client) in clients.iter().enumerate() {
            flows.all[index]
                .socket
                .set_nonblocking(false)
                .expect("ours");
            flows.all[index].socket.peek(&mut bytes).expect("it came");
            flows.all[index].socket.set_nonblocking(true).expect("ours");
            flows.answer(index);
            let (length, from) = client.recv_from(&mut bytes).expect("handed on");
            assert_eq!((&bytes[..length], from), (&b"answer"[..], at));
        }
        flows.settle(Instant::now() + IDLE);
        assert!(flows.all.is_empty() && flows.index.is_empty());
    }
}

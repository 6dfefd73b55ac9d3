//! The process that stands between a container's network and the host's: it listens on published ports and hands on what
//! comes, and answers the container's questions for names.
//!
//! ```text
//!   host ── 0.0.0.0:8080 ─▶ relay ─ socket of the container's namespace ─▶ 172.18.0.2:80
//!   container ── 127.0.0.11:53 ─▶ relay ─ other containers' names: answered
//!                                        └ all else: asked of the host's name servers, from the host
//! ```
//!
//! The same program, started again with a hidden argument by a container's supervisor; it ends with that. Its standard input
//! is their connection, its standard output the namespace. Whatever comes, it holds a bounded number of sockets and
//! little memory: what it cannot take waits in the kernel, or, as datagrams may, is lost. It has no capabilities.

mod dns;
mod listen;
mod names;
mod sockets;
mod tcp;
mod udp;

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};

use self::names::Names;
use self::sockets::Inside;
use self::tcp::Connections;
use self::udp::Flows;
use crate::{NetworkError, Publish, Published};

/// What makes a start of this program a relay; no user types it.
const ARGUMENT: &str = "--rbuild-network-relay";
/// Where containers ask for names: docker's address.
pub(crate) const RESOLVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
/// Looks at what has been idle for too long at least so often, while there is such.
const TICK: Duration = Duration::from_secs(1);

/// What a relay does.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Task {
    pub(crate) ports: Vec<Publish>,
    pub(crate) place: Place,
}

/// What of a relay's task changes when its container comes to networks or leaves them.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Place {
    /// Where the container listens; on no network, nobody reaches it.
    pub(crate) target: Option<Ipv4Addr>,
    /// Once it answers questions, it does so until it ends.
    pub(crate) names: Option<NamesTask>,
}

/// How questions for names are answered.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct NamesTask {
    /// The directories with the members of the networks whose names are known.
    pub(crate) members: Vec<PathBuf>,
    /// Who is asked for all else; nobody if there is none.
    pub(crate) servers: Vec<IpAddr>,
}

impl NamesTask {
    /// Who is asked over connections.
    fn first_server(&self) -> Option<SocketAddr> {
        let first = self.servers.first()?;
        Some(SocketAddr::new(*first, names::PORT))
    }
}

/// A relay's words: to its task, and to each other place that it is told.
#[derive(Debug, Serialize, Deserialize)]
enum Answer {
    Ready(Vec<Published>),
    Taken(SocketAddr),
    Failed { action: String, why: String },
}

/// A relay that runs.
#[derive(Debug)]
pub(crate) struct Relay {
    child: Child,
    /// It ends when this is closed.
    link: Option<UnixStream>,
    pub(crate) published: Vec<Published>,
}

impl Relay {
    /// Starts `program`, which is this very program, and waits until it listens.
    pub(crate) fn start(
        program: &Path,
        namespace: &OwnedFd,
        task: &Task,
    ) -> Result<Self, NetworkError> {
        use std::os::unix::process::CommandExt as _;
        let failed = || NetworkError::step("start the network's relay");
        let (ours, theirs) = UnixStream::pair().map_err(failed())?;
        let child = Command::new(program)
            .arg0("rbuild-network")
            .arg(ARGUMENT)
            .env_clear()
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(namespace.try_clone().map_err(failed())?))
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed())?;
        let mut relay = Self {
            child,
            link: Some(ours),
            published: Vec::new(),
        };
        match relay.instruct(task).map_err(failed())? {
            Answer::Ready(published) => {
                relay.published = published;
                Ok(relay)
            }
            other => Err(other.into_error()),
        }
    }

    /// Its container is somewhere else from here on.
    pub(crate) fn move_to(&mut self, place: &Place) -> Result<(), NetworkError> {
        let answer = self.instruct(place);
        match answer.map_err(NetworkError::step("instruct the network's relay"))? {
            Answer::Ready(_) => Ok(()),
            other => Err(other.into_error()),
        }
    }

    fn instruct(&mut self, words: &impl Serialize) -> io::Result<Answer> {
        let Some(link) = &mut self.link else {
            return Err(io::ErrorKind::NotConnected.into());
        };
        let mut text = serde_json::to_vec(words)?;
        text.push(b'\n');
        link.write_all(&text)?;
        let mut answer = String::new();
        BufReader::new(link).read_line(&mut answer)?;
        Ok(serde_json::from_str(&answer)?)
    }
}

impl Answer {
    fn into_error(self) -> NetworkError {
        match self {
            Self::Taken(address) => NetworkError::PortTaken { address },
            Self::Failed { action, why } => NetworkError::step(action)(io::Error::other(why)),
            Self::Ready(_) => NetworkError::step("understand the network's relay")(
                io::Error::from(io::ErrorKind::InvalidData),
            ),
        }
    }
}

impl Drop for Relay {
    /// Its ports are free afterwards.
    fn drop(&mut self) {
        drop(self.link.take());
        // It ends by itself then.
        let _ = self.child.wait();
    }
}

/// Becomes a relay and never returns, if this process was started as one; else does nothing. Must come before any thread.
pub(crate) fn relay_if_asked() {
    if std::env::args_os()
        .nth(1)
        .is_none_or(|first| first != ARGUMENT)
    {
        return;
    }
    // Whoever started it hears what went wrong, or is gone.
    let done = run();
    std::process::exit(i32::from(done.is_err()));
}

fn run() -> io::Result<()> {
    let link = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?);
    let namespace = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
    let null = rustix::fs::open(
        "/dev/null",
        rustix::fs::OFlags::RDWR | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"rbuild-network");
    let mut words = String::new();
    BufReader::new(&link).read_line(&mut words)?;
    let task: Task = serde_json::from_str(&words)?;
    let (answer, server) = match Server::new(task, namespace) {
        Ok((server, published)) => (Answer::Ready(published), Some(server)),
        Err(NetworkError::PortTaken { address }) => (Answer::Taken(address), None),
        Err(error) => (told(&error), None),
    };
    say(&link, &answer)?;
    let Some(mut server) = server else {
        return Ok(());
    };
    sockets::give_up_capabilities()?;
    rbuild_sys::release_program_text();
    while server.turn(&link)? {}
    Ok(())
}

fn say(mut link: &UnixStream, answer: &Answer) -> io::Result<()> {
    let mut text = serde_json::to_vec(answer)?;
    text.push(b'\n');
    link.write_all(&text)
}

fn told(error: &NetworkError) -> Answer {
    let why = std::error::Error::source(error);
    Answer::Failed {
        action: error.to_string(),
        why: why.map_or_else(String::new, ToString::to_string),
    }
}

/// What happens on one of a part's sockets.
type Key = (Part, usize, Side);

/// Whose socket it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Link,
    Listener,
    Connection,
    Datagrams,
    Flow,
    Names,
}

/// Which of two sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// That of whoever began.
    Near,
    /// The other one.
    Far,
}

struct Server {
    inside: Inside,
    connections: Connections,
    flows: Flows,
    names: Option<Names>,
}

impl Server {
    fn new(task: Task, namespace: OwnedFd) -> Result<(Self, Vec<Published>), NetworkError> {
        let (ports, published) = listen::on(&task.ports)?;
        let inside = Inside::new(namespace)?;
        let mut connections = Connections::new(inside.clone());
        let mut flows = Flows::new(inside.clone());
        for (socket, port) in ports {
            match socket {
                listen::Socket::Tcp(listener) => connections.listen(listener, port),
                listen::Socket::Udp(socket) => flows.listen(socket, port),
            }
        }
        let mut server = Self {
            inside,
            connections,
            flows,
            names: None,
        };
        server.settle_at(task.place)?;
        Ok((server, published))
    }

    /// The container is here from now on.
    fn settle_at(&mut self, place: Place) -> Result<(), NetworkError> {
        self.flows.lead_to(place.target);
        self.connections.lead_to(place.target);
        let task = match (place.names, &self.names) {
            (None, None) => return Ok(()),
            (task, _) => task.unwrap_or_default(),
        };
        self.connections.ask(task.first_server());
        if let Some(names) = &mut self.names {
            names.answer_from(task);
            return Ok(());
        }
        let (names, listener) = Names::new(task, &self.inside)?;
        self.connections.listen_inside(listener);
        self.names = Some(names);
        Ok(())
    }

    /// The supervisor says where the container is now, or is gone. Whether there is more to come.
    fn hear(&mut self, link: &UnixStream) -> io::Result<bool> {
        let mut words = String::new();
        if BufReader::new(link).read_line(&mut words)? == 0 {
            return Ok(false);
        }
        let moved = self.settle_at(serde_json::from_str(&words)?);
        let answer = moved.map_or_else(|error| told(&error), |()| Answer::Ready(Vec::new()));
        say(link, &answer)?;
        Ok(true)
    }

    /// Waits for something to happen, and deals with it. Whether there is more to come.
    fn turn(&mut self, link: &UnixStream) -> io::Result<bool> {
        for (key, flags) in self.events(link)? {
            let (part, index, side) = key;
            match part {
                Part::Link if self.hear(link)? => {}
                Part::Link => return Ok(false),
                Part::Listener => self.connections.accept(index),
                Part::Connection => self.connections.serve(index, side, flags),
                Part::Datagrams => self.flows.receive(index),
                Part::Flow => self.flows.answer(index),
                Part::Names => {
                    if let Some(names) = &mut self.names {
                        names.serve(index, side);
                    }
                }
            }
        }
        let now = Instant::now();
        self.connections.settle();
        self.flows.settle(now);
        if let Some(names) = &mut self.names {
            names.settle(now);
        }
        Ok(true)
    }

    fn events(&self, link: &UnixStream) -> io::Result<Vec<(Key, PollFlags)>> {
        let mut keys: Vec<Key> = vec![(Part::Link, 0, Side::Near)];
        let mut watched = vec![PollFd::new(link, PollFlags::IN)];
        self.connections.watch(&mut keys, &mut watched);
        self.flows.watch(&mut keys, &mut watched);
        if let Some(names) = &self.names {
            names.watch(&mut keys, &mut watched);
        }
        let waiting = self.flows.has_any() || self.names.as_ref().is_some_and(Names::is_waiting);
        let tick = Timespec {
            tv_sec: TICK.as_secs() as i64,
            tv_nsec: 0,
        };
        rustix::io::retry_on_intr(|| poll(&mut watched, waiting.then_some(&tick)))?;
        let flags = watched.iter().map(PollFd::revents);
        Ok(keys
            .into_iter()
            .zip(flags)
            .filter(|(_, flags)| !flags.is_empty())
            .collect())
    }
}

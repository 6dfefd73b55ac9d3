//! The process that holds a household's namespaces.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rbuild_sys::{Door, DoorFile, FIRST_AFTER_STDIO, Packets, Room, close_for_good_from};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::Serialize;

use super::way_out::WayOut;
use super::{ARGUMENT, Answer, DOOR, Greeting, LINGER, LOCK, Request};
use crate::netlink::index_of;
use crate::{NetworkError, lock, namespace};

/// The interface that leads out.
const OUTSIDE: &str = "tap0";

/// Becomes a keeper and never returns, if this process was started as one; else does nothing. Must come before any thread.
pub(crate) fn keep_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        return;
    }
    let mut next = || arguments.next();
    let (Some(directory), Some(ids), Some(file)) = (next(), next(), next()) else {
        std::process::exit(1);
    };
    let ids = ids.to_string_lossy().into_owned();
    let file = file.to_string_lossy().into_owned();
    // What whoever started us had open is none of ours.
    close_for_good_from(FIRST_AFTER_STDIO, move || {
        let kept = Keeper::new(directory.into(), ids, &file).and_then(Keeper::keep);
        std::process::exit(i32::from(kept.is_err()))
    })
}

struct Keeper {
    directory: PathBuf,
    greeting: Greeting,
    user_namespace: OwnedFd,
    door: Door,
    /// By which it is known to be ours still.
    file: DoorFile,
    /// Who is connected.
    links: Vec<Packets>,
    network: Option<Network>,
}

/// The network of all.
struct Network {
    namespace: OwnedFd,
    /// What leads out of it, or why nothing does.
    way_out: Result<WayOut, String>,
}

impl Keeper {
    /// Standard input is the door, standard output a network that was kept.
    fn new(directory: PathBuf, ids: String, file: &str) -> io::Result<Self> {
        let door = rustix::io::fcntl_dupfd_cloexec(io::stdin().as_fd(), 3)?;
        let kept = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
        let null = lock::open(Path::new("/dev/null")).map_err(io::Error::other)?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stdout(&null)?;
        std::env::set_current_dir("/")?;
        let _ = rustix::process::setsid();
        let _ = rustix::thread::set_name(c"rbuild-network");
        let user_namespace = rbuild_sys::user_namespace().map_err(io::Error::other)?;
        let network = namespace::is_one(kept.as_fd()).then(|| Network::inherit(kept));
        rbuild_sys::release_program_text();
        Ok(Self {
            directory,
            greeting: Greeting { ids },
            user_namespace,
            door: door.into(),
            file: file.parse()?,
            links: Vec::new(),
            network,
        })
    }

    /// Until nobody needs it.
    fn keep(mut self) -> io::Result<()> {
        loop {
            let (somebody, spoke) = self.wait(self.links.is_empty().then_some(LINGER))?;
            if somebody {
                self.let_in();
            }
            // From behind: those before stay where they are.
            for index in spoke.iter().rev() {
                if self.serve(*index).is_err() {
                    self.links.remove(*index);
                }
            }
            if !somebody && self.links.is_empty() && spoke.is_empty() && self.end()? {
                return Ok(());
            }
        }
    }

    /// Whether somebody is at the door, and who has something to say or is gone.
    fn wait(&self, longest: Option<Duration>) -> io::Result<(bool, Vec<usize>)> {
        let door = PollFd::new(&self.door, PollFlags::IN);
        let links = self.links.iter();
        let mut watched: Vec<PollFd<'_>> = std::iter::once(door)
            .chain(links.map(|link| PollFd::new(link, PollFlags::IN)))
            .collect();
        let longest = longest.map(|time| Timespec {
            tv_sec: time.as_secs() as i64,
            tv_nsec: i64::from(time.subsec_nanos()),
        });
        rustix::io::retry_on_intr(|| poll(&mut watched, longest.as_ref()))?;
        let happened = |one: &PollFd<'_>| !one.revents().is_empty();
        let spoke = watched[1..].iter().enumerate();
        let spoke = spoke.filter(|(_, one)| happened(one));
        Ok((
            happened(&watched[0]),
            spoke.map(|(index, _)| index).collect(),
        ))
    }

    fn let_in(&mut self) {
        // Who is gone again is no loss.
        let Ok(link) = self.door.accept() else { return };
        let user_namespace = self.user_namespace.as_fd();
        if say(&link, &self.greeting, &[user_namespace]).is_ok() {
            self.links.push(link);
        }
    }

    /// An error means that it is gone.
    fn serve(&mut self, index: usize) -> io::Result<()> {
        let gone = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (bytes, _) = self.links[index].receive()?.ok_or_else(gone)?;
        let Request::Network = serde_json::from_slice(&bytes)?;
        let network = match &mut self.network {
            Some(network) => {
                network.lead_out_again();
                network
            }
            none => match namespace::create() {
                Ok(made) => none.insert(Network::of(made)),
                Err(error) => return say(&self.links[index], &told(&error), &[]),
            },
        };
        let answer = Answer::Network {
            blocked: network.way_out.as_ref().err().cloned(),
        };
        say(&self.links[index], &answer, &[network.namespace.as_fd()])
    }

    /// Whether it could end: nobody came at the last moment.
    fn end(&self) -> io::Result<bool> {
        let _lock = lock::take(&self.directory.join(LOCK)).map_err(io::Error::other);
        let (somebody, _) = self.wait(Some(Duration::ZERO))?;
        if !somebody {
            // Its directory may be gone with the store, and another household be in its place.
            let _ = Door::remove_own(&self.directory, DOOR, self.file);
        }
        Ok(!somebody)
    }
}

impl Network {
    fn of(namespace: OwnedFd) -> Self {
        let way_out = WayOut::open(namespace.as_fd(), OUTSIDE);
        Self { namespace, way_out }
    }

    /// The namespace of a keeper who was killed: what led out of it is just ending.
    fn inherit(namespace: OwnedFd) -> Self {
        const ATTEMPTS: u32 = 200;
        const PAUSE: Duration = Duration::from_millis(5);
        for _ in 0..ATTEMPTS {
            let is_there = namespace::inside(namespace.as_fd(), || index_of(OUTSIDE));
            if is_there.is_err() {
                break;
            }
            std::thread::sleep(PAUSE);
        }
        Self::of(namespace)
    }

    /// The program may have been killed, or installed meanwhile.
    fn lead_out_again(&mut self) {
        let leads_out = self.way_out.as_mut().is_ok_and(WayOut::is_there);
        if !leads_out {
            self.way_out = WayOut::open(self.namespace.as_fd(), OUTSIDE);
        }
    }
}

fn told(error: &NetworkError) -> Answer {
    let why = std::error::Error::source(error);
    Answer::Failed {
        action: error.to_string(),
        why: why.map_or_else(String::new, ToString::to_string),
    }
}

fn say(
    link: &Packets,
    words: &impl Serialize,
    descriptors: &[std::os::fd::BorrowedFd<'_>],
) -> io::Result<()> {
    let text = serde_json::to_vec(words)?;
    link.send(&[&text], descriptors, Room::Now)
}

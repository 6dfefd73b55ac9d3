//! What commands ask of a container's supervisor: signals, the end, and to be told of it.

use std::fs::File;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::{Duration, Instant};

use rbuild_store::{Container, Store};
use rbuild_sys::same_namespace;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::cgroup::{Cgroup, Traffic, Usage};
use crate::condition::Condition;
use crate::link::{Intent, Link, Message, Packet, Room};
use crate::signals::{KILL, TERM};
use crate::{ContainerError, ContainerId, StoredConfig, signal_number};

/// Seconds between the polite signal and the other one, as Docker has it.
const STOP_SECONDS: i64 = 10;
/// How long a killed container may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);

/// Asks the supervisor of the container in `directory` for something, and gives the link on which it was done.
pub(crate) fn request(
    directory: &Path,
    id: &ContainerId,
    action: &'static str,
    message: &Message,
) -> Result<Link, ContainerError> {
    send(directory, id, action, message, &[])
}

/// As `request`, with a descriptor that goes along.
pub(crate) fn send_with(
    directory: &Path,
    id: &ContainerId,
    action: &'static str,
    message: &Message,
    descriptor: &OwnedFd,
) -> Result<(), ContainerError> {
    send(directory, id, action, message, &[descriptor.as_fd()]).map(drop)
}

/// As `request`, and gives the descriptor that comes back.
pub(crate) fn request_descriptor(
    directory: &Path,
    id: &ContainerId,
    action: &'static str,
    message: &Message,
) -> Result<OwnedFd, ContainerError> {
    let link = open(directory, id, action, message, &[])?;
    match link.receive().map_err(ContainerError::Supervise)? {
        Some((Packet::Message(Message::Done), descriptors)) => descriptors
            .into_iter()
            .next()
            .ok_or_else(|| not_running(id, action)),
        Some((Packet::Message(Message::Refused { status, why }), _)) => {
            Err(ContainerError::Told { status, why })
        }
        _ => Err(not_running(id, action)),
    }
}

/// Stops all processes of a container where they are. One that stands still already is refused.
pub fn pause(store: &Store, container: &Container) -> Result<(), ContainerError> {
    if let Condition::Paused { .. } = Condition::of(container) {
        let id = container.id.clone();
        return Err(ContainerError::AlreadyPaused { id });
    }
    tell(store, container, "pause", &Message::Pause)
}

/// Lets the processes of a container go on. One that does not stand still is refused.
pub fn resume(store: &Store, container: &Container) -> Result<(), ContainerError> {
    if let Condition::Running { .. } = Condition::of(container) {
        let id = container.id.clone();
        return Err(ContainerError::NotPaused { id });
    }
    tell(store, container, "unpause", &Message::Resume)
}

fn tell(
    store: &Store,
    container: &Container,
    action: &'static str,
    message: &Message,
) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    ask(&store.container_path(&container.id), &id, action, message)
}

/// What a container uses now; `None` where it has no control groups, or does not run.
pub fn usage(store: &Store, container: &Container) -> Option<Usage> {
    Condition::of(container).pid()?;
    Cgroup::recorded(&store.container_path(&container.id)).usage()
}

/// What has come and gone over a container's networks; `None` if it does not run, or is on the host's.
pub fn network_traffic(container: &Container) -> Option<Traffic> {
    let pid = Condition::of(container).pid()?;
    let ours = File::open("/proc/self/ns/net");
    let its = File::open(format!("/proc/{pid}/ns/net"));
    let is_ours =
        matches!((ours, its), (Ok(ours), Ok(its)) if same_namespace(ours.as_fd(), its.as_fd()));
    (!is_ours).then(|| Traffic::of_network(pid))
}

fn not_running(id: &ContainerId, action: &'static str) -> ContainerError {
    ContainerError::NotRunning {
        action,
        id: id.short().to_owned(),
    }
}

fn send(
    directory: &Path,
    id: &ContainerId,
    action: &'static str,
    message: &Message,
    descriptors: &[BorrowedFd<'_>],
) -> Result<Link, ContainerError> {
    let link = open(directory, id, action, message, descriptors)?;
    match link.hear().map_err(ContainerError::Supervise)? {
        Some(Message::Done) => Ok(link),
        Some(Message::Refused { status, why }) => Err(ContainerError::Told { status, why }),
        _ => Err(not_running(id, action)),
    }
}

/// A link on which the request was made.
fn open(
    directory: &Path,
    id: &ContainerId,
    action: &'static str,
    message: &Message,
    descriptors: &[BorrowedFd<'_>],
) -> Result<Link, ContainerError> {
    let link = Link::connect(directory)
        .map_err(ContainerError::Supervise)?
        .ok_or_else(|| not_running(id, action))?;
    // It may end at any moment, which is no failure of the link.
    link.send(&Packet::Message(message.clone()), descriptors, Room::Wait)
        .map_err(|_| not_running(id, action))?;
    Ok(link)
}

/// As `request`, where only the doing counts.
pub(crate) fn ask(
    directory: &Path,
    id: &ContainerId,
    action: &'static str,
    message: &Message,
) -> Result<(), ContainerError> {
    request(directory, id, action, message).map(drop)
}

/// Sends a signal to a container's first process. KILL also means that the container is not started again.
pub fn kill(store: &Store, container: &Container, signal: i32) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let message = Message::Signal {
        number: signal,
        intent: Intent::Tell,
    };
    ask(&store.container_path(&container.id), &id, "kill", &message)?;
    if signal == KILL {
        Awaited::new(store, container)?.until(Some(KILL_PATIENCE))?;
    }
    Ok(())
}

/// Asks a container to end, and kills it if it does not within `seconds`: -1 waits for ever, none means what the
/// container was created with. One that does not run is fine.
pub fn stop(
    store: &Store,
    container: &Container,
    signal: Option<i32>,
    seconds: Option<i64>,
) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let config = StoredConfig::from_json(&id, &container.config)?;
    let chosen = config.options.stop_signal.as_deref();
    let chosen = chosen.or(Some(config.image.stop_signal.as_str()).filter(|text| !text.is_empty()));
    let number = match (signal, chosen) {
        (Some(number), _) => number,
        (None, Some(text)) => signal_number(text)?,
        (None, None) => TERM,
    };
    let seconds = seconds
        .or(config.options.stop_timeout)
        .unwrap_or(STOP_SECONDS);
    let patience = u64::try_from(seconds).ok().map(Duration::from_secs);
    end(store, container, number, patience)
}

/// Ends a container without asking it.
pub fn destroy(store: &Store, container: &Container) -> Result<(), ContainerError> {
    end(store, container, KILL, Some(KILL_PATIENCE))
}

fn end(
    store: &Store,
    container: &Container,
    number: i32,
    patience: Option<Duration>,
) -> Result<(), ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let directory = store.container_path(&container.id);
    let awaited = Awaited::new(store, container)?;
    let signal = |number| {
        let intent = Intent::End;
        match ask(&directory, &id, "stop", &Message::Signal { number, intent }) {
            // It ended by itself.
            Err(ContainerError::NotRunning { .. }) => Ok(()),
            other => other,
        }
    };
    signal(number)?;
    if awaited.until(patience)?.is_some() {
        return Ok(());
    }
    signal(KILL)?;
    match awaited.until(Some(KILL_PATIENCE))? {
        Some(_) => Ok(()),
        None => Err(ContainerError::DoesNotEnd {
            id: id.short().to_owned(),
        }),
    }
}

/// Waits until a container has ended, and tells its status. One that does not run has the status of its last end, 0 if
/// it never ran. Of one that ended and was removed before anybody could listen, nobody knows it.
pub fn wait(store: &Store, container: &Container) -> Result<i32, ContainerError> {
    match Awaited::new(store, container)?.until(None)? {
        Some(End::Status(code)) => Ok(code),
        Some(End::Removed) | None => Err(ContainerError::Missing {
            name: container.name.clone(),
        }),
    }
}

/// How a container has ended.
enum End {
    Status(i32),
    /// It is not in the store any more.
    Removed,
}

/// A container whose end somebody waits for.
struct Awaited<'a> {
    store: &'a Store,
    container: &'a Container,
    link: Option<Link>,
}

impl<'a> Awaited<'a> {
    fn new(store: &'a Store, container: &'a Container) -> Result<Self, ContainerError> {
        let failed = ContainerError::Supervise;
        let link = Link::connect(&store.container_path(&container.id)).map_err(failed)?;
        let link = match link {
            // One that ends just now is found in the store.
            Some(link) if link.tell(&Message::Watch).is_ok() => Some(link),
            _ => None,
        };
        Ok(Self {
            store,
            container,
            link,
        })
    }

    /// Its status, if it ends within `patience`.
    fn until(&self, patience: Option<Duration>) -> Result<Option<End>, ContainerError> {
        let Some(link) = &self.link else {
            return self.recorded().map(Some);
        };
        let deadline = patience.map(|patience| Instant::now() + patience);
        loop {
            let left = deadline.map(|end| end.saturating_duration_since(Instant::now()));
            let pause = left.map(|left| Timespec {
                tv_sec: left.as_secs() as i64,
                tv_nsec: i64::from(left.subsec_nanos()),
            });
            let mut watched = [PollFd::new(link, PollFlags::IN)];
            let ready = rustix::io::retry_on_intr(|| poll(&mut watched, pause.as_ref()))
                .map_err(|error| ContainerError::Supervise(error.into()))?;
            if ready == 0 {
                return Ok(None);
            }
            match link.hear().map_err(ContainerError::Supervise)? {
                Some(Message::Exit(code)) => return Ok(Some(End::Status(code))),
                Some(_) => {}
                None => return self.recorded().map(Some),
            }
        }
    }

    /// What the store says of a container without a supervisor.
    fn recorded(&self) -> Result<End, ContainerError> {
        let Some(container) = self.store.container(&self.container.id)? else {
            return Ok(End::Removed);
        };
        let condition = Condition::of(&container);
        Ok(End::Status(condition.end().map_or(0, |end| end.code)))
    }
}

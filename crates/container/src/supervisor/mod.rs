//! The process that a container has beside it: it holds the terminal or the pipes, writes the log, records how the
//! container ended, starts it again where its policy says so, and lets commands in.
//!
//! ```text
//! rbuild run ── Start ──▶ supervisor ─▶ keeper ─▶ the container's first process      (see the sandbox)
//! rbuild attach, exec, stop … ──▶ containers/<id>/control
//! ```
//!
//! One process with one thread, that sleeps until something happens (a health check has a second one for its duration). It holds the lock `container <id>` as long as there
//! is anything to supervise; when it dies, the kernel frees the lock, and the keeper takes the container along. Between
//! the transitions of a container's life it does not touch the store.

mod clients;
mod health;
mod life;
mod network;
mod streams;
mod turn;

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use rbuild_sandbox::{UserRange, release_program_text, safe_program};
use rbuild_store::{LockGuard, Store};
use rustix::fs::{Mode, OFlags};

use self::clients::{Client, Helper, Role};
use self::health::Watch;
use self::life::Life;
use crate::cgroup::{Cgroup, scope};
use crate::link::{Door, Link, Message, Packet, Room, Start, Tie, remove_door};
use crate::log::LogWriter;
use crate::network::Attached;
use crate::users::UserMode;
use crate::{ContainerError, ContainerId, HostFiles, StoredConfig};

/// What makes a start of this program a supervisor; no user types it.
const ARGUMENT: &str = "--rbuild-supervisor";

/// The present time, which only the edge of the program may read.
pub type Clock = fn() -> SystemTime;

/// Becomes a supervisor and never returns, if this process was started as one; else does nothing. Must come before any
/// thread, after `rbuild_sandbox::init_if_asked`.
pub fn supervise_if_asked(clock: Clock) {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next().is_none_or(|first| first != ARGUMENT) {
        return;
    }
    let (Some(root), Some(id)) = (arguments.next(), arguments.next()) else {
        std::process::exit(2);
    };
    let id = ContainerId::from_store(&id.to_string_lossy());
    // What goes wrong is told over the link, and in the container's row; there is nobody else to tell.
    let done = take_link().map(|link| supervise(Path::new(&root), &id, link, clock));
    std::process::exit(i32::from(done.is_err()));
}

/// Starts a supervisor for the container `id`, and waits until it says that the container runs.
pub(crate) fn launch(
    store: &Store,
    id: &ContainerId,
    start: Start,
    streams: &[std::os::fd::BorrowedFd<'_>],
) -> Result<Link, ContainerError> {
    let failed = ContainerError::Supervise;
    let (ours, theirs) = Link::pair().map_err(failed)?;
    let supervisor = Command::new(safe_program()?)
        .arg0_named("rbuild-supervisor")
        .arg(ARGUMENT)
        .arg(store.root())
        .arg(id.as_str())
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs.into_fd()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(failed)?;
    // It outlives us, or ends with nobody waiting for it: that is its purpose.
    drop(supervisor);
    ours.send(&Packet::Message(Message::Start(start)), streams, Room::Wait)
        .map_err(failed)?;
    match ours.hear().map_err(failed)? {
        Some(Message::Started) => Ok(ours),
        Some(Message::Refused { status, why }) => Err(ContainerError::Told { status, why }),
        _ => Err(ContainerError::Supervise(io::Error::other(
            "its supervisor died",
        ))),
    }
}

/// `Command::arg0` with a name that says what it is for.
trait Named {
    fn arg0_named(&mut self, name: &str) -> &mut Self;
}

impl Named for Command {
    fn arg0_named(&mut self, name: &str) -> &mut Self {
        use std::os::unix::process::CommandExt as _;
        self.arg0(name)
    }
}

/// Standard input is the link; afterwards the three standard descriptors lead nowhere.
fn take_link() -> io::Result<Link> {
    let stdin = io::stdin();
    let link = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    rustix::stdio::dup2_stdin(&null)?;
    // What a terminal sends to the group of the command that started us is not for us.
    let _ = rustix::process::setsid();
    let _ = rustix::thread::set_name(c"rbuild-supervis");
    Ok(Link::from_fd(link))
}

/// A container with its supervisor: this process.
struct Supervisor {
    root: PathBuf,
    id: ContainerId,
    directory: PathBuf,
    clock: Clock,
    start: Start,
    config: StoredConfig,
    host: HostFiles,
    cgroup: Cgroup,
    network: Attached,
    /// The ids of the container's users, where it has its own.
    ids: Option<UserRange>,
    /// Free for the next supervisor when this is dropped.
    lock: Option<LockGuard>,
    door: Option<Door>,
    log: LogWriter,
    clients: Vec<Client>,
    next_client: u64,
    helpers: Vec<Helper>,
    life: Life,
    /// Of a container that is checked, while it runs.
    health: Option<Watch>,
    /// Somebody wants it to end: it is not started again.
    ending: bool,
    restarts: u32,
    trouble: String,
}

/// The whole life of a supervisor.
fn supervise(root: &Path, id: &ContainerId, link: Link, clock: Clock) {
    let mut supervisor = match begin(root, id, &link, clock) {
        Ok(supervisor) => supervisor,
        Err(error) => {
            let told = Message::Refused {
                status: error.exit_code(),
                why: crate::error::with_causes(&error),
            };
            // The command that asked may be gone; then nobody needs to know.
            let _ = link.tell(&told);
            return;
        }
    };
    let told = link.tell(&Message::Started);
    // The command may be gone already, and the container goes on.
    if supervisor.start.tie == Tie::Attached && told.is_ok() {
        supervisor.admit(link, Role::Starter);
    }
    // From here on it does little but sleep.
    release_program_text();
    while supervisor.turn() {}
    supervisor.empty_trash();
}

fn begin(
    root: &Path,
    id: &ContainerId,
    link: &Link,
    clock: Clock,
) -> Result<Supervisor, ContainerError> {
    let failed = ContainerError::Supervise;
    let Some((Packet::Message(Message::Start(start)), streams)) = link.receive().map_err(failed)?
    else {
        return Err(failed(io::Error::other("nothing was asked for")));
    };
    let store = Store::open(root)?;
    let Some(lock) = store.try_lock(&lock_name(id.as_str()))? else {
        return Err(ContainerError::IsRunning {
            action: "start",
            id: id.short().to_owned(),
        });
    };
    let Some(container) = store.container(id.as_str())? else {
        return Err(ContainerError::Missing {
            name: id.short().to_owned(),
        });
    };
    let mut config = StoredConfig::from_json(id, &container.config)?;
    let directory = store.container_path(id.as_str());
    let host = HostFiles::read(&directory).map_err(failed)?;
    let ids = match config.options.userns {
        UserMode::Host => None,
        UserMode::Auto => Some(UserRange::claim()?),
    };
    // What a supervisor that was killed has left there.
    Cgroup::recorded(&directory).remove();
    // Before there are other processes of the container's, which are to be in the same group.
    scope::enter(id.as_str());
    let network = Attached::new(&store, &container, &config, &host)?;
    config.options.network = network.mode(&config.options.network);
    let log = LogWriter::open(&directory, config.options.log).map_err(ContainerError::Log)?;
    let door = Door::open(&directory).map_err(failed)?;
    let mut supervisor = Supervisor {
        root: root.to_owned(),
        id: id.clone(),
        directory,
        clock,
        start,
        config,
        host,
        cgroup: Cgroup::of(id.as_str()),
        network,
        ids,
        lock: Some(lock),
        door: Some(door),
        log,
        clients: Vec::new(),
        next_client: 0,
        helpers: Vec::new(),
        life: Life::Over,
        health: None,
        ending: false,
        restarts: 0,
        trouble: String::new(),
    };
    match supervisor.run_first(&store, streams) {
        Ok(()) => Ok(supervisor),
        Err(error) => {
            supervisor.cgroup.remove();
            // Why it does not run says more.
            let _ = supervisor.leave_network();
            remove_door(&supervisor.directory).map_err(failed)?;
            Err(error)
        }
    }
}

/// The name of the lock that a container's supervisor holds.
pub(crate) fn lock_name(id: &str) -> String {
    format!("container {id}")
}

impl Supervisor {
    fn now(&self) -> SystemTime {
        (self.clock)()
    }

    /// Its ports are free, its addresses others' to have.
    fn leave_network(&mut self) -> Result<(), ContainerError> {
        let network = std::mem::replace(&mut self.network, Attached::Nothing);
        network.close(&self.directory)
    }

    /// Notes what could not be done for the container, for `inspect`.
    fn note(&mut self, what: &str, error: &dyn std::error::Error) {
        self.trouble = format!("{what}: {}", crate::error::with_causes(error));
    }
}

/// Reads and writes that do not wait.
pub(crate) fn do_not_block(descriptor: &OwnedFd) -> io::Result<()> {
    let flags = rustix::fs::fcntl_getfl(descriptor)?;
    Ok(rustix::fs::fcntl_setfl(
        descriptor,
        flags | OFlags::NONBLOCK,
    )?)
}

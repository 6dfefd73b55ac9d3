//! A further process for a sandbox that runs: its keeper joins the namespaces of process 1, forks, and the child becomes
//! the command as any other does.
//!
//! ```text
//!   caller ── Order ──▶ keeper (outside the PID namespace, waits and kills)
//!                         setns: mount, PID, IPC, UTS, cgroup, network
//!                         └─ fork ─▶ child: control groups, terminal, user, filter, exec
//! ```
//!
//! From the moment that it shares anything with the sandbox until exec, nobody inside may look into it or trace it: it is
//! not dumpable.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rbuild_sys::{
    Fork, SingleThreaded, duplicate_onto, exit_now, fork, kill_on_parent_death, openat2,
    set_groups, set_user,
};
use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::process::{DumpableBehavior, Pid, set_dumpable_behavior, setsid};

use super::{Task, command, devices, keeper, outlive, outside, profile};
use crate::channel::{Channel, Order, Report, Tie};
use crate::{InitFailure, Process};

/// Namespaces that a sandbox may share with its caller, by their name in /proc/PID/ns.
const MAYBE_SHARED: [(&str, CloneFlags); 5] = [
    ("user", CloneFlags::CLONE_NEWUSER),
    ("net", CloneFlags::CLONE_NEWNET),
    ("ipc", CloneFlags::CLONE_NEWIPC),
    ("uts", CloneFlags::CLONE_NEWUTS),
    ("cgroup", CloneFlags::CLONE_NEWCGROUP),
];

/// Where a process goes.
struct Target {
    /// Process 1 of the sandbox.
    process: OwnedFd,
    number: String,
    cgroups: Vec<PathBuf>,
}

/// Lives until the process has ended. An error means that the caller cannot be talked to.
pub(super) fn run(mut arguments: impl Iterator<Item = OsString>) -> io::Result<i32> {
    let process = rustix::io::fcntl_dupfd_cloexec(io::stdout().as_fd(), 3)?;
    let control = keeper::take_control()?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    duplicate_onto(null.as_fd(), 1).map_err(io::Error::other)?;
    let _ = setsid();
    let number = arguments.next().unwrap_or_default();
    let target = Target {
        process,
        number: number.to_string_lossy().into_owned(),
        cgroups: arguments.map(PathBuf::from).collect(),
    };
    let Some((order, descriptors)) = control.receive::<Order>()? else {
        return Ok(0);
    };
    match begin(&control, &order, descriptors, &target) {
        Ok((pid, pidfd)) => {
            stay(&control, pid, &pidfd, order.tie)?;
        }
        Err(failure) => control.send(&Report::Failed(failure), &[])?,
    }
    Ok(0)
}

/// Waits for the process, or for the caller to vanish, which only a loose process outlives.
fn stay(control: &Channel, pid: Pid, pidfd: &OwnedFd, tie: Tie) -> io::Result<()> {
    match tie {
        Tie::Firm => {
            keeper::watch(control, pidfd)?;
            control.send(&keeper::reap(pid)?, &[])
        }
        Tie::Loose => {
            let held = outlive::wait(control, pidfd)?;
            // Nobody may want to know any more.
            let _ = control.send(&keeper::reap(pid)?, &[]);
            held.read_on(control)
        }
    }
}

fn begin(
    control: &Channel,
    order: &Order,
    descriptors: Vec<OwnedFd>,
    target: &Target,
) -> Result<(Pid, OwnedFd), InitFailure> {
    let task = Task::<Process>::new(order, descriptors)
        .map_err(|error| InitFailure::step("read the specification", error))?;
    let single = SingleThreaded::check("enter a sandbox")?;
    let cgroups = outside::open_cgroups(&target.cgroups)?;
    outside::set_oom_score(&task.spec)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .map_err(|error| InitFailure::step("close this process to others", error))?;
    let flags = namespaces(&target.number)?;
    let processes = profile::processes()?;
    let other_users = flags.contains(CloneFlags::CLONE_NEWUSER);
    if other_users {
        outside::prepare_process(&task, &task.spec, first_id(&target.number)?)?;
    }
    nix::sched::setns(&target.process, flags).map_err(|error| match error {
        nix::errno::Errno::ESRCH => InitFailure::Refused("the container has ended".to_owned()),
        other => InitFailure::step("join the container's namespaces", other),
    })?;
    if other_users {
        set_groups(&[])?;
        set_user(0, 0)?;
    }
    let pid = match fork(single)? {
        Fork::Child => exit_now(become_command(task, cgroups, &processes)),
        Fork::Parent(pid) => pid,
    };
    drop(task);
    let pidfd = keeper::announce(control, pid)?;
    Ok((pid, pidfd))
}

/// Those that the sandbox does not share with us. Which they are is asked by number, but joined by descriptor: had the
/// number gone to another process meanwhile, the descriptor would lead nowhere.
fn namespaces(number: &str) -> Result<CloneFlags, InitFailure> {
    let inode = |process: &str, name: &str| {
        rustix::fs::stat(format!("/proc/{process}/ns/{name}")).map(|stat| stat.st_ino)
    };
    let mut flags = CloneFlags::CLONE_NEWNS | CloneFlags::CLONE_NEWPID;
    for (name, flag) in MAYBE_SHARED {
        let theirs = match inode(number, name) {
            Ok(theirs) => theirs,
            // A kernel without namespaces of this kind, unless the process itself is gone.
            Err(_) if inode(number, "mnt").is_ok() => continue,
            Err(_) => return Err(InitFailure::Refused("the container has ended".to_owned())),
        };
        if inode("self", name) != Ok(theirs) {
            flags |= flag;
        }
    }
    Ok(flags)
}

/// Whom root of its user namespace is outside (user_namespaces(7)).
fn first_id(number: &str) -> Result<u32, InitFailure> {
    let map = std::fs::read_to_string(format!("/proc/{number}/uid_map")).unwrap_or_default();
    let first = map.split_whitespace().nth(1).and_then(|id| id.parse().ok());
    first.ok_or_else(|| InitFailure::Refused("the container has ended".to_owned()))
}

/// The life of the child until it is somebody else.
fn become_command(mut task: Task<Process>, cgroups: Vec<OwnedFd>, processes: &OwnedFd) -> i32 {
    match start(&mut task, cgroups, processes) {
        Ok(never) => match never {},
        Err(failure) => {
            let code = i32::from(failure.exit_code());
            // When nobody listens any more, nobody needs to know.
            let _ = task.report.send(&Report::Failed(failure), &[]);
            code
        }
    }
}

fn start(
    task: &mut Task<Process>,
    cgroups: Vec<OwnedFd>,
    processes: &OwnedFd,
) -> Result<std::convert::Infallible, InitFailure> {
    kill_on_parent_death()?;
    if let Some(name) = &task.profile {
        profile::confine(processes, name)?;
    }
    outside::join_cgroups(cgroups)?;
    let terminal = match task.terminal {
        Some(size) => Some(devices::open_terminal_inside(size)?),
        None => None,
    };
    if let Some(terminal) = &terminal {
        terminal.hand_over(&task.report)?;
    }
    let directory = working_directory(&task.spec.cwd)?;
    let stdio = command::Stdio::choose(task.stdin.take(), task.output.take(), terminal)?;
    command::start(&task.spec, task.filter.as_deref(), &directory, &stdio)
}

/// The directory to start in, which has to be there. Links of /proc lead out of the root, and are not followed.
fn working_directory(path: &Path) -> Result<OwnedFd, InitFailure> {
    let fail = |error| InitFailure::step(format!("change to directory {}", path.display()), error);
    let root = rustix::fs::openat(
        CWD,
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(fail)?;
    openat2(
        &root,
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(fail)
}

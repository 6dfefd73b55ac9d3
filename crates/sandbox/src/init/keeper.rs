//! The keeper: outside the new world, it starts its process 1, waits for it, and kills it when the
//! caller is gone. A parent-death signal alone would not do: it follows the caller's *thread*.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use nix::sched::CloneFlags;
use rbuild_sys::{Fork, SingleThreaded, duplicate_onto, exit_now, fork};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal,
    set_dumpable_behavior, setsid, waitpid,
};

use super::{Task, devices, outside, run as run_init};
use crate::channel::{Channel, Order, Report};
use crate::{InitFailure, Namespace, SharedMemory, Spec};

/// Lives until the process has ended. An error means that the caller cannot be talked to.
pub(super) fn run() -> io::Result<i32> {
    let control = take_control()?;
    // Signals that a terminal sends to the caller's group are for the caller to act on.
    let _ = setsid();
    let Some((order, descriptors)) = control.receive::<Order>()? else {
        return Ok(0);
    };
    match begin(&control, &order, descriptors) {
        Ok((pid, pidfd)) => {
            watch(&control, &pidfd)?;
            control.send(&reap(pid)?, &[])?;
        }
        Err(failure) => control.send(&Report::Failed(failure), &[])?,
    }
    Ok(0)
}

/// Standard input is the control channel; from here on exec closes it.
pub(super) fn take_control() -> io::Result<Channel> {
    let stdin = io::stdin();
    let control = rustix::io::fcntl_dupfd_cloexec(stdin.as_fd(), 3)?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
    duplicate_onto(null.as_fd(), 0).map_err(io::Error::other)?;
    Ok(Channel::from_fd(control))
}

fn begin(
    control: &Channel,
    order: &Order,
    descriptors: Vec<OwnedFd>,
) -> Result<(Pid, OwnedFd), InitFailure> {
    let mut task = Task::<Spec>::new(order, descriptors)
        .map_err(|error| InitFailure::step("read the specification", error))?;
    let single = SingleThreaded::check("start a sandbox")?;
    if let SharedMemory::Of(index) = task.spec.shared_memory {
        task.trees[index] = devices::shared_memory_of(&task.trees[index])?;
    }
    if task.spec.namespaces.pid != Namespace::Own {
        // Others see the init while it still holds what is the host's: they may not look into it. Exec lifts that.
        set_dumpable_behavior(DumpableBehavior::NotDumpable)
            .map_err(|error| InitFailure::step("close this process to others", error))?;
    }
    let cgroups = outside::open_cgroups(&task.spec.cgroups)?;
    outside::set_oom_score(&task.spec.process)?;
    let outside = outside::enter_users(&task)?;
    let (entered, action) = match task.spec.namespaces.pid {
        Namespace::Own => (
            nix::sched::unshare(CloneFlags::CLONE_NEWPID),
            "make a PID namespace",
        ),
        Namespace::Join(index) => (
            nix::sched::setns(&task.trees[index], CloneFlags::CLONE_NEWPID),
            "join the PID namespace",
        ),
        Namespace::Host => (Ok(()), ""),
    };
    entered.map_err(|error| InitFailure::step(action, error))?;
    let pid = match fork(single)? {
        Fork::Child => exit_now(run_init(task, outside, cgroups)),
        Fork::Parent(pid) => pid,
    };
    // The report channel must not stay open here, nor the command's output.
    drop((task, outside, cgroups));
    let pidfd = announce(control, pid)?;
    Ok((pid, pidfd))
}

/// Tells the caller that the process exists.
pub(super) fn announce(control: &Channel, pid: Pid) -> Result<OwnedFd, InitFailure> {
    let pidfd = pidfd_open(pid, PidfdFlags::empty())
        .map_err(|error| InitFailure::step("watch the process", error))?;
    let started = Report::Started {
        pid: pid.as_raw_nonzero().get().unsigned_abs(),
    };
    if control.send(&started, &[pidfd.as_fd()]).is_err() {
        let _ = pidfd_send_signal(&pidfd, Signal::KILL);
    }
    Ok(pidfd)
}

/// Takes in the process, and tells how it ended.
pub(super) fn reap(pid: Pid) -> io::Result<Report> {
    let ended = rustix::io::retry_on_intr(|| waitpid(Some(pid), WaitOptions::empty()))?;
    let (_, status) = ended.ok_or_else(|| io::Error::from_raw_os_error(libc::ECHILD))?;
    Ok(Report::Ended {
        code: status.exit_status(),
        signal: status.terminating_signal(),
    })
}

/// Returns when the process has ended, by itself or because the caller vanished.
pub(super) fn watch(control: &Channel, pidfd: &OwnedFd) -> io::Result<()> {
    let mut events = [
        PollFd::new(pidfd, PollFlags::IN),
        PollFd::new(control, PollFlags::IN),
    ];
    rustix::io::retry_on_intr(|| poll(&mut events, None))?;
    if events[0].revents().is_empty() {
        let _ = pidfd_send_signal(pidfd, Signal::KILL);
    }
    Ok(())
}

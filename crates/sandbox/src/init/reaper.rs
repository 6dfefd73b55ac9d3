//! Process 1 of a sandbox with `--init`: the command is its child.
//!
//! It has the command's user, capabilities and filter, and nothing open but the standard descriptors.

use std::io;
use std::os::fd::AsFd as _;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::{Pid, getpid, isatty, setpgid, tcsetpgrp};
use rbuild_sys::{
    FIRST_AFTER_STDIO, Fork, SingleThreaded, close_for_good_from, exit_now, fork,
    release_program_text, send_signal,
};
use rustix::process::{DumpableBehavior, PidfdFlags, pidfd_open, set_dumpable_behavior};

use crate::InitFailure;

/// What it ends with when it cannot see how the command did.
const EXIT_BROKEN: i32 = 125;

/// Returns in a child that is to become the command. The process itself stays, and ends as the child does.
pub(super) fn stay_behind() -> Result<(), InitFailure> {
    let single = SingleThreaded::check("start the command")?;
    let blocked = |error| InitFailure::step("hold signals back", error);
    let all = SigSet::all();
    sigprocmask(SigmaskHow::SIG_SETMASK, Some(&all), None).map_err(blocked)?;
    let pid = match fork(single)? {
        Fork::Child => {
            lead_the_terminal();
            let none = SigSet::empty();
            return sigprocmask(SigmaskHow::SIG_SETMASK, Some(&none), None).map_err(blocked);
        }
        Fork::Parent(pid) => pid,
    };
    // Among others' processes it is not the one whom the kernel gives orphans to.
    rbuild_sys::set_child_subreaper()?;
    // Nobody inside needs to look into it. Where the kernel does not oblige, it has no more rights than they.
    let _ = set_dumpable_behavior(DumpableBehavior::NotDumpable);
    close_for_good_from(FIRST_AFTER_STDIO, || {
        release_program_text();
        exit_now(attend(pid).unwrap_or(EXIT_BROKEN))
    })
}

/// Signals of the terminal go to the command alone: what process 1 gets, it would pass on a second time.
fn lead_the_terminal() {
    let stdin = io::stdin();
    if setpgid(Pid::from_raw(0), Pid::from_raw(0)).is_ok() && isatty(&stdin).unwrap_or(false) {
        // A terminal that is not ours to lead stays as it is.
        let _ = tcsetpgrp(&stdin, getpid());
    }
}

/// Passes signals on and reaps until the command `pid` has ended; its status, or 128 and the signal's number.
fn attend(pid: rustix::process::Pid) -> io::Result<i32> {
    let command = pidfd_open(pid, PidfdFlags::empty())?;
    let signals = SignalFd::with_flags(&SigSet::all(), SfdFlags::SFD_CLOEXEC)?;
    loop {
        let Some(received) = signals.read_signal()? else {
            continue;
        };
        let number = received.ssi_signo.cast_signed();
        if number == Signal::SIGCHLD as i32 {
            if let Some(code) = reap(Pid::from_raw(pid.as_raw_nonzero().get()))? {
                return Ok(code);
            }
        } else {
            // The command may have ended just now.
            let _ = send_signal(command.as_fd(), number);
        }
    }
}

/// Takes in all children that have ended. The command's status, if it is among them.
fn reap(pid: Pid) -> io::Result<Option<i32>> {
    loop {
        match waitid(Id::All, WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG) {
            Ok(WaitStatus::Exited(ended, code)) if ended == pid => return Ok(Some(code)),
            Ok(WaitStatus::Signaled(ended, signal, _)) if ended == pid => {
                return Ok(Some(128 + signal as i32));
            }
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return Ok(None),
            Ok(_) | Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

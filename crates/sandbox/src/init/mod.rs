//! The inside: from a fresh process to the command, in the kernel's order.
//!
//! ```text
//!   keeper                        stays outside, one thread, waits and kills
//!     │  outside::enter_users     into a user namespace of its own, where it has one
//!     └─ init                     process 1 of the new PID namespace
//!          namespaces::enter      cgroup, mount, IPC, UTS, network
//!          root::build            scratch, overlay, /proc, /sys, /dev, masks, files, mounts
//!          root::enter            pivot_root
//!          command::start         user, directory, limits, filter, capabilities, exec
//!            └─ command           with `First::Reaper` a child of process 1, which stays (reaper)
//! ```

mod command;
mod devices;
mod enter;
mod keeper;
mod kernel_files;
mod mounts;
mod namespaces;
mod outlive;
mod outside;
mod profile;
mod reaper;
mod root;
mod target;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;

use rbuild_sys::{BpfInstruction, exit_now, kill_on_parent_death, set_name};
use serde::de::DeserializeOwned;

use self::outside::Outside;
use crate::channel::{Channel, Order, Report};
use crate::{InitFailure, Spec};

/// What makes a start of this program an init; no user types it.
pub(crate) const INIT_ARGUMENT: &str = "--rbuild-sandbox-init";

/// What makes a start of this program the keeper of a process that joins a sandbox. The sandbox's process 1 follows as its
/// number, then the directories of control groups; its pidfd is standard output.
pub(crate) const ENTER_ARGUMENT: &str = "--rbuild-sandbox-enter";

/// What an init that could not even report ends with.
const EXIT_BROKEN: i32 = 125;

/// Becomes an init and never returns, if this process was started as one; else does nothing.
/// Must be the first thing that `main` does: an init has to have a single thread.
pub fn init_if_asked() {
    let mut arguments = std::env::args_os().skip(1);
    let Some(first) = arguments.next() else {
        return;
    };
    if first == INIT_ARGUMENT {
        set_name(c"rbuild-init");
        exit_now(keeper::run().unwrap_or(EXIT_BROKEN));
    }
    if first == ENTER_ARGUMENT {
        set_name(c"rbuild-exec");
        exit_now(enter::run(arguments).unwrap_or(EXIT_BROKEN));
    }
}

/// An order with its descriptors told apart. What it describes is a whole sandbox, or a process for one.
struct Task<S> {
    spec: S,
    filter: Option<Vec<BpfInstruction>>,
    report: Channel,
    stdin: Option<OwnedFd>,
    output: Option<(OwnedFd, OwnedFd)>,
    terminal: Option<crate::TerminalSize>,
    profile: Option<String>,
    trees: Vec<OwnedFd>,
}

impl<S: DeserializeOwned> Task<S> {
    fn new(order: &Order, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let mut descriptors = descriptors.into_iter();
        let mut next = || {
            descriptors
                .next()
                .ok_or_else(|| io::Error::from_raw_os_error(libc::EBADMSG))
        };
        let spec = serde_json::from_slice(&contents(&next()?.into())?)?;
        let filter = if order.filter {
            Some(crate::seccomp::decode(&contents(&next()?.into())?))
        } else {
            None
        };
        let report = Channel::from_fd(next()?);
        let stdin = if order.stdin { Some(next()?) } else { None };
        let output = if order.output {
            Some((next()?, next()?))
        } else {
            None
        };
        Ok(Self {
            spec,
            filter,
            report,
            stdin,
            output,
            terminal: order.terminal,
            profile: order.profile.clone(),
            trees: descriptors.collect(),
        })
    }
}

/// Reads by offset: the memory file's position is shared with whoever else was sent it.
fn contents(file: &File) -> io::Result<Vec<u8>> {
    let length = usize::try_from(file.metadata()?.len()).unwrap_or_default();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, 0)?;
    Ok(bytes)
}

/// The life of process 1 until it is somebody else.
fn run(mut task: Task<Spec>, outside: Option<Outside>, cgroups: Vec<OwnedFd>) -> i32 {
    match start(&mut task, outside, cgroups) {
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
    task: &mut Task<Spec>,
    outside: Option<Outside>,
    cgroups: Vec<OwnedFd>,
) -> Result<std::convert::Infallible, InitFailure> {
    kill_on_parent_death()?;
    // Modes are given in full below; the command gets its own mask.
    rustix::process::umask(rustix::fs::Mode::empty());
    outside::join_cgroups(cgroups)?;
    if let Some(name) = &task.profile {
        profile::confine(&profile::processes()?, name)?;
    }
    namespaces::enter(&task.spec, &task.trees)?;
    let outside = outside.map_or_else(|| Outside::open(&task.spec, &task.trees, None), Ok)?;
    let mut root = root::build(&task.spec, &task.trees, outside)?;
    let terminal = match task.terminal {
        Some(size) => Some(devices::open_terminal(&mut root, size)?),
        None => None,
    };
    if let Some(terminal) = &terminal {
        terminal.hand_over(&task.report)?;
    }
    let directory = root.working_directory(&task.spec.process.cwd)?;
    root.seal(task.spec.root_access)?;
    let made = root.take_made();
    if !made.is_empty() {
        task.report
            .send(&Report::Made(made), &[])
            .map_err(|error| InitFailure::step("report mount points", error))?;
    }
    root.enter()?;
    let stdio = command::Stdio::choose(task.stdin.take(), task.output.take(), terminal)?;
    command::start(
        &task.spec.process,
        task.filter.as_deref(),
        &directory,
        &stdio,
    )
}

//! The caller's side: start an init, and hear how it went ([`Running`] then waits for the end).
//!
//! ```text
//!   caller            keeper                init → command
//!     │ posix_spawn ─►  │                     │
//!     │ Order ────────► │ unshare pid, fork ─►│ namespaces, root, mounts
//!     │ ◄──── Started ──│                     │ user, filter, capabilities
//!     │ ◄───────────────────────── Made ──────│ exec (closes the channel)
//!     │ ◄────── Ended ──│ ◄───── exits ───────│
//! ```

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio as ProcessStdio};

use rbuild_sys::{MAX_PASSED_DESCRIPTORS, sealed_memory_file};
use serde::Serialize;

use crate::apparmor;
use crate::channel::{Channel, Order, TerminalSize, Tie};
use crate::init::{ENTER_ARGUMENT, INIT_ARGUMENT};
use crate::running::{Running, await_start, reap};
use crate::{
    Namespace, Network, Process, SandboxError, Seccomp, SharedMemory, Source, Spec, cleanup,
    executable, scaffold, seccomp,
};

/// Where the command's input comes from and its output goes.
#[derive(Debug, Clone, Copy)]
pub enum Stdio<'a> {
    /// Descriptors of the caller's. No stdin means /dev/null.
    Descriptors {
        /// Read by the command.
        stdin: Option<BorrowedFd<'a>>,
        /// Written by the command.
        stdout: BorrowedFd<'a>,
        /// Written by the command.
        stderr: BorrowedFd<'a>,
    },
    /// A new pseudo terminal of this size, whose other end is [`Running::terminal`].
    Terminal(TerminalSize),
    /// Nothing to read, nowhere to write.
    Null,
}

/// Starts `spec` and returns when its command runs. `trees` are what [`Source::Tree`] and
/// [`Network::Join`], [`Namespace::Join`] and [`SharedMemory::Of`] refer to by number; a mount tree is used up by the call.
///
/// # Errors
/// [`SandboxError::Init`] when the sandbox cannot be set up or the command not be started.
pub fn spawn(
    spec: &Spec,
    stdio: Stdio<'_>,
    trees: &[BorrowedFd<'_>],
) -> Result<Running, SandboxError> {
    check_trees(spec, trees)?;
    scaffold::ensure(&spec.scaffold)?;
    let program = executable::safe_program()?;
    let (control, control_inside) = Channel::pair().map_err(SandboxError::Prepare)?;
    let keeper = Command::new(program)
        .arg0("rbuild-init")
        .arg(OsStr::new(INIT_ARGUMENT))
        .env_clear()
        .stdin(ProcessStdio::from(control_inside.into_fd()))
        .spawn()
        .map_err(SandboxError::Start)?;
    let report = match send_order(spec, &spec.process, stdio, trees, Tie::Firm, &control) {
        Ok(report) => report,
        Err(error) => {
            drop(control);
            reap(Some(keeper));
            return Err(error);
        }
    };
    await_start(
        cleanup::changes_of(&spec.root),
        Some(keeper),
        control,
        &report,
    )
}

/// Starts `process` in a sandbox that runs already. `launch` hands the descriptor to whoever may join that sandbox,
/// who calls [`start_keeper_inside`] with it.
///
/// # Errors
/// [`SandboxError::Init`] when it cannot be joined or the command not be started; what `launch` fails with.
pub fn enter<E: From<SandboxError>>(
    process: &Process,
    stdio: Stdio<'_>,
    tie: Tie,
    launch: impl FnOnce(OwnedFd) -> Result<(), E>,
) -> Result<Running, E> {
    let (control, control_inside) = Channel::pair().map_err(SandboxError::Prepare)?;
    launch(control_inside.into_fd())?;
    let report = send_order(process, process, stdio, &[], tie, &control)?;
    Ok(await_start(None, None, control, &report)?)
}

/// Starts the keeper of a process that joins the sandbox whose process 1 is `running`'s, in its control groups.
/// `control` is what [`enter`] gave.
///
/// # Errors
/// [`SandboxError::Start`].
pub fn start_keeper_inside(
    running: &Running,
    cgroups: &[PathBuf],
    control: OwnedFd,
) -> Result<Child, SandboxError> {
    let process = running.process().map_err(SandboxError::Prepare)?;
    Command::new(executable::safe_program()?)
        .arg0("rbuild-exec")
        .arg(OsStr::new(ENTER_ARGUMENT))
        .arg(running.pid().to_string())
        .args(cgroups)
        .env_clear()
        .stdin(ProcessStdio::from(control))
        .stdout(ProcessStdio::from(process))
        .spawn()
        .map_err(SandboxError::Start)
}

fn check_trees(spec: &Spec, trees: &[BorrowedFd<'_>]) -> Result<(), SandboxError> {
    let mounts = spec.mounts.iter().filter_map(|mount| match mount.source {
        Source::Tree(index) => Some(index),
        _ => None,
    });
    let network = match spec.network {
        Network::Join(index) => Some(index),
        _ => None,
    };
    let shared = spec.namespaces;
    let joined = [shared.pid, shared.ipc, shared.uts, shared.cgroup].map(|one| match one {
        Namespace::Join(index) => Some(index),
        _ => None,
    });
    let memory = match spec.shared_memory {
        SharedMemory::Of(index) => Some(index),
        _ => None,
    };
    let all = mounts.chain(network).chain(joined.into_iter().flatten());
    if let Some(index) = all.chain(memory).find(|index| *index >= trees.len()) {
        return Err(SandboxError::Describe(format!("no tree number {index}")));
    }
    // The specification, the filter, the report channel and three standard descriptors.
    if trees.len() + 6 > MAX_PASSED_DESCRIPTORS {
        return Err(SandboxError::Describe(format!("{} trees", trees.len())));
    }
    Ok(())
}

/// Sends the order and returns the caller's end of the report channel.
fn send_order(
    spec: &impl Serialize,
    process: &Process,
    stdio: Stdio<'_>,
    trees: &[BorrowedFd<'_>],
    tie: Tie,
    control: &Channel,
) -> Result<Channel, SandboxError> {
    let json =
        serde_json::to_vec(spec).map_err(|error| SandboxError::Describe(error.to_string()))?;
    let prepare = |error: rbuild_sys::SysError| SandboxError::Prepare(io::Error::other(error));
    let spec_file = sealed_memory_file("rbuild-spec", &json).map_err(prepare)?;
    let filter = match process.seccomp {
        Seccomp::Default => Some(seccomp::filter_file(process.capabilities)?),
        Seccomp::Unconfined => None,
    };
    let (report, report_inside) = Channel::pair().map_err(SandboxError::Prepare)?;
    let mut order = Order {
        filter: filter.is_some(),
        stdin: false,
        output: false,
        terminal: None,
        tie,
        profile: apparmor::profile(&process.apparmor)?.map(str::to_owned),
    };
    let mut descriptors = vec![spec_file.as_fd()];
    descriptors.extend(filter.as_ref().map(|file| file.as_fd()));
    descriptors.push(report_inside.as_fd());
    match stdio {
        Stdio::Descriptors {
            stdin,
            stdout,
            stderr,
        } => {
            order.stdin = stdin.is_some();
            order.output = true;
            descriptors.extend(stdin);
            descriptors.extend([stdout, stderr]);
        }
        Stdio::Terminal(size) => order.terminal = Some(size),
        Stdio::Null => {}
    }
    descriptors.extend(trees);
    control
        .send(&order, &descriptors)
        .map_err(SandboxError::Prepare)?;
    Ok(report)
}

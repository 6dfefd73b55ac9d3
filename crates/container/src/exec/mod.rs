//! A further process in a container that runs: in its namespaces and control groups, behind its fence, with its
//! environment.
//!
//! The container's supervisor starts the keeper of the process, since only it may join the container's namespaces; all
//! else goes between the command and that keeper directly. The process outlives the command, as docker's does: from then
//! on the keeper reads what it writes, and nobody gets it.

mod copies;
mod visit;
mod wiring;

use rbuild_sandbox::{Process, Running, Stdio, Tie, enter};
use rbuild_store::{Container, Store};

use self::wiring::{UNKNOWN_SIZE, Wiring};
use crate::environment::merge;
use crate::keys::DetachKeys;
use crate::link::Message;
use crate::options::{FirstProcess, Security};
use crate::session::Streams;
use crate::spec::process;
use crate::{ContainerError, ContainerId, StoredConfig, control};

/// What is to run.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ExecOptions {
    /// The command.
    pub args: Vec<String>,
    /// `-e` and `--env-file`, as `NAME=value`; they win over the container's own.
    pub env: Vec<String>,
    /// `-w`; the container's directory where it is not given.
    pub workdir: Option<String>,
    /// `-u`; the container's user where it is not given.
    pub user: Option<String>,
    /// `-i`: the process reads the user's input.
    pub interactive: bool,
    /// `-t`: the process has a terminal.
    pub tty: bool,
    /// `--privileged`.
    pub security: Security,
}

/// How a command of `exec` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExecOutcome {
    /// The process has ended with this status.
    Ended(i32),
    /// The user left; it runs on.
    Left,
    /// This signal ended the command; the process runs on.
    Interrupted(i32),
}

/// Runs a process in a container with the user's streams, until it ends or the user types `keys` at its terminal.
pub fn exec(
    store: &Store,
    container: &Container,
    options: &ExecOptions,
    streams: Streams<'_>,
    keys: &DetachKeys,
) -> Result<ExecOutcome, ContainerError> {
    let wiring = Wiring::new(options, streams)?;
    let running = begin(store, container, options, wiring.stdio())?;
    visit::stay(running, wiring, streams, keys)
}

/// Starts a process in a container and leaves it to itself. What it writes is lost.
pub fn exec_detached(
    store: &Store,
    container: &Container,
    options: &ExecOptions,
) -> Result<(), ContainerError> {
    let stdio = if options.tty {
        Stdio::Terminal(UNKNOWN_SIZE)
    } else {
        Stdio::Null
    };
    let running = begin(store, container, options, stdio)?;
    let terminal: Vec<_> = running.terminal().into_iter().collect();
    running.leave_to_read(&terminal)?;
    running.release();
    Ok(())
}

fn begin(
    store: &Store,
    container: &Container,
    options: &ExecOptions,
    stdio: Stdio<'_>,
) -> Result<Running, ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let config = StoredConfig::from_json(&id, &container.config)?;
    let directory = store.container_path(&container.id);
    let process = added(&id, &config, options)?;
    enter(&process, stdio, Tie::Loose, |channel| {
        control::send_with(&directory, &id, "exec in", &Message::Enter, &channel)
    })
}

/// The process, with the container's own as its model.
pub(crate) fn added(
    id: &ContainerId,
    config: &StoredConfig,
    options: &ExecOptions,
) -> Result<Process, ContainerError> {
    if options.args.first().is_none_or(String::is_empty) {
        return Err(ContainerError::NoCommand);
    }
    let mut model = config.options.clone();
    model.tty = options.tty;
    model.first = FirstProcess::Command;
    model.args.clone_from(&options.args);
    model.entrypoint = Some(String::new());
    model.env = merge([model.env.as_slice(), &options.env]);
    if let Some(user) = &options.user {
        model.user = Some(user.clone());
    }
    if let Some(workdir) = &options.workdir {
        if !workdir.starts_with('/') {
            return Err(ContainerError::option(
                "--workdir",
                workdir,
                "it is an absolute path",
            ));
        }
        model.workdir = Some(workdir.clone());
    }
    if options.security == Security::Privileged {
        model.security = Security::Privileged;
    }
    process(&model, &config.image, id)
}

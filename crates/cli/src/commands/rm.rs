//! `rbuild rm`: containers that are no longer needed.

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rbuild_container::live_process;
use rbuild_store::{Container, Store};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process};

use crate::app::App;
use crate::failure::chain;
use crate::render;

/// How long a killed process may take to be gone.
const KILL_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked at.
const KILL_TICK: Duration = Duration::from_millis(10);

/// What was typed after `rbuild rm`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names, IDs, or beginnings of IDs
    #[arg(required = true)]
    containers: Vec<String>,
    /// Kill those that run
    #[arg(short, long)]
    force: bool,
    /// Also their anonymous volumes (which always go with them)
    #[arg(short, long)]
    volumes: bool,
}

/// Removes containers; the failure of one does not keep the others.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let store = app.store()?;
    let mut failures = Vec::new();
    for name in &args.containers {
        match remove(store, name, args.force) {
            Ok(Some(())) => render::out(&format!("{name}\n"))?,
            Ok(None) => {}
            Err(error) => failures.push(chain(error.as_ref())),
        }
    }
    if failures.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    bail!("{}", failures.join("\nERROR: "))
}

/// `None`: there was none, and that is fine.
fn remove(store: &Store, name: &str, force: bool) -> anyhow::Result<Option<()>> {
    let Some(container) = store.container(name)? else {
        if force {
            return Ok(None);
        }
        bail!("No such container: {name}");
    };
    if let Some(pid) = live_process(&container) {
        if !force {
            bail!(
                "cannot remove container {name:?}: it is running: stop it first, or kill it with -f"
            );
        }
        kill(store, &container, pid)?;
    }
    rbuild_container::remove(store, &container.id)
        .map_err(|error| anyhow::anyhow!("failed to {}", chain(&error)))?;
    Ok(Some(()))
}

/// Kills a container, and waits until it is gone, and until whoever watched it has said so.
fn kill(store: &Store, container: &Container, pid: u32) -> anyhow::Result<()> {
    send_kill(pid).with_context(|| format!("failed to kill container {}", container.name))?;
    let start = Instant::now();
    while start.elapsed() < KILL_PATIENCE {
        match store.container(&container.id)? {
            Some(now) if live_process(&now).is_some() => std::thread::sleep(KILL_TICK),
            _ => return Ok(()),
        }
    }
    bail!("container {} does not end", container.name)
}

/// Kills the first process of a container. In a user namespace of another command of ours it may belong to a user whom
/// we may not signal; its keeper is always ours, and takes it along.
fn send_kill(pid: u32) -> anyhow::Result<()> {
    match kill_process(process(pid)?, Signal::KILL) {
        Err(Errno::PERM) => {
            let keeper = parent(pid).context("its keeper is gone")?;
            Ok(kill_process(process(keeper)?, Signal::KILL)?)
        }
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn process(pid: u32) -> anyhow::Result<Pid> {
    Pid::from_raw(pid.cast_signed()).context("a process has a number")
}

/// Field 4 of /proc/PID/stat (proc(5)), counted after the command's name, which may hold anything. Process 1 is nobody's
/// keeper.
fn parent(pid: u32) -> Option<u32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let parent = fields.split_whitespace().nth(1)?.parse().ok()?;
    (parent > 1).then_some(parent)
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_kernel_tells_who_started_a_process() {
        assert_eq!(
            super::parent(std::process::id()),
            Some(std::os::unix::process::parent_id())
        );
        assert_eq!(super::parent(0), None);
    }
}

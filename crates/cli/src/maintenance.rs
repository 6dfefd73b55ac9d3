//! What a build leaves to be done when its result is there: syncing the store, sweeping what was thrown away.
//!
//! Neither is on the critical path: a process of its own does it, which the command that started it does not wait for.
//! Killed at any time, it loses nothing; the next build starts another.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use rbuild_store::Store;

/// The hidden verb.
pub(crate) const VERB: &str = "maintain";
/// The running program, not by its path: seen from the mount namespace that we entered, a path on another mount
/// than `/` is told wrong.
const OWN_PROGRAM: &str = "/proc/self/exe";
/// At most one at a time works on a store.
const LOCK: &str = "maintenance";

/// Starts maintenance of the store at `root` in the background. That it cannot be started costs nothing but its work:
/// the next build tries again.
pub(crate) fn start(root: &Path) {
    let mut command = Command::new(OWN_PROGRAM);
    command
        .arg0("rbuild")
        .arg("--root")
        .arg(root)
        .arg(VERB)
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.process_group(0);
    let _ = command.spawn();
}

/// Does it, unless somebody else does.
pub(crate) fn run(store: &Store) -> anyhow::Result<()> {
    let Some(_only_one) = store.try_lock(LOCK)? else {
        return Ok(());
    };
    store.sync()?;
    store.flush_uses()?;
    store.sweep()?;
    Ok(())
}

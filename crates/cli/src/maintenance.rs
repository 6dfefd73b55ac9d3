//! What a build leaves to be done when its result is there: syncing the store, sweeping what was thrown away, keeping the
//! cache within its limits.
//!
//! Nothing of it is on the critical path: a process of its own does it, which the command that started it does not wait for.
//! Killed at any time, it loses nothing; the next build starts another.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use rbuild_store::Action;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};

use crate::app::App;

/// The hidden verb.
pub(crate) const VERB: &str = "maintain";
/// The running program, not by its path: seen from the mount namespace that we entered, a path on another mount
/// than `/` is told wrong.
pub(crate) const OWN_PROGRAM: &str = "/proc/self/exe";
/// At most one at a time works on a store, and at most one more waits for its turn: whoever comes then has nothing to do that
/// the one who waits will not.
const LOCK: &str = "maintenance";
const NEXT: &str = "next maintenance";
/// How long the end of the command is waited for that started us: as long as it lives, what it used stays.
const PATIENCE: Duration = Duration::from_secs(10);

// What a build gives it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Wait for the end of this process first
    #[arg(long, value_name = "PID")]
    after: Option<i32>,
}

/// Starts maintenance of the store at `root` in the background. That it cannot be started costs nothing but its work:
/// the next build tries again.
pub(crate) fn start(root: &Path, config: Option<&Path>) {
    let mut command = Command::new(OWN_PROGRAM);
    command.arg0("rbuild").arg("--root").arg(root);
    if let Some(config) = config {
        command.arg("--config").arg(config);
    }
    command
        .arg(VERB)
        .arg("--after")
        .arg(std::process::id().to_string())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.process_group(0);
    let _ = command.spawn();
}

/// Does it, unless somebody else will.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<()> {
    let store = app.store()?;
    let Some(next) = store.try_lock(NEXT)? else {
        return Ok(());
    };
    let _only_one = store.lock(LOCK, &|| false)?;
    drop(next);
    wait_for_end(args.after);
    // First, since on a full disk nothing else succeeds.
    store.empty_trash()?;
    store.sync()?;
    store.flush_uses()?;
    store.sweep()?;
    if let Some(limits) = app.cache_limits()? {
        store.collect_garbage(limits, Action::Remove)?;
    }
    Ok(())
}

/// Waits until the build that started us has ended, and no longer uses what it used.
fn wait_for_end(process: Option<i32>) {
    let builder = process.and_then(Pid::from_raw);
    // There is nothing to wait for where it is gone already.
    let Some(builder) = builder.and_then(|pid| pidfd_open(pid, PidfdFlags::empty()).ok()) else {
        return;
    };
    let mut ended = [PollFd::new(&builder, PollFlags::IN)];
    let patience = Timespec {
        tv_sec: PATIENCE.as_secs() as i64,
        tv_nsec: 0,
    };
    // Interrupted or late, the collector merely leaves more than it had to.
    let _ = poll(&mut ended, Some(&patience));
}

//! A group of its own for a normal user's container, from the user's systemd: what a user starts is in groups of root's, and
//! only systemd moves it to where the user may set limits.
//!
//! ```text
//!   /user.slice/user-1000.slice/session-5.scope                                   ─ systemd ─▶
//!   /user.slice/user-1000.slice/user@1000.service/user.slice/rbuild-<id>.scope/
//!       supervisor/            this process: a group with limits below it has none itself
//!       rbuild/<id>/           the container
//! ```
//!
//! It is asked over the user's bus, by the program `busctl` that comes with it. It removes the group when nothing runs in it
//! any more.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rbuild_sandbox::first_user_of;
use rustix::fs::{Access, access};

const UNIFIED: &str = "/sys/fs/cgroup";
/// It is there if this is version 2.
const UNIFIED_MARK: &str = "/sys/fs/cgroup/cgroup.controllers";
const BUSCTL: &str = "/usr/bin/busctl";
/// How long systemd may take to move us once it has agreed to.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(1);

/// Takes this process to a group of its own for the container `id`, where one is needed and there is somebody to ask.
pub(crate) fn enter(id: &str) {
    let Some(bus) = bus() else { return };
    let name = format!("rbuild-{}-{}.scope", &id[..12], std::process::id());
    // Whoever cannot have it goes without, as where there is no systemd.
    let _ = ask(&bus, &name).and_then(|()| arrive(&name));
}

/// The socket of the user's bus, if that is whom to ask: this is version 2, and nothing can be made at its top.
fn bus() -> Option<PathBuf> {
    let may_write = access(UNIFIED, Access::WRITE_OK).is_ok();
    if may_write || !Path::new(UNIFIED_MARK).exists() || !Path::new(BUSCTL).exists() {
        return None;
    }
    let user = first_user_of(std::process::id())?;
    let bus = PathBuf::from(format!("/run/user/{user}/bus"));
    let own = rustix::process::geteuid().as_raw();
    fs::metadata(&bus)
        .is_ok_and(|socket| socket.uid() == own)
        .then_some(bus)
}

fn ask(bus: &Path, name: &str) -> io::Result<()> {
    let manager = "org.freedesktop.systemd1";
    let agreed = Command::new(BUSCTL)
        .arg(format!("--address=unix:path={}", bus.display()))
        .args(["--quiet", "call", manager, "/org/freedesktop/systemd1"])
        .arg(format!("{manager}.Manager"))
        // The unit, what to do if there is such a one, its properties, and no further units.
        .args(["StartTransientUnit", "ssa(sv)a(sa(sv))", name, "fail"])
        .arg("5")
        .args(["PIDs", "au", "1", &std::process::id().to_string()])
        .args(["Delegate", "b", "true"])
        .args(["Slice", "s", "user.slice"])
        .args(["CollectMode", "s", "inactive-or-failed"])
        .args(["Description", "s", "container of rbuild"])
        .arg("0")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?;
    if agreed.success() {
        return Ok(());
    }
    Err(io::Error::other("systemd refused it"))
}

/// Waits until this process is in the group `name`, and goes below it.
fn arrive(name: &str) -> io::Result<()> {
    let began = Instant::now();
    let group = loop {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let own = own.lines().find_map(|line| line.strip_prefix("0::/"));
        match own.filter(|own| own.ends_with(name)) {
            Some(own) => break Path::new(UNIFIED).join(own),
            None if began.elapsed() > PATIENCE => return Err(io::ErrorKind::TimedOut.into()),
            None => std::thread::sleep(PAUSE),
        }
    };
    let leaf = group.join("supervisor");
    fs::create_dir(&leaf)?;
    fs::write(leaf.join("cgroup.procs"), "0")
}

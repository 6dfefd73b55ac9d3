//! The constant bottom layer below every root, and the place to mount on.
//!
//! ```text
//!   <scaffold>/stubs-1/etc/{hosts,resolv.conf,hostname}   empty files
//!              stubs-1/{proc,sys,dev}                     empty directories
//!   <scaffold>/mount                                      where an init mounts, unseen outside
//! ```
//!
//! Since the files to mount over exist down there, no layer gets them.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, utimensat};

use crate::SandboxError;

/// Change the number when the contents change: sandboxes of other versions may use the directory.
const STUBS: &str = "stubs-1";
const MOUNT_POINT: &str = "mount";
const DIRECTORIES: [&str; 4] = ["etc", "proc", "sys", "dev"];
const FILES: [&str; 3] = ["etc/hosts", "etc/resolv.conf", "etc/hostname"];

pub(crate) fn stubs(scaffold: &Path) -> PathBuf {
    scaffold.join(STUBS)
}

pub(crate) fn mount_point(scaffold: &Path) -> PathBuf {
    scaffold.join(MOUNT_POINT)
}

/// Makes what is missing; any number of processes may do so at once.
pub(crate) fn ensure(scaffold: &Path) -> Result<(), SandboxError> {
    let stubs = stubs(scaffold);
    let fail = |source| SandboxError::Scaffold {
        path: scaffold.to_owned(),
        source,
    };
    if stubs.is_dir() {
        return Ok(());
    }
    fs::create_dir_all(mount_point(scaffold)).map_err(fail)?;
    let draft = draft_name(scaffold);
    fill(&draft).map_err(fail)?;
    match fs::rename(&draft, &stubs) {
        Ok(()) => Ok(()),
        Err(_) if stubs.is_dir() => fs::remove_dir_all(&draft).map_err(fail),
        Err(error) => Err(fail(error)),
    }
}

fn draft_name(scaffold: &Path) -> PathBuf {
    static SERIAL: AtomicU64 = AtomicU64::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    scaffold.join(format!(".{STUBS}-{}-{serial}", std::process::id()))
}

fn fill(draft: &Path) -> io::Result<()> {
    fs::create_dir(draft)?;
    for directory in DIRECTORIES {
        fs::create_dir(draft.join(directory))?;
        fs::set_permissions(draft.join(directory), fs::Permissions::from_mode(0o755))?;
    }
    for file in FILES {
        fs::write(draft.join(file), b"")?;
        fs::set_permissions(draft.join(file), fs::Permissions::from_mode(0o644))?;
    }
    fs::set_permissions(draft, fs::Permissions::from_mode(0o755))?;
    // A directory that is copied up keeps its time: let it be the same everywhere.
    for path in DIRECTORIES
        .iter()
        .chain(&FILES)
        .map(|name| draft.join(name))
    {
        set_time_zero(&path)?;
    }
    set_time_zero(draft)
}

fn set_time_zero(path: &Path) -> io::Result<()> {
    let zero = Timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: zero,
        last_modification: zero,
    };
    Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

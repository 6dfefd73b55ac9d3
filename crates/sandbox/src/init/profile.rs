//! AppArmor: the profile that the command comes under when it is executed.

use std::os::fd::OwnedFd;

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;

use crate::InitFailure;

/// The host's processes, to be opened before the sandbox's own take their place.
pub(super) fn processes() -> Result<OwnedFd, InitFailure> {
    open(
        "/proc",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| InitFailure::step("open /proc", error))
}

/// Has the calling process come under `profile` with its next program. The kernel takes that from the process itself.
pub(super) fn confine(processes: &OwnedFd, profile: &str) -> Result<(), InitFailure> {
    let file = openat(
        processes,
        "self/attr/apparmor/exec",
        OFlags::WRONLY | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let file = file.map_err(|error| match error {
        Errno::NOENT => InitFailure::Refused(format!(
            "the AppArmor profile {profile} cannot be had: this kernel has no AppArmor"
        )),
        other => InitFailure::step("open the place of AppArmor profiles", other),
    })?;
    let action =
        || format!("come under the AppArmor profile {profile} (aa-status tells which are loaded)");
    rustix::io::write(&file, format!("exec {profile}").as_bytes())
        .map_err(|error| InitFailure::step(action(), error))?;
    Ok(())
}

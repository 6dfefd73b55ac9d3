//! Layers put together, to be looked at from outside of any sandbox.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rbuild_sys::{
    Attributes, OverlayFlavor, Recursion, UpperWork, clone_tree, mount_overlay, set_attributes,
};
use rustix::fs::CWD;

use crate::{SandboxError, Upper};

/// The tree that a sandbox with these layers (topmost first) and this upper directory sees, mounted nowhere, as long as
/// the descriptor is open. Devices in it cannot be opened, nothing in it executed; without an upper directory nothing can
/// be written.
///
/// # Errors
/// [`SandboxError::View`].
pub fn mount_view(
    lowers: &[impl AsRef<Path>],
    upper: Option<&Upper>,
) -> Result<OwnedFd, SandboxError> {
    let failed = |error: rbuild_sys::SysError| SandboxError::View(io::Error::other(error));
    let lowers: Vec<&Path> = lowers.iter().map(AsRef::as_ref).collect();
    // The kernel wants two layers where nothing can be written.
    if let (&[only], None) = (&*lowers, upper) {
        let tree = clone_tree(CWD, only, Recursion::This).map_err(failed)?;
        let attributes = harmless() | Attributes::READ_ONLY;
        set_attributes(tree.as_fd(), attributes, Recursion::This).map_err(failed)?;
        return Ok(tree);
    }
    let upper = upper.map(|upper| UpperWork {
        upper: &upper.diff,
        work: &upper.work,
    });
    let tree = mount_overlay(&lowers, upper, OverlayFlavor::detect()).map_err(failed)?;
    set_attributes(tree.as_fd(), harmless(), Recursion::This).map_err(failed)?;
    Ok(tree)
}

fn harmless() -> Attributes {
    Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXECUTE
}

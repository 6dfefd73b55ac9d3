//! Overlay mounts that nobody else sees: made detached, gone when the descriptor closes.
//!
//! ```text
//!   upper   (writable, optional)      what a step changes
//!   lower 0                           the newest layer
//!   lower n                           the oldest layer
//!   ───────                           ───────────────────
//!   the descriptor                    the merged tree
//! ```

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen,
};

use crate::{Attributes, Recursion, SysError, clone_tree, file_system, set_attributes};

mod by_options;

use self::by_options::mount_by_options;

/// The kernel's limit on lower directories (`OVL_MAX_STACK`).
pub const MAX_OVERLAY_LOWERS: usize = 500;
/// Marks a directory that hides all below it, where the flavor is [`OverlayFlavor::Trusted`].
pub const OVERLAY_OPAQUE_TRUSTED: &str = "trusted.overlay.opaque";
/// Marks a directory that hides all below it, where the flavor is [`OverlayFlavor::User`].
pub const OVERLAY_OPAQUE_USER: &str = "user.overlay.opaque";

/// `fsconfig` takes values of up to 255 bytes.
const FSCONFIG_VALUE_BYTES: usize = 255;

/// Which extended attributes overlayfs keeps its marks in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OverlayFlavor {
    /// `trusted.overlay.*`: real root, in the initial user namespace.
    Trusted,
    /// `user.overlay.*`: root of any other user namespace.
    User,
}

impl OverlayFlavor {
    /// The flavor that this process can use.
    pub fn detect() -> Self {
        if crate::is_initial_user_namespace() {
            Self::Trusted
        } else {
            Self::User
        }
    }

    /// What [`OverlayFlavor::detect`] says; the name that reads well beside other state.
    pub fn current() -> Self {
        Self::detect()
    }

    /// Prefix of the attributes: `trusted.overlay.` or `user.overlay.`.
    pub fn xattr_prefix(self) -> &'static str {
        match self {
            Self::Trusted => "trusted.overlay.",
            Self::User => "user.overlay.",
        }
    }

    /// The attribute whose value `y` makes a directory opaque.
    pub fn opaque_xattr(self) -> &'static str {
        match self {
            Self::Trusted => OVERLAY_OPAQUE_TRUSTED,
            Self::User => OVERLAY_OPAQUE_USER,
        }
    }
}

/// The writable side of an overlay: two directories of one file system.
#[derive(Debug, Clone, Copy)]
pub struct UpperWork<'a> {
    /// Receives what is changed.
    pub upper: &'a Path,
    /// Empty; the kernel's own scratch space.
    pub work: &'a Path,
}

/// Mounts `lowers` (topmost first) below an optional writable `upper` and returns the root of the
/// merged tree, attached nowhere. Without `upper` the mount is read-only and device nodes in it are dead; with it, it is
/// `volatile`: closing it does not sync, and what a crash leaves behind must be thrown away. The
/// pair may be mounted again after it was closed.
/// The upper directory stays a plain difference: no redirects, no metadata-only copies, no index.
///
/// # Errors
/// [`SysError::TooManyLayers`], or [`SysError::Overlay`] with the kernel's refusal.
pub fn mount_overlay<P: AsRef<Path>>(
    lowers: &[P],
    upper: Option<UpperWork<'_>>,
    flavor: OverlayFlavor,
) -> Result<OwnedFd, SysError> {
    let lowers = topmost_of_each(lowers);
    if lowers.len() > MAX_OVERLAY_LOWERS {
        return Err(SysError::TooManyLayers(lowers.len()));
    }
    match (lowers.as_slice(), upper) {
        ([] | [_], None) => mount_few(&lowers, flavor),
        ([], Some(_)) => {
            let empty = empty_directory()?;
            mount(&[&through_proc(empty.as_fd())], upper, flavor)
        }
        _ => mount(&lowers, upper, flavor),
    }
}

/// `lowers` without those that stand again further up. Steps with the same outcome share a layer, and the kernel refuses
/// a directory that is given twice. Whatever stands between them, the topmost one has the last word on every path
/// that the lower one says something about.
pub(crate) fn topmost_of_each<P: AsRef<Path>>(lowers: &[P]) -> Vec<&Path> {
    let mut seen = std::collections::HashSet::new();
    lowers
        .iter()
        .map(AsRef::as_ref)
        .filter(|lower| seen.insert(*lower))
        .collect()
}

/// The kernel wants two lower directories where there is no upper one: an empty one joins. Before
/// Linux 6.15 it must not be a detached mount, so there a read-only bind mount has to do.
fn mount_few(lowers: &[&Path], flavor: OverlayFlavor) -> Result<OwnedFd, SysError> {
    let empty = empty_directory()?;
    let [lower] = lowers else {
        return Ok(empty);
    };
    if let Ok(merged) = mount(&[lower, &through_proc(empty.as_fd())], None, flavor) {
        return Ok(merged);
    }
    let tree = clone_tree(CWD, lower, Recursion::This)?;
    set_attributes(tree.as_fd(), Attributes::READ_ONLY, Recursion::This)?;
    Ok(tree)
}

fn empty_directory() -> Result<OwnedFd, SysError> {
    file_system(
        "tmpfs",
        &[("size", "4k"), ("nr_inodes", "1"), ("mode", "0755")],
        Attributes::READ_ONLY,
    )
}

pub(crate) fn through_proc(fd: BorrowedFd<'_>) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

fn mount(
    lowers: &[&Path],
    upper: Option<UpperWork<'_>>,
    flavor: OverlayFlavor,
) -> Result<OwnedFd, SysError> {
    match configure(lowers, upper, flavor) {
        Err(refusal) if refusal.is_of_options() => {
            let refused = refusal.source.raw_os_error();
            mount_by_options(lowers, upper, flavor).map_err(|error| match &error {
                // Both were refused for the same reason: the first one says more of where.
                SysError::Overlay { source, .. } if source.raw_os_error() == refused => {
                    refusal.error(lowers)
                }
                _ => error,
            })
        }
        Err(refusal) => Err(refusal.error(lowers)),
        Ok(merged) => Ok(merged),
    }
}

struct Refusal {
    step: String,
    when: When,
    source: io::Error,
}

/// What the kernel was told when it refused.
#[derive(PartialEq, Eq)]
enum When {
    /// The first `lowerdir+`.
    FirstLower,
    /// That it had been told all.
    Create,
    Other,
}

impl Refusal {
    /// Whether a kernel that does not know `lowerdir+` would have refused this: from Linux 6.5 on when it hears of it, before
    /// that, where options were only collected, when it is to make sense of them.
    fn is_of_options(&self) -> bool {
        self.when != When::Other && self.source.raw_os_error() == Some(libc::EINVAL)
    }

    fn error(self, lowers: &[&Path]) -> SysError {
        SysError::Overlay {
            layers: lowers.len(),
            step: self.step,
            source: self.source,
        }
    }
}

fn configure(
    lowers: &[&Path],
    upper: Option<UpperWork<'_>>,
    flavor: OverlayFlavor,
) -> Result<OwnedFd, Refusal> {
    let refused = |step: &str| {
        let step = step.to_owned();
        move |error: rustix::io::Errno| Refusal {
            step,
            when: When::Other,
            source: error.into(),
        }
    };
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC).map_err(refused("fsopen"))?;
    for (index, lower) in lowers.iter().enumerate() {
        set_path(context.as_fd(), "lowerdir+", lower).map_err(|mut refusal| {
            if index == 0 {
                refusal.when = When::FirstLower;
            }
            refusal
        })?;
    }
    if let Some(UpperWork { upper, work }) = upper {
        forget_volatile(work);
        set_path(context.as_fd(), "upperdir", upper)?;
        set_path(context.as_fd(), "workdir", work)?;
        fsconfig_set_flag(&context, "volatile").map_err(refused("volatile"))?;
    }
    fsconfig_set_string(&context, "source", "overlay").map_err(refused("source"))?;
    for (key, value) in plain_diff_options() {
        fsconfig_set_string(&context, key, value).map_err(refused(key))?;
    }
    if flavor == OverlayFlavor::User {
        fsconfig_set_flag(&context, "userxattr").map_err(refused("userxattr"))?;
    }
    fsconfig_create(&context).map_err(|error| {
        let told = kernel_messages(context.as_fd());
        Refusal {
            when: When::Create,
            ..refused(&format!("create{told}"))(error)
        }
    })?;
    let attributes = if upper.is_none() {
        MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV
    } else {
        MountAttrFlags::empty()
    };
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(refused("fsmount"))
}

/// What keeps the upper directory a plain difference that can be read without overlayfs, and
/// keeps marks in a hostile image from redirecting anything.
fn plain_diff_options() -> [(&'static str, &'static str); 4] {
    [
        ("redirect_dir", "nofollow"),
        ("metacopy", "off"),
        ("index", "off"),
        ("xino", "off"),
    ]
}

/// An earlier volatile mount leaves a mark that makes the kernel refuse the directory. Whether what
/// it wrote survived a crash is for the caller to know, who throws drafts of dead owners away.
fn forget_volatile(work: &Path) {
    let _ = std::fs::remove_dir_all(work.join("work/incompat"));
}

/// Sets a path option; a path that `fsconfig` finds too long goes by its descriptor.
fn set_path(context: BorrowedFd<'_>, key: &str, path: &Path) -> Result<(), Refusal> {
    let refused = |source: rustix::io::Errno| Refusal {
        step: format!("{key} {}", path.display()),
        when: When::Other,
        source: source.into(),
    };
    if path.as_os_str().len() <= FSCONFIG_VALUE_BYTES {
        return fsconfig_set_string(context, key, path).map_err(refused);
    }
    let directory = open_path(path).map_err(refused)?;
    fsconfig_set_string(context, key, through_proc(directory.as_fd())).map_err(refused)
}

fn open_path(path: &Path) -> rustix::io::Result<OwnedFd> {
    rustix::fs::open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// The kernel's own words about a refused configuration, if it has any: `: lines`.
fn kernel_messages(context: BorrowedFd<'_>) -> String {
    let mut told = String::new();
    let mut line = [0_u8; 512];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut line) {
        told.push_str(if told.is_empty() { ": " } else { "; " });
        told.push_str(String::from_utf8_lossy(&line[..length]).trim_end());
    }
    told
}

#[cfg(test)]
mod tests;

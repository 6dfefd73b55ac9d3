//! The new root: put together beside the old one, then swapped for it.
//!
//! ```text
//!   <scaffold>/mount     scratch: a tmpfs that only this namespace sees
//!     ├─ root            the overlay; becomes /
//!     ├─ empty           what masked directories show
//!     ├─ dev/            device nodes, bound one by one
//!     └─ files/          generated files and secrets, bound one by one
//! ```
//!
//! Everything is bound from the scratch, which itself vanishes with the old root.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_sys::{Attributes, Recursion, attach, clone_tree, file_system, set_attributes};
use rustix::fs::{AtFlags, CWD, FileType, Mode, mkdirat, statat};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{chdir, fchdir, pivot_root};

use super::outside::Outside;
use super::target::{Targets, Trace};
use super::{devices, kernel_files, mounts};
use crate::channel::MadeAt;
use crate::stub::MadeKind;
use crate::{Access, InitFailure, KernelPaths, Source, Spec, Users, scaffold};

/// A root that is nearly ready.
pub(super) struct NewRoot {
    pub(super) targets: Targets,
    pub(super) scratch: Scratch,
    pub(super) kernel_paths: KernelPaths,
    /// The devpts instance.
    pub(super) terminals: Option<OwnedFd>,
    /// The tmpfs at /dev.
    pub(super) devices: Option<OwnedFd>,
}

/// Builds the whole root of `spec`.
pub(super) fn build(
    spec: &Spec,
    trees: &[OwnedFd],
    outside: Outside,
) -> Result<NewRoot, InitFailure> {
    let scratch = Scratch::new(spec)?;
    let root = outside.root;
    set_attributes(root.as_fd(), no_devices(spec.kernel_paths), Recursion::This)?;
    attach(root.as_fd(), scratch.as_fd(), Path::new("root"))?;
    let mut root = NewRoot {
        targets: Targets::new(root, outside.upper)?,
        scratch,
        kernel_paths: spec.kernel_paths,
        terminals: None,
        devices: None,
    };
    devices::mount(&mut root, spec, trees)?;
    kernel_files::mount(&mut root, spec.namespaces.pid, outside.system)?;
    mounts::generated_files(&mut root, spec)?;
    mounts::of_spec(&mut root, spec, trees, &outside.mounts)?;
    Ok(root)
}

/// Device nodes work only where they are bound one by one: nothing that a step makes with mknod
/// can be opened, without a device control group.
pub(super) fn no_devices(kernel_paths: KernelPaths) -> Attributes {
    match kernel_paths {
        KernelPaths::Masked => Attributes::NO_DEVICES,
        KernelPaths::Open => Attributes::empty(),
    }
}

impl NewRoot {
    /// Attaches `tree` at a directory right below the root that no image may replace by a link:
    /// what is masked later is looked for there.
    pub(super) fn attach_fixed(
        &mut self,
        tree: BorrowedFd<'_>,
        name: &str,
    ) -> Result<(), InitFailure> {
        let stat = statat(self.targets.root(), name, AtFlags::SYMLINK_NOFOLLOW);
        if stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink) {
            return Err(InitFailure::Refused(format!(
                "the image has a symbolic link in the place of /{name}"
            )));
        }
        self.attach(tree, Path::new(name), MadeKind::Directory)
    }

    /// Attaches `tree` at `path`, resolved inside the root, made where missing.
    pub(super) fn attach(
        &mut self,
        tree: BorrowedFd<'_>,
        path: &Path,
        kind: MadeKind,
    ) -> Result<(), InitFailure> {
        let target = self.targets.open(path, kind, Trace::Remove)?;
        attach(tree, target.as_fd(), Path::new("")).map_err(|error| InitFailure::Step {
            action: format!("mount at {}", path.display()),
            errno: error.errno().unwrap_or(libc::EINVAL),
        })
    }

    /// The directory to start in; made where missing, for good.
    pub(super) fn working_directory(&mut self, path: &Path) -> Result<OwnedFd, InitFailure> {
        self.targets.open(path, MadeKind::Directory, Trace::Keep)
    }

    /// Lets nobody write to the root itself from now on, if that is asked for: not before everything has its mount point.
    pub(super) fn seal(&self, access: Access) -> Result<(), InitFailure> {
        if access == Access::ReadOnly {
            set_attributes(self.targets.root(), Attributes::READ_ONLY, Recursion::This)?;
        }
        Ok(())
    }

    pub(super) fn take_made(&mut self) -> Vec<MadeAt> {
        self.targets.take_made()
    }

    /// Makes it `/` and lets go of everything else.
    pub(super) fn enter(self) -> Result<(), InitFailure> {
        let fail = |error| InitFailure::step("make the new root the root", error);
        fchdir(self.targets.root()).map_err(fail)?;
        pivot_root(".", ".").map_err(fail)?;
        unmount(".", UnmountFlags::DETACH).map_err(fail)?;
        chdir("/").map_err(fail)
    }
}

/// The tmpfs that everything comes from.
pub(super) struct Scratch(OwnedFd);

impl Scratch {
    fn new(spec: &Spec) -> Result<Self, InitFailure> {
        /// Nodes, directories and the pages that small files round up to.
        const OVERHEAD_BYTES: usize = 1 << 20;
        const PAGE_BYTES: usize = 4096;
        let data: usize = spec
            .mounts
            .iter()
            .filter_map(|mount| match &mount.source {
                Source::Data { bytes, .. } => Some(bytes.len() + PAGE_BYTES),
                _ => None,
            })
            .sum();
        let generated =
            [&spec.hosts, &spec.resolv_conf].map(|text| text.as_deref().map_or(0, str::len));
        let size = OVERHEAD_BYTES + data + generated.iter().sum::<usize>();
        let scratch = file_system(
            "tmpfs",
            &[("mode", "0700"), ("size", &size.to_string())],
            Attributes::NO_SUID,
        )?;
        let point = match spec.users {
            Users::Caller => scaffold::mount_point(&spec.scaffold),
            // The keeper has gone there.
            Users::Own { .. } => PathBuf::new(),
        };
        attach(scratch.as_fd(), CWD, &point)?;
        let scratch = Self(scratch);
        for name in ["root", "empty", "dev", "files"] {
            mkdirat(&scratch.0, name, Mode::from_raw_mode(0o755))
                .map_err(|error| InitFailure::step("prepare the scratch mount", error))?;
        }
        Ok(scratch)
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// A detached mount of something in here.
    pub(super) fn bind(&self, name: &str, attributes: Attributes) -> Result<OwnedFd, InitFailure> {
        let tree = clone_tree(self.0.as_fd(), Path::new(name), Recursion::This)?;
        if !attributes.is_empty() {
            set_attributes(tree.as_fd(), attributes, Recursion::This)?;
        }
        Ok(tree)
    }
}

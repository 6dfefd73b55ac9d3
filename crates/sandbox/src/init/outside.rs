//! What a sandbox takes from outside of it: layers, directories of the host, control groups.
//!
//! ```text
//!   no user namespace of its own     the init opens these, in its own mount namespace
//!   one of its own (root's)          the keeper opens them as root, then goes in:
//!                                      layers, changes and volumes as the namespace's ids see them,
//!                                      what else is the host's with the owners that it has
//! ```

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::sched::CloneFlags;
use rbuild_sys::{
    Attributes, OverlayFlavor, Recursion, UpperWork, UserNamespace, clone_tree, file_system,
    make_mounts_private, mount_overlay, set_rlimit,
};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, Uid, fchown, fstat, open};
use rustix::process::chdir;

use super::{Task, namespaces};
use crate::{InitFailure, Network, Process, Root, Source, Spec, Upper, Users, scaffold};

/// Opened before anything of it is used.
pub(super) struct Outside {
    /// The merged tree, or the plain directory.
    pub(super) root: OwnedFd,
    /// The overlay's upper directory.
    pub(super) upper: Option<OwnedFd>,
    /// Detached mounts of the paths and volumes of the specification, by their numbers.
    pub(super) mounts: Vec<Option<OwnedFd>>,
    /// A sysfs of a network that is not the user namespace's own.
    pub(super) system: Option<OwnedFd>,
}

impl Outside {
    /// Opens all that `spec` names, as the caller's own.
    pub(super) fn open(spec: &Spec) -> Result<Self, InitFailure> {
        let (root, upper) = match &spec.root {
            Root::Overlay { lowers, upper } => {
                let changes = upper.as_ref().map(changes_of);
                let lowers = with_stubs(spec, lowers);
                let tree = mount_overlay(&lowers, changes, OverlayFlavor::detect())?;
                let upper = changes.map(|changes| open_directory(changes.upper));
                (tree, upper.transpose()?)
            }
            Root::Directory(path) => (clone_tree(CWD, path, Recursion::This)?, None),
        };
        Ok(Self {
            root,
            upper,
            mounts: mounts(spec, None)?,
            system: None,
        })
    }

    /// Opens all that `spec` names for a user namespace of its own.
    fn open_for(spec: &Spec, users: &UserNamespace) -> Result<Self, InitFailure> {
        let (root, upper) = match &spec.root {
            Root::Overlay { lowers, upper } => {
                let changes = upper.as_ref().map(changes_of);
                let (lowers, flavor) = (with_stubs(spec, lowers), OverlayFlavor::detect());
                let point = scaffold::mount_point(&spec.scaffold);
                let mapped = users.mount_overlay(&lowers, changes, flavor, &point)?;
                (mapped.tree, mapped.upper)
            }
            Root::Directory(path) => {
                let tree = clone_tree(CWD, path, Recursion::This)?;
                users.map(tree.as_fd(), Recursion::This)?;
                (tree, None)
            }
        };
        // A sysfs belongs to a network; one that is made inside can be mounted there.
        let system = match spec.network {
            Network::None => None,
            _ => Some(file_system("sysfs", &[], Attributes::empty())?),
        };
        Ok(Self {
            root,
            upper,
            mounts: mounts(spec, Some(users))?,
            system,
        })
    }
}

/// Where the overlay keeps what is changed.
fn changes_of(upper: &Upper) -> UpperWork<'_> {
    UpperWork {
        upper: &upper.diff,
        work: &upper.work,
    }
}

/// The layers with the constant one below them.
fn with_stubs(spec: &Spec, lowers: &[std::path::PathBuf]) -> Vec<std::path::PathBuf> {
    let mut all = lowers.to_vec();
    // At the kernel's limit the layers go first: mount points are then made and removed.
    if all.len() < rbuild_sys::MAX_OVERLAY_LOWERS {
        all.push(scaffold::stubs(&spec.scaffold));
    }
    all
}

fn mounts(spec: &Spec, users: Option<&UserNamespace>) -> Result<Vec<Option<OwnedFd>>, InitFailure> {
    let one = |source: &Source| match (source, users) {
        (Source::Volume(path), Some(users)) => {
            let tree = clone_tree(CWD, path, Recursion::This)?;
            users.map(tree.as_fd(), Recursion::This)?;
            Ok(Some(tree))
        }
        (Source::Path(path) | Source::Volume(path), _) => {
            Ok(Some(clone_tree(CWD, path, Recursion::Tree)?))
        }
        _ => Ok(None),
    };
    spec.mounts.iter().map(|mount| one(&mount.source)).collect()
}

fn open_directory(path: &Path) -> Result<OwnedFd, InitFailure> {
    open(
        path,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| InitFailure::step(format!("open {}", path.display()), error))
}

/// The lists of the control groups that a process is to join; who may write to them is decided now.
pub(super) fn open_cgroups(directories: &[impl AsRef<Path>]) -> Result<Vec<OwnedFd>, InitFailure> {
    let open_one = |directory: &Path| {
        let list = directory.join("cgroup.procs");
        open(&list, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).map_err(|error| {
            InitFailure::step(format!("open control group {}", directory.display()), error)
        })
    };
    directories
        .iter()
        .map(|one| open_one(one.as_ref()))
        .collect()
}

/// The calling process joins the groups of these lists.
pub(super) fn join_cgroups(lists: Vec<OwnedFd>) -> Result<(), InitFailure> {
    for list in lists {
        rustix::io::write(&list, b"0")
            .map_err(|error| InitFailure::step("join the control group", error))?;
    }
    Ok(())
}

/// Takes what `task` needs of the host, and goes into the user namespace that it asks for, if it does.
pub(super) fn enter_users(task: &Task<Spec>) -> Result<Option<Outside>, InitFailure> {
    let Users::Own { first, count } = task.spec.users else {
        return Ok(None);
    };
    let users = UserNamespace::new(first, count)?;
    prepare_process(task, &task.spec.process, first)?;
    if let Network::Join(index) = task.spec.network {
        namespaces::join_network(&task.trees[index])?;
        namespaces::set_parameters(&task.spec, namespaces::Whose::Network)?;
    }
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| InitFailure::step("make a mount namespace", error))?;
    make_mounts_private()?;
    let outside = Outside::open_for(&task.spec, &users)?;
    // Where the init mounts; inside, nobody may look for it by its path.
    let point = scaffold::mount_point(&task.spec.scaffold);
    chdir(&point).map_err(|error| InitFailure::step("enter the scaffold", error))?;
    users.enter()?;
    Ok(Some(outside))
}

/// Decides how willingly the kernel ends what comes of this process. Root outside may make it less willing, and nobody
/// else.
pub(super) fn set_oom_score(process: &Process) -> Result<(), InitFailure> {
    const FILE: &str = "/proc/self/oom_score_adj";
    let least = || {
        let own = std::fs::read_to_string(FILE).unwrap_or_default();
        own.starts_with('-').then_some(0)
    };
    let Some(score) = process.oom_score.or_else(least) else {
        return Ok(());
    };
    std::fs::write(FILE, score.to_string())
        .map_err(|error| InitFailure::step(format!("set the OOM score to {score}"), error))
}

/// What only root outside can do for a process that is to be in a user namespace from `first` on.
pub(super) fn prepare_process<S>(
    task: &Task<S>,
    process: &Process,
    first: u32,
) -> Result<(), InitFailure> {
    let outputs = task
        .output
        .iter()
        .flat_map(|(output, error)| [output, error]);
    for descriptor in task.stdin.iter().chain(outputs) {
        give_pipe(descriptor.as_fd(), first);
    }
    for limit in &process.rlimits {
        // The limit in force is set inside, where it may be lower, too.
        let (soft, hard) = rbuild_sys::rlimit(limit.resource)?;
        if limit.hard > hard {
            set_rlimit(limit.resource, soft, limit.hard)?;
        }
    }
    Ok(())
}

/// A pipe's owner may open it again, as /dev/stdout. What refuses is left.
fn give_pipe(descriptor: BorrowedFd<'_>, id: u32) {
    let is_pipe =
        fstat(descriptor).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo);
    if is_pipe {
        let _ = fchown(descriptor, Some(Uid::from_raw(id)), Some(Gid::from_raw(id)));
    }
}

//! What a sandbox takes from outside of it: layers, directories of the host, control groups.
//!
//! ```text
//!   no user namespace of its own     the init opens these, in its own mount namespace
//!   one of its own (root's)          the keeper opens them as root, then goes in:
//!                                      layers, changes, volumes and trees as the namespace's ids see them,
//!                                      what else is the host's with the owners that it has
//! ```

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::CloneFlags;
use rbuild_sys::{
    Attributes, OverlayFlavor, Recursion, UpperWork, UserNamespace, attach, clone_tree,
    file_system, make_mounts_private, mount_overlay, openat2, set_rlimit,
};
use rustix::fs::{CWD, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchown, fstat, open};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::chdir;

use super::{Task, namespaces};
use crate::{
    InitFailure, Merged, Mount, Network, Process, Root, Source, Spec, Upper, Users, scaffold,
};

/// Opened before anything of it is used.
pub(super) struct Outside {
    /// The merged tree, or the plain directory.
    pub(super) root: OwnedFd,
    /// The overlay's upper directory.
    pub(super) upper: Option<OwnedFd>,
    /// Detached mounts of the paths, volumes and layers that the specification mounts, by their numbers.
    pub(super) mounts: Vec<Option<OwnedFd>>,
    /// A sysfs of a network that is not the user namespace's own.
    pub(super) system: Option<OwnedFd>,
}

impl Outside {
    /// Opens all that `spec` names: as it is for the caller's own users, as those of a namespace see it for them.
    pub(super) fn open(
        spec: &Spec,
        trees: &[OwnedFd],
        users: Option<&UserNamespace>,
    ) -> Result<Self, InitFailure> {
        let opener = Opener { spec, trees, users };
        let (root, upper) = match &spec.root {
            Root::Overlay(merged) => {
                let lowers = with_stubs(spec, &merged.lowers);
                opener.overlay(&lowers, merged.upper.as_ref())?
            }
            Root::Directory(path) => (opener.tree(path)?, None),
        };
        // A sysfs belongs to a network; one that is made inside can be mounted there.
        let system = match (users, spec.network) {
            (None, _) | (_, Network::None) => None,
            _ => Some(file_system("sysfs", &[], Attributes::empty())?),
        };
        let mounts = spec.mounts.iter().map(|mount| opener.mount(mount));
        Ok(Self {
            root,
            upper,
            mounts: mounts.collect::<Result<_, _>>()?,
            system,
        })
    }
}

/// The layers with the constant one below them.
fn with_stubs(spec: &Spec, lowers: &[PathBuf]) -> Vec<PathBuf> {
    let mut all = lowers.to_vec();
    // At the kernel's limit the layers go first: mount points are then made and removed.
    if all.len() < rbuild_sys::MAX_OVERLAY_LOWERS {
        all.push(scaffold::stubs(&spec.scaffold));
    }
    all
}

/// Opens what a specification names.
struct Opener<'a> {
    spec: &'a Spec,
    trees: &'a [OwnedFd],
    users: Option<&'a UserNamespace>,
}

impl Opener<'_> {
    /// What has to be opened of a mount.
    fn mount(&self, mount: &Mount) -> Result<Option<OwnedFd>, InitFailure> {
        match &mount.source {
            Source::Volume(path) if self.users.is_some() => self.tree(path).map(Some),
            Source::Path(path) | Source::Volume(path) => {
                Ok(Some(clone_tree(CWD, path, Recursion::Tree)?))
            }
            Source::Layers { merged, path } => self.part(merged, path).map(Some),
            Source::Tree(index) => {
                if let (Some(users), Some(tree)) = (self.users, self.trees.get(*index)) {
                    users.map(tree.as_fd(), &mount.target)?;
                }
                Ok(None)
            }
            Source::Tmpfs { .. } | Source::Data { .. } => Ok(None),
        }
    }

    /// What is at `path` alone, without mounts below it.
    fn tree(&self, path: &Path) -> Result<OwnedFd, InitFailure> {
        let tree = clone_tree(CWD, path, Recursion::This)?;
        if let Some(users) = self.users {
            users.map(tree.as_fd(), path)?;
        }
        Ok(tree)
    }

    /// Layers merged, and the upper directory.
    fn overlay(
        &self,
        lowers: &[PathBuf],
        upper: Option<&Upper>,
    ) -> Result<(OwnedFd, Option<OwnedFd>), InitFailure> {
        let flavor = OverlayFlavor::detect();
        let changes = upper.map(|upper| UpperWork {
            upper: &upper.diff,
            work: &upper.work,
        });
        if let Some(users) = self.users {
            let point = scaffold::mount_point(&self.spec.scaffold);
            let mapped = users.mount_overlay(lowers, changes, flavor, &point)?;
            return Ok((mapped.tree, mapped.upper));
        }
        let tree = mount_overlay(lowers, changes, flavor)?;
        let upper = changes.map(|changes| open_directory(changes.upper));
        Ok((tree, upper.transpose()?))
    }

    /// What is at `path` in layers. Its links must not lead to the host: they are resolved inside first, and what was found
    /// is cloned. Before Linux 6.15 that can be done with mounted trees only, so it is mounted for a moment.
    fn part(&self, merged: &Merged, path: &Path) -> Result<OwnedFd, InitFailure> {
        let (root, _) = self.overlay(&merged.lowers, merged.upper.as_ref())?;
        let point = scaffold::mount_point(&self.spec.scaffold);
        attach(root.as_fd(), CWD, &point)?;
        let part = clone_part(&root, path);
        unmount(&point, UnmountFlags::DETACH).map_err(|error| {
            InitFailure::step(format!("take a source off {}", point.display()), error)
        })?;
        part
    }
}

/// The mount of what is at `path` in `root`, which is mounted.
fn clone_part(root: &OwnedFd, path: &Path) -> Result<OwnedFd, InitFailure> {
    let found = openat2(
        root.as_fd(),
        path,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|error| InitFailure::step(format!("open {} in its source", path.display()), error))?;
    Ok(clone_tree(found.as_fd(), Path::new(""), Recursion::This)?)
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
        namespaces::join_network_for_others(&task.spec, &task.trees[index])?;
    }
    nix::sched::unshare(CloneFlags::CLONE_NEWNS)
        .map_err(|error| InitFailure::step("make a mount namespace", error))?;
    make_mounts_private()?;
    let outside = Outside::open(&task.spec, &task.trees, Some(&users))?;
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

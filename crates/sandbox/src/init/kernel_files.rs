//! /proc and /sys: fresh ones, with Docker's masks over what tells or does too much.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rbuild_sys::{Attributes, Recursion, attach, clone_tree, file_system, set_attributes};
use rustix::fs::{CWD, FileType, Mode, OFlags, fstat, mkdirat, openat, statfs, symlinkat};
use rustix::io::Errno;

use super::devices;
use super::root::NewRoot;
use crate::{InitFailure, KernelPaths, Namespace};

const MASKED_IN_PROC: [&str; 10] = [
    "acpi",
    "asound",
    "interrupts",
    "kcore",
    "keys",
    "latency_stats",
    "sched_debug",
    "scsi",
    "timer_list",
    "timer_stats",
];
const MASKED_IN_SYS: [&str; 2] = ["firmware", "devices/virtual/powercap"];
const READ_ONLY_IN_PROC: [&str; 5] = ["bus", "fs", "irq", "sys", "sysrq-trigger"];

/// `CGROUP2_SUPER_MAGIC` of `linux/magic.h`.
const CGROUP2_MAGIC: u64 = 0x6367_7270;

/// What every file system of the kernel's own is mounted with.
fn harmless() -> Attributes {
    Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXECUTE
}

pub(super) fn mount(
    root: &mut NewRoot,
    processes: Namespace,
    system: Option<OwnedFd>,
) -> Result<(), InitFailure> {
    let processes = mount_proc(processes)?;
    root.attach_fixed(processes.as_fd(), "proc")?;
    let system = mount_sys(root.kernel_paths, system)?;
    root.attach_fixed(system.as_fd(), "sys")?;
    mount_cgroups(system.as_fd(), root.kernel_paths)?;
    if root.kernel_paths == KernelPaths::Open {
        return Ok(());
    }
    for name in MASKED_IN_PROC {
        mask(root, processes.as_fd(), name)?;
    }
    for name in READ_ONLY_IN_PROC {
        make_read_only(processes.as_fd(), name)?;
    }
    for name in MASKED_IN_SYS {
        mask(root, system.as_fd(), name)?;
    }
    mask_thermal_counters(root, system.as_fd())
}

/// A user namespace may not mount one for processes that are not its own, and shows the host's.
fn mount_proc(processes: Namespace) -> Result<OwnedFd, InitFailure> {
    let fresh = file_system("proc", &[], harmless());
    if fresh.is_err() && processes == Namespace::Host {
        let shown = clone_tree(CWD, Path::new("/proc"), Recursion::Tree)?;
        set_attributes(shown.as_fd(), harmless(), Recursion::Tree)?;
        return Ok(shown);
    }
    fresh.map_err(|error| match error.errno() {
        Some(libc::EPERM) => InitFailure::Refused(
            "a fresh /proc cannot be mounted: parts of this system's own /proc are hidden, as \
             they are inside most containers (run that container with an unmasked /proc, \
             `--security-opt systempaths=unconfined`)"
                .to_owned(),
        ),
        _ => error.into(),
    })
}

/// A sysfs belongs to a network: without one of our own in a user namespace, the host's is shown.
fn mount_sys(kernel_paths: KernelPaths, given: Option<OwnedFd>) -> Result<OwnedFd, InitFailure> {
    let mut attributes = harmless();
    if kernel_paths == KernelPaths::Masked {
        attributes |= Attributes::READ_ONLY;
    }
    if let Some(given) = given {
        set_attributes(given.as_fd(), attributes, Recursion::This)?;
        return Ok(given);
    }
    if let Ok(fresh) = file_system("sysfs", &[], attributes) {
        return Ok(fresh);
    }
    let shown = clone_tree(CWD, Path::new("/sys"), Recursion::Tree)?;
    set_attributes(shown.as_fd(), attributes, Recursion::Tree)?;
    Ok(shown)
}

/// The control groups as the sandbox's own group sees them: the unified hierarchy, or one for each controller, as the
/// host has them.
fn mount_cgroups(system: BorrowedFd<'_>, kernel_paths: KernelPaths) -> Result<(), InitFailure> {
    const PLACE: &str = "fs/cgroup";
    let mut attributes = harmless();
    if kernel_paths == KernelPaths::Masked {
        attributes |= Attributes::READ_ONLY;
    }
    let unified = statfs("/sys/fs/cgroup")
        .is_ok_and(|stat| u64::try_from(stat.f_type).is_ok_and(|kind| kind == CGROUP2_MAGIC));
    if !unified {
        return mount_separate_cgroups(system, PLACE, attributes);
    }
    match file_system("cgroup2", &[], attributes) {
        Ok(groups) => Ok(attach(groups.as_fd(), system, Path::new(PLACE))?),
        // Not every user namespace may mount it; the bound /sys then shows the host's read-only.
        Err(_) => Ok(()),
    }
}

/// A directory for each hierarchy of version 1, named after its controllers.
fn mount_separate_cgroups(
    system: BorrowedFd<'_>,
    place: &str,
    attributes: Attributes,
) -> Result<(), InitFailure> {
    let groups = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let hierarchies: Vec<(&str, OwnedFd)> = hierarchies(&groups)
        .filter_map(|name| {
            let options: Vec<(&str, &str)> = match name.split_once('=') {
                Some(named) => vec![("none", ""), named],
                None => name.split(',').map(|controller| (controller, "")).collect(),
            };
            // Nor may every user namespace mount these.
            let groups = file_system("cgroup", &options, attributes).ok()?;
            Some((name.trim_start_matches("name="), groups))
        })
        .collect();
    if hierarchies.is_empty() {
        return Ok(());
    }
    let directory = file_system("tmpfs", &[("mode", "0755"), ("size", "64k")], harmless())?;
    let prepare = |name: &str| {
        mkdirat(&directory, name, Mode::from_raw_mode(0o755))?;
        // Programs look for a controller by its own name, wherever it is.
        let others = name.split(',').filter(|controller| *controller != name);
        let mut links = others.map(|controller| symlinkat(name, &directory, controller));
        links.try_for_each(|made| made)
    };
    for (name, _) in &hierarchies {
        prepare(name)
            .map_err(|error| InitFailure::step(format!("prepare /sys/fs/cgroup/{name}"), error))?;
    }
    set_attributes(directory.as_fd(), attributes, Recursion::This)?;
    match attach(directory.as_fd(), system, Path::new(place)) {
        // A kernel's /sys without a place for them.
        Err(error) if error.errno() == Some(libc::ENOENT) => return Ok(()),
        other => other?,
    }
    for (name, groups) in hierarchies {
        attach(groups.as_fd(), directory.as_fd(), Path::new(name))?;
    }
    Ok(())
}

/// The names of version 1's hierarchies in the text of /proc/PID/cgroup (cgroups(7)).
fn hierarchies(groups: &str) -> impl Iterator<Item = &str> {
    let names = groups.lines().filter_map(|line| line.split(':').nth(1));
    names.filter(|name| !name.is_empty())
}

/// Covers `name` below `directory`, if it exists.
fn mask(root: &NewRoot, directory: BorrowedFd<'_>, name: &str) -> Result<(), InitFailure> {
    let Some(target) = find(directory, name)? else {
        return Ok(());
    };
    let kind = fstat(&target).map_err(|error| InitFailure::step(format!("mask {name}"), error))?;
    let cover = if FileType::from_raw_mode(kind.st_mode) == FileType::Directory {
        root.scratch
            .bind("empty", Attributes::READ_ONLY | harmless())?
    } else {
        devices::node(&root.scratch, "null")?
    };
    Ok(attach(cover.as_fd(), target.as_fd(), Path::new(""))?)
}

fn make_read_only(directory: BorrowedFd<'_>, name: &str) -> Result<(), InitFailure> {
    let Some(target) = find(directory, name)? else {
        return Ok(());
    };
    let tree = clone_tree(target.as_fd(), Path::new(""), Recursion::This)?;
    set_attributes(
        tree.as_fd(),
        Attributes::READ_ONLY | harmless(),
        Recursion::This,
    )?;
    Ok(attach(tree.as_fd(), target.as_fd(), Path::new(""))?)
}

/// Either every processor has these counters or none.
fn mask_thermal_counters(root: &NewRoot, system: BorrowedFd<'_>) -> Result<(), InitFailure> {
    for processor in 0.. {
        let name = format!("devices/system/cpu/cpu{processor}/thermal_throttle");
        if find(system, &name)?.is_none() {
            return Ok(());
        }
        mask(root, system, &name)?;
    }
    Ok(())
}

fn find(directory: BorrowedFd<'_>, name: &str) -> Result<Option<OwnedFd>, InitFailure> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match openat(directory, name, flags, Mode::empty()) {
        Ok(found) => Ok(Some(found)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(InitFailure::step(format!("look for {name}"), error)),
    }
}

//! /dev: the few devices that do no harm, terminals, shared memory, message queues.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use rbuild_sys::{
    Attributes, Recursion, attach, clone_tree, file_system, open_terminal_peer, set_attributes,
};
use rustix::fs::{
    AtFlags, CWD, FileType, Mode, OFlags, chmodat, makedev, mkdirat, mknodat, openat, statat,
    symlinkat,
};
use rustix::io::Errno;
use rustix::pty::unlockpt;
use rustix::termios::{Winsize, tcsetwinsize};

use super::root::{NewRoot, Scratch, no_devices};
use crate::channel::{Channel, Report};
use crate::{InitFailure, KernelPaths, SharedMemory, Spec, TerminalSize};

/// Name, major and minor number.
const DEVICES: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

/// Link and text.
const LINKS: [(&str, &str); 6] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
];

/// `DEVPTS_SUPER_MAGIC` of `linux/magic.h`.
const DEVPTS_MAGIC: u64 = 0x1cd1;

const SHARED_MEMORY: &str = "/dev/shm";

/// Group `tty` of every distribution.
const TTY_GROUP: &str = "5";

pub(super) fn mount(root: &mut NewRoot, spec: &Spec, trees: &[OwnedFd]) -> Result<(), InitFailure> {
    let devices = file_system(
        "tmpfs",
        &[("mode", "0755"), ("size", "65536k")],
        Attributes::NO_SUID | no_devices(root.kernel_paths),
    )?;
    fill(&devices)?;
    root.attach_fixed(devices.as_fd(), "dev")?;
    make_nodes(&root.scratch)?;
    for (name, ..) in DEVICES {
        let node = node(&root.scratch, name)?;
        attach(node.as_fd(), devices.as_fd(), Path::new(name))?;
    }
    if root.kernel_paths == KernelPaths::Open {
        add_host_devices(&devices)?;
    }
    let terminals = mount_terminals()?;
    attach(terminals.as_fd(), devices.as_fd(), Path::new("pts"))?;
    let plain = Attributes::NO_SUID | Attributes::NO_DEVICES | Attributes::NO_EXECUTE;
    if let Some(shared) = shared_memory(spec, trees)? {
        set_attributes(shared.as_fd(), plain, Recursion::This)?;
        attach(shared.as_fd(), devices.as_fd(), Path::new("shm"))?;
    }
    // Kernels without POSIX message queues do without the directory too.
    if let Ok(queues) = file_system("mqueue", &[], plain) {
        attach(queues.as_fd(), devices.as_fd(), Path::new("mqueue"))?;
    }
    root.terminals = Some(terminals);
    root.devices = Some(devices);
    Ok(())
}

/// What goes to /dev/shm.
fn shared_memory(spec: &Spec, trees: &[OwnedFd]) -> Result<Option<OwnedFd>, InitFailure> {
    Ok(Some(match spec.shared_memory {
        SharedMemory::Absent => return Ok(None),
        SharedMemory::Host => clone_tree(CWD, Path::new(SHARED_MEMORY), Recursion::This)?,
        SharedMemory::Of(index) => trees[index]
            .try_clone()
            .map_err(|error| InitFailure::step("take a mount", error))?,
        SharedMemory::Own => {
            let size = spec.shm_bytes.to_string();
            file_system(
                "tmpfs",
                &[("mode", "1777"), ("size", &size)],
                Attributes::empty(),
            )?
        }
    }))
}

/// A detached mount of what is at /dev/shm in another mount namespace, which this process visits for that.
pub(super) fn shared_memory_of(mounts: &OwnedFd) -> Result<OwnedFd, InitFailure> {
    let fail = |error: std::io::Error| InitFailure::step("take the other's /dev/shm", error);
    let own = openat(
        CWD,
        "/proc/self/ns/mnt",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| fail(error.into()))?;
    let visit = |namespace: &OwnedFd| setns(namespace, CloneFlags::CLONE_NEWNS);
    visit(mounts).map_err(|error| fail(error.into()))?;
    let tree = clone_tree(CWD, Path::new(SHARED_MEMORY), Recursion::This);
    visit(&own).map_err(|error| fail(error.into()))?;
    Ok(tree?)
}

/// The other devices right below the host's /dev, for steps and containers without a fence: loops, fuse, kvm, disks.
/// In a user namespace none can be made, and those of the host are bound.
fn add_host_devices(devices: &OwnedFd) -> Result<(), InitFailure> {
    let fail = |error: std::io::Error| InitFailure::step("read the host's /dev", error);
    for entry in std::fs::read_dir("/dev").map_err(fail)? {
        let entry = entry.map_err(fail)?;
        let name = entry.file_name();
        let Ok(found) = statat(CWD, entry.path(), AtFlags::SYMLINK_NOFOLLOW) else {
            continue; // it went away meanwhile
        };
        let kind = FileType::from_raw_mode(found.st_mode);
        if !matches!(kind, FileType::CharacterDevice | FileType::BlockDevice) {
            continue;
        }
        let mode = Mode::from_raw_mode(found.st_mode);
        match mknodat(devices, &name, kind, mode, found.st_rdev) {
            Ok(()) => chmodat(devices, &name, mode, AtFlags::empty())
                .map_err(|error| InitFailure::step("make a device", error))?,
            // One of ours has the name.
            Err(Errno::EXIST) => {}
            Err(Errno::PERM) => {
                openat(
                    devices,
                    &name,
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
                    mode,
                )
                .map_err(|error| InitFailure::step("make a device", error))?;
                let node = clone_tree(CWD, &entry.path(), Recursion::This)?;
                attach(node.as_fd(), devices.as_fd(), Path::new(&name))?;
            }
            Err(error) => return Err(InitFailure::step("make a device", error)),
        }
    }
    Ok(())
}

fn fill(devices: &OwnedFd) -> Result<(), InitFailure> {
    let fail = |name: &'static str| {
        move |error: Errno| InitFailure::step(format!("make /dev/{name}"), error)
    };
    for name in ["pts", "shm", "mqueue"] {
        mkdirat(devices, name, Mode::from_raw_mode(0o755)).map_err(fail(name))?;
    }
    for (name, ..) in DEVICES {
        make_file(devices, name).map_err(fail(name))?;
    }
    for (name, text) in LINKS {
        symlinkat(text, devices, name).map_err(fail(name))?;
    }
    Ok(())
}

fn make_file(directory: &OwnedFd, name: &str) -> rustix::io::Result<()> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    openat(directory, name, flags, Mode::from_raw_mode(0o666)).map(drop)
}

/// Real nodes where that is allowed; in a user namespace those of the host are bound instead.
fn make_nodes(scratch: &Scratch) -> Result<(), InitFailure> {
    for (name, major, minor) in DEVICES {
        let path = format!("dev/{name}");
        let mode = Mode::from_raw_mode(0o666);
        match mknodat(
            scratch.as_fd(),
            &path,
            FileType::CharacterDevice,
            mode,
            makedev(major, minor),
        ) {
            Ok(()) => {}
            Err(Errno::PERM) => return Ok(()),
            Err(error) => return Err(InitFailure::step(format!("make /dev/{name}"), error)),
        }
        chmodat(scratch.as_fd(), &path, mode, AtFlags::empty())
            .map_err(|error| InitFailure::step(format!("make /dev/{name}"), error))?;
    }
    Ok(())
}

/// A detached mount of one device.
pub(super) fn node(scratch: &Scratch, name: &str) -> Result<OwnedFd, InitFailure> {
    match scratch.bind(&format!("dev/{name}"), Attributes::empty()) {
        Ok(node) => Ok(node),
        Err(_) => Ok(clone_tree(
            CWD,
            &Path::new("/dev").join(name),
            Recursion::This,
        )?),
    }
}

fn mount_terminals() -> Result<OwnedFd, InitFailure> {
    let attributes = Attributes::NO_SUID | Attributes::NO_EXECUTE;
    let options = [("ptmxmode", "0666"), ("mode", "0620"), ("gid", TTY_GROUP)];
    // With a single-id map there is no such group.
    Ok(file_system("devpts", &options, attributes)
        .or_else(|_| file_system("devpts", &options[..2], attributes))?)
}

/// Both ends of a new terminal of the sandbox's own.
pub(super) struct Terminal {
    master: OwnedFd,
    pub(super) slave: OwnedFd,
}

pub(super) fn open_terminal(
    root: &mut NewRoot,
    size: TerminalSize,
) -> Result<Terminal, InitFailure> {
    let fail = |error: Errno| InitFailure::step("open a terminal", error);
    let (Some(terminals), Some(devices)) = (&root.terminals, &root.devices) else {
        return Err(InitFailure::Refused("there is no /dev/pts".to_owned()));
    };
    let terminal = Terminal::open(terminals, size)?;
    // A fresh instance: the first terminal is number 0.
    let console = clone_tree(terminals.as_fd(), Path::new("0"), Recursion::This)?;
    make_file(devices, "console").map_err(fail)?;
    attach(console.as_fd(), devices.as_fd(), Path::new("console"))?;
    Ok(terminal)
}

/// A further terminal for a process that has joined a sandbox: of the instance at its /dev/pts, and of nothing else that
/// somebody may have put there.
pub(super) fn open_terminal_inside(size: TerminalSize) -> Result<Terminal, InitFailure> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fail = |error: Errno| InitFailure::step("open /dev/pts", error);
    let terminals = openat(CWD, "/dev/pts", flags, Mode::empty()).map_err(fail)?;
    let kind = rustix::fs::fstatfs(&terminals).map_err(fail)?.f_type;
    if u64::try_from(kind) != Ok(DEVPTS_MAGIC) {
        return Err(InitFailure::Refused(
            "the container's /dev/pts holds no terminals".to_owned(),
        ));
    }
    Terminal::open(&terminals, size)
}

impl Terminal {
    fn open(terminals: &OwnedFd, size: TerminalSize) -> Result<Self, InitFailure> {
        let fail = |error: Errno| InitFailure::step("open a terminal", error);
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let master = openat(terminals, "ptmx", flags, Mode::empty()).map_err(fail)?;
        unlockpt(&master).map_err(fail)?;
        let slave = open_terminal_peer(master.as_fd())?;
        let size = Winsize {
            ws_row: size.rows,
            ws_col: size.columns,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&master, size).map_err(fail)?;
        Ok(Self { master, slave })
    }

    /// Sends the caller its end.
    pub(super) fn hand_over(&self, report: &Channel) -> Result<(), InitFailure> {
        report
            .send(&Report::Terminal, &[self.master.as_fd()])
            .map_err(|error| InitFailure::step("hand over the terminal", error))
    }
}

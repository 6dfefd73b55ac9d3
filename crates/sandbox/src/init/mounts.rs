//! What the specification mounts: host paths, detached trees, memory, generated files.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_sys::{Attributes, Recursion, file_system, openat2, set_attributes};
use rustix::fs::{FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fchmod, fchown, fstat, openat};

use super::root::{NewRoot, no_devices};
use crate::copy::copy_directory;
use crate::stub::MadeKind;
use crate::{Access, InitFailure, KernelPaths, Mount, Programs, Source, Spec};

/// /etc/hosts, /etc/resolv.conf and /etc/hostname: writable, but what is written is not kept.
pub(super) fn generated_files(root: &mut NewRoot, spec: &Spec) -> Result<(), InitFailure> {
    let hostname = format!("{}\n", spec.hostname);
    let files = [
        ("etc/hosts", spec.hosts.as_deref()),
        ("etc/resolv.conf", spec.resolv_conf.as_deref()),
        ("etc/hostname", Some(hostname.as_str())),
    ];
    for (target, text) in files {
        let Some(text) = text else { continue };
        let name = format!("files/{}", target.replace('/', "-"));
        write_file(root, &name, text.as_bytes(), 0o644, None)?;
        let tree = root.scratch.bind(&name, Attributes::NO_DEVICES)?;
        root.attach(tree.as_fd(), Path::new(target), MadeKind::File)?;
    }
    Ok(())
}

/// The mounts of `spec`, parents first, otherwise in the order given.
pub(super) fn of_spec(
    root: &mut NewRoot,
    spec: &Spec,
    trees: &[OwnedFd],
    opened: &[Option<OwnedFd>],
) -> Result<(), InitFailure> {
    let mut mounts: Vec<(usize, PathBuf, &Mount)> = spec
        .mounts
        .iter()
        .enumerate()
        .map(|(index, mount)| (index, spec.process.cwd.join(&mount.target), mount))
        .collect();
    mounts.sort_by_key(|(_, target, _)| target.components().count());
    for (index, target, mount) in mounts {
        let (tree, kind) = tree_of(root, index, mount, (trees, opened))?;
        if let Source::Volume(_) = &mount.source {
            fill(root, &tree, &target)?;
        }
        restrict(&tree, mount, root.kernel_paths)?;
        root.attach(tree.as_fd(), &target, kind)?;
    }
    Ok(())
}

fn tree_of(
    root: &NewRoot,
    index: usize,
    mount: &Mount,
    (trees, opened): (&[OwnedFd], &[Option<OwnedFd>]),
) -> Result<(OwnedFd, MadeKind), InitFailure> {
    let given = match &mount.source {
        Source::Tree(index) => trees.get(*index),
        _ => opened[index].as_ref(),
    };
    match &mount.source {
        Source::Path(_) | Source::Volume(_) | Source::Tree(_) | Source::Layers { .. } => {
            let given =
                given.ok_or_else(|| InitFailure::Refused("a mount is missing".to_owned()))?;
            let tree = given
                .try_clone()
                .map_err(|error| InitFailure::step("take a mount", error))?;
            let kind = kind_of(&tree)?;
            Ok((tree, kind))
        }
        Source::Tmpfs {
            bytes,
            mode,
            owner,
            programs,
        } => {
            let size = bytes.map_or_else(|| "50%".to_owned(), |bytes| bytes.to_string());
            let options = [
                ("mode", &*format!("{mode:o}")),
                ("size", &*size),
                ("uid", &*owner.0.to_string()),
                ("gid", &*owner.1.to_string()),
            ];
            let mut attributes = Attributes::NO_SUID | Attributes::NO_DEVICES;
            if *programs == Programs::Refused {
                attributes |= Attributes::NO_EXECUTE;
            }
            let tree = file_system("tmpfs", &options, attributes)?;
            Ok((tree, MadeKind::Directory))
        }
        Source::Data {
            bytes,
            mode,
            uid,
            gid,
        } => {
            let name = format!("files/{index}");
            write_file(root, &name, bytes, *mode, Some((*uid, *gid)))?;
            let tree = root.scratch.bind(&name, Attributes::empty())?;
            Ok((tree, MadeKind::File))
        }
    }
}

/// Copies what the root has at `target` into a volume that is still empty.
fn fill(root: &NewRoot, volume: &OwnedFd, target: &Path) -> Result<(), InitFailure> {
    let fail = |error: std::io::Error| {
        InitFailure::step(format!("fill the volume at {}", target.display()), error)
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let volume = openat(volume, ".", flags, Mode::empty()).map_err(|e| fail(e.into()))?;
    let mut entries = rustix::fs::Dir::read_from(&volume).map_err(|e| fail(e.into()))?;
    let empty = entries
        .all(|entry| entry.is_ok_and(|entry| matches!(entry.file_name().to_bytes(), b"." | b"..")));
    if !empty {
        return Ok(());
    }
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    match openat2(root.targets.root(), target, flags, Mode::empty(), resolve) {
        Ok(own) => copy_directory(&own, &volume).map_err(fail),
        // The image has nothing there, or no directory.
        Err(_) => Ok(()),
    }
}

fn restrict(tree: &OwnedFd, mount: &Mount, kernel_paths: KernelPaths) -> Result<(), InitFailure> {
    let mut attributes = no_devices(kernel_paths);
    if is_device(tree)? {
        // A device that is bound by name was meant to work.
        attributes = Attributes::empty();
    }
    if mount.access == Access::ReadOnly {
        attributes |= Attributes::READ_ONLY;
    }
    Ok(set_attributes(tree.as_fd(), attributes, Recursion::Tree)?)
}

fn is_device(tree: &OwnedFd) -> Result<bool, InitFailure> {
    Ok(matches!(
        file_type(tree)?,
        FileType::CharacterDevice | FileType::BlockDevice
    ))
}

fn kind_of(tree: &OwnedFd) -> Result<MadeKind, InitFailure> {
    Ok(if file_type(tree)? == FileType::Directory {
        MadeKind::Directory
    } else {
        MadeKind::File
    })
}

fn file_type(tree: &OwnedFd) -> Result<FileType, InitFailure> {
    let stat = fstat(tree).map_err(|error| InitFailure::step("look at a mount", error))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

fn write_file(
    root: &NewRoot,
    name: &str,
    bytes: &[u8],
    mode: u32,
    owner: Option<(u32, u32)>,
) -> Result<(), InitFailure> {
    let fail = |error: std::io::Error| InitFailure::step("write a file for the sandbox", error);
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = openat(
        root.scratch.as_fd(),
        name,
        flags,
        Mode::from_raw_mode(0o600),
    )
    .map_err(|error| fail(error.into()))?;
    let mut file = File::from(file);
    file.write_all(bytes).map_err(fail)?;
    if let Some((uid, gid)) = owner.filter(|owner| *owner != (0, 0)) {
        fchown(&file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))
            .map_err(|_| InitFailure::UnmappedUser { uid, gid })?;
    }
    fchmod(&file, Mode::from_raw_mode(mode)).map_err(|error| fail(error.into()))
}

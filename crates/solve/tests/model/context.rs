//! A tree of the model as files: only what differs is touched, as an editor would.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::world::{File, Node, Tree};

const XATTR: &str = "user.model";

/// Makes the directory that holds `old` hold `new`.
pub(crate) fn sync(directory: &Path, old: &Tree, new: &Tree) -> io::Result<()> {
    let kept = |path: &String| match (old.get(path), new.get(path)) {
        (Some(old), Some(new)) => {
            old == new || matches!((old, new), (Node::File(_), Node::File(_)))
        }
        _ => false,
    };
    let mut made: BTreeSet<&String> = BTreeSet::new();
    for path in old.keys().rev().filter(|path| !kept(path)) {
        let at = directory.join(path);
        match old[path] {
            Node::Directory { .. } if matches!(new.get(path), Some(Node::Directory { .. })) => {}
            Node::Directory { .. } => fs::remove_dir(&at)?,
            _ => fs::remove_file(&at)?,
        }
    }
    for (path, node) in new {
        let at = directory.join(path);
        match node {
            Node::Directory { mode } => {
                if !matches!(old.get(path), Some(Node::Directory { .. })) {
                    fs::create_dir(&at)?;
                }
                fs::set_permissions(&at, fs::Permissions::from_mode(*mode))?;
            }
            Node::File(file) => {
                if !kept(path) {
                    made.insert(path);
                }
                if old.get(path) != Some(node) {
                    write(&at, file)?;
                }
            }
            Node::Symlink(target) if !kept(path) => symlink(target, &at)?,
            Node::Symlink(_) | Node::Hardlink(_) => {}
        }
    }
    for (path, node) in new {
        if let Node::Hardlink(target) = node
            && (!kept(path) || made.contains(target))
        {
            let at = directory.join(path);
            if kept(path) {
                fs::remove_file(&at)?;
            }
            fs::hard_link(directory.join(target), at)?;
        }
    }
    Ok(())
}

/// The file's bytes and attributes, whatever it was before; it stays the same file.
fn write(at: &Path, file: &File) -> io::Result<()> {
    if fs::read(at).ok().as_deref() != Some(file.text.as_bytes()) {
        fs::write(at, file.text)?;
    }
    match file.xattr {
        Some(value) => {
            rustix::fs::setxattr(at, XATTR, value.as_bytes(), rustix::fs::XattrFlags::empty())?;
        }
        None => match rustix::fs::removexattr(at, XATTR) {
            Ok(()) | Err(rustix::io::Errno::NODATA) => {}
            Err(error) => return Err(error.into()),
        },
    }
    chown(at, Some(file.owner), Some(file.owner))?;
    fs::set_permissions(at, fs::Permissions::from_mode(file.mode))?;
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(file.seconds);
    fs::File::open(at)?.set_modified(modified)
}

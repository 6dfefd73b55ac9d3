//! Extended attributes: which belong to a layer, reading them, writing them.

use std::os::fd::{AsRawFd, BorrowedFd};

use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr, lgetxattr, llistxattr};
use rustix::io::{Errno, Result};

/// A list of attribute names that is longer is asked for again with a larger buffer.
const LIST_BYTES: usize = 1024;

/// The kernel's limit on a value (`XATTR_SIZE_MAX`), and on the list of names (`XATTR_LIST_MAX`).
const MAX_BYTES: usize = 64 * 1024;

/// Sorted names and values.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Whether an attribute is the file's own and travels with the layer: `user.*` and file capabilities.
/// Labels of the host (`security.selinux`), access control lists, and overlayfs' notes are not.
pub(crate) fn travels(name: &[u8]) -> bool {
    name == b"security.capability"
        || (name.starts_with(b"user.") && !name.starts_with(b"user.overlay."))
}

/// The attributes of an open file or directory that a layer keeps, sorted by name.
pub fn layer_xattrs(file: BorrowedFd<'_>) -> Result<Xattrs> {
    read(Subject::Open(file), travels)
}

/// What attributes are read from.
#[derive(Clone, Copy)]
pub(crate) enum Subject<'a> {
    /// An open file or directory.
    Open(BorrowedFd<'a>),
    /// A name in a directory, not opened, not followed.
    Named(BorrowedFd<'a>, &'a [u8]),
}

/// All attributes of `subject` whose names `wanted` accepts, sorted. A file system without attributes
/// has none.
pub(crate) fn read(subject: Subject<'_>, wanted: impl Fn(&[u8]) -> bool) -> Result<Xattrs> {
    let mut list = vec![0; LIST_BYTES];
    let length = loop {
        match list_names(subject, &mut list) {
            Ok(length) => break length,
            Err(Errno::RANGE) if list.len() < MAX_BYTES => list.resize(MAX_BYTES, 0),
            Err(Errno::NOTSUP) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        }
    };
    let mut xattrs = Vec::new();
    for name in list[..length].split(|&byte| byte == 0) {
        if !name.is_empty() && wanted(name) {
            match value(subject, name) {
                Ok(value) => xattrs.push((name.to_vec(), value)),
                Err(Errno::NODATA) => {}
                Err(error) => return Err(error),
            }
        }
    }
    xattrs.sort_unstable();
    Ok(xattrs)
}

/// Sets one attribute of an open file or directory.
pub(crate) fn set(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) -> Result<()> {
    fsetxattr(file, name, value, XattrFlags::empty())
}

fn list_names(subject: Subject<'_>, list: &mut [u8]) -> Result<usize> {
    match subject {
        Subject::Open(file) => flistxattr(file, list),
        Subject::Named(directory, name) => llistxattr(through_proc(directory, name), list),
    }
}

fn value(subject: Subject<'_>, name: &[u8]) -> Result<Vec<u8>> {
    let mut value = vec![0; LIST_BYTES];
    loop {
        let read = match subject {
            Subject::Open(file) => fgetxattr(file, name, value.as_mut_slice()),
            Subject::Named(directory, file) => {
                lgetxattr(through_proc(directory, file), name, value.as_mut_slice())
            }
        };
        match read {
            Ok(length) => {
                value.truncate(length);
                return Ok(value);
            }
            Err(Errno::RANGE) if value.len() < MAX_BYTES => value.resize(MAX_BYTES, 0),
            Err(error) => return Err(error),
        }
    }
}

/// A name in an open directory, for calls that only take paths. The name is one component and is not
/// followed, so nothing but that entry can be meant.
fn through_proc(directory: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    let mut path = format!("/proc/self/fd/{}/", directory.as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

//! The program that inits are started from: rbuild itself, behind a read-only mount.
//!
//! Root inside a sandbox could otherwise reach the file that it was started from through
//! /proc/self/exe and overwrite the builder. Behind a detached read-only mount the kernel refuses
//! to open it for writing, whoever asks; where that mount cannot be had, a sealed copy in memory
//! does the same.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rbuild_sys::{Attributes, Recursion, clone_tree, set_attributes};
use rustix::fs::{
    CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags, fcntl_add_seals, fcntl_get_seals,
    fstatvfs, memfd_create, open,
};

use crate::SandboxError;

/// A path that starts this very program in a way that nobody can write to it; made once in a process and kept until its
/// end. What is started so has it ready for its own children.
///
/// # Errors
/// [`SandboxError::Executable`].
pub fn safe_program() -> Result<PathBuf, SandboxError> {
    static PROGRAM: Mutex<Option<OwnedFd>> = Mutex::new(None);
    let mut program = PROGRAM.lock().unwrap_or_else(PoisonError::into_inner);
    let descriptor = match &*program {
        Some(descriptor) => descriptor.as_raw_fd(),
        None => program
            .insert(
                already_safe()
                    .or_else(|_| read_only_mount())
                    .or_else(|_| sealed_copy())?,
            )
            .as_raw_fd(),
    };
    Ok(PathBuf::from(format!("/proc/self/fd/{descriptor}")))
}

/// The running program itself, where it was started through a path of [`safe_program`].
fn already_safe() -> Result<OwnedFd, SandboxError> {
    let running = open(
        "/proc/self/exe",
        OFlags::RDONLY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(failed)?;
    let mount = fstatvfs(&running).map_err(failed)?;
    let sealed = fcntl_get_seals(&running).is_ok_and(|seals| seals.contains(SealFlags::WRITE));
    if sealed || mount.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(running);
    }
    Err(failed(rustix::io::Errno::ROFS))
}

/// The running program's file, seen through this namespace's mounts: the link itself may lead
/// through those of a namespace that was left.
fn read_only_mount() -> Result<OwnedFd, SandboxError> {
    let name = rustix::fs::readlink("/proc/self/exe", Vec::new()).map_err(failed)?;
    let name = PathBuf::from(OsString::from_vec(name.into_bytes()));
    let file = open(&name, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    let found = rustix::fs::fstat(&file).map_err(failed)?;
    let running = rustix::fs::stat("/proc/self/exe").map_err(failed)?;
    if (found.st_dev, found.st_ino) != (running.st_dev, running.st_ino) {
        return Err(failed(rustix::io::Errno::NOENT));
    }
    let through = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
    let tree = clone_tree(CWD, &through, Recursion::This).map_err(io::Error::other);
    let tree = tree.map_err(SandboxError::Executable)?;
    set_attributes(tree.as_fd(), Attributes::READ_ONLY, Recursion::This)
        .map_err(|error| SandboxError::Executable(io::Error::other(error)))?;
    Ok(tree)
}

fn sealed_copy() -> Result<OwnedFd, SandboxError> {
    let mut running = File::open("/proc/self/exe").map_err(SandboxError::Executable)?;
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Since Linux 6.3 a memory file has to say that it is to be executed.
    let copy = memfd_create("rbuild", flags | MemfdFlags::EXEC)
        .or_else(|_| memfd_create("rbuild", flags))
        .map_err(failed)?;
    let mut copy = File::from(copy);
    io::copy(&mut running, &mut copy).map_err(SandboxError::Executable)?;
    fcntl_add_seals(
        &copy,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )
    .map_err(failed)?;
    // What is open for writing cannot be executed, sealed or not.
    let through = format!("/proc/self/fd/{}", copy.as_raw_fd());
    open(through, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).map_err(failed)
}

fn failed(error: rustix::io::Errno) -> SandboxError {
    SandboxError::Executable(error.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_copy_in_memory_cannot_be_written() {
        let copy = sealed_copy().expect("memory files are there everywhere");
        let through = format!("/proc/self/fd/{}", copy.as_raw_fd());
        let written = std::fs::write(through, b"x");
        assert!(written.is_err());
    }
}

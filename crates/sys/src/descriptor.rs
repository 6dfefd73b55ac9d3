//! Descriptors: memory files, moving onto numbers, what an exec closes.

use std::io::Write;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, memfd_create};

use crate::SysError;

/// The first descriptor after stdin, stdout and stderr.
pub const FIRST_AFTER_STDIO: u32 = 3;

/// An unlinked file in memory, closed on exec, that can be sealed.
///
/// # Errors
/// [`SysError::Call`].
pub fn memory_file(name: &str) -> Result<OwnedFd, SysError> {
    memfd_create(name, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)
        .map_err(|error| SysError::call("make a memory file", error))
}

/// A file in memory that holds `contents` for good: neither bytes nor size can change any more.
///
/// # Errors
/// [`SysError::Call`].
pub fn sealed_memory_file(name: &str, contents: &[u8]) -> Result<OwnedFd, SysError> {
    let mut file = std::fs::File::from(memory_file(name)?);
    file.write_all(contents)
        .map_err(|error| SysError::call("fill a memory file", error))?;
    fcntl_add_seals(
        &file,
        SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL,
    )
    .map_err(|error| SysError::call("seal a memory file", error))?;
    Ok(file.into())
}

/// Closes every open descriptor from `first` on, whoever owns it, and goes on with `rest`, which never comes back: so
/// no owner ever uses what is closed, or closes it once more.
pub fn close_for_good_from(first: u32, rest: impl FnOnce() -> std::convert::Infallible) -> ! {
    // SAFETY: takes three integers. The owners of what it closes stand on stacks that are never returned to, since
    // `rest` does not return and a panic ends the process.
    unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, 0) };
    match rest() {}
}

/// Marks every open descriptor from `first` on to be closed by the next exec, whoever opened it.
///
/// # Errors
/// [`SysError::Call`].
pub fn close_on_exec_from(first: u32) -> Result<(), SysError> {
    /// `CLOSE_RANGE_CLOEXEC` of `linux/close_range.h`.
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 1 << 2;
    // SAFETY: takes three integers; closes nothing by itself, so no owner loses its descriptor.
    let result = unsafe {
        libc::syscall(
            libc::SYS_close_range,
            first,
            libc::c_uint::MAX,
            CLOSE_RANGE_CLOEXEC,
        )
    };
    if result == -1 {
        return Err(SysError::call(
            "mark descriptors close-on-exec",
            std::io::Error::last_os_error(),
        ));
    }
    Ok(())
}

/// Makes `number` (0, 1 or 2) refer to what `from` refers to, and stay open across exec.
///
/// # Errors
/// [`SysError::Call`].
///
/// # Panics
/// When `number` is above 2: it might be owned by somebody.
pub fn duplicate_onto(from: BorrowedFd<'_>, number: i32) -> Result<(), SysError> {
    assert!(
        (0..=2).contains(&number),
        "only the standard descriptors are replaced"
    );
    let result = if from.as_raw_fd() == number {
        // SAFETY: clears the close-on-exec flag of a descriptor that is borrowed, hence open.
        unsafe { libc::fcntl(number, libc::F_SETFD, 0) }
    } else {
        // SAFETY: `from` is borrowed, hence open; 0, 1 and 2 have no owner in the standard
        // library's sense, so none is pulled from under its feet.
        unsafe { libc::dup2(from.as_raw_fd(), number) }
    };
    if result == -1 {
        return Err(SysError::call(
            format!("replace descriptor {number}"),
            std::io::Error::last_os_error(),
        ));
    }
    Ok(())
}

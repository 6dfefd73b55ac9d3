//! Pseudo terminals whose slave is opened without a path.

use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::SysError;

/// Opens the other end of the pseudo terminal `master`, in whatever devpts instance it lives.
///
/// # Errors
/// [`SysError::Call`].
pub fn open_terminal_peer(master: BorrowedFd<'_>) -> Result<OwnedFd, SysError> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags by value and returns a new descriptor or -1.
    let peer = unsafe { libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags) };
    if peer == -1 {
        return Err(SysError::call(
            "open the terminal",
            std::io::Error::last_os_error(),
        ));
    }
    // SAFETY: the kernel just made this descriptor for us; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(peer) })
}

/// Makes `terminal` the controlling terminal of this session, whose leader the caller is.
///
/// # Errors
/// [`SysError::Call`].
pub fn make_controlling_terminal(terminal: BorrowedFd<'_>) -> Result<(), SysError> {
    rustix::process::ioctl_tiocsctty(terminal)
        .map_err(|error| SysError::call("make the terminal the controlling one", error))
}

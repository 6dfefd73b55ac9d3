//! Programs of the system that are started.

use std::path::PathBuf;

use rustix::fs::{Access, access};

/// Where they are looked for. The environment's PATH has no say.
const DIRECTORIES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"];

/// The program of this name, if it is installed.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let places = DIRECTORIES.iter().map(|one| PathBuf::from(one).join(name));
    places
        .into_iter()
        .find(|path| access(path, Access::EXEC_OK).is_ok())
}

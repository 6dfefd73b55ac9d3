//! What a container has on disk:
//!
//! ```text
//! containers/<id>/diff        its changes: the upper directory of its overlay
//! containers/<id>/work        the kernel's scratch space
//! containers/<id>/host.json   the host's files that it was started with
//! containers/<id>/network.json  where it is on its networks, while it runs
//! containers/<id>/cgroup.json its control groups
//! containers/<id>/log         what it wrote
//! containers/<id>/control     its supervisor's socket
//! containers/<id>/health.json what its last checks came to
//! ```

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rbuild_sandbox::Upper;
use rbuild_store::{Container, Store};

use crate::ContainerError;

/// Where a container's changes are, and what the kernel needs besides.
pub fn changes_of(store: &Store, container: &Container) -> Upper {
    Directories::new(store.container_path(&container.id)).upper()
}

/// The directories of one container.
pub(crate) struct Directories {
    base: PathBuf,
}

impl Directories {
    pub(crate) fn new(base: PathBuf) -> Self {
        Self { base }
    }

    pub(crate) fn upper(&self) -> Upper {
        Upper {
            diff: self.base.join("diff"),
            work: self.base.join("work"),
        }
    }

    /// Makes the writable directories. The merged root takes its owner and mode from the upper one, so that gets those
    /// of the topmost layer.
    pub(crate) fn create(&self, top_layer: Option<&Path>) -> Result<(), ContainerError> {
        let upper = self.upper();
        for directory in [&upper.diff, &upper.work] {
            create(directory)?;
        }
        let failed = |source| ContainerError::Create {
            path: upper.diff.clone(),
            source,
        };
        if let Some(top) = top_layer {
            let found = fs::metadata(top).map_err(failed)?;
            let mode = fs::Permissions::from_mode(found.mode() & 0o7777);
            fs::set_permissions(&upper.diff, mode).map_err(failed)?;
            // A user namespace of a single ID cannot give files away; its owner is root inside then.
            let _ = std::os::unix::fs::chown(&upper.diff, Some(found.uid()), Some(found.gid()));
        }
        Ok(())
    }
}

/// Puts a file in the place of the one that may be there: who reads it sees the one or the other, whole.
pub(crate) fn replace_file(directory: &Path, name: &str, contents: &[u8]) -> io::Result<()> {
    let new = directory.join(format!("{name}.new"));
    fs::write(&new, contents)?;
    fs::rename(new, directory.join(name))
}

/// Makes a directory that everyone may enter, with its parents.
pub(crate) fn create(path: &Path) -> Result<(), ContainerError> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o755)
        .create(path)
        .map_err(|source| ContainerError::Create {
            path: path.to_owned(),
            source,
        })
}

//! The crate's one error type.

use std::io;
use std::path::PathBuf;

/// What went wrong below; each message follows "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum SysError {
    /// A system call was refused.
    #[error("{action}")]
    Call {
        /// What was tried, on what: "open /dev/null".
        action: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The kernel refused an overlay mount.
    #[error("mount an overlay of {layers} layers ({step})")]
    Overlay {
        /// Number of lower directories.
        layers: usize,
        /// The part of the work that was refused, and on what path.
        step: String,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// More lower directories than the kernel takes.
    #[error("mount an overlay of {0} layers: the kernel takes {max}", max = crate::MAX_OVERLAY_LOWERS)]
    TooManyLayers(usize),
    /// The process has threads where it must have none.
    #[error("{0}: the process already has several threads")]
    ManyThreads(&'static str),
    /// This machine gives normal users no user namespace.
    #[error(
        "enter a user namespace: this system does not let normal users make one \
         (see sysctl kernel.unprivileged_userns_clone, user.max_user_namespaces and \
         kernel.apparmor_restrict_unprivileged_userns)"
    )]
    UserNamespaceRefused(#[source] io::Error),
    /// Files cannot be shown with other owners.
    #[error(
        "show {} to users of a namespace of its own: its file system or this kernel has no idmapped mounts \
         (ext4, xfs, btrfs and tmpfs have them, and Linux from 5.19 on)", path.display()
    )]
    Unmappable {
        /// What was to be shown.
        path: PathBuf,
        /// The kernel's answer.
        #[source]
        source: io::Error,
    },
    /// The identity map of the new user namespace could not be written.
    #[error("map user and group ids into the user namespace: {0}")]
    IdMap(String),
}

impl SysError {
    /// The refusal of `action`, from whatever error type the call had.
    pub(crate) fn call(action: impl Into<String>, source: impl Into<io::Error>) -> Self {
        Self::Call {
            action: action.into(),
            source: source.into(),
        }
    }

    /// The number of the error that the kernel gave, if it was the kernel.
    pub fn errno(&self) -> Option<i32> {
        match self {
            Self::Call { source, .. }
            | Self::Overlay { source, .. }
            | Self::UserNamespaceRefused(source) => source.raw_os_error(),
            Self::TooManyLayers(_)
            | Self::ManyThreads(_)
            | Self::Unmappable { .. }
            | Self::IdMap(_) => None,
        }
    }
}

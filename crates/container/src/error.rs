//! What can go wrong with a container, and the exit code that Docker's users expect of it.

use std::io;
use std::path::PathBuf;

use rbuild_sandbox::SandboxError;
use rbuild_store::StoreError;

/// Each message follows "failed to …".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ContainerError {
    /// An option's value does not have the form that the option takes.
    #[error("read {option} {value:?}: {reason}")]
    Option {
        /// `--volume`
        option: &'static str,
        /// As it was given.
        value: String,
        /// What is wrong with it, and what is right.
        reason: String,
    },
    /// Neither the image nor the user says what to run.
    #[error("run the container: no command specified, and the image has none")]
    NoCommand,
    /// `-it` with an input that is no terminal.
    #[error("attach to the container: the input device is not a TTY (leave -t out)")]
    NotATerminal,
    /// There is no container of this name or ID.
    #[error("find container {name:?}")]
    Missing {
        /// As it was given.
        name: String,
    },
    /// The container runs already, or still.
    #[error("{action} container {id}: it is running")]
    IsRunning {
        /// `start`, `remove`
        action: &'static str,
        /// Twelve digits.
        id: String,
    },
    /// A container's row was written by another version of rbuild.
    #[error("read the configuration of container {id}")]
    Config {
        /// Twelve digits.
        id: String,
        /// The cause.
        #[source]
        source: serde_json::Error,
    },
    /// A file or directory of the container could not be made.
    #[error("create {}", path.display())]
    Create {
        /// On the host.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The terminal could not be set up or the streams not be connected.
    #[error("attach to the container")]
    Attach(#[source] io::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The sandbox could not be started, or its command not be found.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl ContainerError {
    /// 127 where the command was not found, 126 where it cannot be executed, 125 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sandbox(error) => error.exit_code(),
            _ => 125,
        }
    }

    pub(crate) fn option(
        option: &'static str,
        value: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::Option {
            option,
            value: value.into(),
            reason: reason.into(),
        }
    }
}

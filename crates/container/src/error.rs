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
    #[error("read {option}{}: {reason}", quoted(value))]
    Option {
        /// `--volume`
        option: &'static str,
        /// As it was given; empty where it is not to blame.
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
    /// The container stands still already.
    #[error("pause the container: Container {id} is already paused")]
    AlreadyPaused {
        /// Complete.
        id: String,
    },
    /// The container runs, and nothing has stopped it.
    #[error("unpause the container: Container {id} is not paused")]
    NotPaused {
        /// Complete.
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
    /// The container does not run.
    #[error("{action} container {id}: it is not running")]
    NotRunning {
        /// `kill`, `attach to`
        action: &'static str,
        /// Twelve digits.
        id: String,
    },
    /// A container's supervisor could not be started or talked to.
    #[error("deal with the container's supervisor")]
    Supervise(#[source] io::Error),
    /// A container's supervisor could not do something.
    #[error("{why}")]
    Told {
        /// The exit status that says so.
        status: u8,
        /// In its words.
        why: String,
    },
    /// A container's log could not be written or read.
    #[error("use the container's log")]
    Log(#[source] io::Error),
    /// What is known of a container's health could not be read.
    #[error("read the container's health")]
    Health(#[source] io::Error),
    /// A limit cannot be applied.
    #[error("apply {option}: {reason}")]
    Limit {
        /// `--memory`
        option: &'static str,
        /// Why.
        reason: String,
    },
    /// There is no control group that could be frozen.
    #[error(
        "pause the container: it has no control group, which only root or a user with a delegated one can make"
    )]
    NoFreezer,
    /// The rules for devices cannot be set.
    #[error(
        "keep a container with CAP_SYS_ADMIN from the host's devices (--privileged gives it all of them)"
    )]
    Devices(#[source] io::Error),
    /// The control group could not be frozen.
    #[error("pause the container")]
    Freeze(#[source] io::Error),
    /// A file could not be copied.
    #[error("copy {}", path.display())]
    Copy {
        /// As it was given.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// There is no volume of this name.
    #[error("find volume {name:?}")]
    MissingVolume {
        /// As it was given.
        name: String,
    },
    /// A volume is still somebody's.
    #[error("remove volume {name}: it is in use by {users}")]
    VolumeInUse {
        /// Its name.
        name: String,
        /// Containers.
        users: String,
    },
    /// A layer or an image could not be made or read.
    #[error(transparent)]
    Layer(#[from] rbuild_layer::LayerError),
    /// A document could not be written.
    #[error(transparent)]
    Image(#[from] rbuild_image::ImageError),
    /// A layer that the container was made from is damaged or lost.
    #[error("start container {id}: its layer {layer} is not in the store any more")]
    LayerGone {
        /// Twelve digits.
        id: String,
        /// As the store names it.
        layer: String,
    },
    /// The container did not end although it was killed.
    #[error("stop container {id}: it does not end although it was killed")]
    DoesNotEnd {
        /// Twelve digits.
        id: String,
    },
    /// The terminal could not be set up or the streams not be connected.
    #[error("attach to the container")]
    Attach(#[source] io::Error),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its network is not one that can be changed.
    #[error("{action} container {id}: {reason}")]
    FixedNetwork {
        /// `connect`, `disconnect`
        action: &'static str,
        /// Twelve digits.
        id: String,
        /// In docker's words.
        reason: &'static str,
    },
    /// The container's own files do not tell of its networks.
    #[error("write the container's /etc/hosts and /etc/resolv.conf")]
    Names(#[source] io::Error),
    /// The container could not be connected with its networks.
    #[error(transparent)]
    Network(#[from] rbuild_network::NetworkError),
    /// The sandbox could not be started, or its command not be found.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
}

impl ContainerError {
    /// 127 where the command was not found, 126 where it cannot be executed, 125 for all else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Sandbox(error) => error.exit_code(),
            Self::Told { status, .. } => *status,
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

/// A value as it stands behind its option's name.
fn quoted(value: &str) -> String {
    if value.is_empty() {
        return String::new();
    }
    format!(" {value:?}")
}

/// An error with all that caused it, on one line.
pub(crate) fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let words = error.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = error.source();
    }
    text
}

//! Why a build did not come to its end.

use std::io;

use rbuild_image::{DiffId, ImageError, LayerId, Platform};
use rbuild_layer::LayerError;
use rbuild_network::NetworkError;
use rbuild_plan::VertexId;
use rbuild_progress::Outcome;
use rbuild_registry::RegistryError;
use rbuild_sandbox::SandboxError;
use rbuild_source::SourceError;
use rbuild_store::{NO_ROOM, StoreError};
use rbuild_sys::SysError;

use crate::agent::AgentError;
use crate::copy::CopyError;

/// The build's end, if it is not a result.
#[derive(Debug, thiserror::Error)]
pub enum SolveError {
    /// A step failed; the others were stopped.
    #[error("{error}")]
    Step {
        /// The step.
        vertex: VertexId,
        /// Why.
        #[source]
        error: Box<StepError>,
    },
    /// [`crate::Cancel`] was asked for.
    #[error("canceled")]
    Cancelled,
}

/// Whether a command had room to write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DiskState {
    /// It had.
    Room,
    /// The store's disk was full when it ended.
    Full,
}

fn no_room(disk: DiskState) -> String {
    match disk {
        DiskState::Room => String::new(),
        DiskState::Full => format!(", and {NO_ROOM}"),
    }
}

/// Whether a command had memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemoryState {
    /// Nothing is known of a want.
    Enough,
    /// It was killed, and memory had run out while it ran.
    RanOut,
}

fn no_memory(memory: MemoryState) -> &'static str {
    match memory {
        MemoryState::Enough => "",
        MemoryState::RanOut => {
            ", and the kernel had ended a process because memory ran out (fewer steps at once need less: -j)"
        }
    }
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StepError {
    /// The command ran and did not succeed.
    #[error("process \"{command}\" did not complete successfully: {ending}{}{}", no_room(*disk), no_memory(*memory))]
    Exit {
        /// The command line.
        command: String,
        /// `exit code: 1`, `killed by signal SIGKILL`.
        ending: String,
        /// The exit status as a shell gives it.
        code: i32,
        /// Whether there was room left when it ended.
        disk: DiskState,
        /// Whether there was memory while it ran.
        memory: MemoryState,
    },
    /// The network that its user chose cannot be had.
    #[error("connect with network {name}")]
    Network {
        /// Its name.
        name: String,
        /// Why not.
        #[source]
        source: NetworkError,
    },
    /// A COPY source is not there.
    #[error("failed to calculate checksum of ref {tree}: \"{path}\": not found")]
    NotFound {
        /// Which tree: the build context, or what a stage or image holds.
        tree: &'static str,
        /// The path, from the root of its tree.
        path: String,
        /// What may have been meant or why it is not there.
        hint: Option<String>,
    },
    /// A COPY source's symbolic link leads in circles.
    #[error("follow the symbolic link \"{0}\": too many levels")]
    Link(String),
    /// A pattern cannot be read.
    #[error("read the pattern: {0}")]
    Pattern(String),
    /// The plan names a context that this build was not given.
    #[error("find the build context {0}")]
    NoContext(String),
    /// A secret that the step requires was not given.
    #[error(
        "secret {0}: not found (give it with --secret id={0},src=FILE or --secret id={0},env=NAME)"
    )]
    Secret(String),
    /// An SSH agent that the step requires was not given.
    #[error("unset ssh forward key {0} (give it with --ssh {0})")]
    Ssh(String),
    /// An SSH agent.
    #[error(transparent)]
    Agent(#[from] AgentError),
    /// The command is for another kind of processor, and the kernel knows no emulator for it.
    #[error(
        "run a program for {platform} on {host}: {reason}. The kernel needs an emulator: install qemu-user-static (Debian, Ubuntu; elsewhere: docker run --privileged --rm tonistiigi/binfmt --install {}), or run the step on the build platform with FROM --platform=$BUILDPLATFORM",
        platform.architecture
    )]
    Foreign {
        /// What the step is for.
        platform: Box<Platform>,
        /// What this machine is.
        host: Box<Platform>,
        /// The kernel's words.
        reason: String,
    },
    /// A device's description asks for what is not done here.
    #[error(
        "use {devices}: their description has hooks, programs that a container runtime would run, and these are not supported"
    )]
    DeviceHooks {
        /// Their names.
        devices: String,
    },
    /// A mount's source is not a tree that can be mounted.
    #[error("mount {target}: \"{path}\" is not in the source")]
    MountSource {
        /// Where it was to be mounted.
        target: String,
        /// The path that is missing.
        path: String,
    },
    /// A source is not in the lock file, and may not be added to it.
    #[error(
        "find {0} in the lock file: it is not pinned there (build with --lock instead of --locked to pin it)"
    )]
    NotPinned(String),
    /// A source is not any more what the lock file says.
    #[error(
        "use {name}: the lock file pins it to {pin}, but {reason} (--update-lock takes what there is now)"
    )]
    Moved {
        /// Its address.
        name: String,
        /// What it is to be.
        pin: String,
        /// What was found instead.
        reason: String,
    },
    /// A layer that nobody can give again.
    #[error("find layer {0}: it is not in the store and no image of this build has it")]
    LostLayer(LayerId),
    /// Layers that only a remote cache knows cannot be had from it. The build goes on without them: this reaches nobody.
    #[error("fetch layers from a remote cache: {reason}")]
    RemoteLayers {
        /// Which.
        layers: Vec<LayerId>,
        /// Why.
        reason: String,
    },
    /// A layer's tar does not have the digest that its image promises.
    #[error("verify a layer: its diffID is {found}, the image says {expected}")]
    DiffId {
        /// What the config says.
        expected: DiffId,
        /// What was unpacked.
        found: DiffId,
    },
    /// A layer does not hold what its entry in a remote cache promises.
    #[error("verify a layer: it is {found}, the cache says {expected}")]
    Contents {
        /// What the entry says.
        expected: LayerId,
        /// What was unpacked.
        found: LayerId,
    },
    /// A layer's bytes stopped coming.
    #[error("download a layer: {0}")]
    Download(#[source] io::Error),
    /// A cache mount's first contents could not be written.
    #[error("fill a cache mount: {0}")]
    Seed(#[source] io::Error),
    /// The step's output could not be read.
    #[error("read the output of the command: {0}")]
    Output(#[source] io::Error),
    /// A copy.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// The sandbox.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// A mount.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A layer.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// A context, git or http.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The registry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// A digest or name in an image.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// The step was stopped because something else failed or the user interrupted.
    #[error("canceled")]
    Cancelled,
}

impl StepError {
    /// What the step's line in the progress says.
    pub(crate) fn outcome(&self) -> Outcome {
        match self {
            Self::Cancelled => Outcome::Cancelled,
            other => Outcome::Failed {
                message: with_causes(other),
            },
        }
    }
}

impl From<crate::canvas::CanvasError> for StepError {
    fn from(error: crate::canvas::CanvasError) -> Self {
        Self::Copy(error.into())
    }
}

/// An error's words and those of its causes; a cause that its effect already repeats is left out.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text.push_str(": ");
            text.push_str(&words);
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("write the layer{0}")]
    struct Outer(&'static str, #[source] io::Error);

    #[test]
    fn a_cause_that_was_told_already_is_not_repeated() {
        let full = || io::Error::other("no space left");
        assert_eq!(
            with_causes(&Outer("", full())),
            "write the layer: no space left"
        );
        assert_eq!(
            with_causes(&Outer(": no space left", full())),
            "write the layer: no space left"
        );
    }
}

//! What can go wrong, and how it maps to the exit codes that people know.

use std::fmt;
use std::io;
use std::path::PathBuf;

use rbuild_sys::SysError;
use serde::{Deserialize, Serialize};

/// Each message follows "failed to …".
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// The directory that the caller gave for the sandbox's own use cannot be used.
    #[error("prepare {} for sandboxes", path.display())]
    Scaffold {
        /// The path inside it.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
    /// The program could not make a safe copy of itself to start sandboxes from.
    #[error("make rbuild's own program safe to run in a sandbox")]
    Executable(#[source] io::Error),
    /// A descriptor, pipe or memory file for the start could not be had.
    #[error("prepare the start of a sandbox")]
    Prepare(#[source] io::Error),
    /// The specification cannot be written down: a tree number without a tree.
    #[error("describe the sandbox: {0}")]
    Describe(String),
    /// Our AppArmor profile could not be loaded.
    #[error(
        "load the AppArmor profile {} (--security-opt apparmor=unconfined does without)",
        crate::DEFAULT_PROFILE
    )]
    AppArmor(#[source] io::Error),
    /// The init process could not be started.
    #[error("start a sandbox process")]
    Start(#[source] io::Error),
    /// The sandbox could not be set up, or its command could not be started.
    #[error("start the command in its sandbox")]
    Init(#[source] InitFailure),
    /// The init process died without a word.
    #[error("start the command in its sandbox: its init process died")]
    Died,
    /// Waiting for the end failed.
    #[error("wait for a sandbox")]
    Wait(#[source] io::Error),
    /// A signal or a new terminal size could not be delivered.
    #[error("reach into a sandbox")]
    Reach(#[source] io::Error),
    /// The locks of ranges of ids cannot be used.
    #[error("take a range of ids for users of its own")]
    Range(#[source] io::Error),
    /// Every range of ids is some sandbox's.
    #[error("take a range of ids for users of its own: all are in use")]
    NoRange,
    /// Layers could not be put together.
    #[error("put the layers together")]
    View(#[source] io::Error),
    /// A mount point that was made for the step could not be taken out of its layer again.
    #[error("remove the mount point {} from the layer", path.display())]
    Cleanup {
        /// Path inside the root.
        path: PathBuf,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl SandboxError {
    /// The exit code that Docker gives for such an end: 127 command not found, 126 command
    /// cannot be executed, 125 anything else.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Init(failure) => failure.exit_code(),
            _ => 125,
        }
    }
}

/// What the init could not do, told by itself before it gave up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitFailure {
    /// No directory of `PATH` has the program.
    NotInPath {
        /// As it was asked for.
        program: String,
    },
    /// The program was found, or named by path, and does not start.
    Exec {
        /// As it was asked for.
        program: String,
        /// The kernel's answer.
        errno: i32,
    },
    /// The image knows no such user.
    UnknownUser(String),
    /// The image knows no such group.
    UnknownGroup(String),
    /// The user exists, but not in this user namespace.
    UnmappedUser {
        /// User id inside the image.
        uid: u32,
        /// Group id inside the image.
        gid: u32,
    },
    /// A step of the setup was refused by the kernel.
    Step {
        /// What was tried, on what; follows "failed to …".
        action: String,
        /// The kernel's answer.
        errno: i32,
    },
    /// A step of the setup cannot be done.
    Refused(String),
}

impl InitFailure {
    /// Whether the command is a file that the kernel cannot run: what a program for another processor is without an
    /// emulator.
    pub fn is_unknown_program(&self) -> bool {
        matches!(self, Self::Exec { errno, .. } if *errno == libc::ENOEXEC)
    }

    /// See [`SandboxError::exit_code`].
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NotInPath { .. } => 127,
            Self::Exec { errno, .. } if *errno == libc::ENOENT => 127,
            Self::Exec { .. } => 126,
            _ => 125,
        }
    }

    /// A refusal of `action` by the kernel.
    pub(crate) fn step(action: impl Into<String>, error: impl Into<io::Error>) -> Self {
        let error: io::Error = error.into();
        let action = action.into();
        match error.raw_os_error() {
            Some(errno) => Self::Step { action, errno },
            None => Self::Refused(format!("failed to {action}: {error}")),
        }
    }
}

impl From<SysError> for InitFailure {
    fn from(error: SysError) -> Self {
        match error.errno() {
            Some(errno) => Self::Step {
                action: error.to_string(),
                errno,
            },
            None => Self::Refused(format!("failed to {error}")),
        }
    }
}

impl fmt::Display for InitFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInPath { program } => {
                write!(
                    formatter,
                    "exec: {program:?}: executable file not found in $PATH"
                )
            }
            Self::Exec { program, errno } => {
                write!(formatter, "exec {program}: {}", kernel_words(*errno))
            }
            Self::UnknownUser(user) => write!(
                formatter,
                "unable to find user {user}: no matching entries in passwd file"
            ),
            Self::UnknownGroup(group) => write!(
                formatter,
                "unable to find group {group}: no matching entries in group file"
            ),
            Self::UnmappedUser { uid, gid } => write!(
                formatter,
                "user {uid}:{gid} does not exist in this user namespace: \
                 give your user ranges in /etc/subuid and /etc/subgid and install newuidmap"
            ),
            Self::Step { action, errno } => {
                write!(formatter, "failed to {action}: {}", kernel_words(*errno))
            }
            Self::Refused(reason) => formatter.write_str(reason),
        }
    }
}

impl std::error::Error for InitFailure {}

/// "no such file or directory", as programs other than Rust ones print it.
fn kernel_words(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    let words = text.split(" (os error").next().unwrap_or(&text);
    words.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_read_as_docker_users_know_them() {
        let failure = InitFailure::NotInPath {
            program: "foo".to_owned(),
        };
        assert_eq!(
            failure.to_string(),
            r#"exec: "foo": executable file not found in $PATH"#
        );
        let failure = InitFailure::Exec {
            program: "/bin/nosuch".to_owned(),
            errno: libc::ENOENT,
        };
        assert_eq!(
            failure.to_string(),
            "exec /bin/nosuch: no such file or directory"
        );
        assert_eq!(failure.exit_code(), 127);
    }
}

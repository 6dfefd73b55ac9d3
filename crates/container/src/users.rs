//! Whose users a container has: `--userns`.

use serde::{Deserialize, Serialize};

use crate::namespaces::{IpcMode, PidMode, Sharing};
use crate::options::{NetworkMode, Security};
use crate::{ContainerError, Options};

/// Whose users and groups a container has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UserMode {
    /// Those of whoever runs it: of root the host's.
    #[default]
    Host,
    /// Its own: a range that nobody else has, another one each time that it starts.
    Auto,
}

impl UserMode {
    /// Reads `--userns`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        match text {
            "" | "host" => Ok(Self::Host),
            "auto" => Ok(Self::Auto),
            _ => Err(ContainerError::option(
                "--userns",
                text,
                "it is host or auto",
            )),
        }
    }

    /// Whether the other options go with it.
    pub(crate) fn check(self, options: &Options) -> Result<(), ContainerError> {
        if self == Self::Host {
            return Ok(());
        }
        let shared = matches!(options.network, NetworkMode::Container(_))
            || options.pid != PidMode::Private
            || options.uts != Sharing::Private
            || options.cgroupns != Sharing::Private
            || matches!(options.ipc, IpcMode::Host | IpcMode::Container(_));
        let reason = if !rbuild_sys::is_initial_user_namespace() {
            "containers of a normal user are in that user's namespace already, which cannot be divided"
        } else if shared {
            "what is shared with the host or another container belongs to users that it does not have"
        } else if options.security == Security::Privileged {
            "a privileged container is root of the host (leave --privileged out, or say --userns host)"
        } else {
            return Ok(());
        };
        Err(ContainerError::option("--userns", "auto", reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_its_own_do_not_go_with_what_is_others() {
        let mut options = Options {
            userns: UserMode::Auto,
            ..Options::default()
        };
        options.ipc = IpcMode::Host;
        assert!(options.userns.check(&options).is_err());
        assert!(UserMode::parse("keep-id").is_err());
        assert!(UserMode::Host.check(&options).is_ok());
    }
}

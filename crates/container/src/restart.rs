//! Whether a container that has ended runs again: `--restart`.

use serde::{Deserialize, Serialize};

use crate::ContainerError;

/// When a container that has ended is started again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RestartPolicy {
    /// Never.
    #[default]
    No,
    /// Unless somebody stopped it.
    Always,
    /// The same: nothing starts containers when the machine starts.
    UnlessStopped,
    /// If its status was not 0; at most so often, 0 for any number of times.
    OnFailure(u32),
}

impl RestartPolicy {
    /// Reads `--restart`.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = |reason: &str| ContainerError::option("--restart", text, reason);
        let (word, count) = match text.split_once(':') {
            Some((word, count)) => (word, Some(count)),
            None => (text, None),
        };
        match (word, count) {
            ("" | "no", None) => Ok(Self::No),
            ("always", None) => Ok(Self::Always),
            ("unless-stopped", None) => Ok(Self::UnlessStopped),
            ("on-failure", None) => Ok(Self::OnFailure(0)),
            ("on-failure", Some(count)) => count
                .parse()
                .map(Self::OnFailure)
                .map_err(|_| fail("what follows on-failure: is a number")),
            ("no" | "always" | "unless-stopped", Some(_)) => {
                Err(fail("only on-failure takes a number"))
            }
            _ => Err(fail("it is no, always, unless-stopped or on-failure[:N]")),
        }
    }

    /// Whether a container that ended with `code`, after `restarts` of these, is started again.
    pub(crate) fn applies(self, code: i32, restarts: u32) -> bool {
        match self {
            Self::No => false,
            Self::Always | Self::UnlessStopped => true,
            Self::OnFailure(most) => code != 0 && (most == 0 || restarts < most),
        }
    }
}

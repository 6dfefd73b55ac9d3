//! Resource limits of a container's processes: `--ulimit`.

use serde::{Deserialize, Serialize};

use crate::ContainerError;

/// A resource limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ulimit {
    /// `nofile`
    pub name: String,
    /// The limit in force.
    pub soft: u64,
    /// How far it can be raised.
    pub hard: u64,
}

impl Ulimit {
    /// Reads `--ulimit`: `name=soft[:hard]`, -1 for no limit.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let fail = || ContainerError::option("--ulimit", text, "it is name=soft[:hard]");
        let number = |text: &str| match text {
            "-1" | "unlimited" => Ok(u64::MAX),
            _ => text.parse().map_err(|_| fail()),
        };
        let (name, limits) = text.split_once('=').ok_or_else(fail)?;
        let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
        let (soft, hard) = (number(soft)?, number(hard)?);
        if rbuild_sandbox::rlimit_number(name).is_none() || soft > hard {
            return Err(fail());
        }
        Ok(Self {
            name: name.to_owned(),
            soft,
            hard,
        })
    }
}

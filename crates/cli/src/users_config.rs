//! The `[users]` table of the configuration: whose users root's containers and RUN steps have that are told nothing.
//!
//! ```toml
//! [users]
//! run = "auto"    # of `rbuild run`: host, or auto for ids of their own
//! build = "auto"  # of RUN
//! ```
//!
//! Those of normal users are in a user namespace in any case, so for these the table says nothing.

use rbuild_container::UserMode;
use rbuild_plan::StepUsers;
use serde::Deserialize;

/// What the table says.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct UsersConfig {
    #[serde(default)]
    run: Whose,
    #[serde(default)]
    build: Whose,
}

#[derive(Debug, Clone, Copy, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Whose {
    #[default]
    Host,
    Auto,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    users: UsersConfig,
}

impl UsersConfig {
    /// Reads the table of a TOML document; its other tables are left to others.
    pub(crate) fn from_toml(text: &str) -> anyhow::Result<Self> {
        let document: Document = toml::from_str(text)?;
        Ok(document.users)
    }

    /// What `--userns` of a container means.
    pub(crate) fn of_container(&self, option: &str) -> anyhow::Result<UserMode> {
        match self.run {
            Whose::Auto if option.is_empty() && rbuild_sys::is_initial_user_namespace() => {
                Ok(UserMode::Auto)
            }
            _ => Ok(UserMode::parse(option)?),
        }
    }

    /// What `--userns` of a build means.
    pub(crate) fn of_steps(&self, option: &str) -> anyhow::Result<StepUsers> {
        let is_root = rbuild_sys::is_initial_user_namespace();
        match option {
            "" if self.build == Whose::Auto && is_root => Ok(StepUsers::Own),
            "" | "host" => Ok(StepUsers::Caller),
            "auto" if is_root => Ok(StepUsers::Own),
            "auto" => anyhow::bail!(
                "--userns auto: steps of a normal user are in that user's namespace already, which cannot be divided"
            ),
            other => anyhow::bail!("--userns {other:?}: it is host or auto"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_what_is_none_is_refused() {
        let read = UsersConfig::from_toml;
        let own = read("[users]\nbuild = \"auto\"\n").expect("well-formed");
        assert_eq!((own.run, own.build), (Whose::Host, Whose::Auto));
        assert_eq!(
            own.of_steps("host").expect("a mode"),
            StepUsers::Caller,
            "what is typed counts"
        );
        assert_eq!(read("[cache]\n").expect("no table"), UsersConfig::default());
        for bad in ["x = 1", "run = \"\"", "build = \"keep-id\""] {
            assert!(read(&format!("[users]\n{bad}\n")).is_err(), "{bad}");
        }
        assert!(UsersConfig::default().of_steps("keep-id").is_err());
    }
}

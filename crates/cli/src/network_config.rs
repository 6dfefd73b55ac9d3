//! The `[network]` table of the configuration: what containers and RUN steps are connected with that name no network.
//!
//! ```toml
//! [network]
//! run = "private"    # of `rbuild run`: private, host, none, or the name of a network
//! build = "private"  # of RUN: private, host, or the name of a network
//! ```
//!
//! `private` is a network of their own where one can be had, else the host's.

use serde::Deserialize;

/// What the table says.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct NetworkConfig {
    run: Option<String>,
    build: Option<String>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    network: NetworkConfig,
}

impl NetworkConfig {
    /// Reads the table of a TOML document; its other tables are left to others.
    pub(crate) fn from_toml(text: &str) -> anyhow::Result<Self> {
        let document: Document = toml::from_str(text)?;
        for (key, value) in [
            ("run", &document.network.run),
            ("build", &document.network.build),
        ] {
            let value = value.as_deref().unwrap_or(PRIVATE);
            if value.is_empty() || value.contains(':') || (key == "build" && value == "none") {
                anyhow::bail!(
                    "[network] {key} = {value:?}: it is private, host, or the name of a network"
                );
            }
        }
        Ok(document.network)
    }

    /// What `--network` of a container says that has none; `None` is a private one where it can be had.
    pub(crate) fn of_containers(&self) -> Option<&str> {
        self.run.as_deref().filter(|name| *name != PRIVATE)
    }

    /// The same for RUN steps.
    pub(crate) fn of_steps(&self) -> Option<&str> {
        self.build.as_deref().filter(|name| *name != PRIVATE)
    }
}

const PRIVATE: &str = "private";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read_and_what_is_none_is_refused() {
        let read = NetworkConfig::from_toml;
        let host = read("[network]\nbuild = \"host\"\n").expect("well-formed");
        assert_eq!(
            (host.of_steps(), host.of_containers()),
            (Some("host"), None)
        );
        assert_eq!(
            read("[cache]\n").expect("no table"),
            NetworkConfig::default()
        );
        let plain = read("[network]\nrun = \"private\"\n").expect("well-formed");
        assert_eq!(plain.of_containers(), None);
        for bad in [
            "x = 1",
            "run = \"\"",
            "build = \"container:a\"",
            "build = \"none\"",
        ] {
            assert!(read(&format!("[network]\n{bad}\n")).is_err(), "{bad}");
        }
    }
}

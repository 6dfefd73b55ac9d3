//! Where registries are reached, in the form of buildkitd.toml.
//!
//! ```toml
//! [registry."docker.io"]
//! mirrors = ["127.0.0.1:5000", "mirror.example.com/hub"]
//!
//! [registry."127.0.0.1:5000"]
//! http = true
//!
//! [registry."reg.example.com"]
//! ca = ["/etc/rbuild/example-ca.pem"]
//! [[registry."reg.example.com".keypair]]
//! cert = "/etc/rbuild/client.pem"
//! key = "/etc/rbuild/client.key"
//! ```

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

use crate::{ContainersRegistries, RegistryError};

/// The `registry` tables of a configuration file, by host name (and port) as image names have it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct RegistryConfig {
    /// One table for each registry.
    #[serde(default, rename = "registry")]
    pub registries: BTreeMap<String, HostConfig>,
    /// What `registries.conf` says besides.
    #[serde(skip)]
    pub containers: ContainersRegistries,
    /// Where hosts may have a folder with certificates and `hosts.toml`: `/etc/docker/certs.d`, what counts most first.
    #[serde(skip)]
    pub host_folders: Vec<PathBuf>,
    /// Why no registry may be used: something of the configuration is not understood.
    #[serde(skip)]
    pub unusable: Option<String>,
}

/// One registry's table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostConfig {
    /// Asked first, in this order, when something is pulled: `host[:port][/path]`. The path goes before the
    /// repository's name.
    #[serde(default)]
    pub mirrors: Vec<String>,
    /// `true`: plain HTTP; `false`: HTTPS only. Without a value, HTTPS, and for hosts on the loopback
    /// interface plain HTTP where HTTPS is not spoken.
    #[serde(default)]
    pub http: Option<bool>,
    /// `true`: certificates are not verified, and plain HTTP is used where HTTPS is not spoken.
    #[serde(default)]
    pub insecure: Option<bool>,
    /// PEM files of certificate authorities to trust besides the public ones.
    #[serde(default)]
    pub ca: Vec<PathBuf>,
    /// Client certificates; the first one is used.
    #[serde(default)]
    pub keypair: Vec<Keypair>,
}

/// A client certificate and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Keypair {
    /// The certificate chain.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

impl RegistryConfig {
    /// Reads the `registry` tables of a TOML document; its other tables are left to others.
    pub fn from_toml(text: &str) -> Result<Self, RegistryError> {
        toml::from_str(text).map_err(|error| RegistryError::Config {
            reason: error.to_string().trim_end().to_owned(),
        })
    }

    /// The table of `registry`, or the defaults.
    pub(crate) fn host(&self, registry: &str) -> HostConfig {
        self.registries.get(registry).cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buildkitds_tables_are_read_and_other_tables_left_alone() {
        let config = RegistryConfig::from_toml(
            r#"
            debug = true
            [worker.oci]
            max-parallelism = 4
            [registry."docker.io"]
            mirrors = ["127.0.0.1:5000"]
            [registry."127.0.0.1:5000"]
            http = true
            insecure = true
            ca = ["/ca.pem"]
            [[registry."127.0.0.1:5000".keypair]]
            key = "/key.pem"
            cert = "/cert.pem"
            "#,
        )
        .expect("a configuration");
        assert_eq!(config.host("docker.io").mirrors, ["127.0.0.1:5000"]);
        let local = config.host("127.0.0.1:5000");
        assert_eq!((local.http, local.insecure), (Some(true), Some(true)));
        assert_eq!(local.keypair[0].key, PathBuf::from("/key.pem"));
        assert_eq!(config.host("ghcr.io"), HostConfig::default());
    }

    #[test]
    fn a_misspelt_key_is_told_with_its_line() {
        let text = "[registry.\"docker.io\"]\nmirror = [\"x\"]\n";
        let error = RegistryConfig::from_toml(text)
            .expect_err("a mistake")
            .to_string();
        assert!(
            error.contains("line 2") && error.contains("mirror"),
            "{error}"
        );
    }
}

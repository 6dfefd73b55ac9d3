//! What the store keeps of a container, so that it can be started again.

use rbuild_image::RuntimeConfig;
use serde::{Deserialize, Serialize};

use crate::{ContainerError, ContainerId, Options};

/// Stands in each stored configuration. A row with a higher number cannot be started by this program, only removed; lower
/// ones are read, and [`crate::older`] brings them up to this one.
const CONFIG_VERSION: u32 = 2;

/// What all versions of a configuration have.
#[derive(Debug, Deserialize)]
struct Versioned {
    version: u32,
}

/// What a container runs: the user's options and the image's config as they were when it was created.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredConfig {
    version: u32,
    /// As the user gave them.
    pub options: Options,
    /// As the image had it.
    pub image: RuntimeConfig,
}

impl StoredConfig {
    pub(crate) fn new(options: Options, image: RuntimeConfig) -> Self {
        Self {
            version: CONFIG_VERSION,
            options,
            image,
        }
    }

    pub(crate) fn to_json(&self) -> String {
        serde_json::to_string(self).expect("options and image configs are plain JSON")
    }

    /// Reads what the store has for the container `id`.
    pub fn from_json(id: &ContainerId, text: &str) -> Result<Self, ContainerError> {
        let failed = |source| ContainerError::Config {
            id: id.short().to_owned(),
            source,
        };
        let Versioned { version } = serde_json::from_str(text).map_err(failed)?;
        if (1..=CONFIG_VERSION).contains(&version) {
            return serde_json::from_str(text).map_err(failed);
        }
        let reason = format!(
            "another version of rbuild made it, whose configurations have the number {version}, not {CONFIG_VERSION}: use that one, or remove the container"
        );
        Err(failed(serde::de::Error::custom(reason)))
    }

    /// Whether an older version of this program wrote it.
    pub(crate) fn is_older(&self) -> bool {
        self.version < CONFIG_VERSION
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Seed, Volume};

    #[test]
    fn the_stored_form_does_not_change_unnoticed() {
        let options = Options {
            args: vec!["-l".into()],
            env: vec!["A=1".into()],
            volumes: vec![Volume::parse("/a:/b:ro").expect("well-formed")],
            tty: true,
            ..Options::default()
        };
        let image = RuntimeConfig {
            cmd: Some(vec!["sh".into()]),
            ..RuntimeConfig::default()
        };
        let config = StoredConfig::new(options, image);
        let json = config.to_json();
        insta::assert_snapshot!(json, @r#"{"version":2,"options":{"args":["-l"],"entrypoint":null,"name":null,"hostname":null,"env":["A=1"],"workdir":null,"user":null,"volumes":[{"source":"/a","name":null,"target":"/b","access":"read-only"}],"tmpfs":[],"add_hosts":[],"dns":[],"dns_search":[],"dns_options":[],"network":"host","networks":[],"ports":[],"expose":[],"exposed":"kept","root_access":"read-write","security":"default","ulimits":[],"shm_bytes":null,"labels":[],"stop_signal":null,"interactive":false,"tty":true,"cleanup":"keep","stop_timeout":null,"restart":"no","log":{"max_bytes":16777216,"max_files":3},"logging":"kept","limits":{"memory":null,"memory_swap":null,"memory_reservation":null,"cpus":null,"cpu_period":null,"cpu_quota":null,"cpu_shares":null,"cpuset_cpus":null,"cpuset_mems":null,"pids":null},"cap_add":[],"cap_drop":[],"oom_score":null,"groups":[],"devices":[],"new_privileges":"allowed","system_calls":"filtered","apparmor":null,"health":{},"first":"command","sysctls":[],"pid":"private","ipc":"private","uts":"private","cgroupns":"private","userns":"host"},"image":{"Cmd":["sh"]}}"#);
        let id = ContainerId::from_seed(Seed([7; 32]));
        assert_eq!(
            StoredConfig::from_json(&id, &json).expect("it is ours"),
            config
        );
        let newer = json.replace("\"version\":2", "\"version\":3");
        let refused = StoredConfig::from_json(&id, &newer).expect_err("it is not known");
        let reason = std::error::Error::source(&refused).expect("there is a cause");
        assert!(reason.to_string().contains("another version of rbuild"));
        let newest = r#"{"version":3,"options":7}"#;
        let refused = StoredConfig::from_json(&id, newest).expect_err("it is not known");
        let reason = std::error::Error::source(&refused).expect("there is a cause");
        assert!(reason.to_string().contains("another version of rbuild"));
    }
}

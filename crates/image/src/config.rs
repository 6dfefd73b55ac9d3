//! The image configuration (OCI image-spec, config.md, with Docker's additions), whole and in order.
//!
//! Docker writes `null` where the specification leaves a field out: both read as "not set", and are written
//! by leaving the field out. An empty list is a value of its own: `"Cmd": []` stays `[]`.

use std::collections::BTreeMap;

use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{DiffId, ImageError, Platform, document};

/// An image's configuration document. Its canonical JSON's digest is the image ID.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ImageConfig {
    /// CPU architecture in Go's names.
    #[serde(default, deserialize_with = "null_is_default")]
    pub architecture: String,
    /// Operating system.
    #[serde(default, deserialize_with = "null_is_default")]
    pub os: String,
    /// Variant of the architecture.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub variant: String,
    /// RFC 3339 time of creation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// MAINTAINER.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// How to run it.
    #[serde(default, deserialize_with = "null_is_default")]
    pub config: RuntimeConfig,
    /// The layers.
    #[serde(default, deserialize_with = "null_is_default")]
    pub rootfs: Rootfs,
    /// One entry for each instruction.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub history: Vec<HistoryEntry>,
    /// Fields that we do not know, kept as they came.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

impl ImageConfig {
    /// Reads a config document of at most [`MAX_DOCUMENT_BYTES`](crate::MAX_DOCUMENT_BYTES).
    pub fn from_json(bytes: &[u8]) -> Result<Self, ImageError> {
        document::read("the image config", bytes)
    }

    /// The platform that the image is for, normalised.
    pub fn platform(&self) -> Platform {
        let os_version = self.other.get("os.version").and_then(|v| v.as_str());
        Platform {
            os_version: os_version.unwrap_or_default().to_owned(),
            ..Platform::new(&self.os, &self.architecture, &self.variant)
        }
    }
}

/// Docker's `null` for "nothing here".
fn null_is_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A JSON object of which only the names count.
#[expect(
    clippy::zero_sized_map_values,
    reason = "it is a map in JSON, and only a map reads it"
)]
fn set_of_names<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<BTreeMap<String, BTreeMap<String, String>>, D::Error> {
    let names: Option<BTreeMap<String, IgnoredAny>> = Option::deserialize(deserializer)?;
    let names = names.unwrap_or_default().into_keys();
    Ok(names.map(|name| (name, BTreeMap::new())).collect())
}

/// The set of paths in `Volumes`, each an empty object in JSON.
pub type Volumes = BTreeMap<String, BTreeMap<String, String>>;

/// `config` in [`ImageConfig`]: what a container is started with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct RuntimeConfig {
    /// USER.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub user: String,
    /// EXPOSE, as `port/protocol`.
    #[serde(
        default,
        deserialize_with = "set_of_names",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub exposed_ports: BTreeMap<String, BTreeMap<String, String>>,
    /// ENV, `NAME=value`, in the order of definition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub env: Option<Vec<String>>,
    /// ENTRYPOINT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<Vec<String>>,
    /// CMD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cmd: Option<Vec<String>>,
    /// HEALTHCHECK.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub healthcheck: Option<Healthcheck>,
    /// Docker's note that CMD was written by a Dockerfile.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub args_escaped: bool,
    /// VOLUME.
    #[serde(
        default,
        deserialize_with = "set_of_names",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub volumes: Volumes,
    /// WORKDIR.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub working_dir: String,
    /// ONBUILD.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_build: Option<Vec<String>>,
    /// LABEL.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub labels: BTreeMap<String, String>,
    /// STOPSIGNAL.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub stop_signal: String,
    /// SHELL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shell: Option<Vec<String>>,
    /// Fields that we do not know, kept as they came.
    #[serde(flatten)]
    pub other: BTreeMap<String, serde_json::Value>,
}

/// HEALTHCHECK; durations in nanoseconds, 0 = the runtime's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Healthcheck {
    /// `["NONE"]`, `["CMD", …]` or `["CMD-SHELL", command]`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "Vec::is_empty"
    )]
    pub test: Vec<String>,
    /// Time between checks.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub interval: i64,
    /// Time after which a check counts as failed.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub timeout: i64,
    /// Time after the start in which failures do not count.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub start_period: i64,
    /// Time between checks in the start period.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub start_interval: i64,
    /// Failures in a row that make a container unhealthy.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "is_zero"
    )]
    pub retries: i64,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(value: &i64) -> bool {
    *value == 0
}

/// `rootfs` in [`ImageConfig`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rootfs {
    /// Always `layers`.
    #[serde(rename = "type")]
    pub kind: String,
    /// The layers' diffIDs, bottom first.
    #[serde(default, deserialize_with = "null_is_default")]
    pub diff_ids: Vec<DiffId>,
}

impl Default for Rootfs {
    fn default() -> Self {
        Self {
            kind: "layers".to_owned(),
            diff_ids: Vec::new(),
        }
    }
}

/// One line of `history` in [`ImageConfig`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// The instruction, as `BuildKit` writes it.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub created_by: String,
    /// MAINTAINER at that time.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub author: String,
    /// `buildkit.dockerfile.v0`.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "String::is_empty"
    )]
    pub comment: String,
    /// Whether the instruction made no layer.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "std::ops::Not::not"
    )]
    pub empty_layer: bool,
}

#[cfg(test)]
mod tests;

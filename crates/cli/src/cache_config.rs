//! The `[cache]` table of the configuration: how much disk the cache may take.
//!
//! ```toml
//! [cache]
//! gc = true                   # collect after each build that ran something
//! max-used-space = "20GB"     # at most so much; or a share of the disk: "20%"
//! reserved-space = "2GB"      # so much may always stay
//! min-free-space = "10%"      # so much of the disk shall be free
//! ```
//!
//! Without limits, those of buildkitd hold: 10 % of the disk and at most 10 GB are reserved, 80 % and at most 100 GB may be
//! used, and 20 % of the disk shall be free. Where only another limit is given, so much stays reserved all the same: a disk that is
//! full of other things must not take the cache away.

use anyhow::{Context as _, bail};
use rbuild_store::{Disk, Limits};
use serde::Deserialize;

use crate::commands::build::bytes;

const GB: u64 = 1_000_000_000;

/// What the table says, as it was written. Also understands buildkitd's spelling.
#[derive(Debug, Clone, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct CacheConfig {
    gc: Option<bool>,
    #[serde(alias = "maxUsedSpace")]
    max_used_space: Option<Space>,
    #[serde(alias = "reservedSpace")]
    reserved_space: Option<Space>,
    #[serde(alias = "minFreeSpace")]
    min_free_space: Option<Space>,
}

#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    cache: CacheConfig,
}

impl CacheConfig {
    /// Reads the table of a TOML document; its other tables are left to others.
    pub(crate) fn from_toml(text: &str) -> anyhow::Result<Self> {
        let document: Document = toml::from_str(text)?;
        Ok(document.cache)
    }

    /// The limits on this disk; `None` if nothing is to be collected by itself.
    pub(crate) fn limits(&self, disk: Disk) -> Option<Limits> {
        if self.gc == Some(false) {
            return None;
        }
        let given = [
            &self.max_used_space,
            &self.reserved_space,
            &self.min_free_space,
        ];
        if given.iter().all(|space| space.is_none()) {
            return Some(default_limits(disk));
        }
        let [max_used, reserved, min_free] = given.map(|space| Some(space.as_ref()?.on(disk)));
        let reserved = reserved.or_else(|| {
            let reserved = default_limits(disk).reserved?;
            Some(reserved.min(max_used.unwrap_or(u64::MAX)))
        });
        Some(Limits {
            max_used,
            reserved,
            min_free,
        })
    }
}

fn default_limits(disk: Disk) -> Limits {
    Limits {
        max_used: Some(Space::Percent(80).on(disk).min(100 * GB)),
        reserved: Some(Space::Percent(10).on(disk).min(10 * GB)),
        min_free: Some(Space::Percent(20).on(disk)),
    }
}

/// An amount of disk: `20GB`, `20%`, or a number of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "toml::Value")]
pub(crate) enum Space {
    /// Bytes.
    Bytes(u64),
    /// Hundredths of the disk.
    Percent(u64),
}

impl Space {
    /// Reads what was typed.
    pub(crate) fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        let Some(percent) = text.strip_suffix('%') else {
            return bytes(text).map(Self::Bytes);
        };
        match percent.trim().parse() {
            Ok(percent @ 0..=100) => Ok(Self::Percent(percent)),
            _ => bail!("invalid share {text:?}: it is a number from 0 to 100 and %"),
        }
    }

    /// The bytes that it is on `disk`.
    pub(crate) fn on(self, disk: Disk) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            Self::Percent(percent) => (u128::from(disk.total) * u128::from(percent) / 100) as u64,
        }
    }
}

impl TryFrom<toml::Value> for Space {
    type Error = anyhow::Error;

    fn try_from(value: toml::Value) -> anyhow::Result<Self> {
        match value {
            toml::Value::String(text) => Self::parse(&text),
            toml::Value::Integer(bytes) => {
                let bytes = u64::try_from(bytes).context("a size is not negative")?;
                Ok(Self::Bytes(bytes))
            }
            _ => bail!("a size is a text such as \"20GB\" or \"20%\", or a number of bytes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DISK: Disk = Disk {
        total: 1_000 * GB,
        free: 500 * GB,
        free_files: None,
    };

    fn limits(text: &str) -> Option<Limits> {
        let config = CacheConfig::from_toml(text).expect("a configuration");
        config.limits(DISK)
    }

    #[test]
    fn what_is_written_is_what_holds() {
        let written = limits(
            "[registry.\"docker.io\"]\nhttp = true\n[cache]\nmax-used-space = \"20%\"\nreservedSpace = 5\n",
        );
        let expected = Limits {
            max_used: Some(200 * GB),
            reserved: Some(5),
            min_free: None,
        };
        assert_eq!(written, Some(expected));
    }

    #[test]
    fn a_full_disk_does_not_take_what_is_reserved_by_default() {
        let reserved = |text: &str| limits(text).and_then(|limits| limits.reserved);
        assert_eq!(
            reserved("[cache]\nmin-free-space = \"90%\"\n"),
            Some(10 * GB)
        );
        // A cap is a cap.
        assert_eq!(reserved("[cache]\nmax-used-space = 7\n"), Some(7));
    }

    #[test]
    fn without_limits_those_of_buildkitd_hold() {
        let expected = Limits {
            max_used: Some(100 * GB),
            reserved: Some(10 * GB),
            min_free: Some(200 * GB),
        };
        assert_eq!(limits(""), Some(expected));
        assert_eq!(limits("[cache]\ngc = false\n"), None);
    }

    #[test]
    fn a_misspelt_key_or_size_is_refused() {
        for text in [
            "max-used = 1",
            "max-used-space = \"much\"",
            "max-used-space = \"120%\"",
        ] {
            assert!(
                CacheConfig::from_toml(&format!("[cache]\n{text}\n")).is_err(),
                "{text}"
            );
        }
    }
}

//! What an image runs on: `os[/arch[/variant]]` (OCI image-spec, image-index.md, "platform").

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ImageError;

/// An operating system, a CPU architecture (in Go's names) and a variant of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, `arm`, …
    pub architecture: String,
    /// `v7` for `arm`; empty where there is none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub variant: String,
    /// `os.version`, which only Windows images have.
    #[serde(
        rename = "os.version",
        default,
        skip_serializing_if = "String::is_empty"
    )]
    pub os_version: String,
}

impl Platform {
    /// The platform that this program was compiled for, normalised.
    pub fn host() -> Self {
        todo!()
    }

    /// containerd's normalisation: `x86_64` → `amd64`, `aarch64` → `arm64` (`v8` dropped), `arm` → `arm/v7`, …
    pub fn normalized(&self) -> Self {
        todo!()
    }

    /// Whether an image for `self` may be used where `wanted` was asked for, and how well: 0 is exact, more
    /// is worse (arm/v6 on arm/v7), `None` not at all.
    pub fn distance_to(&self, wanted: &Platform) -> Option<u32> {
        let _ = wanted;
        todo!()
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

impl FromStr for Platform {
    type Err = ImageError;

    fn from_str(_text: &str) -> Result<Self, ImageError> {
        todo!()
    }
}

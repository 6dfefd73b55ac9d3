//! What an image runs on: `os[/arch[/variant]]` (OCI image-spec, image-index.md, "platform").
//!
//! ```text
//! linux/x86_64   → linux/amd64        names are normalised as containerd does
//! linux/arm      → linux/arm/v7
//! arm64/v8       → linux/arm64        a lone architecture is on the host's system
//! windows(10.0.17763)/amd64           a system's version stands in parentheses
//! ```

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
    /// A normalised platform.
    pub fn new(os: &str, architecture: &str, variant: &str) -> Self {
        let (architecture, variant) = normalize_architecture(architecture, variant);
        Self {
            os: normalize_os(os),
            architecture,
            variant,
            os_version: String::new(),
        }
    }

    /// The platform that this program was compiled for, normalised.
    pub fn host() -> Self {
        let architecture = match std::env::consts::ARCH {
            "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
            "powerpc64" => "ppc64",
            "mips64" if cfg!(target_endian = "little") => "mips64le",
            "mips" if cfg!(target_endian = "little") => "mipsle",
            "loongarch64" => "loong64",
            "x86" => "386",
            other => other,
        };
        Self::new(std::env::consts::OS, architecture, "")
    }

    /// containerd's normalisation: `x86_64` → `amd64`, `aarch64` → `arm64` (`v8` dropped), `arm` → `arm/v7`, …
    #[must_use]
    pub fn normalized(&self) -> Self {
        Self {
            os_version: self.os_version.clone(),
            ..Self::new(&self.os, &self.architecture, &self.variant)
        }
    }

    /// Whether this is `unknown/unknown`, which attestation manifests in an index carry.
    pub fn is_unknown(&self) -> bool {
        self.os == "unknown" && self.architecture == "unknown"
    }

    /// Whether an image for `self` may be used where `wanted` was asked for, and how well: 0 is exact, more
    /// is worse (arm/v6 on arm/v7), `None` not at all.
    pub fn distance_to(&self, wanted: &Platform) -> Option<u32> {
        let image = self.normalized();
        let wanted = wanted.normalized();
        let version_fits = wanted.os_version.is_empty()
            || image.os_version.is_empty()
            || same_build(&image.os_version, &wanted.os_version);
        if image.os != wanted.os || !version_fits {
            return None;
        }
        runs_on(&wanted)
            .iter()
            .position(|(architecture, variant)| {
                *architecture == image.architecture && *variant == image.variant
            })
            .map(|place| place as u32)
    }
}

/// Windows images fit a host of the same build (`10.0.17763`), whatever the revision after it.
fn same_build(image: &str, host: &str) -> bool {
    image.split('.').take(3).eq(host.split('.').take(3))
}

/// The normalised (architecture, variant) pairs that run on `platform`, best first.
fn runs_on(platform: &Platform) -> Vec<(String, String)> {
    let mut fits = vec![(platform.architecture.clone(), platform.variant.clone())];
    let mut add = |architecture: &str, variant: &str| {
        fits.push(normalize_architecture(architecture, variant));
    };
    let version = platform.variant.strip_prefix('v').unwrap_or("");
    match platform.architecture.as_str() {
        "amd64" => {
            let level: u32 = version.parse().unwrap_or(1);
            for older in (1..level).rev() {
                add("amd64", &format!("v{older}"));
            }
            add("386", "");
        }
        "arm" => {
            let level: u32 = version.parse().unwrap_or(0);
            for older in (5..level).rev() {
                add("arm", &format!("v{older}"));
            }
        }
        "arm64" => {
            let (major, minor) = version.split_once('.').unwrap_or((version, "0"));
            let minor: u32 = minor.parse().unwrap_or(0);
            // Armv9.n has all that Armv8.(n+5) has.
            let v8_minor = if major == "9" {
                for older in (1..minor).rev() {
                    add("arm64", &format!("v9.{older}"));
                }
                if minor > 0 {
                    add("arm64", "v9");
                }
                minor + 6
            } else {
                minor
            };
            for older in (1..v8_minor).rev() {
                add("arm64", &format!("v8.{older}"));
            }
            if v8_minor > 0 {
                add("arm64", "v8");
            }
            for older in ["v8", "v7", "v6", "v5"] {
                add("arm", older);
            }
        }
        _ => {}
    }
    fits
}

fn normalize_os(os: &str) -> String {
    match os.to_ascii_lowercase().as_str() {
        "" => normalize_os(std::env::consts::OS),
        "macos" => "darwin".to_owned(),
        other => other.to_owned(),
    }
}

fn normalize_architecture(architecture: &str, variant: &str) -> (String, String) {
    let variant = variant.to_ascii_lowercase();
    let architecture = architecture.to_ascii_lowercase();
    let (architecture, variant) = match (architecture.as_str(), variant.as_str()) {
        ("i386", _) => ("386", ""),
        ("x86_64" | "x86-64" | "amd64", "v1") => ("amd64", ""),
        ("x86_64" | "x86-64" | "amd64", other) => ("amd64", other),
        ("aarch64" | "arm64", "8" | "v8" | "v8.0") => ("arm64", ""),
        ("aarch64" | "arm64", "9" | "9.0" | "v9.0") => ("arm64", "v9"),
        ("aarch64" | "arm64", other) => ("arm64", other),
        ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
        ("armel", _) | ("arm", "6") => ("arm", "v6"),
        ("arm", "5") => ("arm", "v5"),
        ("arm", "8") => ("arm", "v8"),
        (other, variant) => (other, variant),
    };
    (architecture.to_owned(), variant.to_owned())
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.os)?;
        if !self.os_version.is_empty() {
            write!(f, "({})", self.os_version)?;
        }
        write!(f, "/{}", self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

const KNOWN_SYSTEMS: &[&str] = &[
    "aix",
    "android",
    "darwin",
    "dragonfly",
    "freebsd",
    "hurd",
    "illumos",
    "ios",
    "js",
    "linux",
    "macos",
    "nacl",
    "netbsd",
    "openbsd",
    "plan9",
    "solaris",
    "wasi",
    "wasip1",
    "windows",
    "zos",
];

const KNOWN_ARCHITECTURES: &[&str] = &[
    "386", "amd64", "arm", "arm64", "loong64", "mips", "mips64", "mips64le", "mipsle", "ppc64",
    "ppc64le", "riscv64", "s390x", "wasm",
];

impl FromStr for Platform {
    type Err = ImageError;

    /// Parses and normalises.
    fn from_str(text: &str) -> Result<Self, ImageError> {
        let fail = |reason| ImageError::Platform {
            text: text.to_owned(),
            reason,
        };
        let parts: Vec<&str> = text.split('/').collect();
        let (os, os_version) = split_version(parts[0]).map_err(fail)?;
        let words = parts[1..].iter().copied().chain([os]);
        if words.into_iter().any(|word| !is_component(word)) {
            return Err(fail(
                "each part is made of letters, digits, \"_\", \"-\" and \".\"",
            ));
        }
        let platform = match parts[..] {
            [_] if KNOWN_SYSTEMS.contains(&os.to_ascii_lowercase().as_str()) => {
                let host = Self::host();
                Self::new(os, &host.architecture, &host.variant)
            }
            [word] => {
                let guess = Self::new("", word, "");
                if !KNOWN_ARCHITECTURES.contains(&guess.architecture.as_str()) {
                    return Err(fail(
                        "neither a known operating system nor a known architecture; write os/arch, as in linux/amd64",
                    ));
                }
                guess
            }
            [_, architecture] => Self::new(os, architecture, ""),
            [_, architecture, variant] => Self::new(os, architecture, variant),
            _ => return Err(fail("at most three parts: os/arch/variant")),
        };
        Ok(Self {
            os_version: os_version.to_owned(),
            ..platform
        })
    }
}

/// `windows(10.0.17763)` → its name and version.
fn split_version(text: &str) -> Result<(&str, &str), &'static str> {
    match text.split_once('(') {
        None => Ok((text, "")),
        Some((os, rest)) => match rest.strip_suffix(')') {
            Some(version) if is_component(version) => Ok((os, version)),
            _ => Err("a version stands in parentheses after the operating system"),
        },
    }
}

fn is_component(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.'))
}

impl From<&oci_spec::image::Platform> for Platform {
    /// Normalised.
    fn from(platform: &oci_spec::image::Platform) -> Self {
        let variant = platform.variant().as_deref().unwrap_or_default();
        Self {
            os_version: platform.os_version().clone().unwrap_or_default(),
            ..Self::new(
                &platform.os().to_string(),
                &platform.architecture().to_string(),
                variant,
            )
        }
    }
}

impl From<&Platform> for oci_spec::image::Platform {
    fn from(platform: &Platform) -> Self {
        let mut spec = Self::default();
        spec.set_os(platform.os.as_str().into());
        spec.set_architecture(platform.architecture.as_str().into());
        let known = |text: &String| (!text.is_empty()).then(|| text.clone());
        spec.set_variant(known(&platform.variant));
        spec.set_os_version(known(&platform.os_version));
        spec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> String {
        text.parse::<Platform>().expect(text).to_string()
    }

    fn distance(image: &str, wanted: &str) -> Option<u32> {
        let image: Platform = image.parse().expect(image);
        image.distance_to(&wanted.parse().expect(wanted))
    }

    #[test]
    fn names_are_normalised_as_containerd_does() {
        for (text, normal) in [
            ("linux/amd64", "linux/amd64"),
            ("Linux/X86_64", "linux/amd64"),
            ("linux/amd64/v1", "linux/amd64"),
            ("linux/amd64/v3", "linux/amd64/v3"),
            ("linux/aarch64", "linux/arm64"),
            ("linux/arm64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("linux/armhf", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i386", "linux/386"),
            ("macos/arm64", "darwin/arm64"),
            ("windows(10.0.17763)/amd64", "windows(10.0.17763)/amd64"),
            ("linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(parsed(text), normal);
            assert_eq!(parsed(normal), normal);
        }
    }

    #[test]
    fn one_word_is_a_system_or_an_architecture() {
        let host = Platform::host();
        assert_eq!(parsed("linux"), format!("linux/{}", host.architecture));
        assert_eq!(parsed("s390x"), format!("{}/s390x", host.os));
        assert_eq!(parsed("aarch64"), format!("{}/arm64", host.os));
        assert_eq!("linux".parse(), Ok(host));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in [
            "",
            "/",
            "linux/",
            "linux//v7",
            "linux/arm/v7/x",
            "toaster",
            "linux/a b",
            "windows(/amd64",
        ] {
            assert!(text.parse::<Platform>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_older_variant_serves_and_a_newer_one_does_not() {
        assert_eq!(distance("linux/arm/v7", "linux/arm/v7"), Some(0));
        assert_eq!(distance("linux/arm/v6", "linux/arm/v7"), Some(1));
        assert_eq!(distance("linux/arm/v5", "linux/arm/v7"), Some(2));
        assert_eq!(distance("linux/arm/v7", "linux/arm/v6"), None);
        assert_eq!(distance("linux/amd64", "linux/amd64/v3"), Some(2));
        assert_eq!(distance("linux/amd64/v3", "linux/amd64"), None);
        assert_eq!(distance("linux/386", "linux/amd64"), Some(1));
        assert_eq!(distance("linux/arm/v7", "linux/arm64"), Some(2));
        assert_eq!(distance("linux/arm64", "linux/amd64"), None);
        assert_eq!(distance("linux/arm64", "linux/arm64/v9"), Some(6));
        assert_eq!(distance("linux/arm64/v8.2", "linux/arm64/v8.4"), Some(2));
    }

    #[test]
    fn a_windows_build_must_be_the_hosts() {
        let host = "windows(10.0.17763.1)/amd64";
        assert_eq!(distance("windows(10.0.17763.9)/amd64", host), Some(0));
        assert_eq!(distance("windows(10.0.20348)/amd64", host), None);
    }

    #[test]
    fn the_specification_s_type_and_ours_carry_the_same() {
        let ours: Platform = "linux/arm/v6".parse().expect("a platform");
        let spec = oci_spec::image::Platform::from(&ours);
        assert_eq!(Platform::from(&spec), ours);
    }
}

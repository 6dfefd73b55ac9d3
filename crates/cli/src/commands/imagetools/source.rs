//! What an image is made of: `debian:bookworm`, `sha256:…`, or a descriptor's JSON.

use anyhow::{Context as _, bail};
use rbuild_image::{Digest, Platform, Reference};
use rbuild_registry::{Client, Resolved};
use serde_json::{Map, Value};

/// A source, as it was given.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::commands) enum Source {
    /// A name.
    Named(Reference),
    /// A digest in the repository that all else is in, and what its descriptor is to say besides.
    Digest(Digest, Map<String, Value>),
}

/// A source, found.
pub(in crate::commands) struct Found {
    /// Where it is.
    pub(in crate::commands) reference: Reference,
    /// What it is.
    pub(in crate::commands) resolved: Resolved,
    /// Its descriptor for an index.
    pub(in crate::commands) descriptor: Map<String, Value>,
}

impl Source {
    /// Reads a source.
    pub(in crate::commands) fn parse(text: &str) -> anyhow::Result<Self> {
        let text = text.trim();
        if text.starts_with('{') {
            let descriptor: Map<String, Value> = serde_json::from_str(text)
                .context("failed to read a source: it is not the JSON of a descriptor")?;
            let digest = descriptor.get("digest").and_then(Value::as_str);
            let digest = digest.context("failed to read a source: the descriptor has no digest")?;
            return Ok(Self::Digest(digest.parse()?, descriptor));
        }
        if text.starts_with("sha256:") {
            return Ok(Self::Digest(text.parse()?, Map::new()));
        }
        let name = text.parse().with_context(|| {
            format!(
                "invalid source {text:?}: a source is a name, a digest or the JSON of a descriptor"
            )
        })?;
        Ok(Self::Named(name))
    }

    /// The repository that the source names.
    pub(in crate::commands) fn repository(&self) -> Option<&Reference> {
        match self {
            Self::Named(name) => Some(name),
            Self::Digest(..) => None,
        }
    }

    /// Looks the source up; a digest alone is looked for in `default`'s repository.
    pub(in crate::commands) fn find(
        &self,
        client: &Client,
        default: Option<&Reference>,
    ) -> anyhow::Result<Found> {
        let (name, said) = match self {
            Self::Named(name) => (name.clone(), Map::new()),
            Self::Digest(digest, said) => {
                let Some(default) = default else {
                    bail!(
                        "the repository of {digest} cannot be told, as several are named: write it as NAME@{digest}"
                    );
                };
                (default.with_digest(*digest), said.clone())
            }
        };
        let resolved = client.resolve(&name)?;
        let mut descriptor = json_of(&resolved);
        for (key, value) in said {
            if key == "size" && descriptor.get("size") != Some(&value) {
                bail!(
                    "{name} has {} bytes, not the {value} of its descriptor",
                    resolved.bytes.len()
                );
            }
            descriptor.insert(key, value);
        }
        if let (rbuild_image::Manifest::Image(image), false) =
            (&resolved.manifest, descriptor.contains_key("platform"))
        {
            let (bytes, config) = client.config(&name, image.config())?;
            let config_says: Value = serde_json::from_slice(&bytes)?;
            let platform = Platform {
                os_version: config_says["os.version"]
                    .as_str()
                    .unwrap_or_default()
                    .to_owned(),
                ..Platform::new(&config.os, &config.architecture, &config.variant)
            };
            let mut platform = oci_platform(&platform);
            if let Some(features) = config_says.get("os.features") {
                platform["os.features"] = features.clone();
            }
            descriptor.insert("platform".to_owned(), platform);
        }
        Ok(Found {
            reference: name,
            resolved,
            descriptor,
        })
    }
}

fn json_of(resolved: &Resolved) -> Map<String, Value> {
    let mut descriptor = Map::new();
    let kind = resolved.descriptor.media_type().to_string();
    descriptor.insert("mediaType".to_owned(), kind.into());
    descriptor.insert("digest".to_owned(), resolved.digest.to_string().into());
    descriptor.insert("size".to_owned(), resolved.bytes.len().into());
    descriptor
}

/// A platform as descriptors have it (image-spec, image index).
fn oci_platform(platform: &Platform) -> Value {
    let mut fields = Map::new();
    fields.insert(
        "architecture".to_owned(),
        platform.architecture.clone().into(),
    );
    fields.insert("os".to_owned(), platform.os.clone().into());
    for (name, value) in [
        ("os.version", &platform.os_version),
        ("variant", &platform.variant),
    ] {
        if !value.is_empty() {
            fields.insert(name.to_owned(), value.clone().into());
        }
    }
    Value::Object(fields)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0000000000000000000000000000000000000000000000000000000000000000";

    #[test]
    fn a_source_is_a_name_a_digest_or_a_descriptor() {
        let parse = |text: &str| Source::parse(text).map_err(|error| error.to_string());
        assert!(matches!(parse("a/b:1"), Ok(Source::Named(_))));
        assert!(matches!(
            parse(&format!("a/b@{DIGEST}")),
            Ok(Source::Named(_))
        ));
        assert!(matches!(parse(DIGEST), Ok(Source::Digest(..))));
        let json = format!("{{\"digest\":\"{DIGEST}\",\"size\":3}}\n");
        assert!(matches!(parse(&json), Ok(Source::Digest(_, said)) if said["size"] == 3));
        for wrong in ["sha256:00", "{", "{}", "A B"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}

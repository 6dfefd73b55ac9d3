//! Which image of an index is for a platform.

use rbuild_image::{Descriptor, Digest, ImageIndex, Manifest, ManifestKind, Platform, Reference};

use crate::resolve::{PulledManifest, Resolved};
use crate::{Attempt, Client, RegistryError};

/// How deep indexes may lie inside indexes.
const MAX_INDEX_DEPTH: usize = 4;

/// The entries of `index` that may serve `wanted`, best first: those whose platform fits, then those that do
/// not tell theirs (nested indexes, and images of simple tools). Attestations (`unknown/unknown`) are none.
pub fn rank_platforms<'a>(index: &'a ImageIndex, wanted: &Platform) -> Vec<&'a Descriptor> {
    let mut fitting: Vec<(u32, &Descriptor)> = index
        .manifests()
        .iter()
        .filter_map(|entry| Some((distance(entry, wanted)?, entry)))
        .collect();
    fitting.sort_by_key(|(distance, _)| *distance);
    fitting.into_iter().map(|(_, entry)| entry).collect()
}

fn distance(entry: &Descriptor, wanted: &Platform) -> Option<u32> {
    ManifestKind::of_media_type(entry.media_type().as_ref())?;
    let Some(platform) = entry.platform() else {
        return Some(u32::MAX);
    };
    let platform = Platform::from(platform);
    match (platform.os.is_empty(), platform.architecture.is_empty()) {
        (true, true) => Some(u32::MAX),
        _ if platform.is_unknown() => None,
        _ => platform.distance_to(wanted),
    }
}

impl Client {
    /// The image for `platform` in what `resolved` is. An image that is no index is taken as it is: its
    /// config tells its platform.
    pub fn select_platform(
        &self,
        reference: &Reference,
        resolved: Resolved,
        platform: &Platform,
    ) -> Result<PulledManifest, RegistryError> {
        let root = resolved.descriptor.clone();
        let found = match resolved.manifest {
            Manifest::Image(_) => Some(resolved),
            Manifest::Index(ref index) => self.search(reference, index, platform, 1)?,
        };
        let Some(found) = found else {
            return Err(no_platform(reference, &root, platform, self));
        };
        let Manifest::Image(manifest) = found.manifest else {
            unreachable!("only images are found");
        };
        Ok(PulledManifest {
            root,
            descriptor: found.descriptor,
            digest: found.digest,
            bytes: found.bytes,
            manifest,
            via: found.via,
        })
    }

    fn search(
        &self,
        reference: &Reference,
        index: &ImageIndex,
        platform: &Platform,
        depth: usize,
    ) -> Result<Option<Resolved>, RegistryError> {
        for entry in rank_platforms(index, platform) {
            let child = self.entry(reference, entry)?;
            match &child.manifest {
                Manifest::Image(_) if self.serves(reference, entry, &child, platform)? => {
                    return Ok(Some(child));
                }
                Manifest::Image(_) => {}
                Manifest::Index(_) if depth >= MAX_INDEX_DEPTH => {
                    return Err(RegistryError::Protocol {
                        attempt: Box::new(about(reference)),
                        reason: format!("indexes lie more than {MAX_INDEX_DEPTH} deep"),
                    });
                }
                Manifest::Index(inner) => {
                    if let Some(found) = self.search(reference, inner, platform, depth + 1)? {
                        return Ok(Some(found));
                    }
                }
            }
        }
        Ok(None)
    }

    /// The manifest that an index's entry names.
    fn entry(&self, reference: &Reference, entry: &Descriptor) -> Result<Resolved, RegistryError> {
        let digest =
            Digest::try_from(entry.digest()).map_err(|source| RegistryError::Document {
                attempt: Box::new(about(reference)),
                source,
            })?;
        let child = self.manifest(reference, &digest)?;
        if child.descriptor.size() != entry.size() {
            return Err(RegistryError::SizeMismatch {
                attempt: Box::new(about(reference)),
                expected: entry.size(),
                actual: child.descriptor.size(),
            });
        }
        Ok(child)
    }

    /// Whether an image whose entry names no platform is for `platform`, as its config tells.
    fn serves(
        &self,
        reference: &Reference,
        entry: &Descriptor,
        child: &Resolved,
        platform: &Platform,
    ) -> Result<bool, RegistryError> {
        if distance(entry, platform) != Some(u32::MAX) {
            return Ok(true);
        }
        let Manifest::Image(image) = &child.manifest else {
            return Ok(false);
        };
        let (_, config) = self.config(reference, image.config())?;
        Ok(config.platform().distance_to(platform).is_some())
    }
}

fn about(reference: &Reference) -> Attempt {
    Attempt {
        action: "read the index of",
        subject: reference.to_string(),
        host: reference.registry().to_owned(),
        registry: reference.registry().to_owned(),
    }
}

fn no_platform(
    reference: &Reference,
    root: &Descriptor,
    wanted: &Platform,
    client: &Client,
) -> RegistryError {
    // Asked for again, to keep the happy path free of copies.
    let index = Digest::try_from(root.digest())
        .ok()
        .and_then(|digest| client.manifest(reference, &digest).ok());
    let mut available: Vec<String> = match index.map(|resolved| resolved.manifest) {
        Some(Manifest::Index(index)) => index
            .manifests()
            .iter()
            .filter_map(|entry| entry.platform().as_ref().map(Platform::from))
            .filter(|platform| !platform.is_unknown())
            .map(|platform| platform.to_string())
            .collect(),
        _ => Vec::new(),
    };
    available.dedup();
    if available.is_empty() {
        available.push("no platform at all".to_owned());
    }
    RegistryError::NoPlatform {
        subject: reference.to_string(),
        wanted: wanted.to_string(),
        available,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranked(entries: &[(&str, &str)], wanted: &str) -> Vec<u64> {
        let manifests: Vec<_> = entries
            .iter()
            .zip(1u64..)
            .map(|((kind, platform), size)| {
                let mut entry = serde_json::json!({
                    "mediaType": format!("application/vnd.oci.image.{kind}.v1+json"),
                    "digest": Digest::sha256_of(platform.as_bytes()), "size": size,
                });
                if let Some((os, architecture)) = platform.split_once('/') {
                    entry["platform"] = serde_json::json!({"os": os, "architecture": architecture});
                }
                entry
            })
            .collect();
        let index = serde_json::json!({"schemaVersion": 2, "manifests": manifests});
        let index: ImageIndex = serde_json::from_value(index).expect("an index");
        let wanted = wanted.parse().expect("a platform");
        rank_platforms(&index, &wanted)
            .iter()
            .map(|entry| entry.size())
            .collect()
    }

    #[test]
    fn the_best_fit_comes_first_and_attestations_never() {
        let entries = [
            ("manifest", "linux/arm64"),
            ("manifest", "unknown/unknown"),
            ("manifest", "linux/386"),
            ("index", ""),
            ("manifest", "linux/amd64"),
            ("config", "linux/amd64"),
        ];
        assert_eq!(ranked(&entries, "linux/amd64"), [5, 3, 4]);
        assert_eq!(ranked(&entries, "linux/arm64"), [1, 4]);
        assert_eq!(ranked(&entries, "linux/s390x"), [4]);
    }
}

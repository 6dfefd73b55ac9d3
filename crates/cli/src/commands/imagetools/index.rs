//! Putting an index together (image-spec, image index).

use anyhow::bail;
use rbuild_export::{Annotation, AnnotationPlace};
use rbuild_image::{Manifest, Platform, media_type};
use serde_json::{Map, Value, json};

use super::source::Found;

/// What an index says of which image an attestation is.
pub(super) const REFERENCE_DIGEST: &str = "vnd.docker.reference.digest";

/// A document to be pushed.
pub(in crate::commands) struct Document {
    pub(in crate::commands) media_type: String,
    pub(in crate::commands) bytes: Vec<u8>,
}

/// What becomes of a single image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Single {
    /// An index of one.
    Indexed,
    /// The image itself.
    Copied,
}

/// One document of all `sources`: a single index as it is, else an index of all their manifests, each once. What is said
/// later of the same manifest counts. With `platforms`, only what is for these and what is attested of it.
pub(super) fn combine(
    sources: &[Found],
    annotations: &[Annotation],
    platforms: &[Platform],
    single: Single,
) -> anyhow::Result<Document> {
    if let ([only], [], []) = (sources, annotations, platforms) {
        let is_index = matches!(only.resolved.manifest, Manifest::Index(_));
        if is_index || single == Single::Copied {
            return Ok(Document {
                media_type: only.resolved.descriptor.media_type().to_string(),
                bytes: only.resolved.bytes.clone(),
            });
        }
    }
    let mut entries: Vec<Map<String, Value>> = Vec::new();
    let mut own = Map::new();
    for source in sources {
        match &source.resolved.manifest {
            Manifest::Image(_) => add(&mut entries, source.descriptor.clone()),
            Manifest::Index(_) => {
                let index: Map<String, Value> = serde_json::from_slice(&source.resolved.bytes)?;
                let Some(Value::Array(listed)) = index.get("manifests") else {
                    continue;
                };
                for entry in listed.iter().filter_map(Value::as_object) {
                    add(&mut entries, entry.clone());
                }
                if let ([_], Some(Value::Object(kept))) = (sources, index.get("annotations")) {
                    own.clone_from(kept);
                }
            }
        }
    }
    if !platforms.is_empty() {
        keep(&mut entries, platforms)?;
    }
    annotate(&mut entries, &mut own, annotations);
    Ok(document(&entries, &own))
}

/// Keeps the entries for `platforms`, each of which has to be there, and what is attested of them.
fn keep(entries: &mut Vec<Map<String, Value>>, platforms: &[Platform]) -> anyhow::Result<()> {
    for platform in platforms {
        if !entries.iter().any(|entry| fits(entry, Some(platform))) {
            bail!("no source is for {platform}");
        }
    }
    let is_wanted = |entry: &Map<String, Value>| {
        let mut platforms = platforms.iter();
        platforms.any(|platform| fits(entry, Some(platform)))
    };
    let wanted: Vec<Value> = entries
        .iter()
        .filter(|entry| is_wanted(entry))
        .filter_map(|entry| entry.get("digest").cloned())
        .collect();
    entries.retain(|entry| {
        let about = entry.get("annotations");
        let about = about.and_then(|annotations| annotations.get(REFERENCE_DIGEST));
        is_wanted(entry) || about.is_some_and(|about| wanted.contains(about))
    });
    Ok(())
}

fn add(entries: &mut Vec<Map<String, Value>>, entry: Map<String, Value>) {
    let known = entries
        .iter_mut()
        .find(|known| known.get("digest") == entry.get("digest"));
    match known {
        Some(known) => known.extend(entry),
        None => entries.push(entry),
    }
}

fn annotate(
    entries: &mut [Map<String, Value>],
    own: &mut Map<String, Value>,
    annotations: &[Annotation],
) {
    for annotation in annotations {
        match annotation.place {
            AnnotationPlace::Index => set(own, annotation),
            AnnotationPlace::ManifestDescriptor => {
                let platform = annotation.platform.as_ref();
                let meant = entries.iter_mut().filter(|entry| fits(entry, platform));
                for entry in meant {
                    let annotations = entry.entry("annotations").or_insert_with(|| json!({}));
                    if let Value::Object(annotations) = annotations {
                        set(annotations, annotation);
                    }
                }
            }
            // These are outside of an index.
            AnnotationPlace::Manifest | AnnotationPlace::IndexDescriptor => {}
        }
    }
}

fn set(annotations: &mut Map<String, Value>, annotation: &Annotation) {
    annotations.insert(annotation.key.clone(), annotation.value.clone().into());
}

/// Whether `entry` is for `wanted`.
fn fits(entry: &Map<String, Value>, wanted: Option<&Platform>) -> bool {
    let Some(wanted) = wanted else {
        return true;
    };
    platform_of(entry).is_some_and(|platform| platform.normalized() == wanted.normalized())
}

/// The platform that a descriptor names.
pub(super) fn platform_of(entry: &Map<String, Value>) -> Option<Platform> {
    let platform = entry.get("platform")?;
    let text = |name: &str| platform[name].as_str().unwrap_or_default();
    Some(Platform {
        os_version: text("os.version").to_owned(),
        ..Platform::new(text("os"), text("architecture"), text("variant"))
    })
}

/// An index of `entries`, without annotations of its own.
pub(in crate::commands) fn index_of(entries: &[Map<String, Value>]) -> Document {
    document(entries, &Map::new())
}

fn document(entries: &[Map<String, Value>], annotations: &Map<String, Value>) -> Document {
    let is_docker = |entry: &Map<String, Value>| {
        entry.get("mediaType").and_then(Value::as_str) == Some(media_type::DOCKER_MANIFEST)
    };
    let kind = if annotations.is_empty() && entries.iter().all(is_docker) {
        media_type::DOCKER_LIST
    } else {
        media_type::OCI_INDEX
    };
    let mut index = json!({ "schemaVersion": 2, "mediaType": kind, "manifests": entries });
    if !annotations.is_empty() {
        index["annotations"] = annotations.clone().into();
    }
    Document {
        media_type: kind.to_owned(),
        bytes: serde_json::to_vec_pretty(&index).expect("values are JSON"),
    }
}

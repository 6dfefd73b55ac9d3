//! An image from its layers and its config: diffIDs, times, manifest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use rbuild_attest::Attestation;
use rbuild_image::{Descriptor, DiffId, Digest, ImageConfig, LayerId, Platform, canonical_json};
use rbuild_layer::FileTimes;
use rbuild_plan::{ImageOutput, Operation, Plan, ResolvedImage};
use rbuild_remote::{Imports, KnownLayer};
use rbuild_store::Store;
use serde::Serialize;

use crate::annotations::{AnnotationPlace, Annotations};
use crate::blobs::TravellingLayer;
use crate::error::ExportError;
use crate::history::{self, BaseTime};
use crate::media_types::MediaTypes;

/// The layers of base images: the image, and the layer's blob there.
pub(crate) type Bases = HashMap<DiffId, (Arc<ResolvedImage>, Descriptor)>;

/// An image that was built: everything but the form in which its layers travel.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// What it runs on.
    pub platform: Platform,
    /// Its config, complete.
    pub config: ImageConfig,
    /// Its layers, bottom first.
    pub layers: Vec<BuiltLayer>,
    /// What its manifest says of the times in new layers.
    pub note: TimesNote,
    /// What is attested of it.
    pub attestations: Vec<Attestation>,
}

/// A layer of a [`BuiltImage`].
#[derive(Debug, Clone)]
pub struct BuiltLayer {
    /// Its name in the store.
    pub id: LayerId,
    /// The digest of its tar.
    pub diff_id: DiffId,
    /// The bytes of that tar; 0 for a base image's.
    pub size: u64,
    /// The times that its files have in that tar.
    pub times: FileTimes,
    /// For a layer of a base image: that image, and the layer's blob there.
    pub base: Option<(Arc<ResolvedImage>, Descriptor)>,
    /// For a layer that is not in the store: what a remote cache says of it.
    pub remote: Option<KnownLayer>,
}

/// What dates an image and its files. Seconds are those since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dating {
    /// `SOURCE_DATE_EPOCH`: when all that is new was created; absent: when the layers were made.
    pub created: Option<i64>,
    /// Nothing that is new was created later.
    pub latest: Option<i64>,
    /// The times of the files of new layers.
    pub files: FileTimes,
    /// What the manifest says of these layers, as `rewrite-timestamp=true` has it.
    pub note: TimesNote,
}

impl Dating {
    /// Everything is as old as it is.
    pub const NONE: Self = Self {
        created: None,
        latest: None,
        files: FileTimes::Own,
        note: TimesNote::None,
    };
}

/// Whether a manifest tells that the times of a layer's files were changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimesNote {
    /// It does not.
    None,
    /// It has an annotation with this time.
    Annotation(i64),
}

/// Puts together the image of `output`, whose layers are `layers`, bottom first. Layers that are not in the store are those that
/// `imports` know.
pub fn assemble(
    store: &Store,
    imports: &Imports,
    plan: &Plan,
    output: &ImageOutput,
    layers: &[LayerId],
    dating: Dating,
) -> Result<BuiltImage, ExportError> {
    let bases = base_layers(plan);
    let times = layers
        .iter()
        .map(|id| layer_time(store, imports, id, &dating))
        .collect::<Result<Vec<_>, ExportError>>()?;
    let layers = layers
        .iter()
        .map(|id| built_layer(store, imports, id, dating.files, &bases))
        .collect::<Result<Vec<_>, ExportError>>()?;
    let mut config = output.config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    let base_time = match dating.created {
        None => BaseTime::Inherited,
        Some(_) => BaseTime::Replaced(rfc3339(dating.date(SystemTime::UNIX_EPOCH))),
    };
    history::complete(&mut config.history, output.base_history, &times, base_time);
    config.created = config
        .history
        .iter()
        .rev()
        .find_map(|entry| entry.created.clone())
        .map(|created| dating.bound(created));
    Ok(BuiltImage {
        platform: output.platform.clone(),
        config,
        layers,
        note: dating.note,
        attestations: Vec::new(),
    })
}

impl Dating {
    /// The time of what is written now.
    pub fn latest_or(&self, now: SystemTime) -> SystemTime {
        self.latest.map_or(now, from_epoch)
    }

    /// The time that stands for all others, if there is one.
    pub(crate) fn only(&self) -> Option<SystemTime> {
        let date = self.created.into_iter().chain(self.latest).min();
        date.map(from_epoch)
    }

    /// When something was created that was made at `made`.
    fn date(&self, made: SystemTime) -> SystemTime {
        let created = self.created.map_or(made, from_epoch);
        match self.latest {
            Some(latest) => created.min(from_epoch(latest)),
            None => created,
        }
    }

    /// `created`, which may be a base image's, or what nothing is later than.
    fn bound(&self, created: String) -> String {
        let Some(latest) = self.created.into_iter().chain(self.latest).min() else {
            return created;
        };
        let is_later = created
            .parse::<Timestamp>()
            .is_ok_and(|created| SystemTime::from(created) > from_epoch(latest));
        if is_later {
            rfc3339(from_epoch(latest))
        } else {
            created
        }
    }
}

/// The layer `id` of an image whose files are dated as `files` say.
pub(crate) fn built_layer(
    store: &Store,
    imports: &Imports,
    id: &LayerId,
    files: FileTimes,
    bases: &Bases,
) -> Result<BuiltLayer, ExportError> {
    let (id, (diff_id, size), times, remote) = match id {
        // A layer of a base image that was built here is in the store under the name of its contents.
        LayerId::Pulled(diff_id) => {
            let (id, times) = store.layer_tar(diff_id)?.unwrap_or((*id, FileTimes::Own));
            (id, (*diff_id, 0), times, None)
        }
        LayerId::Made(_) => {
            let remote = match store.layer(id)? {
                Some(_) => None,
                None => imports.layer(id),
            };
            let told = || imports.layer(id)?.layer.tar(files);
            let known = store.diff_id(id, files)?.or_else(told);
            let known = known.ok_or(ExportError::Layer(*id))?;
            (*id, known, files, remote)
        }
    };
    Ok(BuiltLayer {
        id,
        diff_id,
        size,
        times,
        base: bases.get(&diff_id).cloned(),
        remote,
    })
}

/// The layers of all images of `plan`.
pub(crate) fn base_layers(plan: &Plan) -> Bases {
    let mut layers = HashMap::new();
    for id in plan.vertices() {
        if let Operation::Image(source) = &plan.vertex(id).operation {
            for (diff_id, descriptor) in source.diff_ids().iter().zip(&source.image.layers) {
                layers.insert(*diff_id, (Arc::clone(&source.image), descriptor.clone()));
            }
        }
    }
    layers
}

/// The time of a layer that this build made; a base image's layers are dated by its own history.
fn layer_time(
    store: &Store,
    imports: &Imports,
    id: &LayerId,
    dating: &Dating,
) -> Result<Option<String>, ExportError> {
    let told = || {
        let created = imports.layer(id)?.layer.created;
        Some(SystemTime::UNIX_EPOCH + Duration::from_millis(created))
    };
    let time = match id {
        LayerId::Pulled(_) => None,
        LayerId::Made(_) => store.layer_created(id)?.or_else(told),
    };
    Ok(time.map(|made| rfc3339(dating.date(made))))
}

fn from_epoch(seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    let time = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    };
    time.unwrap_or(SystemTime::UNIX_EPOCH)
}

/// `2026-08-20T10:00:00.123Z`
fn rfc3339(time: SystemTime) -> String {
    Timestamp::try_from(time)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// `2026-08-20T10:00:00Z`
pub(crate) fn rfc3339_seconds(time: SystemTime) -> String {
    let seconds = Timestamp::try_from(time).map_or(0, Timestamp::as_second);
    Timestamp::from_second(seconds)
        .unwrap_or(Timestamp::UNIX_EPOCH)
        .to_string()
}

/// An image or index document, ready to be written somewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// What it is called by.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    /// `value` as a document of this media type.
    pub(crate) fn of<T: Serialize>(value: &T, kind: &str) -> Result<Self, ExportError> {
        let bytes = canonical_json(value)?;
        let digest = Digest::sha256_of(&bytes);
        let descriptor = Descriptor::new(kind.into(), bytes.len() as u64, digest);
        Ok(Self { descriptor, bytes })
    }

    /// The digest of the bytes.
    pub fn digest(&self) -> Digest {
        Digest::sha256_of(&self.bytes)
    }
}

/// A manifest in the order of fields that other builders write.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: &'a Descriptor,
    layers: Vec<Descriptor>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<HashMap<String, String>>,
}

/// An index likewise.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Index<'a> {
    schema_version: u32,
    media_type: &'a str,
    manifests: Vec<PlatformDescriptor<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    annotations: Option<HashMap<String, String>>,
}

#[derive(Serialize)]
struct PlatformDescriptor<'a> {
    #[serde(flatten)]
    descriptor: &'a Descriptor,
    platform: &'a Platform,
}

/// The config of `image`, whose layers travel as `layers`, as a document.
pub(crate) fn config_document(
    image: &BuiltImage,
    layers: &[TravellingLayer],
    types: MediaTypes,
) -> Result<Document, ExportError> {
    let mut config = image.config.clone();
    config.rootfs.diff_ids = layers.iter().map(|layer| layer.diff_id).collect();
    Document::of(&config, types.config())
}

/// The manifest of an image for `platform` whose layers travel as `layers`.
pub(crate) fn manifest_document(
    config: &Document,
    layers: &[TravellingLayer],
    platform: &Platform,
    annotations: &Annotations,
    types: MediaTypes,
) -> Result<Document, ExportError> {
    let kind = types.manifest();
    let layers = layers.iter().map(|layer| types.layer(&layer.descriptor));
    let layers = layers.collect();
    let platform = Some(platform);
    let manifest = Manifest {
        schema_version: 2,
        media_type: kind,
        config: &config.descriptor,
        layers,
        annotations: annotations.of(AnnotationPlace::Manifest, platform),
    };
    let mut document = Document::of(&manifest, kind)?;
    let place = AnnotationPlace::ManifestDescriptor;
    annotations.put_on(&mut document.descriptor, place, platform);
    Ok(document)
}

/// The index of the images of several platforms.
pub(crate) fn index_document(
    manifests: &[(Descriptor, Platform)],
    annotations: &Annotations,
    types: MediaTypes,
) -> Result<Document, ExportError> {
    let kind = types.index();
    let manifests = manifests
        .iter()
        .map(|(descriptor, platform)| PlatformDescriptor {
            descriptor,
            platform,
        })
        .collect();
    let index = Index {
        schema_version: 2,
        media_type: kind,
        manifests,
        annotations: annotations.of(AnnotationPlace::Index, None),
    };
    let mut document = Document::of(&index, kind)?;
    let place = AnnotationPlace::IndexDescriptor;
    annotations.put_on(&mut document.descriptor, place, None);
    Ok(document)
}

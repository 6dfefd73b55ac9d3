//! An image of the store by its documents: manifests, and how their layers are to be had.

use std::sync::Arc;

use anyhow::{Context as _, bail};
use rbuild_export::BuiltLayer;
use rbuild_image::{
    Compression, Descriptor, Digest, ImageConfig, ImageManifest, LayerId, LayerMediaType, Manifest,
    ManifestKind, Platform, Reference, is_attestation,
};
use rbuild_layer::FileTimes;
use rbuild_plan::{ImageForm, ImageOrigin as PlanOrigin, ResolvedImage};
use rbuild_store::{ImageOrigin, Store, StoredImage};

/// An image's manifests that are here.
pub(super) struct Documents {
    pub(super) root: Document,
    /// The images of an index; the root itself where it is none.
    pub(super) images: Vec<ImageDocument>,
    /// How many images an index names.
    pub(super) named: usize,
    /// Whether the root is an index.
    pub(super) form: ImageForm,
}

/// A document with its bytes.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) descriptor: Descriptor,
    pub(super) bytes: Vec<u8>,
}

/// An image manifest.
pub(super) struct ImageDocument {
    pub(super) document: Document,
    pub(super) manifest: ImageManifest,
}

impl Documents {
    pub(super) fn read(store: &Store, image: &StoredImage) -> anyhow::Result<Self> {
        let bytes = store
            .read_blob(&image.digest)?
            .with_context(|| format!("the manifest {} is missing", image.digest))?;
        let root = Document {
            descriptor: image.descriptor.clone(),
            bytes,
        };
        let mut images = Vec::new();
        let mut named = 1;
        let mut form = ImageForm::Single;
        match Manifest::from_json(&root.bytes)? {
            Manifest::Image(manifest) => images.push(ImageDocument {
                document: Document {
                    descriptor: root.descriptor.clone(),
                    bytes: root.bytes.clone(),
                },
                manifest,
            }),
            Manifest::Index(index) => {
                named = index.manifests().len();
                form = ImageForm::Indexed;
                for entry in index.manifests() {
                    images.extend(ImageDocument::of_index(store, entry)?);
                }
            }
        }
        if images.is_empty() {
            bail!("no image of the index {} is here", image.digest);
        }
        Ok(Self {
            root,
            images,
            named,
            form,
        })
    }

    /// Leaves the image for `platform` alone; whether there is one.
    pub(super) fn choose(&mut self, store: &Store, platform: &Platform) -> anyhow::Result<bool> {
        let mut best = None;
        for (index, one) in self.images.iter().enumerate() {
            if is_attestation(&one.document.descriptor) {
                continue;
            }
            let distance = one.config(store)?.platform().distance_to(platform);
            if let Some(distance) = distance
                && best.is_none_or(|(least, _)| distance < least)
            {
                best = Some((distance, index));
            }
        }
        let Some((_, index)) = best else {
            return Ok(false);
        };
        self.images = vec![self.images.swap_remove(index)];
        self.root = self.images[0].document.clone();
        self.named = 1;
        self.form = ImageForm::Single;
        Ok(true)
    }

    /// What of it is here as a whole: the image itself, or as much of an index; and what is to be said of that by who pushes or saves
    /// it (`verb`).
    pub(super) fn here(&self, verb: &str) -> anyhow::Result<(Document, Option<String>)> {
        if self.images.len() == self.named {
            return Ok((self.root.clone(), None));
        }
        let from = self.root.descriptor.digest();
        if let [only] = self.images.as_slice() {
            let to = only.document.descriptor.digest();
            let said = format!(
                "Only the image of one platform is here, and only that is {verb}: {from} -> {to}"
            );
            return Ok((only.document.clone(), Some(said)));
        }
        let index = smaller_index(&self.root, &self.images)?;
        let (count, to) = (self.images.len(), index.descriptor.digest());
        let said =
            format!("Not all platforms are here, and only {count} are {verb}: {from} -> {to}");
        Ok((index, Some(said)))
    }

    /// Whether the blobs that the manifests name are what is pushed.
    pub(super) fn travels_as_it_is(&self, origin: &ImageOrigin) -> bool {
        if let ImageOrigin::Registry(_) = origin {
            return true;
        }
        let mut layers = self.images.iter().flat_map(|image| image.manifest.layers());
        !layers.any(is_plain)
    }
}

impl Document {
    /// Whether it is a list of images.
    pub(super) fn is_index(&self) -> bool {
        let kind = self.descriptor.media_type().to_string();
        ManifestKind::of_media_type(&kind) == Some(ManifestKind::Index)
    }
}

impl ImageDocument {
    /// The image of an index's entry, if it is here.
    fn of_index(store: &Store, entry: &Descriptor) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = store.read_blob(&Digest::try_from(entry.digest())?)? else {
            return Ok(None);
        };
        let Manifest::Image(manifest) = Manifest::from_json(&bytes)? else {
            return Ok(None);
        };
        let document = Document {
            descriptor: entry.clone(),
            bytes,
        };
        Ok(Some(Self { document, manifest }))
    }

    /// Its config.
    pub(super) fn config(&self, store: &Store) -> anyhow::Result<ImageConfig> {
        let digest = Digest::try_from(self.manifest.config().digest())?;
        let config = store
            .read_blob(&digest)?
            .with_context(|| format!("the config {digest} is missing"))?;
        Ok(ImageConfig::from_json(&config)?)
    }

    /// Its layers as their builder had them. What is not here is where the image `name` is, unless another is known to have it.
    pub(super) fn layers(
        &self,
        store: &Store,
        config: &ImageConfig,
        name: Option<&Reference>,
    ) -> anyhow::Result<Vec<BuiltLayer>> {
        let layers = config.rootfs.diff_ids.iter().zip(self.manifest.layers());
        layers
            .map(|(diff_id, blob)| {
                let unknown = (LayerId::Pulled(*diff_id), FileTimes::Own);
                let (id, times) = store.layer_tar(diff_id)?.unwrap_or(unknown);
                Ok(BuiltLayer {
                    id,
                    diff_id: *diff_id,
                    size: 0,
                    times,
                    remote: None,
                    base: if is_plain(blob) {
                        None
                    } else {
                        Some((base(store, blob, name)?, blob.clone()))
                    },
                })
            })
            .collect()
    }
}

/// Where a base layer's blob is to be had.
fn base(
    store: &Store,
    blob: &Descriptor,
    name: Option<&Reference>,
) -> anyhow::Result<Arc<ResolvedImage>> {
    let source = source_of(store, blob, name)?;
    let origin = source.as_ref().or(name).map(Reference::to_string);
    let digest = Digest::try_from(blob.digest())?;
    if origin.is_none() && store.blob(&digest)?.is_none() {
        bail!("the layer {digest} is not here, and no registry is known to have it");
    }
    Ok(Arc::new(ResolvedImage {
        origin: PlanOrigin::Registry(origin.unwrap_or_default()),
        manifest: Digest::sha256_of(&[]),
        config: ImageConfig::default(),
        layers: Vec::new(),
    }))
}

/// `index` with only the entries of `images`.
fn smaller_index(index: &Document, images: &[ImageDocument]) -> anyhow::Result<Document> {
    let mut value: serde_json::Value = serde_json::from_slice(&index.bytes)?;
    let here = |entry: &serde_json::Value| {
        let digest = entry["digest"].as_str().unwrap_or_default();
        images
            .iter()
            .any(|image| image.document.descriptor.digest().to_string() == digest)
    };
    value["manifests"]
        .as_array_mut()
        .context("an index without manifests")?
        .retain(here);
    let bytes = serde_json::to_vec(&value)?;
    let kind = index.descriptor.media_type().to_string();
    let digest = Digest::sha256_of(&bytes);
    Ok(Document {
        descriptor: rbuild_image::descriptor(&kind, digest, bytes.len() as u64),
        bytes,
    })
}

/// Whether a layer is a plain tar: the form of those that we made.
pub(super) fn is_plain(layer: &Descriptor) -> bool {
    let kind = LayerMediaType::parse(layer.media_type().as_ref());
    kind.is_some_and(|kind| kind.compression == Compression::None)
}

/// A registry image that has a blob; in the target's registry if there is one.
pub(super) fn source_of(
    store: &Store,
    blob: &Descriptor,
    target: Option<&Reference>,
) -> anyhow::Result<Option<Reference>> {
    let mut found: Option<Reference> = None;
    for image in store.images()? {
        let ImageOrigin::Registry(origin) = &image.origin else {
            continue;
        };
        let near = target.is_some_and(|target| origin.registry() == target.registry());
        if found.is_some() && !near {
            continue;
        }
        let has = Documents::read(store, &image).is_ok_and(|documents| {
            let mut layers = documents
                .images
                .iter()
                .flat_map(|image| image.manifest.layers());
            layers.any(|layer| layer.digest() == blob.digest())
        });
        if has {
            found = Some(origin.clone());
            if near {
                break;
            }
        }
    }
    Ok(found)
}

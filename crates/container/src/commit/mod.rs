//! A container's changes as a new layer on its image.
//!
//! ```text
//! containers/<id>/diff ─ index, tar ─▶ a layer of the store
//! the image's config + the container's options + --change ─▶ config ─▶ manifest: the image's layers, and the new one
//! ```

mod change;

use std::io::BufWriter;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use rbuild_image::{
    Descriptor, DiffId, Digest, HistoryEntry, ImageConfig, LayerId, Reference, RuntimeConfig,
    canonical_json, descriptor, media_type,
};
use rbuild_layer::{
    Extracted, FileTimes, OverlayFlavor, TreeWriter, extract, index_upper, tar_digest, write_tar,
};
use rbuild_store::{Container, ImageOrigin, Layer, LayerDraft, RootAttributes, Store};
use serde_json::json;

pub(crate) use self::change::apply;
use crate::changes::open_upper;
use crate::environment::merge;
use crate::{ContainerError, ContainerId, StoredConfig, command_line};

/// What a commit takes besides the container.
#[derive(Debug, Clone, Copy)]
pub struct Commit<'a> {
    /// The config of the image that the container was made from.
    pub base: &'a ImageConfig,
    /// That image's layers, bottom first.
    pub layers: &'a [Descriptor],
    /// `--author`.
    pub author: &'a str,
    /// `--message`.
    pub message: &'a str,
    /// `--change`: instructions of a Dockerfile.
    pub changes: &'a [String],
    /// When.
    pub now: SystemTime,
}

/// An image whose documents are written. It is not among the images before it is [entered](Self::enter); until then nothing in
/// the store needs its newest layer, which stays for as long as this does.
#[derive(Debug)]
pub struct NewImage {
    manifest: Descriptor,
    id: Digest,
    layer: Arc<Layer>,
}

impl NewImage {
    /// Puts it among the images, under `name` if it has one, and gives its ID.
    pub fn enter(self, store: &Store, name: Option<&Reference>) -> Result<Digest, ContainerError> {
        match name {
            Some(name) => store.set_tag(name, &self.manifest)?,
            None => {
                store.add_image(&self.manifest, &ImageOrigin::Local)?;
            }
        }
        drop(self.layer);
        Ok(self.id)
    }
}

/// A layer of an image to be, pinned.
pub(crate) struct NewLayer {
    layer: Arc<Layer>,
    /// The digest of its tar.
    pub(crate) diff_id: DiffId,
    /// The bytes of that tar.
    size: u64,
}

impl NewLayer {
    /// It as a manifest lists it, not packed.
    pub(crate) fn descriptor(&self) -> Descriptor {
        descriptor(media_type::OCI_LAYER, self.diff_id.0, self.size)
    }
}

/// Makes an image of a container, which is not among the images yet.
pub fn commit(
    store: &Store,
    container: &Container,
    commit: &Commit<'_>,
) -> Result<NewImage, ContainerError> {
    let id = ContainerId::from_store(&container.id);
    let stored = StoredConfig::from_json(&id, &container.config)?;
    let mut runtime = runtime_config(&stored);
    for text in commit.changes {
        apply(&mut runtime, text)?;
    }
    let layer = layer(store, container)?;
    let created = timestamp(commit.now);
    let mut config = commit.base.clone();
    config.config = runtime;
    config.created = Some(created.clone());
    commit.author.clone_into(&mut config.author);
    config.rootfs.diff_ids.push(layer.diff_id);
    config.history.push(HistoryEntry {
        created: Some(created),
        created_by: command_line(&stored.options, &stored.image)?.join(" "),
        author: commit.author.to_owned(),
        comment: commit.message.to_owned(),
        ..HistoryEntry::default()
    });
    let mut layers: Vec<Descriptor> = commit.layers.iter().map(in_oci_words).collect();
    layers.push(layer.descriptor());
    write_image(store, &config, &layers, layer)
}

/// A time as configs write it.
pub(crate) fn timestamp(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// Writes the documents of an image whose last layer is `new`.
pub(crate) fn write_image(
    store: &Store,
    config: &ImageConfig,
    layers: &[Descriptor],
    new: NewLayer,
) -> Result<NewImage, ContainerError> {
    let config = canonical_json(config)?;
    let id = store.put_blob(&config)?;
    let manifest = canonical_json(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": descriptor(media_type::OCI_CONFIG, id, config.len() as u64),
        "layers": layers,
    }))?;
    let digest = store.put_blob(&manifest)?;
    Ok(NewImage {
        manifest: descriptor(media_type::OCI_MANIFEST, digest, manifest.len() as u64),
        id,
        layer: new.layer,
    })
}

/// The container's changes as a layer of the store.
fn layer(store: &Store, container: &Container) -> Result<NewLayer, ContainerError> {
    let upper = open_upper(store, container)?;
    let index = index_upper(upper.as_fd(), OverlayFlavor::detect())?;
    let draft = store.draft(&RootAttributes::default())?;
    let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
    let (read, write) = std::io::pipe().map_err(ContainerError::Attach)?;
    let copied = thread::scope(|scope| {
        let archived = scope.spawn(|| write_tar(upper.as_fd(), &index, BufWriter::new(write)));
        let copied = extract(read, writer);
        archived.join().expect("the archiver does not panic")?;
        copied
    })?;
    enter_layer(store, draft, copied)
}

/// Makes a layer of the files in `draft`.
pub(crate) fn enter_layer(
    store: &Store,
    draft: LayerDraft,
    files: Extracted,
) -> Result<NewLayer, ContainerError> {
    let id = LayerId::Made(files.index.content_id());
    let layer = store.commit_layer(draft, files.index, id)?;
    if let Some((diff_id, size)) = store.diff_id(&id, FileTimes::Own)? {
        return Ok(NewLayer {
            layer,
            diff_id,
            size,
        });
    }
    // Equal contents are one layer, which may have been there, with times of its own.
    let directory = rustix::fs::open(
        layer.diff_path(),
        rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|error| ContainerError::Attach(error.into()))?;
    let index = layer.index()?;
    let (diff_id, size) = tar_digest(directory.as_fd(), &index)?;
    store.set_diff_id(&id, FileTimes::Own, &diff_id, size)?;
    Ok(NewLayer {
        layer,
        diff_id,
        size,
    })
}

/// The image's config as the container was run with it.
fn runtime_config(stored: &StoredConfig) -> RuntimeConfig {
    let options = &stored.options;
    let mut config = stored.image.clone();
    if let Some(user) = &options.user {
        config.user.clone_from(user);
    }
    if let Some(workdir) = &options.workdir {
        config.working_dir.clone_from(workdir);
    }
    if let Some(entrypoint) = &options.entrypoint {
        let program = Some(entrypoint).filter(|text| !text.is_empty());
        config.entrypoint = program.map(|text| vec![text.clone()]);
        config.cmd = None;
    }
    if !options.args.is_empty() {
        config.cmd = Some(options.args.clone());
    }
    if !options.env.is_empty() {
        let own = config.env.take().unwrap_or_default();
        config.env = Some(merge([own.as_slice(), &options.env]));
    }
    for label in &options.labels {
        let (name, value) = label.split_once('=').unwrap_or((label, ""));
        config.labels.insert(name.to_owned(), value.to_owned());
    }
    if let Some(signal) = &options.stop_signal {
        config.stop_signal.clone_from(signal);
    }
    config
}

/// A layer of a Docker manifest as an OCI manifest names it.
fn in_oci_words(layer: &Descriptor) -> Descriptor {
    let mut layer = layer.clone();
    let words = match layer.media_type().to_string().as_str() {
        media_type::DOCKER_LAYER_GZIP => media_type::OCI_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD => media_type::OCI_LAYER_ZSTD,
        media_type::DOCKER_LAYER => media_type::OCI_LAYER,
        _ => return layer,
    };
    layer.set_media_type(words.into());
    layer
}

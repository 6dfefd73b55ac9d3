//! A layer of the store as a blob that can be sent.

use std::os::fd::AsFd as _;

use rbuild_image::{Compression, Descriptor, DiffId, Digest, LayerId, descriptor, media_type};
use rbuild_layer::{CompressionLevel, FileTimes, compress, write_digested_tar, write_tar};
use rbuild_store::Store;

use crate::{EntryLayer, LayerForm, RemoteError};

/// How blobs are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BlobForm {
    /// The compression; absent: the one that a layer has already, else gzip.
    pub compression: Option<Compression>,
    /// The compressor's level; its default if absent.
    pub level: Option<i32>,
    /// Whether a layer that has another compression already gets this one (`force-compression`).
    pub force: bool,
}

/// What an entry says of the layer `id`, its blob made now if there is none.
pub(crate) fn with_blob(
    store: &Store,
    id: &LayerId,
    form: BlobForm,
) -> Result<EntryLayer, RemoteError> {
    let compression = form.compression.unwrap_or(Compression::Gzip);
    // A push that sends it as well may be packing it now.
    let _only_packer = store.lock_packing(id, &|| false)?;
    let known = store.diff_id(id, FileTimes::Own)?;
    if let Some((diff_id, size)) = known
        && let Some(blob) = existing(store, &diff_id, form)?
    {
        return described(store, id, diff_id, size, Some(blob));
    }
    let layer = store.layer(id)?.ok_or(RemoteError::LostLayer(*id))?;
    let (directory, index) = (layer.open_diff()?, layer.index()?);
    let mut writer = store.blob_writer()?;
    let level = form
        .level
        .map_or(CompressionLevel::Default, CompressionLevel::Of);
    let mut compressor =
        compress(&mut writer, compression, level).map_err(RemoteError::Compress)?;
    let (diff_id, size) = if let Some(known) = known {
        write_tar(directory.as_fd(), &index, &mut compressor)?;
        known
    } else {
        let (diff_id, size) = write_digested_tar(directory.as_fd(), &index, &mut compressor)?;
        store.set_diff_id(id, FileTimes::Own, &diff_id, size)?;
        (diff_id, size)
    };
    compressor.finish().map_err(RemoteError::Compress)?;
    let bytes = writer.written();
    let digest = writer.commit(None, None)?;
    let blob = descriptor(kind_of(compression), digest, bytes);
    if form.level.is_none() {
        store.set_layer_blob(&diff_id, compression, &blob)?;
    }
    described(store, id, diff_id, size, Some(blob))
}

/// What an entry says of the layer `id` without a blob. No bytes are read for it.
pub(crate) fn without_blob(store: &Store, id: &LayerId) -> Result<EntryLayer, RemoteError> {
    match store.diff_id(id, FileTimes::Own)? {
        Some((diff_id, size)) => described(store, id, diff_id, size, None),
        None => EntryLayer::timed(store, id),
    }
}

/// A blob that the store has and that will do.
fn existing(
    store: &Store,
    diff_id: &DiffId,
    form: BlobForm,
) -> Result<Option<Descriptor>, RemoteError> {
    // At another level it may be another blob: what is there need not be it.
    if form.level.is_some() && form.force {
        return Ok(None);
    }
    let wanted = form.compression.unwrap_or(Compression::Gzip);
    if let Some(found) = store.layer_blob(diff_id, wanted)? {
        return Ok(Some(found));
    }
    if form.force {
        return Ok(None);
    }
    for blob in store.layer_blobs(diff_id)? {
        let digest = Digest::try_from(blob.descriptor.digest())?;
        if blob.packing != Compression::None.into() && store.has_blob(&digest)? {
            return Ok(Some(blob.descriptor));
        }
    }
    Ok(None)
}

fn described(
    store: &Store,
    id: &LayerId,
    diff_id: DiffId,
    size: u64,
    blob: Option<Descriptor>,
) -> Result<EntryLayer, RemoteError> {
    let mut forms = Vec::new();
    let others: Vec<Descriptor> = store
        .layer_blobs(&diff_id)?
        .into_iter()
        .map(|other| other.descriptor)
        .filter(|other| Some(other.digest()) != blob.as_ref().map(Descriptor::digest))
        .collect();
    if !others.is_empty() {
        forms.push(LayerForm::new(FileTimes::Own, diff_id, size, others));
    }
    for (times, diff_id, size) in store.dated_tars(id)? {
        let blobs = store.layer_blobs(&diff_id)?;
        let blobs = blobs.into_iter().map(|blob| blob.descriptor).collect();
        forms.push(LayerForm::new(times, diff_id, size, blobs));
    }
    Ok(EntryLayer {
        diff_id: Some(diff_id),
        size,
        blob,
        forms,
        ..EntryLayer::timed(store, id)?
    })
}

fn kind_of(compression: Compression) -> &'static str {
    match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    }
}

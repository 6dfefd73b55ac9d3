//! A new layer whose files are read once: digested, packed and sent at the same time.
//!
//! ```text
//! files ─→ tar ─┬→ sha256: the diffID
//!               └→ compressor ─→ blob of the store ─→ upload behind it
//! ```
//!
//! Of a layer whose tar is digested, somebody may have the blob: those are asked for first, and not packed here.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::thread;

use rbuild_image::{Compression, Packing, descriptor};
use rbuild_layer::{CompressionLevel, FileTimes, compress, write_digested_tar};
use rbuild_store::Layer;

use crate::error::ExportError;
use crate::growth::{Ending, Followed, Follower, Growth};
use crate::pack::{UnlessCancelled, kind_of};
use crate::push_ahead::{Job, Shared, lock};
use crate::send::STREAMED_BYTES;

/// Packs `layer` for the first target that wants it so, unless it is small or digested.
pub(crate) fn pack_new(shared: &Arc<Shared>, layer: &Layer) -> Result<(), ExportError> {
    let (store, id) = (&shared.store, layer.id());
    let Some((target, compression)) = first_target(shared) else {
        return Ok(());
    };
    if layer.bytes() < STREAMED_BYTES {
        return Ok(());
    }
    let _one_at_a_time = lock(&shared.packing);
    // A cache that gets it as well may be about to pack it.
    let _only_packer = store.lock_packing(&id, &|| shared.registry.is_cancelled())?;
    if store.diff_id(&id, FileTimes::Own)?.is_some() {
        return Ok(());
    }
    let mut writer = store.blob_writer()?;
    let growth = Arc::new(Growth::default());
    growth.begin(&writer)?;
    upload(shared, Job { target, layer: id }, &growth);
    let _ending = Ending(&growth);
    let followed = Followed {
        writer: &mut writer,
        growth: Some(&growth),
    };
    let mut compressor =
        compress(followed, compression, CompressionLevel::Default).map_err(ExportError::Archive)?;
    let (diff_id, size) = write_digested_tar(
        layer.open_diff()?.as_fd(),
        &*layer.dated_index(FileTimes::Own)?,
        UnlessCancelled(&shared.registry, &mut compressor),
    )?;
    compressor.finish().map_err(ExportError::Archive)?;
    let bytes = writer.written();
    let blob = descriptor(kind_of(compression), writer.commit(None, None)?, bytes);
    store.set_diff_id(&id, FileTimes::Own, &diff_id, size)?;
    store.set_layer_blob(&diff_id, compression, &blob)?;
    growth.end(&blob);
    Ok(())
}

/// The first target whose packed blobs are remembered, and can be made while the tar is written.
fn first_target(shared: &Shared) -> Option<(usize, Compression)> {
    let mut all = shared.targets.iter().enumerate();
    all.find_map(|(at, target)| match target.form.packing {
        Packing::Stream(Compression::None) => None,
        Packing::Stream(compression)
            if target.form.level.is_none() && target.times == FileTimes::Own =>
        {
            Some((at, compression))
        }
        _ => None,
    })
}

/// Sends what grows, on a thread of its own. Where that fails, the blob is sent as any other.
fn upload(shared: &Shared, job: Job, growth: &Arc<Growth>) {
    let (registry, growth) = (Arc::clone(&shared.registry), Arc::clone(growth));
    let name = shared.targets[job.target].name.clone();
    let upload = thread::spawn(move || {
        let _ = registry.push_while_made(&name, Follower::new(&growth), || growth.blob());
    });
    lock(&shared.uploads).insert(job, upload);
}

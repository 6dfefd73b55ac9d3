//! Layers that can be read piece by piece: eStargz and zstd:chunked.
//!
//! ```text
//! eStargz        gzip: headers │ file │ headers │ chunk │ chunk │ … │ end │ landmark │ table of contents │ footer
//! zstd:chunked   zstd: headers │ file │ headers │ chunk │ chunk │ … │ end │ skipped: table │ tar-split │ footer
//! ```
//!
//! Both are the tar that they are made of for every reader that does not know them. Each file's bytes are compressed by
//! themselves, in chunks; the table of contents says where each is and what its digest is, so that a snapshotter fetches and
//! checks what a container reads. Of eStargz the table belongs to the decompressed stream, behind the end of the archive, and
//! with it to the diffID; zstd has frames that decoders skip.
//!
//! What is written depends on the tar and the level alone, never on the number of threads.

mod crc64;
mod estargz;
mod pieces;
mod stream;
mod tar_split;
mod toc;
mod zstd_chunked;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use rbuild_image::DiffId;

use crate::compress::CompressionLevel;
use crate::error::Result;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ChunkedForm {
    /// Of containerd's stargz snapshotter.
    Estargz,
    /// Of containers/storage.
    ZstdChunked,
}

/// What was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChunkedLayer {
    /// The digest of the decompressed stream: for eStargz another than the tar's.
    pub diff_id: DiffId,
    /// What a manifest has to say of the layer, so that its table of contents is found and checked.
    pub annotations: BTreeMap<&'static str, String>,
}

/// Packs the archive `tar` into `sink`, on all cores.
///
/// # Errors
/// [`LayerError::Archive`](crate::LayerError::Archive) for what is no tar or has a sparse file, which neither format knows;
/// else the source's and the sink's.
pub fn pack_chunked(
    tar: impl Read,
    sink: impl Write,
    form: ChunkedForm,
    level: CompressionLevel,
) -> Result<ChunkedLayer> {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    pack_chunked_with_threads(tar, sink, form, level, threads)
}

/// As [`pack_chunked`], with so many threads.
///
/// # Errors
/// As [`pack_chunked`].
pub fn pack_chunked_with_threads(
    tar: impl Read,
    sink: impl Write,
    form: ChunkedForm,
    level: CompressionLevel,
    threads: NonZeroUsize,
) -> Result<ChunkedLayer> {
    match form {
        ChunkedForm::Estargz => estargz::pack(tar, sink, level, threads),
        ChunkedForm::ZstdChunked => zstd_chunked::pack(tar, sink, level, threads),
    }
}

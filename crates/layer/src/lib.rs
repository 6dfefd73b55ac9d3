//! Layers: a directory and its tar, and what a layer holds by content.
//!
//! The crate turns an overlay's upper directory into a [`ContentIndex`] ([`index_upper`]), that into a
//! deterministic tar ([`write_tar`], [`tar_digest`]), and any tar back into a directory ([`extract`]),
//! confined to it whatever the tar says. [`TreeWriter`] is the confined writer under both extraction and
//! COPY. [`compress`] and [`decompress`] are the layer formats: plain, gzip and zstd; [`pack_chunked`] makes those that are
//! read piece by piece.
//!
//! It does not know where layers are kept, what image they belong to, or which registry they come from.
//!
//! ```
//! use rbuild_layer::{OverlayFlavor, TreeWriter, extract, tar_digest};
//! use std::os::fd::AsFd;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let (first, second) = (tempfile::tempdir()?, tempfile::tempdir()?);
//! # let (first, second) = (std::fs::File::open(&first)?, std::fs::File::open(&second)?);
//! let writer = TreeWriter::new(first.try_clone()?.into(), OverlayFlavor::current())?;
//! writer.directory(b"etc", &rbuild_layer::Attributes::with_mode(0o755))?;
//! let index = writer.finish()?;
//!
//! let (diff_id, size) = tar_digest(first.as_fd(), &index)?;
//! let mut tar = Vec::new();
//! rbuild_layer::write_tar(first.as_fd(), &index, &mut tar)?;
//! assert_eq!(size, tar.len() as u64);
//!
//! let again = extract(&*tar, TreeWriter::new(second.into(), OverlayFlavor::current())?)?;
//! assert_eq!(again.diff_id, diff_id);
//! assert_eq!(again.index.content_id(), index.content_id());
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod chunked;
mod compress;
mod directories;
mod error;
mod extract;
mod hash;
mod index;
mod marks;
mod relay;
mod segments;
mod tar;
mod tree_writer;
mod walk;
mod xattr;

pub use chunked::{ChunkedForm, ChunkedLayer, pack_chunked, pack_chunked_with_threads};
pub use compress::{
    CompressionLevel, Compressor, Decompressed, compress, compress_with_threads, decompress,
};
pub use error::{LayerError, Result};
pub use extract::{Extracted, extract};
pub use hash::hash_file;
pub use index::changes::Change;
pub use index::entry::{Entry, EntryKind, Mtime, Opacity};
pub use index::identity::{AttributeMask, Counted};
pub use index::path::compare_paths;
pub use index::{ContentIndex, FileTimes};
pub use rbuild_sys::OverlayFlavor;
pub use tar::pax::xattr_name as pax_xattr_name;
pub use tar::records::timestamp as pax_time;
pub use tar::visit::{TarFile, visit_tar};
pub use tar::write::{end_tar, tar_digest, write_digested_tar, write_tar, write_tar_part};
pub use tree_writer::{Attributes, FileContent, TreeWriter};
pub use walk::index_upper;
pub use xattr::{Xattrs, layer_xattrs};

//! Packing: a layer's tar into a blob of the store, compressed as the output wants it.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::thread;

use rbuild_image::{Compression, Descriptor, DiffId, Digest, Packing, descriptor, media_type};
use rbuild_layer::{ChunkedForm, ChunkedLayer, CompressionLevel, compress, pack_chunked};
use rbuild_registry::Client;

use crate::assemble::BuiltLayer;
use crate::blobs::{Blobs, LayerForm, TravellingLayer, as_oci};
use crate::error::ExportError;
use crate::growth::{Followed, Growth};

/// In the store's descriptors only: what a blob decompresses to where that is not the layer's tar.
const DIFF_ID: &str = "containerd.io/uncompressed";

/// What is collected before it goes to the thread that packs it.
const PIPE_BUFFER_BYTES: usize = 64 << 10;

/// Packs `layer`, and remembers the blob. `growth` lets somebody read it while it is written.
pub(crate) fn pack(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    form: LayerForm,
    growth: Option<&Growth>,
) -> Result<TravellingLayer, ExportError> {
    let mut writer = blobs.store.blob_writer()?;
    if let Some(growth) = growth {
        growth.begin(&writer)?;
    }
    let mut sink = Followed {
        writer: &mut writer,
        growth,
    };
    let level = form
        .level
        .map_or(CompressionLevel::Default, CompressionLevel::Of);
    let (kind, annotations, diff_id) = match form.packing {
        Packing::Stream(compression) => {
            stream(blobs, layer, compression, level, &mut sink)?;
            (kind_of(compression), BTreeMap::new(), layer.diff_id)
        }
        Packing::Estargz => {
            let packed = chunked(blobs, layer, ChunkedForm::Estargz, level, &mut sink)?;
            (
                media_type::OCI_LAYER_GZIP,
                packed.annotations,
                packed.diff_id,
            )
        }
        Packing::ZstdChunked => {
            let packed = chunked(blobs, layer, ChunkedForm::ZstdChunked, level, &mut sink)?;
            (
                media_type::OCI_LAYER_ZSTD,
                packed.annotations,
                packed.diff_id,
            )
        }
    };
    let size = writer.written();
    let mut described = descriptor(kind, writer.commit(None, None)?, size);
    for (key, value) in annotations {
        described = with_annotation(&described, key, &value);
    }
    if form.level.is_none() {
        let kept = match form.packing {
            Packing::Estargz => with_annotation(&described, DIFF_ID, &diff_id.to_string()),
            _ => described.clone(),
        };
        blobs
            .store
            .set_layer_blob(&layer.diff_id, form.packing, &kept)?;
    }
    Ok(TravellingLayer {
        descriptor: described,
        diff_id,
    })
}

/// What [`pack`] remembered of `layer`.
pub(crate) fn packed_before(known: &Descriptor, layer: &BuiltLayer) -> TravellingLayer {
    let mut descriptor = as_oci(known);
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    let told = annotations.remove(DIFF_ID);
    let told = told.and_then(|told| told.parse::<Digest>().ok().map(DiffId));
    descriptor.set_annotations(Some(annotations).filter(|all| !all.is_empty()));
    TravellingLayer {
        descriptor,
        diff_id: told.unwrap_or(layer.diff_id),
    }
}

fn stream(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    compression: Compression,
    level: CompressionLevel,
    sink: impl Write,
) -> Result<(), ExportError> {
    let mut compressor = compress(sink, compression, level).map_err(ExportError::Archive)?;
    blobs.write_layer_tar(layer, UnlessCancelled(blobs.registry, &mut compressor))?;
    compressor.finish().map_err(ExportError::Archive)?;
    Ok(())
}

/// One thread writes the tar, this one and those of the packer read it.
fn chunked(
    blobs: &Blobs<'_>,
    layer: &BuiltLayer,
    form: ChunkedForm,
    level: CompressionLevel,
    sink: impl Write,
) -> Result<ChunkedLayer, ExportError> {
    let (reader, pipe) = io::pipe().map_err(ExportError::Archive)?;
    thread::scope(|scope| {
        let tar = scope.spawn(move || {
            let mut pipe = BufWriter::with_capacity(PIPE_BUFFER_BYTES, pipe);
            blobs.write_layer_tar(layer, UnlessCancelled(blobs.registry, &mut pipe))?;
            pipe.flush().map_err(ExportError::Archive)
        });
        let packed = pack_chunked(reader, sink, form, level);
        let written = tar
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        // Where both fail, the packer is why: nobody reads the pipe then.
        let packed = packed?;
        written.map(|()| packed)
    })
}

fn with_annotation(descriptor: &Descriptor, key: &str, value: &str) -> Descriptor {
    let mut annotated = descriptor.clone();
    let mut annotations = annotated.annotations().clone().unwrap_or_default();
    annotations.insert(key.to_owned(), value.to_owned());
    annotated.set_annotations(Some(annotations));
    annotated
}

pub(crate) fn kind_of(compression: Compression) -> &'static str {
    match compression {
        Compression::None => media_type::OCI_LAYER,
        Compression::Gzip => media_type::OCI_LAYER_GZIP,
        Compression::Zstd => media_type::OCI_LAYER_ZSTD,
    }
}

/// A sink that takes nothing more once the user has interrupted.
pub(crate) struct UnlessCancelled<'a, W>(pub(crate) &'a Client, pub(crate) W);

impl<W: Write> Write for UnlessCancelled<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.is_cancelled() {
            return Err(io::Error::other("interrupted"));
        }
        self.1.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.1.flush()
    }
}

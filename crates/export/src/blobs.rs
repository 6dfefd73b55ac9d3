//! The forms in which layers travel: which blob stands for a layer, and where its bytes are.
//!
//! ```text
//! base layer   the blob that its image names, as it came
//! our layer    the plain tar (local store), or compressed once and kept for the next push
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;

use rayon::prelude::*;
use rbuild_image::{
    Compression, Descriptor, DiffId, Digest, ImageError, LayerId, LayerMediaType, MediaType,
    Packing, Reference, media_type,
};
use rbuild_layer::{decompress, write_tar};
use rbuild_plan::{ImageOrigin, ResolvedImage};
use rbuild_registry::Client;
use rbuild_remote::KnownLayer;
use rbuild_store::Store;

use crate::assemble::{BuiltImage, BuiltLayer, TimesNote};
use crate::error::ExportError;
use crate::pack::{pack, packed_before};

/// How the layers that we made are to travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerForm {
    /// How they are packed.
    pub packing: Packing,
    /// The compressor's level; its default if absent.
    pub level: Option<i32>,
    /// Whether base layers are brought into the same form.
    pub base: BaseForm,
}

/// What becomes of the blobs of base layers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BaseForm {
    /// They travel as they came.
    #[default]
    Kept,
    /// `prefer-nondist-layers`: as they came, but those that have addresses of their own are only named, and fetched from there.
    Named,
    /// `force-compression`: they are compressed anew.
    Converted,
}

/// A layer's blob as it travels.
#[derive(Debug, Clone)]
pub(crate) struct TravellingLayer {
    /// What the manifest says of it.
    pub(crate) descriptor: Descriptor,
    /// The digest of what it decompresses to: the layer's diffID, but for eStargz.
    pub(crate) diff_id: DiffId,
}

impl LayerForm {
    /// One stream of `compression`, base layers as they came.
    pub const fn new(compression: Compression) -> Self {
        Self {
            packing: Packing::Stream(compression),
            level: None,
            base: BaseForm::Kept,
        }
    }
}

impl LayerForm {
    /// The form in the local store, where layers are directories: what another form makes of their tars is for others.
    pub(crate) fn of_store(self) -> Self {
        match self.packing {
            Packing::Estargz => Self {
                packing: Packing::Stream(Compression::None),
                ..self
            },
            Packing::Stream(_) | Packing::ZstdChunked => self,
        }
    }
}

/// Opens blobs wherever they are.
#[derive(Clone, Copy)]
pub struct Blobs<'a> {
    /// What is here.
    pub store: &'a Store,
    /// What is elsewhere.
    pub registry: &'a Client,
}

impl Blobs<'_> {
    /// The blobs of `image`'s layers in this form, bottom first. What has to be packed is packed now, in parallel, and kept.
    pub(crate) fn prepare(
        &self,
        image: &BuiltImage,
        form: LayerForm,
    ) -> Result<Vec<TravellingLayer>, ExportError> {
        image
            .layers
            .par_iter()
            .map(|layer| Ok(self.prepare_layer(layer, form)?.noted(image, layer)))
            .collect()
    }

    /// The blob of one layer in this form.
    pub(crate) fn prepare_layer(
        &self,
        layer: &BuiltLayer,
        form: LayerForm,
    ) -> Result<TravellingLayer, ExportError> {
        let as_it_is = |descriptor| TravellingLayer {
            descriptor,
            diff_id: layer.diff_id,
        };
        if let Some(descriptor) = named_only(layer, form)? {
            return Ok(as_it_is(descriptor));
        }
        if let (Some((_, descriptor)), BaseForm::Kept | BaseForm::Named) = (&layer.base, form.base)
            && !is_unwritten(layer, descriptor)?
        {
            return Ok(as_it_is(as_oci(descriptor)));
        }
        if let Some(remote) = &layer.remote {
            return Ok(as_it_is(moved(layer, remote, form)?));
        }
        if form.packing == Packing::Stream(Compression::None) {
            return Ok(as_it_is(self.plain_tar(layer)?));
        }
        if form.level.is_none()
            && let Some(known) = self.store.layer_blob(&layer.diff_id, form.packing)?
        {
            return Ok(packed_before(&known, layer));
        }
        pack(self, layer, form, None)
    }

    /// The descriptor of the uncompressed tar: its digest is the diffID, so nothing has to be written.
    fn plain_tar(&self, layer: &BuiltLayer) -> Result<Descriptor, ExportError> {
        let Some((_, size)) = self.store.diff_id(&layer.id, layer.times)? else {
            return Err(ExportError::Layer(layer.id));
        };
        Ok(Descriptor::new(
            MediaType::from(media_type::OCI_LAYER),
            size,
            layer.diff_id.0,
        ))
    }

    /// The plain tar of a layer that is extracted here, written to the store as a blob.
    pub(crate) fn write_plain_tar(&self, layer: &BuiltLayer) -> Result<File, ExportError> {
        let mut writer = self.store.blob_writer()?;
        self.write_layer_tar(layer, &mut writer)?;
        let digest = writer.commit(Some(&layer.diff_id.0), None)?;
        self.open_here(&digest)?.ok_or(ExportError::Layer(layer.id))
    }

    /// Writes the plain tar of a layer. Of one that was pulled it is what its blob holds: its files written again need not
    /// give the same bytes.
    pub(crate) fn write_layer_tar(
        &self,
        layer: &BuiltLayer,
        mut sink: impl Write,
    ) -> Result<(), ExportError> {
        let id = &layer.id;
        if let LayerId::Pulled(diff_id) = id
            && let Some(mut tar) = self.open_here(&diff_id.0)?
        {
            // It came as a plain tar, in an archive of images.
            io::copy(&mut tar, &mut sink).map_err(ExportError::Archive)?;
            return Ok(());
        }
        if let (LayerId::Pulled(_), Some((image, original))) = (id, &layer.base) {
            let source = match self.open_here(&digest_of(original)?)? {
                Some(file) => Box::new(file),
                None => self.open_there(image, original)?,
            };
            let mut tar = decompress(source)?;
            io::copy(&mut tar, &mut sink).map_err(ExportError::Archive)?;
            return Ok(());
        }
        let files = self.store.layer(id)?.ok_or(ExportError::Layer(*id))?;
        let directory = files.open_diff()?;
        let index = files.dated_index(layer.times)?;
        Ok(write_tar(directory.as_fd(), &index, sink)?)
    }

    /// The bytes of a layer's blob: from the store, from where its image came, or written now from its files.
    pub(crate) fn copy(
        &self,
        layer: &BuiltLayer,
        descriptor: &Descriptor,
        sink: &mut dyn Write,
    ) -> Result<(), ExportError> {
        let digest = digest_of(descriptor)?;
        if let Some(mut source) = self.open_here(&digest)? {
            io::copy(&mut source, sink).map_err(ExportError::Archive)?;
            return Ok(());
        }
        if layer.remote.is_some() {
            return Err(ExportError::RemoteLayer { layer: layer.id });
        }
        if digest == layer.diff_id.0 {
            return self.write_layer_tar(layer, sink);
        }
        let Some((image, original)) = &layer.base else {
            return Err(ExportError::Layer(layer.id));
        };
        let mut source = self.open_there(image, original)?;
        io::copy(&mut source, sink).map_err(ExportError::Archive)?;
        Ok(())
    }

    /// The blob's file, if the store has it.
    pub(crate) fn open_here(&self, digest: &Digest) -> Result<Option<File>, ExportError> {
        Ok(self.store.blob(digest)?.map(|blob| blob.file))
    }

    /// A blob of an image from where that image came, verified while it is read.
    pub(crate) fn open_there(
        &self,
        image: &ResolvedImage,
        descriptor: &Descriptor,
    ) -> Result<Box<dyn Read + Send>, ExportError> {
        let reference: Reference = match &image.origin {
            ImageOrigin::Registry(name) | ImageOrigin::Store(name) => name.parse()?,
            ImageOrigin::OciLayout(path) => {
                let blob = rbuild_source::OciLayout::open(path.as_ref())?.blob(descriptor)?;
                return Ok(Box::new(blob));
            }
        };
        Ok(Box::new(self.registry.blob(&reference, descriptor)?))
    }
}

/// The blob of a layer that is not here: one that the remote cache knows in this form.
fn moved(
    layer: &BuiltLayer,
    remote: &KnownLayer,
    form: LayerForm,
) -> Result<Descriptor, ExportError> {
    let compression = |blob: &Descriptor| {
        LayerMediaType::parse(blob.media_type().as_ref()).map(|kind| kind.compression)
    };
    let mut blobs = remote.layer.blobs(layer.times).into_iter();
    let found = match form.packing {
        Packing::Stream(wanted) => blobs.find(|blob| compression(blob) == Some(wanted)),
        Packing::Estargz | Packing::ZstdChunked => None,
    };
    found
        .map(as_oci)
        .ok_or(ExportError::RemoteLayer { layer: layer.id })
}

/// The descriptor of a base layer that is not to travel in this form, since it is at addresses of its own; it says so.
pub(crate) fn named_only(
    layer: &BuiltLayer,
    form: LayerForm,
) -> Result<Option<Descriptor>, ImageError> {
    let (Some((_, descriptor)), BaseForm::Named) = (&layer.base, form.base) else {
        return Ok(None);
    };
    if is_unwritten(layer, descriptor)? || descriptor.urls().iter().flatten().next().is_none() {
        return Ok(None);
    }
    let compression = LayerMediaType::parse(descriptor.media_type().as_ref());
    let kind = match compression.map(|kind| kind.compression) {
        Some(Compression::None) => media_type::OCI_RESTRICTED_LAYER,
        Some(Compression::Gzip) => media_type::OCI_RESTRICTED_LAYER_GZIP,
        Some(Compression::Zstd) => media_type::OCI_RESTRICTED_LAYER_ZSTD,
        None => return Ok(None),
    };
    let mut named = descriptor.clone();
    named.set_media_type(MediaType::from(kind));
    Ok(Some(named))
}

/// Whether `descriptor` is that of the plain tar of a layer that was made here: no such blob was ever written, and the
/// layer travels in the form of the others.
fn is_unwritten(layer: &BuiltLayer, descriptor: &Descriptor) -> Result<bool, ImageError> {
    Ok(matches!(layer.id, LayerId::Made(_)) && digest_of(descriptor)? == layer.diff_id.0)
}

impl TravellingLayer {
    /// The same with what the manifest of `image` says of the times in `layer`.
    pub(crate) fn noted(self, image: &BuiltImage, layer: &BuiltLayer) -> Self {
        match (image.note, &layer.base) {
            (TimesNote::Annotation(epoch), None) => Self {
                descriptor: annotated(self.descriptor, epoch),
                ..self
            },
            _ => self,
        }
    }
}

/// `descriptor`, telling that no file in it is later than `epoch`, as `BuildKit` tells it.
fn annotated(mut descriptor: Descriptor, epoch: i64) -> Descriptor {
    const REWRITTEN: &str = "buildkit/rewritten-timestamp";
    let mut annotations = descriptor.annotations().clone().unwrap_or_default();
    annotations.insert(REWRITTEN.to_owned(), epoch.to_string());
    descriptor.set_annotations(Some(annotations));
    descriptor
}

/// `descriptor` under OCI's name for its media type, whatever the base image's was. What is exported may be distributed.
pub(crate) fn as_oci(descriptor: &Descriptor) -> Descriptor {
    let kind = match descriptor.media_type().to_string().as_str() {
        media_type::DOCKER_LAYER
        | media_type::DOCKER_FOREIGN_LAYER
        | media_type::OCI_RESTRICTED_LAYER => media_type::OCI_LAYER,
        media_type::DOCKER_LAYER_GZIP
        | media_type::DOCKER_FOREIGN_LAYER_GZIP
        | media_type::OCI_RESTRICTED_LAYER_GZIP => media_type::OCI_LAYER_GZIP,
        media_type::DOCKER_LAYER_ZSTD | media_type::OCI_RESTRICTED_LAYER_ZSTD => {
            media_type::OCI_LAYER_ZSTD
        }
        _ => return descriptor.clone(),
    };
    let mut converted = descriptor.clone();
    converted.set_media_type(MediaType::from(kind));
    converted.set_urls(None);
    converted
}

/// The digest that a descriptor names.
pub(crate) fn digest_of(descriptor: &Descriptor) -> Result<Digest, ImageError> {
    Digest::try_from(descriptor.digest())
}

//! Copying an image from one repository to another, all its manifests and blobs.

use std::num::NonZeroUsize;

use rbuild_image::{Descriptor, Digest, Distribution, LayerMediaType, Manifest, Reference};

use crate::client::attempt;
use crate::{BlobUpload, Client, RegistryError, transfer_all};

/// Blobs that are copied at the same time.
const PARALLEL_COPIES: NonZeroUsize = NonZeroUsize::new(4).expect("not zero");
/// How deep indexes may lie in indexes. One level is usual.
const MAX_DEPTH: usize = 4;

impl Client {
    /// Sees to it that `to`'s repository holds the manifest or index `digest` of `from`'s repository, and all that it
    /// names. Tags stay as they are. Nothing is sent that is there or that the registry can mount.
    pub fn copy_manifest(
        &self,
        from: &Reference,
        digest: Digest,
        to: &Reference,
    ) -> Result<(), RegistryError> {
        let is_same = from.registry() == to.registry() && from.repository() == to.repository();
        if is_same {
            return Ok(());
        }
        self.copy_tree(from, digest, to, MAX_DEPTH)
    }

    fn copy_tree(
        &self,
        from: &Reference,
        digest: Digest,
        to: &Reference,
        depth: usize,
    ) -> Result<(), RegistryError> {
        let found = self.manifest(from, &digest)?;
        match &found.manifest {
            Manifest::Index(index) => {
                if depth == 0 {
                    let endpoint = self.destination(from);
                    let about = attempt("copy", from.with_digest(digest).to_string(), &endpoint);
                    return Err(RegistryError::protocol(
                        &about,
                        "indexes within indexes without end",
                    ));
                }
                for entry in index.manifests() {
                    self.copy_tree(from, self.digest_of(from, entry)?, to, depth - 1)?;
                }
            }
            Manifest::Image(image) => {
                let config = image.config();
                let layers = image.layers().iter().filter(|layer| is_kept_there(layer));
                let mut blobs: Vec<&Descriptor> = layers.chain([config]).collect();
                blobs.sort_by_key(|blob| blob.digest().to_string());
                blobs.dedup_by_key(|blob| blob.digest().to_string());
                transfer_all(&blobs, PARALLEL_COPIES, |blob| {
                    self.copy_blob(from, blob, to)
                })?;
            }
        }
        let kind = found.descriptor.media_type().to_string();
        let target = to.without_digest();
        self.put_manifest_by_digest(&target, &kind, &found.bytes)?;
        Ok(())
    }

    fn copy_blob(
        &self,
        from: &Reference,
        blob: &Descriptor,
        to: &Reference,
    ) -> Result<(), RegistryError> {
        let open = || {
            let reader = self.blob(from, blob)?;
            Ok(Box::new(reader) as Box<dyn std::io::Read + Send>)
        };
        let upload = BlobUpload {
            descriptor: blob,
            open: &open,
            progress: &|_| {},
        };
        self.ensure_blob(to, &upload, Some(from))?;
        Ok(())
    }
}

/// Whether registries hold a layer: those that must not be distributed are where their URLs say.
fn is_kept_there(layer: &Descriptor) -> bool {
    let kind = LayerMediaType::parse(layer.media_type().as_ref());
    kind.is_none_or(|kind| kind.distribution == Distribution::Free)
}

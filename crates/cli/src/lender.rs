//! Base images that another store lends, so that a build in a store of its own pulls nothing twice.
//!
//! ```text
//! lender   manifest, config, layers' blobs  ── read, checked against their digests ──▶  blobs, extracted anew when needed
//!          layers that were built there     ── tar ──▶ extract ──▶ diffID as it was   ▶  layers
//! ```
//!
//! No file is shared: what the borrower has, it made itself out of bytes whose digests it knew.

use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;

use anyhow::{Context as _, bail};
use rbuild_image::{Descriptor, DiffId, Digest, ImageManifest, LayerId};
use rbuild_layer::{FileTimes, TreeWriter, extract, write_tar};
use rbuild_plan::ResolvedImage;
use rbuild_store::{RootAttributes, Store};
use rbuild_sys::OverlayFlavor;

/// A store that lends its base images.
#[derive(Debug)]
pub(crate) struct Lender {
    store: Store,
}

impl Lender {
    /// The store at `root`.
    pub(crate) fn open(root: &Path) -> anyhow::Result<Self> {
        let store = Store::open(root)
            .with_context(|| format!("failed to open the store at {}", root.display()))?;
        Ok(Self { store })
    }

    /// Where its images are found.
    pub(crate) fn store(&self) -> &Store {
        &self.store
    }

    /// Puts what is here of `image`, which is one of this store's, into `borrower`. What is not here is the registry's to give.
    pub(crate) fn lend(&self, image: &ResolvedImage, borrower: &Store) -> anyhow::Result<()> {
        let manifest = self.document(&image.manifest, borrower)?;
        let manifest: ImageManifest = serde_json::from_slice(&manifest)?;
        self.document(&Digest::try_from(manifest.config().digest())?, borrower)?;
        for (blob, diff_id) in image.layers.iter().zip(&image.config.rootfs.diff_ids) {
            self.layer(blob, diff_id, borrower)
                .with_context(|| format!("failed to copy the layer {diff_id}"))?;
        }
        Ok(())
    }

    fn document(&self, digest: &Digest, borrower: &Store) -> anyhow::Result<Vec<u8>> {
        let bytes = self
            .store
            .read_blob(digest)?
            .with_context(|| format!("the document {digest} is missing"))?;
        borrower.put_blob(&bytes)?;
        Ok(bytes)
    }

    fn layer(&self, blob: &Descriptor, diff_id: &DiffId, borrower: &Store) -> anyhow::Result<()> {
        let digest = Digest::try_from(blob.digest())?;
        if borrower.has_blob(&digest)? || borrower.layer_by_diff_id(diff_id)?.is_some() {
            return Ok(());
        }
        if let Some(mut found) = self.store.blob(&digest)? {
            let mut copy = borrower.blob_writer()?;
            io::copy(&mut found.file, &mut copy)?;
            copy.commit(Some(&digest), Some(blob.size()))?;
            return Ok(());
        }
        match self.store.layer_tar(diff_id)? {
            Some((id @ LayerId::Made(_), times)) => self.made(id, times, diff_id, borrower),
            _ => Ok(()),
        }
    }

    /// A layer that was built in this store: nobody else has it.
    fn made(
        &self,
        id: LayerId,
        times: FileTimes,
        diff_id: &DiffId,
        borrower: &Store,
    ) -> anyhow::Result<()> {
        let layer = self.store.layer(&id)?.context("it is missing")?;
        let mut tar = borrower.blob_writer()?;
        write_tar(
            layer.open_diff()?.as_fd(),
            layer.dated_index(times)?.as_ref(),
            &mut tar,
        )?;
        let draft = borrower.draft(&RootAttributes::default())?;
        let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect())?;
        let extracted = extract(tar.reader()?, writer)?;
        if extracted.diff_id != *diff_id {
            bail!(
                "its files are not what they were: rbuild fsck tells what of the store is damaged"
            );
        }
        borrower.commit_layer(draft, extracted.index, id)?;
        borrower.set_diff_id(&id, times, diff_id, extracted.size)?;
        Ok(())
    }
}

//! What base images stand for: the local store first, then what a registry said before, then the registry.

use std::path::Path;
use std::sync::Arc;

use rbuild_image::{
    Descriptor, Digest, ImageConfig, ImageManifest, Platform, Reference, read_index,
};
use rbuild_plan::{ImageOrigin, Images, ResolveError, ResolvedImage};
use rbuild_registry::{Client, PulledManifest, rank_platforms};
use rbuild_source::{LayoutReference, OciLayout};
use rbuild_store::Store;

use crate::lender::Lender;

/// Whether the registry is asked for what is known here already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// What is in the store serves.
    Known,
    /// `--pull`: names are resolved anew.
    Resolved,
}

/// Resolves image names.
pub(crate) struct BaseImages<'a> {
    /// What is here.
    pub(crate) store: &'a Store,
    /// What is elsewhere.
    pub(crate) registry: &'a Client,
    /// Which of them is asked first.
    pub(crate) freshness: Freshness,
    /// Another store that is asked before a registry is.
    pub(crate) lender: Option<&'a Lender>,
}

/// A resolution's failure, of any crate.
type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Images for BaseImages<'_> {
    fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Arc<ResolvedImage>, ResolveError> {
        let resolved = if reference.starts_with("oci-layout://") {
            from_layout(reference, platform)
        } else {
            self.resolve_name(reference, platform)
        };
        resolved.map(Arc::new).map_err(ResolveError::new)
    }
}

impl BaseImages<'_> {
    fn resolve_name(&self, name: &str, platform: &Platform) -> Result<ResolvedImage, AnyError> {
        let reference: Reference = name.parse()?;
        if self.freshness == Freshness::Known
            && let Some(found) = self.find_in_store(&reference, platform)?
        {
            return Ok(found);
        }
        if let Some(found) = self.borrow(&reference, platform)? {
            return Ok(found);
        }
        self.ask_registry(&reference, platform)
    }

    /// What the lender has by that name; what it has of it is here as well then.
    fn borrow(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<ResolvedImage>, AnyError> {
        let Some(lender) = self.lender else {
            return Ok(None);
        };
        let theirs = BaseImages {
            store: lender.store(),
            lender: None,
            ..*self
        };
        let found = match self.freshness {
            Freshness::Known => theirs.find_in_store(reference, platform)?,
            Freshness::Resolved => theirs.find_resolved(reference, platform)?,
        };
        if let Some(image) = &found {
            lender.lend(image, self.store)?;
        }
        Ok(found)
    }

    /// An image of the local store by that name, or one that the registry resolved the name to before.
    pub(crate) fn find_in_store(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<ResolvedImage>, AnyError> {
        if let Some(image) = self.store.image(reference)? {
            let origin = match &image.origin {
                rbuild_store::ImageOrigin::Local => reference.to_string(),
                rbuild_store::ImageOrigin::Registry(origin) => origin.to_string(),
            };
            let found = self.documents(&image.descriptor, platform, ImageOrigin::Store(origin))?;
            if found.is_some() {
                return Ok(found);
            }
        }
        self.find_resolved(reference, platform)
    }

    /// What a registry resolved the name to before.
    fn find_resolved(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<Option<ResolvedImage>, AnyError> {
        match self.store.resolution(reference, platform)? {
            Some(known) => {
                let origin = ImageOrigin::Registry(reference.to_string());
                self.documents(&known.descriptor, platform, origin)
            }
            None => Ok(None),
        }
    }

    /// The image behind a manifest or index of the store, if its documents are all here.
    pub(crate) fn documents(
        &self,
        descriptor: &Descriptor,
        platform: &Platform,
        origin: ImageOrigin,
    ) -> Result<Option<ResolvedImage>, AnyError> {
        let digest = Digest::try_from(descriptor.digest())?;
        let Some(bytes) = self.store.read_blob(&digest)? else {
            return Ok(None);
        };
        let kind = rbuild_image::ManifestKind::of_media_type(descriptor.media_type().as_ref());
        if kind == Some(rbuild_image::ManifestKind::Index) {
            let index = read_index(&bytes)?;
            for entry in rank_platforms(&index, platform) {
                if let Some(found) = self.documents(entry, platform, origin.clone())? {
                    return Ok(Some(found));
                }
            }
            return Ok(None);
        }
        let manifest: ImageManifest = serde_json::from_slice(&bytes)?;
        let config = Digest::try_from(manifest.config().digest())?;
        let Some(config) = self.store.read_blob(&config)? else {
            return Ok(None);
        };
        let config = ImageConfig::from_json(&config)?;
        Ok(Some(ResolvedImage {
            origin,
            manifest: digest,
            config,
            layers: manifest.layers().clone(),
        }))
    }

    fn ask_registry(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<ResolvedImage, AnyError> {
        let (pulled, resolved) = self.pull_documents(reference, platform)?;
        self.store
            .set_resolution(reference, platform, &pulled.descriptor)?;
        Ok(resolved)
    }

    /// Fetches the manifest and config of an image and keeps them as blobs.
    pub(crate) fn pull_documents(
        &self,
        reference: &Reference,
        platform: &Platform,
    ) -> Result<(PulledManifest, ResolvedImage), AnyError> {
        let pulled = self.registry.pull_manifest(reference, platform)?;
        let config = self
            .registry
            .blob(reference, pulled.manifest.config())?
            .read_all()?;
        self.store.put_blob(&pulled.bytes)?;
        self.store.put_blob(&config)?;
        let resolved = ResolvedImage {
            origin: ImageOrigin::Registry(reference.to_string()),
            manifest: pulled.digest,
            config: ImageConfig::from_json(&config)?,
            layers: pulled.manifest.layers().clone(),
        };
        Ok((pulled, resolved))
    }
}

fn from_layout(reference: &str, platform: &Platform) -> Result<ResolvedImage, AnyError> {
    let layout = LayoutReference::parse(reference)?;
    let path = layout.path.to_string_lossy().into_owned();
    let found = OciLayout::open(Path::new(&path))?.resolve(
        layout.tag.as_deref(),
        layout.digest.as_ref(),
        platform,
    )?;
    Ok(ResolvedImage {
        origin: ImageOrigin::OciLayout(path),
        manifest: Digest::try_from(found.descriptor.digest())?,
        config: ImageConfig::from_json(&found.config_bytes)?,
        layers: found.manifest.layers().clone(),
    })
}

//! Base images as the lock file has them.

use std::sync::Arc;

use rbuild_image::{Digest, MediaType, Platform, Reference, descriptor};
use rbuild_plan::{ImageOrigin, Images, ResolveError, ResolvedImage};
use rbuild_store::ImageOrigin as StoredOrigin;

use super::file::PinnedImage;
use super::{Change, Lock};
use crate::base_images::{BaseImages, Freshness};
use crate::failure::chain;

/// Resolves names to what they are pinned to, if there is a lock file, and notes what they are.
pub(in crate::commands::build) struct LockedImages<'a> {
    pub(in crate::commands::build) images: BaseImages<'a>,
    pub(in crate::commands::build) lock: Option<&'a Lock>,
}

impl Images for LockedImages<'_> {
    fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Arc<ResolvedImage>, ResolveError> {
        let Some(lock) = self.lock else {
            return self.images.resolve(reference, platform);
        };
        // A layout is a directory of this machine; what has a digest needs no pin.
        let moving = reference.parse::<Reference>().ok();
        let moving = moving.filter(|name| name.digest().is_none());
        let Some(name) = moving.filter(|_| !reference.starts_with("oci-layout://")) else {
            return self.images.resolve(reference, platform);
        };
        let image = PinnedImage {
            name: name.to_string(),
            platform: platform.to_string(),
        };
        let pin = lock.known.images.get(&image).copied();
        let resolved = match pin.filter(|_| !lock.updates(&image.name)) {
            Some(digest) => self.pinned(&name, digest, platform),
            None if lock.change == Change::Refuse => Err(ResolveError::new(format!(
                "{} does not pin it for {platform} (build with --lock instead of --locked to pin it)",
                lock.path.display()
            ))),
            None => self.unpinned(&name, platform, lock),
        }?;
        lock.note(image, resolved.manifest);
        Ok(resolved)
    }
}

impl LockedImages<'_> {
    /// The image with this digest: from the store, whatever its name means there by now, else from the registry.
    fn pinned(
        &self,
        name: &Reference,
        digest: Digest,
        platform: &Platform,
    ) -> Result<Arc<ResolvedImage>, ResolveError> {
        let by_name = self.images.find_in_store(name, platform);
        if let Some(image) = by_name.map_err(ResolveError::new)?
            && image.manifest == digest
        {
            return Ok(Arc::new(image));
        }
        let exact = name.with_digest(digest);
        let manifest = descriptor(MediaType::ImageManifest.as_ref(), digest, 0);
        let origin = ImageOrigin::Registry(exact.to_string());
        let known = self.images.documents(&manifest, platform, origin);
        if let Some(image) = known.map_err(ResolveError::new)? {
            return Ok(Arc::new(image));
        }
        self.images
            .resolve(&exact.to_string(), platform)
            .map_err(|error| {
                ResolveError::new(format!(
                    "the lock file pins it to {digest}, and that cannot be had: {} (--update-lock takes what there is now)",
                    chain(&error)
                ))
            })
    }

    /// What the name means: here, or by its registry where the pin is to be moved.
    fn unpinned(
        &self,
        name: &Reference,
        platform: &Platform,
        lock: &Lock,
    ) -> Result<Arc<ResolvedImage>, ResolveError> {
        let here = self.images.store.image(name).map_err(ResolveError::new)?;
        let is_made_here = here.is_some_and(|image| image.origin == StoredOrigin::Local);
        let freshness = if lock.updates(&name.to_string()) && !is_made_here {
            Freshness::Resolved
        } else {
            self.images.freshness
        };
        let images = BaseImages {
            freshness,
            ..self.images
        };
        images.resolve(&name.to_string(), platform)
    }
}

//! Base images as the source policies allow them: judged by name before they are looked up, and by digest after.

use std::sync::Arc;

use rbuild_image::{Platform, Reference};
use rbuild_plan::{Images, PolicyError, PolicySource, ResolveError, ResolvedImage, SourcePolicies};

/// Look-ups of one image: each but the first because a policy puts another in its place when it knows the digest.
const MAX_LOOKUPS: usize = 5;

/// Resolves what the policies allow.
pub(super) struct PolicedImages<'a, I> {
    pub(super) images: I,
    pub(super) policies: &'a SourcePolicies,
}

impl<I: Images> Images for PolicedImages<'_, I> {
    fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Arc<ResolvedImage>, ResolveError> {
        if self.policies.is_empty() {
            return self.images.resolve(reference, platform);
        }
        if reference.starts_with("oci-layout://") {
            let asked = PolicySource::new(reference);
            let found = self.policies.evaluate(asked).map_err(ResolveError::new)?;
            return self.images.resolve(&found.identifier, platform);
        }
        let asked: Reference = reference.parse().map_err(ResolveError::new)?;
        let mut allowed = self.policies.image(&asked).map_err(ResolveError::new)?;
        for _ in 0..MAX_LOOKUPS {
            let image = self.images.resolve(&allowed.to_string(), platform)?;
            let pinned = allowed.with_digest(image.manifest);
            let next = self.policies.pinned_image(&allowed, &pinned);
            match next.map_err(ResolveError::new)? {
                None => return Ok(image),
                Some(next) => allowed = next,
            }
        }
        let identifier = PolicySource::image(&asked).identifier;
        Err(ResolveError::new(PolicyError::Circle { identifier }))
    }
}

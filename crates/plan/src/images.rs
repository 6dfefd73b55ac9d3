//! How the plan learns of base images: the caller resolves names to manifests and configs.

use std::sync::Arc;

use rbuild_dockerfile::{Diagnostic, Span};
use rbuild_image::Platform;

use crate::ResolvedImage;

/// Resolves image names. Implementations that cache make [`crate::plan`] free of waiting: ask
/// [`crate::base_images`] first and resolve those in parallel.
pub trait Images: Sync {
    /// The image called `reference` for `platform`. A reference that begins with `oci-layout://` means a
    /// layout on this machine; all else is an image name as the Dockerfile has it, without defaults filled in.
    fn resolve(
        &self,
        reference: &str,
        platform: &Platform,
    ) -> Result<Arc<ResolvedImage>, ResolveError>;
}

/// An image could not be resolved. Displays its source's words.
#[derive(Debug, thiserror::Error)]
#[error("{source}")]
pub struct ResolveError {
    /// What went wrong.
    pub source: Box<dyn std::error::Error + Send + Sync>,
}

impl ResolveError {
    /// From any error, or from a string.
    pub fn new(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self {
            source: source.into(),
        }
    }
}

/// An image that a build needs.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BaseImage {
    /// What [`Images::resolve`] will be asked for.
    pub reference: String,
    /// For which platform.
    pub platform: Platform,
    /// The FROM, `COPY --from` or mount that names it.
    pub span: Span,
}

/// Why there is no plan. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PlanError {
    /// The Dockerfile or the options have mistakes; every one found is here, and the warnings too.
    #[error("plan the build: {}", first_message(diagnostics))]
    Mistakes {
        /// Errors first, each kind in the order of the file.
        diagnostics: Vec<Diagnostic>,
    },
    /// A base image cannot be had.
    #[error("resolve image {reference} for {platform}")]
    Resolve {
        /// As written.
        reference: String,
        /// The platform that was asked for.
        platform: Box<Platform>,
        /// Where the Dockerfile names it.
        span: Span,
        /// A stage or common image with a similar name.
        suggestion: Option<String>,
        /// The warnings that were found before.
        warnings: Vec<Diagnostic>,
        /// What went wrong.
        source: ResolveError,
    },
}

impl PlanError {
    /// With the warnings that were found before it, if it has none itself.
    pub(crate) fn with_warnings(mut self, found: Vec<Diagnostic>) -> Self {
        if let Self::Resolve { warnings, .. } = &mut self {
            *warnings = found;
        }
        self
    }
}

fn first_message(diagnostics: &[Diagnostic]) -> &str {
    diagnostics
        .first()
        .map_or("no diagnostic", |first| first.message.as_str())
}

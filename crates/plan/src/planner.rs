//! The way from syntax tree to plan, in the order in which it happens.

use rbuild_dockerfile::{Diagnostic, Dockerfile, Source};

use crate::{BaseImage, Images, Plan, PlanError, PlanOptions};

/// A plan and what should be said of the file.
#[derive(Debug, Clone)]
pub struct Planned {
    /// The graph.
    pub plan: Plan,
    /// Lints, in the order of the file.
    pub warnings: Vec<Diagnostic>,
    /// Build args that nothing declares.
    pub unused_build_args: Vec<String>,
    /// `SOURCE_DATE_EPOCH`, in seconds, if it is given.
    pub source_date_epoch: Option<i64>,
}

/// Plans the build of `dockerfile`.
pub fn plan(
    source: &Source,
    dockerfile: &Dockerfile,
    options: &PlanOptions,
    images: &dyn Images,
) -> Result<Planned, PlanError> {
    let _ = (source, dockerfile, options, images);
    Err(PlanError::Mistakes {
        diagnostics: Vec::new(),
    })
}

/// The images that [`plan`] will ask for, ONBUILD triggers of base images apart.
pub fn base_images(
    dockerfile: &Dockerfile,
    options: &PlanOptions,
) -> Result<Vec<BaseImage>, PlanError> {
    let _ = (dockerfile, options);
    Ok(Vec::new())
}

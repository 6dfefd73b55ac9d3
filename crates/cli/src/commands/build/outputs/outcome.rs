//! What a build came to.

use rbuild_dockerfile::Diagnostic;
use rbuild_export::Exported;
use rbuild_image::Reference;

use crate::commands::build::local_files::Looked;
use crate::commands::build::places::Places;
use crate::commands::build::result_files;

/// What the outputs came to.
pub(in crate::commands::build) struct Outcome {
    /// The last image that was written; none where only files were asked for.
    pub(in crate::commands::build) exported: Option<Exported>,
    /// What it was called.
    pub(in crate::commands::build) names: Vec<Reference>,
    /// The warnings, as buildx writes them into its metadata.
    pub(in crate::commands::build) warnings: Vec<serde_json::Value>,
    /// The warnings, for editors.
    pub(in crate::commands::build) findings: Vec<serde_json::Value>,
    /// `--explain`: why steps ran.
    pub(in crate::commands::build) explanations: String,
    /// What was read of the contexts, where somebody asks.
    pub(in crate::commands::build) reads: Option<Looked>,
    /// The name of the build.
    pub(in crate::commands::build) reference: String,
    /// What `--metadata-file` tells of what was built from what, by key.
    pub(in crate::commands::build) provenance: Vec<(String, serde_json::Value)>,
}

impl Outcome {
    /// Takes down the warnings, for buildx's metadata and for editors.
    pub(in crate::commands::build) fn warn(&mut self, warnings: &[Diagnostic], places: Places<'_>) {
        let all = warnings.iter();
        self.warnings = all
            .clone()
            .map(|one| result_files::warning(places, one))
            .collect();
        self.findings = all.map(|one| places.finding(one)).collect();
    }

    /// The image ID, empty without an image.
    pub(in crate::commands::build) fn id(&self) -> String {
        self.exported
            .as_ref()
            .map_or_else(String::new, |exported| exported.id.to_string())
    }
}

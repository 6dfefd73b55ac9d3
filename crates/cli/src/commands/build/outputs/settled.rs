//! What outputs are to be like where several flags have a say in it.

use anyhow::Context as _;
use rbuild_export::{AttestationPlace, ExportError, Exported, Layering, MediaTypes};
use rbuild_image::{Packing, Reference};

use super::{Output, Outputs};
use crate::commands::build::attestations::Attests;

/// Whether registries have to prove who they are: `registry.insecure=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Trust {
    /// As the configuration says.
    #[default]
    Configured,
    /// They need not, and may speak plain HTTP.
    Anyone,
}

/// `dangling-name-prefix=`: the image is called `PREFIX@DIGEST`, besides its other names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dangling {
    prefix: String,
    occasion: DanglingOccasion,
}

/// When an image is called so: `danging-name-empty-only=`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum DanglingOccasion {
    /// Whatever other names it has.
    #[default]
    Always,
    /// If it has no other name.
    WithoutName,
}

impl Dangling {
    pub(super) fn new(prefix: String, occasion: DanglingOccasion) -> anyhow::Result<Self> {
        let text = format!("dangling-name-prefix={prefix}");
        let parsed: Reference = prefix.parse().with_context(|| text.clone())?;
        let is_bare = prefix == parsed.familiar_repository()
            || prefix == format!("{}/{}", parsed.registry(), parsed.repository());
        anyhow::ensure!(is_bare, "{text}: it is a name without a tag and a digest");
        Ok(Self { prefix, occasion })
    }

    /// The name without a digest.
    pub(super) fn name(&self) -> anyhow::Result<Reference> {
        Ok(self.prefix.parse()?)
    }
}

impl Outputs {
    /// Lets the flags beside `--output` have their say. Gives what there is to say of it.
    pub(in crate::commands::build) fn settle(
        &mut self,
        attests: &Attests,
        layering: Layering,
    ) -> Vec<String> {
        let images = self.0.iter_mut().filter(|output| output.kind.is_image());
        let mut remarks = Vec::new();
        for output in images {
            if layering == Layering::Squashed {
                output.layering = layering;
            }
            if let (MediaTypes::Docker, Some(what)) = (output.types, output.only_oci(attests)) {
                output.types = MediaTypes::Oci;
                remarks.push(format!(
                    "oci-mediatypes=false has no effect: Docker's media types do not know {what}"
                ));
            }
        }
        remarks
    }

    /// The registries that are trusted, whoever they are.
    pub(in crate::commands::build) fn trusted(&self) -> impl Iterator<Item = &str> {
        let trusting = self.0.iter().filter(|output| output.trust == Trust::Anyone);
        trusting.flat_map(|output| output.names.iter().map(Reference::registry))
    }
}

impl Output {
    /// What it has that Docker's schema 2 has no place for.
    fn only_oci(&self, attests: &Attests) -> Option<&'static str> {
        let in_index = self.attested.place == AttestationPlace::Index;
        match self.form.packing {
            Packing::Estargz => Some("eStargz"),
            Packing::ZstdChunked => Some("zstd:chunked"),
            Packing::Stream(_) if !attests.is_empty() && in_index => Some("attestations"),
            Packing::Stream(_) if !self.annotations.is_empty() => Some("annotations"),
            Packing::Stream(_) => None,
        }
    }

    /// The names that `exported` gets in the store.
    pub(super) fn local_names(&self, exported: &Exported) -> Result<Vec<Reference>, ExportError> {
        let mut names = self.tags().to_vec();
        if let Some(dangling) = &self.dangling
            && (names.is_empty() || dangling.occasion == DanglingOccasion::Always)
        {
            names.push(format!("{}@{}", dangling.prefix, exported.digest).parse()?);
        }
        Ok(names)
    }
}

//! Annotations of what is exported (OCI image-spec, annotations.md).
//!
//! ```text
//! index-descriptor      the entry of a layout's index.json, the descriptor in metadata
//!   └ index             the index
//!       └ manifest-descriptor    its entries; without an index, what describes the lone manifest
//!           └ manifest           the manifests
//! ```

use std::collections::HashMap;

use rbuild_image::{Descriptor, Platform};
use rbuild_plan::ImageForm;

use crate::error::ExportError;

/// What an annotation stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AnnotationPlace {
    /// The manifests of images.
    Manifest,
    /// What describes a manifest.
    ManifestDescriptor,
    /// The index.
    Index,
    /// What describes the index.
    IndexDescriptor,
}

/// One annotation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Annotation {
    /// What it stands on.
    pub place: AnnotationPlace,
    /// The platform whose manifest is meant; otherwise those of all.
    pub platform: Option<Platform>,
    /// Its name.
    pub key: String,
    /// What it says.
    pub value: String,
}

/// The annotations of an output. What is said of one platform counts more than what is said of all; of two that say the same
/// thing, the later one counts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations(Vec<Annotation>);

impl Annotations {
    /// These.
    pub fn new(annotations: Vec<Annotation>) -> Self {
        Self(annotations)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What stands on a thing that belongs to `platform`, or to none; nothing if that is empty.
    pub(crate) fn of(
        &self,
        place: AnnotationPlace,
        platform: Option<&Platform>,
    ) -> Option<HashMap<String, String>> {
        let here = || self.0.iter().filter(|one| one.place == place);
        let of_all = here().filter(|one| one.platform.is_none());
        let of_one =
            here().filter(|one| one.platform.is_some() && one.platform.as_ref() == platform);
        let all = of_all.chain(of_one);
        let found: HashMap<_, _> = all
            .map(|one| (one.key.clone(), one.value.clone()))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// Puts those of `place` onto a descriptor.
    pub(crate) fn put_on(
        &self,
        descriptor: &mut Descriptor,
        place: AnnotationPlace,
        platform: Option<&Platform>,
    ) {
        if let Some(annotations) = self.of(place, platform) {
            descriptor.set_annotations(Some(annotations));
        }
    }

    /// Fails if one has nothing to stand on where images are built for `platforms` and take this form.
    pub fn check(&self, platforms: &[Platform], form: ImageForm) -> Result<(), ExportError> {
        self.check_platforms(platforms)?;
        match form {
            ImageForm::Single => self.check_without_index(),
            ImageForm::Indexed => Ok(()),
        }
    }

    fn check_platforms(&self, platforms: &[Platform]) -> Result<(), ExportError> {
        let is_built = |wanted: &Platform| platforms.contains(wanted);
        let wanted = self.0.iter().filter_map(|one| one.platform.as_ref());
        match wanted.into_iter().find(|wanted| !is_built(wanted)) {
            Some(platform) => Err(ExportError::Unsupported(format!(
                "invalid annotation: no platform {platform} found in source"
            ))),
            None => Ok(()),
        }
    }

    fn check_without_index(&self) -> Result<(), ExportError> {
        let is_on_index = |one: &&Annotation| {
            matches!(
                one.place,
                AnnotationPlace::Index | AnnotationPlace::IndexDescriptor
            )
        };
        match self.0.iter().find(is_on_index) {
            Some(one) => Err(ExportError::Unsupported(format!(
                "index annotations not supported for single platform export: {:?} has no index to stand on \
                 (annotate the manifest, or build for several platforms or with --build-arg BUILDKIT_MULTI_PLATFORM=1)",
                one.key
            ))),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(platform: Option<&str>, key: &str, value: &str) -> Annotation {
        Annotation {
            place: AnnotationPlace::Manifest,
            platform: platform.map(|text| text.parse().expect("a platform")),
            key: key.to_owned(),
            value: value.to_owned(),
        }
    }

    #[test]
    fn what_is_said_of_a_platform_counts_more_and_what_is_said_later_too() {
        let annotations = Annotations::new(vec![
            annotation(Some("linux/arm64"), "a", "of arm"),
            annotation(None, "a", "of all"),
            annotation(None, "b", "first"),
            annotation(None, "b", "second"),
        ]);
        let of = |platform: &str| {
            let platform = platform.parse().expect("a platform");
            annotations.of(AnnotationPlace::Manifest, Some(&platform))
        };
        let expected = |a: &str| {
            let pairs = [("a", a), ("b", "second")];
            Some(
                pairs
                    .map(|(key, value)| (key.to_owned(), value.to_owned()))
                    .into(),
            )
        };
        assert_eq!(of("linux/arm64"), expected("of arm"));
        assert_eq!(of("linux/amd64"), expected("of all"));
        assert_eq!(annotations.of(AnnotationPlace::Index, None), None);
    }
}

//! `--annotation [TYPE[PLATFORM]:]KEY=VALUE` of an index that is put together.

use anyhow::{Context as _, bail};
use rbuild_image::Platform;

/// What an annotation is on.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    /// The index.
    Index,
    /// The descriptors of its manifests: all, or those of a platform.
    ManifestDescriptor(Option<Platform>),
}

/// An annotation.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Annotation {
    pub(super) place: Place,
    pub(super) key: String,
    pub(super) value: String,
}

impl Annotation {
    /// Reads an annotation.
    pub(super) fn parse(text: &str) -> anyhow::Result<Self> {
        let (name, value) = text
            .split_once('=')
            .with_context(|| format!("invalid annotation {text:?}: it is written as KEY=VALUE"))?;
        let (place, key) = match name.split_once(':') {
            Some((kind, key)) => (place(kind)?, key),
            None => (Place::Index, name),
        };
        if key.is_empty() {
            bail!("invalid annotation {text:?}: it has no key");
        }
        Ok(Self {
            place,
            key: key.to_owned(),
            value: value.to_owned(),
        })
    }
}

/// `manifest-descriptor[linux/arm64]`
fn place(kind: &str) -> anyhow::Result<Place> {
    let (kind, platform) = match kind.split_once('[') {
        Some((kind, rest)) => {
            let platform = rest.strip_suffix(']');
            let platform = platform.with_context(|| format!("{kind}[{rest}: a ] is missing"))?;
            (kind, Some(platform.parse()?))
        }
        None => (kind, None),
    };
    match (kind, platform) {
        ("index", None) => Ok(Place::Index),
        ("manifest-descriptor", platform) => Ok(Place::ManifestDescriptor(platform)),
        ("index", Some(_)) => bail!("an index has no platform: write index:KEY=VALUE"),
        ("manifest" | "index-descriptor", _) => bail!(
            "{kind:?} annotations cannot be set here, since manifests are taken as they are: use index or manifest-descriptor"
        ),
        _ => bail!("unknown annotation type {kind:?}: use index or manifest-descriptor"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Annotation {
        Annotation::parse(text).expect(text)
    }

    #[test]
    fn an_annotation_says_what_it_is_on() {
        assert_eq!(parse("a=b=c").place, Place::Index);
        assert_eq!(parse("a=b=c").value, "b=c");
        assert_eq!(parse("index:a=b").place, Place::Index);
        let one = parse("manifest-descriptor[linux/arm64]:a.b=c:d");
        assert_eq!((one.key.as_str(), one.value.as_str()), ("a.b", "c:d"));
        let arm = "linux/arm64".parse().expect("a platform");
        assert_eq!(one.place, Place::ManifestDescriptor(Some(arm)));
        assert_eq!(
            parse("manifest-descriptor:a=b").place,
            Place::ManifestDescriptor(None)
        );
    }

    #[test]
    fn what_cannot_be_set_is_refused() {
        for wrong in [
            "a",
            "=b",
            "manifest:a=b",
            "index[linux/amd64]:a=b",
            "other:a=b",
            "index-descriptor:a=b",
        ] {
            assert!(Annotation::parse(wrong).is_err(), "{wrong}");
        }
    }
}

//! Annotations as they are typed.
//!
//! ```text
//! --annotation KEY=VALUE
//! --annotation manifest[linux/arm64],index:KEY=VALUE
//! -o type=image,annotation-manifest[linux/arm64].KEY=VALUE
//! ```

use anyhow::{Context as _, bail};
use rbuild_export::{Annotation, AnnotationPlace};
use rbuild_image::Platform;

/// Reads `[TYPE[PLATFORM],…:]KEY=VALUE`: an annotation for each type, of type `default` where none is given.
pub(crate) fn parse(text: &str, default: AnnotationPlace) -> anyhow::Result<Vec<Annotation>> {
    let (name, value) = text
        .split_once('=')
        .with_context(|| format!("invalid annotation {text:?}, expected key=value"))?;
    let (targets, key) = match name.split_once(':') {
        Some((types, key)) => {
            let targets = types.split(',').map(target);
            (targets.collect::<anyhow::Result<_>>()?, key)
        }
        None => (vec![(default, None)], name),
    };
    if key.is_empty() {
        bail!("invalid annotation {text:?}: it has no key");
    }
    let annotation = |(place, platform)| Annotation {
        place,
        platform,
        key: key.to_owned(),
        value: value.to_owned(),
    };
    Ok(targets.into_iter().map(annotation).collect())
}

/// Reads a field of an output: `annotation[-TYPE][[PLATFORM]].KEY`; none if it is another field.
pub(crate) fn of_field(name: &str, value: &str) -> anyhow::Result<Option<Annotation>> {
    let Some(rest) = name.strip_prefix("annotation") else {
        return Ok(None);
    };
    let (target_text, key) = match rest.split_once(']') {
        Some((inside, after)) => (format!("{inside}]"), after.strip_prefix('.')),
        None => match rest.split_once('.') {
            Some((kind, key)) => (kind.to_owned(), Some(key)),
            None => (String::new(), None),
        },
    };
    let key = key.filter(|key| !key.is_empty()).with_context(|| {
        format!("invalid field {name:?}: it is written as annotation[-TYPE][[PLATFORM]].KEY=VALUE")
    })?;
    let (place, platform) = match target_text.strip_prefix('-') {
        Some(typed) => target(typed)?,
        None => target(&format!("manifest{target_text}"))?,
    };
    Ok(Some(Annotation {
        place,
        platform,
        key: key.to_owned(),
        value: value.to_owned(),
    }))
}

/// `manifest-descriptor[linux/arm64]`
fn target(text: &str) -> anyhow::Result<(AnnotationPlace, Option<Platform>)> {
    let (kind, platform) = match text.split_once('[') {
        Some((kind, rest)) => {
            let platform = rest.strip_suffix(']').with_context(|| {
                format!("invalid annotation type {text:?}, expected type and optional platform in square brackets")
            })?;
            (kind, Some(platform.parse()?))
        }
        None => (text, None),
    };
    let place = match kind {
        "manifest" => AnnotationPlace::Manifest,
        "manifest-descriptor" => AnnotationPlace::ManifestDescriptor,
        "index" => AnnotationPlace::Index,
        "index-descriptor" => AnnotationPlace::IndexDescriptor,
        _ => bail!(
            "unknown annotation type {kind:?}: it is manifest, manifest-descriptor, index or index-descriptor"
        ),
    };
    let is_of_index = matches!(
        place,
        AnnotationPlace::Index | AnnotationPlace::IndexDescriptor
    );
    if is_of_index && platform.is_some() {
        bail!("an index has no platform: write {kind}:KEY=VALUE");
    }
    Ok((place, platform))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Vec<(AnnotationPlace, Option<String>, String, String)> {
        let annotations = parse(text, AnnotationPlace::Manifest).expect(text);
        annotations.into_iter().map(parts).collect()
    }

    fn parts(one: Annotation) -> (AnnotationPlace, Option<String>, String, String) {
        let platform = one.platform.map(|platform| platform.to_string());
        (one.place, platform, one.key, one.value)
    }

    fn expected(
        place: AnnotationPlace,
        platform: Option<&str>,
        key: &str,
        value: &str,
    ) -> (AnnotationPlace, Option<String>, String, String) {
        let platform = platform.map(str::to_owned);
        (place, platform, key.to_owned(), value.to_owned())
    }

    #[test]
    fn an_annotation_says_what_it_is_on() {
        use AnnotationPlace::{Index, Manifest, ManifestDescriptor};
        assert_eq!(parsed("a=b=c"), [expected(Manifest, None, "a", "b=c")]);
        assert_eq!(
            parsed("index,manifest-descriptor[linux/arm64]:a.b=c:d"),
            [
                expected(Index, None, "a.b", "c:d"),
                expected(ManifestDescriptor, Some("linux/arm64"), "a.b", "c:d"),
            ]
        );
    }

    #[test]
    fn a_field_of_an_output_says_it_too() {
        use AnnotationPlace::{IndexDescriptor, Manifest};
        for (name, wanted) in [
            ("annotation.a.b", expected(Manifest, None, "a.b", "v")),
            (
                "annotation[linux/arm64].a",
                expected(Manifest, Some("linux/arm64"), "a", "v"),
            ),
            (
                "annotation-manifest[linux/arm64].a.b",
                expected(Manifest, Some("linux/arm64"), "a.b", "v"),
            ),
            (
                "annotation-index-descriptor.a",
                expected(IndexDescriptor, None, "a", "v"),
            ),
        ] {
            let found = of_field(name, "v").expect(name).expect(name);
            assert_eq!(parts(found), wanted, "{name}");
        }
        assert_eq!(of_field("dest", "v").expect("no mistake"), None);
    }

    #[test]
    fn what_stands_nowhere_is_refused() {
        for wrong in [
            "a",
            "=b",
            "index[linux/amd64]:a=b",
            "other:a=b",
            "manifest[linux/amd64:a=b",
        ] {
            assert!(parse(wrong, AnnotationPlace::Index).is_err(), "{wrong}");
        }
        for wrong in [
            "annotation",
            "annotation.",
            "annotation-other.a",
            "annotation[x.a",
        ] {
            assert!(of_field(wrong, "v").is_err(), "{wrong}");
        }
    }
}

//! One `--cache-from` or `--cache-to` as it was typed.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rbuild_image::Reference;
use rbuild_remote::{BlobForm, Mode};

use super::stores::{Given, Store, shown};
use crate::commands::build::outputs::{boolean, compression};
use crate::commands::build::request::fields;

/// The list of a directory's entries that is read and written if nothing else is said.
const DEFAULT_TAG: &str = "latest";

/// Fields that all types have.
const COMMON_FIELDS: [&str; 7] = [
    "type",
    "mounts",
    "mode",
    "compression",
    "compression-level",
    "force-compression",
    "ignore-error",
];

/// Whether a cache is read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// `--cache-from`
    From,
    /// `--cache-to`
    To,
}

impl Way {
    fn flag(self) -> &'static str {
        match self {
            Self::From => "--cache-from",
            Self::To => "--cache-to",
        }
    }
}

/// A cache.
#[derive(Debug)]
pub(super) struct Spec {
    /// As it was typed, without secrets.
    pub(super) text: String,
    pub(super) place: Where,
    pub(super) mode: Mode,
    pub(super) form: BlobForm,
    pub(super) ignore_error: bool,
    /// Whether the registry need not prove who it is.
    pub(super) insecure: bool,
    /// Whether cache mounts travel along.
    pub(super) mounts: Mounts,
}

/// Whether a cache has cache mounts, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mounts {
    /// `mounts=true`
    Travel,
    /// As usual.
    Stay,
}

/// Where a cache is.
#[derive(Debug)]
pub(super) enum Where {
    /// `type=registry`
    Registry(Reference),
    /// `type=local`
    Directory { path: PathBuf, tag: String },
    /// `type=s3`, `type=azblob`, `type=gha`
    Objects(Store),
    /// `type=inline`
    Image,
}

/// What is taken from around.
pub(super) struct Surroundings<'a> {
    /// A variable of the environment.
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
    pub(super) now: SystemTime,
}

/// The fields that all kinds have, and those that only some have.
#[derive(Default)]
struct Fields {
    kind: Option<String>,
    reference: Option<String>,
    directory: Option<String>,
    tag: Option<String>,
    /// Those of stores.
    own: BTreeMap<String, String>,
}

impl Spec {
    pub(super) fn parse(
        text: &str,
        way: Way,
        surroundings: &Surroundings<'_>,
    ) -> anyhow::Result<Self> {
        let flag = way.flag();
        let said = shown(text);
        let mut spec = Self {
            text: said.clone(),
            place: Where::Directory {
                path: PathBuf::new(),
                tag: String::new(),
            },
            mode: Mode::default(),
            form: BlobForm::default(),
            ignore_error: false,
            insecure: false,
            mounts: Mounts::Stay,
        };
        if !text.contains('=') {
            spec.place = Where::Registry(reference(text, flag)?);
            return Ok(spec);
        }
        let mut known = Fields::default();
        let fields = fields(text);
        let mut kinds = fields.iter().filter(|(key, _)| key == "type");
        let is_store = kinds.any(|(_, kind)| Store::has_kind(kind));
        for (key, value) in fields {
            if is_store && !COMMON_FIELDS.contains(&key.as_str()) {
                known.own.insert(key, value);
                continue;
            }
            spec.set(&mut known, &key, value, way)
                .with_context(|| format!("invalid {flag} {said:?}"))?;
        }
        let place = known.into_place(way, surroundings).and_then(|place| {
            if matches!(place, Where::Image) && (spec.mode, spec.form) != <(Mode, BlobForm)>::default() {
                bail!("an image's own layers are its inline cache: it is mode=min, and compressed as the image is");
            }
            Ok(place)
        });
        spec.place = place.with_context(|| format!("invalid {flag} {said:?}"))?;
        Ok(spec)
    }

    fn set(
        &mut self,
        known: &mut Fields,
        key: &str,
        value: String,
        way: Way,
    ) -> anyhow::Result<()> {
        match (key, way) {
            ("type", _) => known.kind = Some(value),
            ("ref", _) => known.reference = Some(value),
            ("src", Way::From) | ("dest", Way::To) => known.directory = Some(value),
            ("src", Way::To) => bail!("a cache is written to dest=, and read from src="),
            ("dest", Way::From) => bail!("a cache is read from src=, and written to dest="),
            ("tag", _) => known.tag = Some(value),
            ("mode", Way::To) => {
                self.mode = match value.as_str() {
                    "min" => Mode::Min,
                    "max" => Mode::Max,
                    other => bail!("mode={other}: it is min or max"),
                };
            }
            ("compression", Way::To) => self.form.compression = Some(compression(&value)?),
            ("compression-level", Way::To) => {
                let level = value.parse().context("compression-level is a number")?;
                self.form.level = Some(level);
            }
            ("force-compression", Way::To) => self.form.force = boolean(key, &value)?,
            ("ignore-error", Way::To) => self.ignore_error = boolean(key, &value)?,
            ("mounts", _) => {
                self.mounts = if boolean(key, &value)? {
                    Mounts::Travel
                } else {
                    Mounts::Stay
                };
            }
            // So it is written; the other forms that BuildKit has are for registries of old.
            ("oci-mediatypes" | "image-manifest", Way::To) => {
                if !boolean(key, &value)? {
                    bail!("{key}=false is not supported: entries are OCI image manifests");
                }
            }
            ("registry.insecure", _) => {
                self.insecure = boolean(key, &value)?;
            }
            ("digest", _) => bail!(
                "digest is not supported: steps are found by their keys, whichever list of them is read (tag=)"
            ),
            (name, _) if value.is_empty() && name.contains('/') => {
                bail!("with fields, a name is one of them, too: type=registry,ref={name},…")
            }
            (other, _) => bail!("there is no field {other:?}"),
        }
        Ok(())
    }
}

impl Fields {
    fn into_place(self, way: Way, surroundings: &Surroundings<'_>) -> anyhow::Result<Where> {
        let flag = way.flag();
        let kind = self.kind.as_deref().context("it needs a type=")?;
        let given = [
            ("ref", self.reference.is_some(), "registry"),
            ("src or dest", self.directory.is_some(), "local"),
            ("tag", self.tag.is_some(), "local"),
        ];
        for (field, is_given, of) in given {
            if is_given && of != kind {
                bail!("{field}= belongs to type={of}");
            }
        }
        match kind {
            "registry" => {
                let text = self.reference.context("it needs a ref=")?;
                Ok(Where::Registry(reference(&text, flag)?))
            }
            "local" => {
                let name = match way {
                    Way::From => "src",
                    Way::To => "dest",
                };
                let path = self
                    .directory
                    .with_context(|| format!("it needs a {name}="))?;
                let path = std::path::absolute(path)?;
                let tag = self.tag.unwrap_or_else(|| DEFAULT_TAG.to_owned());
                Ok(Where::Directory { path, tag })
            }
            "inline" => match way {
                Way::To => Ok(Where::Image),
                Way::From => bail!(
                    "a cache inside an image is read from where the image is: type=registry,ref=IMAGE"
                ),
            },
            kind if Store::has_kind(kind) => {
                let given = Given {
                    fields: self.own,
                    variable: surroundings.variable,
                    now: surroundings.now,
                };
                Store::parse(kind, given, way).map(Where::Objects)
            }
            other => bail!(
                "cache type {other:?} is not known: it is registry, local, inline, s3, azblob or gha"
            ),
        }
    }
}

fn reference(text: &str, flag: &str) -> anyhow::Result<Reference> {
    let reference: Reference = text.parse().with_context(|| format!("invalid {flag}"))?;
    if reference.digest().is_some() {
        bail!("{text}: a cache is named by a tag, not by a digest");
    }
    Ok(reference)
}

#[cfg(test)]
mod tests {
    use rbuild_image::Compression;

    use super::*;

    fn parse(text: &str, way: Way) -> anyhow::Result<Spec> {
        let surroundings = Surroundings {
            variable: &|_| None,
            now: SystemTime::UNIX_EPOCH,
        };
        Spec::parse(text, way, &surroundings)
    }

    fn refusal(text: &str, way: Way) -> String {
        format!("{:#}", parse(text, way).expect_err(text))
    }

    #[test]
    fn a_name_alone_is_a_cache_in_a_registry() {
        for text in ["user/app:cache", "type=registry,ref=user/app:cache"] {
            let spec = parse(text, Way::From).expect(text);
            let Where::Registry(name) = &spec.place else {
                panic!("{text}: {:?}", spec.place);
            };
            assert_eq!(name.to_string(), "docker.io/user/app:cache");
        }
    }

    #[test]
    fn everything_that_buildkit_has_is_understood() {
        let text = "type=registry,ref=r.example/app,mode=max,compression=zstd,compression-level=9,force-compression=true,oci-mediatypes=true,image-manifest=true,ignore-error=true";
        let spec = parse(text, Way::To).expect("valid");
        assert_eq!(spec.mode, Mode::Max);
        assert_eq!(spec.form.compression, Some(Compression::Zstd));
        assert_eq!((spec.form.level, spec.form.force), (Some(9), true));
        assert!(spec.ignore_error);
    }

    #[test]
    fn mistakes_are_told() {
        let cases = [
            ("ref=a/b", Way::From, "type="),
            ("type=registry", Way::From, "ref="),
            ("type=local,dest=d", Way::From, "src="),
            ("type=local,src=d", Way::To, "dest="),
            ("type=tape", Way::From, "registry, local, inline"),
            ("r.example/a,mode=max", Way::To, "ref=r.example/a"),
            ("type=inline", Way::From, "type=registry"),
            ("type=inline,mode=max", Way::To, "mode=min"),
            ("type=inline,ref=a", Way::To, "type=registry"),
            (
                "type=registry,ref=a,image-manifest=false",
                Way::To,
                "OCI image manifests",
            ),
            ("type=registry,ref=a,colour=red", Way::To, "\"colour\""),
            ("type=registry,ref=a,mode=all", Way::To, "min or max"),
            ("type=registry,ref=a,mode=max", Way::From, "\"mode\""),
            ("type=registry,ref=a,tag=b", Way::From, "type=local"),
        ];
        for (text, way, word) in cases {
            let told = refusal(text, way);
            assert!(told.contains(word), "{text}: {told}");
        }
    }
}

//! One `--output` as it was typed: `PATH`, `-`, or `type=…,…`.

use anyhow::{Context as _, bail};
use rbuild_export::{
    Annotation, AttestationForm, AttestationPlace, BaseForm, LayerForm, Layering, MediaTypes,
    PushBy,
};
use rbuild_image::{Compression, Packing, Reference};

use super::dates::{Dates, OwnEpoch, Rewrite};
use super::settled::{Dangling, DanglingOccasion, Trust};
use super::{Attested, Folders, Form, Kind, Occasion, Output};
use crate::commands::annotation;
use crate::commands::build::attestations::Inline;
use crate::commands::build::request::fields;
use crate::commands::destination::Destination;

/// `PATH`, `-`, or `type=…,…`.
pub(super) fn parse(text: &str, names: &[Reference]) -> anyhow::Result<Output> {
    if text == "-" {
        let kind = Kind::Tar {
            destination: Destination::Stdout,
        };
        return Ok(Output::simple(kind, names, Compression::Gzip));
    }
    if !text.contains('=') {
        let kind = Kind::Local {
            directory: text.into(),
        };
        return Ok(Output::simple(kind, names, Compression::Gzip));
    }
    let mut spec = Spec::default();
    for (key, value) in fields(text) {
        spec.set(&key, value, text)?;
    }
    spec.into_output(names, text)
}

/// The fields of a `--output`.
#[derive(Default)]
struct Spec {
    kind: String,
    destination: Option<String>,
    names: Option<Vec<Reference>>,
    push: bool,
    push_by: PushBy,
    store: Option<bool>,
    directory: bool,
    packing: Option<Packing>,
    level: Option<i32>,
    force: bool,
    /// What becomes of base layers that are not compressed anew.
    foreign: BaseForm,
    types: MediaTypes,
    layering: Layering,
    dangling: Option<String>,
    dangling_occasion: DanglingOccasion,
    trust: Trust,
    dates: Dates,
    folders: Folders,
    annotations: Vec<Annotation>,
    attested: Attested,
    occasion: Occasion,
}

impl Spec {
    fn set(&mut self, key: &str, value: String, text: &str) -> anyhow::Result<()> {
        match key {
            "type" => self.kind = value,
            "dest" => self.destination = Some(value),
            "name" => {
                let names = value.split(',').map(str::parse::<Reference>);
                self.names = Some(names.collect::<Result<_, _>>()?);
            }
            "push" => self.push = boolean(key, &value)?,
            "on" => {
                self.occasion = match value.as_str() {
                    "success" => Occasion::Success,
                    "always" => Occasion::Always,
                    other => bail!("--output {text:?}: on={other}: it is success or always"),
                }
            }
            "tar" => self.directory = !boolean(key, &value)?,
            "compression" => {
                self.packing = Some(packing(&value)?);
            }
            "compression-level" => {
                self.level = Some(value.parse().context("compression-level is a number")?);
            }
            "force-compression" => self.force = boolean(key, &value)?,
            "platform-split" => {
                self.folders = choice(key, &value, Folders::Always, Folders::Never)?;
            }
            "source-date-epoch" => {
                self.dates.epoch = Some(match value.as_str() {
                    "" => OwnEpoch::None,
                    seconds => OwnEpoch::At(seconds.parse().with_context(|| {
                        format!("source-date-epoch={seconds}: it is seconds since 1970")
                    })?),
                });
            }
            "rewrite-timestamp" => {
                self.dates.rewrite = Some(choice(key, &value, Rewrite::Told, Rewrite::Never)?);
            }
            "push-by-digest" => {
                self.push_by = choice(key, &value, PushBy::Digest, PushBy::Tag)?;
            }
            "store" => self.store = Some(boolean(key, &value)?),
            // Every image here is found by NAME@DIGEST, and none is unpacked before it is needed.
            "name-canonical" | "unpack" => {
                boolean(key, &value)?;
            }
            "oci-artifact" => {
                self.attested.form = choice(
                    key,
                    &value,
                    AttestationForm::Artifact,
                    AttestationForm::Image,
                )?;
            }
            "attestations" => {
                self.attested.place = match value.as_str() {
                    "index" => AttestationPlace::Index,
                    "referrers" => AttestationPlace::Referrers,
                    _ => bail!("{key}={value}: it is index or referrers"),
                };
            }
            "attestation-inline" => {
                self.attested.inline = choice(key, &value, Inline::Only, Inline::Anywhere)?;
            }
            "attestation-prefix" if value.contains('/') => {
                bail!("{key}={value}: it is the beginning of a file's name, without directories")
            }
            "attestation-prefix" => self.attested.prefix = value,
            "oci-mediatypes" => {
                self.types = choice(key, &value, MediaTypes::Oci, MediaTypes::Docker)?;
            }
            "squash" => {
                self.layering = choice(key, &value, Layering::Squashed, Layering::Kept)?;
            }
            "dangling-name-prefix" => self.dangling = Some(value).filter(|text| !text.is_empty()),
            // The first is how BuildKit spells it.
            "danging-name-empty-only" | "dangling-name-empty-only" => {
                self.dangling_occasion = choice(
                    key,
                    &value,
                    DanglingOccasion::WithoutName,
                    DanglingOccasion::Always,
                )?;
            }
            "registry.insecure" => {
                self.trust = choice(key, &value, Trust::Anyone, Trust::Configured)?;
            }
            "prefer-nondist-layers" => {
                self.foreign = choice(key, &value, BaseForm::Named, BaseForm::Kept)?;
            }
            other => match annotation::of_field(other, &value)? {
                Some(annotation) => self.annotations.push(annotation),
                None => bail!("--output {text:?}: there is no field {other:?}"),
            },
        }
        Ok(())
    }

    fn into_output(self, names: &[Reference], text: &str) -> anyhow::Result<Output> {
        let needed = || {
            self.destination
                .clone()
                .with_context(|| format!("--output {text:?} needs a dest="))
        };
        let destination = match self.destination.as_deref() {
            None | Some("-") => Destination::Stdout,
            Some(path) => Destination::File(path.into()),
        };
        let kind = match self.kind.as_str() {
            "image" if self.store == Some(false) && self.push => Kind::Registry,
            "image" if self.store == Some(false) => bail!(
                "--output {text:?} keeps nothing: give push=true as well, or use type=cacheonly"
            ),
            "image" => Kind::Image { push: self.push },
            "registry" => Kind::Registry,
            "oci" if self.directory => {
                let destination = Destination::File(needed()?.into());
                Kind::Oci {
                    destination,
                    form: Form::Directory,
                }
            }
            "oci" => Kind::Oci {
                destination,
                form: Form::Archive,
            },
            "docker" if self.destination.is_none() => Kind::Load,
            "docker" => Kind::Docker { destination },
            "local" => Kind::Local {
                directory: needed()?.into(),
            },
            "tar" => Kind::Tar { destination },
            "cacheonly" => Kind::CacheOnly,
            "" => bail!("--output {text:?} needs a type="),
            other => bail!(
                "output type {other:?} is not known: it is image, registry, oci, docker, local, tar or cacheonly"
            ),
        };
        if self.attested.place == AttestationPlace::Referrers && !kind.pushes() {
            bail!("--output {text:?}: attestations=referrers is for what is pushed to a registry");
        }
        if self.foreign == BaseForm::Named && matches!(kind, Kind::Docker { .. } | Kind::Load) {
            bail!(
                "--output {text:?}: Docker's archives have all layers, so prefer-nondist-layers=true is not for them"
            );
        }
        let plain = matches!(
            kind,
            Kind::Image { push: false } | Kind::Docker { .. } | Kind::Load
        );
        let default = if plain {
            Compression::None
        } else {
            Compression::Gzip
        };
        let mut names = self.names.unwrap_or_else(|| names.to_vec());
        let mut push_by = self.push_by;
        let dangling = self.dangling;
        let dangling = dangling.map(|prefix| Dangling::new(prefix, self.dangling_occasion));
        let dangling = dangling.transpose()?;
        if let (Some(dangling), true, true) = (&dangling, names.is_empty(), kind.pushes()) {
            names.push(dangling.name()?);
            push_by = PushBy::Digest;
        }
        Ok(Output {
            kind,
            names,
            push_by,
            types: self.types,
            layering: self.layering,
            dangling,
            trust: self.trust,
            form: LayerForm {
                packing: self.packing.unwrap_or(default.into()),
                level: self.level,
                base: if self.force {
                    BaseForm::Converted
                } else {
                    self.foreign
                },
            },
            dates: self.dates,
            folders: self.folders,
            annotations: self.annotations,
            attested: self.attested,
            occasion: self.occasion,
        })
    }
}

/// `compression=`
pub(in crate::commands::build) fn compression(value: &str) -> anyhow::Result<Compression> {
    Ok(match value {
        "uncompressed" => Compression::None,
        "gzip" => Compression::Gzip,
        "zstd" => Compression::Zstd,
        other => {
            bail!("compression {other:?} is not supported: it is uncompressed, gzip or zstd")
        }
    })
}

/// `compression=` of an output, which knows forms for lazy pulling as well.
fn packing(value: &str) -> anyhow::Result<Packing> {
    Ok(match value {
        "estargz" => Packing::Estargz,
        "zstd:chunked" => Packing::ZstdChunked,
        "uncompressed" | "gzip" | "zstd" => compression(value)?.into(),
        other => bail!(
            "compression {other:?} is not supported: it is uncompressed, gzip, zstd, estargz or zstd:chunked"
        ),
    })
}

/// One of two, as a boolean says.
fn choice<T>(key: &str, value: &str, yes: T, no: T) -> anyhow::Result<T> {
    Ok(if boolean(key, value)? { yes } else { no })
}

pub(in crate::commands::build) fn boolean(key: &str, value: &str) -> anyhow::Result<bool> {
    match value {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => bail!("{key}={value}: it is true or false"),
    }
}

//! The flags: `--attest type=KIND,…`, and `--provenance` and `--sbom`, which are short for it.

use anyhow::{bail, ensure};
use rbuild_attest::{Detail, Reproducibility, SlsaVersion};
use rbuild_plan::Scan;

use crate::commands::build::args::{Args, boolean};
use crate::commands::build::request::fields;

/// The file that provenance is in where attestations are files.
const PROVENANCE_FILE: &str = "provenance.json";

/// What is to be attested of the images of a build.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands::build) struct Attests {
    pub(in crate::commands::build) provenance: Option<ProvenanceRequest>,
    pub(in crate::commands::build) sbom: Option<SbomRequest>,
}

/// `--provenance`
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::commands::build) struct ProvenanceRequest {
    pub(super) detail: Detail,
    pub(super) version: SlsaVersion,
    pub(super) builder_id: Option<String>,
    pub(super) file_name: String,
    pub(super) reproducibility: Reproducibility,
    pub(super) inline: Inline,
}

/// `--sbom`
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::commands::build) struct SbomRequest {
    /// The image that looks for packages, if we are not to look ourselves.
    pub(in crate::commands::build) generator: Option<String>,
    /// What it is told besides, as variables.
    pub(in crate::commands::build) parameters: Vec<(String, String)>,
}

/// Which outputs an attestation goes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::commands::build) enum Inline {
    /// All.
    Anywhere,
    /// `inline-only=true`: those that say `attestation-inline=true`.
    Only,
}

impl Inline {
    /// Whether an output that takes these takes what goes to `place`.
    pub(in crate::commands::build) fn takes(self, place: Self) -> bool {
        self == Self::Only || place == Self::Anywhere
    }
}

impl Default for ProvenanceRequest {
    fn default() -> Self {
        Self {
            detail: Detail::Min,
            version: SlsaVersion::V1,
            builder_id: None,
            file_name: PROVENANCE_FILE.to_owned(),
            reproducibility: Reproducibility::Unclaimed,
            inline: Inline::Anywhere,
        }
    }
}

/// The build arguments that ask for attestations, as `BuildKit` has them.
const ARGUMENT_PREFIX: &str = "BUILDKIT_ATTEST_";

/// One flag, with its name for messages.
struct Given {
    flag: &'static str,
    kind: String,
    disabled: bool,
    fields: Vec<(String, String)>,
}

impl Attests {
    /// What the flags ask for, or the build arguments `BUILDKIT_ATTEST_SBOM` and `BUILDKIT_ATTEST_PROVENANCE`. Nothing is
    /// attested unless they do.
    pub(in crate::commands::build) fn new(
        args: &Args,
        build_args: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut given = args
            .attest
            .iter()
            .map(|text| Given::parse("--attest", fields(text)))
            .collect::<anyhow::Result<Vec<_>>>()?;
        for (flag, kind, value) in [
            ("--provenance", "provenance", &args.provenance),
            ("--sbom", "sbom", &args.sbom),
        ] {
            if let Some(text) = value.as_ref().filter(|text| !text.is_empty()) {
                given.push(Given::short(flag, kind, text)?);
            }
        }
        given.extend(Given::of_arguments(build_args, &given)?);
        let mut attests = Self::default();
        for (at, one) in given.iter().enumerate() {
            let is_double = given[..at].iter().any(|other| other.kind == one.kind);
            ensure!(!is_double, "duplicate attestation field {}", one.kind);
            match (one.kind.as_str(), one.disabled) {
                ("provenance" | "sbom", true) => {}
                ("provenance", false) => attests.provenance = Some(one.provenance()?),
                ("sbom", false) => attests.sbom = Some(one.sbom()?),
                (other, _) => bail!(
                    "{}: unknown attestation type {other:?}: it is provenance or sbom",
                    one.flag
                ),
            }
        }
        Ok(attests)
    }

    /// Who looks for packages.
    pub(in crate::commands::build) fn scan(&self) -> Scan {
        match &self.sbom {
            None => Scan::None,
            Some(SbomRequest {
                generator: Some(image),
                parameters,
            }) => Scan::Generator {
                image: image.clone(),
                parameters: parameters.clone(),
            },
            Some(_) => Scan::Trees,
        }
    }

    /// Whether there is anything to make.
    pub(in crate::commands::build) fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Given {
    /// What build arguments ask for that no flag speaks of; the last of each counts.
    fn of_arguments(build_args: &[(String, String)], flags: &[Self]) -> anyhow::Result<Vec<Self>> {
        const FLAG: &str = "--build-arg BUILDKIT_ATTEST_…";
        let mut given: Vec<Self> = Vec::new();
        for (name, value) in build_args.iter().rev() {
            let Some(kind) = name.strip_prefix(ARGUMENT_PREFIX) else {
                continue;
            };
            let kind = kind.to_lowercase();
            let is_said = flags.iter().chain(&given).any(|other| other.kind == kind);
            if !is_said {
                given.push(Self::short(FLAG, &kind, value)?);
            }
        }
        Ok(given)
    }

    /// `true`, `false`, `FIELD=VALUE,…`
    fn short(flag: &'static str, kind: &str, text: &str) -> anyhow::Result<Self> {
        if let Ok(wanted) = boolean(text) {
            return Ok(Self {
                flag,
                kind: kind.to_owned(),
                disabled: !wanted,
                fields: Vec::new(),
            });
        }
        let mut all = vec![("type".to_owned(), kind.to_owned())];
        all.extend(fields(text));
        Self::parse(flag, all)
    }

    fn parse(flag: &'static str, all: Vec<(String, String)>) -> anyhow::Result<Self> {
        let mut given = Self {
            flag,
            kind: String::new(),
            disabled: false,
            fields: Vec::new(),
        };
        for (key, value) in all {
            match key.as_str() {
                "type" => given.kind = value,
                "disabled" => given.disabled = given.boolean(&key, &value)?,
                _ => given.fields.push((key, value)),
            }
        }
        ensure!(
            !given.kind.is_empty(),
            "{flag}: attestation type not specified"
        );
        Ok(given)
    }

    fn boolean(&self, key: &str, value: &str) -> anyhow::Result<bool> {
        boolean(value).map_err(|reason| anyhow::anyhow!("{}: {key}={value}: {reason}", self.flag))
    }

    fn provenance(&self) -> anyhow::Result<ProvenanceRequest> {
        let flag = self.flag;
        let mut wanted = ProvenanceRequest::default();
        for (key, value) in &self.fields {
            match key.as_str() {
                "mode" => {
                    wanted.detail = match value.as_str() {
                        "min" => Detail::Min,
                        "max" | "full" => Detail::Max,
                        other => bail!("{flag}: invalid mode {other:?}: it is min or max"),
                    }
                }
                "version" => {
                    wanted.version = match value.as_str() {
                        "v1" => SlsaVersion::V1,
                        "v0.2" => SlsaVersion::V02,
                        other => {
                            bail!("{flag}: invalid SLSA version {other:?}: it is v1 or v0.2")
                        }
                    }
                }
                "builder-id" => wanted.builder_id = Some(value.clone()),
                "filename" => {
                    ensure!(
                        !value.is_empty() && !value.contains('/') && value != "." && value != "..",
                        "{flag}: filename={value}: it is the name of a file, without directories"
                    );
                    wanted.file_name.clone_from(value);
                }
                "reproducible" if self.boolean(key, value)? => {
                    wanted.reproducibility = Reproducibility::Claimed;
                }
                "inline-only" if self.boolean(key, value)? => wanted.inline = Inline::Only,
                "reproducible" | "inline-only" => {}
                other => bail!("{flag}: provenance has no field {other:?}"),
            }
        }
        Ok(wanted)
    }

    fn sbom(&self) -> anyhow::Result<SbomRequest> {
        let mut wanted = SbomRequest::default();
        for (key, value) in &self.fields {
            if key == "generator" {
                wanted.generator = (!value.is_empty()).then(|| value.clone());
            } else {
                wanted.parameters.push((key.to_uppercase(), value.clone()));
            }
        }
        if let (None, Some((name, _))) = (&wanted.generator, wanted.parameters.first()) {
            let (flag, name) = (self.flag, name.to_lowercase());
            bail!("{flag}: {name}= is for a generator, and none is named: give generator=IMAGE");
        }
        Ok(wanted)
    }
}

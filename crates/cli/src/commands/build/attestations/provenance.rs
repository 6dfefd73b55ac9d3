//! Provenance: what the build was started with, as its attestation tells it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::SystemTime;

use rbuild_attest::{
    Attestation, ConfigSource, Detail, Invocation, Provenance, SlsaVersion, SourceIdentity, excerpt,
};
use rbuild_plan::{
    ImageForm, ImageOutput, NetworkMode, NoCache, Planned, VertexId, without_credentials,
};
use rbuild_solve::{Build, Pin};
use serde_json::Value;

use super::request::ProvenanceRequest;
use super::vcs;
use crate::app::{App, Environment};
use crate::commands::build::args::boolean;
use crate::commands::build::contexts::{Inputs, is_directory_context};
use crate::commands::build::dockerfile_file::DOCKERFILE;
use crate::commands::build::request::Request;
use crate::commands::documents::rfc3339;

/// What a build knows of itself.
pub(in crate::commands::build) struct Told {
    /// Its name.
    pub(in crate::commands::build) id: String,
    /// When it began.
    pub(in crate::commands::build) started: SystemTime,
}

/// How much of provenance is in `--metadata-file`.
const METADATA_VARIABLE: &str = "BUILDX_METADATA_PROVENANCE";

/// What `--metadata-file` has of each image, by the platform where an index stands above them.
pub(in crate::commands::build) fn for_metadata(
    app: &App,
    request: &Request,
    inputs: &Inputs,
    planned: &Planned,
    (build, told): (&Build, &Told),
) -> anyhow::Result<Vec<(String, Value)>> {
    const KEY: &str = "buildx.build.provenance";
    let wanted = app.environment.text(METADATA_VARIABLE);
    let detail = match wanted.as_deref() {
        Some("disabled") => return Ok(Vec::new()),
        Some(text) if boolean(text) == Ok(false) => return Ok(Vec::new()),
        Some("max") => Detail::Max,
        _ => Detail::Min,
    };
    let wanted = ProvenanceRequest::default();
    let wanted = request.attests.provenance.as_ref().unwrap_or(&wanted);
    let invocation = invocation(app, request, inputs, told, wanted)?;
    let resolved = resolved(build);
    let told = planned.plan.outputs.iter().map(|output| {
        let provenance = Provenance {
            plan: &planned.plan,
            output,
            dockerfile: &inputs.source,
            resolved: &resolved,
            invocation: &invocation,
            detail: Detail::Max,
        };
        let key = match request.image_form {
            ImageForm::Single => KEY.to_owned(),
            ImageForm::Indexed => format!("{KEY}/{}", output.platform),
        };
        (key, excerpt(provenance.predicate(SlsaVersion::V02), detail))
    });
    Ok(told.collect())
}

/// What the sources of a build turned out to be.
pub(super) fn resolved(build: &Build) -> BTreeMap<VertexId, SourceIdentity> {
    let resolved = build.sources.resolved().into_iter();
    resolved
        .map(|(vertex, pin)| {
            let identity = match pin {
                Pin::Commit(commit) => SourceIdentity::Commit(commit),
                Pin::File(digest) => SourceIdentity::File(digest),
            };
            (vertex, identity)
        })
        .collect()
}

/// The provenance of one image.
pub(super) fn attestation(
    wanted: &ProvenanceRequest,
    inputs: &Inputs,
    planned: &Planned,
    output: &ImageOutput,
    resolved: &BTreeMap<VertexId, SourceIdentity>,
    invocation: &Invocation,
) -> Attestation {
    let provenance = Provenance {
        plan: &planned.plan,
        output,
        dockerfile: &inputs.source,
        resolved,
        invocation,
        detail: wanted.detail,
    };
    Attestation {
        file_name: wanted.file_name.clone(),
        predicate_type: wanted.version.predicate_type().to_owned(),
        predicate: provenance.predicate(wanted.version),
        subjects: Vec::new(),
    }
}

/// What the build was started with; it ends now.
pub(super) fn invocation(
    app: &App,
    request: &Request,
    inputs: &Inputs,
    told: &Told,
    wanted: &ProvenanceRequest,
) -> anyhow::Result<Invocation> {
    let environment = app.environment;
    let file = request.file.as_deref().unwrap_or(DOCKERFILE);
    let path = match &inputs.remote {
        Some(_) => file,
        // Where it is on this machine is nobody's business.
        None => Path::new(file)
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or(file),
    };
    let is_directory = inputs.remote.is_none() && Path::new(&request.context).is_dir();
    Ok(Invocation {
        id: told.id.clone(),
        builder_id: wanted
            .builder_id
            .clone()
            .or_else(|| job_address(environment))
            .unwrap_or_default(),
        builder_version: BTreeMap::from([(
            "rbuild".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        )]),
        builder_platform: app.platform().to_string(),
        config_source: ConfigSource {
            remote: inputs.remote.clone(),
            path: path.to_owned(),
        },
        arguments: arguments(request)?,
        vcs: if is_directory {
            vcs::of(environment, Path::new(&request.context))
        } else {
            BTreeMap::new()
        },
        started: rfc3339(told.started),
        finished: rfc3339(environment.now()),
        reproducibility: wanted.reproducibility,
    })
}

/// Where the log of this job is to be read, if it is one of GitHub's or GitLab's.
fn job_address(environment: Environment) -> Option<String> {
    let text = |name: &str| environment.text(name);
    if text("GITHUB_ACTIONS").as_deref() == Some("true") {
        let (server, repository) = (text("GITHUB_SERVER_URL")?, text("GITHUB_REPOSITORY")?);
        let run = text("GITHUB_RUN_ID")?;
        let attempt = text("GITHUB_RUN_ATTEMPT");
        let attempt = attempt.map_or_else(String::new, |number| format!("/attempts/{number}"));
        return Some(format!("{server}/{repository}/actions/runs/{run}{attempt}"));
    }
    text("GITLAB_CI").and_then(|_| text("CI_JOB_URL"))
}

/// The options by the names that BuildKit's frontend has for them, without those that only concern this machine.
fn arguments(request: &Request) -> anyhow::Result<BTreeMap<String, String>> {
    let mut found = BTreeMap::new();
    for (name, value) in &request.build_args {
        found.insert(format!("build-arg:{name}"), value.clone());
    }
    for (name, value) in &request.labels {
        found.insert(format!("label:{name}"), value.clone());
    }
    for (name, value) in &request.build_contexts {
        let value = if is_directory_context(value)? {
            format!("local:{name}")
        } else if value.starts_with("oci-layout://") {
            // Where it is on this machine says nothing elsewhere.
            format!("oci-layout:{name}")
        } else {
            without_credentials(value)
        };
        found.insert(format!("context:{name}"), value);
    }
    let hosts = request.add_hosts.iter();
    let hosts = hosts.map(|(name, address)| format!("{name}={address}"));
    let ulimits = request.ulimits.iter();
    let ulimits = ulimits.map(|(name, soft, hard)| format!("{name}={soft}:{hard}"));
    let several = request.image_form == ImageForm::Indexed;
    let optional = [
        ("target", request.target.clone()),
        ("add-hosts", joined(hosts)),
        ("ulimit", joined(ulimits)),
        ("shm-size", request.shm_size.map(|size| size.to_string())),
        (
            "no-cache",
            match &request.no_cache {
                NoCache::None => None,
                NoCache::All => Some(String::new()),
                NoCache::Stages(stages) => joined(stages.iter().cloned()),
            },
        ),
        (
            "force-network-mode",
            match request.network {
                NetworkMode::Default => None,
                NetworkMode::None => Some("none".to_owned()),
                NetworkMode::Host => Some("host".to_owned()),
            },
        ),
        ("multi-platform", several.then(|| "true".to_owned())),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            found.insert(name.to_owned(), value);
        }
    }
    Ok(found)
}

fn joined(words: impl Iterator<Item = String>) -> Option<String> {
    let words: Vec<String> = words.collect();
    (!words.is_empty()).then(|| words.join(","))
}

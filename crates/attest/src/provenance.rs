//! SLSA provenance (slsa.dev/provenance, versions 1 and 0.2), in the fields that BuildKit gives it.
//!
//! ```text
//! buildDefinition ┬ externalParameters   what was asked for: Dockerfile, arguments, ids of secrets
//!                 ├ internalParameters   mode=max: the steps
//!                 └ resolvedDependencies images, repositories, files, each with its digest
//! runDetails      ┬ builder              who built
//!                 └ metadata             when; whether that is all; mode=max: the Dockerfile itself
//! ```

use std::collections::BTreeMap;

use rbuild_dockerfile::Source;
use rbuild_plan::{ImageOutput, Plan, VertexId};
use serde_json::{Value, json};

use crate::materials::{SourceIdentity, Sources, below};
use crate::steps::{Asked, Steps, needs_json};

/// What the fields mean, for version 1.
const BUILD_TYPE: &str =
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md";
/// The same for version 0.2.
const BUILD_TYPE_02: &str = "https://mobyproject.org/buildkit@v1";
/// Prefixes of the arguments that `mode=min` leaves out.
const VALUES: [&str; 2] = ["build-arg:", "label:"];

/// How much is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// `mode=min`: what it was built from, and when.
    Min,
    /// `mode=max`: also how, with the values of build arguments and the Dockerfile itself.
    Max,
}

/// The versions of SLSA's predicate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlsaVersion {
    /// 0.2
    V02,
    /// 1
    V1,
}

impl SlsaVersion {
    /// The predicate's type.
    pub fn predicate_type(self) -> &'static str {
        match self {
            Self::V02 => "https://slsa.dev/provenance/v0.2",
            Self::V1 => "https://slsa.dev/provenance/v1",
        }
    }
}

/// Whether the same inputs are said to give the same bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reproducibility {
    /// `reproducible=true`
    Claimed,
    /// Nothing is said.
    Unclaimed,
}

/// What a build was started with.
#[derive(Debug, Clone, PartialEq)]
pub struct Invocation {
    /// Its own name.
    pub id: String,
    /// A URI of who built; empty where nobody said.
    pub builder_id: String,
    /// Programs and their versions.
    pub builder_version: BTreeMap<String, String>,
    /// What the builder runs on.
    pub builder_platform: String,
    /// The Dockerfile.
    pub config_source: ConfigSource,
    /// Options by the names that BuildKit's frontend has for them: `build-arg:A`, `target`.
    pub arguments: BTreeMap<String, String>,
    /// What a version control system says of the context, unverified.
    pub vcs: BTreeMap<String, String>,
    /// When it began, in RFC 3339.
    pub started: String,
    /// When it was done.
    pub finished: String,
    /// What the user says of it.
    pub reproducibility: Reproducibility,
}

/// Where the Dockerfile is from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigSource {
    /// The remote context that it is in, and what that turned out to be; none on this machine.
    pub remote: Option<(String, SourceIdentity)>,
    /// Its path there.
    pub path: String,
}

/// All that provenance tells of one image.
pub struct Provenance<'a> {
    /// The whole build.
    pub plan: &'a Plan,
    /// The image.
    pub output: &'a ImageOutput,
    /// The Dockerfile.
    pub dockerfile: &'a Source,
    /// What sources turned out to be.
    pub resolved: &'a BTreeMap<VertexId, SourceIdentity>,
    /// What was asked for.
    pub invocation: &'a Invocation,
    /// How much is told.
    pub detail: Detail,
}

/// The fields that both versions have, under other names.
struct Fields {
    config_uri: Option<(String, Value)>,
    request: Value,
    has_all_arguments: bool,
    materials: Vec<Value>,
    is_complete: bool,
    is_hermetic: bool,
    steps: Option<Value>,
    buildkit: Value,
}

impl Provenance<'_> {
    /// The predicate.
    pub fn predicate(&self, version: SlsaVersion) -> Value {
        let fields = self.fields();
        match version {
            SlsaVersion::V1 => self.version_1(fields),
            SlsaVersion::V02 => self.version_02(fields),
        }
    }

    fn fields(&self) -> Fields {
        let vertices = below(self.plan, self.output.root);
        let mut sources = Sources::of(self.plan, &vertices, self.resolved);
        let asked = Asked::of(self.plan, &vertices);
        let remote = &self.invocation.config_source.remote;
        if let Some((uri, identity)) = remote {
            // The main context was checked out of it.
            sources.locals.remove("context");
            sources.add(uri.clone(), Some(identity.digests()));
        } else {
            sources.locals.insert("dockerfile".to_owned());
        }
        let (request, has_all_arguments) = self.request(&sources, &asked);
        let steps = Steps::new(self.plan, &vertices);
        let mut buildkit = json!({});
        if !self.invocation.vcs.is_empty() {
            buildkit["vcs"] = json!(self.invocation.vcs);
        }
        if self.detail == Detail::Max {
            buildkit["source"] = steps.source(self.dockerfile);
        }
        Fields {
            config_uri: remote
                .as_ref()
                .map(|(uri, identity)| (uri.clone(), identity.digests())),
            request,
            has_all_arguments,
            is_complete: sources.are_complete(),
            is_hermetic: sources.are_complete() && !asked.network,
            materials: sources.json(),
            steps: (self.detail == Detail::Max).then(|| json!({ "steps": steps.definition() })),
            buildkit,
        }
    }

    /// What was asked for, and whether that is all.
    fn request(&self, sources: &Sources, asked: &Asked) -> (Value, bool) {
        let is_value = |name: &str| VALUES.iter().any(|prefix| name.starts_with(prefix));
        let mut arguments = self.invocation.arguments.clone();
        let given = arguments.len();
        if self.detail == Detail::Min {
            arguments.retain(|name, _| !is_value(name));
        }
        let is_all = arguments.len() == given;
        let mut request = json!({ "frontend": "dockerfile.v0", "args": arguments });
        if self.detail == Detail::Max {
            request["secrets"] = json!(needs_json(&asked.secrets));
            request["ssh"] = json!(needs_json(&asked.ssh));
        }
        let locals = sources.locals.iter();
        let locals: Vec<Value> = locals.map(|name| json!({ "name": name })).collect();
        if !locals.is_empty() {
            request["locals"] = json!(locals);
        }
        (request, is_all)
    }

    fn version_1(&self, fields: Fields) -> Value {
        let Invocation {
            id,
            builder_id,
            builder_version,
            builder_platform,
            config_source,
            started,
            finished,
            reproducibility,
            ..
        } = self.invocation;
        let mut config = json!({});
        if let Some((uri, digest)) = fields.config_uri {
            config = json!({ "uri": uri, "digest": digest });
        }
        config["path"] = json!(config_source.path);
        let mut internal = json!({ "builderPlatform": builder_platform });
        if let Some(steps) = fields.steps {
            internal["buildConfig"] = steps;
        }
        json!({
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": { "configSource": config, "request": fields.request },
                "internalParameters": internal,
                "resolvedDependencies": fields.materials,
            },
            "runDetails": {
                "builder": { "id": builder_id, "version": builder_version },
                "metadata": {
                    "invocationID": id,
                    "startedOn": started,
                    "finishedOn": finished,
                    "buildkit_metadata": fields.buildkit,
                    "buildkit_hermetic": fields.is_hermetic,
                    "buildkit_completeness": {
                        "request": fields.has_all_arguments,
                        "resolvedDependencies": fields.is_complete,
                    },
                    "buildkit_reproducible": *reproducibility == Reproducibility::Claimed,
                },
            },
        })
    }

    fn version_02(&self, fields: Fields) -> Value {
        let invocation = self.invocation;
        let mut config = json!({});
        if let Some((uri, digest)) = fields.config_uri {
            config = json!({ "uri": uri, "digest": digest });
        }
        config["entryPoint"] = json!(invocation.config_source.path);
        let mut predicate = json!({
            "builder": { "id": invocation.builder_id },
            "buildType": BUILD_TYPE_02,
            "materials": fields.materials,
            "invocation": {
                "configSource": config,
                "parameters": fields.request,
                "environment": { "platform": invocation.builder_platform },
            },
        });
        if let Some(steps) = fields.steps {
            predicate["buildConfig"] = steps;
        }
        predicate["metadata"] = json!({
            "buildInvocationID": invocation.id,
            "buildStartedOn": invocation.started,
            "buildFinishedOn": invocation.finished,
            "completeness": {
                "parameters": fields.has_all_arguments,
                "environment": true,
                "materials": fields.is_complete,
            },
            "reproducible": invocation.reproducibility == Reproducibility::Claimed,
            "https://mobyproject.org/buildkit@v1#metadata": fields.buildkit,
            "https://mobyproject.org/buildkit@v1#hermetic": fields.is_hermetic,
        });
        predicate
    }
}

/// What `buildx` puts of a predicate of version 0.2 into its metadata: with [`Detail::Min`] only what it was built from.
pub fn excerpt(mut predicate: Value, detail: Detail) -> Value {
    if let Value::Object(fields) = &mut predicate {
        if fields["builder"]["id"] == "" {
            fields.shift_remove("builder");
        }
        if detail == Detail::Min {
            fields.shift_remove("buildConfig");
            fields.shift_remove("metadata");
        }
    }
    predicate
}

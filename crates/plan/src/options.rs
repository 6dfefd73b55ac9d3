//! What the user asked for, beside the Dockerfile: `docker buildx build`'s flags as values.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use rbuild_dockerfile::Diagnostic;
use rbuild_image::Platform;

use crate::{Devices, GitSource, HttpSource, NetworkMode, Scan, SourcePolicies};

/// Everything besides the file that decides what is built.
#[derive(Debug, Clone)]
pub struct PlanOptions {
    /// `--target`: a stage's name; the last stage if absent.
    pub target: Option<String>,
    /// Which stages are looked at.
    pub scope: Scope,
    /// `--build-arg`, in the order given; the last of equal names wins.
    pub build_args: Vec<(String, String)>,
    /// `--label`: these win over LABEL.
    pub labels: Vec<(String, String)>,
    /// `--platform`; empty: the build platform, and the base image's config decides what the result says.
    pub platforms: Vec<Platform>,
    /// What the images of the build are to stand in.
    pub image_form: ImageForm,
    /// What this machine runs.
    pub build_platform: Platform,
    /// `--network`
    pub network: NetworkMode,
    /// `--userns`
    pub users: StepUsers,
    /// `--add-host`: (name, address).
    pub extra_hosts: Vec<(String, String)>,
    /// `--no-cache`, `--no-cache-filter`
    pub no_cache: NoCache,
    /// `--build-context`, by name.
    pub contexts: BTreeMap<String, NamedContext>,
    /// `--allow`
    pub entitlements: BTreeSet<Entitlement>,
    /// What may be taken from where. Images are judged by who resolves them.
    pub policies: SourcePolicies,
    /// What RUN --device can name, and `--allow device=`.
    pub devices: Devices,
    /// The host name that steps see unless `BUILDKIT_SANDBOX_HOSTNAME` says otherwise.
    pub hostname: String,
    /// `--shm-size` in bytes.
    pub shm_size: Option<u64>,
    /// `--ulimit`: (name, soft, hard).
    pub ulimits: Vec<(String, u64, u64)>,
    /// What the build context is.
    pub main_context: MainContext,
    /// Who looks for packages in what is built.
    pub scan: Scan,
    /// What `.dockerignore` leaves out, for the lint `CopyIgnoredFile`.
    pub ignored: Option<Ignored>,
    /// The parser's warnings: `# check=` decides about them together with the plan's own.
    pub syntax_warnings: Vec<Diagnostic>,
}

impl Default for PlanOptions {
    /// No flags, a directory as context, `linux/amd64`.
    fn default() -> Self {
        Self {
            target: None,
            scope: Scope::Target,
            build_args: Vec::new(),
            labels: Vec::new(),
            platforms: Vec::new(),
            image_form: ImageForm::Single,
            build_platform: Platform {
                os: "linux".to_owned(),
                architecture: "amd64".to_owned(),
                variant: String::new(),
                os_version: String::new(),
            },
            network: NetworkMode::Default,
            users: StepUsers::Caller,
            extra_hosts: Vec::new(),
            no_cache: NoCache::None,
            contexts: BTreeMap::new(),
            entitlements: BTreeSet::new(),
            devices: Devices::default(),
            policies: SourcePolicies::default(),
            hostname: DEFAULT_HOSTNAME.to_owned(),
            shm_size: None,
            ulimits: Vec::new(),
            main_context: MainContext::Directory,
            scan: Scan::None,
            ignored: None,
            syntax_warnings: Vec::new(),
        }
    }
}

/// The host name of steps if nobody asks for another; it is in every step's key.
pub const DEFAULT_HOSTNAME: &str = "buildkitsandbox";

/// Whether an index stands above the images of a build.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageForm {
    /// None does: there is one image.
    Single,
    /// One does, and names a platform for each image, even for a single one.
    Indexed,
}

/// Which stages are planned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// What the target needs.
    Target,
    /// Every stage, for `--check` without `--target`; the outputs are still the target's.
    AllStages,
}

/// Whose users and groups RUN's commands have. What they leave has the same owners in any case, so no key tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StepUsers {
    /// Those of whoever builds: of root the host's.
    #[default]
    Caller,
    /// Their own: each command has ids that nobody else has while it runs.
    Own,
}

/// `--no-cache` and `--no-cache-filter`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NoCache {
    /// Earlier results are used.
    None,
    /// No step's earlier result is used.
    All,
    /// Those of the steps of these stages are not.
    Stages(Vec<String>),
}

/// `--allow`
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entitlement {
    /// `network.host`
    NetworkHost,
    /// `security.insecure`
    SecurityInsecure,
    /// `device`: every device of the machine.
    Device,
}

impl fmt::Display for Entitlement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NetworkHost => "network.host",
            Self::SecurityInsecure => "security.insecure",
            Self::Device => "device",
        })
    }
}

/// The build context.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MainContext {
    /// A directory, all of which belongs to root.
    Directory,
    /// An archive that was unpacked into one, with its owners.
    Archive,
    /// A git repository.
    Git(GitSource),
    /// A file from the web that is no archive: the context holds just that file.
    Http(HttpSource),
    /// None: the Dockerfile came on standard input.
    Absent,
}

/// The file in a named context from the web, which holds nothing else.
pub const CONTEXT_FILE: &str = "context";

/// `--build-context NAME=…`
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NamedContext {
    /// A directory; the caller knows which by the name.
    Local,
    /// `docker-image://REFERENCE`
    Image(String),
    /// `oci-layout://PATH[:TAG][@DIGEST]`: the part behind `//`.
    OciLayout(String),
    /// A git URL.
    Git(GitSource),
    /// A file from the web.
    Http(HttpSource),
    /// `target:NAME`: a stage of the same file.
    Target(String),
}

/// What `.dockerignore` leaves out of the build context.
#[derive(Clone)]
pub struct Ignored {
    patterns: Vec<IgnorePattern>,
    is_ignored: Arc<dyn Fn(&str) -> bool + Send + Sync>,
}

/// A line of `.dockerignore`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IgnorePattern {
    /// The pattern, cleaned, without `!`.
    pub text: String,
    /// What becomes of what it matches.
    pub effect: IgnoreEffect,
}

impl IgnorePattern {
    /// A pattern and its effect.
    pub fn new(text: impl Into<String>, effect: IgnoreEffect) -> Self {
        let text = text.into();
        Self { text, effect }
    }
}

/// What a line of `.dockerignore` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IgnoreEffect {
    /// Leaves files out.
    Hides,
    /// `!`: takes files in again.
    Shows,
}

impl Ignored {
    /// The patterns in their order, and what they come to: whether a path (relative, without `./`) is left out.
    pub fn new(
        patterns: Vec<IgnorePattern>,
        is_ignored: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        Self {
            patterns,
            is_ignored: Arc::new(is_ignored),
        }
    }

    /// Whether `path` is left out of the context.
    pub fn is_ignored(&self, path: &str) -> bool {
        (self.is_ignored)(path)
    }

    pub(crate) fn patterns(&self) -> impl Iterator<Item = &IgnorePattern> {
        self.patterns.iter()
    }

    /// Whether one pattern is for everything there is.
    pub(crate) fn hides_everything(&self) -> bool {
        self.patterns().any(|pattern| {
            pattern.effect == IgnoreEffect::Hides
                && ["*", "**", "**/*"].contains(&pattern.text.as_str())
        })
    }
}

impl fmt::Debug for Ignored {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Ignored").field(&self.patterns).finish()
    }
}

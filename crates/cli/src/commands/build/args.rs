//! The flags of `rbuild build`, with the names and meanings of `docker buildx build`.

use std::path::PathBuf;

use clap::ArgAction;

// What was typed after `rbuild build`.
//
// As with `docker`, of a flag that is given twice and takes one value the last counts, and `--flag=false` switches off.
#[derive(Debug, Clone, clap::Args)]
#[command(args_override_self = true)]
#[expect(
    clippy::struct_excessive_bools,
    clippy::struct_field_names,
    reason = "each is a flag, called as docker calls it"
)]
pub(crate) struct Args {
    /// Directory, git URL, tar URL, or `-` for a Dockerfile or a tar on standard input
    #[arg(value_name = "CONTEXT")]
    pub(crate) context: String,
    /// Name of the image, may be given several times
    #[arg(short, long = "tag", value_name = "NAME[:TAG]")]
    pub(crate) tags: Vec<String>,
    /// Dockerfile [default: CONTEXT/Dockerfile]
    #[arg(short, long, value_name = "FILE")]
    pub(crate) file: Option<String>,
    /// Stage to build [default: the last]
    #[arg(long, value_name = "STAGE")]
    pub(crate) target: Option<String>,
    /// Value of an ARG; without `=V` it is taken from the environment
    #[arg(long = "build-arg", value_name = "K[=V]")]
    pub(crate) build_args: Vec<String>,
    /// Another context: directory, docker-image://REF, oci-layout://DIR, git URL, web URL, target:STAGE
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub(crate) build_contexts: Vec<String>,
    /// Modes of the contexts' files: exact, or git, which only knows 644 and 755 [default: git where CI is set, else exact]
    #[arg(long, value_name = "MODE", value_parser = ["exact", "git"])]
    pub(crate) context_mode: Option<String>,
    /// Say of each step that was not cached what was different from its last run
    #[arg(long)]
    pub(crate) explain: bool,
    /// Run every step again
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) no_cache: bool,
    /// Run the steps of these stages again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,
    /// Empty the cache mounts of this build before its first step
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) no_cache_mounts: bool,
    /// Keep a cache mount in this directory, which is made if it is missing
    #[arg(long = "cache-mount", value_name = "ID=PATH")]
    pub(crate) cache_mounts: Vec<String>,
    /// Run steps again whose results are older than this: 12h, 7d
    #[arg(long, value_name = "AGE")]
    pub(crate) cache_ttl: Option<String>,
    /// Cache of another machine to look into: REF, or type=registry|local|s3|azblob|gha,…
    #[arg(long = "cache-from", value_name = "SPEC")]
    pub(crate) cache_from: Vec<String>,
    /// Cache for other machines to write to: REF, or type=registry|local|inline|s3|azblob|gha,…
    #[arg(long = "cache-to", value_name = "SPEC")]
    pub(crate) cache_to: Vec<String>,
    /// Ask the registry for base images even if they are in the local store
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) pull: bool,
    /// Take base images, files and repositories as a lock file pins them, and pin the others in it [default: rbuild.lock beside
    /// the Dockerfile]
    #[arg(long, value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) lock: Option<String>,
    /// Like --lock, but fail where something is not pinned
    #[arg(long, conflicts_with = "update_lock")]
    pub(crate) locked: bool,
    /// Like --lock, but look up anew what this build uses, or what of it has NAME in its name
    #[arg(long, value_name = "NAME", num_args = 0..=1, require_equals = true, default_missing_value = "")]
    pub(crate) update_lock: Option<String>,
    /// Network of RUN: default, none, host, or the name of a network
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub(crate) network: String,
    /// Users of RUN's commands: host, or auto for ids that nobody else has, as root
    #[arg(
        long,
        value_name = "MODE",
        default_value = "",
        hide_default_value = true
    )]
    pub(crate) userns: String,
    /// Platform of the image, may be given several times
    #[arg(long = "platform", value_name = "OS/ARCH", value_delimiter = ',')]
    #[arg(env = "DOCKER_DEFAULT_PLATFORM", hide_env = true)]
    pub(crate) platforms: Vec<String>,
    /// Label of the image
    #[arg(long = "label", value_name = "K=V")]
    pub(crate) labels: Vec<String>,
    /// Secret for RUN --mount=type=secret: id=…[,src=FILE|,env=NAME]
    #[arg(long = "secret", value_name = "SPEC")]
    pub(crate) secrets: Vec<String>,
    /// SSH agent for RUN --mount=type=ssh: default|ID[=SOCKET|KEY[,KEY]]
    #[arg(long = "ssh", value_name = "SPEC")]
    pub(crate) ssh: Vec<String>,
    /// Line for /etc/hosts in RUN: HOST:IP
    #[arg(long = "add-host", value_name = "HOST:IP", value_delimiter = ',')]
    pub(crate) add_hosts: Vec<String>,
    /// Permit a privilege: network.host, security.insecure, device[=NAME]
    #[arg(long = "allow", value_name = "ENTITLEMENT", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Rules on which images, repositories and files may be used: a source policy of BuildKit's, as JSON
    #[arg(long = "source-policy-file", value_name = "FILE")]
    pub(crate) source_policy_files: Vec<PathBuf>,
    #[arg(short, long = "output", value_name = "SPEC")]
    #[arg(
        help = "Where the result goes, may be given several times: DIR for its files, - for a tar of them, or type=image|registry|oci|docker|local|tar|cacheonly,… with dest=, name=, push=, compression= and others of docker buildx build"
    )]
    pub(crate) outputs: Vec<String>,
    /// Annotate what is exported: [manifest|index|manifest-descriptor|index-descriptor[PLATFORM],…:]KEY=VALUE
    #[arg(long = "annotation", value_name = "ANNOTATION")]
    pub(crate) annotations: Vec<String>,
    #[arg(long = "attest", value_name = "SPEC")]
    #[arg(help = "Attest what was built, as BuildKit stores it: type=provenance,… or type=sbom,…")]
    pub(crate) attest: Vec<String>,
    /// Attest what the image was built from: true, or mode=min|max[,version=v1|v0.2][,builder-id=URI][,reproducible=true]…
    #[arg(long, value_name = "BOOL|SPEC")]
    pub(crate) provenance: Option<String>,
    /// Attest which packages the image has: true, or generator=IMAGE
    #[arg(long, value_name = "BOOL|SPEC")]
    pub(crate) sbom: Option<String>,
    /// Hand the image to the Docker engine
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) load: bool,
    /// Push the image to the registries that its names (-t) begin with, and keep none here
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) push: bool,
    /// One layer for all that the build adds to its base image
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) squash: bool,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write the digest of the image's manifest, or of its index, to a file
    #[arg(long, alias = "digestfile", value_name = "FILE")]
    pub(crate) digest_file: Option<PathBuf>,
    /// Write what was built to a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
    /// Write which files the build read, as a rule for make
    #[arg(long, value_name = "FILE")]
    pub(crate) depfile: Option<PathBuf>,
    /// Build again whenever a file changes that the build reads
    #[arg(long, conflicts_with_all = ["print_plan", "check"])]
    pub(crate) watch: bool,
    /// How progress is shown
    #[arg(
        long,
        value_name = "MODE",
        default_value = "auto",
        env = "BUILDKIT_PROGRESS"
    )]
    #[arg(value_parser = ["auto", "plain", "tty", "quiet", "none", "rawjson"])]
    pub(crate) progress: String,
    /// Show nothing but the image ID
    #[arg(short, long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) quiet: bool,
    /// How many steps run at once [default: the cores, at least 16]
    #[arg(short, long, value_name = "N")]
    pub(crate) jobs: Option<std::num::NonZeroUsize>,
    /// Size of /dev/shm in RUN
    #[arg(long, value_name = "BYTES")]
    pub(crate) shm_size: Option<String>,
    /// Resource limit in RUN: NAME=SOFT[:HARD]
    #[arg(long = "ulimit", value_name = "SPEC")]
    pub(crate) ulimits: Vec<String>,
    /// Print the plan and build nothing
    #[arg(long, value_name = "FORMAT", num_args = 0..=1, require_equals = true, default_missing_value = "dot")]
    #[arg(value_parser = ["dot", "json"])]
    pub(crate) print_plan: Option<String>,
    /// Only look: check, outline, targets or subrequests.describe, with `,format=json` as JSON
    #[arg(
        long,
        alias = "print",
        value_name = "METHOD",
        default_value = "build",
        hide_default_value = true
    )]
    pub(crate) call: String,
    /// Look for mistakes and build nothing: short for --call=check
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) check: bool,
    /// Write errors and warnings to standard output as well, for editors: one JSON object on each line
    #[arg(long, value_name = "FORMAT", default_value = "text", value_parser = ["text", "json"])]
    pub(crate) diagnostics: String,
    /// Show warnings with their places, and why RUN has the host's network where it has
    #[arg(short = 'D', long, value_name = "BOOL", num_args = 0..=1, require_equals = true)]
    #[arg(
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true
    )]
    #[arg(value_parser = boolean, action = ArgAction::Set)]
    pub(crate) debug: bool,
    /// Where `verify` wants the result
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) verify_layout: Option<PathBuf>,
    /// The copy of the context that `verify` made
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) verify_context: Option<String>,
    /// The store that lends its base images to the second build of `verify`
    #[arg(long, hide = true, value_name = "DIR")]
    pub(crate) verify_bases: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) unsupported: super::unsupported::Unsupported,
}

/// A boolean, with the words that docker takes for one.
pub(super) fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("it is true or false".to_owned()),
    }
}

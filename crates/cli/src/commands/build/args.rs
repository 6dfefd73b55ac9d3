//! The flags of `rbuild build`, with the names and meanings of `docker buildx build`.

use std::path::PathBuf;

/// What was typed after `rbuild build`.
#[derive(Debug, clap::Args)]
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
    /// Another context: directory, docker-image://REF, oci-layout://DIR, git URL, target:STAGE
    #[arg(long = "build-context", value_name = "NAME=SOURCE")]
    pub(crate) build_contexts: Vec<String>,
    /// Run every step again
    #[arg(long)]
    pub(crate) no_cache: bool,
    /// Run the steps of these stages again
    #[arg(long, value_name = "STAGE", value_delimiter = ',')]
    pub(crate) no_cache_filter: Vec<String>,
    /// Ask the registry for base images even if they are in the local store
    #[arg(long)]
    pub(crate) pull: bool,
    /// Network of RUN: default, none or host
    #[arg(long, value_name = "MODE", default_value = "default")]
    pub(crate) network: String,
    /// Platform of the image, may be given several times
    #[arg(long = "platform", value_name = "OS/ARCH", value_delimiter = ',')]
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
    #[arg(long = "add-host", value_name = "HOST:IP")]
    pub(crate) add_hosts: Vec<String>,
    /// Permit a privilege: network.host, security.insecure, device[=NAME]
    #[arg(long = "allow", value_name = "ENTITLEMENT", value_delimiter = ',')]
    pub(crate) allow: Vec<String>,
    /// Where the result goes: type=image|registry|oci|docker|local|tar|cacheonly,…
    #[arg(short, long = "output", value_name = "SPEC")]
    pub(crate) outputs: Vec<String>,
    /// Hand the image to the Docker engine
    #[arg(long)]
    pub(crate) load: bool,
    /// Push the image to its registry
    #[arg(long)]
    pub(crate) push: bool,
    /// Write the image ID to a file
    #[arg(long, value_name = "FILE")]
    pub(crate) iidfile: Option<PathBuf>,
    /// Write what was built to a JSON file
    #[arg(long, value_name = "FILE")]
    pub(crate) metadata_file: Option<PathBuf>,
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
    #[arg(short, long)]
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
    /// Look for mistakes and build nothing
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) unsupported: super::unsupported::Unsupported,
}

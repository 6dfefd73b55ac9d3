//! What `run` and `create` have in common: the container that is asked for.

use std::path::PathBuf;

use anyhow::bail;

use super::limits::LimitArgs;
use super::request::PullPolicy;
use super::unsupported::OfRun;
use crate::refused::{ContentTrust, Refused};

// The container that is asked for.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as they are typed")]
pub(crate) struct ContainerArgs {
    /// Let the container read standard input
    #[arg(short, long)]
    pub(in crate::commands) interactive: bool,
    /// Give the container a terminal
    #[arg(short, long)]
    pub(in crate::commands) tty: bool,
    /// Remove the container when it has ended
    #[arg(long)]
    pub(in crate::commands) rm: bool,
    /// The container's name
    #[arg(long)]
    pub(in crate::commands) name: Option<String>,
    /// Environment variable: NAME=VALUE, or NAME to pass one on
    #[arg(short, long = "env", value_name = "VARIABLE")]
    pub(in crate::commands) env: Vec<String>,
    /// File of environment variables
    #[arg(long = "env-file", value_name = "FILE")]
    pub(in crate::commands) env_files: Vec<PathBuf>,
    /// Mount: /HOST:/CONTAINER[:ro]
    #[arg(short, long = "volume", value_name = "VOLUME")]
    pub(in crate::commands) volumes: Vec<String>,
    /// Mount what another container mounts: CONTAINER[:ro]
    #[arg(long, value_name = "CONTAINER")]
    pub(in crate::commands) volumes_from: Vec<String>,
    /// File system in memory: /CONTAINER[:size=64m,mode=1777]
    #[arg(long, value_name = "TMPFS")]
    pub(in crate::commands) tmpfs: Vec<String>,
    /// Working directory
    #[arg(short, long, value_name = "DIR")]
    pub(in crate::commands) workdir: Option<String>,
    /// User: NAME|UID[:GROUP|GID]
    #[arg(short, long)]
    pub(in crate::commands) user: Option<String>,
    /// What runs instead of the image's ENTRYPOINT
    #[arg(long, value_name = "PROGRAM")]
    pub(in crate::commands) entrypoint: Option<String>,
    /// Host name in the container
    #[arg(long = "hostname", short = 'h', value_name = "NAME")]
    pub(in crate::commands) hostname: Option<String>,
    /// Network: the name of one, bridge, host, none, or container:NAME
    #[arg(long = "network", alias = "net", value_name = "NETWORK")]
    pub(in crate::commands) networks: Vec<String>,
    /// Further name of the container on its networks
    #[arg(long = "network-alias", alias = "net-alias", value_name = "NAME")]
    pub(in crate::commands) network_aliases: Vec<String>,
    /// The container's address on its network
    #[arg(long, value_name = "ADDRESS")]
    pub(in crate::commands) ip: Option<std::net::Ipv4Addr>,
    /// Port of the host that leads to one of the container: [[ADDRESS:]HOST:]CONTAINER[/udp]
    #[arg(short, long = "publish", value_name = "PORT")]
    pub(in crate::commands) publish: Vec<String>,
    /// Publish all ports that the image exposes, on free ports of the host
    #[arg(short = 'P', long)]
    pub(in crate::commands) publish_all: bool,
    /// Port that the container exposes
    #[arg(long, value_name = "PORT")]
    pub(in crate::commands) expose: Vec<String>,
    /// Nothing of the image can be changed
    #[arg(long)]
    pub(in crate::commands) read_only: bool,
    /// Line for /etc/hosts: NAME:ADDRESS
    #[arg(long = "add-host", value_name = "HOST")]
    pub(in crate::commands) add_hosts: Vec<String>,
    /// Name server
    #[arg(long = "dns", value_name = "ADDRESS")]
    pub(in crate::commands) dns: Vec<String>,
    /// Domain in which short names are looked up
    #[arg(long = "dns-search", value_name = "DOMAIN")]
    pub(in crate::commands) dns_search: Vec<String>,
    /// Option for /etc/resolv.conf
    #[arg(long = "dns-option", alias = "dns-opt", value_name = "OPTION")]
    pub(in crate::commands) dns_options: Vec<String>,
    /// Platform of the image, as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(in crate::commands) platform: Option<String>,
    /// When to pull the image
    #[arg(long, value_enum, default_value_t = PullPolicy::Missing)]
    pub(in crate::commands) pull: PullPolicy,
    /// No lines about pulling
    #[arg(short, long)]
    pub(in crate::commands) quiet: bool,
    /// All capabilities, nothing masked, no system call filter
    #[arg(long)]
    pub(in crate::commands) privileged: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "BYTES")]
    pub(in crate::commands) shm_size: Option<String>,
    /// Resource limit: NAME=SOFT[:HARD]
    #[arg(long = "ulimit", value_name = "LIMIT")]
    pub(in crate::commands) ulimits: Vec<String>,
    /// Label of the container: NAME[=VALUE]
    #[arg(short, long = "label", value_name = "LABEL")]
    pub(in crate::commands) labels: Vec<String>,
    /// File of labels, one in each line
    #[arg(long = "label-file", value_name = "FILE")]
    pub(in crate::commands) label_files: Vec<PathBuf>,
    /// Signal that asks the container to end
    #[arg(long, value_name = "SIGNAL")]
    pub(in crate::commands) stop_signal: Option<String>,
    /// Seconds that the container has to end before it is killed
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub(in crate::commands) stop_timeout: Option<i64>,
    /// When it is started again after its end: no, always, unless-stopped, on-failure[:N]
    #[arg(long, value_name = "POLICY", default_value = "no")]
    pub(in crate::commands) restart: String,
    /// Mount: type=bind|volume|tmpfs,source=…,target=…[,readonly]
    #[arg(long = "mount", value_name = "MOUNT")]
    pub(in crate::commands) mounts: Vec<String>,
    /// Device of the host: /dev/HOST[:/dev/CONTAINER]
    #[arg(long = "device", value_name = "DEVICE")]
    pub(in crate::commands) devices: Vec<String>,
    #[command(flatten)]
    pub(in crate::commands) limits: LimitArgs,
    /// How willingly the kernel ends it when memory runs out, from -1000 to 1000
    #[arg(long, value_name = "NUMBER", allow_negative_numbers = true)]
    #[arg(value_parser = clap::value_parser!(i16).range(-1000..=1000))]
    pub(in crate::commands) oom_score_adj: Option<i16>,
    /// Capability that root has in it besides the usual ones
    #[arg(long = "cap-add", value_name = "CAPABILITY")]
    pub(in crate::commands) cap_add: Vec<String>,
    /// Capability that root does not have in it
    #[arg(long = "cap-drop", value_name = "CAPABILITY")]
    pub(in crate::commands) cap_drop: Vec<String>,
    /// Further group, by number
    #[arg(long = "group-add", value_name = "GID")]
    pub(in crate::commands) groups: Vec<u32>,
    /// no-new-privileges, seccomp=unconfined
    #[arg(long = "security-opt", value_name = "OPTION")]
    pub(in crate::commands) security_options: Vec<String>,
    /// An init that passes signals on and reaps what the command leaves
    #[arg(long)]
    pub(in crate::commands) init: bool,
    /// Kernel parameter of the container's own: NAME=VALUE
    #[arg(long = "sysctl", value_name = "PARAMETER")]
    pub(in crate::commands) sysctls: Vec<String>,
    /// Whose processes it sees: private, host or container:NAME
    #[arg(
        long,
        value_name = "MODE",
        default_value = "private",
        hide_default_value = true
    )]
    pub(in crate::commands) pid: String,
    /// With whom it shares memory: private, shareable, none, host or container:NAME
    #[arg(
        long,
        value_name = "MODE",
        default_value = "private",
        hide_default_value = true
    )]
    pub(in crate::commands) ipc: String,
    /// Whose host name it has: private or host
    #[arg(
        long,
        value_name = "MODE",
        default_value = "private",
        hide_default_value = true
    )]
    pub(in crate::commands) uts: String,
    /// Whose control groups it sees: private or host
    #[arg(
        long,
        value_name = "MODE",
        default_value = "private",
        hide_default_value = true
    )]
    pub(in crate::commands) cgroupns: String,
    /// Whose users it has: host, or auto for ids that nobody else has
    #[arg(
        long,
        value_name = "MODE",
        default_value = "",
        hide_default_value = true
    )]
    pub(in crate::commands) userns: String,
    /// Command that tells by its status whether the container does its work
    #[arg(long, value_name = "COMMAND")]
    pub(in crate::commands) health_cmd: Option<String>,
    /// Time between two runs of it (30s)
    #[arg(long, value_name = "DURATION")]
    pub(in crate::commands) health_interval: Option<String>,
    /// Time that a run may take (30s)
    #[arg(long, value_name = "DURATION")]
    pub(in crate::commands) health_timeout: Option<String>,
    /// Time after the start in which failures do not count
    #[arg(long, value_name = "DURATION")]
    pub(in crate::commands) health_start_period: Option<String>,
    /// Time between two runs in that period (5s)
    #[arg(long, value_name = "DURATION")]
    pub(in crate::commands) health_start_interval: Option<String>,
    /// Failures in a row that make the container unhealthy (3)
    #[arg(long, value_name = "NUMBER")]
    pub(in crate::commands) health_retries: Option<u32>,
    /// Leave the image's HEALTHCHECK alone
    #[arg(long, conflicts_with_all = ["health_cmd", "health_interval", "health_timeout", "health_start_period", "health_start_interval", "health_retries"])]
    pub(in crate::commands) no_healthcheck: bool,
    /// What becomes of what it writes: json-file keeps it for `logs`, none does not
    #[arg(long, value_name = "DRIVER", default_value = "json-file")]
    pub(in crate::commands) log_driver: String,
    /// How much of the log is kept: max-size=16m, max-file=3
    #[arg(long = "log-opt", value_name = "OPTION")]
    pub(in crate::commands) log_options: Vec<String>,
    #[command(flatten)]
    content_trust: ContentTrust,
    /// File that the container's ID is written to
    #[arg(long, value_name = "FILE")]
    pub(in crate::commands) cidfile: Option<PathBuf>,
    /// The image, by name or ID, and what runs instead of its CMD
    // One list: the options after the image are not ours, whatever they look like.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    #[arg(value_name = "IMAGE [COMMAND] [ARG]")]
    pub(in crate::commands) words: Vec<String>,
    /// Print help
    #[arg(long, action = clap::ArgAction::Help)]
    pub(in crate::commands) help: Option<bool>,
    #[command(flatten)]
    refused: Refused<OfRun>,
}

impl ContainerArgs {
    /// The image, as it was named.
    pub(in crate::commands) fn image(&self) -> &str {
        self.words.first().map_or("", String::as_str)
    }

    /// What stands after it.
    pub(in crate::commands) fn command(&self) -> &[String] {
        self.words.get(1..).unwrap_or_default()
    }

    /// Refuses what we do not know, which was taken for the image.
    pub(in crate::commands) fn check(&self) -> anyhow::Result<()> {
        if self.image().starts_with('-') {
            bail!("unknown flag: {} (see rbuild run --help)", self.image());
        }
        Ok(())
    }
}

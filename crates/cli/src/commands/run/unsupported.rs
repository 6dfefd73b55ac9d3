//! Options of `docker run` that are refused by name: ignoring them would run something else than was asked for.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// An option that is refused.
struct Refused {
    long: &'static str,
    value: Takes,
    why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

const LIMITS: &str = "this limit is not supported";
const ADDRESSES: &str =
    "private networks have IPv4 addresses, from which those of interfaces follow";
const LINKS: &str = "containers of one network (rbuild network create) know each other by name";
const DEVICES: &str = "devices can be given whole (--device), without rules for their use";
const DRIVERS: &str = "volumes are directories of this machine";
const WINDOWS: &str = "it is for Windows";

const fn refused(long: &'static str, why: &'static str) -> Refused {
    Refused {
        long,
        value: Takes::Value,
        why,
    }
}

const fn flag(long: &'static str, why: &'static str) -> Refused {
    Refused {
        long,
        value: Takes::Nothing,
        why,
    }
}

const REFUSED: &[Refused] = &[
    refused(
        "annotation",
        "no runtime reads annotations: --label is kept with the container",
    ),
    refused("blkio-weight", LIMITS),
    refused("blkio-weight-device", LIMITS),
    refused(
        "cgroup-parent",
        "containers have groups of their own below rbuild",
    ),
    refused("cpu-count", WINDOWS),
    refused("cpu-percent", WINDOWS),
    refused("cpu-rt-period", LIMITS),
    refused("cpu-rt-runtime", LIMITS),
    refused("device-cgroup-rule", DEVICES),
    refused("device-read-bps", LIMITS),
    refused("device-read-iops", LIMITS),
    refused("device-write-bps", LIMITS),
    refused("device-write-iops", LIMITS),
    refused("domainname", "give the whole name with --hostname"),
    refused("gpus", "devices are given by their names, with --device"),
    refused("io-maxbandwidth", WINDOWS),
    refused("io-maxiops", WINDOWS),
    refused("ip6", ADDRESSES),
    refused("isolation", WINDOWS),
    refused("kernel-memory", LIMITS),
    refused("link", LINKS),
    refused("link-local-ip", ADDRESSES),
    refused("mac-address", ADDRESSES),
    refused("memory-swappiness", LIMITS),
    flag(
        "oom-kill-disable",
        "--oom-score-adj says how willingly it is ended when memory runs out",
    ),
    refused("runtime", "there is one runtime, and it is rbuild"),
    refused(
        "storage-opt",
        "a container may use the disk that its store is on",
    ),
    flag(
        "use-api-socket",
        "there is no engine, and so no socket of one",
    ),
    refused("volume-driver", DRIVERS),
];

/// Those of the refused options that were typed.
#[derive(Debug, Default)]
pub(crate) struct Unsupported(Vec<String>);

impl Unsupported {
    /// Fails if there are any.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        anyhow::bail!("{}", self.0.join("; "))
    }
}

impl clap::Args for Unsupported {
    fn augment_args(command: Command) -> Command {
        REFUSED.iter().fold(command, |command, refused| {
            let action = match refused.value {
                Takes::Nothing => ArgAction::Count,
                Takes::Value => ArgAction::Append,
            };
            let arg = Arg::new(refused.long).long(refused.long).action(action);
            let values = refused.value == Takes::Value;
            command.arg(arg.hide(true).allow_hyphen_values(values))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Unsupported {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = REFUSED.iter().filter(|refused| match refused.value {
            Takes::Nothing => matches.get_count(refused.long) > 0,
            Takes::Value => matches.contains_id(refused.long),
        });
        let words = typed.map(|refused| format!("--{} is refused: {}", refused.long, refused.why));
        Ok(Self(words.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::args::{Cli, Command as Verb};

    /// All options of `docker run`, as of version 28 of its client.
    const DOCKERS: &str = "add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent \
        cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus \
        cpuset-cpus cpuset-mems detach detach-keys device device-cgroup-rule device-read-bps device-read-iops \
        device-write-bps device-write-iops disable-content-trust dns dns-option dns-search domainname entrypoint env \
        env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval \
        health-start-period health-timeout help hostname init interactive io-maxbandwidth io-maxiops ip ip6 ipc \
        isolation kernel-memory label label-file link link-local-ip log-driver log-opt mac-address memory \
        memory-reservation memory-swap memory-swappiness mount name network network-alias no-healthcheck \
        oom-kill-disable oom-score-adj pid pids-limit platform privileged publish publish-all pull quiet read-only \
        restart rm runtime security-opt shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit \
        use-api-socket user userns uts volume volume-driver volumes-from workdir";

    #[test]
    fn each_option_of_dockers_is_known_and_what_is_not_supported_is_refused_by_name() {
        use clap::CommandFactory as _;
        let mut cli = Cli::command();
        cli.build();
        let run = cli.find_subcommand("run").expect("there is run");
        let known = |long: &str| run.get_arguments().any(|arg| arg.get_long() == Some(long));
        let unknown: Vec<&str> = DOCKERS
            .split_whitespace()
            .filter(|long| !known(long))
            .collect();
        assert_eq!(unknown, [""; 0]);
        for refused in REFUSED {
            let option = format!("--{}", refused.long);
            let mut words = vec!["rbuild", "run", &option];
            words.extend((refused.value == Takes::Value).then_some("-1"));
            words.push("busybox");
            let Verb::Run(args) = Cli::try_parse_from(words).expect("well-formed").command else {
                panic!("run was typed");
            };
            let told = args
                .container
                .check()
                .expect_err("it is refused")
                .to_string();
            assert_eq!(told, format!("{option} is refused: {}", refused.why));
        }
    }
}

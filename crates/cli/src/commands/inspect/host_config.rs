//! What a container was asked to have of the host: `HostConfig`.

use rbuild_container::{
    Cleanup, Exposed, FirstProcess, IpcMode, Naming, NetworkMode, Options, PidMode, Privileges,
    RestartPolicy, RootAccess, Security, Sharing, StoredConfig, SystemCalls, UserMode,
};
use serde_json::{Map, Value, json};

use crate::commands::network;

/// All of it.
pub(super) fn host_config(config: &StoredConfig) -> Value {
    let options = &config.options;
    let binds = options.volumes.iter().filter_map(|volume| {
        let source = match (&volume.source, volume.naming) {
            (Some(path), _) => path.display().to_string(),
            (None, Naming::Given) => volume.name.clone()?,
            (None, Naming::MadeUp) => return None,
        };
        let mode = match volume.access {
            RootAccess::ReadOnly => ":ro",
            RootAccess::ReadWrite => "",
        };
        Some(format!("{source}:{}{mode}", volume.target.display()))
    });
    let hosts = options.add_hosts.iter();
    json!({
        "Binds": binds.collect::<Vec<_>>(),
        "NetworkMode": network_mode(&options.network, options),
        "PortBindings": network::bindings(&options.ports),
        "PidMode": pid_mode(&options.pid),
        "IpcMode": ipc_mode(&options.ipc),
        "UTSMode": host_or_nothing(options.uts),
        "CgroupnsMode": if options.cgroupns == Sharing::Host { "host" } else { "private" },
        "UsernsMode": if options.userns == UserMode::Auto { "auto" } else { "" },
        "PublishAllPorts": options.exposed == Exposed::Published,
        "AutoRemove": options.cleanup == Cleanup::Remove,
        "Privileged": options.security == Security::Privileged,
        "SecurityOpt": security_options(options),
        "Init": options.first == FirstProcess::Init,
        "Sysctls": options.sysctls.iter().map(|one| (one.name.clone(), json!(one.value))).collect::<Map<_, _>>(),
        "RestartPolicy": restart_policy(options.restart),
        "CapAdd": options.cap_add,
        "CapDrop": options.cap_drop,
        "Memory": options.limits.memory.unwrap_or_default(),
        "NanoCpus": nano_cpus(options.limits.cpus.as_deref()),
        "CpuShares": options.limits.cpu_shares.unwrap_or_default(),
        "CpusetCpus": options.limits.cpuset_cpus.as_deref().unwrap_or_default(),
        "PidsLimit": options.limits.pids,
        "Dns": options.dns,
        "LogConfig": { "Type": "json-file", "Config": {} },
        "ReadonlyRootfs": options.root_access == RootAccess::ReadOnly,
        "ShmSize": options.shm_bytes,
        "ExtraHosts": hosts.map(|host| format!("{}:{}", host.name, host.address)).collect::<Vec<_>>(),
        "Ulimits": options.ulimits.iter().map(|limit| json!({
            "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard,
        })).collect::<Vec<_>>(),
    })
}

/// As they are given with `--security-opt`.
fn security_options(options: &Options) -> Vec<String> {
    let denied = options.new_privileges == Privileges::Denied;
    let unfiltered = options.system_calls == SystemCalls::Unconfined;
    let profile = options.apparmor.as_ref();
    [
        denied.then(|| "no-new-privileges".to_owned()),
        unfiltered.then(|| "seccomp=unconfined".to_owned()),
        profile.map(|name| format!("apparmor={name}")),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// What is the container's own is not named, as in docker's.
fn pid_mode(mode: &PidMode) -> String {
    match mode {
        PidMode::Private => String::new(),
        PidMode::Host => "host".to_owned(),
        PidMode::Container(name) => format!("container:{name}"),
    }
}

fn ipc_mode(mode: &IpcMode) -> String {
    match mode {
        IpcMode::Private => "private".to_owned(),
        IpcMode::Shareable => "shareable".to_owned(),
        IpcMode::None => "none".to_owned(),
        IpcMode::Host => "host".to_owned(),
        IpcMode::Container(name) => format!("container:{name}"),
    }
}

fn host_or_nothing(sharing: Sharing) -> &'static str {
    match sharing {
        Sharing::Private => "",
        Sharing::Host => "host",
    }
}

fn restart_policy(policy: RestartPolicy) -> Value {
    let (name, most) = match policy {
        RestartPolicy::No => ("no", 0),
        RestartPolicy::Always => ("always", 0),
        RestartPolicy::UnlessStopped => ("unless-stopped", 0),
        RestartPolicy::OnFailure(most) => ("on-failure", most),
    };
    json!({ "Name": name, "MaximumRetryCount": most })
}

/// `1.5` processors in the unit of docker's API.
fn nano_cpus(cpus: Option<&str>) -> u64 {
    let number = cpus.and_then(|text| text.parse::<f64>().ok());
    (number.unwrap_or_default() * 1e9).round() as u64
}

/// The network of a container, as docker names it.
pub(in crate::commands) fn network_mode(mode: &NetworkMode, options: &Options) -> String {
    match mode {
        NetworkMode::None => "none".to_owned(),
        NetworkMode::Host => "host".to_owned(),
        NetworkMode::Container(name) => format!("container:{name}"),
        NetworkMode::Private | NetworkMode::Default => {
            let first = options.networks.first();
            first.map_or_else(String::new, |one| one.network.clone())
        }
    }
}

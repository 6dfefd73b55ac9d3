//! A container, as docker tells it.

use std::time::SystemTime;

use rbuild_container::{
    Condition, ContainerId, Health, RootAccess, StoredConfig, Volume, apparmor_profile, changes_of,
    config_as_it_is, health, layer_directories, log_file, volume,
};
use rbuild_store::{Container, ContainerState, Store};
use serde_json::{Value, json};

use super::config::own_config;
use super::host_config::host_config;
use super::{Detail, NEVER};
use crate::commands::several::worded;
use crate::commands::{documents, network, ps};

/// All that is known of it.
pub(super) fn describe(
    store: &Store,
    container: &Container,
    detail: Detail,
) -> anyhow::Result<Value> {
    let id = ContainerId::from_store(&container.id);
    let config = config_as_it_is(store, container);
    let line = config
        .as_ref()
        .and_then(|config| rbuild_container::command_line(&config.options, &config.image).ok())
        .unwrap_or_default();
    let image = match &container.image {
        Some(digest) => store.image_by_digest(digest)?.map(|image| image.id),
        None => None,
    };
    let (path, arguments) = match line.split_first() {
        Some((path, arguments)) => (path.as_str(), arguments),
        None => ("", &[][..]),
    };
    let mut value = json!({
        "Id": container.id,
        "Created": documents::rfc3339(container.created),
        "Path": path,
        "Args": arguments,
        "State": state(store, container)?,
        "Image": image.map_or_else(String::new, |id| id.to_string()),
        "Name": format!("/{}", container.name),
        "RestartCount": restarts(container),
        "Driver": "overlay",
        "Platform": "linux",
        "AppArmorProfile": config.as_ref().map_or_else(String::new, |config| apparmor_profile(&config.options)),
        "HostConfig": config.as_ref().map(host_config),
        "NetworkSettings": config.as_ref().map(|config| network::settings(store, container, config)),
        "Mounts": config.as_ref().map(|config| mounts(store, config)).transpose()?,
        "Config": config.as_ref().map(|config| own_config(&id, container, config)).transpose()?,
    });
    value["LogPath"] = json!(log_file(store, container).unwrap_or_default());
    for made_inside in ["ResolvConfPath", "HostnamePath", "HostsPath"] {
        // They are written in the container's own namespace: the host has no such files.
        value[made_inside] = json!("");
    }
    value["GraphDriver"] = graph_driver(store, container);
    if detail == Detail::Sizes {
        let (own, all) = ps::sizes(store, container)?;
        value["SizeRw"] = json!(own);
        value["SizeRootFs"] = json!(all);
    }
    Ok(value)
}

/// Where its files are on the host. The merged ones are only seen from inside.
fn graph_driver(store: &Store, container: &Container) -> Value {
    let upper = changes_of(store, container);
    // Of a layer that is lost there is no directory to be told.
    let layers = layer_directories(store, container).unwrap_or_default();
    let lower: Vec<String> = layers
        .iter()
        .rev()
        .map(|layer| layer.display().to_string())
        .collect();
    json!({
        "Name": "overlay",
        "Data": {
            "LowerDir": lower.join(":"),
            "MergedDir": "",
            "UpperDir": upper.diff,
            "WorkDir": upper.work,
        },
    })
}

fn state(store: &Store, container: &Container) -> anyhow::Result<Value> {
    let condition = Condition::of(container);
    let end = condition.end();
    let since = match &condition {
        Condition::Running { since, .. } | Condition::Paused { since, .. } => Some(*since),
        _ => end.and_then(|end| end.since),
    };
    let paused = matches!(condition, Condition::Paused { .. });
    let seen = end.filter(|_| !matches!(condition, Condition::Lost(_)));
    let time = |time: Option<SystemTime>| time.map_or_else(|| NEVER.to_owned(), documents::rfc3339);
    let mut state = json!({
        "Status": condition.word(),
        "Running": condition.is_active(),
        "Paused": paused,
        "Restarting": matches!(condition, Condition::Restarting(_)),
        "OOMKilled": end.is_some_and(|end| end.out_of_memory),
        "Dead": false,
        "Pid": condition.pid().unwrap_or_default(),
        "ExitCode": end.map_or(0, |end| end.code),
        "Error": end.map_or("", |end| end.trouble.as_str()),
        "StartedAt": time(since),
        "FinishedAt": time(seen.map(|end| end.at)),
    });
    if let Some(health) = health(store, container)? {
        state["Health"] = described(&health);
    }
    Ok(state)
}

fn described(health: &Health) -> Value {
    let log = health.log.iter().map(|record| {
        json!({
            "Start": documents::rfc3339(record.start),
            "End": documents::rfc3339(record.end),
            "ExitCode": record.exit_code,
            "Output": record.output,
        })
    });
    json!({
        "Status": health.status.word(),
        "FailingStreak": health.failing_streak,
        "Log": log.collect::<Vec<_>>(),
    })
}

/// How often its policy has started it again.
fn restarts(container: &Container) -> u32 {
    match &container.state {
        ContainerState::Running { restarts, .. } | ContainerState::Paused { restarts, .. } => {
            *restarts
        }
        ContainerState::Restarting { end, .. } | ContainerState::Exited { end } => end.restarts,
        _ => 0,
    }
}

fn mounts(store: &Store, config: &StoredConfig) -> anyhow::Result<Value> {
    let volumes = config.options.volumes.iter();
    let volumes = volumes.map(|one| mount(store, one));
    let tmpfs = config.options.tmpfs.iter().map(|tmpfs| {
        Ok(json!({
            "Type": "tmpfs",
            "Source": "",
            "Destination": tmpfs.target,
            "Mode": "",
            "RW": tmpfs.access == RootAccess::ReadWrite,
            "Propagation": "",
        }))
    });
    volumes.chain(tmpfs).collect()
}

fn mount(store: &Store, mounted: &Volume) -> anyhow::Result<Value> {
    let writable = mounted.access == RootAccess::ReadWrite;
    if let Some(source) = &mounted.source {
        return Ok(json!({
            "Type": "bind",
            "Source": source,
            "Destination": mounted.target,
            "Mode": if writable { "" } else { "ro" },
            "RW": writable,
            "Propagation": "rprivate",
        }));
    }
    let name = mounted.name.as_deref().unwrap_or_default();
    let known = volume(store, name).map_err(worded)?;
    Ok(json!({
        "Type": "volume",
        "Name": name,
        "Source": known.map(|known| known.data),
        "Destination": mounted.target,
        "Driver": "local",
        "Mode": "",
        "RW": writable,
        "Propagation": "",
    }))
}

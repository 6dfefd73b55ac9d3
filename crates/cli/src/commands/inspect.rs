//! `rbuild inspect`: all that is known of images and containers, in docker's words.

use std::process::ExitCode;
use std::time::SystemTime;

use rbuild_container::{
    Cleanup, Condition, ContainerId, Exposed, FirstProcess, Health, IpcMode, NetworkMode, Options,
    PidMode, RestartPolicy, RootAccess, Security, Sharing, StoredConfig, UserMode, config_as_it_is,
    health, healthcheck,
};
use rbuild_image::{Reference, RuntimeConfig};
use rbuild_store::{Container, ContainerState, ImageOrigin, Store, StoredImage};
use serde_json::{Map, Value, json};

use super::format::Format;
use super::{documents, lookup, network, volume};
use crate::app::App;
use crate::render;

/// A time that never was, as docker writes it.
const NEVER: &str = "0001-01-01T00:00:00Z";

// What was typed after `rbuild inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    named: Named,
    /// Only objects of this kind
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,
}

// What is to be shown, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Names or IDs
    #[arg(required = true)]
    names: Vec<String>,
    /// json, or a template such as '{{.Config.User}}' or '{{json .RootFS}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What can be inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// An image.
    Image,
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// Prints what was found, and fails for what was not.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    run_kind(app, &args.named, args.kind)
}

/// As [`run`], for objects of one kind where `kind` says so.
pub(crate) fn run_kind(app: &App, args: &Named, kind: Option<Kind>) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in &args.names {
        match object(app, name, kind)? {
            Some(value) => found.push(value),
            None => missing.push(name),
        }
    }
    render::out(&match format {
        Some(format) => format.render(&found)?,
        None => format!("{}\n", indented(&Value::Array(found))?),
    })?;
    let Some(first) = missing.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let kind = match kind {
        Some(Kind::Container) => "container",
        Some(Kind::Image) => "image",
        Some(Kind::Network) => "network",
        Some(Kind::Volume) => "volume",
        None => "object",
    };
    let hint = lookup::missing(app.store()?, first)?.to_string();
    let hint = hint.find(" (").map_or("", |at| &hint[at..]);
    let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
    anyhow::bail!("No such {kind}: {}{hint}", names.join(", "))
}

/// docker's indentation: four blanks.
pub(super) fn indented(value: &Value) -> anyhow::Result<String> {
    use serde::Serialize as _;
    let mut text = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, form))?;
    Ok(String::from_utf8(text)?)
}

/// A container by that name, else an image, a network, or a volume.
fn object(app: &App, name: &str, kind: Option<Kind>) -> anyhow::Result<Option<Value>> {
    let store = app.store()?;
    let may_be = |one| kind.is_none_or(|kind| kind == one);
    if may_be(Kind::Container)
        && let Some(container) = store.container(name)?
    {
        return Ok(Some(describe_container(store, &container)?));
    }
    let image = if may_be(Kind::Image) {
        lookup::find(store, name)
    } else {
        Ok(None)
    };
    if let Ok(Some(found)) = &image {
        return Ok(Some(describe_image(app, &found.image)?));
    }
    if may_be(Kind::Network)
        && let Some(value) = network::find(app, name)?
    {
        return Ok(Some(value));
    }
    if may_be(Kind::Volume)
        && let Some(value) = volume::find(app, name)?
    {
        return Ok(Some(value));
    }
    // What is no image's name may be another object's.
    image.map(|_| None)
}

fn describe_image(app: &App, image: &StoredImage) -> anyhow::Result<Value> {
    let store = app.store()?;
    let resolved = documents::any_platform(app, image)?;
    let size: u64 = documents::layer_sizes(store, &resolved)?.iter().sum();
    let config = &resolved.config;
    let tags = image.names.iter().filter(|name| name.tag().is_some());
    let tags: Vec<String> = tags.map(Reference::familiar).collect();
    let comment = config
        .history
        .last()
        .map_or("", |entry| entry.comment.as_str());
    let mut value = json!({
        "Id": image.id.to_string(),
        "RepoTags": tags,
        "RepoDigests": repository_digests(image),
        "Parent": "",
        "Comment": comment,
        "Created": config.created.as_deref().unwrap_or(NEVER),
        "DockerVersion": "",
        "Author": config.author,
        "Config": runtime_config(&config.config)?,
        "Architecture": config.architecture,
    });
    if !config.variant.is_empty() {
        value["Variant"] = json!(config.variant);
    }
    value["Os"] = json!(config.os);
    value["Size"] = json!(size);
    value["RootFS"] = json!({
        "Type": config.rootfs.kind,
        "Layers": config.rootfs.diff_ids,
    });
    value["Metadata"] = json!({ "LastTagTime": documents::rfc3339(image.stored) });
    value["Descriptor"] = serde_json::to_value(&image.descriptor)?;
    Ok(value)
}

/// `debian@sha256:…`, of each repository that the image was pulled from.
fn repository_digests(image: &StoredImage) -> Vec<String> {
    let mut names: Vec<&Reference> = image.names.iter().collect();
    if let ImageOrigin::Registry(origin) = &image.origin {
        names.push(origin);
    }
    let mut all: Vec<String> = names
        .into_iter()
        .filter_map(|name| {
            let digest = documents::repository_digest(image, name)?;
            Some(format!("{}@{digest}", name.familiar_repository()))
        })
        .collect();
    all.sort();
    all.dedup();
    all
}

/// The config with the fields that scripts ask for, also where they are empty.
fn runtime_config(config: &RuntimeConfig) -> anyhow::Result<Value> {
    const ALWAYS: &[(&str, Value)] = &[
        ("User", Value::String(String::new())),
        ("Env", Value::Null),
        ("Cmd", Value::Null),
        ("Volumes", Value::Null),
        ("WorkingDir", Value::String(String::new())),
        ("Entrypoint", Value::Null),
        ("OnBuild", Value::Null),
        ("Labels", Value::Null),
    ];
    let mut value = serde_json::to_value(config)?;
    if let Some(fields) = value.as_object_mut() {
        for (name, empty) in ALWAYS {
            fields
                .entry((*name).to_owned())
                .or_insert_with(|| empty.clone());
        }
    }
    Ok(value)
}

fn describe_container(store: &Store, container: &Container) -> anyhow::Result<Value> {
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
    Ok(json!({
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
        "HostConfig": config.as_ref().map(host_config),
        "NetworkSettings": config.as_ref().map(|config| network::settings(store, container, config)),
        "Mounts": config.as_ref().map(mounts),
        "Config": config.as_ref().map(|config| own_config(&id, container, config)).transpose()?,
    }))
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

fn host_config(config: &StoredConfig) -> Value {
    let options = &config.options;
    let binds = options.volumes.iter().filter_map(|volume| {
        let source = match (&volume.source, &volume.name) {
            (Some(path), _) => path.display().to_string(),
            (None, name) => name.clone()?,
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
pub(super) fn network_mode(mode: &NetworkMode, options: &Options) -> String {
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

fn mounts(config: &StoredConfig) -> Value {
    let volumes = config.options.volumes.iter().map(|volume| {
        json!({
            "Type": if volume.source.is_some() { "bind" } else { "volume" },
            "Name": volume.name,
            "Source": volume.source,
            "Destination": volume.target,
            "Mode": "",
            "RW": volume.access == RootAccess::ReadWrite,
            "Propagation": "rprivate",
        })
    });
    let tmpfs = config.options.tmpfs.iter().map(|tmpfs| {
        json!({
            "Type": "tmpfs",
            "Source": "",
            "Destination": tmpfs.target,
            "Mode": "",
            "RW": tmpfs.access == RootAccess::ReadWrite,
            "Propagation": "",
        })
    });
    volumes.chain(tmpfs).collect()
}

/// The image's config with what the user asked for in its place.
fn own_config(
    id: &ContainerId,
    container: &Container,
    config: &StoredConfig,
) -> anyhow::Result<Value> {
    let options = &config.options;
    let mut value = runtime_config(&config.image)?;
    value["Hostname"] = json!(options.hostname.as_deref().unwrap_or_else(|| id.short()));
    value["Image"] = json!(container.image_name);
    value["Tty"] = json!(options.tty);
    value["OpenStdin"] = json!(options.interactive);
    if let Some(user) = &options.user {
        value["User"] = json!(user);
    }
    if let Some(workdir) = &options.workdir {
        value["WorkingDir"] = json!(workdir);
    }
    if let Some(entrypoint) = &options.entrypoint {
        let parts = Some(entrypoint).filter(|text| !text.is_empty());
        value["Entrypoint"] = json!(parts.map(|text| [text]));
        value["Cmd"] = Value::Null;
    }
    if !options.args.is_empty() {
        value["Cmd"] = json!(options.args);
    }
    if let Some(check) = healthcheck(options, &config.image) {
        value["Healthcheck"] = serde_json::to_value(check)?;
    }
    value["Env"] = json!(merged_env(&config.image, &options.env));
    value["Labels"] = labels(&config.image, &options.labels);
    Ok(value)
}

fn merged_env(image: &RuntimeConfig, own: &[String]) -> Vec<String> {
    let name = |variable: &str| variable.split('=').next().unwrap_or_default().to_owned();
    let mut merged: Vec<String> = Vec::new();
    for variable in image.env.iter().flatten().chain(own) {
        match merged
            .iter_mut()
            .find(|known| name(known) == name(variable))
        {
            Some(known) => known.clone_from(variable),
            None => merged.push(variable.clone()),
        }
    }
    merged
}

fn labels(image: &RuntimeConfig, own: &[String]) -> Value {
    let mut all: Map<String, Value> = image
        .labels
        .iter()
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    for label in own {
        let (key, value) = label.split_once('=').unwrap_or((label, ""));
        all.insert(key.to_owned(), json!(value));
    }
    Value::Object(all)
}

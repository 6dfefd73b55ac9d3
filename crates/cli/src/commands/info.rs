//! `rbuild info`: this machine and the store, in docker's words.

use std::process::ExitCode;

use rbuild_container::Condition;
use rbuild_store::Store;
use serde_json::{Value, json};

use super::format::Format;
use super::stats::machine_memory;
use crate::app::App;
use crate::render::{self, bytes_binary};

// What was typed after `rbuild info`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// json, or a template such as '{{.Containers}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Tells what there is.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let facts = facts(app)?;
    render::out(&match format {
        Some(format) => format.render(&[facts])?,
        None => text(&facts),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn facts(app: &App) -> anyhow::Result<Value> {
    let store = app.store()?;
    let counts = Counts::of(store)?;
    let system = rustix::system::uname();
    let kernel = |field: &std::ffi::CStr| field.to_string_lossy().into_owned();
    Ok(json!({
        "Containers": counts.running + counts.paused + counts.stopped,
        "ContainersRunning": counts.running,
        "ContainersPaused": counts.paused,
        "ContainersStopped": counts.stopped,
        "Images": store.images()?.len(),
        "Driver": "overlay",
        "LoggingDriver": "json-file",
        "CgroupDriver": "cgroupfs",
        "CgroupVersion": if is_unified() { "2" } else { "1" },
        "Plugins": { "Volume": ["local"], "Network": ["bridge", "host", "null"], "Log": ["json-file", "none"] },
        "SecurityOptions": security(),
        "KernelVersion": kernel(system.release()),
        "OperatingSystem": operating_system(),
        "OSType": "linux",
        "Architecture": kernel(system.machine()),
        "NCPU": std::thread::available_parallelism().map_or(1, usize::from),
        "MemTotal": machine_memory(),
        "Name": kernel(system.nodename()),
        "DockerRootDir": store.root(),
        "ServerVersion": env!("CARGO_PKG_VERSION"),
        "ClientInfo": { "Version": env!("CARGO_PKG_VERSION"), "Context": "default", "Debug": false },
        "Swarm": { "LocalNodeState": "inactive" },
        "DefaultRuntime": "rbuild",
        "Runtimes": { "rbuild": {} },
        "InitBinary": "rbuild",
        "Warnings": [],
    }))
}

/// Containers by what they do.
#[derive(Default)]
struct Counts {
    running: usize,
    paused: usize,
    stopped: usize,
}

impl Counts {
    fn of(store: &Store) -> anyhow::Result<Self> {
        let mut counts = Self::default();
        for container in store.containers()? {
            let condition = Condition::of(&container);
            let count = match condition {
                Condition::Paused { .. } => &mut counts.paused,
                _ if condition.is_active() => &mut counts.running,
                _ => &mut counts.stopped,
            };
            *count += 1;
        }
        Ok(counts)
    }
}

fn is_unified() -> bool {
    std::path::Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

fn security() -> Vec<&'static str> {
    let mut all = vec!["name=seccomp,profile=builtin", "name=cgroupns"];
    if std::path::Path::new("/sys/kernel/security/apparmor").exists() {
        all.insert(0, "name=apparmor");
    }
    if !rbuild_sys::is_initial_user_namespace() {
        all.push("name=rootless");
    }
    all
}

/// `Debian GNU/Linux 12 (bookworm)`
fn operating_system() -> String {
    let text = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("Linux").trim_matches('"').to_owned()
}

/// The lines of `docker info` that have a meaning here.
fn text(facts: &Value) -> String {
    let word = |key: &str| match &facts[key] {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let list = |value: &Value| {
        let words = value.as_array().into_iter().flatten();
        let words: Vec<&str> = words.filter_map(Value::as_str).collect();
        words.join(" ")
    };
    let security = list(&facts["SecurityOptions"]);
    let mut lines = Vec::new();
    for option in security.split(' ') {
        let mut fields = option.split(',').filter_map(|field| field.split_once('='));
        if let Some((_, name)) = fields.next() {
            lines.push(format!("  {name}\n"));
        }
        for (_, profile) in fields {
            lines.push(format!("   Profile: {profile}\n"));
        }
    }
    let security_lines = lines.concat();
    let version = word("ServerVersion");
    let memory = bytes_binary(facts["MemTotal"].as_u64().unwrap_or_default());
    format!(
        "Client:\n Version:    {version}\n Context:    default\n Debug Mode: false\n\n\
         Server:\n Containers: {}\n  Running: {}\n  Paused: {}\n  Stopped: {}\n Images: {}\n \
         Server Version: {version}\n Storage Driver: {}\n Logging Driver: {}\n Cgroup Driver: {}\n Cgroup Version: {}\n \
         Plugins:\n  Volume: {}\n  Network: {}\n  Log: {}\n Swarm: inactive\n Runtimes: rbuild\n Default Runtime: rbuild\n \
         Security Options:\n{security_lines} Kernel Version: {}\n Operating System: {}\n OSType: {}\n Architecture: {}\n \
         CPUs: {}\n Total Memory: {memory}\n Name: {}\n Docker Root Dir: {}\n Debug Mode: false\n",
        word("Containers"),
        word("ContainersRunning"),
        word("ContainersPaused"),
        word("ContainersStopped"),
        word("Images"),
        word("Driver"),
        word("LoggingDriver"),
        word("CgroupDriver"),
        word("CgroupVersion"),
        list(&facts["Plugins"]["Volume"]),
        list(&facts["Plugins"]["Network"]),
        list(&facts["Plugins"]["Log"]),
        word("KernelVersion"),
        word("OperatingSystem"),
        word("OSType"),
        word("Architecture"),
        word("NCPU"),
        word("Name"),
        word("DockerRootDir"),
    )
}

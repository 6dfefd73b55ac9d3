//! The processes of a container, as the host sees them.
//!
//! They are the descendants of its supervisor that live in a PID namespace of their own: first process and those of
//! `exec`. That can be read without any right over them.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use rbuild_store::{Container, Store};

use crate::cgroup::Cgroup;
use crate::condition::Condition;
use crate::{ContainerError, ContainerId, PidMode, StoredConfig};

/// Clock ticks in a second, as the kernel counts for users (`USER_HZ`).
const TICKS: u64 = 100;

/// A process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessFacts {
    /// User, as the host numbers it.
    pub uid: u32,
    /// Number on the host.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// How long after the machine it started.
    pub started: Duration,
    /// Processor time.
    pub cpu: Duration,
    /// Major and minor number of its terminal; 0 for none.
    pub terminal: u64,
    /// Its command line.
    pub command: String,
}

/// The processes of a container that runs.
pub fn processes(
    store: &Store,
    container: &Container,
) -> Result<Vec<ProcessFacts>, ContainerError> {
    let first = Condition::of(container).pid();
    let first = first.ok_or_else(|| ContainerError::NotRunning {
        action: "list the processes of",
        id: container.id.get(..12).unwrap_or(&container.id).to_owned(),
    })?;
    let id = ContainerId::from_store(&container.id);
    let config = StoredConfig::from_json(&id, &container.config)?;
    let all = all();
    // Among others', its own are known by their control group.
    if config.options.pid != PidMode::Private {
        let groups = Cgroup::recorded(&store.container_path(&container.id));
        let own = groups.processes().unwrap_or_default();
        let found = own.iter().filter_map(|pid| all.get(pid));
        return Ok(found.map(|(facts, _)| facts.clone()).collect());
    }
    let parent = |pid: u32| all.get(&pid).map(|(facts, _)| facts.parent);
    // First process, its keeper, the supervisor.
    let supervisor = parent(first).and_then(parent);
    let belongs = |mut pid: u32| {
        while let Some(next) = parent(pid) {
            if Some(next) == supervisor {
                return true;
            }
            pid = next;
        }
        false
    };
    let mut found: Vec<ProcessFacts> = all
        .values()
        .filter(|(facts, depth)| *depth > 1 && belongs(facts.pid))
        .map(|(facts, _)| facts.clone())
        .collect();
    found.sort_by_key(|facts| facts.pid);
    Ok(found)
}

/// All processes, and in how many PID namespaces below ours each is, ours included.
fn all() -> HashMap<u32, (ProcessFacts, usize)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let pid: u32 = entry.file_name().to_str()?.parse().ok()?;
            Some((pid, read(pid)?))
        })
        .collect()
}

/// What /proc/PID/stat, status and cmdline say (proc(5)); `None` if it is gone.
fn read(pid: u32) -> Option<(ProcessFacts, usize)> {
    let file = |name: &str| fs::read(format!("/proc/{pid}/{name}")).ok();
    let stat = String::from_utf8_lossy(&file("stat")?).into_owned();
    let (head, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    let status = String::from_utf8_lossy(&file("status")?).into_owned();
    let line = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(
            line.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>(),
        )
    };
    let words = String::from_utf8_lossy(&file("cmdline")?).replace('\0', " ");
    let command = match words.trim() {
        "" => format!("[{}]", head.split_once('(')?.1),
        words => words.to_owned(),
    };
    let ticks = |count: u64| Duration::from_millis(count * 1000 / TICKS);
    let facts = ProcessFacts {
        uid: line("Uid:")?.first()?.parse().ok()?,
        pid,
        parent: u32::try_from(field(4)?).ok()?,
        started: ticks(field(22)?),
        cpu: ticks(field(14)? + field(15)?),
        terminal: field(7).unwrap_or_default(),
        command,
    };
    Some((facts, line("NSpid:").map_or(1, |numbers| numbers.len())))
}

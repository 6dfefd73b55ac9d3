//! How a normal user becomes root of a namespace of its own.
//!
//! ```text
//!   rbuild (uid 1000) ── fork ── helper (uid 1000, still outside)
//!      │ unshare user + mount       │
//!      │ ── "go" ─────────────────► │ newuidmap, newgidmap on the parent
//!      │ ◄──────────── outcome ──── │
//!      ▼ setresuid(0)
//!   rbuild (root inside; 1000 outside)
//! ```

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{WaitOptions, getegid, geteuid, getpid, waitpid};

use crate::process::write_proc;
use crate::{
    Fork, IdRange, SingleThreaded, SubordinateIds, SysError, exit_now, fork, make_mounts_private,
    set_groups, set_user, subordinate_ids,
};

/// Where the set-user-id helpers are looked for. The environment's PATH has no say.
const HELPER_DIRECTORIES: [&str; 5] = [
    "/usr/bin",
    "/bin",
    "/usr/local/bin",
    "/usr/sbin",
    "/run/wrappers/bin",
];

/// The identity that the process has now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entered {
    /// What ids exist inside.
    pub map: IdMap,
    /// The caller's user id outside.
    pub outer_user: u32,
    /// The caller's group id outside.
    pub outer_group: u32,
}

/// Which ids exist in the new user namespace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum IdMap {
    /// Root and ranges of subordinate ids: every user of a usual image can be had.
    Ranges {
        /// Number of user ids, root included.
        users: u64,
        /// Number of group ids, root included.
        groups: u64,
    },
    /// Root alone; changing owner or user fails.
    Single {
        /// Why there is no more, for a person to act on.
        reason: String,
    },
}

/// Enters a new user namespace in which the caller is root, and a mount namespace that belongs to
/// it. Must be called before any thread is started.
///
/// # Errors
/// [`SysError::ManyThreads`]; [`SysError::UserNamespaceRefused`]; [`SysError::IdMap`].
pub fn enter_user_namespace() -> Result<Entered, SysError> {
    let single = SingleThreaded::check("enter a user namespace")?;
    let outer_user = geteuid().as_raw();
    let outer_group = getegid().as_raw();
    let map = match Tools::find(outer_user) {
        Ok(tools) => unshare_with_ranges(single, &tools, outer_user, outer_group)?,
        Err(reason) => {
            unshare()?;
            map_single(outer_user, outer_group)?;
            IdMap::Single { reason }
        }
    };
    become_root(&map)?;
    make_mounts_private()?;
    Ok(Entered {
        map,
        outer_user,
        outer_group,
    })
}

fn unshare() -> Result<(), SysError> {
    use nix::sched::CloneFlags;
    nix::sched::unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)
        .map_err(|error| SysError::UserNamespaceRefused(error.into()))
}

/// The programs and the ranges that a full map needs.
pub(crate) struct Tools {
    newuidmap: PathBuf,
    newgidmap: PathBuf,
    pub(crate) ids: SubordinateIds,
}

impl Tools {
    pub(crate) fn find(uid: u32) -> Result<Self, String> {
        let ids = subordinate_ids(uid);
        if ids.users.is_empty() || ids.groups.is_empty() {
            return Err(format!(
                "/etc/subuid and /etc/subgid have no range for user {uid}"
            ));
        }
        Ok(Self {
            newuidmap: helper("newuidmap")?,
            newgidmap: helper("newgidmap")?,
            ids,
        })
    }
}

fn helper(name: &str) -> Result<PathBuf, String> {
    HELPER_DIRECTORIES
        .iter()
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.exists())
        .ok_or_else(|| format!("{name} is not installed (package uidmap or shadow-utils)"))
}

/// What the helper process says in its first byte; text follows.
const MAPPED: u8 = b'M';
const NO_USERS: u8 = b'U';
const NO_GROUPS: u8 = b'G';

fn unshare_with_ranges(
    single: SingleThreaded,
    tools: &Tools,
    user: u32,
    group: u32,
) -> Result<IdMap, SysError> {
    let pipe =
        || pipe_with(PipeFlags::CLOEXEC).map_err(|error| SysError::call("make a pipe", error));
    let (go_read, go_write) = pipe()?;
    let (outcome_read, outcome_write) = pipe()?;
    let parent = getpid().as_raw_nonzero().get();
    let child = match fork(single)? {
        Fork::Child => {
            drop((go_write, outcome_read));
            help(tools, parent, user, group, go_read, outcome_write);
            exit_now(0)
        }
        Fork::Parent(child) => child,
    };
    drop((go_read, outcome_write));
    let unshared = unshare();
    if unshared.is_ok() {
        // A helper that is gone is seen by its missing answer.
        let _ = File::from(go_write).write_all(b"g");
    } else {
        drop(go_write);
    }
    let mut outcome = Vec::new();
    let read = File::from(outcome_read).read_to_end(&mut outcome);
    let _ = waitpid(Some(child), WaitOptions::empty());
    unshared?;
    read.map_err(|error| SysError::call("hear from the id map helper", error))?;
    let told = String::from_utf8_lossy(outcome.get(1..).unwrap_or_default())
        .trim()
        .to_owned();
    match outcome.first() {
        Some(&MAPPED) => Ok(IdMap::Ranges {
            users: 1 + total(&tools.ids.users),
            groups: 1 + total(&tools.ids.groups),
        }),
        Some(&NO_USERS) => {
            map_single(user, group)?;
            Ok(IdMap::Single { reason: told })
        }
        Some(&NO_GROUPS) => Err(SysError::IdMap(told)),
        _ => Err(SysError::IdMap("the helper process died".to_owned())),
    }
}

fn total(ranges: &[IdRange]) -> u64 {
    ranges.iter().map(|range| u64::from(range.count)).sum()
}

/// The helper's life: wait until the parent is inside, map it, tell.
fn help(tools: &Tools, parent: i32, user: u32, group: u32, go: OwnedFd, outcome: OwnedFd) {
    let mut byte = [0];
    if !matches!(File::from(go).read(&mut byte), Ok(1)) {
        return;
    }
    let answer = match run_helper(&tools.newuidmap, parent, user, &tools.ids.users) {
        Err(error) => told(NO_USERS, &error),
        Ok(()) => match run_helper(&tools.newgidmap, parent, group, &tools.ids.groups) {
            Err(error) => told(NO_GROUPS, &error),
            Ok(()) => vec![MAPPED],
        },
    };
    let _ = File::from(outcome).write_all(&answer);
}

fn told(kind: u8, error: &io::Error) -> Vec<u8> {
    let mut answer = vec![kind];
    answer.extend(error.to_string().bytes());
    answer
}

fn run_helper(program: &Path, parent: i32, id: u32, ranges: &[IdRange]) -> io::Result<()> {
    let mut command = Command::new(program);
    command.env_clear().arg(parent.to_string());
    command.args(["0", &id.to_string(), "1"]);
    let mut inside: u64 = 1;
    for range in ranges {
        command.args([
            inside.to_string(),
            range.first.to_string(),
            range.count.to_string(),
        ]);
        inside += u64::from(range.count);
    }
    let output = command.output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "{} failed: {}",
        program.display(),
        String::from_utf8_lossy(&output.stderr).trim()
    )))
}

fn map_single(user: u32, group: u32) -> Result<(), SysError> {
    let text = |error: SysError| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        SysError::IdMap(format!("{error}: {}", cause.unwrap_or_default()))
    };
    write_proc("/proc/self/uid_map", &format!("0 {user} 1")).map_err(text)?;
    write_proc("/proc/self/setgroups", "deny").map_err(text)?;
    write_proc("/proc/self/gid_map", &format!("0 {group} 1")).map_err(text)
}

fn become_root(map: &IdMap) -> Result<(), SysError> {
    set_user(0, 0)?;
    match map {
        IdMap::Ranges { .. } => set_groups(&[]),
        // setgroups is denied for good; the groups of outside stay, unnamed.
        IdMap::Single { .. } => Ok(()),
    }
}

//! The last steps: from root of the new world to the command as its user.

use std::convert::Infallible;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use nix::errno::Errno as NixErrno;
use nix::unistd::execve;
use rbuild_sys::{
    BpfInstruction, FIRST_AFTER_STDIO, close_on_exec_from, drop_bounding_capability,
    duplicate_onto, install_seccomp_filter, join_new_session_keyring, kill_on_parent_death,
    make_controlling_terminal, reset_signals, set_groups, set_rlimit, set_user,
};
use rustix::fs::{Access, FileType, Gid, Mode, OFlags, Uid, access, fchown, fstat, open};
use rustix::process::{fchdir, setsid, umask};
use rustix::thread::{CapabilitySet, CapabilitySets, capabilities, set_capabilities};

use super::devices::Terminal;
use super::reaper;
use crate::user::{self, Identity};
use crate::{Capabilities, DEFAULT_PATH, First, InitFailure, NewPrivileges, Process};

/// The command's standard descriptors.
pub(super) struct Stdio {
    input: OwnedFd,
    output: OwnedFd,
    error: OwnedFd,
    kind: StdioKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum StdioKind {
    Terminal,
    Descriptors,
}

impl Stdio {
    /// What was given, with the sandbox's own /dev/null for what was not.
    pub(super) fn choose(
        stdin: Option<OwnedFd>,
        output: Option<(OwnedFd, OwnedFd)>,
        terminal: Option<Terminal>,
    ) -> Result<Self, InitFailure> {
        let copy = |fd: &OwnedFd| {
            fd.try_clone()
                .map_err(|error| InitFailure::step("copy a descriptor", error))
        };
        if let Some(Terminal { slave, .. }) = terminal {
            return Ok(Self {
                input: copy(&slave)?,
                output: copy(&slave)?,
                error: slave,
                kind: StdioKind::Terminal,
            });
        }
        let null = || {
            open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())
                .map_err(|error| InitFailure::step("open /dev/null", error))
        };
        let (output, error) = match output {
            Some(both) => both,
            None => (null()?, null()?),
        };
        Ok(Self {
            input: stdin.map_or_else(null, Ok)?,
            output,
            error,
            kind: StdioKind::Descriptors,
        })
    }

    /// Lets the user open its own pipes and terminal again, as /dev/stdout. What refuses is left.
    fn give_to(&self, identity: &Identity) {
        for descriptor in [&self.input, &self.output, &self.error] {
            let ours = fstat(descriptor).is_ok_and(|stat| {
                let kind = FileType::from_raw_mode(stat.st_mode);
                kind == FileType::Fifo
                    || (kind == FileType::CharacterDevice && self.kind == StdioKind::Terminal)
            });
            if ours {
                let _ = fchown(descriptor, Some(Uid::from_raw(identity.uid)), None::<Gid>);
            }
        }
    }

    fn install(&self) -> Result<(), InitFailure> {
        setsid().map_err(|error| InitFailure::step("start a session", error))?;
        duplicate_onto(self.input.as_fd(), 0)?;
        duplicate_onto(self.output.as_fd(), 1)?;
        duplicate_onto(self.error.as_fd(), 2)?;
        if self.kind == StdioKind::Terminal {
            make_controlling_terminal(self.input.as_fd())?;
        }
        Ok(())
    }
}

/// Becomes the command. Returns only when that failed.
pub(super) fn start(
    process: &Process,
    filter: Option<&[BpfInstruction]>,
    directory: &OwnedFd,
    stdio: &Stdio,
) -> Result<Infallible, InitFailure> {
    leave_keyrings()?;
    let root = open(
        "/",
        OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
        Mode::empty(),
    )
    .map_err(|error| InitFailure::step("open the root", error))?;
    let mut identity = user::resolve(root.as_fd(), &process.user)?;
    identity.groups.extend(&process.groups);
    stdio.give_to(&identity);
    stdio.install()?;
    fchdir(directory).map_err(|error| {
        let directory = process.cwd.display();
        InitFailure::step(format!("change to directory {directory}"), error)
    })?;
    for limit in &process.rlimits {
        set_rlimit(limit.resource, limit.soft, limit.hard)?;
    }
    umask(Mode::WGRP | Mode::WOTH);
    if process.new_privileges == NewPrivileges::Denied {
        rustix::thread::set_no_new_privs(true)
            .map_err(|error| InitFailure::step("deny new privileges", error))?;
    }
    // Without no_new_privs a filter needs the capability that is dropped next.
    if let Some(filter) = filter {
        install_seccomp_filter(filter)?;
    }
    become_user(process.capabilities, &identity)?;
    // The change of user switched it off.
    kill_on_parent_death()?;
    reset_signals();
    close_on_exec_from(FIRST_AFTER_STDIO)?;
    if process.first == First::Reaper {
        reaper::stay_behind()?;
    }
    execute(process, &identity)
}

/// A failure here only matters where keyrings can be used at all.
fn leave_keyrings() -> Result<(), InitFailure> {
    match join_new_session_keyring() {
        Ok(()) => Ok(()),
        Err(error) => match error.errno() {
            Some(libc::ENOSYS | libc::EPERM | libc::EDQUOT) => Ok(()),
            _ => Err(error.into()),
        },
    }
}

fn become_user(allowed: Capabilities, identity: &Identity) -> Result<(), InitFailure> {
    for number in 0..u64::BITS {
        if allowed.bits() & (1 << number) == 0 {
            drop_bounding_capability(number)?;
        }
    }
    let unmapped = InitFailure::UnmappedUser {
        uid: identity.uid,
        gid: identity.gid,
    };
    match set_groups(&identity.groups) {
        Ok(()) => {}
        // With a single-id map groups can never be set, and nobody but root exists.
        Err(error) if error.errno() == Some(libc::EPERM) => {}
        Err(error) if error.errno() == Some(libc::EINVAL) => return Err(unmapped),
        Err(error) => return Err(error.into()),
    }
    match set_user(identity.uid, identity.gid) {
        Ok(()) => {}
        Err(error) if matches!(error.errno(), Some(libc::EINVAL | libc::EPERM)) => {
            return Err(unmapped);
        }
        Err(error) => return Err(error.into()),
    }
    limit_capabilities(allowed)
}

/// Permitted and effective: what is allowed of what is there. Nothing to inherit, nothing ambient.
fn limit_capabilities(allowed: Capabilities) -> Result<(), InitFailure> {
    let fail = |error| InitFailure::step("limit capabilities", error);
    let held = capabilities(None).map_err(fail)?;
    let kept = held.permitted & CapabilitySet::from_bits_retain(allowed.bits());
    let sets = CapabilitySets {
        effective: kept & held.effective,
        permitted: kept,
        inheritable: CapabilitySet::empty(),
    };
    set_capabilities(None, sets).map_err(fail)
}

fn execute(process: &Process, identity: &Identity) -> Result<Infallible, InitFailure> {
    let Some(program) = process.args.first() else {
        return Err(InitFailure::Refused(
            "there is no command to run".to_owned(),
        ));
    };
    let text = |value: &OsStr| {
        CString::new(value.as_bytes())
            .map_err(|_| InitFailure::Refused(format!("{} contains a NUL byte", value.display())))
    };
    let arguments = process
        .args
        .iter()
        .map(|argument| text(argument))
        .collect::<Result<Vec<_>, _>>()?;
    let mut environment = process
        .env
        .iter()
        .map(|variable| text(variable))
        .collect::<Result<Vec<_>, _>>()?;
    if value(&process.env, "HOME").is_none() {
        environment.push(text(OsStr::new(&format!("HOME={}", identity.home)))?);
    }
    let search = value(&process.env, "PATH").unwrap_or(OsStr::new(DEFAULT_PATH));
    let mut refusal = None;
    for candidate in candidates(program, search) {
        let path = text(&candidate)?;
        let Err(error) = execve(&path, &arguments, &environment);
        match error {
            // The file is there, so what is missing is its interpreter.
            NixErrno::ENOENT if access(&path, Access::EXISTS).is_ok() => {
                return Err(failure(program, error));
            }
            NixErrno::ENOENT | NixErrno::ENOTDIR => {}
            // Perhaps a later directory has one that may be executed.
            NixErrno::EACCES => refusal = Some(error),
            _ => return Err(failure(program, error)),
        }
    }
    Err(match refusal {
        Some(error) => failure(program, error),
        None if program.as_bytes().contains(&b'/') => failure(program, NixErrno::ENOENT),
        None => InitFailure::NotInPath {
            program: program.to_string_lossy().into_owned(),
        },
    })
}

fn failure(program: &OsStr, error: NixErrno) -> InitFailure {
    InitFailure::Exec {
        program: program.to_string_lossy().into_owned(),
        errno: error as i32,
    }
}

fn value<'a>(env: &'a [OsString], name: &str) -> Option<&'a OsStr> {
    env.iter().rev().find_map(|variable| {
        let rest = variable.as_bytes().strip_prefix(name.as_bytes())?;
        rest.strip_prefix(b"=").map(OsStr::from_bytes)
    })
}

/// Where the program may be.
fn candidates(program: &OsStr, search: &OsStr) -> Vec<OsString> {
    if program.as_bytes().contains(&b'/') {
        return vec![program.to_owned()];
    }
    search
        .as_bytes()
        .split(|byte| *byte == b':')
        .filter(|directory| !directory.is_empty())
        .map(|directory| OsString::from_vec([directory, b"/", program.as_bytes()].concat()))
        .collect()
}

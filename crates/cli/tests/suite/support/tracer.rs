//! A program that is killed at a system call: just before the Nth call of the kinds that commit something.
//!
//! All threads of the program count together, so every such call of a run can be its last one; the processes that it
//! starts are left alone. Nothing in the program knows of this.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read as _, Seek as _};
use std::process::{Command, Stdio};

use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Calls that make, name, remove or secure something: SQLite's and ours.
const COMMITTING: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_pwrite64,
    libc::SYS_ftruncate,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
];

/// How a traced run ended.
#[derive(Debug)]
pub(crate) enum Traced {
    /// Before the call.
    Killed,
    /// By itself, after so many of these calls.
    Ended(usize),
}

/// Runs `command`, which must not fail, and kills it before its committing call number `at`, counted from zero.
#[track_caller]
pub(crate) fn killed_at(command: &Command, at: usize) -> Traced {
    let mut stderr = tempfile::tempfile().expect("a temporary file");
    let program = start_stopped(command, &stderr);
    let options = Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(program, options).expect("our own child");
    kill(program, Signal::SIGCONT).expect("our own child");
    let mut inside = HashSet::new();
    let mut calls = 0;
    loop {
        match next(None) {
            WaitStatus::PtraceSyscall(thread) => {
                // Each call stops twice.
                if !inside.remove(&thread) {
                    inside.insert(thread);
                    if COMMITTING.contains(&call_of(thread)) {
                        if calls == at {
                            kill(program, Signal::SIGKILL).expect("our own child");
                        }
                        calls += 1;
                    }
                }
                resume(thread, None);
            }
            WaitStatus::PtraceEvent(thread, ..) => resume(thread, None),
            WaitStatus::Stopped(thread, signal) => {
                let is_ours = matches!(signal, Signal::SIGTRAP | Signal::SIGSTOP | Signal::SIGCONT);
                resume(thread, (!is_ours).then_some(signal));
            }
            WaitStatus::Exited(thread, code) if thread == program => {
                stderr.rewind().expect("a file seeks");
                let mut text = String::new();
                stderr.read_to_string(&mut text).expect("text");
                assert_eq!(code, 0, "{command:?}: {text}");
                return Traced::Ended(calls);
            }
            WaitStatus::Signaled(thread, signal, _) if thread == program => {
                assert_eq!(signal, Signal::SIGKILL, "{command:?}");
                return Traced::Killed;
            }
            _ => {}
        }
    }
}

/// `command`, stopped before its program begins.
#[expect(clippy::zombie_processes, reason = "whoever traces waits")]
fn start_stopped(command: &Command, stderr: &File) -> Pid {
    let mut shell = Command::new("/bin/sh");
    shell
        .args(["-c", "kill -STOP $$ && exec \"$@\"", "sh"])
        .arg(command.get_program())
        .args(command.get_args())
        .env_clear();
    let variables = command.get_envs();
    shell.envs(variables.filter_map(|(name, value)| Some((name, value?))));
    if let Some(directory) = command.get_current_dir() {
        shell.current_dir(directory);
    }
    let stderr = stderr.try_clone().expect("a descriptor");
    let child = shell
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(stderr)
        .spawn()
        .expect("a shell");
    let program = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let stopped = next(Some(program));
    assert!(
        matches!(stopped, WaitStatus::Stopped(_, Signal::SIGSTOP)),
        "{stopped:?}"
    );
    program
}

/// What happens next to a child of this thread, or to what it traces.
fn next(child: Option<Pid>) -> WaitStatus {
    let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD | WaitPidFlag::WUNTRACED;
    waitpid(child, Some(flags)).expect("there is a child")
}

/// On to the next stop. A thread that was killed meanwhile tells so by itself.
fn resume(thread: Pid, signal: Option<Signal>) {
    match ptrace::syscall(thread, signal) {
        Ok(()) | Err(nix::errno::Errno::ESRCH) => {}
        Err(error) => panic!("{thread} does not go on: {error}"),
    }
}

/// The number of the call that `thread` is about to make.
fn call_of(thread: Pid) -> libc::c_long {
    let Ok(registers) = ptrace::getregs(thread) else {
        return -1; // killed meanwhile
    };
    #[cfg(target_arch = "x86_64")]
    let number = registers.orig_rax;
    #[cfg(target_arch = "aarch64")]
    let number = registers.regs[8];
    libc::c_long::try_from(number).unwrap_or(-1)
}

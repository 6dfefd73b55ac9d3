//! A busybox image in a temporary directory, and how to run things in it.

use std::fs;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;

use rbuild_sandbox::{
    Access, Exit, Merged, Mount, Root, SandboxError, Source, Spec, Stdio, Upper, spawn,
};
use rustix::pipe::{PipeFlags, pipe_with};

use crate::apart;

pub(crate) struct World {
    pub(crate) temp: tempfile::TempDir,
    pub(crate) lower: PathBuf,
    pub(crate) diff: PathBuf,
    pub(crate) work: PathBuf,
}

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) exit: Exit,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl World {
    pub(crate) fn new() -> Self {
        let temp = tempfile::tempdir().expect("a temporary directory");
        let [lower, diff, work] = ["lower", "diff", "work"].map(|name| temp.path().join(name));
        for directory in [&lower, &diff, &work] {
            fs::create_dir(directory).expect("a new directory");
        }
        for directory in ["bin", "etc", "tmp", "home"] {
            fs::create_dir(lower.join(directory)).expect("a new directory");
        }
        fs::copy("/bin/busybox", lower.join("bin/busybox")).expect("busybox-static is installed");
        let applets = Command::new("/bin/busybox")
            .arg("--list")
            .output()
            .expect("busybox runs");
        for applet in String::from_utf8_lossy(&applets.stdout).lines() {
            if applet != "busybox" {
                symlink("busybox", lower.join("bin").join(applet)).expect("a new link");
            }
        }
        fs::write(
            lower.join("etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\n",
        )
        .expect("a new file");
        fs::write(
            lower.join("etc/group"),
            "root:x:0:\nalice:x:1000:\naudio:x:29:alice\n",
        )
        .expect("a new file");
        Self {
            temp,
            lower,
            diff,
            work,
        }
    }

    pub(crate) fn scaffold(&self) -> PathBuf {
        self.temp.path().join("scaffold")
    }

    /// `sh -c script` as root.
    pub(crate) fn shell(&self, script: &str) -> Spec {
        self.command(&["sh", "-c", script])
    }

    pub(crate) fn command(&self, args: &[&str]) -> Spec {
        let root = Root::Overlay(Merged {
            lowers: vec![self.lower.clone()],
            upper: Some(Upper {
                diff: self.diff.clone(),
                work: self.work.clone(),
            }),
        });
        let args = args.iter().map(Into::into).collect();
        let mut spec = Spec::new(root, self.scaffold(), args);
        spec.users = apart::users();
        spec.hosts = Some("127.0.0.1 localhost\n".to_owned());
        spec.resolv_conf = Some("nameserver 192.0.2.1\n".to_owned());
        spec.hostname = String::from("box");
        spec
    }

    /// This very program inside, asked to try something.
    pub(crate) fn probe(&self, what: &[&str]) -> Spec {
        let mut args = vec!["/probe", "--probe"];
        args.extend(what);
        let mut spec = self.command(&args);
        spec.mounts.push(Mount {
            target: "/probe".into(),
            source: Source::Path(std::env::current_exe().expect("this program has a path")),
            access: Access::ReadOnly,
        });
        spec
    }

    /// Everything below the upper directory.
    pub(crate) fn changes(&self) -> Vec<String> {
        let mut found = Vec::new();
        list(&self.diff, &self.diff, &mut found);
        found.sort();
        found
    }
}

fn list(root: &Path, directory: &Path, found: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("an entry").path();
        let name = path.strip_prefix(root).expect("below the root");
        found.push(name.display().to_string());
        if path.is_dir() && !path.is_symlink() {
            list(root, &path, found);
        }
    }
}

pub(crate) fn run(spec: &Spec) -> Output {
    try_run(spec, &[]).expect("the sandbox works")
}

pub(crate) fn try_run(spec: &Spec, trees: &[BorrowedFd<'_>]) -> Result<Output, SandboxError> {
    let (out_read, out_write) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let (err_read, err_write) = pipe_with(PipeFlags::CLOEXEC).expect("a pipe");
    let stdio = Stdio::Descriptors {
        stdin: None,
        stdout: out_write.as_fd(),
        stderr: err_write.as_fd(),
    };
    let running = spawn(spec, stdio, trees)?;
    drop((out_write, err_write));
    let stdout = thread::spawn(move || read(out_read));
    let stderr = thread::spawn(move || read(err_read));
    let exit = running.wait()?;
    Ok(Output {
        exit,
        stdout: stdout.join().expect("a reader that does not panic"),
        stderr: stderr.join().expect("a reader that does not panic"),
    })
}

fn read(pipe: OwnedFd) -> String {
    let mut bytes = Vec::new();
    fs::File::from(pipe)
        .read_to_end(&mut bytes)
        .expect("a readable pipe");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Standard output of a shell script that must succeed.
pub(crate) fn sh(world: &World, script: &str) -> String {
    let output = run(&world.shell(script));
    assert!(output.exit.success(), "{script}: {output:?}");
    output.stdout.trim().to_owned()
}

/// A process that starts a step that never ends, tells its id, and waits for it.
pub(crate) fn be_a_builder() -> ExitCode {
    let world = World::new();
    let running = spawn(&world.shell("sleep 1000 & sleep 1000"), Stdio::Null, &[])
        .expect("the sandbox works");
    println!("{} {}", running.pid(), world.temp.path().display());
    let exit = running.wait().expect("it is waited for");
    ExitCode::from(u8::try_from(exit.code()).unwrap_or(1))
}

pub(crate) fn is_root_outside() -> bool {
    rbuild_sys::is_initial_user_namespace() && !apart::is_asked_for()
}

/// Whether any user but root can be had: a single-id map has no other.
pub(crate) fn has_other_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").expect("a map");
    let total: u64 = map
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2)?.parse::<u64>().ok())
        .sum();
    total > 1
}

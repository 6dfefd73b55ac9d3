//! `--load` into Debian's Docker engine.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rstest::rstest;
use serde_json::Value;

use crate::support::{Caller, Lab, Outcome, Project, Running, am_root, require, run, skip};

/// How long the engine may take to start on a slow machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A Docker engine of a test's own: no network, no part of the machine's own engine.
struct Engine {
    daemon: Option<Running>,
    host: String,
}

impl Engine {
    /// `None` where there can be none.
    fn start(lab: &Lab) -> Option<Self> {
        if !require("dockerd", "--load") {
            return None;
        }
        if !am_root() {
            skip("--load", "not root");
            return None;
        }
        let folder = lab.path("engine");
        std::fs::create_dir(&folder).expect("a folder");
        let socket = folder.join("docker.sock");
        let path = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let host = format!("unix://{}", socket.display());
        let mut command = Command::new("unshare");
        command
            // Its mounts go with it.
            .args(["--mount", "dockerd", "--host", &host])
            .args(["--data-root", &path("data"), "--exec-root", &path("exec")])
            .args(["--pidfile", &path("pid"), "--storage-driver", "vfs"])
            .args(["--bridge", "none", "--iptables=false"]);
        let mut engine = Self {
            daemon: Some(Running::start(&mut command)),
            host,
        };
        engine.wait_until_up();
        open_to_all(socket);
        Some(engine)
    }

    fn wait_until_up(&mut self) {
        let begun = Instant::now();
        while !self.docker(&["version"]).status.success() {
            let daemon = self.daemon.as_mut().expect("it was started");
            assert!(
                !daemon.is_over() && begun.elapsed() < PATIENCE,
                "the engine does not start:\n{}",
                daemon.stderr()
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The engine's own command line.
    fn docker(&self, arguments: &[&str]) -> Outcome {
        run("docker", &[&["--host", &self.host], arguments].concat())
    }

    /// Builds and loads as the lab's caller.
    fn load(&self, lab: &Lab, project: &Project, arguments: &[&str]) -> Outcome {
        let mut command = lab.build_command(&[&["--load"], arguments].concat());
        command.env("DOCKER_HOST", &self.host).arg(&project.dir);
        Running::start(&mut command).wait().success()
    }

    fn inspect(&self, image: &str) -> Value {
        let text = self.docker(&["inspect", image]).success().stdout;
        let parsed: Value = serde_json::from_str(&text).expect("JSON");
        parsed[0].clone()
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.signal(Signal::SIGTERM);
            daemon.wait();
        }
    }
}

fn open_to_all(socket: PathBuf) {
    std::fs::set_permissions(socket, std::fs::Permissions::from_mode(0o666)).expect("our own");
}

#[rstest]
fn the_docker_engine_has_what_was_loaded(#[values(Caller::Root, Caller::Ranges)] caller: Caller) {
    let Some(lab) = Lab::new(caller) else { return };
    let Some(engine) = Engine::start(&lab) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nRUN mkdir -p /d && echo one > /d/one && ln /d/one /d/two && chown 5:6 /d/one\nRUN rm /bin/vi\nENV A=1\nUSER 1000\nCMD [\"cat\", \"/d/two\"]\n",
    );
    let outcome = engine.load(
        &lab,
        &project,
        &["-t", "app:v1", "-t", "registry.test/other:v2"],
    );
    for name in ["app:v1", "registry.test/other:v2"] {
        let image = engine.inspect(name);
        assert_eq!(image["Id"], outcome.image());
        assert_eq!(image["Config"]["User"], "1000");
        assert_eq!(image["RootFS"]["Layers"].as_array().map(Vec::len), Some(3));
    }
    // What it unpacked is what was built.
    engine
        .docker(&["create", "--name", "one", "app:v1"])
        .success();
    let copied = lab.path("copied");
    engine
        .docker(&["cp", "one:/d", &copied.to_string_lossy()])
        .success();
    assert_eq!(
        std::fs::read_to_string(copied.join("two")).expect("a file"),
        "one\n"
    );
    assert!(
        !engine
            .docker(&["cp", "one:/bin/vi", "/dev/null"])
            .status
            .success()
    );
    // A change is a new image of the same name.
    let changed = lab.project("FROM busybox\nRUN echo other > /x\n");
    let outcome = engine.load(&lab, &changed, &["-t", "app:v1"]);
    assert_eq!(engine.inspect("app:v1")["Id"], outcome.image());
}

#[test]
fn without_an_engine_the_message_says_where_it_was_looked_for() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "a");
    let mut command = lab.build_command(&["--load"]);
    command
        .env("DOCKER_HOST", "unix:///nowhere/docker.sock")
        .arg(&project.dir);
    let outcome = Running::start(&mut command).wait().failure();
    assert!(outcome.stderr.contains("/nowhere/docker.sock"), "{outcome}");
}

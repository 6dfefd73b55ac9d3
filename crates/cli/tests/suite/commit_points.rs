//! Killed at every instant at which something is committed.
//!
//! The program is stopped before each system call that makes, names, removes or secures a file, and killed there.
//! Afterwards nothing is damaged, what was recorded is used, and doing it again gives what it would have given. A few
//! of these instants are tried for each command, the first and the last among them; `RBUILD_CRASH_KILLS=500` tries that many.

use std::path::{Path, PathBuf};
use std::process::Command;

use rbuild_store::Store;
use rbuild_testkit::Registry;

use crate::registries::push_busybox;
use crate::support::{Caller, Lab, Outcome, Project, Running, Traced, killed_at, run};

const STEPS: usize = 4;

/// The same instants each time: `count` of `calls`.
fn instants(calls: usize, count: usize) -> Vec<usize> {
    let wanted = std::env::var("RBUILD_CRASH_KILLS").ok();
    let count = wanted.map_or(count, |text| text.parse().expect("a number"));
    let count = count.clamp(2, calls.max(2));
    let mut instants: Vec<usize> = (0..count)
        .map(|number| number * (calls - 1) / (count - 1))
        .collect();
    instants.dedup();
    instants
}

/// A lab, a project in it, and what there is before each kill.
struct Scene {
    lab: Lab,
    project: Project,
    image: String,
}

impl Scene {
    fn new() -> Option<Self> {
        let lab = Lab::new(Caller::Root)?;
        let project = lab.project(
            "FROM busybox AS a\nCOPY data /data\nRUN cat /data/* > /sum && rm -r /data && mkdir /data\n\
             FROM busybox\nCOPY --from=a /sum /sum\nRUN echo end > /end\n",
        );
        for number in 0..3 {
            project.file(&format!("data/{number}"), format!("{number}"));
        }
        let mut scene = Self {
            lab,
            project,
            image: String::new(),
        };
        scene.image = scene.build().image();
        scene.settle();
        Some(scene)
    }

    fn build_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.lab.build_command(arguments);
        command.env("SOURCE_DATE_EPOCH", "1").arg(&self.project.dir);
        command
    }

    #[track_caller]
    fn build(&self) -> Outcome {
        let mut command = self.build_command(&["-t", "app"]);
        Running::start(&mut command).wait().success()
    }

    /// Whatever tidies up in the background is over.
    #[track_caller]
    fn settle(&self) {
        self.lab.assert_nothing_left();
    }

    fn copy(from: &Path, to: &Path) {
        remove(to);
        run(
            "cp",
            &["-a", &from.to_string_lossy(), &to.to_string_lossy()],
        )
        .success();
    }

    /// What is there is whole. Tells how many steps are recorded.
    #[track_caller]
    fn assert_sound(&self, when: &str) -> usize {
        let store = Store::open(&self.lab.root()).expect("a store");
        let check = store.check(&|_| {}).expect("a store that can be read");
        assert!(check.damages.is_empty(), "{when}: {:?}", check.damages);
        check.records
    }

    /// Runs `command` on a copy of what is there, killed at instant after instant; `after` looks at what is left.
    fn sweep(&self, command: &Command, count: usize, after: impl Fn(&str)) {
        let template = self.lab.path("template");
        self.settle();
        Self::copy(&self.lab.root(), &template);
        let Traced::Ended(calls) = killed_at(command, usize::MAX) else {
            panic!("it was not to be killed");
        };
        let mut killed = 0;
        for at in instants(calls, count) {
            self.settle();
            Self::copy(&template, &self.lab.root());
            let traced = killed_at(command, at);
            killed += usize::from(matches!(traced, Traced::Killed));
            let when = format!("killed at {at} of {calls}");
            self.assert_sound(&when);
            after(&when);
            self.assert_sound(&when);
        }
        assert!(killed > 0, "nothing was killed");
    }
}

fn remove(path: &Path) {
    if path.exists() {
        std::fs::remove_dir_all(path).expect("our own");
    }
}

#[test]
fn a_build_that_is_killed_at_a_commit_leaves_what_was_committed() {
    let Some(scene) = Scene::new() else { return };
    scene.lab.rbuild(&["prune", "--all", "--force"]).success();
    assert_eq!(scene.assert_sound("at first"), 0);
    let command = scene.build_command(&["-t", "app"]);
    scene.sweep(&command, 8, |when| {
        let recorded = scene.assert_sound(when);
        let again = scene.build();
        assert_eq!(again.image(), scene.image, "{when}: {again}");
        assert_eq!(again.ran().len(), STEPS - recorded, "{when}: {again}");
        assert_eq!(scene.build().ran(), [""; 0], "{when}");
    });
}

#[test]
fn the_work_after_a_build_that_is_killed_at_a_commit_loses_nothing() {
    let Some(scene) = Scene::new() else { return };
    // Something to sweep, and something to secure.
    let other = scene.lab.project("FROM busybox\nRUN echo other > /other\n");
    scene.lab.build(&other, &["-t", "other"]);
    scene.settle();
    let command = scene.lab.command(&["maintain"]);
    scene.sweep(&command, 4, |when| {
        let again = scene.build();
        assert_eq!(
            (again.image(), again.ran()),
            (scene.image.clone(), Vec::new()),
            "{when}"
        );
    });
}

#[test]
fn what_removes_and_is_killed_at_a_commit_leaves_images_whole_or_gone() {
    let Some(scene) = Scene::new() else { return };
    let commands = [
        &["prune", "--force"][..],
        &["prune", "--all", "--force"],
        &["rmi", "app"],
    ];
    for command in commands {
        scene.sweep(&scene.lab.command(command), 3, |when| {
            let images = scene.lab.rbuild(&["images"]).success();
            if images.stdout.contains("app ") {
                let ran = scene.lab.rbuild(&["run", "--rm", "app", "cat", "/end"]);
                assert_eq!(ran.success().stdout, "end\n", "{when}");
            } else {
                assert_ne!(command, commands[0], "{when}: {images}");
            }
            let again = scene.build();
            assert_eq!(again.image(), scene.image, "{when}: {again}");
            scene.lab.rbuild(command).success();
        });
        scene.build();
    }
}

#[test]
fn an_export_that_is_killed_at_a_commit_leaves_a_whole_archive_or_none() {
    let Some(scene) = Scene::new() else { return };
    let archive = scene.lab.path("out/archive.tar");
    let output = format!("type=oci,dest={}", archive.display());
    let command = scene.build_command(&["-o", &output]);
    let read = |path: &PathBuf| std::fs::read(path).ok();
    Running::start(&mut scene.build_command(&["-o", &output]))
        .wait()
        .success();
    let whole = read(&archive).expect("an archive");
    scene.sweep(&command, 3, |when| {
        let left = read(&archive);
        assert!(left.is_none() || left.as_ref() == Some(&whole), "{when}");
        if left.is_some() {
            std::fs::remove_file(&archive).expect("our own");
        }
        Running::start(&mut scene.build_command(&["-o", &output]))
            .wait()
            .success();
        assert!(read(&archive).as_ref() == Some(&whole), "{when}");
        std::fs::remove_file(&archive).expect("our own");
    });
}

#[test]
fn a_pull_that_is_killed_at_a_commit_leaves_the_image_whole_or_not_at_all() {
    let Some(scene) = Scene::new() else { return };
    let Some(registry) = Registry::start() else {
        return;
    };
    push_busybox(&registry);
    scene.lab.config(&format!(
        "[registry.\"{}\"]\nhttp = true\n",
        registry.host()
    ));
    let name = format!("{}/library/busybox", registry.host());
    scene.lab.rbuild(&["prune", "--all", "--force"]).success();
    scene.sweep(&scene.lab.command(&["pull", &name]), 4, |when| {
        scene.lab.rbuild(&["pull", &name]).success();
        let ran = scene
            .lab
            .rbuild(&["run", "--rm", &name, "echo", "works"])
            .success();
        assert_eq!(ran.stdout, "works\n", "{when}");
    });
}

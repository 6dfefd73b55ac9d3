//! `--watch`: builds that follow the files.

use std::fs;

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Project, Running};

/// What is said when a build is over.
const WAITING: &str = "waiting for changes";

/// A build that watches.
struct Watched {
    running: Running,
    builds: usize,
}

impl Watched {
    fn start(lab: &Lab, project: &Project, arguments: &[&str]) -> Self {
        let arguments = [&["--watch", "."], arguments].concat();
        let mut command = lab.build_command(&arguments);
        let running = Running::start(command.current_dir(&project.dir));
        let mut watched = Self { running, builds: 0 };
        watched.built();
        watched
    }

    /// Waits for the next build to be over; what was said since the last one.
    fn built(&mut self) -> String {
        self.builds += 1;
        let marks = WAITING.len() * self.builds;
        while self.running.stderr().matches(WAITING).count() * WAITING.len() < marks {
            assert!(!self.running.is_over(), "{}", self.running.stderr());
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        let said = self.running.stderr();
        said.split(WAITING)
            .nth(self.builds - 1)
            .unwrap_or_default()
            .to_owned()
    }

    /// Ctrl-C, while nothing is built.
    fn stop(self) {
        self.running.signal(Signal::SIGINT);
        let outcome = self.running.wait().success();
        assert_eq!(outcome.stderr.matches(WAITING).count(), self.builds);
    }
}

fn by_renaming(project: &Project, path: &str, content: &str) {
    project.file(".draft", content);
    let full = project.dir.join(path);
    fs::rename(project.dir.join(".draft"), full).expect("a renamed file");
}

#[rstest]
fn a_change_of_what_the_build_reads_builds_again_and_nothing_else_does(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let dockerfile = "FROM busybox\nCOPY src/ /src/\nCOPY conf/*.conf /etc/\nRUN cat /src/a\n";
    let project = lab.project(dockerfile);
    project.file("src/a", "one").file("conf/1.conf", "");
    project.file(".dockerignore", "src/ignored\n");
    let mut watched = Watched::start(&lab, &project, &["--iidfile=/dev/null"]);
    // None of these matters; what comes after them is one more build.
    project.file("README", "").file("src/ignored", "x");
    project.file("conf/x", "").touch("src/a");
    by_renaming(&project, "src/a", "two");
    let said = watched.built();
    assert!(said.contains("src/a changed: building again"), "{said}");
    project.file("conf/2.conf", "");
    let said = watched.built();
    assert!(said.contains("conf/2.conf changed: building"), "{said}");
    // At once, so that it is one change however slow the machine is.
    project.file("draft/deep/er", "x");
    fs::rename(project.dir.join("draft"), project.dir.join("src/new")).expect("a renamed tree");
    let said = watched.built();
    assert!(said.contains("src/new changed (and 2 more)"), "{said}");
    project.file("src/new/deep/er", "y");
    let said = watched.built();
    assert!(said.contains("src/new/deep/er changed"), "{said}");
    project.file(".dockerignore", "");
    let said = watched.built();
    assert!(
        said.contains(".dockerignore changed (and 1 more)"),
        "{said}"
    );
    watched.stop();
}

#[test]
fn errors_do_not_end_the_watch() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let good = "FROM busybox\nCOPY f missing /d/\n";
    let project = lab.project(good);
    project.file("f", "");
    let mut watched = Watched::start(&lab, &project, &[]);
    assert!(watched.running.stderr().contains("\"/missing\": not found"));
    project.file("missing", "");
    let said = watched.built();
    assert!(said.contains("missing changed"), "{said}");
    assert!(!said.contains("ERROR"), "{said}");
    by_renaming(&project, "Dockerfile", "FROM busybox\nCPY f /\n");
    let said = watched.built();
    assert!(said.contains("unknown instruction: CPY"), "{said}");
    fs::remove_file(project.dir.join("Dockerfile")).expect("a file");
    let said = watched.built();
    assert!(said.contains("failed to read dockerfile"), "{said}");
    project.dockerfile(good);
    assert!(!watched.built().contains("ERROR"));
    // As when a branch is checked out that has other files.
    fs::remove_file(project.dir.join("f")).expect("a file");
    assert!(watched.built().contains("ERROR"));
    project.file("f", "again");
    assert!(!watched.built().contains("ERROR"));
    watched.stop();
}

#[test]
fn what_the_build_writes_into_its_context_is_no_change() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY . /all/\nRUN date > /now\n");
    project.file("f", "one");
    let options = [
        "--no-cache",
        "-otype=tar,dest=out.tar",
        "--metadata-file=meta",
        "--depfile=out.d",
        "--lock",
    ];
    let mut watched = Watched::start(&lab, &project, &options);
    project.file("f", "two");
    let said = watched.built();
    assert!(said.contains("f changed: building again"), "{said}");
    watched.stop();
}

#[test]
fn what_changes_while_a_build_runs_is_built_after_it_and_ctrl_c_ends_a_build_as_ever() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nCOPY f /f\n\
         RUN --mount=type=cache,target=/c,id=c cat /f && until test -e /c/go-$(cat /f); do sleep 0.05; done\n",
    );
    project.file("f", "one");
    let place = lab.path("home/signals");
    fs::create_dir(&place).expect("a new folder");
    let option = format!("--cache-mount=c={}", place.display());
    let mut command = lab.build_command(&["--watch", &option, "."]);
    let mut running = Running::start(command.current_dir(&project.dir));
    running.until_stderr_has(" one");
    project.file("f", "two");
    fs::write(place.join("go-one"), "").expect("a written file");
    running.until_stderr_has(" two");
    running.signal(Signal::SIGINT);
    let outcome = running.wait();
    assert_eq!(outcome.status.code(), Some(130), "{outcome}");
    assert!(outcome.stderr.contains("f changed"), "{outcome}");
}

#[test]
fn only_directories_can_be_watched() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM scratch\n");
    let refused = |arguments: &[&str]| {
        let arguments = [&["build", "--watch"], arguments].concat();
        let mut command = lab.command(&arguments);
        Running::start(command.current_dir(&project.dir))
            .wait()
            .failure()
    };
    refused(&["-"]).says("--watch: the build context has to be a directory");
    refused(&["-f-", "."]).says("--watch: the build context has to be a directory");
    refused(&["--call=targets", "."]).says("--watch builds");
    refused(&["-otype=tar", "."]).says("give dest=FILE");
}

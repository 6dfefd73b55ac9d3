//! What is said when the kernel ends a process because memory ran out.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::containers::{field, lab};
use crate::support::{Caller, Lab, Running, note_skipped};

/// Takes more and more memory.
const HUNGRY: &str = "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done";

/// What is said.
const WANT: &str = "the kernel had ended a process because memory ran out";

/// A control group with a limit on memory, for as long as this lives.
struct Limited {
    directory: PathBuf,
}

impl Limited {
    fn new(bytes: u64) -> Option<Self> {
        let hierarchies = [
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
            ("/sys/fs/cgroup", "memory.max"),
        ];
        for (hierarchy, limit) in hierarchies {
            let name = format!("rbuild-test-{}", std::process::id());
            let directory = PathBuf::from(hierarchy).join(name);
            if fs::create_dir(&directory).is_err() {
                continue;
            }
            let group = Self { directory };
            if fs::write(group.directory.join(limit), bytes.to_string()).is_ok() {
                return Some(group);
            }
        }
        note_skipped("want of memory", "it needs a controller of memory");
        None
    }

    /// `command` in it.
    fn hold(&self, command: &Command) -> Command {
        let list = self.directory.join("cgroup.procs");
        let mut held = Command::new("sh");
        held.args(["-c", "echo $$ > \"$0\" && exec \"$@\""])
            .arg(list)
            .arg(command.get_program())
            .args(command.get_args());
        for (name, value) in command.get_envs() {
            held.env(name, value.unwrap_or_default());
        }
        held
    }
}

impl Drop for Limited {
    fn drop(&mut self) {
        // What ran in it may be on its way out.
        for _ in 0..500 {
            if fs::remove_dir(&self.directory).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn a_step_that_is_killed_for_want_of_memory_is_told_as_such_and_one_that_is_killed_otherwise_is_not()
 {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let Some(limited) = Limited::new(256 << 20) else {
        return;
    };
    for command in [HUNGRY.to_owned(), format!("sh -c '{HUNGRY}'; exit $?")] {
        let project = lab.project(&format!("FROM busybox\nRUN {command}\n"));
        let build = lab.build_command(&[]);
        Running::start(limited.hold(&build).arg(&project.dir))
            .wait()
            .failure()
            .says(WANT);
    }
    let project = lab.project("FROM busybox\nRUN exit 1\n");
    let told = lab.try_build(&project, &[]).failure();
    assert!(!told.stderr.contains(WANT), "{told}");
}

#[test]
fn a_container_that_is_killed_for_want_of_memory_is_told_as_such_until_it_runs_again() {
    let Some(lab) = lab(Caller::Root) else { return };
    let script = format!("[ -e /fed ] && exit 0; touch /fed; {HUNGRY}");
    let run = [
        "run", "--name", "hungry", "-u", "0", "--memory", "16m", "app", "sh", "-c", &script,
    ];
    assert_eq!(lab.rbuild(&run).status.code(), Some(137));
    let state = "{{.State.OOMKilled}} {{.State.ExitCode}} {{.State.Status}}";
    assert_eq!(field(&lab, "hungry", state), "true 137 exited");
    let listed = lab.rbuild(&["ps", "-a", "--format", "{{.Status}}"]);
    assert!(listed.success().stdout.starts_with("Exited (137)"));
    lab.rbuild(&["start", "-a", "hungry"]).success();
    assert_eq!(field(&lab, "hungry", state), "false 0 exited");
    // A kill by somebody else is none for want of memory.
    let other = [
        "run",
        "--name",
        "other",
        "app",
        "sh",
        "-c",
        "kill -9 $$; exit 137",
    ];
    assert_eq!(lab.rbuild(&other).status.code(), Some(137));
    assert_eq!(field(&lab, "other", state), "false 137 exited");
}

//! Many containers at once, and one at a terminal.

use std::path::PathBuf;

use crate::containers::lab;
use crate::support::{Caller, Running, Screen, mark, processes_with, require};

const CROWD: usize = 100;

#[test]
fn a_hundred_containers_come_and_go_at_once() {
    let Some(lab) = lab(Caller::Root) else { return };
    let mark = mark();
    let names: Vec<String> = (0..CROWD).map(|number| format!("c{number:02}")).collect();
    let started: Vec<Running> = names
        .iter()
        .map(|name| {
            let arguments = ["run", "-d", "--name", name, "app", "sleep", &mark];
            Running::start(&mut lab.command(&arguments))
        })
        .collect();
    for one in started {
        one.wait().success();
    }
    let ids = lab.rbuild(&["ps", "-q", "--no-trunc"]).success().stdout;
    assert_eq!(ids.lines().count(), CROWD);
    let removed: Vec<Running> = names
        .chunks(CROWD / 4)
        .map(|some| {
            let mut command = lab.command(&["rm", "-f"]);
            Running::start(command.args(some))
        })
        .collect();
    for one in removed {
        one.wait().success();
    }
    assert_eq!(lab.rbuild(&["ps", "-aq"]).success().stdout, "");
    assert_eq!(processes_with(&mark), [""; 0]);
    let directories = std::fs::read_dir(lab.path("root/containers")).expect("a folder");
    assert_eq!(directories.count(), 0);
    let left: Vec<PathBuf> = ids.lines().flat_map(groups).collect();
    assert!(left.is_empty(), "{left:?}");
}

/// The control groups that a container has.
fn groups(id: &str) -> Vec<PathBuf> {
    let all = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten();
    let unified = PathBuf::from("/sys/fs/cgroup/rbuild").join(id);
    all.flatten()
        .map(|controller| controller.path().join("rbuild").join(id))
        .chain([unified])
        .filter(|path| path.exists())
        .collect()
}

#[test]
fn a_shell_in_a_container_can_be_resized_interrupted_left_and_come_back_to() {
    if !require("tmux", "a terminal that somebody types at") {
        return;
    }
    let Some(lab) = lab(Caller::Root) else { return };
    let command = lab.command(&[]);
    let rbuild = command.get_program().to_string_lossy().into_owned();
    let screen = Screen::new(&lab);
    screen.type_line(&format!("{rbuild} run -it --name shell app sh"));
    screen.until("/ $");
    screen.type_line("stty size");
    screen.until("30 100");
    screen.tmux(&["resize-window", "-x", "90", "-y", "25"]);
    screen.type_line("sleep 0.2; stty size");
    screen.until("25 90");
    // Until the shell has read the line, the key would be a part of it.
    screen.type_line("echo $((40 + 2)); sleep 1000");
    screen.until("\n42");
    screen.tmux(&["send-keys", "C-c"]);
    screen.type_line("echo interrupted-$?");
    screen.until("interrupted-130");
    screen.tmux(&["send-keys", "C-p", "C-q"]);
    screen.until("read escape sequence");
    screen.type_line("echo left-$?");
    screen.until("left-0");
    assert!(lab.rbuild(&["ps"]).success().stdout.contains("shell"));
    screen.type_line(&format!("{rbuild} attach shell"));
    screen.type_line("echo again-$((1+1))");
    screen.until("again-2");
    screen.type_line("exit 7");
    // What is typed before the shell has ended is for the shell.
    screen.until("exit 7\n#");
    screen.type_line("echo ended-$?");
    screen.until("ended-7");
}

#[test]
fn of_those_who_remove_or_start_a_container_at_once_none_fails() {
    let Some(lab) = lab(Caller::Root) else { return };
    let mark = mark();
    let both = |arguments: &[&str]| {
        let started = [(); 4].map(|()| Running::start(&mut lab.command(arguments)));
        for one in started {
            one.wait().success();
        }
    };
    for _ in 0..3 {
        lab.rbuild(&["create", "--name", "one", "app", "sleep", &mark])
            .success();
        both(&["start", "one"]);
        both(&["rm", "-f", "one"]);
    }
    assert_eq!(lab.rbuild(&["ps", "-aq"]).success().stdout, "");
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.assert_nothing_left();
}

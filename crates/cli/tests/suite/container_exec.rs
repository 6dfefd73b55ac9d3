//! `exec` and its process, which need not end together.

use std::io::Read as _;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rstest::rstest;

use crate::containers::lab;
use crate::support::{Caller, Lab, Screen, mark, processes_with, require};

/// A container named `home` that only waits.
fn home(lab: &Lab) {
    lab.rbuild(&["run", "-d", "--name", "home", "app", "sleep", "1000"])
        .success();
}

/// Waits until a file is in `home`.
fn until_there(lab: &Lab, path: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while !lab
        .rbuild(&["exec", "home", "test", "-e", path])
        .status
        .success()
    {
        assert!(Instant::now() < end, "{path} does not come");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Waits until no process has this command line.
fn until_gone(line: &str) {
    let end = Instant::now() + Duration::from_secs(30);
    while !processes_with(line).is_empty() {
        assert!(Instant::now() < end, "{line} does not end");
    }
}

#[rstest]
fn a_process_goes_on_when_the_command_that_started_it_is_killed(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
    #[values(Signal::SIGKILL, Signal::SIGTERM, Signal::SIGHUP, Signal::SIGINT)] signal: Signal,
) {
    let Some(lab) = lab(caller) else { return };
    home(&lab);
    // More than any pipe holds: somebody has to read it.
    let script = "touch /tmp/begun; until [ -e /tmp/go ]; do sleep 0.01; done; \
                  head -c 3000000 /dev/zero; head -c 3000000 /dev/zero >&2; touch /tmp/done";
    let mut command = lab.command(&["exec", "home", "sh", "-c", script]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.stderr(Stdio::piped()).spawn().expect("it starts");
    until_there(&lab, "/tmp/begun");
    let pid = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    kill(pid, signal).expect("it runs");
    child.wait().expect("our child");
    let mut rest = Vec::new();
    // Who reads what it wrote is not left waiting for the process.
    let stdout = child.stdout.as_mut().expect("a pipe");
    stdout.read_to_end(&mut rest).expect("an end");
    let stderr = child.stderr.as_mut().expect("a pipe");
    stderr.read_to_end(&mut rest).expect("an end");
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    lab.rbuild(&["exec", "home", "touch", "/tmp/go"]).success();
    until_there(&lab, "/tmp/done");
    lab.rbuild(&["rm", "-f", "home"]).success();
    lab.assert_nothing_left();
}

#[test]
fn the_end_of_the_container_is_that_of_processes_that_were_left() {
    let Some(lab) = lab(Caller::Root) else { return };
    home(&lab);
    let mark = mark();
    let mut command = lab.command(&[
        "exec",
        "home",
        "sh",
        "-c",
        &format!("touch /tmp/on; sleep {mark}"),
    ]);
    let mut child = command.stdin(Stdio::null()).spawn().expect("it starts");
    until_there(&lab, "/tmp/on");
    child.kill().expect("it runs");
    child.wait().expect("our child");
    let top = lab.rbuild(&["top", "home"]).success().stdout;
    assert!(top.contains(&mark), "{top}");
    lab.rbuild(&["rm", "-f", "home"]).success();
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.assert_nothing_left();
}

#[test]
fn a_process_whose_output_nobody_reads_ends_as_in_any_pipeline() {
    let Some(lab) = lab(Caller::Root) else { return };
    home(&lab);
    let mut command = lab.command(&["exec", "home", "yes", "forever"]);
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("it starts");
    let mut line = [0; 8];
    let mut stdout = child.stdout.take().expect("a pipe");
    stdout.read_exact(&mut line).expect("a line");
    assert_eq!(&line, b"forever\n");
    drop(stdout);
    let status = child.wait().expect("our child");
    assert_eq!(status.code(), Some(141));
    lab.rbuild(&["rm", "-f", "home"]).success();
}

#[test]
fn exec_ends_with_its_process_whatever_that_leaves_behind() {
    let Some(lab) = lab(Caller::Root) else { return };
    home(&lab);
    let mark = mark();
    let script = format!(
        "(sleep 0.1; head -c 300000 /dev/zero; touch /tmp/late; sleep {mark}) & echo out; echo err >&2; exit 5"
    );
    let told = lab.rbuild(&["exec", "home", "sh", "-c", &script]);
    assert_eq!(told.status.code(), Some(5), "{told}");
    assert_eq!((&*told.stdout, &*told.stderr), ("out\n", "err\n"));
    until_there(&lab, "/tmp/late");
    lab.rbuild(&["rm", "-f", "home"]).success();
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[test]
fn output_and_messages_on_one_pipe_keep_their_order() {
    let Some(lab) = lab(Caller::Root) else { return };
    home(&lab);
    let script = "for i in 1 2 3 4 5 6 7 8; do echo o$i; echo e$i >&2; done";
    let command = lab.command(&["exec", "home", "sh", "-c", script]);
    let mut shell = lab.command(&[]);
    shell = {
        let mut both = std::process::Command::new("sh");
        both.env_clear().envs(
            shell
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        both
    };
    shell
        .args(["-c", "\"$@\" 2>&1", "sh"])
        .arg(command.get_program());
    let told = shell.args(command.get_args()).output().expect("it runs");
    let lines: Vec<String> = (1..=8).map(|i| format!("o{i}\ne{i}\n")).collect();
    lab.rbuild(&["rm", "-f", "home"]).success();
    assert_eq!(String::from_utf8_lossy(&told.stdout), lines.concat());
}

#[test]
fn a_shell_can_be_left_by_keys_and_hung_up_on() {
    if !require("tmux", "a terminal that somebody types at") {
        return;
    }
    let Some(lab) = lab(Caller::Root) else { return };
    home(&lab);
    let command = lab.command(&[]);
    let rbuild = command.get_program().to_string_lossy().into_owned();
    let screen = Screen::new(&lab);
    screen.type_line(&format!("{rbuild} exec -it home sh"));
    screen.until("/ $");
    screen.type_line("echo shell-$((1+1)); sleep 0.1; touch /tmp/later; sleep 1000");
    screen.until("shell-2");
    screen.tmux(&["send-keys", "C-p", "C-q"]);
    screen.until("read escape sequence");
    screen.type_line("echo left-$?");
    screen.until("left-1");
    until_there(&lab, "/tmp/later");

    let chosen = format!("{rbuild} exec -it --detach-keys ctrl-x,d home sh");
    screen.type_line(&chosen);
    screen.type_line("trap 'echo heard > /tmp/int' INT; echo size-$(stty size)");
    screen.until("size-30 100");
    screen.tmux(&["send-keys", "C-c"]);
    until_there(&lab, "/tmp/int");
    screen.tmux(&["send-keys", "C-x"]);
    screen.tmux(&["send-keys", "d"]);
    until_gone(&chosen);

    let killed = format!("{rbuild} exec -it home sh -c");
    screen.type_line(&format!("{killed} 'touch /tmp/up; sleep 1000'"));
    until_there(&lab, "/tmp/up");
    let killed = format!("{killed} touch /tmp/up; sleep 1000");
    let mut pkill = std::process::Command::new("pkill");
    pkill.args(["-TERM", "-f", "-x", &killed]);
    assert!(pkill.status().expect("pkill is there").success());
    until_gone(&killed);
    // The terminal is as it was: what is typed is shown, and the line's end is seen.
    screen.type_line("echo ended-$?");
    screen.until("ended-143");
    let top = lab.rbuild(&["top", "home"]).success().stdout;
    assert_eq!(top.matches("sleep 1000").count(), 3, "{top}");
    lab.rbuild(&["rm", "-f", "home"]).success();
}

//! The tests.

use std::io::{BufRead, BufReader, Write};
use std::process::Command;

use rbuild_store::{ContainerState, End};
use rustix::process::{Pid, Signal, kill_process};

use crate::world::{World, text};

pub(crate) const ALL: &[(&str, fn())] = &[
    (
        "output_and_exit_status_are_the_containers",
        output_and_exit_status_are_the_containers,
    ),
    (
        "a_missing_command_is_127_and_one_that_cannot_run_126",
        a_missing_command_is_127_and_one_that_cannot_run_126,
    ),
    (
        "a_killed_container_is_128_and_the_signal",
        a_killed_container_is_128_and_the_signal,
    ),
    (
        "signals_reach_the_first_process",
        signals_reach_the_first_process,
    ),
    (
        "input_is_passed_on_only_when_asked_for",
        input_is_passed_on_only_when_asked_for,
    ),
    (
        "user_directory_environment_and_host_name",
        user_directory_environment_and_host_name,
    ),
    (
        "a_container_stays_with_its_status_unless_rm",
        a_container_stays_with_its_status_unless_rm,
    ),
    ("a_name_is_given_once", a_name_is_given_once),
    (
        "changes_stay_out_of_the_image",
        changes_stay_out_of_the_image,
    ),
    (
        "volumes_and_tmpfs_are_writable_in_a_read_only_container",
        volumes_and_tmpfs_are_writable_in_a_read_only_container,
    ),
    (
        "a_terminal_is_one_inside_with_the_users_size",
        a_terminal_is_one_inside_with_the_users_size,
    ),
    (
        "interactive_with_a_terminal_needs_one",
        interactive_with_a_terminal_needs_one,
    ),
    (
        "nothing_outlives_the_container",
        nothing_outlives_the_container,
    ),
];

fn output_and_exit_status_are_the_containers() {
    let world = World::new();
    let output = world.run(&["--rm", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!(output.status.code(), Some(7), "{output:?}");
    assert_eq!(
        (text(&output.stdout), text(&output.stderr)),
        ("out\n".into(), "err\n".into())
    );
}

fn a_missing_command_is_127_and_one_that_cannot_run_126() {
    let world = World::new();
    let missing = world.run(&["--rm", "nosuch"]);
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
    assert!(text(&missing.stderr).contains("executable file not found in $PATH"));
    assert_eq!(world.run(&["--rm", "/etc/passwd"]).status.code(), Some(126));
    assert_eq!(
        world.run(&["--rm", "-u", "nobody", "id"]).status.code(),
        Some(125)
    );
    assert!(world.containers().is_empty());
}

fn a_killed_container_is_128_and_the_signal() {
    let world = World::new();
    let mut child = world.start(&["sh", "-c", "echo ready; sleep 100"]);
    wait_for_line(&mut child);
    let containers = world.containers();
    let ContainerState::Running { pid, .. } = containers[0].state else {
        panic!("it runs: {:?}", containers[0].state)
    };
    kill_process(
        Pid::from_raw(pid.cast_signed()).expect("not zero"),
        Signal::KILL,
    )
    .expect("it lives");
    assert_eq!(child.wait().expect("it ends").code(), Some(137));
    assert!(matches!(
        world.containers()[0].state,
        ContainerState::Exited {
            end: End { code: 137, .. }
        }
    ));
}

fn signals_reach_the_first_process() {
    let world = World::new();
    let script = "trap 'exit 3' TERM; trap 'exit 4' INT; echo ready; while :; do sleep 0.05; done";
    for (signal, code) in [(Signal::TERM, 3), (Signal::INT, 4)] {
        let mut child = world.start(&["--rm", "sh", "-c", script]);
        wait_for_line(&mut child);
        kill_process(Pid::from_child(&child), signal).expect("it lives");
        assert_eq!(child.wait().expect("it ends").code(), Some(code));
    }
    // One that does not listen dies at the third.
    let mut child = world.start(&["--rm", "sh", "-c", "echo ready; sleep 100"]);
    wait_for_line(&mut child);
    for _ in 0..3 {
        kill_process(Pid::from_child(&child), Signal::INT).expect("it lives");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(child.wait().expect("it ends").code(), Some(137));
}

fn input_is_passed_on_only_when_asked_for() {
    let world = World::new();
    for (arguments, expected) in [
        (&["--rm", "-i", "cat"][..], "hello"),
        (&["--rm", "cat"], ""),
    ] {
        let mut child = world.start(arguments);
        let mut stdin = child.stdin.take().expect("it is a pipe");
        // Without -i nobody reads it.
        let _ = stdin.write_all(b"hello");
        drop(stdin);
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(text(&output.stdout), expected);
    }
}

fn user_directory_environment_and_host_name() {
    let world = World::new();
    let script = "id -u; id -g; pwd; echo $MODE $HOME; hostname; echo $HOSTNAME";
    let output = world.run(&[
        "-u", "app", "-w", "/tmp", "-e", "MODE=x", "sh", "-c", script,
    ]);
    let id = world.containers()[0].id[..12].to_owned();
    let expected = format!("1000\n1000\n/tmp\nx /home/app\n{id}\n{id}\n");
    assert_eq!(text(&output.stdout), expected, "{output:?}");
}

fn a_container_stays_with_its_status_unless_rm() {
    let world = World::new();
    world.run(&["--rm", "sh", "-c", "exit 1"]);
    assert!(world.containers().is_empty());
    world.run(&["sh", "-c", "exit 5"]);
    let containers = world.containers();
    assert!(matches!(
        containers[0].state,
        ContainerState::Exited {
            end: End { code: 5, .. }
        }
    ));
    assert_eq!(containers[0].id.len(), 64);
    assert_eq!(
        containers[0].name.matches('_').count(),
        1,
        "{}",
        containers[0].name
    );
}

fn a_name_is_given_once() {
    let world = World::new();
    assert!(
        world
            .run(&["--name", "web", "sh", "-c", ":"])
            .status
            .success()
    );
    let second = world.run(&["--name", "web", "sh", "-c", ":"]);
    assert_eq!(second.status.code(), Some(125));
    assert!(text(&second.stderr).contains("web"), "{second:?}");
}

fn changes_stay_out_of_the_image() {
    let world = World::new();
    assert!(
        world
            .run(&["--rm", "sh", "-c", "echo x > /etc/new; rm /etc/group"])
            .status
            .success()
    );
    assert!(!world.layer().join("etc/new").exists());
    assert!(world.layer().join("etc/group").exists());
    assert!(!world.run(&["--rm", "cat", "/etc/new"]).status.success());
}

fn volumes_and_tmpfs_are_writable_in_a_read_only_container() {
    let world = World::new();
    for directory in ["data", "shared", "fixed", "scratch"] {
        std::fs::create_dir_all(world.layer().join(directory)).expect("a directory can be made");
    }
    let shared = world.path("shared");
    let volume = format!("{}:/shared", shared.display());
    let fixed = format!("{}:/fixed:ro", shared.display());
    let script = "touch /data/a /shared/b /scratch/c && ! touch /fixed/d 2>/dev/null && ! touch /e 2>/dev/null";
    let output = world.run(&[
        "--rm",
        "--read-only",
        "--image-volume",
        "/data",
        "-v",
        &volume,
        "-v",
        &fixed,
        "--tmpfs",
        "/scratch",
        "sh",
        "-c",
        script,
    ]);
    assert!(output.status.success(), "{output:?}");
    assert!(shared.join("b").exists());
}

fn a_terminal_is_one_inside_with_the_users_size() {
    let world = World::new();
    let command = world.command(&[
        "--rm",
        "-i",
        "-t",
        "sh",
        "-c",
        "tty; stty size; echo $TERM; exit 9",
    ]);
    let words: Vec<String> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|word| format!("'{}'", word.to_string_lossy().replace('\'', "'\\''")))
        .collect();
    let line = format!(
        "stty rows 33 cols 99; {}; echo status $?; stty -a",
        words.join(" ")
    );
    let output = Command::new("script")
        .args(["-qec", &line, "/dev/null"])
        .output()
        .expect("script(1) is there");
    // script(1) sends an end of file, which the terminal echoes.
    let shown = text(&output.stdout).replace("^@", "");
    assert!(
        shown.starts_with("/dev/pts/0\r\n33 99\r\nxterm\r\nstatus 9\r\n"),
        "{shown:?}"
    );
    // Afterwards the user's terminal is as it was.
    assert!(
        shown.contains(" icanon") && shown.contains(" echo "),
        "{shown}"
    );
}

fn interactive_with_a_terminal_needs_one() {
    let world = World::new();
    let output = world.run(&["-i", "-t", "sh"]);
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("not a TTY"), "{output:?}");
    assert_eq!(world.containers(), []);
}

fn nothing_outlives_the_container() {
    let world = World::new();
    let marker = "60.77123";
    let output = world.run(&["--rm", "sh", "-c", &format!("sleep {marker} & exit 0")]);
    assert!(output.status.success());
    let processes = Command::new("ps").arg("ax").output().expect("ps is there");
    assert!(!text(&processes.stdout).contains(&format!("sleep {marker}")));
    let mounts = std::fs::read_to_string("/proc/self/mounts").expect("proc is mounted");
    assert!(!mounts.contains(&world.path("store").display().to_string()));
}

/// Waits until the container says that it runs; its row is written by then or soon after.
fn wait_for_line(child: &mut std::process::Child) {
    let stdout = child.stdout.as_mut().expect("it is a pipe");
    let mut line = String::new();
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("it speaks");
    assert_eq!(line, "ready\n");
    std::thread::sleep(std::time::Duration::from_millis(200));
}

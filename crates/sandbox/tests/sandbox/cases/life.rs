//! Beginnings and ends: killed, left behind, many at once.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio as ProcessStdio};
use std::thread;
use std::time::{Duration, Instant};

use rbuild_sandbox::{Exit, Merged, Root, Stdio, spawn};
use rustix::event::{PollFd, PollFlags};

use crate::world::{World, run};

cases![
    a_daemon_left_behind_neither_hangs_nor_survives,
    a_killed_builder_takes_its_step_along,
    a_step_can_be_killed_from_another_thread,
    a_number_is_known_to_be_anothers_once_the_step_has_ended,
    the_thread_that_started_it_may_end,
    fifty_at_once,
];

fn a_daemon_left_behind_neither_hangs_nor_survives() {
    let world = World::new();
    let begun = Instant::now();
    let output = run(&world.shell("sleep 987654 & (setsid sleep 987654 &) ; echo done"));
    assert_eq!(output.stdout, "done\n");
    assert!(begun.elapsed() < Duration::from_secs(20));
}

fn is_alive(pid: &str) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn a_killed_builder_takes_its_step_along() {
    let mut builder = Command::new(std::env::current_exe().expect("this program has a path"))
        .arg("--builder")
        .stdout(ProcessStdio::piped())
        .spawn()
        .expect("this program starts");
    let mut line = String::new();
    let stdout = builder.stdout.take().expect("it was piped");
    BufReader::new(stdout)
        .read_line(&mut line)
        .expect("the builder tells");
    let (pid, temp) = line.trim().split_once(' ').expect("two words");
    assert!(is_alive(pid));
    builder.kill().expect("our child");
    builder.wait().expect("our child");
    let begun = Instant::now();
    while is_alive(pid) {
        assert!(
            begun.elapsed() < Duration::from_secs(10),
            "the step lives on"
        );
        thread::sleep(Duration::from_millis(5));
    }
    fs::remove_dir_all(temp).expect("nothing is mounted there");
}

fn a_step_can_be_killed_from_another_thread() {
    let world = World::new();
    let running = spawn(&world.shell("sleep 987654"), Stdio::Null, &[]).expect("it starts");
    let killer = running.killer();
    let other = thread::spawn(move || killer.kill());
    assert_eq!(running.wait().expect("it ends"), Exit::Signal(9));
    other.join().expect("it does not panic");
}

fn a_number_is_known_to_be_anothers_once_the_step_has_ended() {
    let world = World::new();
    let running = spawn(&world.shell("sleep 987654"), Stdio::Null, &[]).expect("it starts");
    assert!(running.has_its_number());
    running.kill();
    let mut end = [PollFd::from_borrowed_fd(running.end(), PollFlags::IN)];
    rustix::event::poll(&mut end, None).expect("it ends");
    assert!(!running.has_its_number());
}

fn the_thread_that_started_it_may_end() {
    let world = World::new();
    let spec = world.shell("sleep 0.2; exit 3");
    let running = thread::spawn(move || spawn(&spec, Stdio::Null, &[]).expect("it starts"))
        .join()
        .expect("it does not panic");
    assert_eq!(running.wait().expect("it ends"), Exit::Code(3));
}

fn fifty_at_once() {
    let world = World::new();
    thread::scope(|scope| {
        for index in 0..50 {
            let world = &world;
            scope.spawn(move || {
                let step = world.temp.path().join(format!("step{index}"));
                let (diff, work) = (step.join("diff"), step.join("work"));
                fs::create_dir_all(&diff).expect("a new directory");
                fs::create_dir_all(&work).expect("a new directory");
                let mut spec = world.shell(&format!("echo {index} > /file; echo {index}"));
                spec.root = Root::Overlay(Merged {
                    lowers: vec![world.lower.clone()],
                    upper: Some(rbuild_sandbox::Upper {
                        diff: diff.clone(),
                        work,
                    }),
                });
                assert_eq!(run(&spec).stdout, format!("{index}\n"));
                let written = fs::read_to_string(diff.join("file")).expect("it was written");
                assert_eq!(written, format!("{index}\n"));
            });
        }
    });
}

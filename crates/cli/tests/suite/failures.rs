//! What is said and what is left when a build does not succeed.

use std::time::Duration;

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Running, State, mark, processes_with};

fn root_lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

#[rstest]
fn a_failed_step_is_shown_with_its_place_and_its_output(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project("FROM busybox\nRUN echo the reason >&2; exit 7\nRUN echo never\n");
    let outcome = lab.try_build(&project, &["-t", "app"]).failure();
    assert!(outcome.stderr.contains("the reason"), "{outcome}");
    assert!(outcome.stderr.contains("\nDockerfile:2\n"), "{outcome}");
    assert!(
        outcome
            .stderr
            .contains("\n   2 | >>> RUN echo the reason >&2; exit 7\n"),
        "{outcome}"
    );
    assert!(outcome.last_words().starts_with("ERROR: "), "{outcome}");
    assert!(outcome.last_words().contains("exit code: 7"), "{outcome}");
    assert!(!outcome.stderr.contains("echo never\n#"), "{outcome}");
    // What succeeded before it is known, and the next build goes on from there.
    let project = lab.project("FROM busybox\nRUN echo fine > /fine\nRUN exit 1\n");
    lab.try_build(&project, &[]).failure();
    project.dockerfile("FROM busybox\nRUN echo fine > /fine\nRUN exit 0\n");
    assert_eq!(lab.build(&project, &[]).ran(), ["RUN exit 0"]);
}

#[rstest]
#[case("FROM busybox\nRUM echo\n", "RUM", "RUN")]
#[case(
    "FROM busybox AS build\nFROM scratch\nCOPY --from=biuld /a /a\n",
    "biuld",
    "build"
)]
#[case("FROM busybox\nCOPY --chwon=1 a /a\n", "chwon", "chown")]
#[case("FROM busybox\nCOPY missing /a\n", "missing", "missing")]
#[case("FROM a AS a\n", "a", "ERROR: ")]
#[case(
    "FROM busybox\nUSER nobodyknows\nRUN true\n",
    "nobodyknows",
    "nobodyknows"
)]
#[case(
    "FROM busybox\nRUN [\"/no/such/program\"]\n",
    "/no/such/program",
    "Dockerfile:2"
)]
#[case("", "", "ERROR: ")]
fn a_mistake_is_named_with_its_place(
    #[case] dockerfile: &str,
    #[case] word: &str,
    #[case] hint: &str,
) {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(dockerfile);
    let outcome = lab.try_build(&project, &[]).failure();
    assert!(
        outcome.stderr.contains(word) && outcome.stderr.contains(hint),
        "{outcome}"
    );
    assert!(outcome.last_words().starts_with("ERROR: "), "{outcome}");
    assert!(
        dockerfile.is_empty() || outcome.stderr.contains("Dockerfile:"),
        "{outcome}"
    );
}

#[rstest]
#[case(&["--target", "none", "."])]
#[case(&["-t", "Not/A/Name:::", "."])]
#[case(&["-f", "nowhere", "."])]
#[case(&["/no/such/context"])]
#[case(&["--secret", "src=x", "."])]
#[case(&["--push", "."])]
#[case(&["--output", "type=what", "."])]
#[case(&["--network", "what", "."])]
fn a_wrong_argument_is_an_error(#[case] arguments: &[&str]) {
    let Some(lab) = root_lab() else { return };
    std::fs::write(
        lab.path("out/Dockerfile"),
        "FROM scratch\nCOPY Dockerfile /\n",
    )
    .expect("a new file");
    let outcome = Running::start(&mut lab.build_command(arguments))
        .wait()
        .failure();
    assert!(outcome.last_words().starts_with("ERROR: "), "{outcome}");
}

#[rstest]
fn an_interrupted_build_ends_at_once_and_leaves_nothing(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
    #[values(Signal::SIGINT, Signal::SIGTERM)] signal: Signal,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let mark = mark();
    let project = lab.project(&format!(
        "FROM busybox\nRUN trap '' INT TERM; echo started; (trap '' INT TERM; sleep {mark}) & sleep {mark}; sleep {mark}\n"
    ));
    let mut running = lab.start_build(&project, &["-t", "app"]);
    running.until_stderr_has(" started\n");
    running.signal(signal);
    let outcome = running.wait();
    assert_eq!(outcome.status.code(), Some(130), "{outcome}");
    assert!(outcome.last_words().starts_with("ERROR: "), "{outcome}");
    assert!(outcome.took < Duration::from_secs(30), "{outcome}");
    assert_eq!(processes_with(&mark), [""; 0]);
    lab.assert_nothing_left();
    project.dockerfile("FROM busybox\nRUN true\n");
    lab.build(&project, &[]);
}

#[rstest]
fn the_first_failure_stops_everything_else(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let mark = mark();
    let project = lab.project(&format!(
        "FROM busybox AS slow\nRUN echo slow began; sleep {mark}\nFROM busybox AS wrong\nRUN sleep 1; exit 3\n\
         FROM scratch\nCOPY --from=slow / /\nCOPY --from=wrong / /\n"
    ));
    let outcome = lab.try_build(&project, &[]).failure();
    assert!(outcome.took < Duration::from_secs(60), "{outcome}");
    assert_eq!(outcome.state("RUN echo slow"), State::Canceled, "{outcome}");
    assert!(outcome.last_words().contains("exit code: 3"), "{outcome}");
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[rstest]
fn a_daemon_that_a_step_leaves_neither_holds_nor_survives_it(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let mark = mark();
    let project = lab.project(&format!(
        "FROM busybox\nRUN setsid sh -c 'trap \"\" HUP TERM; sleep {mark}' & sleep {mark} & echo left\nRUN ps | grep -c '[s]leep' > /count; true\n"
    ));
    let outcome = lab.build(&project, &[]);
    assert!(outcome.took < Duration::from_secs(30), "{outcome}");
    assert_eq!(processes_with(&mark), [""; 0]);
    assert_eq!(lab.tree(&project, &[]).text("count"), "0\n");
}

#[test]
fn a_step_killed_by_a_signal_is_told() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN sh -c 'kill -9 $$'; exit $?\n");
    let outcome = lab.try_build(&project, &[]).failure();
    assert!(
        outcome.last_words().contains("137") || outcome.last_words().contains("signal"),
        "{outcome}"
    );
}

#[test]
fn a_failed_build_leaves_names_and_files_as_they_were() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN echo 1 > /x\n");
    let output = lab.path("out/image.tar");
    let id = lab.path("out/id");
    let arguments = [
        "-t",
        "app",
        "--iidfile",
        &id.to_string_lossy(),
        "-o",
        "type=image",
        "-o",
        &format!("type=oci,dest={}", output.display()),
    ];
    let first = lab.build(&project, &arguments);
    let before = (
        std::fs::read(&output).expect("an archive"),
        std::fs::read_to_string(&id).expect("an id"),
    );
    assert_eq!(before.1.trim(), first.image());
    project.dockerfile("FROM busybox\nRUN echo 2 > /x\nRUN exit 1\n");
    lab.try_build(&project, &arguments).failure();
    assert_eq!(std::fs::read(&output).expect("an archive"), before.0);
    let child = lab.project("FROM app\nRUN cat /x\n");
    assert_eq!(lab.build(&child, &[]).step("RUN cat").output, ["1"]);
}

#[test]
fn the_builder_is_out_of_a_steps_reach() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN ls -l /proc/self/fd /proc/1/fd; for pid in /proc/[0-9]*; do tr '\\0' ' ' < $pid/cmdline; done; \
         ! (echo x > /proc/sys/kernel/hostname) 2>/dev/null; ! mount -t tmpfs none /mnt 2>/dev/null; ! mknod /x b 8 0; test ! -e /proc/kcore -o ! -s /proc/kcore; \
         ! dd if=/dev/zero of=/proc/1/exe bs=1 count=1 2>/dev/null; grep Cap /proc/self/status\n",
    );
    let outcome = lab.build(&project, &[]);
    let output = outcome.step("RUN ls").output.join("\n");
    assert!(
        output.contains("CapEff:\t00000000a80425fb"),
        "Docker's default set: {outcome}"
    );
    assert!(!output.contains("rbuild-e2e"), "{outcome}");
}

#[test]
fn a_failed_build_hands_out_what_was_there_before_the_step_that_failed() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS tests\nENV KIND=unit\nWORKDIR /work\nRUN echo 1 failed > /report\n\
         RUN echo half > /half && exit 7\nFROM scratch\nCOPY --from=tests /report /\n",
    );
    let failed = lab.try_build(
        &project,
        &[
            "--no-cache",
            "-o",
            "type=local,dest=always,on=always",
            "-o",
            "type=local,dest=success",
            "-o",
            "type=image,name=broken,on=always",
        ],
    );
    failed.failure().says("exit code: 7");
    let report = std::fs::read_to_string(lab.path("out/always/report")).expect("a report");
    assert_eq!(report, "1 failed\n");
    assert!(!lab.path("out/always/half").exists());
    assert!(!lab.path("out/success").exists());
    // The image runs the command that failed.
    let again = lab.rbuild(&["run", "--rm", "broken"]);
    assert_eq!(again.status.code(), Some(7), "{again}");
    let shell = ["run", "--rm", "broken", "sh", "-c", "echo $KIND in $PWD"];
    assert_eq!(lab.rbuild(&shell).success().stdout, "unit in /work\n");
}

#[test]
fn what_cannot_be_done_is_said_on_a_whole_line_with_what_was_typed() {
    let Some(lab) = crate::containers::lab(Caller::Root) else {
        return;
    };
    let gpus = lab.rbuild(&["run", "--gpus", "all", "app"]);
    assert!(gpus.stderr.ends_with("with --device\n"), "{gpus}");
    lab.rbuild(&["create", "--name", "one", "app"]).success();
    lab.rbuild(&["commit", "one", "BAD"])
        .failure()
        .says("invalid reference \"BAD\"");
    lab.rbuild(&["volume", "rm", "nope"])
        .failure()
        .says("ERROR: no such volume: nope\n");
    let mut usage = lab.command(&["tag"]);
    usage
        .env("RBUILD_CONFIG", "/etc/none")
        .env("RBUILD_ROOT", "/none");
    let told = Running::start(&mut usage).wait();
    assert!(told.stderr.contains("Usage:"), "{told}");
    assert!(!told.stderr.contains("--root"), "{told}");
    lab.rbuild(&["rm", "one"]).success();
}

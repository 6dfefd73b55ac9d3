//! What `run` reads, writes and ends with.

use rstest::rstest;

use crate::running::lab_with_image;
use crate::support::{Caller, Running};

#[rstest]
#[case("exit 0", 0)]
#[case("exit 7", 7)]
#[case("kill -9 $$; sleep 1; exit 9", 9)]
#[case("sh -c 'kill -TERM $$'; exit $?", 143)]
fn its_exit_status_is_passed_on(#[case] script: &str, #[case] status: i32) {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    let outcome = lab.rbuild(&["run", "--rm", "--entrypoint", "sh", "app", "-c", script]);
    assert_eq!(outcome.status.code(), Some(status), "{outcome}");
}

#[test]
fn what_cannot_start_is_told_as_docker_tells_it() {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    let status = |arguments: &[&str]| {
        lab.rbuild(&[&["run", "--rm"], arguments].concat())
            .status
            .code()
    };
    assert_eq!(status(&["--entrypoint", "/no/such", "app"]), Some(127));
    assert_eq!(status(&["--entrypoint", "/etc/passwd", "app"]), Some(126));
    assert_eq!(status(&["--user", "nobodyknows", "app"]), Some(125));
    assert_eq!(status(&["--no-such-flag", "app"]), Some(125));
}

#[rstest]
fn standard_streams_are_the_callers(#[values(Caller::Root, Caller::SingleId)] caller: Caller) {
    let Some(lab) = lab_with_image(caller) else {
        return;
    };
    let user = ["-u", "0"];
    let arguments = [
        &["run", "--rm", "-i", "--entrypoint", "sh"],
        &user[..],
        &["app", "-c", "cat; echo error >&2"],
    ]
    .concat();
    let input: Vec<u8> = (0..200_000_u32)
        .flat_map(|number| format!("{number}\n").into_bytes())
        .collect();
    let outcome = Running::with_input(&mut lab.command(&arguments), &input)
        .wait()
        .success();
    assert!(
        outcome.stdout.as_bytes() == input,
        "{} bytes came back of {}",
        outcome.stdout.len(),
        input.len()
    );
    assert_eq!(outcome.stderr, "error\n");
}

#[test]
fn an_interactive_container_has_a_terminal() {
    let Some(lab) = lab_with_image(Caller::Root) else {
        return;
    };
    if !crate::support::require("script", "a terminal") {
        return;
    }
    let mut inner = lab.command(&[
        "run",
        "--rm",
        "-it",
        "--entrypoint",
        "sh",
        "app",
        "-c",
        "tty; stty size; echo $TERM",
    ]);
    inner.env("TERM", "xterm");
    let line = format!(
        "stty rows 33 cols 77; {} {}",
        inner.get_program().to_string_lossy(),
        inner
            .get_args()
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let mut outer = lab.command(&[]);
    let environment: Vec<_> = outer
        .get_envs()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
        .collect();
    outer = std::process::Command::new("script");
    outer
        .args(["-qec", &line, "/dev/null"])
        .envs(environment)
        .env("TERM", "xterm");
    let outcome = Running::start(&mut outer).wait().success();
    assert!(
        outcome.stdout.contains("/dev/pts/0")
            && outcome.stdout.contains("33 77")
            && outcome.stdout.contains("xterm"),
        "{outcome}"
    );
}

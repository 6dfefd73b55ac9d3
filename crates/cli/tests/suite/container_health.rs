//! Health checks: whether a container that runs does its work.

use rstest::rstest;

use crate::containers::{field, lab};
use crate::support::{Caller, Lab, mark, processes_with};

const STATUS: &str = "{{.State.Health.Status}}";

/// Runs a container that waits, checked every few milliseconds.
fn checked(lab: &Lab, name: &str, options: &[&str]) {
    let usual = ["run", "-d", "--name", name, "--health-interval", "20ms"];
    lab.rbuild(&[&usual, options, &["app", "sleep", "600"]].concat())
        .success();
}

/// The status and output of the oldest probe that is remembered.
fn oldest_probe(lab: &Lab, name: &str) -> (i64, String) {
    let log = field(lab, name, "{{json .State.Health.Log}}");
    let log: serde_json::Value = serde_json::from_str(&log).expect("JSON");
    let output = log[0]["Output"].as_str().unwrap_or_default();
    (
        log[0]["ExitCode"].as_i64().unwrap_or_default(),
        output.trim().to_owned(),
    )
}

fn until_status(lab: &Lab, name: &str, status: &str) {
    while field(lab, name, STATUS) != status {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

#[rstest]
fn a_container_is_unhealthy_while_its_check_fails_and_healthy_when_it_succeeds(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let check = "echo looked as $(id -un); test -e /tmp/up";
    checked(&lab, "one", &["--health-cmd", check]);
    let interval = field(&lab, "one", "{{.Config.Healthcheck.Interval}}");
    assert_eq!(interval, "20000000");
    until_status(&lab, "one", "unhealthy");
    let listed = lab.rbuild(&["ps", "--filter", "health=unhealthy"]);
    let listed = listed.success().stdout;
    assert!(listed.contains(" (unhealthy) "), "{listed}");
    assert_eq!(
        oldest_probe(&lab, "one"),
        (1, "looked as www-data".to_owned())
    );

    lab.rbuild(&["exec", "one", "touch", "/tmp/up"]).success();
    until_status(&lab, "one", "healthy");
    assert_eq!(field(&lab, "one", "{{.State.Health.FailingStreak}}"), "0");
    let listed = lab.rbuild(&["ps"]).success().stdout;
    assert!(listed.contains(" (healthy) "), "{listed}");

    lab.rbuild(&["stop", "-t", "0", "one"]).success();
    assert_eq!(field(&lab, "one", STATUS), "unhealthy");
}

#[test]
fn the_check_of_the_image_is_made_unless_the_user_says_otherwise() {
    let Some(lab) = lab(Caller::Root) else { return };
    let project = lab.project("FROM app\nHEALTHCHECK --interval=20ms --retries=1 CMD false\n");
    lab.build(&project, &["-t", "app"]);
    checked(&lab, "as-built", &[]);
    until_status(&lab, "as-built", "unhealthy");
    checked(&lab, "other", &["--health-cmd", "true"]);
    until_status(&lab, "other", "healthy");
    lab.rbuild(&[
        "run",
        "-d",
        "--name",
        "none",
        "--no-healthcheck",
        "app",
        "sleep",
        "600",
    ])
    .success();
    let listed = lab.rbuild(&["ps", "-q", "--filter", "health=none"]);
    assert_eq!(listed.success().stdout.lines().count(), 1);
    let document = lab.rbuild(&["inspect", "none"]).success().stdout;
    assert!(!document.contains("\"Health\""), "{document}");
    let both = ["run", "--no-healthcheck", "--health-cmd=x", "app", "true"];
    let refused = lab.rbuild(&both).says("--no-healthcheck");
    assert_eq!(refused.status.code(), Some(125), "{refused}");
    lab.rbuild(&["rm", "-f", "as-built", "other", "none"])
        .success();
}

#[test]
fn a_check_that_takes_too_long_fails_and_is_ended() {
    let Some(lab) = lab(Caller::Root) else { return };
    let mark = mark();
    let check = format!("echo waiting; sleep {mark}");
    checked(
        &lab,
        "one",
        &["--health-timeout", "50ms", "--health-cmd", &check],
    );
    until_status(&lab, "one", "unhealthy");
    let expected = "Health check exceeded timeout (50ms)".to_owned();
    assert_eq!(oldest_probe(&lab, "one"), (-1, expected));
    lab.rbuild(&["rm", "-f", "one"]).success();
    assert_eq!(processes_with(&mark), [""; 0]);
}

#[test]
fn a_check_that_cannot_be_started_says_why() {
    let Some(lab) = lab(Caller::Root) else { return };
    let project = lab.project("FROM app\nHEALTHCHECK --interval=20ms CMD [\"nowhere\"]\n");
    lab.build(&project, &["-t", "app"]);
    checked(&lab, "one", &[]);
    until_status(&lab, "one", "unhealthy");
    let (code, output) = oldest_probe(&lab, "one");
    assert!(code == -1 && output.contains("nowhere"), "{code} {output}");
    lab.rbuild(&["rm", "-f", "one"]).success();
}

#[test]
fn a_check_cannot_keep_the_container_from_being_stopped() {
    let Some(lab) = lab(Caller::Root) else { return };
    // Whatever is started in the container is stopped where it stands, as soon as it is seen.
    let hostile = "while :; do for p in /proc/[0-9]*; do p=${p#/proc/}; \
                   [ $p = 1 ] || [ $p = $$ ] || kill -STOP $p 2>/dev/null; done; done";
    let options = [
        "--user",
        "root",
        "--health-cmd",
        "true",
        "--health-timeout",
        "50ms",
    ];
    let usual = ["run", "-d", "--name", "one", "--health-interval", "20ms"];
    let command = ["app", "sh", "-c", hostile];
    lab.rbuild(&[&usual[..], &options, &command].concat())
        .success();
    while field(&lab, "one", "{{.State.Health.FailingStreak}}") == "0" {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    lab.rbuild(&["stop", "-t", "0", "one"]).success();
    lab.rbuild(&["rm", "one"]).success();
    lab.assert_nothing_left();
}

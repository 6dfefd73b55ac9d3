//! Passwords for registries: shown, kept, used, forgotten.

use std::os::unix::fs::PermissionsExt as _;

use rbuild_testkit::{PASSWORD, Registry, RegistrySetup, USERNAME};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Caller, Lab, Running};

/// A registry that wants a password, and a place whose credentials are in `config.json` of its own.
fn locked(caller: Caller) -> Option<(Lab, Registry)> {
    let lab = Lab::with_bases(caller, &[])?;
    let setup = RegistrySetup {
        password: true,
        ..RegistrySetup::default()
    };
    Some((lab, Registry::start_with(&setup)?))
}

fn config_of(lab: &Lab) -> Value {
    let text = std::fs::read(lab.path("home/.docker/config.json")).expect("a file");
    serde_json::from_slice(&text).expect("JSON")
}

#[rstest]
fn who_has_logged_in_pushes_and_who_has_logged_out_does_not(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some((lab, registry)) = locked(caller) else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "a");
    let name = format!("{}/app:1", registry.host());
    lab.build(&project, &["-t", &name]);
    let refused = lab.rbuild(&["push", &name]).failure();
    refused.says("rbuild login");

    let host = registry.host();
    let login = ["login", "-u", USERNAME, "--password-stdin", &host];
    let done = lab.rbuild_with_input(&login, PASSWORD).success();
    assert_eq!(done.stdout, "Login Succeeded\n");
    done.says("unencrypted");
    lab.rbuild(&["push", &name]).success();

    let out = lab.rbuild(&["logout", &host]).success();
    assert_eq!(
        out.stdout,
        format!("Removing login credentials for {host}\n")
    );
    let again = lab.rbuild(&["logout", &host]).success();
    assert_eq!(again.stdout, format!("Not logged in to {host}\n"));
    lab.rbuild(&["push", &name]).failure();
}

#[test]
fn a_wrong_password_is_refused_and_not_kept() {
    let Some((lab, registry)) = locked(Caller::Root) else {
        return;
    };
    let host = registry.host();
    let login = ["login", "-u", USERNAME, "--password-stdin", &host];
    let refused = lab.rbuild_with_input(&login, "hunter2\n").failure();
    let refused = refused.says("check the user name and the password");
    assert!(!refused.stderr.contains("hunter2"), "{refused}");
    assert!(!lab.path("home/.docker/config.json").exists());
}

#[test]
fn a_login_leaves_all_else_in_the_file_as_it_was() {
    let Some((lab, registry)) = locked(Caller::Root) else {
        return;
    };
    std::fs::create_dir_all(lab.path("home/.docker")).expect("a directory");
    let before =
        json!({"zebra": [1], "auths": {"ghcr.io": {"auth": "YTpi"}}, "detachKeys": "ctrl-e"});
    std::fs::write(lab.path("home/.docker/config.json"), before.to_string()).expect("a file");
    let host = registry.host();
    let login = ["login", "-u", USERNAME, "--password-stdin", &host];
    lab.rbuild_with_input(&login, PASSWORD).success();
    let mut after = config_of(&lab);
    let kept = after["auths"]
        .as_object_mut()
        .expect("an object")
        .remove(&host);
    assert!(kept.is_some_and(|entry| entry["auth"].is_string()));
    assert_eq!(after, before);
    let mode = std::fs::metadata(lab.path("home/.docker/config.json"))
        .expect("a file")
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn a_file_that_is_not_understood_is_not_overwritten() {
    let Some((lab, registry)) = locked(Caller::Root) else {
        return;
    };
    std::fs::create_dir_all(lab.path("home/.docker")).expect("a directory");
    std::fs::write(lab.path("home/.docker/config.json"), "{\"auths\": [").expect("a file");
    let host = registry.host();
    let login = ["login", "-u", USERNAME, "--password-stdin", &host];
    lab.rbuild_with_input(&login, PASSWORD)
        .failure()
        .says("line 1, column");
    let after = std::fs::read_to_string(lab.path("home/.docker/config.json")).expect("a file");
    assert_eq!(after, "{\"auths\": [");
}

#[test]
fn a_login_without_a_terminal_says_how_to_give_the_password() {
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    lab.rbuild(&["login", "example.com"])
        .failure()
        .says("--password-stdin example.com");
    lab.rbuild_with_input(&["login", "--password-stdin"], "x")
        .failure()
        .says("--username");
}

/// A credential helper that keeps what it is told in the file `kept`.
const HELPER: &str = r#"#!/bin/sh
kept=$(dirname "$0")/kept
case $1 in
store) cat > "$kept" ;;
erase) cat > /dev/null; rm "$kept" ;;
get) cat > /dev/null
    [ -e "$kept" ] && exec cat "$kept"
    echo 'credentials not found in native keychain'; exit 1 ;;
esac
"#;

#[test]
fn a_credential_helper_keeps_the_password_in_place_of_the_file() {
    let Some((lab, registry)) = locked(Caller::Root) else {
        return;
    };
    let bin = lab.own_folder("helpers");
    let helper = bin.join("docker-credential-test");
    std::fs::write(&helper, HELPER).expect("a file");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("our own");
    std::fs::create_dir_all(lab.path("home/.docker")).expect("a directory");
    std::fs::write(
        lab.path("home/.docker/config.json"),
        r#"{"credsStore":"test"}"#,
    )
    .expect("a file");
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").expect("a path")
    );
    let run = |arguments: &[&str], input: &str| {
        let mut command = lab.command(arguments);
        Running::with_input(command.env("PATH", &path), input.as_bytes()).wait()
    };
    let host = registry.host();
    run(
        &["login", "-u", USERNAME, "--password-stdin", &host],
        PASSWORD,
    )
    .success();
    let kept = std::fs::read_to_string(bin.join("kept")).expect("the helper was asked");
    assert!(kept.contains(PASSWORD) && kept.contains(&host), "{kept}");
    assert_eq!(config_of(&lab)["auths"][&host], json!({}));
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "a");
    let name = format!("{host}/app:1");
    lab.build(&project, &["-t", &name]);
    run(&["push", &name], "").success();
    run(&["logout", &host], "").success();
    assert!(!bin.join("kept").exists());
    run(&["push", &name], "").failure();
}

#[test]
fn a_ci_systems_credentials_are_taken_from_the_environment() {
    let Some((lab, registry)) = locked(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "a");
    let host = registry.host();
    let name = format!("{host}/app:1");
    lab.build(&project, &["-t", &name]);
    let config = json!({"auths": {&host: {"username": USERNAME, "password": PASSWORD}}});
    let mut push = lab.command(&["push", &name]);
    Running::start(push.env("DOCKER_AUTH_CONFIG", config.to_string()))
        .wait()
        .success();
}

//! Passwords for registries: shown, kept, used, forgotten.

use std::os::unix::fs::PermissionsExt as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_testkit::{FaultProxy, PASSWORD, Registry, RegistrySetup, TokenRules, USERNAME};
use rstest::rstest;
use serde_json::{Value, json};

use crate::support::{Caller, Lab, Running, WebServer};

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

/// Keeps an image in the store under `name`.
fn image(lab: &Lab, name: &str) {
    let project = lab.project("FROM scratch\nCOPY a /\n");
    project.file("a", "a");
    lab.build(&project, &["-t", name]);
}

#[test]
fn a_login_of_podmans_kind_counts_for_its_part_of_a_registry() {
    let Some((lab, registry)) = locked(Caller::Root) else {
        return;
    };
    let host = registry.host();
    let file = lab.path("home/.config/containers/auth.json");
    std::fs::create_dir_all(file.parent().expect("a folder")).expect("a folder");
    let (file, part) = (file.display().to_string(), format!("{host}/team"));
    let user = ["-u", USERNAME, "-p", PASSWORD];
    let login = ["login", "--authfile", &file, "--tls-verify=false"];
    registry
        .skopeo(&[&login[..], &user, &[&part]].concat())
        .expect("skopeo logs in");
    let [inside, outside] = ["team/app:1", "other/app:1"].map(|name| format!("{host}/{name}"));
    image(&lab, &inside);
    lab.rbuild(&["tag", &inside, &outside]).success();
    lab.rbuild(&["push", &inside]).success();
    lab.rbuild(&["push", &outside]).failure();

    let done = lab.rbuild(&["logout", &part]).success();
    assert_eq!(done.stdout, format!("Not logged in to {part}\n"));
    done.says("still has credentials");
    // A login of our own for another part stands beside it.
    let login = ["login", "-u", USERNAME, "--password-stdin"];
    let other = format!("{host}/other");
    lab.rbuild_with_input(&[&login[..], &[&other]].concat(), PASSWORD)
        .success();
    lab.rbuild(&["push", &outside]).success();
    lab.rbuild(&["logout", &other]).success();
    lab.rbuild(&["push", &outside]).failure();
}

/// A place, and a registry behind a token server with these rules.
fn with_tokens(rules: TokenRules) -> Option<(Lab, Registry, FaultProxy)> {
    let lab = Lab::with_bases(Caller::Root, &[])?;
    let registry = Registry::start()?;
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    proxy.require_tokens(rules);
    Some((lab, registry, proxy))
}

#[test]
fn a_helpers_identity_token_is_changed_for_access_tokens() {
    let Some((lab, _registry, proxy)) = with_tokens(TokenRules {
        identity_token: Some("refresh me".to_owned()),
        ..TokenRules::default()
    }) else {
        return;
    };
    let name = format!("{}/app:1", proxy.host());
    image(&lab, &name);
    lab.rbuild(&["push", &name]).failure();

    let bin = lab.own_folder("helpers");
    let helper = bin.join("docker-credential-test");
    let answer = "#!/bin/sh\necho '{\"Username\":\"<token>\",\"Secret\":\"refresh me\"}'\n";
    std::fs::write(&helper, answer).expect("a file");
    std::fs::set_permissions(&helper, std::fs::Permissions::from_mode(0o755)).expect("our own");
    let path = format!(
        "{}:{}",
        bin.display(),
        std::env::var("PATH").expect("a path")
    );
    for auth in [
        json!({"credHelpers": {proxy.host(): "test"}}),
        json!({"auths": {proxy.host(): {"auth": "dTo=", "identitytoken": "refresh me"}}}),
    ] {
        proxy.revoke_tokens();
        let given = proxy.tokens_given();
        let mut push = lab.command(&["push", &name]);
        push.env("PATH", &path)
            .env("DOCKER_AUTH_CONFIG", auth.to_string());
        Running::start(&mut push).wait().success();
        assert!(proxy.tokens_given() > given, "{auth}");
    }
}

#[test]
fn a_registrys_identity_token_is_kept_in_place_of_the_password() {
    let Some((lab, _registry, proxy)) = with_tokens(TokenRules {
        basic: Some("cmJ1aWxkOmh1bnRlcjI=".to_owned()), // rbuild:hunter2
        refresh_token: Some("kept".to_owned()),
        ..TokenRules::default()
    }) else {
        return;
    };
    let host = proxy.host();
    let login = ["login", "-u", "rbuild", "--password-stdin", &host];
    let outcome = lab.rbuild_with_input(&login, "hunter2\n").success();
    assert!(outcome.stderr.contains("the token is kept"), "{outcome}");
    let entry = json!({ "auth": "cmJ1aWxkOg==", "identitytoken": "kept" });
    assert_eq!(config_of(&lab)["auths"][&host], entry);
    let name = format!("{host}/app:1");
    image(&lab, &name);
    lab.rbuild(&["push", &name]).success();
}

#[test]
fn secrets_are_in_nothing_that_a_build_says() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let proxy = FaultProxy::in_front_of(&registry.host()).expect("a proxy");
    let basic = BASE64.encode(format!("{USERNAME}:{PASSWORD}"));
    proxy.require_tokens(TokenRules {
        basic: Some(basic.clone()),
        ..TokenRules::default()
    });
    let auth = json!({"auths": {proxy.host(): {"auth": basic}}}).to_string();
    let web = WebServer::start(&lab.own_folder("web"));
    std::fs::write(lab.path("web/a"), "a").expect("a file");
    let url = web.url.replace("http://", "http://someone:hunter3@");
    let project = lab.project(&format!(
        "FROM busybox\nADD {url}/a?X-Amz-Signature=hunter4&b=1 /a\nRUN --mount=type=secret,id=key test -s /run/secrets/key\n"
    ));
    let name = format!("{}/app:1", proxy.host());
    let mut said = String::new();
    for (progress, auth) in [("plain", "{}"), ("plain", &auth), ("rawjson", &auth)] {
        let arguments = [
            "--debug",
            "--explain",
            "--progress",
            progress,
            "--secret",
            "id=key,env=KEY",
            "--metadata-file",
            "meta.json",
            "--push",
            "-t",
            &name,
        ];
        let mut command = lab.build_command(&arguments);
        command.arg(&project.dir);
        command
            .env("DOCKER_AUTH_CONFIG", auth)
            .env("KEY", "hunter2");
        let outcome = Running::start(&mut command).wait();
        assert_eq!(outcome.status.success(), auth != "{}", "{outcome}");
        if auth == "{}" {
            let last = outcome.last_words();
            assert!(last.starts_with("ERROR: failed to "), "{outcome}");
            assert!(last.contains("(log in with `rbuild login "), "{outcome}");
        }
        said.push_str(&outcome.stdout);
        said.push_str(&outcome.stderr);
    }
    let missing = lab.project("FROM scratch\nARG URL\nADD $URL /\n");
    let missing = lab.try_build(
        &missing,
        &["--build-arg", &format!("URL={url}/missing?token=hunter4")],
    );
    said.push_str(&missing.failure().stderr);
    assert!(!said.contains("hunter4"), "it is in:\n{said}");
    said.push_str(&std::fs::read_to_string(lab.path("out/meta.json")).expect("a file"));
    for secret in [PASSWORD, &basic, "token-", "hunter2", "hunter3"] {
        assert!(!said.contains(secret), "{secret:?} is in:\n{said}");
    }
}

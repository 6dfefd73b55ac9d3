use super::*;

fn credentials(json: &str) -> (tempfile::TempDir, DockerConfig) {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("config.json");
    std::fs::write(&path, json).expect("a file");
    (dir, DockerConfig::new([path]))
}

fn password(username: &str, password: &str) -> Credential {
    Credential::Password {
        username: username.to_owned(),
        password: password.to_owned(),
    }
}

#[test]
fn docker_hub_is_found_under_its_old_url() {
    let (_dir, config) =
        credentials(r#"{"auths":{"https://index.docker.io/v1/":{"auth":"YWxpY2U6czpjcmV0"}}}"#);
    let found = config.get("docker.io", None).expect("a lookup");
    assert_eq!(found, Some(password("alice", "s:cret")));
    assert_eq!(config.get("ghcr.io", None).expect("a lookup"), None);
}

#[test]
fn every_kind_of_entry_is_read() {
    let (_dir, config) = credentials(
        r#"{"auths":{
            "localhost:5000":{"username":"u","password":"p"},
            "https://old.example.com/v2/":{"auth":"dTpw"},
            "id.example.com":{"auth":"dTo=","identitytoken":"refresh"},
            "tok.example.com":{"registrytoken":"access"},
            "empty.example.com":{}, "null.example.com":null}}"#,
    );
    let get = |registry| config.get(registry, None).expect("a lookup");
    assert_eq!(get("localhost:5000"), Some(password("u", "p")));
    assert_eq!(get("old.example.com"), Some(password("u", "p")));
    assert_eq!(
        get("id.example.com"),
        Some(Credential::IdentityToken("refresh".to_owned()))
    );
    assert_eq!(
        get("tok.example.com"),
        Some(Credential::RegistryToken("access".to_owned()))
    );
    assert_eq!(get("empty.example.com"), None);
    assert_eq!(get("null.example.com"), None);
}

#[test]
fn a_missing_file_holds_nothing_and_the_first_that_knows_wins() {
    let (_one, first) = credentials(r#"{"auths":{"a.io":{"auth":"dTox"}}}"#);
    let (_two, second) =
        credentials(r#"{"auths":{"a.io":{"auth":"dToy"},"b.io":{"auth":"dToz"}}}"#);
    let paths = [PathBuf::from("/nonexistent/config.json")]
        .into_iter()
        .chain(first.paths)
        .chain(second.paths);
    let config = DockerConfig::new(paths);
    assert_eq!(
        config.get("a.io", None).expect("a lookup"),
        Some(password("u", "1"))
    );
    assert_eq!(
        config.get("b.io", None).expect("a lookup"),
        Some(password("u", "3"))
    );
}

#[test]
fn errors_and_debug_output_hold_no_secret() {
    let (_dir, config) = credentials(r#"{"auths":{"a.io":{"auth":"!!hunter2!!"}}}"#);
    let error = config
        .get("a.io", None)
        .expect_err("not base64")
        .to_string();
    assert!(
        error.contains("a.io") && !error.contains("hunter2"),
        "{error}"
    );
    let (_dir, config) = credentials(r#"{"auths":{"a.io":{"auth":"hunter2"}}"#);
    let error = config.get("a.io", None).expect_err("not JSON").to_string();
    assert!(
        error.contains("line 1") && !error.contains("hunter2"),
        "{error}"
    );
    assert!(!format!("{:?}", password("u", "hunter2")).contains("hunter2"));
}

#[test]
fn a_missing_helper_is_an_error_that_names_it() {
    let (_dir, config) = credentials(r#"{"credHelpers":{"a.io":"rbuild-test-missing"}}"#);
    let error = config.get("a.io", None).expect_err("no helper").to_string();
    assert!(
        error.contains("docker-credential-rbuild-test-missing"),
        "{error}"
    );
    assert_eq!(config.get("b.io", None).expect("a lookup"), None);
}

#[test]
fn the_entry_of_the_longest_path_counts() {
    let (_dir, config) = credentials(
        r#"{"auths":{
            "quay.io":{"auth":"dTox"},
            "quay.io/team":{"auth":"dToy"},
            "quay.io/team/app":{"auth":"dToz"},
            "docker.io/library":{"auth":"dTo0"},
            "only.io/team":{"auth":"dTo1"}}}"#,
    );
    let get = |registry: &str, path: &str| config.get(registry, Some(path)).expect("a lookup");
    assert_eq!(get("quay.io", "team/app"), Some(password("u", "3")));
    assert_eq!(get("quay.io", "team/app/debug"), Some(password("u", "3")));
    assert_eq!(get("quay.io", "team/application"), Some(password("u", "2")));
    assert_eq!(get("quay.io", "teams/app"), Some(password("u", "1")));
    assert_eq!(
        get("docker.io", "library/busybox"),
        Some(password("u", "4"))
    );
    assert_eq!(get("docker.io", "me/app"), None);
    assert_eq!(get("only.io", "other/app"), None);
    assert_eq!(config.get("only.io", None).expect("a lookup"), None);
}

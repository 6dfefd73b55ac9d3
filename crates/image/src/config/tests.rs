use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::canonical_json;

/// What `docker commit` and the classic builder write: every field, `null` for nothing.
const DOCKER: &str = r#"{
  "architecture": "amd64",
  "config": {
    "Hostname": "", "Domainname": "", "User": "", "AttachStdin": false, "Tty": false,
    "ExposedPorts": {"80/tcp": {}}, "Env": ["PATH=/bin"], "Cmd": null, "Image": "sha256:ab",
    "Volumes": null, "WorkingDir": "", "Entrypoint": null, "OnBuild": null, "Labels": null
  },
  "container": "0123", "docker_version": "20.10",
  "created": "2026-01-02T03:04:05.000000006Z",
  "history": [{"created": "2026-01-02T03:04:05Z", "created_by": "/bin/sh -c #(nop) CMD", "empty_layer": true}],
  "os": "linux",
  "rootfs": {"type": "layers", "diff_ids": ["sha256:1111111111111111111111111111111111111111111111111111111111111111"]}
}"#;

/// What `BuildKit` writes.
const BUILDKIT: &str = r#"{"architecture":"arm64","variant":"v8","os":"linux","os.features":["x"],"created":"2026-01-02T03:04:05Z","config":{"User":"1000","ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin","A=b"],"Entrypoint":["/app"],"Cmd":[],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":2},"ArgsEscaped":true,"Volumes":{"/data":{}},"WorkingDir":"/w","OnBuild":["RUN x"],"Labels":{"b":"2","a":"<&>"},"StopSignal":"SIGINT","Shell":["/bin/bash","-c"]},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":"2026-01-02T03:04:05Z","created_by":"CMD []","comment":"buildkit.dockerfile.v0","empty_layer":true}],"moby.buildkit.cache.v0":"e30="}"#;

fn rewritten(text: &str) -> Value {
    let config = ImageConfig::from_json(text.as_bytes()).expect("a config");
    serde_json::from_slice(&canonical_json(&config).expect("JSON")).expect("a value")
}

/// `value` without fields that are null, false or the empty string: what leaving out means.
fn without_nothing(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .filter(|(_, v)| !v.is_null() && v != &json!("") && v != &json!(false))
            .map(|(k, v)| (k, without_nothing(v)))
            .collect(),
        other => other,
    }
}

#[test]
fn dockers_nulls_read_as_not_set_and_nothing_else_is_lost() {
    let before: Value = serde_json::from_str(DOCKER).expect("JSON");
    assert_eq!(without_nothing(rewritten(DOCKER)), without_nothing(before));
    let config = ImageConfig::from_json(DOCKER.as_bytes()).expect("a config");
    assert_eq!(config.config.entrypoint, None);
    assert_eq!(config.config.other["AttachStdin"], json!(false));
    assert_eq!(config.other["docker_version"], json!("20.10"));
}

#[test]
fn buildkits_config_comes_back_field_for_field() {
    assert_eq!(
        rewritten(BUILDKIT),
        serde_json::from_str::<Value>(BUILDKIT).expect("JSON")
    );
}

#[test]
fn an_empty_command_is_not_a_missing_one() {
    let config = ImageConfig::from_json(BUILDKIT.as_bytes()).expect("a config");
    assert_eq!(config.config.cmd, Some(vec![]));
    assert_eq!(
        rewritten(r#"{"config":{"Cmd":[],"Entrypoint":null}}"#)["config"],
        json!({"Cmd": []})
    );
}

#[test]
fn everything_may_be_null() {
    let text = r#"{"architecture":null,"os":null,"config":null,"history":null,"author":null,"variant":null,
        "rootfs":{"type":"layers","diff_ids":null}}"#;
    assert_eq!(
        ImageConfig::from_json(text.as_bytes()).expect("a config"),
        ImageConfig::default()
    );
}

#[test]
fn the_platform_is_read_from_the_config() {
    let config = ImageConfig::from_json(BUILDKIT.as_bytes()).expect("a config");
    assert_eq!(config.platform().to_string(), "linux/arm64");
}

/// The bytes that every image ID hangs on: when this test fails, all image digests change.
#[test]
fn the_written_form_is_golden() {
    let mut config = ImageConfig::from_json(BUILDKIT.as_bytes()).expect("a config");
    config.variant = String::new();
    insta::assert_snapshot!(
        String::from_utf8(canonical_json(&config).expect("JSON")).expect("UTF-8"),
        @r#"{"architecture":"arm64","os":"linux","created":"2026-01-02T03:04:05Z","config":{"User":"1000","ExposedPorts":{"80/tcp":{}},"Env":["PATH=/bin","A=b"],"Entrypoint":["/app"],"Cmd":[],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":5000000000,"Retries":2},"ArgsEscaped":true,"Volumes":{"/data":{}},"WorkingDir":"/w","OnBuild":["RUN x"],"Labels":{"a":"<&>","b":"2"},"StopSignal":"SIGINT","Shell":["/bin/bash","-c"]},"rootfs":{"type":"layers","diff_ids":[]},"history":[{"created":"2026-01-02T03:04:05Z","created_by":"CMD []","comment":"buildkit.dockerfile.v0","empty_layer":true}],"moby.buildkit.cache.v0":"e30=","os.features":["x"]}"#
    );
}

#[test]
fn a_config_that_is_none_is_refused() {
    assert!(ImageConfig::from_json(b"[1]").is_err());
    assert!(
        ImageConfig::from_json(br#"{"rootfs":{"type":"layers","diff_ids":["md5:1"]}}"#).is_err()
    );
}

proptest! {
    #[test]
    fn any_config_of_ours_reads_back_the_same(
        user in "[a-z]{0,4}",
        env in proptest::option::of(proptest::collection::vec("[A-Z]=.{0,5}", 0..4)),
        cmd in proptest::option::of(proptest::collection::vec(".{0,5}", 0..4)),
        labels in proptest::collection::btree_map("[a-z.]{1,5}", ".{0,5}", 0..4),
        interval in 0..i64::MAX,
        unknown in "[a-z]{3,9}-x",
    ) {
        let config = ImageConfig {
            config: RuntimeConfig {
                user, env, cmd, labels,
                healthcheck: Some(Healthcheck { interval, ..Healthcheck::default() }),
                other: [(unknown, json!([1, null, {"b": 1, "a": 2}]))].into(),
                ..RuntimeConfig::default()
            },
            ..ImageConfig::default()
        };
        let bytes = canonical_json(&config).expect("JSON");
        prop_assert_eq!(ImageConfig::from_json(&bytes).expect("a config"), config);
    }
}

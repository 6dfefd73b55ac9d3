//! Tests of `stores`.

use rbuild_objects::{BucketStyle, S3Credentials};

use super::*;
use crate::commands::build::request::fields;

fn parse(text: &str, variables: &[(&str, &str)]) -> anyhow::Result<Store> {
    let mut fields: BTreeMap<String, String> = fields(text).into_iter().collect();
    let kind = fields.remove("type").expect("a type");
    let find = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    let given = Given {
        fields,
        variable: &find,
        now: SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000),
    };
    Store::parse(&kind, given, Way::To)
}

#[test]
fn fields_come_before_variables() {
    let variables = [
        ("AWS_BUCKET", "other"),
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "id"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let text = "type=s3,bucket=own,prefix=ci/,name=main;pr,use_path_style=true,touch_refresh=1h,upload_parallelism=2,retry_max_attempts=9";
    let store = parse(text, &variables).expect("valid");
    assert_eq!(store.names, ["main", "pr"]);
    let Kind::S3(options) = store.kind else {
        panic!("{:?}", store.kind);
    };
    assert_eq!(
        (options.bucket.as_str(), options.region.as_str()),
        ("own", "eu-west-1")
    );
    assert_eq!(
        (options.prefix.as_str(), options.style),
        ("ci/", BucketStyle::Path)
    );
    assert_eq!((options.upload_parallelism, options.attempts), (2, 9));
    let hour_before = SystemTime::UNIX_EPOCH + Duration::from_secs(996_400);
    assert_eq!(options.refresh_before, Some(hour_before));
    assert!(matches!(
        options.credentials,
        S3Credentials::Key { token: None, .. }
    ));
}

#[test]
fn outside_of_a_workflow_there_is_no_actions_cache() {
    let store = parse("type=gha,scope=x", &[]).expect("valid");
    assert!(matches!(store.kind, Kind::Absent));
    let variables = [
        ("ACTIONS_RESULTS_URL", "https://results.example/"),
        ("ACTIONS_RUNTIME_TOKEN", "secret"),
    ];
    let store = parse("type=gha,scope=x,ghtoken=t,repository=a/b", &variables);
    assert!(matches!(store.expect("valid").kind, Kind::Gha(options) if options.scope == "x"));
}

#[test]
fn mistakes_are_told() {
    for (text, word) in [
        ("type=s3,region=x", "bucket="),
        ("type=s3,bucket=b", "region="),
        ("type=s3,bucket=b,region=x,colour=red", "\"colour\""),
        (
            "type=s3,bucket=b,region=x,access_key_id=i",
            "belong together",
        ),
        ("type=s3,bucket=b,region=x,upload_parallelism=0", "above 0"),
        (
            "type=s3,bucket=b,region=x,retry_mode=adaptive",
            "retry_mode",
        ),
        ("type=azblob", "account_url="),
        ("type=gha,version=1", "version 2"),
        ("type=gha,timeout=soon", "timeout=soon"),
    ] {
        let told = format!("{:#}", parse(text, &[]).expect_err(text));
        assert!(told.contains(word), "{text}: {told}");
    }
}

#[test]
fn secrets_are_not_shown() {
    let text = "type=s3,access_key_id=i,secret_access_key=hunter2,\"token=hunter3\",mode=max";
    let shown = shown(text);
    assert!(!shown.contains("hunter"), "{shown}");
    assert!(shown.ends_with("mode=max"), "{shown}");
}

//! A bucket as a store, against a server of S3 that checks signatures.

use std::io::{self, Read};
use std::time::{Duration, SystemTime};

use rbuild_objects::{
    Bucket, ObjectName, Objects, ObjectsError, S3Credentials, S3Options, WebOptions,
};
use rbuild_testkit::{Fault, FaultProxy, Rule, S3Server};

/// Needs three parts.
const LARGE: usize = (17 << 20) + 5;

fn name(text: &str) -> ObjectName {
    text.parse().expect("a name")
}

fn options(server: &S3Server, host: &str) -> S3Options {
    S3Options {
        endpoint_url: Some(format!("http://{host}")),
        credentials: S3Credentials::Key {
            id: server.access_key_id.clone(),
            secret: server.secret_access_key.clone(),
            token: None,
        },
        ..S3Options::new(S3Server::BUCKET, "us-east-1")
    }
}

fn bucket(options: &S3Options) -> Bucket {
    Bucket::s3(options, WebOptions::default()).expect("a bucket")
}

/// Bytes that no compression and no order hides errors in.
fn bytes(count: usize) -> Vec<u8> {
    let step = |x: &mut u32| {
        *x ^= *x << 13;
        *x ^= *x >> 17;
        *x ^= *x << 5;
        Some(*x as u8)
    };
    std::iter::successors(Some(1_u32), |_| Some(1))
        .scan(2_463_534_242, |x, _| step(x))
        .take(count)
        .collect()
}

fn contents(store: &Bucket, text: &str) -> Option<Vec<u8>> {
    let mut object = store.open(&name(text)).expect("open")?;
    let mut found = Vec::new();
    object.reader.read_to_end(&mut found).expect("read");
    assert_eq!(object.size, Some(found.len() as u64));
    Some(found)
}

/// One server for all that does not need its own: starting one takes longer than all the tests.
#[test]
fn a_bucket_keeps_objects() {
    let Some(server) = S3Server::start() else {
        return;
    };
    small_and_large_objects_come_back(&server);
    a_hint_is_replaced(&server);
    prefixes_say_where_objects_are(&server);
    a_size_that_is_wrong_leaves_nothing(&server);
    many_writers_get_along(&server);
    old_objects_get_a_new_date(&server);
    what_is_wrong_is_said(&server);
    faults_on_the_way_are_overcome(&server);
}

fn small_and_large_objects_come_back(server: &S3Server) {
    let store = bucket(&options(server, &server.host));
    assert_eq!(store.address(), "s3://cache/manifests");
    for (text, count) in [
        ("blobs/empty", 0),
        ("blobs/small", 5),
        ("blobs/large", LARGE),
    ] {
        let written = bytes(count);
        assert_eq!(store.size(&name(text)).expect("size"), None);
        assert_eq!(contents(&store, text), None);
        assert_eq!(store.read(&name(text)).expect("read"), None);
        store
            .write(&name(text), count as u64, &mut written.as_slice())
            .expect("write");
        assert_eq!(store.size(&name(text)).expect("size"), Some(count as u64));
        assert!(contents(&store, text).expect("it is there") == written);
        assert!(store.read(&name(text)).expect("read").expect("it is there") == written);
        store
            .write(&name(text), count as u64, &mut Broken)
            .expect("what is there is not sent again");
    }
}

fn a_hint_is_replaced(server: &S3Server) {
    let store = bucket(&options(server, &server.host));
    for text in ["one", "two"] {
        let hint = name("latest/main.json");
        store.replace(&hint, text.as_bytes()).expect("replace");
        assert_eq!(store.read(&hint).expect("read"), Some(text.into()));
    }
}

fn prefixes_say_where_objects_are(server: &S3Server) {
    let plain = S3Options {
        blobs_prefix: String::new(),
        manifests_prefix: String::new(),
        ..options(server, &server.host)
    };
    let ours = S3Options {
        prefix: "ci/".to_owned(),
        blobs_prefix: "b/".to_owned(),
        manifests_prefix: "m/".to_owned(),
        ..plain.clone()
    };
    let store = bucket(&ours);
    store
        .replace(&name("blobs/sha256/00"), b"b")
        .expect("write");
    store
        .replace(&name("entries/00.json"), b"e")
        .expect("write");
    let all = bucket(&plain);
    assert_eq!(contents(&all, "ci/b/sha256/00"), Some(b"b".to_vec()));
    assert_eq!(contents(&all, "ci/m/entries/00.json"), Some(b"e".to_vec()));
}

fn a_size_that_is_wrong_leaves_nothing(server: &S3Server) {
    let store = bucket(&options(server, &server.host));
    for count in [5, LARGE] {
        let written = bytes(count);
        for announced in [count as u64 - 1, count as u64 + 1] {
            let wrong = store.write(&name("blobs/wrong"), announced, &mut written.as_slice());
            assert!(matches!(wrong, Err(ObjectsError::Size { .. })), "{wrong:?}");
        }
    }
    let broken = store.write(&name("blobs/wrong"), 5, &mut Broken);
    assert!(
        matches!(broken, Err(ObjectsError::Source { .. })),
        "{broken:?}"
    );
    assert_eq!(store.size(&name("blobs/wrong")).expect("size"), None);
}

fn many_writers_get_along(server: &S3Server) {
    let store = bucket(&options(server, &server.host));
    let large = bytes(LARGE);
    std::thread::scope(|scope| {
        for i in 0..3 {
            let (store, large) = (&store, &large);
            scope.spawn(move || {
                let own = format!("blobs/own{i}");
                for text in ["blobs/shared", &own] {
                    let size = large.len() as u64;
                    store
                        .write(&name(text), size, &mut large.as_slice())
                        .expect("write");
                }
                assert!(contents(store, &own).as_ref() == Some(large));
            });
        }
    });
    assert!(contents(&store, "blobs/shared") == Some(large));
}

fn old_objects_get_a_new_date(server: &S3Server) {
    let proxy = FaultProxy::in_front_of(&server.host).expect("a proxy");
    let at = |before| S3Options {
        refresh_before: Some(before),
        ..options(server, &proxy.host())
    };
    let day = Duration::from_secs(24 * 60 * 60);
    let blob = name("blobs/kept");
    let write = |options: &S3Options| {
        let written = bucket(options).write(&blob, 5, &mut &b"hello"[..]);
        written.expect("write");
        proxy.count("PUT", "/kept")
    };
    assert_eq!(write(&at(SystemTime::now() - day)), 1, "it was not there");
    assert_eq!(write(&at(SystemTime::now() - day)), 1, "it is young");
    assert_eq!(write(&at(SystemTime::now() + day)), 2, "it is old");
    let copy = proxy.requests();
    let copy = copy.iter().rfind(|request| request.method == "PUT");
    let header = |name| copy.expect("a copy").header(name);
    assert_eq!(header("x-amz-copy-source"), Some("cache/blobs/kept"));
    assert_eq!(header("x-amz-metadata-directive"), Some("REPLACE"));
    let store = bucket(&options(server, &server.host));
    assert_eq!(contents(&store, "blobs/kept"), Some(b"hello".to_vec()));
}

fn what_is_wrong_is_said(server: &S3Server) {
    let good = options(server, &server.host);
    let mut wrong_secret = good.clone();
    if let S3Credentials::Key { secret, .. } = &mut wrong_secret.credentials {
        secret.push('x');
    }
    let said = |options: &S3Options| {
        let store = bucket(options);
        let error = store
            .read(&name("latest/main.json"))
            .expect_err("it is wrong");
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        format!("{error}: {}", cause.unwrap_or_default())
    };
    insta::assert_snapshot!(said(&wrong_secret), @"read s3://cache/manifests/latest/main.json: access denied: SignatureDoesNotMatch: The request signature we calculated does not match the signature you provided. Check your key and signing method.");
    let other_bucket = S3Options {
        bucket: "nowhere".to_owned(),
        ..good.clone()
    };
    insta::assert_snapshot!(said(&other_bucket), @"read s3://nowhere/manifests/latest/main.json: NoSuchBucket: The specified bucket does not exist");
    let nobody = S3Options {
        endpoint_url: Some("http://127.0.0.1:9".to_owned()),
        attempts: 2,
        ..good.clone()
    };
    insta::assert_snapshot!(said(&nobody), @"read s3://cache/manifests/latest/main.json: GET http://127.0.0.1:9/cache/manifests/latest/main.json: Connection refused (os error 111)");
    let unknown_host = S3Options {
        endpoint_url: Some("http://s3.invalid".to_owned()),
        attempts: 1,
        ..good
    };
    insta::assert_snapshot!(said(&unknown_host), @"read s3://cache/manifests/latest/main.json: GET http://cache.s3.invalid/manifests/latest/main.json: failed to lookup address information: Name or service not known");
}

fn faults_on_the_way_are_overcome(server: &S3Server) {
    let proxy = FaultProxy::in_front_of(&server.host).expect("a proxy");
    let store = bucket(&options(server, &proxy.host()));
    let large = bytes(LARGE);
    for rule in [
        Rule::once("PUT", "partNumber=1", Fault::status(503)),
        Rule::once("PUT", "partNumber=2", Fault::status(429)),
        Rule::once("PUT", "partNumber=3", Fault::DropUploadAfter(100)),
        Rule::once("GET", "/faulty", Fault::TruncateAfter(1 << 20)),
    ] {
        proxy.inject(rule);
    }
    let blob = name("blobs/faulty");
    store
        .write(&blob, large.len() as u64, &mut large.as_slice())
        .expect("write");
    assert!(contents(&store, "blobs/faulty") == Some(large));
    assert_eq!(proxy.count("GET", "/faulty"), 2, "the rest was asked for");
    proxy.inject(Rule::always("PUT", "/given-up", Fault::status(500)));
    let given_up = bucket(&S3Options {
        attempts: 2,
        ..options(server, &proxy.host())
    });
    let failed = given_up.write(&name("blobs/given-up"), 1, &mut &b"x"[..]);
    assert!(
        matches!(failed, Err(ObjectsError::Store { .. })),
        "{failed:?}"
    );
    assert_eq!(proxy.count("PUT", "/given-up"), 2);
}

/// Cannot be read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

//! GitHub's Actions cache as a store, against a stand-in that follows its protocol.

use std::error::Error;
use std::io::{self, Read};
use std::time::Duration;

use rbuild_objects::{Gha, GhaOptions, ObjectName, Objects, ObjectsError, WebOptions};
use rbuild_testkit::{ActionsCache, Fault, FaultProxy, Rule};

/// Needs three blocks.
const LARGE: usize = (17 << 20) + 5;

fn name(text: &str) -> ObjectName {
    text.parse().expect("a name")
}

fn options(host: &str) -> GhaOptions {
    GhaOptions {
        url: format!("http://{host}/"),
        token: ActionsCache::TOKEN.to_owned(),
        scope: "main".to_owned(),
        timeout: Duration::from_secs(60),
        writer: "run-1".to_owned(),
    }
}

fn store(options: &GhaOptions) -> Gha {
    Gha::new(options, WebOptions::default()).expect("a store")
}

fn cache() -> ActionsCache {
    ActionsCache::start().expect("a cache")
}

/// Every byte is told from those around it and one block later.
fn bytes(count: usize) -> Vec<u8> {
    (0..count)
        .map(|at| (at ^ (at >> 8) ^ (at >> 16)) as u8)
        .collect()
}

fn contents(store: &Gha, text: &str) -> Option<Vec<u8>> {
    let mut object = store.open(&name(text)).expect("open")?;
    let mut found = Vec::new();
    object.reader.read_to_end(&mut found).expect("read");
    Some(found)
}

#[test]
fn small_and_large_objects_come_back() {
    let cache = cache();
    let store = store(&options(&cache.host()));
    for (text, count) in [("blobs/a", 0), ("blobs/b", 5), ("entries/c.json", LARGE)] {
        let written = bytes(count);
        assert_eq!(store.size(&name(text)).expect("size"), None);
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

#[test]
fn keys_stay_what_they_are() {
    let cache = cache();
    let store = store(&options(&cache.host()));
    for text in ["blobs/sha256/00", "entries/00.json"] {
        store.write(&name(text), 1, &mut &b"x"[..]).expect("write");
    }
    store
        .replace(&name("latest/x.json"), b"x")
        .expect("replace");
    let keys = [
        "rbuild-1-blobs/sha256/00#1",
        "rbuild-1-main-entries/00.json#1",
        "rbuild-1-main-latest/x.json#run-1-0",
    ];
    assert_eq!(cache.keys(), keys, "caches that people have would be lost");
}

#[test]
fn the_newest_hint_counts() {
    let cache = cache();
    let ours = store(&options(&cache.host()));
    let theirs = store(&GhaOptions {
        writer: "run-2".to_owned(),
        ..options(&cache.host())
    });
    let hint = name("latest/main.json");
    for (writer, text) in [(&ours, "1"), (&theirs, "2"), (&ours, "3"), (&ours, "4")] {
        writer.replace(&hint, text.as_bytes()).expect("replace");
        let other = name("latest/main");
        writer.replace(&other, b"other").expect("replace");
        assert_eq!(ours.read(&hint).expect("read"), Some(text.into()));
    }
}

#[test]
fn scopes_share_blobs_and_nothing_else() {
    let cache = cache();
    let ours = store(&options(&cache.host()));
    let theirs = store(&GhaOptions {
        scope: "other".to_owned(),
        ..options(&cache.host())
    });
    for text in ["blobs/00", "entries/00"] {
        ours.write(&name(text), 1, &mut &b"x"[..]).expect("write");
    }
    assert_eq!(
        theirs.read(&name("blobs/00")).expect("read"),
        Some(b"x".to_vec())
    );
    assert_eq!(theirs.read(&name("entries/00")).expect("read"), None);
}

#[test]
fn a_key_whose_writer_died_does_not_stay_empty_for_ever() {
    let cache = cache();
    let store = store(&options(&cache.host()));
    let blob = name("blobs/00");
    store.write(&blob, 1, &mut &b"x"[..]).expect("write");
    cache.abandon("rbuild-1-blobs/00#1");
    assert_eq!(store.read(&blob).expect("read"), None);
    store.write(&blob, 1, &mut &b"x"[..]).expect("write");
    assert_eq!(store.read(&blob).expect("read"), Some(b"x".to_vec()));
    assert_eq!(cache.keys(), ["rbuild-1-blobs/00#2"]);
}

#[test]
fn many_writers_of_one_blob_send_it_once_or_twice() {
    let cache = cache();
    let proxy = FaultProxy::in_front_of(&cache.host()).expect("a proxy");
    let large = bytes(LARGE);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let own = store(&options(&proxy.host()));
                let written = own.write(&name("blobs/00"), LARGE as u64, &mut large.as_slice());
                written.expect("write");
            });
        }
    });
    let uploads = proxy.count("PUT", "comp=blocklist");
    assert!((1..=2).contains(&uploads), "{uploads}");
    let store = store(&options(&cache.host()));
    assert!(contents(&store, "blobs/00") == Some(large));
}

#[test]
fn faults_on_the_way_are_overcome() {
    let cache = cache();
    let proxy = FaultProxy::in_front_of(&cache.host()).expect("a proxy");
    let throttled = || Fault::status_with(429, "Retry-After", "0");
    for rule in [
        Rule::times("POST", "CreateCacheEntry", 8, throttled()),
        Rule::once("POST", "FinalizeCacheEntryUpload", Fault::status(502)),
        Rule::once("POST", "GetCacheEntryDownloadURL", throttled()),
        Rule::once("PUT", "comp=block&", Fault::status(503)),
        Rule::once("PUT", "comp=block&", Fault::DropUploadAfter(100)),
        Rule::once("GET", "/blobs/", Fault::TruncateAfter(1 << 20)),
    ] {
        proxy.inject(rule);
    }
    let large = bytes(LARGE);
    let store = store(&options(&proxy.host()));
    let blob = name("blobs/00");
    store
        .write(&blob, LARGE as u64, &mut large.as_slice())
        .expect("write");
    assert!(contents(&store, "blobs/00") == Some(large));
    assert_eq!(proxy.count("GET", "/blobs/"), 2, "the rest was asked for");
}

#[test]
fn a_service_that_stays_busy_is_given_up_in_time() {
    let cache = cache();
    let proxy = FaultProxy::in_front_of(&cache.host()).expect("a proxy");
    proxy.inject(Rule::always(
        "POST",
        "/twirp/",
        Fault::status_with(429, "Retry-After", "3600"),
    ));
    let store = store(&options(&proxy.host()));
    let failed = store.read(&name("latest/x")).expect_err("it is busy");
    assert_eq!(
        chain(&failed),
        "find gha:main/latest/x: the service answers with 429"
    );
}

#[test]
fn what_is_wrong_is_said_without_secrets() {
    let cache = cache();
    let wrong_token = store(&GhaOptions {
        token: "expired".to_owned(),
        ..options(&cache.host())
    });
    let denied = wrong_token.read(&name("latest/x")).expect_err("no");
    assert!(matches!(denied, ObjectsError::Denied { .. }), "{denied:?}");
    assert_eq!(
        chain(&denied),
        "find gha:main/latest/x: access denied: the service answers with 401: the token is not valid"
    );
    let good = store(&options(&cache.host()));
    for (announced, source) in [(4, b"hello"), (6, b"hello")] {
        let wrong = good.write(&name("blobs/00"), announced, &mut &source[..]);
        assert!(matches!(wrong, Err(ObjectsError::Size { .. })), "{wrong:?}");
    }
    assert_eq!(good.read(&name("blobs/00")).expect("read"), None);
    let proxy = FaultProxy::in_front_of(&cache.host()).expect("a proxy");
    proxy.inject(Rule::always("PUT", "/blobs/", Fault::status(403)));
    let refused = store(&options(&proxy.host())).write(&name("blobs/01"), 1, &mut &b"x"[..]);
    let refused = chain(&refused.expect_err("it is refused"));
    assert!(!refused.contains("sig="), "{refused}");
    for (url, scope) in [("results.example", "main"), ("https://x/", "a,b")] {
        let wrong = GhaOptions {
            url: url.to_owned(),
            scope: scope.to_owned(),
            ..options("x")
        };
        let made = Gha::new(&wrong, WebOptions::default());
        assert!(matches!(made, Err(ObjectsError::Config { .. })), "{made:?}");
    }
}

/// An error and its causes.
fn chain(error: &ObjectsError) -> String {
    let first: &dyn Error = error;
    let all = std::iter::successors(Some(first), |error| (*error).source());
    let texts: Vec<String> = all.map(ToString::to_string).collect();
    texts.join(": ")
}

/// Cannot be read.
struct Broken;

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

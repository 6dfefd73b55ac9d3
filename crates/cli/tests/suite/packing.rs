//! A layer's files are read once and packed once, however many get it.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rbuild_testkit::{Registry, require};
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;

use crate::support::{Caller, Lab, run};

/// Forty MB in a layer that is in no output unless it is asked for.
const LARGE: &str = "FROM busybox AS large
RUN dd if=/dev/urandom of=/large bs=1M count=40 2>/dev/null
FROM scratch
COPY --from=large /etc/passwd /
";

/// Counts how often a file is opened.
struct Opened(OwnedFd);

impl Opened {
    fn watch(file: &Path) -> Self {
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).expect("inotify");
        inotify::add_watch(&events, file, WatchFlags::OPEN).expect("a watch");
        Self(events)
    }

    /// Since the last time.
    fn count(&self) -> usize {
        let mut buffer = [const { std::mem::MaybeUninit::uninit() }; 4096];
        let mut reader = Reader::new(&self.0, &mut buffer);
        let mut count = 0;
        loop {
            match reader.next() {
                Ok(event) if event.events().contains(ReadFlags::OPEN) => count += 1,
                Ok(_) => {}
                Err(Errno::AGAIN) => return count,
                Err(error) => panic!("inotify: {error}"),
            }
        }
    }
}

/// The file `large` of a layer of the store.
fn large(lab: &Lab) -> PathBuf {
    let layers = std::fs::read_dir(lab.root().join("layers")).expect("layers");
    let files = layers.map(|layer| layer.expect("a layer").path().join("diff/large"));
    let mut found: Vec<_> = files.filter(|file| file.exists()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

#[test]
fn a_layer_is_read_once_for_its_digest_and_for_all_that_get_it_packed() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let project = lab.project(LARGE);
    lab.build(&project, &["-o", "type=cacheonly"]);
    let opened = Opened::watch(&large(&lab));

    let name = |name: &str| format!("type=registry,name={}/{name}", registry.host());
    let cache = format!("type=registry,mode=max,ref={}/cache:1", registry.host());
    let archive = format!("type=oci,dest={}", lab.path("large.tar").display());
    let [first, second] = [name("first:1"), name("second:1")];
    let outputs = [
        "-o",
        &first,
        "-o",
        &second,
        "-o",
        &archive,
        "--cache-to",
        &cache,
    ];
    let large = ["--target", "large"];
    lab.build(&project, &[&large, &outputs[..]].concat());
    assert_eq!(opened.count(), 1);

    // What was packed once is not packed again.
    lab.build(&project, &[&large[..], &["-o", &name("third:1")]].concat());
    assert_eq!(opened.count(), 0);
    for name in ["first:1", "second:1", "third:1"] {
        let copied = format!("oci:{}:1", lab.path(&name.replace(':', "-")).display());
        let source = format!("docker://{}/{name}", registry.host());
        let copy = [
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &source,
            &copied,
        ];
        registry.skopeo(&copy).expect("all of it is there");
    }
}

#[test]
fn podman_fetches_zstd_chunked_layers_piece_by_piece() {
    if !require("podman", "layers in pieces") {
        return;
    }
    let Some(lab) = Lab::with_bases(Caller::Root, &[]) else {
        return;
    };
    let Some(registry) = Registry::start() else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY . /\n");
    let text = "as much of this as fills more than a piece\n".repeat(200_000);
    project.file("text", text).symlink("link", "text");
    let name = format!("{}/lazy:1", registry.host());
    let output = format!("type=registry,name={name},compression=zstd:chunked");
    lab.build(&project, &["-o", &output]);

    let (conf, store) = (lab.path("storage.conf"), lab.path("podman"));
    let lines = [
        "[storage]".to_owned(),
        "driver = \"overlay\"".to_owned(),
        format!("graphroot = {:?}", store.join("graph")),
        format!("runroot = {:?}", store.join("run")),
        "[storage.options]".to_owned(),
        "pull_options = { enable_partial_images = \"true\" }".to_owned(),
    ];
    std::fs::write(&conf, lines.join("\n")).expect("a file");
    let conf = format!("CONTAINERS_STORAGE_CONF={}", conf.display());
    // Its mounts go with its own namespace.
    let script = "podman --log-level=debug pull --tls-verify=false $1 && \
                  cmp $(podman image mount $1)/text $2";
    let text = project.dir.join("text");
    let outer = ["--mount", "env", &conf, "sh", "-c", script, "sh"];
    let inner = [name.as_str(), &text.to_string_lossy()];
    let pulled = run("unshare", &[&outer[..], &inner].concat()).success();
    assert!(pulled.stderr.contains("Retrieved partial blob"), "{pulled}");
}

//! Images as archives: `save`, `load`, `import`, and what other tools make of them.

use std::path::Path;
use std::process::Command;

use rbuild_testkit::ImageMaker;
use rstest::rstest;
use serde_json::json;

use crate::support::{Caller, Lab, require, run};

const DOCKERFILE: &str = "\
FROM busybox
RUN mkdir /d && echo one > /d/one && ln /d/one /two
RUN rm /d/one && chown 33:33 /two
CMD [\"cat\", \"/two\"]
";

/// What a command prints.
fn out(lab: &Lab, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    lab.rbuild(&words).success().stdout
}

/// A lab with an image `app:v1` and `app:v2`.
fn built(caller: Caller) -> Option<Lab> {
    let lab = Lab::new(caller)?;
    let project = lab.project(DOCKERFILE);
    lab.build(&project, &["-t", "app:v1", "-t", "app:v2"]);
    Some(lab)
}

#[rstest]
fn a_saved_image_is_the_same_image_in_another_store(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = built(caller) else { return };
    let archive = lab.path("out/app.tar");
    let archive = archive.to_str().expect("UTF-8");
    assert_eq!(out(&lab, &format!("save -o {archive} app")), "");
    let other = lab.own_folder("other");
    let other = other.to_str().expect("UTF-8");
    let loaded = out(&lab, &format!("--root {other} load -i {archive}"));
    assert_eq!(loaded, "Loaded image: app:v1\nLoaded image: app:v2\n");
    let describe = "inspect app:v2 --format {{.Id}}{{json.RepoTags}}{{.Descriptor.digest}}";
    let describe = describe.replace("json.", "json\u{20}.");
    let words: Vec<&str> = describe.splitn(4, ' ').collect();
    let here = lab.rbuild(&words).success().stdout;
    let there = lab.rbuild(&[&["--root", other], &words[..]].concat());
    assert_eq!(there.success().stdout, here);
    let run = out(&lab, &format!("--root {other} run --rm app:v1"));
    assert_eq!(run, "one\n");
    let listed = "run --rm app:v1 ls -ln /two /d";
    assert_eq!(
        out(&lab, &format!("--root {other} {listed}")),
        out(&lab, listed)
    );
    // What was loaded is saved as it was loaded, and a second time nothing happens.
    let again = lab.path("out/again.tar");
    let again = again.to_str().expect("UTF-8");
    out(
        &lab,
        &format!("--root {other} image save -o {again} app:v1 app:v2"),
    );
    assert!(std::fs::read(again).expect("saved") == std::fs::read(archive).expect("saved"));
    assert_eq!(out(&lab, &format!("image load --input {archive}")), loaded);
    let refused = lab.rbuild(&["save", "-o", again, "nobody"]).failure();
    refused.says("No such image: nobody");
}

#[test]
fn podman_and_skopeo_read_what_was_saved() {
    let Some(lab) = built(Caller::Root) else {
        return;
    };
    if !require("skopeo", "saved images") || !require("podman", "saved images") {
        return;
    }
    let id = out(&lab, "images -q --no-trunc app:v1");
    let archive = lab.path("out/app.tar");
    let mut file = std::fs::File::create(&archive).expect("a file");
    let saved = lab.command(&["save", "app:v1"]).output().expect("it runs");
    assert!(saved.status.success());
    std::io::Write::write_all(&mut file, &saved.stdout).expect("written");
    let archive = archive.to_str().expect("UTF-8");
    for source in [
        format!("docker-archive:{archive}:docker.io/library/app:v1"),
        format!("oci-archive:{archive}"),
    ] {
        let copied = lab.path("copied");
        // skopeo verifies every digest while it copies.
        let target = format!("dir:{}", copied.display());
        run("skopeo", &["copy", "--quiet", &source, &target]).success();
        let manifest = std::fs::read_to_string(copied.join("manifest.json")).expect("copied");
        assert!(manifest.contains(id.trim()), "{source}: {manifest}");
        std::fs::remove_dir_all(copied).expect("ours");
    }
    let root = lab.path("podman");
    let podman = |arguments: &[&str]| {
        let mut command = Command::new("podman");
        command
            .arg("--root")
            .arg(&root)
            .arg("--runroot")
            .arg(lab.path("podman-run"));
        command.args(["--storage-driver", "vfs"]).args(arguments);
        let output = command.output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let loaded = podman(&["load", "-q", "-i", archive]);
    assert!(loaded.contains("docker.io/library/app:v1"), "{loaded}");
    let known = podman(&["image", "inspect", "app:v1", "--format", "{{.Id}}"]);
    assert_eq!(format!("sha256:{known}"), id);
}

#[test]
fn what_other_tools_saved_is_loaded() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    if !require("skopeo", "archives of others") {
        return;
    }
    let image = ImageMaker::new()
        .layer(&[("etc/first", b"1")])
        .layer(&[("etc/second", b"2"), ("etc/.wh.first", b"")])
        .layer(&[("etc/second", b"2"), ("etc/.wh.first", b"")]);
    let layout = image.write(&lab.path("layout"), "v1").expect("a layout");
    let source = format!("oci:{}:v1", layout.dir.display());
    let file = |name: &str| lab.path(&format!("out/{name}")).display().to_string();
    // Docker's form before version 25, with links.
    let old = file("old.tar");
    let target = format!("docker-archive:{old}:example.com/team/old:1");
    run("skopeo", &["copy", "--quiet", &source, &target]).success();
    run("gzip", &["-k", &old]).success();
    let oci = file("oci.tar");
    let target = format!("oci-archive:{oci}:example.com/team/new:1");
    run("skopeo", &["copy", "--quiet", &source, &target]).success();
    let archive = std::fs::File::open(format!("{old}.gz")).expect("packed");
    let mut load = lab.command(&["load"]);
    let output = load.stdin(archive).output().expect("it runs");
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(told, "Loaded image: example.com/team/old:1\n", "{output:?}");
    assert_eq!(
        out(&lab, &format!("load -q -i {oci}")),
        "Loaded image: example.com/team/new:1\n"
    );
    for name in ["old", "new"] {
        let files = lab.path(&format!("{name}.tar"));
        let files = files.to_str().expect("UTF-8");
        out(
            &lab,
            &format!("create --name {name} example.com/team/{name}:1 none"),
        );
        out(&lab, &format!("export -o {files} {name}"));
        let tree = crate::support::Tree::read(Path::new(files));
        assert!(tree.has("etc/second") && !tree.has("etc/first"));
        out(&lab, &format!("rm {name}"));
    }
    // An image that came as plain tars can be pushed: the layers are those tars, whoever wrote them.
    let Some(registry) = rbuild_testkit::Registry::start() else {
        return;
    };
    let name = format!("{}/old:1", registry.host());
    lab.config(&format!(
        "[registry.\"{}\"]\nhttp = true\n",
        registry.host()
    ));
    out(&lab, &format!("tag example.com/team/old:1 {name}"));
    lab.rbuild(&["push", &name]).success();
    let copied = format!("dir:{}", lab.path("copied").display());
    let pushed = format!("docker://{name}");
    run(
        "skopeo",
        &[
            "copy",
            "--quiet",
            "--src-tls-verify=false",
            &pushed,
            &copied,
        ],
    )
    .success();
}

#[test]
fn of_an_archive_that_is_wrong_nothing_stays() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let image = ImageMaker::new()
        .compression(rbuild_testkit::LayerCompression::None)
        .layer(&[("first", b"1")])
        .layer(&[("second", b"2")]);
    let layout = image.write(&lab.path("layout"), "v1").expect("a layout");
    let blobs = layout.layers.iter();
    let [first, second] = &blobs
        .map(|layer| layout.blob(layer).expect("a blob"))
        .collect::<Vec<_>>()[..]
    else {
        unreachable!("two layers")
    };
    let config = json!({"architecture": "amd64", "os": "linux",
        "rootfs": {"type": "layers", "diff_ids": layout.layers}});
    let table = json!([{"Config": "id.json", "RepoTags": ["bad:1"], "Layers": ["one", "two"]}]);
    // The second layer is not what the config says.
    let path = lab.path("out/bad.tar");
    let mut archive = tar::Builder::new(std::fs::File::create(&path).expect("a file"));
    for (name, bytes) in [
        ("one", first.as_slice()),
        ("two", &first[..]),
        ("unused", &second[..]),
        ("id.json", config.to_string().as_bytes()),
        ("manifest.json", table.to_string().as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        archive
            .append_data(&mut header, name, bytes)
            .expect("written");
    }
    archive.finish().expect("written");
    let refused = lab
        .rbuild(&["load", "-i", path.to_str().expect("UTF-8")])
        .failure();
    assert_eq!(refused.stdout, "");
    assert_eq!(out(&lab, "images -aq"), "");
    for folder in ["layers", "blobs/sha256"] {
        let left = std::fs::read_dir(lab.root().join(folder)).expect("a folder");
        assert_eq!(left.count(), 0, "{folder}");
    }
    let empty = lab.rbuild_with_input(&["load"], "").failure();
    empty.says("failed to read standard input: it is empty");
    let none = lab.rbuild(&["load", "-i", "/no/such"]).failure();
    none.says("failed to open /no/such");
}

#[rstest]
fn the_files_of_a_container_become_an_image_again(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = built(caller) else { return };
    out(&lab, "create --name one app:v1");
    let archive = lab.path("out/files.tar");
    let archive = archive.to_str().expect("UTF-8");
    out(&lab, &format!("export -o {archive} one"));
    run("gzip", &["-k", archive]).success();
    let packed = format!("{archive}.gz");
    let change = "CMD [\"cat\", \"/two\"]";
    let import = ["import", "-c", change, "-m", "by hand", &packed, "flat:1"];
    let id = lab.rbuild(&import).success().stdout;
    assert!(id.starts_with("sha256:"), "{id}");
    assert_eq!(out(&lab, "images -q --no-trunc flat"), id);
    assert_eq!(out(&lab, "run --rm flat:1"), "one\n");
    assert_eq!(out(&lab, "run --rm flat:1 stat -c %u:%g /two"), "33:33\n");
    let history = out(&lab, "history flat:1 --format {{.Comment}}");
    assert_eq!(history, "by hand\n");
    // The same from standard input, and from the web.
    let plain = std::fs::File::open(archive).expect("exported");
    let mut command = lab.command(&["image", "import", "--platform", "linux/arm64", "-"]);
    let output = command.stdin(plain).output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    let id = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let described = ["inspect", "-f", "{{.Architecture}} {{.Comment}}", &id];
    assert_eq!(
        lab.rbuild(&described).success().stdout,
        "arm64 Imported from -\n"
    );
    let wrong = lab
        .rbuild_with_input(&["import", "-"], "no archive")
        .failure();
    wrong.says("failed to read tar");
    // What fails at the other end of a pipe makes no image.
    let empty = lab.rbuild_with_input(&["import", "-"], "").failure();
    empty.says("it is empty");
}

#[test]
fn of_several_platforms_the_one_that_is_asked_for_is_saved() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM scratch\nARG TARGETARCH\nCOPY Dockerfile /$TARGETARCH\n");
    let platforms = "linux/amd64,linux/arm64";
    lab.build(&project, &["-t", "both", "--platform", platforms]);
    let archive = lab.path("one.tar");
    let archive = archive.to_str().expect("UTF-8");
    out(
        &lab,
        &format!("save --platform linux/arm64 -o {archive} both"),
    );
    let other = lab.own_folder("other");
    let other = other.to_str().expect("UTF-8");
    out(&lab, &format!("--root {other} load -i {archive}"));
    let told = out(
        &lab,
        &format!("--root {other} inspect both --format {{{{.Architecture}}}}"),
    );
    assert_eq!(told, "arm64\n");
    lab.rbuild(&["save", "--platform", "linux/s390x", "-o", archive, "both"])
        .failure()
        .says("image both:latest is not here for linux/s390x");

    // Or all are saved, and one is loaded.
    out(&lab, &format!("save -o {archive} both"));
    let third = lab.own_folder("third");
    let load = |platform: &str| {
        let root = third.to_str().expect("UTF-8");
        lab.rbuild(&[
            "--root",
            root,
            "load",
            "--platform",
            platform,
            "-i",
            archive,
        ])
    };
    let refused = load("linux/s390x").failure();
    refused.says("is not there for linux/s390x, but for linux/amd64, linux/arm64");
    load("linux/arm64").success();
    let told = format!(
        "--root {} inspect both --format {{{{.Architecture}}}}",
        third.display()
    );
    assert_eq!(out(&lab, &told), "arm64\n");
}

//! What other programs read of what is written.

use std::collections::BTreeMap;
use std::path::Path;

use rstest::rstest;
use serde_json::Value;

use crate::support::{Caller, Kind, Lab, Layout, Project, Tree, note_skipped, require, run, skip};

const DOCKERFILE: &str = "\
FROM busybox AS make
RUN mkdir -p /d/deep && echo one > /d/deep/one && ln /d/deep/one /d/two && ln -s deep/one /d/link && chmod 4711 /d/two && touch -d '2020-02-02 02:02:02' /d/dated
FROM busybox
COPY --from=make /d /d
RUN rm /bin/vi && mkdir -p /gone/x && echo kept > /kept
RUN rm -r /gone && rm -r /d/deep && mkdir /d/deep && touch /d/deep/new
ENV A=1
WORKDIR /d
USER 1000
CMD [\"cat\", \"/kept\"]
";

fn project(lab: &Lab) -> Project {
    lab.project(DOCKERFILE)
}

/// A directory's files: type and content by path.
fn walk(root: &Path) -> BTreeMap<String, String> {
    fn into(root: &Path, dir: &Path, found: &mut BTreeMap<String, String>) {
        for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
            let path = entry.path();
            let kind = entry.file_type().expect("a type");
            let what = if kind.is_symlink() {
                format!(
                    "-> {}",
                    std::fs::read_link(&path).expect("a link").display()
                )
            } else if kind.is_dir() {
                into(root, &path, found);
                "directory".to_owned()
            } else {
                format!(
                    "file {}",
                    String::from_utf8_lossy(&std::fs::read(&path).expect("a file")).len()
                )
            };
            let name = path
                .strip_prefix(root)
                .expect("below")
                .to_string_lossy()
                .into_owned();
            found.insert(name, what);
        }
    }
    let mut found = BTreeMap::new();
    into(root, root, &mut found);
    found
}

/// The same of a tar.
fn summary(tree: &Tree) -> BTreeMap<String, String> {
    let what = |path: &str| match &tree.get(path).kind {
        Kind::Directory => "directory".to_owned(),
        Kind::Symlink(target) => format!("-> {target}"),
        _ => format!("file {}", tree.text(path).len()),
    };
    tree.0
        .keys()
        .filter(|path| !path.is_empty())
        .map(|path| (path.clone(), what(path)))
        .collect()
}

#[rstest]
fn an_oci_layout_conforms_and_skopeo_and_umoci_read_it(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
    #[values("gzip", "zstd", "uncompressed")] compression: &str,
) {
    let Some(lab) = Lab::new(caller) else { return };
    if !require("skopeo", "an OCI layout") || !require("umoci", "an OCI layout") {
        return;
    }
    let project = project(&lab);
    let dir = lab.path("out/layout");
    let output = format!(
        "type=oci,tar=false,compression={compression},dest={}",
        dir.display()
    );
    let outcome = lab.build(&project, &["-t", "app:v1", "-o", &output]);
    let layout = Layout::new(&dir);
    layout.assert_conforms();
    assert_eq!(
        layout.index()["mediaType"],
        "application/vnd.oci.image.index.v1+json"
    );
    assert_eq!(layout.manifest()["config"]["digest"], outcome.image());
    let source = format!("oci:{}:v1", dir.display());
    let inspected = run("skopeo", &["inspect", "--config", &source])
        .success()
        .stdout;
    let inspected: Value = serde_json::from_str(&inspected).expect("JSON");
    assert_eq!(
        inspected["config"]["Cmd"],
        serde_json::json!(["cat", "/kept"])
    );
    // skopeo verifies every digest while it copies.
    let copied = format!("oci:{}:v1", lab.path("copied").display());
    run("skopeo", &["copy", "--quiet", &source, &copied]).success();
    if compression == "zstd" || caller != Caller::Root {
        return; // this umoci knows no zstd; as another user it unpacks the same bytes
    }
    let bundle = lab.path("bundle");
    run(
        "umoci",
        &[
            "unpack",
            "--rootless",
            "--image",
            &format!("{}:v1", dir.display()),
            &bundle.to_string_lossy(),
        ],
    )
    .success();
    let mut unpacked = walk(&bundle.join("rootfs"));
    let mut ours = summary(&lab.tree(&project, &[]));
    for files in [&mut unpacked, &mut ours] {
        files.retain(|path, _| !path.starts_with("dev/"));
    }
    assert_eq!(unpacked, ours);
}

#[rstest]
fn an_oci_archive_is_the_same_image_in_one_file(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    if !require("skopeo", "an OCI archive") {
        return;
    }
    let project = project(&lab);
    let archive = lab.path("out/app.tar");
    let outcome = lab.build(
        &project,
        &[
            "-t",
            "app:v1",
            "-o",
            &format!("type=oci,dest={}", archive.display()),
        ],
    );
    let source = format!("oci-archive:{}", archive.display());
    let raw = run("skopeo", &["inspect", "--raw", &source])
        .success()
        .stdout;
    let manifest: Value = serde_json::from_str(&raw).expect("JSON");
    assert_eq!(manifest["config"]["digest"], outcome.image());
    run(
        "skopeo",
        &[
            "copy",
            "--quiet",
            &source,
            &format!("dir:{}", lab.path("copied").display()),
        ],
    )
    .success();
    let mut command = lab.build_command(&["-o", "type=oci,dest=-"]);
    let piped = lab.path("piped.tar");
    command
        .arg(&project.dir)
        .stdout(std::fs::File::create(&piped).expect("a new file"));
    assert!(
        command
            .stderr(std::process::Stdio::null())
            .status()
            .expect("it starts")
            .success()
    );
    run(
        "skopeo",
        &[
            "inspect",
            "--raw",
            &format!("oci-archive:{}", piped.display()),
        ],
    )
    .success();
}

#[rstest]
fn podman_loads_and_runs_a_docker_archive(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    if !require("podman", "a Docker archive") || !require("skopeo", "a Docker archive") {
        return;
    }
    let project = project(&lab);
    let archive = lab.path("out/app.tar");
    let outcome = lab.build(
        &project,
        &[
            "-t",
            "app:v1",
            "-t",
            "registry.test/other:v2",
            "-o",
            &format!("type=docker,dest={}", archive.display()),
        ],
    );
    let source = format!("docker-archive:{}", archive.display());
    let raw = run("skopeo", &["inspect", "--raw", &source])
        .success()
        .stdout;
    assert!(raw.contains("layers"), "{raw}");
    let store = lab.path("podman").to_string_lossy().into_owned();
    let podman = |arguments: &[&str]| {
        // crun refuses a machine with both versions of cgroups: in a mount namespace, one of them goes.
        let script = "umount -l /sys/fs/cgroup/unified 2>/dev/null; exec podman \"$@\"";
        let own = ["--root", &store, "--runroot", &format!("{store}-run")];
        let plain = ["--storage-driver", "vfs", "--cgroup-manager", "cgroupfs"];
        let outer = ["--mount", "sh", "-c", script, "podman"];
        run("unshare", &[&outer[..], &own, &plain, arguments].concat())
    };
    if !crate::support::am_root() {
        return skip("podman", "not root");
    }
    let loaded = podman(&["load", "--quiet", "--input", &archive.to_string_lossy()]).success();
    assert!(
        loaded.stdout.contains("app:v1") && loaded.stdout.contains("registry.test/other:v2"),
        "{loaded}"
    );
    let id = podman(&[
        "image",
        "inspect",
        "--format",
        "{{.Id}}",
        "registry.test/other:v2",
    ])
    .success()
    .stdout;
    assert_eq!(format!("sha256:{}", id.trim()), outcome.image());
    // No limits above those that this machine may grant.
    let arguments = [
        "run",
        "--rm",
        "--runtime=crun",
        "--network=host",
        "--cgroups=disabled",
        "--ulimit=nofile=1024:1024",
        "--ulimit=nproc=1024:1024",
    ];
    let ran = podman(&[&arguments[..], &[id.trim()]].concat());
    let plain = podman(
        &[
            &arguments[..],
            &[
                "registry.test/other:v2",
                "sh",
                "-c",
                "pwd; id -u; ls /d/deep /d/two; test ! -e /gone",
            ],
        ]
        .concat(),
    );
    if ran.status.code() == Some(126) || ran.status.code() == Some(125) {
        return note_skipped("podman run", &ran.stderr);
    }
    assert_eq!(ran.success().stdout, "kept\n");
    assert_eq!(
        plain.success().stdout,
        "/d\n1000\n/d/two\n\n/d/deep:\nnew\n"
    );
}

#[rstest]
fn files_come_out_as_a_directory_and_as_a_tar(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project("FROM busybox AS b\nRUN mkdir -p /o/e && echo 1 > /o/f && ln -s f /o/l && chmod 600 /o/f\nFROM scratch\nCOPY --from=b /o /\n");
    let dir = lab.path("out/files");
    lab.build(&project, &["-o", &dir.to_string_lossy()]);
    let expected: BTreeMap<String, String> = [("e", "directory"), ("f", "file 2"), ("l", "-> f")]
        .map(|(path, what)| (path.to_owned(), what.to_owned()))
        .into();
    assert_eq!(walk(&dir), expected);
    let other = lab.path("out/other");
    lab.build(
        &project,
        &["-o", &format!("type=local,dest={}", other.display())],
    );
    assert_eq!(walk(&other), expected);
    assert_eq!(summary(&lab.tree(&project, &[])), expected);
    let owner =
        std::os::unix::fs::MetadataExt::uid(&std::fs::metadata(other.join("f")).expect("a file"));
    assert_eq!(
        owner,
        caller.user().unwrap_or(rustix::process::geteuid().as_raw())
    );
}

#[test]
fn the_store_is_a_layout_that_others_read() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    if !require("skopeo", "the store") {
        return;
    }
    let project = project(&lab);
    let outcome = lab.build(&project, &["-t", "app:v1"]);
    let index: Value =
        serde_json::from_slice(&std::fs::read(lab.path("root/index.json")).expect("an index"))
            .expect("JSON");
    assert_eq!(
        index["manifests"].as_array().map(Vec::len),
        Some(1),
        "{index}"
    );
    let source = format!("oci:{}:app:v1", lab.root().display());
    let raw = run("skopeo", &["inspect", "--raw", &source]);
    let manifest: Value = serde_json::from_str(&raw.success().stdout).expect("JSON");
    assert_eq!(manifest["config"]["digest"], outcome.image());
}

#[test]
fn several_outputs_and_result_files_agree() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = project(&lab);
    let (dir, meta, id) = (
        lab.path("out/l"),
        lab.path("out/meta.json"),
        lab.path("out/id"),
    );
    lab.build(
        &project,
        &[
            "-t",
            "app",
            "-o",
            &format!("type=oci,tar=false,dest={}", dir.display()),
            "-o",
            "type=image",
            "-o",
            &format!("type=tar,dest={}", lab.path("out/f.tar").display()),
            "--iidfile",
            &id.to_string_lossy(),
            "--metadata-file",
            &meta.to_string_lossy(),
        ],
    );
    let layout = Layout::new(&dir);
    let meta: Value = serde_json::from_slice(&std::fs::read(meta).expect("a file")).expect("JSON");
    let id = std::fs::read_to_string(id).expect("a file");
    assert_eq!(meta["containerimage.config.digest"], id.trim());
    assert_eq!(layout.manifest()["config"]["digest"], id.trim());
    assert_eq!(meta["image.name"], "docker.io/library/app:latest");
    let quiet = lab.build(&project, &["-q"]);
    assert_eq!(quiet.stdout.trim(), id.trim());
}

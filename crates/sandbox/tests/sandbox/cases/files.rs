//! What it sees of files, and what of them stays.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, symlink};

use rbuild_sandbox::{Access, Merged, Mount, Root, Source, Upper};
use rbuild_sys::{Recursion, clone_tree};
use rustix::fs::CWD;

use super::{init_failure, tmpfs};
use crate::apart;
use crate::world::{World, run, sh, try_run};

cases![
    nothing_is_left_in_the_layer,
    made_mount_points_go_unless_they_were_filled,
    times_of_directories_are_kept,
    a_missing_working_directory_is_made_and_stays,
    secrets_are_files_in_memory,
    mounts_of_every_kind,
    layers_without_what_is_asked_for_are_an_error,
    the_root_can_be_read_only,
    a_plain_directory_can_be_the_root,
];

fn nothing_is_left_in_the_layer() {
    let world = World::new();
    sh(
        &world,
        "cat /etc/hosts /etc/resolv.conf; echo 10.0.0.1 me >> /etc/hosts",
    );
    assert_eq!(world.changes(), Vec::<String>::new());
    sh(&world, "echo x > /etc/new");
    assert_eq!(world.changes(), ["etc", "etc/new"]);
}

fn secret(target: &str) -> Mount {
    Mount {
        target: target.into(),
        source: Source::Data {
            bytes: b"hunter2".to_vec(),
            mode: 0o400,
            uid: 0,
            gid: 0,
        },
        access: Access::ReadOnly,
    }
}

fn made_mount_points_go_unless_they_were_filled() {
    let world = World::new();
    let mut spec = world.shell("echo x > /root/.cache/pip/file; cat /run/secrets/key");
    spec.mounts = vec![
        tmpfs("/root/.cache/pip"),
        secret("/run/secrets/key"),
        tmpfs("/etc/a/b"),
    ];
    let output = run(&spec);
    assert_eq!(output.stdout, "hunter2");
    assert_eq!(world.changes(), Vec::<String>::new());
    // A directory on the way that the step used itself stays.
    let mut spec = world.shell("echo x > /root/kept");
    spec.mounts = vec![tmpfs("/root/.cache/pip")];
    run(&spec);
    assert_eq!(world.changes(), ["root", "root/kept"]);
}

fn times_of_directories_are_kept() {
    let world = World::new();
    sh(&world, "mkdir /work; touch -d @1000000000 /work");
    let mut spec = world.shell("true");
    spec.mounts = vec![tmpfs("/work/cache"), tmpfs("/work/other/deep")];
    run(&spec);
    assert_eq!(world.changes(), ["work"]);
    let metadata = fs::metadata(world.diff.join("work")).expect("it stays");
    assert_eq!(metadata.mtime(), 1_000_000_000);
}

fn a_missing_working_directory_is_made_and_stays() {
    let world = World::new();
    let mut spec = world.shell("pwd");
    spec.process.cwd = "/srv/app/deep".into();
    assert_eq!(run(&spec).stdout, "/srv/app/deep\n");
    assert_eq!(world.changes(), ["srv", "srv/app", "srv/app/deep"]);
}

fn secrets_are_files_in_memory() {
    let world = World::new();
    let mut spec = world.shell(
        "stat -c '%a %u:%g' /run/secrets/key; stat -f -c %T /run/secrets/key; \
         echo x > /run/secrets/key",
    );
    spec.mounts = vec![secret("/run/secrets/key")];
    let output = run(&spec);
    assert_eq!(output.stdout, "400 0:0\ntmpfs\n");
    assert!(output.stderr.contains("Read-only"), "{output:?}");
    // A script handed in this way can be executed.
    let mut spec = world.command(&["/dev/pipes/EOF"]);
    spec.mounts = vec![Mount {
        target: "/dev/pipes/EOF".into(),
        source: Source::Data {
            bytes: b"#!/bin/sh\necho ran\n".to_vec(),
            mode: 0o755,
            uid: 0,
            gid: 0,
        },
        access: Access::ReadOnly,
    }];
    assert_eq!(run(&spec).stdout, "ran\n");
}

fn mounts_of_every_kind() {
    let world = World::new();
    let path = |name: &str| world.temp.path().join(name);
    for directory in ["shared", "layer/deep", "throw/upper", "throw/work"] {
        fs::create_dir_all(path(directory)).expect("a new directory");
    }
    fs::write(path("shared/file"), "old").expect("a new file");
    fs::write(path("layer/deep/file"), "layer").expect("a new file");
    // Links of a layer are resolved in it.
    symlink("/deep", path("layer/link")).expect("a new link");
    let layers = |upper: Option<Upper>, part: &str| Source::Layers {
        merged: Merged {
            lowers: vec![path("layer")],
            upper,
        },
        path: part.into(),
    };
    let upper = Upper {
        diff: path("throw/upper"),
        work: path("throw/work"),
    };
    let tree = clone_tree(CWD, &path("shared"), Recursion::This).expect("it can be mounted");
    let bind = |target: &str, source, access| Mount {
        target: target.into(),
        source,
        access,
    };
    let mut spec = world.shell(
        "echo own > /tree/own; stat -c %u /tree/own /layer/file; cat /layer/file; \
         echo new > /changed/file && cat /changed/file; echo x > /layer/made || echo refused; \
         echo x > /rw/made; echo x > /ro/made || echo refused; cat relative/file",
    );
    spec.process.cwd = "/home".into();
    spec.mounts = vec![
        bind("/tree", Source::Tree(0), Access::ReadWrite),
        bind("/layer", layers(None, "link"), Access::ReadOnly),
        bind("/changed", layers(Some(upper), "deep"), Access::ReadWrite),
        bind("/rw", Source::Path(path("shared")), Access::ReadWrite),
        bind("/ro", Source::Path(path("shared")), Access::ReadOnly),
        bind(
            "relative/file",
            Source::Path(path("shared/file")),
            Access::ReadOnly,
        ),
    ];
    let output = try_run(&spec, &[tree.as_fd()]).expect("the sandbox works");
    assert_eq!(
        output.stdout, "0\n0\nlayernew\nrefused\nrefused\nold",
        "{}",
        output.stderr
    );
    let read = |name: &str| fs::read_to_string(path(name)).expect("a file");
    assert_eq!(read("layer/deep/file"), "layer");
    assert_eq!(read("throw/upper/deep/file"), "new\n");
    assert_eq!(read("shared/own"), "own\n");
    let owner = |name: &str| path(name).metadata().expect("a file").uid();
    assert_eq!(owner("shared/own"), owner("shared"));
    assert_eq!(owner("throw/upper/deep/file"), owner("shared"));
    // What is the host's belongs to nobody inside a namespace of its own.
    assert_eq!(path("shared/made").exists(), !apart::is_asked_for());
    assert_eq!(world.changes(), Vec::<String>::new());
}

fn the_root_can_be_read_only() {
    let world = World::new();
    let mut spec = world.shell("echo x > /file");
    spec.root_access = Access::ReadOnly;
    assert!(run(&spec).stderr.contains("Read-only"));
    let mut mounted = world.shell("cat /not/there; echo x > /not/here");
    mounted.root_access = Access::ReadOnly;
    mounted.mounts = vec![Mount {
        target: "/not/there".into(),
        source: Source::Data {
            bytes: b"found".to_vec(),
            mode: 0o644,
            uid: 0,
            gid: 0,
        },
        access: Access::ReadOnly,
    }];
    let output = run(&mounted);
    assert_eq!(output.stdout, "found");
    assert!(output.stderr.contains("Read-only"), "{}", output.stderr);
    assert_eq!(world.changes(), Vec::<String>::new());
    spec.root = Root::Overlay(Merged {
        lowers: vec![world.lower.clone()],
        upper: None,
    });
    assert!(run(&spec).stderr.contains("Read-only"));
}

fn a_plain_directory_can_be_the_root() {
    let world = World::new();
    let mut spec = world.shell("cat /etc/hosts; echo x > /file");
    spec.root = Root::Directory(world.lower.clone());
    assert_eq!(run(&spec).stdout, "127.0.0.1 localhost\n");
    assert!(world.lower.join("file").exists());
    assert!(!world.lower.join("etc/hosts").exists());
    assert!(!world.lower.join("proc").exists());
}

fn layers_without_what_is_asked_for_are_an_error() {
    let world = World::new();
    let mut spec = world.shell("true");
    spec.mounts = vec![Mount {
        target: "/layer".into(),
        source: Source::Layers {
            merged: Merged {
                lowers: vec![world.lower.clone()],
                upper: None,
            },
            path: "not/there".into(),
        },
        access: Access::ReadOnly,
    }];
    assert_eq!(
        init_failure(try_run(&spec, &[])).to_string(),
        "failed to open not/there in its source: no such file or directory"
    );
}

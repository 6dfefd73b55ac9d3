//! COPY and ADD: which files, where to, whose, and with all that belongs to them.

use rstest::rstest;

use crate::support::{Caller, Kind, Lab, State, Tree, run};

fn root_lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

#[test]
fn sources_and_targets_follow_dockers_rules() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY a.txt /file\nCOPY a.txt /dir/\nCOPY dir /contents\nCOPY dir/ /slash/\nCOPY a.txt b.txt /two/\n\
         COPY *.txt /glob/\nCOPY dir/?ub*/ /subs/\nCOPY [\"with space\", \"/spaced name\"]\nCOPY ../../a.txt /up\nWORKDIR /w\nCOPY a.txt relative\nCOPY . /all\n",
    );
    project
        .file("a.txt", "a")
        .file("b.txt", "b")
        .file("dir/x", "x")
        .file("dir/sub1/y", "y")
        .file("with space", "s");
    let tree = lab.tree(&project, &[]);
    for path in [
        "file",
        "dir/a.txt",
        "contents/x",
        "contents/sub1/y",
        "slash/x",
        "two/a.txt",
        "two/b.txt",
        "glob/a.txt",
        "glob/b.txt",
        "subs/y",
        "spaced name",
        "up",
        "w/relative",
        "all/dir/sub1/y",
        "all/Dockerfile",
    ] {
        assert!(matches!(tree.get(path).kind, Kind::File(_)), "{path}");
    }
    assert!(!tree.has("contents/dir") && !tree.has("subs/sub1"));
}

#[rstest]
fn owners_and_modes_are_given(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
    #[values("", "--link ")] link: &str,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let named = if link.is_empty() {
        "www-data:users"
    } else {
        "33:100"
    };
    let project = lab.project(&format!(
        "FROM busybox\nCOPY {link}plain /o/plain\nCOPY {link}--chown={named} plain /o/named\nCOPY {link}--chown=12:34 dir /o/dir\n\
         COPY {link}--chmod=0751 plain /o/mode\nCOPY {link}--chmod=u=rwX,go=rX dir /o/symbolic\nCOPY {link}--chown=5 plain /o/user\n",
    ));
    project
        .file("plain", "")
        .mode("plain", 0o640)
        .file("dir/inner", "")
        .mode("dir/inner", 0o600);
    let tree = lab.tree(&project, &[]);
    let of = |path: &str| {
        let node = tree.get(path);
        (node.uid, node.gid, node.mode)
    };
    assert_eq!(of("o/plain"), (0, 0, 0o640));
    assert_eq!(of("o/named"), (33, 100, 0o640));
    assert_eq!(of("o/dir/inner"), (12, 34, 0o600));
    assert_eq!(of("o/dir"), (12, 34, 0o755));
    assert_eq!(of("o/mode"), (0, 0, 0o751));
    assert_eq!(of("o/symbolic/inner"), (0, 0, 0o644));
    assert_eq!(of("o/symbolic").2, 0o755);
    assert_eq!(of("o/user").0, 5);
}

#[test]
fn linked_copies_stay_known_when_their_base_changes() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN echo 1 > /base\nCOPY --link file /sub/file\n");
    project.file("file", "linked");
    lab.build(&project, &[]);
    project.dockerfile("FROM busybox\nRUN echo 2 > /base\nCOPY --link file /sub/file\n");
    let second = lab.build(&project, &[]);
    assert_eq!(second.state("COPY --link"), State::Cached, "{second}");
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("base").as_str(), tree.text("sub/file").as_str()),
        ("2\n", "linked")
    );
}

#[test]
fn parents_are_kept_and_exclusions_left_out() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "# syntax=docker/dockerfile:1-labs\nFROM scratch\nCOPY --parents a/b/c.txt x/y.txt /p/\nCOPY --parents a/./b/c.txt /pivot/\n\
         COPY --parents **/*.txt /deep/\nCOPY --exclude=*.log --exclude=a/** . /some/\n",
    );
    project
        .file("a/b/c.txt", "c")
        .file("x/y.txt", "y")
        .file("x.log", "")
        .file("x/z", "z");
    let tree = lab.tree(&project, &[]);
    for path in [
        "p/a/b/c.txt",
        "p/x/y.txt",
        "pivot/b/c.txt",
        "deep/a/b/c.txt",
        "deep/x/y.txt",
        "some/x/z",
    ] {
        assert!(tree.has(path), "{path} is not among {:?}", tree.paths());
    }
    for path in ["pivot/a", "deep/x/z", "some/x.log", "some/a/b"] {
        assert!(!tree.has(path), "{path} is among {:?}", tree.paths());
    }
}

#[test]
fn links_are_copied_as_links_and_followed_inside_the_image_only() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS stage\nRUN mkdir -p /real/in && echo in > /real/in/file && ln -s /real /abs && ln -s ../../../../real/in /real/up && ln -s /etc/hostname /real/host\n\
         FROM busybox\nCOPY links /links\nRUN mkdir /target && ln -s /target /to\nCOPY file /to/\nCOPY --from=stage /abs/in/file /a\nCOPY --from=stage /real/up/file /b\nCOPY --from=stage /abs /c\n",
    );
    project
        .file("links/file", "f")
        .symlink("links/to-file", "file")
        .symlink("links/dangling", "/nowhere/at/all")
        .file("file", "copied");
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        tree.get("links/to-file").kind,
        Kind::Symlink("file".to_owned())
    );
    assert_eq!(
        tree.get("links/dangling").kind,
        Kind::Symlink("/nowhere/at/all".to_owned())
    );
    assert_eq!(tree.text("target/file"), "copied");
    assert_eq!(tree.get("to").kind, Kind::Symlink("/target".to_owned()));
    assert_eq!(
        (tree.text("a").as_str(), tree.text("b").as_str()),
        ("in\n", "in\n")
    );
    assert!(tree.has("c/in/file"), "{:?}", tree.paths());
}

#[rstest]
fn a_step_keeps_links_owners_attributes_and_special_files(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let chown = if caller.has_many_ids() {
        "chown 12:34 /d/owned"
    } else {
        "true"
    };
    let project = lab.project(&format!(
        "FROM busybox AS make\nRUN mkdir /d && cd /d && echo x > one && ln one two && ln -s one soft && mkfifo pipe && touch owned && {chown} \\\n  \
         && chmod 4755 one && mkdir -m 1777 sticky && touch -d '2001-02-03 04:05:06' dated && dd if=/dev/zero of=sparse bs=1 count=1 seek=5M 2>/dev/null\n\
         FROM scratch\nCOPY --from=make /d /d\n",
    ));
    for target in ["make", ""] {
        let arguments = if target.is_empty() {
            vec![]
        } else {
            vec!["--target", target]
        };
        let tree = lab.tree(&project, &arguments);
        let pair = [&tree.get("d/one").kind, &tree.get("d/two").kind];
        assert!(
            pair.contains(&&Kind::Hardlink("d/one".to_owned()))
                || pair.contains(&&Kind::Hardlink("d/two".to_owned())),
            "{pair:?}"
        );
        assert_eq!(tree.get("d/soft").kind, Kind::Symlink("one".to_owned()));
        assert_eq!(tree.get("d/pipe").kind, Kind::Other);
        assert_eq!(tree.get("d/one").mode, 0o4755);
        assert_eq!(tree.get("d/sticky").mode, 0o1777);
        assert_eq!(tree.get("d/dated").mtime, 981_173_106);
        assert_eq!(tree.text("d/sparse").len(), 5 * 1024 * 1024 + 1);
        if caller.has_many_ids() && !target.is_empty() {
            assert_eq!((tree.get("d/owned").uid, tree.get("d/owned").gid), (12, 34));
        }
    }
}

#[test]
fn extended_attributes_and_capabilities_are_kept() {
    let Some(lab) = root_lab() else { return };
    let Some(capability) = attributes_archive(&lab) else {
        return;
    };
    let project = lab.project("FROM busybox AS one\nADD attributes.tar /\nFROM busybox\nCOPY --from=one /ping /ping\nRUN cp /ping /copy\n");
    std::fs::copy(
        lab.path("attributes.tar"),
        project.dir.join("attributes.tar"),
    )
    .expect("a copy");
    for target in [&["--target", "one"][..], &[]] {
        let tree = lab.tree(&project, target);
        let xattrs = &tree.get("ping").xattrs;
        assert_eq!(
            xattrs.get("security.capability"),
            Some(&capability),
            "{target:?}"
        );
        assert_eq!(
            xattrs.get("user.note").map(Vec::as_slice),
            Some(&b"kept"[..]),
            "{target:?}"
        );
    }
}

/// Makes `attributes.tar` with one file that may use raw sockets; gives that attribute's bytes.
fn attributes_archive(lab: &Lab) -> Option<Vec<u8>> {
    // CAP_NET_RAW, permitted and effective, in version 2 of the kernel's form.
    let capability: Vec<u8> = [0x0200_0001_u32, 1 << 13, 0, 0, 0]
        .iter()
        .flat_map(|word| word.to_le_bytes())
        .collect();
    let mut builder = tar::Builder::new(std::fs::File::create(lab.path("attributes.tar")).ok()?);
    builder
        .append_pax_extensions([
            ("SCHILY.xattr.security.capability", capability.as_slice()),
            ("SCHILY.xattr.user.note", b"kept"),
        ])
        .expect("a written header");
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o755);
    header.set_mtime(1);
    header.set_uid(0);
    header.set_gid(0);
    builder
        .append_data(&mut header, "ping", &b"ping"[..])
        .expect("a written entry");
    builder.finish().expect("a written archive");
    Some(capability)
}

#[rstest]
fn archives_are_unpacked_by_add_only(
    #[values("tar", "tar.gz", "tar.bz2", "tar.xz", "tar.zst")] kind: &str,
) {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(&format!("FROM scratch\nADD a.{kind} /added/\nCOPY a.{kind} /copied/\nADD --unpack=false a.{kind} /kept\n"));
    let compressor = match kind {
        "tar" => "cat",
        "tar.gz" => "gzip",
        "tar.bz2" => "bzip2",
        "tar.xz" => "xz",
        _ => "zstd",
    };
    let from = lab.path("unpacked");
    std::fs::create_dir_all(from.join("in/side")).expect("new folders");
    std::fs::write(from.join("in/side/file"), "unpacked").expect("a new file");
    let script = format!(
        "tar -C {} --owner=7 --group=8 -c . | {compressor} > {}",
        from.display(),
        project.dir.join(format!("a.{kind}")).display()
    );
    run("sh", &["-c", &script]).success();
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("added/in/side/file"), "unpacked");
    assert_eq!(tree.get("added/in/side/file").uid, 7);
    assert!(tree.has(&format!("copied/a.{kind}")) && !tree.has("copied/in"));
    assert!(matches!(tree.get("kept").kind, Kind::File(_)));
}

#[test]
fn a_hostile_archive_stays_inside() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nADD evil.tar /in/\n");
    let mut builder =
        tar::Builder::new(std::fs::File::create(project.dir.join("evil.tar")).expect("a new file"));
    let victim = lab.path("victim");
    for (name, link) in [
        ("up", Some("../../../../../../../../..")),
        ("up/../../../x", None),
    ] {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().expect("gnu").name[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(link) = link {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_link_name(link).expect("a short name");
        }
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_size(0);
        header.set_cksum();
        builder.append(&header, &b""[..]).expect("a written entry");
    }
    let inside = format!("up{}", victim.display());
    let mut header = tar::Header::new_gnu();
    header.as_gnu_mut().expect("gnu").name[..inside.len()].copy_from_slice(inside.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(0);
    header.set_cksum();
    builder.append(&header, &b""[..]).expect("a written entry");
    builder.finish().expect("a written archive");
    lab.try_build(&project, &[]);
    assert!(!victim.exists());
}

#[test]
fn names_that_are_not_text_or_very_long_survive() {
    use std::os::unix::ffi::OsStrExt as _;
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nCOPY names /names\nRUN ls /names | wc -l > /count && cp -a /names /again\n",
    );
    let odd = std::ffi::OsStr::from_bytes(b"names/\xff\xfe odd\n\"name\"");
    project.file("names/first", "");
    std::fs::write(project.dir.join(odd), "odd").expect("a new file");
    let long = format!("names/{0}/{0}/{0}", "n".repeat(200));
    project.file(&format!("{long}/file"), "long");
    let tree = lab.tree(&project, &[]);
    assert!(tree.has(&format!("again/{}/file", &long["names/".len()..])));
    let odd_ones = tree.0.keys().filter(|path| path.contains("odd\n")).count();
    assert_eq!(odd_ones, 2);
}

#[test]
fn named_contexts_replace_and_add() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM base AS start\nCOPY --from=extra /file /file\nRUN --mount=from=extra,target=/m cat /m/file\n");
    let extra = lab.project("");
    extra
        .file("file", "named\n")
        .file(".dockerignore", "Dockerfile");
    let other = lab.project("FROM busybox\nRUN echo base > /base\n");
    let layout = lab.layout(&other, &[]);
    let base = format!("base=oci-layout://{}", layout.dir.display());
    let extra = format!("extra={}", extra.dir.display());
    let tree: Tree = lab.tree(
        &project,
        &["--build-context", &base, "--build-context", &extra],
    );
    assert_eq!(
        (tree.text("base").as_str(), tree.text("file").as_str()),
        ("base\n", "named\n")
    );
    let image = lab.project("FROM busybox\nCOPY --from=img /base /copied\n");
    lab.build(&other, &["-t", "local/other"]);
    let tree = lab.tree(
        &image,
        &["--build-context", "img=docker-image://local/other"],
    );
    assert_eq!(tree.text("copied"), "base\n");
}

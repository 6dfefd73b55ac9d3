//! COPY and ADD: where things go, and as what.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use rbuild_plan::{Mode, Owner, Unpack};

use crate::Case;
use crate::lab::{Lab, Result, Steps};

pub(crate) const ALL: &[Case] = &[
    (
        "parents_of_the_destination_stay_as_the_base_has_them",
        parents_stay,
    ),
    (
        "copied_directories_bring_their_own_attributes",
        directories_bring_attributes,
    ),
    (
        "of_two_matches_with_one_name_the_last_counts",
        last_match_counts,
    ),
    (
        "a_link_at_the_destination_leads_inside_the_image",
        links_lead_inside,
    ),
    ("a_directory_does_not_replace_a_file", directory_over_file),
    ("excluded_files_are_left_out_whoever_named_them", excludes),
    ("an_archive_keeps_its_owners_and_modes", archive_attributes),
    (
        "an_archive_follows_the_directories_links_of_the_base",
        archive_over_links,
    ),
    ("names_that_share_a_file_share_it_in_the_copy", hard_links),
    (
        "a_file_that_did_not_change_is_not_written_again_and_a_changed_one_leaves_the_last_layer_alone",
        unchanged_files_are_linked,
    ),
];

/// `COPY source destination` over the directory `base`, from the directory `main`.
fn copied(
    lab: &Lab,
    source: &str,
    destination: &str,
    change: impl FnOnce(&mut rbuild_plan::CopyAction),
) -> Result<std::path::PathBuf> {
    let mut steps = Steps::default();
    let (base, main) = (steps.base(), steps.main());
    let copy = steps.copy(Some(base), main, source, destination, change);
    lab.top(&lab.solve(&steps.output(copy))??)
}

fn parents_stay() -> Result {
    let lab = Lab::new()?;
    Lab::mode(&lab.base("srv/data"), 0o1750)?;
    rustix::fs::setxattr(
        lab.base("srv/data"),
        "user.note",
        b"kept",
        rustix::fs::XattrFlags::empty(),
    )?;
    Lab::write(&lab.main("a"), "a")?;
    let top = copied(&lab, "/a", "/srv/data/new/", |_| {})?;
    assert_eq!(fs::metadata(top.join("srv/data"))?.mode() & 0o7777, 0o1750);
    assert_eq!(
        fs::metadata(top.join("srv/data/new"))?.mode() & 0o7777,
        0o755
    );
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(top.join("srv/data"), "user.note", &mut value[..])?;
    assert_eq!(&value[..length], b"kept");
    Ok(())
}

fn directories_bring_attributes() -> Result {
    let lab = Lab::new()?;
    Lab::mode(&lab.base("dst"), 0o700)?;
    Lab::mode(&lab.base("dst/sub"), 0o1777)?;
    Lab::mode(&lab.main("src"), 0o711)?;
    Lab::mode(&lab.main("src/sub"), 0o750)?;
    let top = copied(&lab, "/src", "/dst", |_| {})?;
    assert_eq!(fs::metadata(top.join("dst"))?.mode() & 0o7777, 0o700);
    assert_eq!(fs::metadata(top.join("dst/sub"))?.mode() & 0o7777, 0o750);
    Ok(())
}

fn last_match_counts() -> Result {
    let lab = Lab::new()?;
    for number in 0..8 {
        Lab::write(&lab.main(&format!("{number}/same")), &number.to_string())?;
        Lab::write(
            &lab.main(&format!("{number}/dir/same")),
            &number.to_string(),
        )?;
    }
    let top = copied(&lab, "/*/same", "/files/", |_| {})?;
    assert_eq!(fs::read_to_string(top.join("files/same"))?, "7");
    let top = copied(&lab, "/*", "/all/", |_| {})?;
    assert_eq!(fs::read_to_string(top.join("all/same"))?, "7");
    assert_eq!(fs::read_to_string(top.join("all/dir/same"))?, "7");
    Ok(())
}

fn links_lead_inside() -> Result {
    let lab = Lab::new()?;
    let outside = lab.directory.path().join("outside");
    fs::create_dir(&outside)?;
    symlink(&outside, lab.base("absolute"))?;
    symlink("../../../../../../../../tmp", lab.base("up"))?;
    fs::create_dir(lab.base("real"))?;
    symlink("real", lab.base("linked"))?;
    Lab::write(&lab.main("a"), "a")?;
    let top = copied(&lab, "/a", "/absolute/", |_| {})?;
    assert!(top.join(outside.strip_prefix("/")?).join("a").exists());
    assert_eq!(fs::read_dir(&outside)?.count(), 0);
    let top = copied(&lab, "/a", "/up/rbuild-test-name", |_| {})?;
    assert!(top.join("tmp/rbuild-test-name").exists());
    assert!(!std::path::Path::new("/tmp/rbuild-test-name").exists());
    let top = copied(&lab, "/a", "/linked", |_| {})?;
    assert!(top.join("real/a").exists() && !top.join("linked").exists());
    Ok(())
}

fn directory_over_file() -> Result {
    let lab = Lab::new()?;
    Lab::write(&lab.base("dst/sub"), "a file")?;
    Lab::write(&lab.main("src/sub/a"), "a")?;
    let error = copied(&lab, "/src", "/dst", |_| {}).err();
    let error = error.ok_or("it is refused")?.to_string();
    assert!(
        error.contains("/dst/sub") && error.contains("not a directory"),
        "{error}"
    );
    Ok(())
}

fn excludes() -> Result {
    let lab = Lab::new()?;
    for name in [
        "a.md",
        "a.txt",
        "dir/b.md",
        "dir/b.txt",
        "dir/sub/keep",
        "dir/sub/drop",
    ] {
        Lab::write(&lab.main(name), name)?;
    }
    Lab::mode(&lab.main("dir/sub"), 0o711)?;
    let markdown = |copy: &mut rbuild_plan::CopyAction| copy.excludes = vec!["*.md".into()];
    let top = copied(&lab, "/a*", "/files/", markdown)?;
    assert!(top.join("files/a.txt").exists() && !top.join("files/a.md").exists());
    let top = copied(&lab, "/dir", "/dir/", |copy| {
        copy.excludes = ["*.md", "sub", "!sub/keep"].map(str::to_owned).to_vec();
    })?;
    assert!(top.join("dir/b.txt").exists() && !top.join("dir/b.md").exists());
    assert!(top.join("dir/sub/keep").exists() && !top.join("dir/sub/drop").exists());
    assert_eq!(fs::metadata(top.join("dir/sub"))?.mode() & 0o7777, 0o711);
    Ok(())
}

/// A tar of `main/tree`, in which all belongs to 7:8.
fn archive(lab: &Lab) -> Result {
    let status = std::process::Command::new("tar")
        .args(["--owner=7", "--group=8", "--numeric-owner", "-cf"])
        .arg(lab.main("archive.tar"))
        .arg("-C")
        .arg(lab.main("tree"))
        .arg("bin/tool")
        .status()?;
    assert!(status.success());
    Ok(fs::remove_dir_all(lab.main("tree"))?)
}

fn archive_attributes() -> Result {
    let lab = Lab::new()?;
    Lab::write(&lab.main("tree/bin/tool"), "tool")?;
    fs::set_permissions(lab.main("tree/bin/tool"), PermissionsExt::from_mode(0o755))?;
    archive(&lab)?;
    let top = copied(&lab, "/archive.tar", "/opt", |copy| {
        copy.unpack = Unpack::Archives;
        copy.mode = Mode::Octal(0o600);
    })?;
    let tool = fs::metadata(top.join("opt/bin/tool"))?;
    assert_eq!(
        (tool.uid(), tool.gid(), tool.mode() & 0o7777),
        (7, 8, 0o755)
    );
    let top = copied(&lab, "/archive.tar", "/owned", |copy| {
        copy.unpack = Unpack::Archives;
        copy.owner = Owner::Ids { uid: 1, gid: 2 };
    })?;
    let tool = fs::metadata(top.join("owned/bin/tool"))?;
    assert_eq!((tool.uid(), tool.gid()), (1, 2));
    Ok(())
}

fn archive_over_links() -> Result {
    let lab = Lab::new()?;
    fs::create_dir_all(lab.base("usr/bin"))?;
    symlink("usr/bin", lab.base("bin"))?;
    Lab::write(&lab.main("tree/bin/tool"), "tool")?;
    archive(&lab)?;
    let top = copied(&lab, "/archive.tar", "/", |copy| {
        copy.unpack = Unpack::Archives;
    })?;
    assert!(top.join("usr/bin/tool").exists(), "the link is followed");
    assert!(fs::symlink_metadata(top.join("bin")).is_err(), "and stays");
    Ok(())
}

fn hard_links() -> Result {
    let lab = Lab::with_shell()?;
    let mut steps = Steps::default();
    let base = steps.base();
    let made = steps.run("mkdir /d; touch /d/a; ln /d/a /d/b", Vec::new(), &[base]);
    let copy = steps.copy(None, made, "/d/[ab]", "/x/", |_| {});
    let top = lab.top(&lab.solve(&steps.output(copy))??)?;
    let inode = |name: &str| fs::metadata(top.join(name)).map(|meta| meta.ino());
    assert_eq!(inode("x/a")?, inode("x/b")?);
    Ok(())
}

fn unchanged_files_are_linked() -> Result {
    let lab = Lab::new()?;
    for name in ["same", "other-bytes", "other-mode", "other-time", "gone"] {
        Lab::write(&lab.main(&format!("src/sub/{name}")), "before")?;
    }
    let first = copied(&lab, "/src", "/dst/", |_| {})?.join("dst/sub");
    Lab::write(&lab.main("src/sub/other-bytes"), "after!")?;
    fs::set_permissions(
        lab.main("src/sub/other-mode"),
        fs::Permissions::from_mode(0o600),
    )?;
    let time = std::time::SystemTime::now() - std::time::Duration::from_secs(100);
    fs::File::options()
        .write(true)
        .open(lab.main("src/sub/other-time"))?
        .set_modified(time)?;
    fs::remove_file(lab.main("src/sub/gone"))?;
    let before = fs::metadata(first.join("other-mode"))?;
    let second = copied(&lab, "/src", "/dst/", |_| {})?.join("dst/sub");
    assert_ne!(first, second);
    let inode = |path: std::path::PathBuf| fs::metadata(path).map(|found| found.ino());
    assert_eq!(inode(first.join("same"))?, inode(second.join("same"))?);
    for name in ["other-bytes", "other-mode", "other-time"] {
        assert_ne!(
            inode(first.join(name))?,
            inode(second.join(name))?,
            "{name}"
        );
    }
    assert_eq!(fs::read(first.join("other-bytes"))?, b"before");
    assert_eq!(fs::read(second.join("other-bytes"))?, b"after!");
    assert_eq!(
        fs::metadata(first.join("other-mode"))?.mode(),
        before.mode()
    );
    assert_eq!(
        fs::metadata(second.join("other-mode"))?.mode() & 0o7777,
        0o600
    );
    assert_eq!(fs::metadata(second.join("other-time"))?.modified()?, time);
    assert!(!second.join("gone").exists());
    Ok(())
}

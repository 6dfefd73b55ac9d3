//! Containers' files: what they changed, copied in and out, kept in volumes.

use rstest::rstest;

use crate::containers::{field, lab};
use crate::support::Caller;

#[rstest]
fn what_a_container_changed_is_told_exported_and_made_an_image(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let script = "echo new > /tmp/new; rm /bin/vi; echo line >> /etc/group";
    let run = [
        "run", "--name", "edited", "-u", "0", "app", "sh", "-c", script,
    ];
    lab.rbuild(&run).success();
    let told = lab.rbuild(&["diff", "edited"]).success().stdout;
    for line in ["A /tmp/new", "D /bin/vi", "C /etc/group"] {
        assert!(told.lines().any(|one| one == line), "{told}");
    }
    let archive = lab.path("out/all.tar");
    let archive = archive.to_str().expect("text");
    lab.rbuild(&["export", "-o", archive, "edited"]).success();
    let tree = crate::support::Tree::read(std::path::Path::new(archive));
    assert_eq!(tree.text("tmp/new"), "new\n");
    assert!(!tree.has("bin/vi") && tree.has("bin/sh"));

    let commit = [
        "commit",
        "-a",
        "me",
        "-m",
        "by hand",
        "-c",
        "CMD [\"cat\", \"/tmp/new\"]",
        "edited",
        "made:1",
    ];
    let id = lab.rbuild(&commit).success().stdout;
    assert_eq!(field(&lab, "made:1", "{{.Id}}"), id.trim());
    assert_eq!(
        field(&lab, "made:1", "{{.Author}} {{.Comment}}"),
        "me by hand"
    );
    assert_eq!(
        lab.rbuild(&["run", "--rm", "made:1"]).success().stdout,
        "new\n"
    );
    let gone = ["run", "--rm", "made:1", "sh", "-c", "test ! -e /bin/vi"];
    lab.rbuild(&gone).success();
    lab.rbuild(&["rename", "edited", "other"]).success();
    lab.rbuild(&["rm", "other"]).success();
}

#[rstest]
fn files_are_copied_out_and_in_whether_the_container_runs_or_not(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let host = lab.own_folder("host");
    std::fs::write(host.join("file"), "from the host").expect("a new file");
    let path = |name: &str| host.join(name).to_str().expect("text").to_owned();
    lab.rbuild(&["create", "--name", "box", "app", "sleep", "1000"])
        .success();
    for state in ["created", "running"] {
        lab.rbuild(&["cp", &path("file"), "box:/tmp/copied"])
            .success();
        // A link of the container's leads nowhere but in the container.
        lab.rbuild(&["cp", "box:/tmp/copied", &path(state)])
            .success();
        let back = std::fs::read_to_string(host.join(state)).expect("a copy");
        assert_eq!(back, "from the host");
        lab.rbuild(&["start", "box"]).success();
    }
    let script = "ln -s /etc /tmp/out; mkdir /tmp/dir; echo deep > /tmp/dir/deep";
    lab.rbuild(&["exec", "box", "sh", "-c", script]).success();
    lab.rbuild(&["cp", &path("file"), "box:/tmp/out/inside"])
        .success();
    assert!(!std::path::Path::new("/etc/inside").exists());
    lab.rbuild(&["exec", "box", "cat", "/etc/inside"]).success();
    lab.rbuild(&["cp", "box:/tmp/dir", &path("")]).success();
    let deep = std::fs::read_to_string(host.join("dir/deep")).expect("a copy");
    assert_eq!(deep, "deep\n");
    lab.rbuild(&["cp", "box:/no/such", &path("")]).failure();
    lab.rbuild(&["rm", "-f", "box"]).success();
}

#[rstest]
fn archives_are_copied_out_and_in(#[values(Caller::Root, Caller::Ranges)] caller: Caller) {
    let Some(lab) = lab(caller) else { return };
    let rbuild = |arguments: &[&str]| lab.rbuild(arguments).success();
    let archived = |source: &str| {
        let output = lab.command(&["cp", source, "-"]).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        let path = lab.path("out/copied.tar");
        std::fs::write(&path, output.stdout).expect("a new file");
        path
    };
    let script = "mkdir /d && echo one > /d/one && chown 33:33 /d/one && ln -s one /d/link";
    rbuild(&[
        "run", "--name", "from", "-u", "0", "app", "sh", "-c", script,
    ]);
    rbuild(&["create", "--name", "to", "app", "sleep", "1000"]);
    let tree = crate::support::Tree::read(&archived("from:/d"));
    assert_eq!(tree.paths(), ["d", "d/link", "d/one"]);
    assert_eq!(
        (tree.get("d/one").uid, tree.text("d/one")),
        (33, "one\n".to_owned())
    );
    assert_eq!(
        crate::support::Tree::read(&archived("from:/d/.")).paths(),
        ["link", "one"]
    );
    assert_eq!(
        crate::support::Tree::read(&archived("from:/d/one")).paths(),
        ["one"]
    );
    let tar = archived("from:/d");
    for target in ["to:/tmp", "to:/root"] {
        let archive = std::fs::File::open(&tar).expect("just written");
        let mut copy = lab.command(&["cp", "-", target]);
        let output = copy.stdin(archive).output().expect("it runs");
        assert!(output.status.success(), "{output:?}");
        if target == "to:/tmp" {
            rbuild(&["start", "to"]);
        }
    }
    for place in ["/tmp", "/root"] {
        let script = format!("cat {place}/d/link && stat -c %u {place}/d/one");
        let told = rbuild(&["exec", "-u", "0", "to", "sh", "-c", &script]);
        assert_eq!(told.stdout, "one\n33\n");
    }
    let nowhere = lab.rbuild_with_input(&["cp", "-", "to:/tmp"], "no archive");
    nowhere.failure().says("is no archive");
    let archive = std::fs::File::open(&tar).expect("just written");
    let mut copy = lab.command(&["cp", "-", "to:/no/such"]);
    assert!(
        !copy
            .stdin(archive)
            .output()
            .expect("it runs")
            .status
            .success()
    );
    rbuild(&["rm", "-f", "from", "to"]);
}

#[rstest]
fn named_volumes_outlive_containers_and_begin_with_what_the_image_has(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab(caller) else { return };
    let run = |volume: &str, script: &str| {
        lab.rbuild(&[
            "run", "--rm", "-u", "0", "-v", volume, "app", "sh", "-c", script,
        ])
        .success()
        .stdout
    };
    run("data:/etc", "echo kept > /etc/mine");
    assert_eq!(
        run("data:/d", "cat /d/mine; ls /d | grep -c group"),
        "kept\n1\n"
    );
    assert_eq!(
        lab.rbuild(&["volume", "create", "second"]).success().stdout,
        "second\n"
    );
    let listed = lab.rbuild(&["volume", "ls"]).success().stdout;
    let words: Vec<&str> = listed.split_whitespace().collect();
    let rows = ["local", "data", "local", "second"];
    assert_eq!(words, [&["DRIVER", "VOLUME", "NAME"], &rows[..]].concat());
    lab.rbuild(&["create", "--name", "user", "-v", "data:/d", "app"])
        .success();
    lab.rbuild(&["volume", "rm", "data"])
        .failure()
        .says("in use by user");
    // What somebody gave a name goes only where that is asked for.
    let unnamed = lab.rbuild(&["volume", "create"]).success().stdout;
    let pruned = lab.rbuild(&["volume", "prune", "-f"]).success().stdout;
    let told = format!("Deleted Volumes:\n{unnamed}\nTotal reclaimed space: ");
    assert!(pruned.starts_with(&told), "{pruned}");
    let pruned = lab.rbuild(&["volume", "prune", "-af"]).success().stdout;
    assert!(pruned.starts_with("Deleted Volumes:\nsecond\n"), "{pruned}");
    let left = lab.rbuild(&["volume", "ls", "-q"]).success().stdout;
    assert_eq!(left, "data\n");
    lab.rbuild(&["rm", "user"]).success();
    lab.rbuild(&["volume", "rm", "data"]).success();
}

#[test]
fn a_link_that_is_followed_does_not_choose_what_the_copy_is_called() {
    let Some(lab) = lab(Caller::Root) else { return };
    let script = "mkdir /x && echo theirs > /x/.profile && ln -s /x/.profile /config && ln -s /x /folder && ln -s / /all";
    let run = ["run", "--name", "one", "-u", "0", "app", "sh", "-c", script];
    lab.rbuild(&run).success();
    let home = lab.own_folder("taken");
    for source in ["one:/config", "one:/folder", "one:/all"] {
        let copy = ["cp", "-L", source, home.to_str().expect("text")];
        lab.rbuild(&copy).success();
    }
    let mut names: Vec<_> = std::fs::read_dir(&home)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["all", "config", "folder"]);
    let read = |name: &str| std::fs::read_to_string(home.join(name)).expect("a file");
    assert_eq!(read("config"), "theirs\n");
    assert_eq!(read("folder/.profile"), "theirs\n");
    assert!(home.join("all/bin/sh").symlink_metadata().is_ok());
}

#[test]
fn what_is_new_behind_a_former_link_is_told_as_new_whatever_the_host_has_there() {
    let Some(lab) = lab(Caller::Root) else { return };
    lab.build(
        &lab.project("FROM busybox\nRUN ln -s /etc /way\n"),
        &["-t", "linked"],
    );
    let script = "rm /way && mkdir /way && echo x > /way/passwd";
    let run = ["run", "--name", "one", "linked", "sh", "-c", script];
    lab.rbuild(&run).success();
    let told = lab.rbuild(&["diff", "one"]).success().stdout;
    assert_eq!(told, "C /way\nA /way/passwd\n");
}

#[test]
fn inspect_tells_where_a_containers_files_are() {
    let Some(lab) = lab(Caller::Root) else { return };
    lab.rbuild(&[
        "run",
        "--user",
        "0",
        "--name",
        "one",
        "app",
        "sh",
        "-c",
        "echo said; echo kept > /kept",
    ])
    .success();
    let read = |path: String| {
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
    };
    assert!(read(field(&lab, "one", "{{.LogPath}}")).contains("said"));
    let changes = field(&lab, "one", "{{.GraphDriver.Data.UpperDir}}");
    assert_eq!(read(format!("{changes}/kept")), "kept\n");
    let layers = field(&lab, "one", "{{.GraphDriver.Data.LowerDir}}");
    let mut layers = layers.split(':').map(std::path::Path::new);
    assert!(layers.all(std::path::Path::is_dir));
    // The host has no files of these kinds.
    let none = "{{.HostsPath}}{{.HostnamePath}}{{.ResolvConfPath}}";
    assert_eq!(field(&lab, "one", none), "");
    lab.rbuild(&["rm", "one"]).success();
}

//! Volumes of containers: of a name, of none, of the image, of other containers.

use rstest::rstest;

use crate::containers::{field, lab};
use crate::support::{Caller, Lab};

/// What a command prints.
fn out(lab: &Lab, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    lab.rbuild(&words).success().stdout
}

/// Runs a script as root, with these options before the image.
fn run(lab: &Lab, options: &str, script: &str) -> String {
    let options: Vec<&str> = options.split(' ').collect();
    let command = ["app", "sh", "-c", script];
    let all = [&["run", "-u", "root"], &options[..], &command].concat();
    lab.rbuild(&all).success().stdout
}

/// An image `app` with the VOLUME /data, in which there are files.
fn lab_with_volume(caller: Caller) -> Option<Lab> {
    let lab = lab(caller)?;
    let project = lab.project(
        "FROM busybox\nRUN mkdir -m 750 /data && echo image > /data/file && chown -R 33:33 /data\nVOLUME /data\n",
    );
    lab.build(&project, &["-t", "app"]);
    Some(lab)
}

#[rstest]
fn a_volume_of_the_image_begins_with_its_files_and_outlives_the_container(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab_with_volume(caller) else {
        return;
    };
    let script = "stat -c '%a %u' /data; cat /data/file; echo more >> /data/file";
    assert_eq!(run(&lab, "--name one", script), "750 33\nimage\n");
    assert_eq!(out(&lab, "start -a one"), "750 33\nimage\nmore\n");
    // What is in a volume is no change of the container's.
    assert!(!out(&lab, "diff one").contains("file"));
    out(&lab, "commit one changed");
    assert_eq!(out(&lab, "run --rm changed cat /data/file"), "image\n");

    let name = field(&lab, "one", "{{(index .Mounts 0).Name}}");
    assert_eq!(name.len(), 64);
    assert_eq!(
        out(&lab, "volume ls"),
        format!("DRIVER    VOLUME NAME\nlocal     {name}\n")
    );
    assert_eq!(
        field(
            &lab,
            "one",
            "{{range .Mounts}}{{.Type}} {{.Destination}} {{.Driver}} {{.RW}}{{end}}"
        ),
        "volume /data local true"
    );
    let place = field(&lab, "one", "{{(index .Mounts 0).Source}}");
    assert!(place.ends_with(&format!("{name}/_data")), "{place}");
    out(&lab, "rm one");
    assert_eq!(out(&lab, "volume ls -q"), format!("{name}\n"));
    assert_eq!(
        run(&lab, &format!("--rm -v {name}:/old"), "cat /old/file"),
        "image\nmore\nmore\n"
    );
    assert_eq!(out(&lab, "volume ls -q"), format!("{name}\n"));
    let pruned = out(&lab, "volume prune -f");
    assert!(pruned.contains(&name), "{pruned}");
    lab.assert_nothing_left();
}

#[test]
fn volumes_without_a_name_go_with_the_container_where_that_is_asked_for() {
    let Some(lab) = lab_with_volume(Caller::Root) else {
        return;
    };
    let volumes = || out(&lab, "volume ls -q").lines().count();
    run(
        &lab,
        "--rm -v /more -v given:/given",
        "touch /data/x /more/x",
    );
    assert_eq!(out(&lab, "volume ls -q"), "given\n");
    run(&lab, "-d --rm --name gone -v /more", "true");
    lab.rbuild(&["wait", "gone"]);
    assert_eq!(volumes(), 1);
    run(&lab, "--name one -v /more -v given:/given", "true");
    out(&lab, "create --volumes-from one --name two app true");
    assert_eq!(volumes(), 3);
    out(&lab, "rm -v one");
    assert_eq!(volumes(), 3);
    out(&lab, "rm -v two");
    assert_eq!(out(&lab, "volume ls -q"), "given\n");
    lab.rbuild(&["run", "--rm", "app", "/no/such"])
        .says("no such file");
    lab.rbuild(&["run", "--name", "left", "app", "/no/such"])
        .says("no such file");
    assert_eq!(volumes(), 2);
    out(&lab, "container prune -f");
    assert_eq!(volumes(), 2);
    let pruned = out(&lab, "system prune -f --volumes");
    assert!(pruned.contains("Deleted Volumes:\n"), "{pruned}");
    assert_eq!(out(&lab, "volume ls -q"), "given\n");
}

#[test]
fn an_anonymous_volume_is_the_same_when_it_starts_again() {
    let Some(lab) = lab(Caller::Root) else { return };
    let made = lab.path("made");
    let bind = format!("{}:/made", made.display());
    let script = "[ -e /data/note ] && echo again || echo note > /data/note";
    // At the first start the host's directory is made, at the second it is there.
    let run = [
        "run", "--name", "one", "-u", "root", "-v", &bind, "-v", "/data", "app", "sh", "-c", script,
    ];
    assert_eq!(lab.rbuild(&run).success().stdout, "");
    assert!(made.is_dir());
    assert_eq!(out(&lab, "start -a one"), "again\n");
    let mount = format!("type=bind,source={},target=/x", lab.path("never").display());
    let refused = lab.rbuild(&["run", "--mount", &mount, "app", "true"]);
    refused.says("does not exist");
}

#[rstest]
fn a_container_mounts_what_another_one_mounts(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab_with_volume(caller) else {
        return;
    };
    out(&lab, "create --name store -v /own -v named:/named app true");
    let from = "--rm --volumes-from store";
    // Files of the image are there before the other container has ever run.
    assert_eq!(
        run(&lab, from, "cat /data/file; touch /data/one /own/two"),
        "image\n"
    );
    run(&lab, "--rm --volumes-from=store:rw", "touch /named/three");
    let read_only = [
        "run",
        "--rm",
        "-u",
        "root",
        "--volumes-from",
        "store:ro",
        "app",
        "touch",
        "/data/no",
    ];
    lab.rbuild(&read_only)
        .failure()
        .says("Read-only file system");
    lab.rbuild(&["run", "--volumes-from", "store:never", "app", "true"])
        .says("it is CONTAINER[:ro|rw]");
    out(
        &lab,
        "create --name user --volumes-from store app ls /data /own /named",
    );
    // They stay as long as somebody has them.
    out(&lab, "rm -v store");
    let listed = "/data:\nfile\none\n\n/named:\nthree\n\n/own:\ntwo\n";
    assert_eq!(out(&lab, "start -a user"), listed);
    // What is the container's own at the same place counts.
    assert_eq!(
        out(
            &lab,
            "run --rm --volumes-from user --tmpfs /data app ls /data /named"
        ),
        "/data:\n\n/named:\nthree\n"
    );
    out(&lab, "rm -v user");
    assert_eq!(out(&lab, "volume ls -q"), "named\n");
    lab.assert_nothing_left();
}

#[rstest]
fn files_are_copied_from_and_to_the_volumes_of_a_container_that_does_not_run(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = lab_with_volume(caller) else {
        return;
    };
    let host = lab.own_folder("host");
    std::fs::write(host.join("new"), "new\n").expect("a written file");
    let bind = format!("{}:/host:ro", host.display());
    out(
        &lab,
        &format!("create --name one -v /made/here -v {bind} app cat /data/new /made/here/new"),
    );
    let new = host.join("new").display().to_string();
    let old = host.join("old").display().to_string();
    out(&lab, &format!("cp {new} one:/data/"));
    out(&lab, &format!("cp {new} one:/made/here"));
    out(&lab, &format!("cp one:/data/file {old}"));
    assert_eq!(
        std::fs::read_to_string(&old).expect("it was copied"),
        "image\n"
    );
    out(&lab, &format!("cp one:/host/new {old}"));
    assert_eq!(
        std::fs::read_to_string(&old).expect("it was copied"),
        "new\n"
    );
    lab.rbuild(&["cp", &new, "one:/host/other"])
        .failure()
        .says("Read-only");
    assert_eq!(out(&lab, "start -a one"), "new\nnew\n");
    assert!(!out(&lab, "diff one").contains("new"));
    out(&lab, "rm -v one");
    lab.assert_nothing_left();
}

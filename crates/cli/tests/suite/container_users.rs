//! Containers of root with users of their own: `--userns auto`.

use std::os::unix::fs::MetadataExt as _;

use crate::containers::{field, lab};
use crate::support::{Caller, Lab};

const AUTO: [&str; 5] = ["run", "--userns", "auto", "-u", "root"];

/// What a script says in a container with users of its own.
fn told(lab: &Lab, options: &[&str], script: &str) -> String {
    let run = [&AUTO[..], options, &["app", "sh", "-c", script]].concat();
    lab.rbuild(&run).success().stdout.trim().to_owned()
}

#[test]
fn users_of_a_container_are_nobody_on_the_host_and_what_they_change_belongs_to_them_all_the_same() {
    let Some(lab) = lab(Caller::Root) else { return };
    std::fs::write(lab.path("kept"), "of the host").expect("ours");
    let bind = format!("{}:/host", lab.path("kept").display());
    let script = "awk '$2 >= 1073741824 && $3 == 65536' /proc/self/uid_map | wc -l; id -u; \
        echo x > /mine && chown 7:8 /mine && chown 65534 /etc/group && rm /etc/shadow; mkdir /var/new; \
        echo y > /host; mknod /dev/x c 1 3; \
        stat -c %u /host /bin; echo z > /dev/null && echo end > /dev/stdout";
    let options = ["--name", "one", "-v", &bind];
    assert_eq!(told(&lab, &options, script), "1\n0\n65534\n0\nend");
    assert_eq!(
        std::fs::read_to_string(lab.path("kept")).expect("ours"),
        "of the host"
    );

    let id = field(&lab, "one", "{{.Id}}");
    let changed = lab.path(&format!("root/containers/{id}/diff"));
    let owner = |name: &str| {
        let found = changed.join(name).symlink_metadata().expect("it was made");
        (found.uid(), found.gid())
    };
    assert_eq!(owner("mine"), (7, 8));
    assert_eq!(owner("var/new"), (0, 0));
    assert_eq!(owner("etc/group"), (65534, 0));
    let diff = lab.rbuild(&["diff", "one"]).success().stdout;
    assert!(
        diff.contains("A /mine\n") && diff.contains("C /etc/group\n"),
        "{diff}"
    );

    // Kept in an image, seen by a container with the host's users, and by itself again.
    lab.rbuild(&["commit", "one", "kept"]).success();
    let seen = [
        "run", "--rm", "kept", "stat", "-c", "%u %g", "/mine", "/bin",
    ];
    assert_eq!(lab.rbuild(&seen).success().stdout, "7 8\n0 0\n");
    lab.rbuild(&["start", "-a", "one"]).success();
    lab.rbuild(&["rm", "one"]).success();
    lab.assert_nothing_left();
}

#[test]
fn a_container_with_users_of_its_own_is_entered_copied_from_and_shares_volumes() {
    let Some(lab) = lab(Caller::Root) else { return };
    let start = |name: &str| {
        let options = ["-d", "--name", name, "-v", "data:/data", "-p", "80"];
        told(
            &lab,
            &options,
            "[ -e /data/note ] || echo note > /data/note; chown 33:33 /data/note; exec httpd -f -p 80",
        );
    };
    start("one");
    start("two");
    let inside = |name: &str, script: &str| {
        let exec = ["exec", "-u", "root", name, "sh", "-c", script];
        lab.rbuild(&exec).success().stdout.trim().to_owned()
    };
    let maps = ["one", "two"].map(|name| inside(name, "cat /proc/self/uid_map"));
    assert_ne!(maps[0], maps[1]);
    let seen = inside(
        "two",
        "id -u; stat -c '%u %g' /data/note; echo more > /data/note; echo /dev/stdout",
    );
    assert_eq!(seen, "0\n33 33\n/dev/stdout");
    let own = lab.path("root/volumes/data/_data/note").metadata();
    assert_eq!(own.expect("a file").uid(), 33);

    std::fs::write(lab.path("in"), "side").expect("ours");
    let path = lab.path("in").display().to_string();
    lab.rbuild(&["cp", &path, "one:/tmp/copy"]).success();
    assert_eq!(
        inside("one", "stat -c '%u %g' /tmp/copy; cat /tmp/copy"),
        "0 0\nside"
    );
    let out = lab.path("taken").display().to_string();
    lab.rbuild(&["cp", "-a", "one:/data/note", &out]).success();
    assert_eq!(lab.path("taken").metadata().expect("a copy").uid(), 33);
    let top = lab.rbuild(&["top", "one"]).success().stdout;
    assert!(top.contains("httpd"), "{top}");
    lab.rbuild(&["rm", "-f", "one", "two"]).success();
    lab.rbuild(&["volume", "rm", "data"]).success();
    lab.assert_nothing_left();
}

#[test]
fn users_of_its_own_do_not_go_with_what_is_the_hosts() {
    let Some(lab) = lab(Caller::Root) else { return };
    for (options, why) in [
        (&["--pid", "host"][..], "users that it does not have"),
        (
            &["--privileged"],
            "a privileged container is root of the host",
        ),
    ] {
        let run = [&AUTO[..], options, &["app", "true"]].concat();
        lab.rbuild(&run).says(why);
    }
    lab.rbuild(&["run", "--userns", "keep-id", "app", "true"])
        .says("it is host or auto");
    lab.assert_nothing_left();
    let Some(lab) = crate::containers::lab(Caller::Ranges) else {
        return;
    };
    lab.rbuild(&["run", "--userns", "auto", "app", "true"])
        .says("containers of a normal user are in that user's namespace already");
}

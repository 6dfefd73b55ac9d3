//! Attempts to reach out of steps and containers. Each has to fail, and the host has to be as it was.

use std::fs::{File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::PathBuf;
use std::process::{Child, Command};

use rstest::rstest;

use crate::support::{Caller, Lab, Project};

/// Who tries it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fence {
    Root,
    RootWithUsersOfItsOwn,
    User,
}

impl Fence {
    pub(crate) fn caller(self) -> Caller {
        match self {
            Self::Root | Self::RootWithUsersOfItsOwn => Caller::Root,
            Self::User => Caller::Ranges,
        }
    }
}

/// What the host has and must keep.
struct Host {
    process: Child,
    files: PathBuf,
    kernel: Vec<String>,
}

impl Host {
    fn new(lab: &Lab) -> Self {
        Self {
            process: Command::new("sleep")
                .arg("600")
                .spawn()
                .expect("sleep is there"),
            files: lab.path("root"),
            kernel: kernel(),
        }
    }

    /// The arguments of the attempts.
    fn words(&self) -> [String; 4] {
        let disk = std::fs::metadata("/").expect("there is a root").dev();
        let (high, low) = (rustix::fs::major(disk), rustix::fs::minor(disk));
        let files = self.files.display().to_string();
        [
            files,
            self.process.id().to_string(),
            high.to_string(),
            low.to_string(),
        ]
    }

    fn assert_unharmed(mut self) {
        let ended = self.process.try_wait().expect("our child");
        self.process.kill().expect("our child");
        self.process.wait().expect("our child");
        assert_eq!(ended, None, "the host's process was killed");
        assert_eq!(kernel(), self.kernel);
    }
}

/// What the kernel says of things that nobody but the host may change.
fn kernel() -> Vec<String> {
    let read = |name: &str| std::fs::read_to_string(name).unwrap_or_default();
    let names = ["core_pattern", "hostname", "modprobe", "panic"];
    let mut said: Vec<String> = names
        .iter()
        .map(|name| read(&format!("/proc/sys/kernel/{name}")))
        .collect();
    let groups = ["/sys/fs/cgroup/escaped", "/sys/fs/cgroup/memory/escaped"];
    said.extend(groups.map(|path| PathBuf::from(path).exists().to_string()));
    said
}

/// A context with the program that tries it all.
fn project(lab: &Lab, dockerfile: &str) -> Project {
    let project = lab.project(dockerfile);
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/suite/escapes.c");
    let compiled = Command::new("cc")
        .args(["-static", "-w", "-o"])
        .arg(project.dir.join("escape"))
        .arg(source)
        .output()
        .expect("the linker of this very test is a compiler");
    assert!(compiled.status.success(), "{compiled:?}");
    project
}

#[rstest]
fn nothing_that_is_tried_in_a_step_or_a_container_reaches_the_host(
    #[values(Fence::Root, Fence::RootWithUsersOfItsOwn, Fence::User)] fence: Fence,
) {
    let Some(lab) = Lab::new(fence.caller()) else {
        return;
    };
    let host = Host::new(&lab);
    let words = host.words();
    let line = words.join(" ");
    let dockerfile = format!("FROM busybox\nCOPY escape /escape\nRUN /escape {line}\n");
    let users: &[&str] = match fence {
        Fence::RootWithUsersOfItsOwn => &["--userns", "auto"],
        Fence::Root | Fence::User => &[],
    };
    let project = project(&lab, &dockerfile);
    for network in ["default", "none"] {
        let options = ["-t", "app", "--no-cache", "--network", network];
        let built = lab.build(&project, &[users, &options].concat());
        assert_eq!(built.step("RUN /escape").output, ["tried"], "{network}");
    }

    let options = [&["run", "--rm"], users].concat();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    for further in [&[][..], &["--user", "1000"], &["--network", "none"]] {
        let run = [&options[..], further, &["app", "/escape"], &words].concat();
        assert_eq!(lab.rbuild(&run).success().stdout, "tried\n", "{further:?}");
    }
    host.assert_unharmed();
    lab.assert_nothing_left();
}

#[rstest]
fn a_working_directory_is_no_way_to_what_the_builder_has_open(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let up = "../".repeat(20);
    let place = lab.path("root");
    let script = format!(
        "ls -d {up}{} 2>/dev/null && exit 9; exit 0",
        place.display()
    );
    let steps =
        [3, 4, 5, 6, 7].map(|number| format!("WORKDIR /proc/self/fd/{number}\nRUN {script}\n"));
    let steps = steps.concat();
    let told = lab.try_build(&lab.project(&format!("FROM busybox\n{steps}")), &[]);
    assert!(!told.to_string().contains("exit code: 9"), "{told}");
    let links = lab.project("FROM busybox\nRUN ln -s /proc/self/fd /way\n");
    lab.build(&links, &["-t", "app"]);
    // Those that the init has open, and those that it gets while it looks at the path.
    let all =
        (3..20).flat_map(|number| ["/proc/self/fd", "/way"].map(|way| format!("{way}/{number}")));
    for way in all.chain(["/proc/1/fd/4".to_owned()]) {
        let run = ["run", "--rm", "-w", &way, "app", "sh", "-c", &script];
        let told = lab.rbuild(&run);
        assert_eq!(told.status.code(), Some(125), "{way}: {told}");
    }
    lab.assert_nothing_left();
}

/// The ways of CVE-2024-23651 and CVE-2024-23652.
#[rstest]
fn links_that_a_step_leaves_lead_neither_its_mounts_nor_what_tidies_up_to_the_host(
    #[values(Fence::Root, Fence::RootWithUsersOfItsOwn, Fence::User)] fence: Fence,
) {
    let Some(lab) = Lab::new(fence.caller()) else {
        return;
    };
    let victim = lab.own_folder("victim");
    std::fs::create_dir_all(victim.join("b/c")).expect("ours");
    std::fs::write(victim.join("secret"), "").expect("ours");
    for folder in ["b", "b/c"] {
        let user = fence.caller().user();
        chown(victim.join(folder), user, user).expect("root may");
    }
    let host = victim.display();
    let project = lab.project(&format!(
        "FROM busybox\n\
         RUN --mount=type=tmpfs,target=/a/b/c mv /a /z && ln -s {host} /a\n\
         RUN --mount=type=cache,id=x,target=/x ln -s {host} /x/way && ln -s / /x/all && mkdir -p /x{host}\n\
         RUN --mount=type=cache,id=x,source=way,target=/h [ ! -e /h/secret ]\n\
         RUN --mount=type=cache,id=x,source=all,target=/h [ -L /h/way ]\n\
         RUN --mount=type=tmpfs,target=/a/made [ -d /a/made ]\n",
    ));
    let users: &[&str] = match fence {
        Fence::RootWithUsersOfItsOwn => &["--userns", "auto"],
        Fence::Root | Fence::User => &[],
    };
    lab.build(&project, users);
    assert!(victim.join("b/c").is_dir() && !victim.join("made").exists());
    lab.assert_nothing_left();
}

#[test]
fn a_container_that_may_mount_opens_no_devices_but_its_own() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    lab.build(&lab.project("FROM busybox\n"), &["-t", "app"]);
    let script = "mkdir -p /mnt && mount -t tmpfs none /mnt && mknod /mnt/full c 1 7 && mknod /mnt/tun c 10 200 && mknod /mnt/fuse c 10 229 || exit 2; \
        for one in null zero full random urandom ptmx; do (: < /dev/$one) || exit 3; done; \
        (: < /mnt/full) || exit 4; \
        for one in tun fuse; do (: < /mnt/$one) 2>/dev/null && exit 5; done; exit 0";
    // The profile of ours denies mounting.
    let may_mount = [
        "--cap-add",
        "SYS_ADMIN",
        "--security-opt",
        "apparmor=unconfined",
    ];
    let run = |options: &[&str], script: &str| {
        let told = lab.rbuild(
            &[
                &["run", "--rm"],
                &may_mount[..],
                options,
                &["app", "sh", "-c", script],
            ]
            .concat(),
        );
        told.status.code()
    };
    assert_eq!(run(&[], script), Some(0));
    assert_eq!(run(&["--init"], script), Some(0));
    if std::path::Path::new("/dev/fuse").exists() {
        let open = ["--device", "/dev/fuse"];
        assert_eq!(run(&open, ": < /dev/fuse"), Some(0));
    }
    let start = ["run", "-d", "--name", "one"];
    lab.rbuild(&[&start[..], &may_mount, &["app", "sleep", "1000"]].concat())
        .success();
    let exec = ["exec", "one", "sh", "-c", script];
    assert_eq!(lab.rbuild(&exec).status.code(), Some(0));
    let start = ["run", "-d", "--name", "plain", "app", "sleep", "1000"];
    lab.rbuild(&start).success();
    let exec = ["exec", "--privileged", "plain", "sh", "-c", script];
    assert_eq!(lab.rbuild(&exec).status.code(), Some(0));
    lab.rbuild(&["rm", "-f", "one", "plain"]).success();
    lab.assert_nothing_left();
}

/// What a container may not do with streams that are not its own.
#[rstest]
fn the_files_that_are_a_containers_streams_are_read_and_written_and_nothing_else(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
    #[values(true, false)] joins: bool,
) {
    let Some(lab) = Lab::new(caller) else { return };
    lab.build(&lab.project("FROM busybox\n"), &["-t", "app"]);
    lab.rbuild(&["run", "-d", "--name", "other", "app", "sleep", "1000"])
        .success();
    let place = lab.own_folder("streams");
    let path = |name: &str| place.join(name);
    std::fs::write(path("in"), "old").expect("a new file");
    std::fs::set_permissions(path("in"), Permissions::from_mode(0o444)).expect("ours");
    std::fs::write(path("out"), "").expect("a new file");
    for name in ["in", "out"] {
        chown(path(name), caller.user(), caller.user()).expect("root may");
    }
    let script = "cat; (echo new > /proc/self/fd/0; chmod 4777 /proc/self/fd/0 /proc/self/fd/1; \
         chown 7 /proc/self/fd/0 /proc/self/fd/1; ls /proc/self/fd/0/) 2> /dev/null; cd /proc/self/fd/0/ 2> /dev/null && ls; exit 0";
    let mut arguments = if joins {
        vec!["exec", "-i", "other"]
    } else {
        vec!["run", "-i", "--rm", "app"]
    };
    arguments.extend(["sh", "-c", script]);
    let look = || {
        ["in", "out"].map(|name| {
            let found = path(name).metadata().expect("it is there");
            (found.mode(), found.uid())
        })
    };
    let before = look();
    // The second has a directory for a stream.
    for input in [path("in"), place.clone()] {
        let mut run = lab.command(&arguments);
        run.stdin(File::open(input).expect("ours"))
            .stdout(File::create(path("out")).expect("ours"))
            .status()
            .expect("it starts");
        assert_eq!(look(), before);
    }
    assert_eq!(std::fs::read_to_string(path("in")).expect("ours"), "old");
    assert_eq!(std::fs::read_to_string(path("out")).expect("ours"), "");
    lab.rbuild(&["rm", "-f", "other"]).success();
}

#[test]
fn a_container_that_starts_the_builder_cannot_change_it() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let program = || std::fs::metadata(lab.command(&[]).get_program()).expect("it is there");
    let before = program();
    lab.build(&lab.project("FROM busybox\n"), &["-t", "app"]);
    let script = "for file in /proc/*/exe; do (echo x >> $file) 2>/dev/null; done; true";
    for further in [&[][..], &["--init"], &["--userns", "auto"]] {
        let run = [&["run", "--rm"], further, &["app", "sh", "-c", script]].concat();
        lab.rbuild(&run).success();
    }
    let now = program();
    assert_eq!((now.len(), now.mtime()), (before.len(), before.mtime()));
}

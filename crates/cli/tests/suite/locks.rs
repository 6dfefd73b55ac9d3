//! `--lock`: names that go on meaning what they meant.

use rbuild_testkit::{ImageMaker, Registry};

use crate::support::{Caller, Lab, Project, WebServer, require, run};

/// Two machines and a registry that both know.
struct Machines {
    one: Lab,
    other: Lab,
    hub: Registry,
}

impl Machines {
    fn new() -> Option<Self> {
        if !require("skopeo", "a registry") {
            return None;
        }
        let one = Lab::with_bases(Caller::Root, &[])?;
        let other = Lab::with_bases(Caller::Root, &[])?;
        let hub = Registry::start()?;
        for lab in [&one, &other] {
            lab.config(&format!("[registry.\"{}\"]\nhttp = true\n", hub.host()));
        }
        Some(Self { one, other, hub })
    }

    /// Lets `app/base:1` be an image for two platforms with this in its file `version`.
    fn publish(&self, version: &str) {
        let dir = self.one.path(&format!("base-{version}"));
        let image = ImageMaker::new()
            .layer(&[("version", version.as_bytes())])
            .platforms(&[("linux", "amd64"), ("linux", "arm64")]);
        let layout = image.write(&dir, "1").expect("an image");
        self.hub.push(&layout, "app/base:1").expect("a push");
    }

    fn project(&self) -> Project {
        self.one
            .project(&format!("FROM {}/app/base:1\nCOPY f /f\n", self.hub.host()))
    }
}

fn lock_file(project: &Project) -> String {
    std::fs::read_to_string(project.dir.join("rbuild.lock")).expect("a lock file")
}

#[test]
fn a_locked_base_image_stays_what_it_was_until_the_lock_is_moved() {
    let Some(machines) = Machines::new() else {
        return;
    };
    let Machines { one, other, hub } = &machines;
    machines.publish("1");
    let project = machines.project();
    project.file("f", "");
    one.try_build(&project, &["--locked"])
        .failure()
        .says("there is no lock file");
    one.build(&project, &["--lock"]).says("write rbuild.lock");
    let first = lock_file(&project);
    assert_eq!(first.matches("[[image]]").count(), 1, "{first}");
    assert!(
        first.contains(&format!("{}/app/base:1", hub.host())),
        "{first}"
    );
    machines.publish("2");
    let version = |lab: &Lab, arguments: &[&str]| lab.tree(&project, arguments).text("version");
    assert_eq!(version(other, &["--lock", "--pull"]), "1");
    assert_eq!(version(other, &["--locked"]), "1");
    assert_eq!(lock_file(&project), first, "nothing was to be written");
    assert_eq!(
        version(other, &["--pull"]),
        "2",
        "without it the name counts"
    );
    one.try_build(&project, &["--update-lock=debian"])
        .failure()
        .says("--update-lock=debian: nothing that this build uses");
    assert_eq!(version(one, &["--update-lock=app/base"]), "2");
    assert_ne!(lock_file(&project), first);
    assert_eq!(version(other, &["--locked"]), "2");
}

#[test]
fn each_platform_has_its_pin_and_a_missing_one_is_said() {
    let Some(machines) = Machines::new() else {
        return;
    };
    let lab = &machines.one;
    machines.publish("1");
    let project = machines.project();
    project.file("f", "");
    lab.build(&project, &["--lock", "--platform=linux/amd64"]);
    let both = "--platform=linux/amd64,linux/arm64";
    lab.try_build(&project, &["--locked", both])
        .failure()
        .says("rbuild.lock does not pin it for linux/arm64");
    lab.build(&project, &["--lock", both]);
    let lock = lock_file(&project);
    assert_eq!(lock.matches("[[image]]").count(), 2, "{lock}");
    machines.other.build(&project, &["--locked", both]);
    project.file("rbuild.lock", lock.replace("sha256:", "sha256:0000"));
    lab.try_build(&project, &["--lock"])
        .failure()
        .says("failed to use the lock file");
    let digest = lock.split("digest = \"").nth(1).expect("a digest");
    let gone = format!("sha256:{}", "0".repeat(64));
    project.file("rbuild.lock", lock.replace(&digest[..71], &gone));
    lab.try_build(&project, &["--lock", "--platform=linux/amd64"])
        .failure()
        .says("--update-lock takes what there is now");
}

#[test]
fn files_and_repositories_are_locked_too_and_what_moved_is_an_error() {
    let (Some(lab), Some(other)) = (Lab::new(Caller::Root), Lab::new(Caller::Root)) else {
        return;
    };
    let folder = lab.path("served");
    std::fs::create_dir(&folder).expect("a new folder");
    let commit = |text: &str| {
        let script = format!(
            "cd {0} && echo {text} > file && mkdir -p repo && cd repo && git init -q -b main && git config user.email t@t && \
             git config user.name t && echo {text} > in-git && git add . && git commit -qm {text} && git update-server-info && git rev-parse HEAD",
            folder.display()
        );
        let told = run("sh", &["-ec", &script]).success().stdout;
        told.trim().to_owned()
    };
    let first = commit("one");
    let server = WebServer::start(&folder);
    let url = &server.url;
    let project = lab.project(&format!(
        "FROM scratch\nADD {url}/file /\nADD {url}/repo/.git#main /repo/\n"
    ));
    let lock = lab.path("out/my.lock");
    let lock_option = format!("--lock={}", lock.display());
    let with = |lab: &Lab, option: &str| {
        lab.tree(&project, &[&lock_option, option])
            .text("repo/in-git")
    };
    assert_eq!(with(&lab, "--quiet=false"), "one\n");
    let text = std::fs::read_to_string(&lock).expect("a lock file");
    assert!(text.contains(&format!("url = \"{url}/file\"")), "{text}");
    assert!(text.contains(&format!("commit = \"{first}\"")), "{text}");
    let second = commit("two");
    // Who has what is pinned goes on with it; who has not asks for it.
    assert_eq!(with(&lab, "--locked"), "one\n");
    let refused = other
        .try_build(&project, &[&lock_option, "--locked"])
        .failure();
    refused.says("the lock file pins it to sha256:");
    assert_eq!(
        with(&other, "--update-lock=file"),
        "one\n",
        "the branch has moved on"
    );
    assert_eq!(
        other
            .tree(&project, &[&lock_option, "--locked"])
            .text("file"),
        "two\n"
    );
    assert_eq!(with(&other, "--update-lock"), "two\n");
    let text = std::fs::read_to_string(&lock).expect("a lock file");
    assert!(text.contains(&second) && !text.contains(&first), "{text}");
    let more = lab.project(&format!("FROM scratch\nADD {url}/repo/in-git /\n"));
    lab.try_build(&more, &[&lock_option, "--locked"])
        .failure()
        .says("in the lock file: it is not pinned there");
}

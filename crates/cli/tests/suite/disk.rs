//! The cache stays within its budget, and says what it takes.

use serde_json::Value;

use crate::support::{Caller, Lab, Running, State};

/// A large layer that takes no time, and a small one that does.
const QUICK_AND_SLOW: &str = "\
FROM busybox AS quick
RUN dd if=/dev/zero of=/big bs=1M count=6 2>/dev/null
FROM busybox AS slow
RUN sleep 1.5; echo compiled > /small
FROM busybox
COPY --from=quick /etc/group /quick
COPY --from=slow /small /small
";

/// A step or container that goes on when it is told.
const WAIT: &str = "until [ -e /gate/go ]; do sleep 0.02; done";

fn usage(lab: &Lab, filter: &str) -> Vec<Value> {
    let outcome = lab.rbuild(&["du", "--filter", filter, "--format", "json"]);
    let lines = outcome.success().stdout;
    lines
        .lines()
        .map(|line| serde_json::from_str(line).expect("an object a line"))
        .collect()
}

#[test]
fn after_a_build_the_cache_shrinks_to_its_cap_by_what_is_worth_least() {
    let Some(lab) = Lab::new(Caller::Ranges) else {
        return;
    };
    lab.config("[cache]\nmax-used-space = \"2MB\"\n");
    let project = lab.project(QUICK_AND_SLOW);
    let first = lab.build(&project, &["-t", "app"]);
    lab.assert_nothing_left();
    assert_eq!(usage(&lab, "description~=bs=1M"), [Value::Null; 0]);
    assert_eq!(usage(&lab, "description~=sleep").len(), 1);
    let second = lab.build(&project, &["-t", "app"]);
    assert_eq!(second.state("RUN sleep"), State::Cached, "{second}");
    assert_eq!(second.state("RUN dd"), State::Done, "{second}");
    assert_eq!(first.image(), second.image());
    lab.rbuild(&["run", "--rm", "app", "cat", "/small"])
        .success();
    lab.rbuild(&["fsck"]).success();
}

#[test]
fn disk_usage_and_prune_choose_by_the_same_filters() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    lab.config("[cache]\ngc = false\n");
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=cache,id=things,target=/c echo thing > /c/x\nRUN echo made > /made\n",
    );
    lab.build(&project, &[]);
    let mounts = usage(&lab, "type=exec.cachemount");
    assert_eq!(mounts.len(), 1);
    assert_eq!(mounts[0]["Description"], "things");
    assert_eq!(mounts[0]["Mutable"], true);
    let here = format!("project={}", project.dir.display());
    assert_eq!(usage(&lab, &here).len(), 2);
    let lines = lab.rbuild(&["du"]).success().stdout;
    assert!(
        lines.contains(&project.dir.display().to_string()),
        "{lines}"
    );

    let refused = lab
        .rbuild(&["prune", "-f", "--filter", "label=x"])
        .failure();
    refused.says("there is no \"label\"; there are until, id, type");
    let mounts = ["--filter", "type=exec.cachemount"];
    let told = lab
        .rbuild(&[&["prune", "--dry-run"], &mounts[..]].concat())
        .success();
    assert!(
        told.stdout.contains("Would delete cache mounts:\n"),
        "{told}"
    );
    assert_eq!(usage(&lab, "type=exec.cachemount").len(), 1);
    lab.rbuild(&[&["prune", "-f"], &mounts[..]].concat())
        .success();
    assert_eq!(usage(&lab, "type=exec.cachemount").len(), 0);
    assert_eq!(usage(&lab, &here).len(), 2);
    lab.rbuild(&["prune", "--automatic"])
        .failure()
        .says("gc = false");
}

#[test]
fn collections_and_prunes_take_nothing_from_a_running_build_or_container() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    lab.config("[cache]\nmax-used-space = 1\n");
    let app = lab.project("FROM busybox\nRUN echo of the app > /app\n");
    lab.build(&app, &["-t", "app"]);
    let gate = format!("{}:/gate", lab.own_folder("gate").display());
    let script = format!("echo up >&2; {WAIT}; cat /app");
    let mut container =
        Running::start(&mut lab.command(&["run", "--rm", "-v", &gate, "app", "sh", "-c", &script]));
    container.until_stderr_has("up");
    let project = lab.project(&format!(
        "FROM busybox AS first\nRUN echo one > /one\n\
         RUN --mount=type=cache,id=gate,target=/gate echo wai''ting; {WAIT}; cat /one > /two\n\
         FROM busybox\nCOPY --from=first /one /two /\n"
    ));
    let mut build = lab.start_build(&project, &["-t", "two"]);
    build.until_stderr_has("waiting");
    let beside = lab.project("FROM busybox\nRUN echo beside > /beside\n");
    for _ in 0..3 {
        lab.build(&beside, &[]);
        lab.rbuild(&["prune", "--automatic"]).success();
        lab.rbuild(&["prune", "-a", "-f"]).success();
    }
    std::fs::write(lab.path("gate/go"), "").expect("a new file");
    let mounts = std::fs::read_dir(lab.root().join("mounts")).expect("a folder");
    for mount in mounts {
        let instance = mount.expect("an entry").path().join("0");
        std::fs::write(instance.join("data/go"), "").expect("the mount is in use");
    }
    build.wait().success();
    assert_eq!(container.wait().success().stdout, "of the app\n");
    let both = lab.rbuild(&["run", "--rm", "two", "cat", "/one", "/two"]);
    assert_eq!(both.success().stdout, "one\none\n");
    lab.rbuild(&["fsck"]).success();
}

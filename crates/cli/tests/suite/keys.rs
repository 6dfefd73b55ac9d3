//! What a step's key covers, and what it does not: modes of a checkout, arguments, proxies, the age of a result.

use crate::support::{Caller, Lab, Project, Running, State};

/// A file, a program and a directory, with the modes that some umask gave them.
fn checked_out(project: &Project, [file, program, directory]: [u32; 3]) {
    project.mode("src/data", file).mode("src/tool", program);
    project.mode("src", directory);
}

fn with_sources(lab: &Lab, dockerfile: &str) -> Project {
    let project = lab.project(dockerfile);
    project
        .file("src/data", "data")
        .file("src/tool", "#!/bin/sh\n");
    project
}

#[test]
fn with_gits_modes_the_umask_of_a_checkout_runs_nothing_and_is_not_in_the_image() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = with_sources(
        &lab,
        "FROM busybox\nCOPY . /app\nRUN --mount=target=/in stat -c %a /in/src/tool > /mode\n",
    );
    checked_out(&project, [0o600, 0o700, 0o700]);
    let git = ["--context-mode=git"];
    let first = lab.build(&project, &git);
    checked_out(&project, [0o664, 0o775, 0o2775]);
    let second = lab.build(&project, &git);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(first.image(), second.image());
    let tree = lab.tree(&project, &git);
    assert_eq!(tree.get("app/src/data").mode, 0o644);
    assert_eq!(tree.get("app/src/tool").mode, 0o755);
    assert_eq!(tree.get("app/src").mode, 0o755);
    assert_eq!(tree.text("mode"), "755\n");
    let exact = lab.tree(&project, &[]);
    assert_eq!(exact.get("app/src/data").mode, 0o664);
}

#[test]
fn gits_modes_are_the_default_where_ci_is_set_and_only_there() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = with_sources(&lab, "FROM scratch\nCOPY src /\n");
    checked_out(&project, [0o600, 0o700, 0o700]);
    let build = |ci: &str, arguments: &[&str]| {
        let mut command = lab.build_command(arguments);
        command.arg(&project.dir).env("CI", ci);
        Running::start(&mut command).wait().success().image()
    };
    let exact = lab.build(&project, &[]).image();
    let git = lab.build(&project, &["--context-mode=git"]).image();
    assert_ne!(exact, git);
    assert_eq!(build("true", &[]), git);
    assert_eq!(build("false", &[]), exact);
    assert_eq!(build("true", &["--context-mode=exact"]), exact);
}

#[test]
fn with_an_octal_chmod_the_modes_of_the_sources_do_not_count() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = with_sources(&lab, "FROM busybox\nCOPY --chmod=750 src /app/\n");
    checked_out(&project, [0o600, 0o700, 0o700]);
    lab.build(&project, &[]);
    checked_out(&project, [0o644, 0o755, 0o755]);
    let second = lab.build(&project, &[]);
    assert_eq!(second.ran(), [""; 0], "{second}");
}

#[test]
fn a_directory_on_the_way_to_a_copy_never_keeps_an_older_mode() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = with_sources(
        &lab,
        "FROM busybox\nRUN mkdir -p /to/src\nCOPY --parents --chmod=755 src/data /to/\n",
    );
    for mode in [0o700, 0o750] {
        project.mode("src", mode);
        let cached = lab.tree(&project, &[]);
        let clean = lab.tree(&project, &["--no-cache"]);
        assert_eq!(
            cached.get("to/src").mode,
            clean.get("to/src").mode,
            "{mode:o}"
        );
    }
}

#[test]
fn arguments_and_variables_count_only_in_the_steps_that_see_them() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS one\nARG ONE\nRUN echo one > /one\nFROM busybox AS two\nENV TWO=2\nRUN echo two > /two\n\
         FROM busybox\nRUN echo plain > /plain\nARG LATE\nRUN echo late > /late\nCOPY --from=one /one /\nCOPY --from=two /two /\n",
    );
    lab.build(&project, &["--build-arg=ONE=1", "--build-arg=LATE=1"]);
    let ran = |arguments: &[&str]| lab.build(&project, arguments).ran();
    assert_eq!(
        ran(&["--build-arg=ONE=2", "--build-arg=LATE=1"]),
        ["RUN echo one > /one"]
    );
    assert_eq!(
        ran(&["--build-arg=ONE=2", "--build-arg=LATE=2"]),
        ["RUN echo late > /late"]
    );
    let proxy = ["HTTP_PROXY", "https_proxy", "NO_PROXY"]
        .map(|name| format!("--build-arg={name}=http://p"));
    let proxy: Vec<&str> = proxy.iter().map(String::as_str).collect();
    let same = ["--build-arg=ONE=2", "--build-arg=LATE=2"];
    assert_eq!(ran(&[&same[..], &proxy[..]].concat()), [""; 0]);
    assert_eq!(
        ran(&[&same[..], &["--build-arg=UNDECLARED=1"]].concat()),
        [""; 0]
    );
}

#[test]
fn results_older_than_the_ttl_are_made_again_and_copies_are_not() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY data /\nRUN cat /proc/uptime > /made\n");
    project.file("data", "data");
    lab.build(&project, &[]);
    let young = lab.build(&project, &["--cache-ttl=7d"]);
    assert_eq!(young.ran(), [""; 0], "{young}");
    let old = lab.build(&project, &["--cache-ttl=0s", "--explain"]);
    assert_eq!(old.ran(), ["RUN cat /proc/uptime > /made"], "{old}");
    let old = old.says("not cached: older than --cache-ttl 0s");
    assert_eq!(old.state("COPY data /"), State::Cached, "{old}");
    let again = lab.build(&project, &["--cache-ttl=1h"]);
    assert_eq!(again.ran(), [""; 0], "the newer result counts: {again}");
    assert_eq!(again.image(), old.image());
    lab.try_build(&project, &["--cache-ttl=soon"])
        .failure()
        .says("12h or 7d");
}

#[test]
fn an_argument_and_a_variable_are_told_apart() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let text = "FROM busybox\nARG GIT_SHA\nENV LEVEL=1\nRUN echo made > /made\n";
    let project = lab.project(text);
    lab.build(&project, &["--build-arg=GIT_SHA=a1b2"]);
    lab.build(&project, &["--build-arg=GIT_SHA=c3d4"])
        .says("not cached: ARG GIT_SHA: a1b2 → c3d4");
    project.dockerfile(&text.replace("LEVEL=1", "LEVEL=2"));
    lab.build(&project, &["--build-arg=GIT_SHA=c3d4"])
        .says("not cached: ENV LEVEL: 1 → 2");
    project.dockerfile(&text.replace("ENV LEVEL=1", "ENV GIT_SHA=e5f6"));
    let context = project.dir.to_string_lossy().into_owned();
    lab.build(&project, &["--build-arg=GIT_SHA=c3d4"]);
    let why = lab
        .rbuild(&["cache", "why", "RUN", "--context", &context])
        .success();
    assert!(why.stdout.contains("GIT_SHA: c3d4 → e5f6"), "{why}");
}

#[test]
fn what_a_command_did_to_its_root_is_not_seen_where_another_step_gives_the_same_files() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS changed\nRUN chmod 700 / && echo x > /x\nFROM scratch AS same\nCOPY x /x\nCOPY --from=busybox / /\n\
         RUN stat -c %a / > /own\nFROM busybox\nRUN --mount=from=changed,target=/m stat -c %a /m > /mounted\nCOPY --from=same /own /own\n",
    );
    project.file("x", "x\n");
    lab.build(&project, &["--target", "changed"]);
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("own").trim(), tree.text("mounted").trim()),
        ("755", "755")
    );
}

//! What runs again, and what does not.

use rstest::rstest;

use crate::support::{Caller, Lab, State};

const TWO_STAGES: &str = "\
FROM busybox AS tools
COPY tool.sh /tool.sh
RUN sh /tool.sh > /made

FROM busybox
WORKDIR /app
COPY data.txt .
RUN wc -c data.txt > size
COPY --from=tools /made .
COPY other.txt .
RUN cat made other.txt > joined
";

#[rstest]
fn a_rebuild_of_an_unchanged_tree_runs_nothing_and_gives_the_same_image(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(TWO_STAGES);
    project
        .file("tool.sh", "echo made")
        .file("data.txt", "data")
        .file("other.txt", "other");
    let first = lab.build(&project, &["-t", "app"]);
    assert_eq!(first.ran().len(), 8, "{first}");
    let second = lab.build(&project, &["-t", "app"]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(first.image(), second.image());
}

#[rstest]
fn one_changed_file_runs_only_what_depends_on_it(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(TWO_STAGES);
    project
        .file("tool.sh", "echo made")
        .file("data.txt", "data")
        .file("other.txt", "other");
    let first = lab.build(&project, &[]);
    project.file("other.txt", "changed");
    let second = lab.build(&project, &[]);
    assert_eq!(
        second.ran(),
        ["COPY other.txt .", "RUN cat made other.txt > joined"],
        "{second}"
    );
    assert_ne!(first.image(), second.image());
    assert_eq!(lab.tree(&project, &[]).text("app/joined"), "made\nchanged");
    project.file("tool.sh", "echo made again");
    let third = lab.build(&project, &[]);
    assert_eq!(third.state("COPY data.txt"), State::Cached, "{third}");
    assert_eq!(third.state("RUN wc"), State::Cached, "{third}");
    assert_eq!(third.ran().len(), 5, "{third}");
    // Back to what it was: all of it is known.
    project
        .file("tool.sh", "echo made")
        .file("other.txt", "other");
    let fourth = lab.build(&project, &[]);
    assert_eq!(fourth.ran(), [""; 0], "{fourth}");
    assert_eq!(first.image(), fourth.image());
}

#[test]
fn times_comments_and_ignored_files_run_nothing() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY . /src\nRUN ls /src > /list\n");
    project
        .file(".dockerignore", "*.log\nDockerfile\n.dockerignore\n")
        .file("a/b", "content")
        .file("x.log", "1");
    let first = lab.build(&project, &[]);
    project.touch("a/b").file("x.log", "2");
    project.dockerfile(
        "# a comment\nFROM busybox\n\nCOPY . /src\n\n  # another\nRUN   ls /src > /list\n",
    );
    let second = lab.build(&project, &[]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(first.image(), second.image());
}

#[test]
fn names_modes_and_links_in_the_context_count() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY src /src\n");
    project.file("src/a", "content");
    let mut images = vec![lab.build(&project, &[]).image()];
    project.mode("src/a", 0o755);
    images.push(lab.build(&project, &[]).image());
    std::fs::rename(project.dir.join("src/a"), project.dir.join("src/b")).expect("a rename");
    images.push(lab.build(&project, &[]).image());
    project.symlink("src/c", "b");
    images.push(lab.build(&project, &[]).image());
    std::fs::create_dir(project.dir.join("src/empty")).expect("a new folder");
    images.push(lab.build(&project, &[]).image());
    std::fs::remove_file(project.dir.join("src/b")).expect("a removed file");
    images.push(lab.build(&project, &[]).image());
    let distinct: std::collections::BTreeSet<_> = images.iter().collect();
    assert_eq!(distinct.len(), images.len());
}

#[rstest]
fn a_step_that_gives_the_same_files_again_leaves_later_steps_cached(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project =
        lab.project("FROM busybox\nRUN echo same > /file\nRUN cat /file > /copy\nRUN touch /end\n");
    let first = lab.build(&project, &[]);
    project.dockerfile(
        "FROM busybox\nRUN echo  'same' >/file\nRUN cat /file > /copy\nRUN touch /end\n",
    );
    let second = lab.build(&project, &[]);
    assert_eq!(second.ran(), ["RUN echo  'same' >/file"], "{second}");
    assert_ne!(
        first.image(),
        second.image(),
        "the history tells another command"
    );
}

#[test]
fn a_stage_whose_result_is_the_same_leaves_what_copies_it_cached() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS count\nCOPY list /list\nRUN wc -l < /list > /count\n\
         FROM busybox\nCOPY --from=count /count /count\nRUN cp /count /again\n",
    );
    project.file("list", "a\nb\n");
    lab.build(&project, &[]);
    project.file("list", "c\nd\n");
    let second = lab.build(&project, &[]);
    assert_eq!(
        second.ran(),
        ["COPY list /list", "RUN wc -l < /list > /count"],
        "{second}"
    );
}

#[test]
fn a_build_argument_counts_from_where_it_is_declared() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project =
        lab.project("FROM busybox\nRUN echo before > /a\nARG VERSION=1\nRUN echo $VERSION > /b\n");
    lab.build(&project, &["--build-arg", "VERSION=1"]);
    let second = lab.build(&project, &["--build-arg", "VERSION=2"]);
    assert_eq!(second.ran(), ["RUN echo 2 > /b"], "{second}");
    let third = lab.build(&project, &[]);
    assert_eq!(
        third.ran(),
        [""; 0],
        "the default is the value of the first build: {third}"
    );
    assert_eq!(
        lab.tree(&project, &["--build-arg", "VERSION=2"]).text("b"),
        "2\n"
    );
}

#[test]
fn without_the_cache_every_step_runs() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS a\nRUN echo a > /a\nFROM busybox\nRUN echo b > /b\nCOPY --from=a /a /a\n",
    );
    lab.build(&project, &[]);
    let all = lab.build(&project, &["--no-cache"]);
    assert_eq!(all.ran().len(), 3, "{all}");
    let some = lab.build(&project, &["--no-cache-filter", "a"]);
    assert_eq!(some.ran(), ["RUN echo a > /a"], "{some}");
    let none = lab.build(&project, &[]);
    assert_eq!(none.ran(), [""; 0], "{none}");
}

#[test]
fn secrets_and_cache_mounts_do_not_count() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=secret,id=key --mount=type=cache,target=/cache \\\n  \
         date +%s%N >> /cache/runs; cat /run/secrets/key > /dev/null; echo done > /file\n",
    );
    project.file("key", "one");
    let secret = format!("id=key,src={}", project.dir.join("key").display());
    let first = lab.build(&project, &["--secret", &secret]);
    project.file("key", "two");
    let second = lab.build(&project, &["--secret", &secret]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(first.image(), second.image());
}

#[test]
fn a_fixed_epoch_gives_the_same_image_to_everybody() {
    let mut images = Vec::new();
    for (caller, jobs) in [
        (Caller::Root, "1"),
        (Caller::Root, "8"),
        (Caller::Ranges, "4"),
        (Caller::SingleId, "4"),
    ] {
        let Some(lab) = Lab::new(caller) else {
            continue;
        };
        let project = lab.project(TWO_STAGES);
        project
            .file("tool.sh", "echo made")
            .file("data.txt", "data")
            .file("other.txt", "other");
        let mut command = lab.build_command(&["-j", jobs]);
        command
            .arg(&project.dir)
            .env("SOURCE_DATE_EPOCH", "1700000000");
        let outcome = crate::support::Running::start(&mut command)
            .wait()
            .success();
        images.push((caller, outcome.image()));
    }
    assert!(
        images.windows(2).all(|pair| pair[0].1 == pair[1].1),
        "{images:#?}"
    );
}

#[test]
fn another_base_image_runs_every_step() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let base = lab.project("FROM busybox\nRUN echo 1 > /base\n");
    let project = lab.project("FROM base\nRUN cp /base /copy\n");
    lab.build(&base, &["-t", "base"]);
    lab.build(&project, &["-t", "app"]);
    base.dockerfile("FROM busybox\nRUN echo 2 > /base\n");
    lab.build(&base, &["-t", "base"]);
    let second = lab.build(&project, &["-t", "app"]);
    assert_eq!(second.ran(), ["RUN cp /base /copy"], "{second}");
    assert_eq!(lab.tree(&project, &[]).text("copy"), "2\n");
}

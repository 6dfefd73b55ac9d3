//! `RUN --mount=type=cache`: which directory it is, and what of it counts.

use super::root_lab;
use crate::support::{Lab, State};

/// What a step with this mount finds in `/c`: the names in it, its mode and owner.
fn look(lab: &Lab, options: &str) -> String {
    let project = lab.project(&format!(
        "FROM busybox\nRUN mkdir /seed && touch /seed/seeded && mkdir /seed/sub\nFROM busybox AS seed\nRUN mkdir /seed && touch /seed/seeded\nFROM busybox\n\
         RUN --mount=type=cache,target=/c,{options} echo $(ls /c) $(stat -c %a:%u:%g /c)\n"
    ));
    let outcome = lab.build(&project, &["--no-cache"]);
    outcome.step("RUN --mount=type=cache").output.join("\n")
}

/// Leaves a file in the cache directory.
fn write(lab: &Lab, options: &str, name: &str) {
    let project = lab.project(&format!(
        "FROM busybox\nRUN --mount=type=cache,target=/c,{options} touch /c/{name}\n"
    ));
    lab.build(&project, &["--no-cache"]);
}

#[test]
fn one_id_with_another_seed_owner_or_mode_is_another_directory() {
    let Some(lab) = root_lab() else { return };
    write(&lab, "id=x", "plain");
    write(&lab, "id=x,uid=5", "uid");
    write(&lab, "id=x,gid=6", "gid");
    write(&lab, "id=x,mode=0700", "mode");
    assert_eq!(look(&lab, "id=x"), "plain 755:0:0");
    assert_eq!(look(&lab, "id=x,uid=5"), "uid 755:5:0");
    assert_eq!(look(&lab, "id=x,gid=6"), "gid 755:0:6");
    assert_eq!(look(&lab, "id=x,mode=0700"), "mode 700:0:0");
    assert_eq!(look(&lab, "id=x,from=seed,source=/seed"), "seeded 755:0:0");
    // Where it is mounted does not matter.
    let elsewhere = lab.project(
        "FROM busybox\nRUN --mount=type=cache,id=x,target=/elsewhere ls /elsewhere > /out\n",
    );
    assert_eq!(lab.tree(&elsewhere, &[]).text("out"), "plain\n");
}

#[test]
fn owner_and_mode_are_for_a_new_directory_only() {
    let Some(lab) = root_lab() else { return };
    let change = lab.project("FROM busybox\nRUN --mount=type=cache,id=x,target=/c,uid=5,mode=0700 chmod 0711 /c && chown 7 /c\n");
    lab.build(&change, &[]);
    assert_eq!(look(&lab, "id=x,uid=5,mode=0700"), "711:7:0");
    // A part of a seed is as it is there.
    assert_eq!(
        look(&lab, "id=y,from=seed,source=/seed,uid=9,mode=0700"),
        "seeded 755:0:0"
    );
}

#[test]
fn a_given_id_and_sharing_do_not_count_for_a_step_but_target_and_mode_do() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("");
    let runs = |options: &str| {
        project.dockerfile(&format!(
            "FROM busybox\nRUN --mount=type=cache,{options} true\n"
        ));
        lab.build(&project, &[]).ran().len()
    };
    assert_eq!(runs("target=/c,id=one"), 1);
    assert_eq!(runs("target=/c,id=two"), 0);
    assert_eq!(runs("target=/c,id=two,sharing=locked"), 0);
    assert_eq!(runs("target=/c"), 1, "an id of its own");
    assert_eq!(runs("target=/d,id=one"), 1);
    assert_eq!(runs("target=/c,id=one,ro"), 1);
    assert_eq!(runs("target=/c,id=one,mode=0700"), 1);
    assert_eq!(runs("target=/c,id=one,uid=3"), 1);
}

#[test]
fn a_step_runs_again_when_what_fills_its_cache_directory_changes_and_only_then() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS seed\nCOPY part /part\nCOPY other /other\nFROM busybox\n\
         RUN --mount=type=cache,target=/c,from=seed,source=/part cp /c/file /out\n",
    );
    project.file("part/file", "one").file("other", "one");
    assert_eq!(lab.tree(&project, &[]).text("out"), "one");
    project.file("part/file", "two");
    assert_eq!(lab.tree(&project, &[]).text("out"), "two");
    project.file("other", "two");
    let outcome = lab.build(&project, &[]);
    assert_eq!(outcome.state("RUN --mount=type=cache"), State::Cached);
}

#[test]
fn building_without_the_cache_keeps_what_cache_mounts_hold() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN --mount=type=cache,target=/c echo run >> /c/runs && wc -l < /c/runs > /count\n");
    lab.build(&project, &[]);
    let again = lab.tree(&project, &["--no-cache"]);
    assert_eq!(again.text("count"), "2\n");
}

#[test]
fn one_id_twice_in_a_step_is_one_directory_whatever_its_sharing() {
    let Some(lab) = root_lab() else { return };
    for sharing in ["shared", "private", "locked"] {
        let project = lab.project(&format!(
            "FROM busybox\nRUN --mount=type=cache,id={sharing},target=/a,sharing={sharing} --mount=type=cache,id={sharing},target=/b,sharing={sharing} touch /a/x && test -e /b/x\n"
        ));
        lab.build(&project, &[]);
    }
}

/// Two stages at once; each tells whether it saw the other's mark while both ran.
fn together(lab: &Lab, sharing: &str) -> (String, String) {
    let step = |own: &str, other: &str| {
        format!(
            "FROM busybox AS {own}\nRUN --mount=type=cache,id=x,target=/c,sharing={sharing} touch /c/{own} && sleep 2 && (test -e /c/{other} && echo saw || echo alone) > /out && sleep 1 && rm /c/{own}\n"
        )
    };
    let (one, two) = (step("one", "two"), step("two", "one"));
    let project = lab.project(&format!(
        "{one}{two}FROM scratch\nCOPY --from=one /out /one\nCOPY --from=two /out /two\n"
    ));
    let tree = lab.tree(&project, &["--no-cache"]);
    (
        tree.text("one").trim().to_owned(),
        tree.text("two").trim().to_owned(),
    )
}

#[test]
fn a_shared_directory_is_used_at_once_a_locked_one_in_turn_and_a_private_one_by_one_only() {
    let Some(lab) = root_lab() else { return };
    let pair = |a: &str, b: &str| (a.to_owned(), b.to_owned());
    assert_eq!(together(&lab, "shared"), pair("saw", "saw"));
    assert_eq!(together(&lab, "locked"), pair("alone", "alone"));
    let before = instances(&lab);
    assert_eq!(together(&lab, "private"), pair("alone", "alone"));
    assert_eq!(
        instances(&lab),
        before + 1,
        "a second directory while the first is busy"
    );
    assert_eq!(together(&lab, "private"), pair("alone", "alone"));
    assert_eq!(instances(&lab), before + 1, "none when one is free");
}

/// How many directories cache mounts have.
fn instances(lab: &Lab) -> usize {
    let mounts = std::fs::read_dir(lab.root().join("mounts")).expect("a folder");
    mounts
        .flatten()
        .flat_map(|mount| {
            std::fs::read_dir(mount.path())
                .into_iter()
                .flatten()
                .flatten()
        })
        .filter(|entry| entry.path().join("data").is_dir())
        .count()
}

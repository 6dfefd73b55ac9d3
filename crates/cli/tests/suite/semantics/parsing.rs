//! From text to instructions.

use rstest::rstest;

use super::root_lab;

#[test]
fn a_comment_or_an_unknown_directive_ends_the_directives() {
    let Some(lab) = root_lab() else { return };
    for (head, newline) in [
        ("# escape=`\n", "`"),
        ("# foo=bar\n# escape=`\n", "\\"),
        ("# just words\n# escape=`\n", "\\"),
        ("\n# escape=`\n", "\\"),
    ] {
        let project = lab.project(&format!(
            "{head}FROM busybox\nRUN echo one {newline}\n  two > /out\n"
        ));
        assert_eq!(lab.tree(&project, &[]).text("out"), "one two\n", "{head:?}");
    }
}

#[test]
fn comments_vanish_from_continued_lines_and_stay_in_heredocs() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN echo one \\\n# not this\n  # nor this\n  two#three > /out\nCOPY <<EOF /copy\n# this\n  # and this\nEOF\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("out"), "one two#three\n");
    assert_eq!(tree.text("copy"), "# this\n  # and this\n");
}

#[test]
fn an_escape_continues_before_blanks_but_not_behind_another_escape() {
    let Some(lab) = root_lab() else { return };
    let project = lab
        .project("FROM busybox\nRUN echo one \\ \t \n  two > /one\nRUN echo 'x' > /two; echo y\\\\\nRUN echo z > /three\n");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("one"), "one two\n");
    assert_eq!(
        (tree.text("two"), tree.text("three")),
        ("x\n".to_owned(), "z\n".to_owned())
    );
}

#[test]
fn continued_lines_are_joined_with_nothing_between_them() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN echo 'a\\\nb\\\n  c' > /out\nENV K=a\\\nb\nRUN echo $K >> /out\n",
    );
    assert_eq!(lab.tree(&project, &[]).text("out"), "ab  c\nab\n");
}

#[test]
fn what_is_no_json_is_a_shell_command_and_json_of_other_things_an_error() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN [ -d /etc ] && echo shell > /one\nRUN [\"touch\", \"/two words\"]\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("one"), "shell\n");
    assert!(tree.has("two words"));
    let single = lab.project("FROM busybox\nRUN ['touch', '/x']\n");
    lab.try_build(&single, &[])
        .failure()
        .says("[touch,: not found");
    let numbers = lab.project("FROM busybox\nRUN [1]\n");
    lab.try_build(&numbers, &[])
        .failure()
        .says("comprised of strings only")
        .says("Dockerfile:2");
}

#[test]
fn the_first_word_of_env_decides_between_one_pair_and_many() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV A b=c d\nENV E=f G=\"h i\" J=k\\ l\nRUN echo \"$A|$E|$G|$J\" > /out\n",
    );
    assert_eq!(lab.tree(&project, &[]).text("out"), "b=c d|f|h i|k l\n");
    let mixed = lab.project("FROM busybox\nENV A=b c\n");
    lab.try_build(&mixed, &[])
        .failure()
        .says("can't find = in \"c\"");
}

#[test]
fn names_of_variables_and_labels_are_expanded_too() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nARG N=name\nENV ${N}_1=one\nLABEL com.$N=\"$name_1\"\nRUN echo $name_1 > /out\n");
    assert_eq!(lab.tree(&project, &[]).text("out"), "one\n");
    let config = lab.layout(&project, &[]).config();
    assert_eq!(config["config"]["Labels"]["com.name"], "one");
}

#[test]
fn stage_names_are_lowercase_however_they_are_written() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox As Upper\nRUN echo upper > /file\nFROM upper as second\nFROM scratch\nCOPY --from=UPPER /file /one\nCOPY --from=second /file /two\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("one"), tree.text("two")),
        ("upper\n".to_owned(), "upper\n".to_owned())
    );
    lab.build(&project, &["--target", "UPPER"])
        .says("StageNameCasing");
}

#[test]
fn exposed_ports_are_expanded_split_counted_out_and_cut_to_the_containers() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nARG MORE=\"90/UDP 91\"\nEXPOSE 80-82 $MORE 127.0.0.1:8080:70/tcp 9000-9001:60-61\n",
    );
    let config = lab.layout(&project, &[]).config();
    let ports = config["config"]["ExposedPorts"].as_object().expect("ports");
    let mut ports: Vec<&str> = ports.keys().map(String::as_str).collect();
    ports.sort_unstable();
    assert_eq!(
        ports,
        [
            "60/tcp", "61/tcp", "70/tcp", "80/tcp", "81/tcp", "82/tcp", "90/udp", "91/tcp"
        ]
    );
}

#[test]
fn empty_arrays_take_command_and_entrypoint_away() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nENTRYPOINT [\"/bin/echo\"]\nCMD [\"inherited\"]\n");
    lab.build(&base, &["-t", "base"]);
    let project = lab.project("FROM base\nENTRYPOINT []\nCMD []\n");
    let config = lab.layout(&project, &[]).config();
    let is_nothing = |value: &serde_json::Value| value.as_array().is_none_or(Vec::is_empty);
    assert!(is_nothing(&config["config"]["Entrypoint"]), "{config}");
    assert!(is_nothing(&config["config"]["Cmd"]), "{config}");
    // A child does not see the grandparent's again.
    lab.build(&project, &["-t", "emptied"]);
    let child = lab.project("FROM emptied\n");
    let config = lab.layout(&child, &[]).config();
    assert!(is_nothing(&config["config"]["Cmd"]), "{config}");
}

#[test]
fn two_dashes_end_the_flags() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY --chown=1:2 -- --weird /x\n");
    project.file("--weird", "odd");
    let tree = lab.tree(&project, &[]);
    assert_eq!((tree.text("x").as_str(), tree.get("x").uid), ("odd", 1));
}

#[rstest]
#[case("FROM busybox\nRUNN x\n", &[], "did you mean RUN?")]
#[case("FROM busybox\nCOPY --form=x a b\n", &[], "did you mean from?")]
#[case("FROM busybox AS build\n", &["--target", "biuld"], "did you mean build?")]
fn a_near_miss_is_told_what_was_meant(
    #[case] text: &str,
    #[case] arguments: &[&str],
    #[case] help: &str,
) {
    let Some(lab) = root_lab() else { return };
    lab.try_build(&lab.project(text), arguments)
        .failure()
        .says(help);
}

#[test]
fn options_of_a_mount_count_only_where_the_stage_is_built() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS unused\nRUN --mount=type=cache,target=/c,mode=what,nonsense=1 true\nFROM busybox\nARG T=/c\nRUN --mount=type=cache,target=$T touch /c/x\n",
    );
    lab.build(&project, &[]);
    lab.try_build(&project, &["--target", "unused"])
        .failure()
        .says("Dockerfile:2");
    // But a stage cannot come from a variable, wherever it is.
    let from = lab.project(
        "FROM busybox AS unused\nARG S=x\nRUN --mount=from=$S,target=/c true\nFROM busybox\n",
    );
    lab.try_build(&from, &[])
        .failure()
        .says("'from' doesn't support variable expansion");
}

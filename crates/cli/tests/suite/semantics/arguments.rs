//! ARG, ENV and expansion.

use super::{history, root_lab};

#[test]
fn a_global_argument_is_seen_only_where_it_is_declared_again() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "ARG V=global\nFROM busybox\nRUN echo \"[$V]\" > /before\nARG V\nRUN echo \"[$V]\" > /after\nARG V=own\nRUN echo \"[$V]\" > /own\n",
    );
    let seen = |arguments: &[&str]| {
        let tree = lab.tree(&project, arguments);
        ["before", "after", "own"].map(|file| tree.text(file).trim().to_owned())
    };
    assert_eq!(seen(&[]), ["[]", "[global]", "[own]"]);
    assert_eq!(
        seen(&["--build-arg", "V=given"]),
        ["[]", "[given]", "[given]"]
    );
}

#[test]
fn from_knows_global_arguments_and_platforms_but_no_env() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "ARG NAME=busybox\nFROM --platform=$BUILDPLATFORM ${NAME}${UNSET} AS one\nENV NAME=other OTHER=busybox\nARG NAME=third\nFROM $NAME\nRUN true\n",
    );
    lab.build(&project, &[]);
    let env = lab.project("FROM busybox AS one\nENV OTHER=busybox\nFROM $OTHER\n");
    lab.try_build(&env, &[])
        .failure()
        .says("base name ($OTHER) should not be blank")
        .says("Dockerfile:3");
}

#[test]
fn whichever_of_arg_and_env_comes_last_wins_for_steps_and_env_stays_in_the_image() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV A=env\nARG A=arg\nRUN echo $A > /arg-last\nARG B=arg\nENV B=env\nRUN echo $B > /env-last\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("arg-last"), "arg\n");
    assert_eq!(tree.text("env-last"), "env\n");
    let config = lab.layout(&project, &["--build-arg", "A=given"]).config();
    let env = config["config"]["Env"].as_array().expect("a list");
    assert!(
        env.contains(&"A=env".into()) && env.contains(&"B=env".into()),
        "{env:?}"
    );
    assert!(!env.iter().any(|entry| entry == "A=given"), "{env:?}");
}

#[test]
fn an_argument_without_any_value_leaves_an_env_alone() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nENV A=env\nARG A\nRUN echo \"[$A][${B-unset}]\" > /out\nARG B\nRUN echo \"[${B-unset}]\" >> /out\n");
    assert_eq!(
        lab.tree(&project, &[]).text("out"),
        "[env][unset]\n[unset]\n"
    );
    let given = lab.tree(&project, &["--build-arg", "A=given", "--build-arg", "B="]);
    assert_eq!(given.text("out"), "[given][unset]\n[]\n");
}

#[test]
fn an_argument_sees_the_one_before_it_in_its_line_and_an_env_does_not() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nARG A=new B=$A\nRUN echo $B > /arg\nENV C=old\nENV C=new D=$C\nRUN echo $D > /env\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("arg"), tree.text("env")),
        ("new\n".to_owned(), "old\n".to_owned())
    );
}

#[test]
fn an_argument_counts_for_later_steps_even_if_they_do_not_use_it() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN echo before\nARG UNUSED=1\nRUN echo after\nCOPY Dockerfile /\n",
    );
    lab.build(&project, &[]);
    let other = lab.build(&project, &["--build-arg", "UNUSED=2"]);
    assert_eq!(other.ran(), ["RUN echo after"], "{other}");
    // The declaration itself is no layer.
    let history = history(&lab, &project, &[]);
    assert!(
        history.contains(&("ARG UNUSED=1".to_owned(), false)),
        "{history:?}"
    );
}

#[test]
fn history_tells_the_arguments_that_a_step_saw() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nARG A=1 B\nENV A=env\nRUN true\n");
    let told = history(&lab, &project, &["--build-arg", "B=x y"]);
    let told: Vec<&str> = told.iter().map(|(text, _)| text.as_str()).collect();
    assert_eq!(
        told,
        [
            "ARG A=1 B=x y",
            "ENV A=env",
            "RUN |2 A=env B=x y /bin/sh -c true # buildkit"
        ]
    );
}

#[test]
fn proxies_reach_steps_in_both_cases_and_count_only_when_they_are_declared() {
    let Some(lab) = root_lab() else { return };
    let project =
        lab.project("FROM busybox\nRUN echo \"$HTTP_PROXY $http_proxy $no_proxy\" > /out\n");
    let first = [
        "--build-arg",
        "http_proxy=http://one",
        "--build-arg",
        "NO_PROXY=here",
    ];
    assert_eq!(
        lab.tree(&project, &first).text("out"),
        "http://one http://one here\n"
    );
    let other = lab.build(&project, &["--build-arg", "HTTP_PROXY=http://two"]);
    assert_eq!(other.ran(), [""; 0], "{other}");
    let told = history(&lab, &project, &first);
    assert!(!told[0].0.contains("one"), "{told:?}");
    assert!(
        !lab.layout(&project, &first)
            .config()
            .to_string()
            .contains("http://one")
    );

    let declared = lab.project("FROM busybox\nARG HTTP_PROXY\nRUN echo \"$HTTP_PROXY\" > /out\n");
    lab.build(&declared, &["--build-arg", "HTTP_PROXY=http://one"]);
    let second = ["--build-arg", "HTTP_PROXY=http://two"];
    assert_eq!(lab.build(&declared, &second).ran().len(), 1);
    let told = history(&lab, &declared, &second);
    assert!(told[1].0.contains("|1 HTTP_PROXY=http://two"), "{told:?}");
}

#[test]
fn replacing_everywhere_is_a_regular_expressions_and_replacing_once_is_text() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV V=a.b.c\nENV ALL=${V//./-} ONE=${V/./-} GROUP=${V//b/'<$0>'} TEXT=${V/b/'<$0>'}\nRUN echo \"$ALL $ONE $GROUP $TEXT\" > /out\n",
    );
    assert_eq!(
        lab.tree(&project, &[]).text("out"),
        "a-b-c a-b.c a.<b>.c a.<$0>.c\n"
    );
}

#[test]
fn two_dollars_are_nothing_and_an_escaped_one_stays() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nENV A=x$$y B=x\\$y\nLABEL a=$A b=$B\n");
    let labels = lab.layout(&project, &[]).config()["config"]["Labels"].clone();
    assert_eq!((&labels["a"], &labels["b"]), (&"xy".into(), &"x$y".into()));
}

//! What the instructions mean.

use rstest::rstest;

use crate::support::{Caller, Kind, Lab, Running, State};

pub(crate) fn root_lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

#[rstest]
fn stages_are_built_for_what_they_give(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(
        "FROM busybox AS base\nENV WHO=base\nRUN echo $WHO > /who\n\
         FROM base AS left\nRUN echo left >> /who\n\
         FROM base AS right\nRUN echo right >> /who\n\
         FROM busybox AS unused\nRUN exit 1\n\
         FROM scratch AS last\nCOPY --from=left /who /left\nCOPY --from=2 /who /right\nCOPY --from=busybox /etc/group /group\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.paths(), ["group", "left", "right"]);
    assert_eq!(tree.text("left"), "base\nleft\n");
    assert_eq!(tree.text("right"), "base\nright\n");
    let target = lab.build(&project, &["--target", "left"]);
    assert!(!target.stderr.contains("right"), "{target}");
    lab.try_build(&project, &["--target", "unused"]).failure();
}

#[test]
fn arguments_have_the_scope_of_their_stage() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "ARG BASE=busybox\nARG GLOBAL=global\nFROM ${BASE} AS one\nARG LOCAL=one\nRUN echo \"[$GLOBAL][$LOCAL]\" > /1\n\
         FROM $BASE\nARG GLOBAL\nARG WITH=${GLOBAL}-more\nRUN echo \"[$GLOBAL][$LOCAL][$WITH][${NONE:-default}][${GLOBAL:+set}]\" > /2\n\
         ENV FIXED=env\nARG FIXED=arg\nRUN echo $FIXED > /3\nCOPY --from=one /1 /1\nLABEL label=$GLOBAL\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("1"), "[][one]\n");
    assert_eq!(tree.text("2"), "[global][][global-more][default][set]\n");
    // The later one counts for steps, ENV for the image.
    assert_eq!(tree.text("3"), "arg\n");
    let arguments = ["--build-arg", "GLOBAL=other", "--build-arg", "LOCAL=given"];
    let tree = lab.tree(&project, &arguments);
    assert_eq!(tree.text("1"), "[][given]\n");
    assert_eq!(tree.text("2"), "[other][][other-more][default][set]\n");
    let config = lab.layout(&project, &arguments).config();
    assert_eq!(config["config"]["Labels"]["label"], "other");
}

#[test]
fn a_build_argument_without_a_value_is_taken_from_the_environment() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nARG FROM_HERE=default\nRUN echo got $FROM_HERE\n");
    let mut command = lab.build_command(&["--build-arg", "FROM_HERE"]);
    command.env("FROM_HERE", "environment").arg(&project.dir);
    Running::start(&mut command)
        .wait()
        .success()
        .says("got environment");
    lab.build(&project, &["--build-arg", "FROM_HERE"])
        .says("got default");
}

#[test]
fn the_platform_is_told_to_those_who_ask() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM --platform=$BUILDPLATFORM busybox\nARG TARGETPLATFORM TARGETOS TARGETARCH\nRUN echo $TARGETPLATFORM=$TARGETOS/$TARGETARCH > /p\n",
    );
    let text = lab.tree(&project, &[]).text("p");
    let (whole, parts) = text.trim().split_once('=').expect("both");
    assert!(
        whole.starts_with(parts) && parts.starts_with("linux/"),
        "{text}"
    );
}

#[rstest]
fn heredocs_are_scripts_and_files(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(
        "FROM busybox\nARG NAME=world\nRUN <<EOF\nset -e\nmkdir /d\necho \"one $NAME\" > /d/one\nEOF\n\
         RUN <<'EOF' sh -s arg > /d/two\necho \"two $1\"\nEOF\n\
         RUN <<EOF\n#!/bin/awk -f\nBEGIN { print \"three\" > \"/d/three\" }\nEOF\n\
         COPY <<four.txt <<\"five.txt\" /d/\nfour $NAME\nfour.txt\nfive $NAME\nfive.txt\n\
         COPY --chmod=755 <<-EOF /d/six\n\t#!/bin/sh\n\techo six\n\tEOF\nRUN /d/six > /d/seven\n",
    );
    let tree = lab.tree(&project, &[]);
    for (file, text) in [
        ("one", "one world\n"),
        ("two", "two arg\n"),
        ("three", "three\n"),
        ("four.txt", "four world\n"),
        ("five.txt", "five $NAME\n"),
        ("six", "#!/bin/sh\necho six\n"),
        ("seven", "six\n"),
    ] {
        assert_eq!(tree.text(&format!("d/{file}")), text, "{file}");
    }
    assert_eq!(tree.get("d/six").mode, 0o755);
}

#[test]
fn triggers_run_in_the_build_that_inherits_them() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nONBUILD ARG WORD=none\nONBUILD COPY file /file\nONBUILD RUN echo $WORD >> /file\n");
    let built = lab.build(&base, &["-t", "trigger"]);
    assert_eq!(built.ran(), [""; 0], "{built}");
    let project = lab.project("FROM trigger\nRUN echo own >> /file\n");
    project.file("file", "context\n");
    assert_eq!(
        lab.tree(&project, &["--build-arg", "WORD=word"])
            .text("file"),
        "context\nword\nown\n"
    );
    let last = lab.project("FROM once\nRUN test -e /file\n");
    lab.build(&project, &["-t", "once"]);
    lab.build(&last, &[]);
    let config = lab.layout(&project, &[]).config();
    assert!(config["config"]["OnBuild"].is_null(), "{config}");
}

#[test]
fn the_config_has_what_the_instructions_say() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nLABEL a=1 b=\"two words\"\nENV PATH=/opt/bin:$PATH X=y\nEXPOSE 80 53/udp\nVOLUME /data /more\n\
         WORKDIR /work\nWORKDIR sub\nUSER 1000:100\nSTOPSIGNAL SIGINT\nSHELL [\"/bin/ash\", \"-ec\"]\n\
         HEALTHCHECK --interval=3s --retries=2 CMD wget -q localhost\nENTRYPOINT [\"/bin/echo\", \"hello\"]\nCMD name\nMAINTAINER someone\n",
    );
    let config = lab
        .layout(&project, &["--label", "c=3", "--label", "a=4"])
        .config();
    let run = &config["config"];
    assert_eq!(
        run["Labels"],
        serde_json::json!({"a": "4", "b": "two words", "c": "3"})
    );
    let env: Vec<&str> = run["Env"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|value| value.as_str())
        .collect();
    assert!(
        env.iter()
            .any(|value| value.starts_with("PATH=/opt/bin:/usr")),
        "{env:?}"
    );
    assert!(env.contains(&"X=y"));
    assert_eq!(
        run["ExposedPorts"],
        serde_json::json!({"53/udp": {}, "80/tcp": {}})
    );
    assert_eq!(
        run["Volumes"],
        serde_json::json!({"/data": {}, "/more": {}})
    );
    assert_eq!(run["WorkingDir"], "/work/sub");
    assert_eq!(run["User"], "1000:100");
    assert_eq!(run["StopSignal"], "SIGINT");
    assert_eq!(run["Shell"], serde_json::json!(["/bin/ash", "-ec"]));
    assert_eq!(
        run["Healthcheck"]["Test"],
        serde_json::json!(["CMD-SHELL", "wget -q localhost"])
    );
    assert_eq!(run["Healthcheck"]["Interval"], 3_000_000_000_u64);
    assert_eq!(run["Entrypoint"], serde_json::json!(["/bin/echo", "hello"]));
    assert_eq!(run["Cmd"], serde_json::json!(["/bin/ash", "-ec", "name"]));
    assert_eq!(config["author"], "someone");
    let history = config["history"].as_array().expect("a list");
    let layers = history
        .iter()
        .filter(|entry| entry["empty_layer"] != true)
        .count();
    assert_eq!(
        layers,
        config["rootfs"]["diff_ids"]
            .as_array()
            .expect("a list")
            .len()
    );
}

#[rstest]
fn steps_have_the_directory_user_and_shell_that_were_set(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let project = lab.project(
        "FROM busybox\nWORKDIR /a/b\nUSER www-data\nRUN echo \"$(id -un) $(pwd) $HOME\" > /tmp/one\n\
         USER 1234:4321\nSHELL [\"/bin/sh\", \"-xc\"]\nRUN id -u > /tmp/two; id -g >> /tmp/two\n\
         RUN [\"/bin/sh\", \"-c\", \"echo exec $0\", \"form\"]\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("tmp/one"), "www-data /a/b /var/www\n");
    assert_eq!(tree.text("tmp/two"), "1234\n4321\n");
    assert_eq!(
        (
            tree.get("tmp/one").uid,
            tree.get("tmp/two").uid,
            tree.get("tmp/two").gid
        ),
        (33, 1234, 4321)
    );
    assert_eq!(tree.get("tmp").mode, 0o1777);
    assert!(
        !tree.has("etc/resolv.conf") && !tree.has("etc/hosts") && !tree.has("dev/null"),
        "{:?}",
        tree.paths()
    );
}

#[test]
fn the_plan_is_shown_and_nothing_is_built() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN exit 1\n");
    let command = |flag: &str| {
        let mut command = lab.build_command(&[flag]);
        Running::start(command.arg(&project.dir)).wait().success()
    };
    assert!(command("--print-plan").stdout.starts_with("digraph"));
    let json = command("--print-plan=json").stdout;
    serde_json::from_str::<serde_json::Value>(&json).expect("JSON");
    command("--check");
}

#[test]
fn a_child_image_sees_whiteouts_and_replaced_directories() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS first\nRUN mkdir -p /d/e && touch /d/old /d/e/deep /gone && ln -s d /link\n\
         FROM first\nRUN rm /gone && rm -r /d && mkdir /d && touch /d/new && rm /link && mkdir /link\n",
    );
    lab.build(&project, &["-t", "child"]);
    let child = lab.project("FROM child\nRUN test ! -e /gone && test ! -e /d/old && test ! -e /d/e && test -e /d/new && test -d /link && test ! -L /link\n");
    let outcome = lab.build(&child, &[]);
    assert_eq!(outcome.state("RUN test"), State::Done, "{outcome}");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.below("d"), ["new"]);
    assert!(!tree.has("gone"));
    assert_eq!(tree.get("link").kind, Kind::Directory);
}

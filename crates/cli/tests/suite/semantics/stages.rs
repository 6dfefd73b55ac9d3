//! Which stages are built, and what a name means.

use crate::support::Lab;

use super::root_lab;

fn context(name: &str, value: impl std::fmt::Display) -> String {
    format!("{name}={value}")
}

#[test]
fn a_stage_that_is_not_needed_is_not_built_and_its_base_never_looked_up() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM registry.invalid/nowhere:1 AS unused\nRUN exit 1\nFROM busybox AS also\nRUN exit 1\nFROM busybox\nRUN true\n",
    );
    let outcome = lab.build(&project, &[]);
    assert!(!outcome.stderr.contains("nowhere"), "{outcome}");
}

#[test]
fn from_sees_only_earlier_stages_and_takes_other_names_for_images() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nRUN echo image > /which\n");
    lab.build(&base, &["-t", "later"]);
    let project = lab.project("FROM later AS first\nFROM busybox AS later\nRUN echo stage > /which\nFROM later\nCOPY --from=first /which /first\n");
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("first"), tree.text("which")),
        ("image\n".to_owned(), "stage\n".to_owned())
    );
}

#[test]
fn copying_from_a_later_stage_is_an_error_even_where_an_image_has_that_name() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nRUN echo image > /which\n");
    lab.build(&base, &["-t", "later"]);
    let project = lab.project(
        "FROM busybox AS first\nCOPY --from=later /which /\nFROM busybox AS later\nFROM first\n",
    );
    lab.try_build(&project, &[])
        .failure()
        .says("it needs to be defined before current stage")
        .says("Dockerfile:2");
}

#[test]
fn a_number_is_a_stage_for_copy_and_an_image_for_a_mount() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN echo zero > /which\nFROM busybox\nCOPY --from=0 /which /copied\n",
    );
    assert_eq!(lab.tree(&project, &[]).text("copied"), "zero\n");
    let image = lab.project("FROM busybox\nRUN echo image > /which\n");
    let layout = lab.layout(&image, &[]);
    let mount = lab.project("FROM busybox\nRUN echo zero > /which\nFROM busybox\nRUN --mount=from=0,target=/m cp /m/which /mounted\n");
    let zero = context("0", format!("oci-layout://{}", layout.dir.display()));
    let tree = lab.tree(&mount, &["--build-context", &zero]);
    assert_eq!(tree.text("mounted"), "image\n");
}

#[test]
fn of_stages_with_one_name_the_last_is_meant() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox AS same\nRUN echo first > /which\nFROM busybox AS same\nRUN echo second > /which\nFROM same\n");
    assert_eq!(lab.tree(&project, &[]).text("which"), "second\n");
    lab.build(&project, &[]).says("DuplicateStageName");
    let target = lab.tree(&project, &["--target", "same"]);
    assert_eq!(target.text("which"), "second\n");
}

#[test]
fn a_named_context_replaces_an_image_and_a_whole_stage_with_its_instructions() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM registry.invalid/image AS image\nFROM busybox AS stage\nRUN exit 1\nFROM image\nCOPY --from=stage /file /file\n",
    );
    let files = lab.project("");
    files.file("file", "from the directory\n");
    let other = lab.project("FROM busybox\nRUN echo other > /base\n");
    let layout = lab.layout(&other, &[]);
    let image = context(
        "registry.invalid/image",
        format!("oci-layout://{}", layout.dir.display()),
    );
    let stage = context("stage", files.dir.display());
    let tree = lab.tree(
        &project,
        &["--build-context", &image, "--build-context", &stage],
    );
    assert_eq!(
        (tree.text("base"), tree.text("file")),
        ("other\n".to_owned(), "from the directory\n".to_owned())
    );
}

#[test]
fn a_named_context_is_found_by_platform_first_and_without_its_latest() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY --from=files /which /\nCOPY --from=docker.io/library/plain:latest /which /plain\n");
    let any = lab.project("");
    any.file("which", "any");
    let own = lab.project("");
    own.file("which", "own");
    let arguments = [
        context("files", any.dir.display()),
        context("files::linux/amd64", own.dir.display()),
        context("plain", any.dir.display()),
    ];
    let mut flags = vec!["--platform", "linux/amd64"];
    for argument in &arguments {
        flags.extend(["--build-context", argument]);
    }
    let tree = lab.tree(&project, &flags);
    assert_eq!(
        (tree.text("which").as_str(), tree.text("plain").as_str()),
        ("own", "any")
    );
}

#[test]
fn a_cycle_is_told_before_anything_runs() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS first\nRUN echo ran\nFROM busybox AS circle\nCOPY --from=circle /x /\n",
    );
    let outcome = lab
        .try_build(&project, &[])
        .failure()
        .says("circular dependency detected on stage: circle");
    assert_eq!(outcome.ran(), [""; 0], "{outcome}");
}

#[test]
fn scratch_is_an_empty_image_with_a_path_and_its_name_is_reserved() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nLABEL a=b\n");
    let layout = lab.layout(&project, &[]);
    let config = layout.config();
    assert_eq!(config["rootfs"]["diff_ids"], serde_json::json!([]));
    assert_eq!(config["config"]["WorkingDir"], "/");
    assert_eq!(
        config["config"]["Env"],
        serde_json::json!(["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"])
    );
    // The name is the empty image, also where something else was given that name.
    let files = lab.project("");
    files.file("file", "");
    let scratch = context("scratch", files.dir.display());
    let tree = lab.tree(&project, &["--build-context", &scratch]);
    assert_eq!(tree.paths(), [""; 0]);
    let named = lab.project("FROM busybox AS scratch\n");
    lab.build(&named, &[]).says("ReservedStageName");
}

#[test]
fn a_child_stage_sees_its_parents_arguments_and_no_others() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS parent\nARG SEEN=default\nFROM parent AS child\nRUN echo \"[$SEEN]\" > /child\nFROM busybox\nRUN echo \"[$SEEN]\" > /stranger\nCOPY --from=child /child /child\n",
    );
    let tree = lab.tree(&project, &["--build-arg", "SEEN=given"]);
    assert_eq!(
        (tree.text("child"), tree.text("stranger")),
        ("[given]\n".to_owned(), "[]\n".to_owned())
    );
}

#[test]
fn everything_but_the_time_and_the_triggers_comes_from_the_base() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project(
        "FROM busybox\nENV A=1\nLABEL l=base\nWORKDIR /work\nUSER 33:100\nSHELL [\"/bin/ash\", \"-ec\"]\nEXPOSE 80\nVOLUME /v\nSTOPSIGNAL SIGINT\nHEALTHCHECK CMD true\nENTRYPOINT [\"e\"]\nCMD [\"c\"]\nONBUILD ENV TRIGGERED=1\n",
    );
    let epoch = |lab: &Lab, project, seconds: &str, arguments: &[&str]| {
        let argument = format!("SOURCE_DATE_EPOCH={seconds}");
        lab.layout(project, &[&["--build-arg", &argument], arguments].concat())
            .config()
    };
    epoch(&lab, &base, "1000", &["-o", "type=image,name=base"]);
    let child = lab.project("FROM base\nRUN echo $A-$(pwd)-$(id -u):$(id -g) > /tmp/out\n");
    let config = epoch(&lab, &child, "2000", &[]);
    let run = &config["config"];
    for (key, value) in [
        ("Labels", serde_json::json!({"l": "base"})),
        ("WorkingDir", serde_json::json!("/work")),
        ("User", serde_json::json!("33:100")),
        ("Shell", serde_json::json!(["/bin/ash", "-ec"])),
        ("ExposedPorts", serde_json::json!({"80/tcp": {}})),
        ("Volumes", serde_json::json!({"/v": {}})),
        ("StopSignal", serde_json::json!("SIGINT")),
        ("Entrypoint", serde_json::json!(["e"])),
        ("Cmd", serde_json::json!(["c"])),
        ("OnBuild", serde_json::Value::Null),
    ] {
        assert_eq!(run[key], value, "{key} of {config}");
    }
    assert_eq!(
        run["Healthcheck"]["Test"],
        serde_json::json!(["CMD-SHELL", "true"])
    );
    let env = run["Env"].as_array().expect("a list");
    assert!(
        env.contains(&"A=1".into()) && env.contains(&"TRIGGERED=1".into()),
        "{env:?}"
    );
    assert_eq!(config["created"], "1970-01-01T00:33:20Z");
    let tree = lab.tree(&child, &[]);
    assert_eq!(tree.text("tmp/out"), "1-/work-33:100\n");
    // The shell of the base is the one that ran it.
    let last = config["history"]
        .as_array()
        .expect("a list")
        .last()
        .expect("an entry")
        .clone();
    assert!(
        last["created_by"]
            .as_str()
            .is_some_and(|text| text.starts_with("RUN /bin/ash -ec")),
        "{last}"
    );
}

#[test]
fn the_base_decides_the_architecture_unless_a_platform_is_asked_for() {
    let Some(lab) = root_lab() else { return };
    let arm = lab.project("FROM scratch\nCOPY Dockerfile /\n");
    let layout = lab.layout(&arm, &["--platform", "linux/arm64"]);
    let base = context("armbase", format!("oci-layout://{}", layout.dir.display()));
    let project = lab.project("FROM armbase\nLABEL a=b\n");
    let arguments = ["--build-context", base.as_str()];
    let config = lab.layout(&project, &arguments).config();
    assert_eq!(config["architecture"], "arm64");
    let asked = [&arguments[..], &["--platform", "linux/amd64"]].concat();
    let config = lab.layout(&project, &asked).config();
    assert_eq!(config["architecture"], "amd64");
}

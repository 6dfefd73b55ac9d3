//! The flags of `docker buildx build`: how they are written, what they do, what is refused.

use rstest::rstest;
use serde_json::Value;

use crate::support::{Caller, Lab};

fn lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

const SMALL: &str = "FROM scratch\nCOPY Dockerfile /\n";

#[rstest]
#[case(&["--pull=false", "--no-cache=true", "--push=false", "--load=0"])]
#[case(&["--provenance=false", "--sbom=false", "--provenance", "false"])]
#[case(&["--attest=type=provenance,disabled=true", "--builder", "default", "--builder=default"])]
#[case(&["--rm", "--force-rm=true", "--compress", "-m", "2g", "--memory-swap=-1", "-c", "512", "--cpu-quota=-1"])]
#[case(&["--no-cache-filter", "a,b", "--no-cache-filter=c", "--shm-size", "64m", "--ulimit", "nofile=1024:1024"])]
#[case(&["-t", "a", "-t=b", "--tag", "c:1", "--label", "x=y", "--network=default", "--target="])]
#[case(&["--target", "x", "--target="])]
#[case(&["-D", "--debug=false", "--call=build", "--cgroup-parent="])]
#[case(&["--allow", "network.host,security.insecure", "--add-host=a:1.2.3.4,b:::1"])]
#[case(&["--platform=linux/amd64", "--platform", "linux/amd64"])]
#[case(&["--squash=false", "--isolation=default", "--cpuset-cpus=0", "--cpuset-mems=0", "--cpu-period=1"])]
fn what_docker_accepts_is_accepted(#[case] arguments: &[&str]) {
    let Some(lab) = lab() else { return };
    lab.build(&lab.project(SMALL), arguments);
}

#[rstest]
#[case(&["--provenance=mode=all"], "--provenance: invalid mode")]
#[case(&["--sbom=true", "--attest=type=sbom"], "duplicate attestation field sbom")]
#[case(&["--attest", "type=vex"], "--attest: unknown attestation type")]
#[case(&["--builder", "remote"], "--builder: ")]
#[case(&["--cache-to", "type=tape"], "--cache-to \"type=tape\": ")]
#[case(&["--cgroup-parent", "x"], "--cgroup-parent: ")]
#[case(&["--policy", "x.rego"], "--policy: ")]
#[case(&["--resource", "memory=1g"], "--resource: ")]
#[case(&["--allow", "everything"], "--allow everything: ")]
#[case(&["--build-arg", "=x"], "invalid key-value pair \"=x\": empty key")]
#[case(&["--label", "=x"], "invalid key-value pair \"=x\": empty key")]
#[case(&["--iidfile", "id", "-o", "files"], "local and tar exporters are incompatible with image ID file")]
fn what_cannot_be_honoured_is_refused_by_name(#[case] arguments: &[&str], #[case] words: &str) {
    let Some(lab) = lab() else { return };
    let outcome = lab.try_build(&lab.project(SMALL), arguments).failure();
    assert!(outcome.last_words().starts_with("ERROR: "), "{outcome}");
    assert!(outcome.last_words().contains(words), "{outcome}");
}

#[test]
fn flags_without_effect_are_told() {
    let Some(lab) = lab() else { return };
    lab.build(
        &lab.project(SMALL),
        &["--memory", "2g", "--isolation=hyperv"],
    )
    .says(" - --memory: it has no effect")
    .says(" - --isolation: it has no effect");
}

#[test]
fn the_metadata_file_has_the_keys_that_buildx_writes() {
    let Some(lab) = lab() else { return };
    let path = lab.path("out/md.json");
    let file = path.display().to_string();
    let project = lab.project("FROM busybox as x\nCOPY Dockerfile /\n");
    let outcome = lab.build(
        &project,
        &["-t", "app", "-t", "app:1", "--metadata-file", &file],
    );
    let read = || -> Value {
        serde_json::from_slice(&std::fs::read(&path).expect("a file")).expect("JSON")
    };
    let value = read();
    assert_eq!(value["containerimage.config.digest"], outcome.image());
    assert_eq!(
        value["image.name"],
        "docker.io/library/app:latest,docker.io/library/app:1"
    );
    assert_eq!(
        value["containerimage.descriptor"]["digest"],
        value["containerimage.digest"]
    );
    let reference = value["buildx.build.ref"].as_str().expect("a text");
    assert_eq!(reference.split('/').count(), 3);
    assert!(value.get("buildx.build.warnings").is_none());
    let mut command = lab.build_command(&["--metadata-file", &file]);
    command
        .arg(&project.dir)
        .env("BUILDX_METADATA_WARNINGS", "true");
    crate::support::Running::start(&mut command)
        .wait()
        .success();
    assert_eq!(
        read()["buildx.build.warnings"].as_array().map(Vec::len),
        Some(1)
    );
    assert_ne!(read()["buildx.build.ref"], reference);
}

#[test]
fn a_build_arg_without_a_value_is_taken_from_the_environment_even_if_it_is_empty() {
    let Some(lab) = lab() else { return };
    let project =
        lab.project("FROM busybox\nARG A=default\nARG B=default\nRUN echo \"<$A> <$B>\"\n");
    let mut command = lab.build_command(&["--build-arg", "A", "--build-arg", "B"]);
    command.arg(&project.dir).env("A", "").env_remove("B");
    let outcome = crate::support::Running::start(&mut command)
        .wait()
        .success();
    assert_eq!(
        outcome.step("RUN echo").output,
        ["<> <default>"],
        "{outcome}"
    );
}

#[test]
fn the_platform_has_a_default_in_the_environment() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM scratch\nCOPY Dockerfile /\n");
    let path = lab.path("out/layout");
    let output = format!("type=oci,tar=false,dest={}", path.display());
    let mut command = lab.build_command(&["-o", &output]);
    command
        .arg(&project.dir)
        .env("DOCKER_DEFAULT_PLATFORM", "linux/arm64");
    crate::support::Running::start(&mut command)
        .wait()
        .success();
    let blobs = std::fs::read_dir(path.join("blobs/sha256")).expect("blobs");
    let texts: Vec<String> = blobs
        .filter_map(|blob| std::fs::read_to_string(blob.expect("a blob").path()).ok())
        .collect();
    assert!(
        texts.iter().any(|text| text.contains("\"arm64\"")),
        "{texts:?}"
    );
}

#[rstest]
#[case(&["buildx", "build"])]
#[case(&["buildx", "b"])]
#[case(&["image", "build"])]
#[case(&["builder", "build"])]
fn dockers_longer_forms_of_build_are_understood(#[case] words: &[&str]) {
    let Some(lab) = lab() else { return };
    let project = lab.project(SMALL);
    let directory = project.dir.display().to_string();
    let outcome = lab.rbuild(&[words, &["-q", &directory]].concat()).success();
    assert!(outcome.stdout.starts_with("sha256:"), "{outcome}");
}

#[rstest]
#[case("release", "release")]
#[case("RELEASE", "release")]
fn a_target_is_found_whatever_its_case(#[case] target: &str, #[case] expected: &str) {
    let Some(lab) = lab() else { return };
    let project = lab.project(
        "FROM busybox AS Release\nRUN echo release\nFROM busybox AS debug\nRUN echo debug\n",
    );
    let outcome = lab.build(&project, &["--target", target]);
    assert_eq!(outcome.step("RUN echo").output, [expected]);
}

#[test]
fn a_mistyped_target_is_told_with_the_likely_one() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM scratch AS release\nFROM scratch AS debug\n");
    lab.try_build(&project, &["--target", "relaese"])
        .failure()
        .says("target stage \"relaese\" could not be found")
        .says("did you mean release?");
    lab.try_build(&project, &["--target", "0"])
        .failure()
        .says("target stage \"0\" could not be found");
}

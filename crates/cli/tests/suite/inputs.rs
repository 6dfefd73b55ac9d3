//! Where Dockerfiles, contexts and results may be, as the build command names them.

use rstest::rstest;

use crate::support::{Caller, Lab, Outcome, Running, Tree};

fn lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

/// A build that reads standard input.
fn piped(lab: &Lab, arguments: &[&str], input: &[u8]) -> Outcome {
    Running::with_input(&mut lab.build_command(arguments), input).wait()
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        header.set_uid(1234);
        header.set_gid(5678);
        builder
            .append_data(&mut header, name, text.as_bytes())
            .expect("appended");
    }
    builder.into_inner().expect("an archive")
}

const COPIES: &str = "FROM scratch\nCOPY foo /bar\n";

#[test]
fn the_dockerfile_may_come_on_standard_input_beside_a_context() {
    let Some(lab) = lab() else { return };
    let project = lab.project("FROM nothing\n");
    project.file("foo", "x");
    let directory = project.dir.display().to_string();
    let out = lab.path("out/files").display().to_string();
    piped(&lab, &["-f-", "-o", &out, &directory], COPIES.as_bytes()).success();
    assert_eq!(
        std::fs::read_to_string(format!("{out}/bar")).expect("a file"),
        "x"
    );
}

#[test]
fn the_context_may_come_on_standard_input_and_names_its_dockerfile() {
    let Some(lab) = lab() else { return };
    let input = archive(&[("sub/Dockerfile", COPIES), ("foo", "x")]);
    piped(&lab, &["-f", "sub/Dockerfile", "-"], &input).success();
    piped(&lab, &["-f", "../../Dockerfile", "-"], &input).failure();
    let lower = archive(&[("dockerfile", COPIES), ("foo", "x")]);
    piped(&lab, &["-"], &lower).success();
    piped(&lab, &["-f-", "-"], &lower)
        .failure()
        .says("can't use stdin for both build context and dockerfile");
}

#[rstest]
#[case(Caller::Root)]
#[case(Caller::Ranges)]
fn the_files_of_an_archive_keep_their_owners_as_the_context(#[case] caller: Caller) {
    let Some(lab) = Lab::new(caller) else { return };
    let dockerfile = "FROM busybox\nRUN --mount=type=bind,target=/in stat -c '%u:%g' /in/foo /in/sub\n\
                      FROM scratch\nCOPY --from=0 /bin/true /x\nCOPY foo sub /kept/\nCOPY --chown=1:2 foo /given/\n";
    let input = archive(&[("Dockerfile", dockerfile), ("foo", "x"), ("sub/foo2", "y")]);
    let out = lab.path("out/files.tar");
    let output = format!("type=tar,dest={}", out.display());
    let outcome = piped(&lab, &["-o", &output, "-"], &input).success();
    assert_eq!(
        outcome.step("RUN").output,
        ["1234:5678", "0:0"],
        "{outcome}"
    );
    let tree = Tree::read(&out);
    let owner = |path: &str| (tree.get(path).uid, tree.get(path).gid);
    assert_eq!(owner("kept/foo"), (1234, 5678));
    assert_eq!(owner("kept/foo2"), (1234, 5678));
    assert_eq!(owner("given/foo"), (1, 2));
}

#[test]
fn a_dockerfile_on_standard_input_has_no_context() {
    let Some(lab) = lab() else { return };
    piped(&lab, &["-"], b"FROM scratch\nCOPY <<EOF /x\nhi\nEOF\n").success();
    piped(&lab, &["-"], COPIES.as_bytes())
        .failure()
        .says("no build context to take \"foo\" from");
}

#[rstest]
#[case(&[])]
#[case(&["-f", "Dockerfile"])]
fn a_dockerfile_in_lower_case_is_found(#[case] arguments: &[&str]) {
    let Some(lab) = lab() else { return };
    let project = lab.project("");
    std::fs::remove_file(project.dir.join("Dockerfile")).expect("removed");
    project.file("dockerfile", COPIES).file("foo", "x");
    let mut command = lab.build_command(arguments);
    command.arg(".").current_dir(&project.dir);
    Running::start(&mut command).wait().success();
}

#[test]
fn the_dockerfile_may_be_elsewhere_or_a_symlink() {
    let Some(lab) = lab() else { return };
    let other = lab.project(COPIES);
    let project = lab.project("");
    project.file("foo", "x").file("Dockerfile.web", COPIES);
    std::fs::remove_file(project.dir.join("Dockerfile")).expect("removed");
    project.symlink("Dockerfile", "Dockerfile.web");
    lab.build(&project, &[]);
    let elsewhere = other.dir.join("Dockerfile").display().to_string();
    lab.build(&project, &["-f", &elsewhere]);
}

#[test]
fn a_named_context_is_found_by_platform_first_then_by_name_without_latest() {
    let Some(lab) = lab() else { return };
    let contexts: Vec<String> = ["plain", "amd64", "stage"]
        .iter()
        .map(|name| {
            let project = lab.project("");
            project.file("name", format!("{name}\n"));
            project.dir.display().to_string()
        })
        .collect();
    let project = lab.project(
        "FROM nowhere.invalid/x AS replaced\nRUN exit 1\nFROM busybox\nCOPY --from=files:latest /name /a\n\
         COPY --from=replaced /name /b\nRUN cat /a /b\n",
    );
    let plain = format!("files={}", contexts[0]);
    let stage = format!("replaced={}", contexts[2]);
    let arguments = ["--build-context", &plain, "--build-context", &stage];
    let outcome = lab.build(&project, &arguments);
    assert_eq!(
        outcome.step("RUN cat").output,
        ["plain", "stage"],
        "{outcome}"
    );
    let platform = format!(
        "docker.io/library/files:latest::linux/amd64={}",
        contexts[1]
    );
    let outcome = lab.build(
        &project,
        &[
            &arguments[..],
            &["--build-context", &platform, "--platform=linux/amd64"],
        ]
        .concat(),
    );
    assert_eq!(
        outcome.step("RUN cat").output,
        ["amd64", "stage"],
        "{outcome}"
    );
}

#[test]
fn a_named_context_that_nothing_uses_is_not_looked_at() {
    let Some(lab) = lab() else { return };
    let project = lab.project(
        "FROM broken AS notused\nFROM busybox AS base\nRUN echo base > /foo\nFROM scratch\nCOPY --from=base /foo /\n",
    );
    lab.build(
        &project,
        &[
            "--build-context",
            "notused=docker-image://nowhere.invalid/nosuchimage",
            "--build-context",
            "other=docker-image://nowhere.invalid/dontexist",
        ],
    );
}

#[test]
fn the_files_of_several_platforms_are_in_a_folder_each() {
    let Some(lab) = lab() else { return };
    let project = lab.project(
        "FROM scratch AS stage-linux\nCOPY a /forlinux\nFROM scratch AS stage-darwin\nCOPY a /fordarwin\n\
         FROM stage-$TARGETOS\n",
    );
    project.file("a", "x");
    let platforms = "--platform=linux/amd64,darwin/amd64";
    let tree = lab.tree(&project, &[platforms]);
    assert_eq!(
        tree.paths(),
        [
            "darwin_amd64",
            "darwin_amd64/fordarwin",
            "linux_amd64",
            "linux_amd64/forlinux"
        ]
    );
    let out = lab.path("out/local");
    lab.build(&project, &[platforms, "-o", &out.display().to_string()]);
    assert!(out.join("darwin_amd64/fordarwin").is_file());
    assert!(out.join("linux_amd64/forlinux").is_file());
    let one = lab.path("out/one.tar");
    let output = format!("type=tar,platform-split=true,dest={}", one.display());
    lab.build(&project, &["--platform=linux/amd64", "-o", &output]);
    assert_eq!(
        Tree::read(&one).paths(),
        ["linux_amd64", "linux_amd64/forlinux"]
    );
}

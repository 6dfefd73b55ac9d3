//! What continuous integrations show and read of a build.

use crate::support::{Caller, Lab, Outcome, Project, Running};

/// Builds with GitHub's variables.
fn on_github(lab: &Lab, project: &Project, arguments: &[&str]) -> Outcome {
    let mut command = lab.build_command(arguments);
    command
        .arg(&project.dir)
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_WORKSPACE", lab.path(""));
    Running::start(&mut command).wait()
}

#[test]
fn github_shows_steps_folded_and_mistakes_at_their_lines() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox as base\nRUN echo ::error::no && exit 3\n");
    let file = format!(
        "{}/Dockerfile",
        project.dir.file_name().expect("a name").to_string_lossy()
    );
    let failed = on_github(&lab, &project, &[]).failure();
    let says = |outcome: &Outcome, start: &str| {
        let found = outcome.stderr.lines().any(|line| line.starts_with(start));
        assert!(found, "{start:?} begins no line of {outcome}");
    };
    says(&failed, "::group::#");
    says(&failed, "::endgroup::");
    says(
        &failed,
        &format!("::error file={file},line=2,endLine=2,title=step-failed::"),
    );
    assert!(!failed.stderr.contains("\n::error::no"), "{failed}");

    project.dockerfile("FROM busybox as base\n");
    let built = on_github(&lab, &project, &[]).success();
    says(
        &built,
        &format!("::warning file={file},line=1,endLine=1,title=FromAsCasing::"),
    );
    let checked = on_github(&lab, &project, &["--check"]).failure();
    says(&checked, &format!("::warning file={file},line=1"));
    // Programs read these.
    for progress in ["--progress=rawjson", "--progress=quiet"] {
        let read = on_github(&lab, &project, &[progress]).success();
        assert!(!read.stderr.contains("::group"), "{read}");
    }
    let gitlab = Running::start(
        lab.build_command(&["--no-cache"])
            .arg(&project.dir)
            .env("GITLAB_CI", "true"),
    );
    let gitlab = gitlab.wait().success();
    says(&gitlab, "section_start:");
    says(&gitlab, "section_end:");
}

#[test]
fn a_quiet_build_says_the_id_and_nothing_else() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox as base\nRUN echo hello\n");
    let digest = lab.path("out/digest");
    let quiet = lab.build(
        &project,
        &["-q", "--digest-file", "digest", "--metadata-file", "meta"],
    );
    assert_eq!(quiet.stderr, "");
    let id = quiet.stdout.strip_suffix('\n').expect("a line");
    assert!(id.starts_with("sha256:") && id.len() == 71, "{quiet}");
    let digest = std::fs::read_to_string(digest).expect("a digest");
    let metadata = std::fs::read_to_string(lab.path("out/meta")).expect("metadata");
    assert!(
        metadata.contains(&format!("\"containerimage.digest\": \"{digest}\"")),
        "{digest} {metadata}"
    );
    lab.try_build(&project, &["--digest-file", "digest", "-o", "files"])
        .failure()
        .says("needs an image");
}

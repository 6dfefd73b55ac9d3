//! Where the Dockerfile and the context come from.

use rstest::rstest;

use crate::language::root_lab;
use crate::support::Running;

#[test]
fn the_dockerfile_may_come_from_elsewhere() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN exit 1\n");
    project
        .file("file", "content")
        .file("other/My.dockerfile", "FROM busybox\nCOPY file /other\n");
    let other = project.dir.join("other/My.dockerfile");
    lab.build(&project, &["-f", &other.to_string_lossy()])
        .says("COPY file /other");
    // Piped in beside a context, and instead of one.
    let mut command = lab.build_command(&["-f", "-"]);
    Running::with_input(
        command.arg(&project.dir),
        b"FROM busybox\nCOPY file /piped\n",
    )
    .wait()
    .success()
    .says("COPY file /piped");
    let mut command = lab.build_command(&["-"]);
    Running::with_input(&mut command, b"FROM busybox\nRUN echo no context\n")
        .wait()
        .success()
        .says("no context");
    // A context that has an ignore file beside the Dockerfile.
    project.file("other/My.dockerfile.dockerignore", "file");
    lab.try_build(&project, &["-f", &other.to_string_lossy()])
        .failure()
        .says("file");
}

#[rstest]
#[case("cat")]
#[case("gzip")]
#[case("xz")]
#[case("zstd")]
fn the_context_may_be_a_tar_on_standard_input(#[case] compressor: &str) {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nCOPY dir /dir\nRUN cat /dir/file\n");
    project.file("dir/file", "in the tar\n");
    let archive = lab.path("context.tar");
    let script = format!(
        "tar -C {} -c . | {compressor} > {}",
        project.dir.display(),
        archive.display()
    );
    crate::support::run("sh", &["-c", &script]).success();
    let bytes = std::fs::read(&archive).expect("an archive");
    let mut command = lab.build_command(&["-"]);
    let first = Running::with_input(&mut command, &bytes)
        .wait()
        .success()
        .says("in the tar");
    let mut command = lab.build_command(&["-"]);
    let second = Running::with_input(&mut command, &bytes).wait().success();
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(first.image(), second.image());
}

#[test]
fn what_is_ignored_is_not_in_the_context() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY . /\n");
    project
        .file(
            ".dockerignore",
            "# comment\n*.log\n**/tmp\nbuild/*\n!build/keep\n/Dockerfile\n.dockerignore\nnode?\n",
        )
        .file("a.log", "")
        .file("dir/b.log", "")
        .file("dir/tmp/x", "")
        .file("tmp/x", "")
        .file("build/drop", "")
        .file("build/keep", "")
        .file("node1/x", "")
        .file("node/x", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        tree.paths(),
        ["build", "build/keep", "dir", "dir/b.log", "node", "node/x"]
    );
    let explicit = lab.project("FROM scratch\nCOPY a.log /\n");
    explicit.file(".dockerignore", "*.log").file("a.log", "");
    lab.try_build(&explicit, &[])
        .failure()
        .says("Dockerfile:2")
        .says("a.log");
}

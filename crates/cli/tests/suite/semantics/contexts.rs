//! What of the context a build sees.

use std::os::unix::fs::PermissionsExt as _;

use super::root_lab;
use crate::support::{Caller, Lab, Running, am_root, run};

#[test]
fn the_dockerfiles_own_ignore_file_replaces_that_of_the_context() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY . /\n");
    project
        .file("a", "")
        .file("b", "")
        .file(".dockerignore", "a\n")
        .file("docker/Own.dockerfile", "FROM scratch\nCOPY . /\n")
        .file("docker/Own.dockerfile.dockerignore", "b\n");
    let shared = lab.tree(&project, &[]);
    assert!(!shared.has("a") && shared.has("b"), "{:?}", shared.paths());
    let file = project.dir.join("docker/Own.dockerfile");
    let own = lab.tree(&project, &["-f", &file.to_string_lossy()]);
    assert!(own.has("a") && !own.has("b"), "{:?}", own.paths());
}

#[test]
fn ignore_rules_are_anchored_and_the_last_that_matches_decides() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY . /\n");
    project
        .file(
            ".dockerignore",
            "# comment\n  *.md  \n!README*.md\nREADME-secret.md\n/root-only\n #hash\nout\n!out/keep\n**/deep\nDockerfile\n.dockerignore\n",
        )
        .file("x.md", "")
        .file("sub/x.md", "")
        .file("README.md", "")
        .file("README-secret.md", "")
        .file("root-only", "")
        .file("sub/root-only", "")
        .file("#hash", "")
        .file("# comment", "")
        .file("out/drop", "")
        .file("out/keep", "")
        .file("sub/sub/deep/x", "")
        .file("deep/x", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        tree.paths(),
        [
            "# comment",
            "README.md",
            "out",
            "out/keep",
            "sub",
            "sub/root-only",
            "sub/sub",
            "sub/x.md"
        ]
    );
}

#[test]
fn a_repository_as_context_knows_no_ignore_file_and_a_named_directory_its_own() {
    let Some(lab) = root_lab() else { return };
    let repository = lab.project("FROM scratch\nCOPY . /\n");
    repository
        .file("file", "in git")
        .file(".dockerignore", "file\n");
    let script = format!(
        "cd {} && git init -q -b main && git add -A && git -c user.name=n -c user.email=e@x commit -qm m && git clone -q --bare . {}",
        repository.dir.display(),
        lab.path("repository.git").display()
    );
    run("sh", &["-c", &script]).success();
    let tar = lab.path("out/git.tar");
    let output = format!("type=tar,dest={}", tar.display());
    let url = serve_git(&lab);
    let mut command = lab.build_command(&["-o", &output, &url]);
    Running::start(&mut command).wait().success();
    assert!(crate::support::Tree::read(&tar).has("file"));

    let project = lab.project("FROM scratch\nCOPY --from=named . /\n");
    project.file(".dockerignore", "**/kept\n");
    let named = lab.project("");
    named
        .file("kept", "")
        .file("dropped", "")
        .file(".dockerignore", "dropped\nDockerfile\n.dockerignore\n");
    let named = format!("named={}", named.dir.display());
    assert_eq!(
        lab.tree(&project, &["--build-context", &named]).paths(),
        ["kept"]
    );
}

/// The address of `repository.git` over the dumb protocol: plain files.
fn serve_git(lab: &Lab) -> String {
    use std::io::{BufRead as _, BufReader, Write as _};
    let root = lab.path("repository.git");
    run(
        "git",
        &["-C", &root.to_string_lossy(), "update-server-info"],
    )
    .success();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut reader = BufReader::new(stream.try_clone().expect("a descriptor"));
            let mut head = String::new();
            while reader.read_line(&mut head).is_ok_and(|length| length > 2) {}
            let path = head.split(' ').nth(1).unwrap_or_default();
            let path = path.split('?').next().unwrap_or_default();
            let path = path.strip_prefix("/repository.git/").unwrap_or_default();
            let (status, body) = match std::fs::read(root.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let answer = format!(
                "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
                body.len()
            );
            let _ = stream.write_all(answer.as_bytes());
            let _ = stream.write_all(&body);
        }
    });
    format!("http://{address}/repository.git")
}

#[test]
fn only_what_the_dockerfile_uses_is_read() {
    if !am_root() {
        return;
    }
    let Some(lab) = Lab::new(Caller::Ranges) else {
        return;
    };
    let project = lab.project("FROM busybox\nCOPY used /used/\nCOPY link /link\nRUN --mount=source=mounted,target=/m cat /m/file\n");
    project
        .file("used/file", "")
        .file("mounted/file", "")
        .file("target", "")
        .symlink("link", "target")
        .file("unused/secret", "");
    // Neither the user nor the user's namespace may read what is root's.
    let close = |project: &crate::support::Project, path: &str, mode| {
        let path = project.dir.join(path);
        std::os::unix::fs::chown(&path, Some(0), Some(0)).expect("root may");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("root may");
    };
    close(&project, "unused", 0o700);
    lab.build(&project, &[]);
    let all = lab.project("FROM scratch\nCOPY . /\n");
    all.file("secret", "");
    close(&all, "secret", 0o600);
    lab.try_build(&all, &[]).failure().says("secret");
}

#[test]
fn a_dockerfile_on_standard_input_has_no_context_and_a_tar_is_one() {
    let Some(lab) = root_lab() else { return };
    let mut command = lab.build_command(&["-"]);
    Running::with_input(&mut command, b"FROM busybox\nCOPY file /\n")
        .wait()
        .failure()
        .says("context");
    let project = lab.project("FROM busybox\nCOPY file /\n");
    project
        .file("file", "")
        .file("Other", "FROM busybox\nCOPY file /other\n");
    let archive = lab.path("context.tar");
    let script = format!(
        "tar -C {} -cf {} .",
        project.dir.display(),
        archive.display()
    );
    run("sh", &["-c", &script]).success();
    let bytes = std::fs::read(&archive).expect("an archive");
    let mut command = lab.build_command(&["-f", "Other", "-"]);
    Running::with_input(&mut command, &bytes)
        .wait()
        .success()
        .says("COPY file /other");
}

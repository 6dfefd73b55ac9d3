//! Where files come from besides a directory: git, the web, archives; and what contexts hide.

use std::path::Path;

use crate::support::{Caller, Lab, SshServer, WebServer, run};

pub(crate) fn root_lab() -> Option<Lab> {
    Lab::new(Caller::Root)
}

/// A repository that is served over HTTP, as BuildKit's own tests have one.
struct Repository {
    server: WebServer,
    /// The commit of the tag `v2`, and the newest one.
    commits: [String; 2],
}

impl Repository {
    fn new(lab: &Lab) -> Self {
        let directory = lab.path("repository");
        std::fs::create_dir(&directory).expect("a new folder");
        let shell = |script: &str| {
            let text = format!("cd {} && {script}", directory.display());
            run("sh", &["-ec", &text]).success().stdout
        };
        shell(
            "git init -q -b main && git config user.email t@t && git config user.name t \
             && echo first > foo && printf 'FROM scratch\\nCOPY foo out\\n' > Dockerfile && git add . && git commit -qm first && git branch base \
             && mkdir sub && echo below > sub/foo && cp Dockerfile sub/ && git add . && git commit -qm sub && git branch feature \
             && git checkout -q -B main base && echo second > foo && git commit -qam second && git tag v2 \
             && echo third > foo && git commit -qam third && git update-server-info && cp -r .git plain",
        );
        let commit = |name: &str| shell(&format!("git rev-parse {name}")).trim().to_owned();
        Self {
            commits: [commit("v2"), commit("main")],
            server: WebServer::start(&directory),
        }
    }

    fn url(&self, rest: &str) -> String {
        format!("{}/.git{rest}", self.server.url)
    }
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default()
}

#[test]
fn a_repository_is_a_context_by_ref_query_and_subdirectory() {
    let Some(lab) = root_lab() else { return };
    let repository = Repository::new(&lab);
    let [second, third] = &repository.commits;
    for (rest, expected) in [
        (String::new(), "third\n"),
        ("#v2".to_owned(), "second\n"),
        ("?ref=base".to_owned(), "first\n"),
        ("?branch=base".to_owned(), "first\n"),
        ("?tag=v2#refs/tags/v2".to_owned(), "second\n"),
        (format!("?commit={second}"), "second\n"),
        (format!("?commit={}", &second[..8]), "second\n"),
        (format!("?tag=v2&checksum={second}"), "second\n"),
        (format!("#{third}"), "third\n"),
        ("#feature:sub".to_owned(), "below\n"),
        ("?subdir=sub&ref=feature".to_owned(), "below\n"),
    ] {
        let out = lab.path("result");
        let output = format!("type=local,dest={}", out.display());
        lab.rbuild(&["build", "--output", &output, &repository.url(&rest)])
            .success();
        assert_eq!(text(&out.join("out")), expected, "{rest}");
    }
}

#[test]
fn what_a_git_address_cannot_mean_is_refused_with_its_reason() {
    let Some(lab) = root_lab() else { return };
    let repository = Repository::new(&lab);
    let [second, third] = &repository.commits;
    for (rest, reason) in [
        ("?branch=v2".to_owned(), "repository does not contain ref"),
        (
            format!("?ref={}", &second[..8]),
            "repository does not contain ref",
        ),
        (
            format!("?tag=v2&commit={third}"),
            "expected checksum to match",
        ),
        ("?tag=v2#refs/heads/main".to_owned(), "ref conflicts"),
        ("?what=1".to_owned(), "unexpected query \"what\""),
        ("?checksum=foobar".to_owned(), "expected hex commit hash"),
    ] {
        let url = repository.url(&rest);
        let refused = lab.rbuild(&["build", &url]).failure();
        assert!(refused.stderr.contains(reason), "{rest}: {refused}");
        let project = lab.project(&format!("FROM scratch\nADD {url} /repo/\n"));
        let refused = lab.try_build(&project, &[]).failure();
        assert!(refused.stderr.contains(reason), "ADD {rest}: {refused}");
    }
}

#[test]
fn added_repositories_keep_git_only_where_that_is_asked_for() {
    let Some(lab) = root_lab() else { return };
    let repository = Repository::new(&lab);
    let plain = repository.url("#v2");
    let [second, _] = &repository.commits;
    let without_suffix = format!("{}/plain", repository.server.url);
    let project = lab.project(&format!(
        "FROM scratch\nADD {plain} /plain\nADD --keep-git-dir=true --chown=42:84 --checksum={second} {plain} /kept\n\
         ADD --keep-git-dir=false {without_suffix}#v2 /other\n"
    ));
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("plain/foo"), "second\n");
    assert!(!tree.has("plain/.git") && tree.has("kept/.git/HEAD"));
    assert_eq!(
        (tree.get("kept/foo").uid, tree.get("kept/foo").gid),
        (42, 84)
    );
    assert_eq!(tree.text("other/foo"), "second\n");
}

#[test]
fn a_commit_is_the_same_wherever_it_comes_from_but_for_a_repository_that_says_so() {
    let Some(lab) = root_lab() else { return };
    let repository = Repository::new(&lab);
    let one = repository.url("#v2");
    let other = format!("{}/plain#v2", repository.server.url);
    let adding = |flag: &str, url: &str| {
        lab.project(&format!(
            "FROM scratch\nADD --keep-git-dir={flag} {url} /\n"
        ))
    };
    lab.build(&adding("false", &one), &[]);
    let again = lab.build(&adding("false", &other), &[]);
    assert_eq!(again.ran(), [""; 0], "{again}");
    for url in [&one, &other] {
        let config = lab.tree(&adding("true", url), &[]).text(".git/config");
        let remote = url.trim_end_matches("#v2");
        assert!(config.contains(remote), "{url}: {config}");
    }
}

#[test]
fn a_pinned_commit_that_is_known_is_asked_for_nowhere() {
    let Some(lab) = root_lab() else { return };
    let repository = Repository::new(&lab);
    let [second, _] = &repository.commits;
    let url = repository.url("#v2");
    let project = lab.project(&format!(
        "FROM scratch\nADD --checksum={second} {url} /repo\n"
    ));
    lab.build(&project, &[]);
    drop(repository);
    lab.build(&project, &[]);
}

#[test]
fn a_file_from_the_web_has_its_date_and_is_asked_for_again_only_by_its_head() {
    let Some(lab) = root_lab() else { return };
    let directory = lab.path("web");
    std::fs::create_dir(&directory).expect("a new folder");
    std::fs::write(directory.join("foo"), "content").expect("a new file");
    let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(981_173_106);
    let file = std::fs::File::options()
        .write(true)
        .open(directory.join("foo"));
    file.and_then(|file| file.set_modified(old))
        .expect("our own");
    let server = WebServer::start(&directory);
    let url = format!("{}/foo", server.url);
    let project = lab.project(&format!(
        "FROM scratch\nADD {url} /dest/\nADD --chmod=0413 {url} /mode\nADD --chown=3 {url} /owner\n"
    ));
    for _ in 0..2 {
        let tree = lab.tree(&project, &[]);
        let node = tree.get("dest/foo");
        assert_eq!((node.mode, node.mtime), (0o600, 981_173_106));
        assert_eq!(tree.text("dest/foo"), "content");
        assert_eq!(tree.get("mode").mode, 0o413);
        assert_eq!(tree.get("owner").uid, 3);
    }
    assert_eq!(server.methods("/foo"), ["GET", "HEAD"]);
    let agent = server.header("/foo", "user-agent").unwrap_or_default();
    assert!(agent.contains("buildkit/v"), "{agent}");
}

#[test]
fn servers_get_the_secrets_for_their_host() {
    let Some(lab) = root_lab() else { return };
    let directory = lab.path("web");
    std::fs::create_dir(&directory).expect("a new folder");
    std::fs::write(directory.join("foo"), "content").expect("a new file");
    let server = WebServer::start(&directory);
    let token = lab.path("token");
    std::fs::write(&token, "t0ken").expect("a new file");
    let project = lab.project(&format!("FROM scratch\nADD {}/foo /\n", server.url));
    let secret = format!("id=HTTP_AUTH_TOKEN_127.0.0.1,src={}", token.display());
    lab.build(&project, &["--secret", &secret]);
    let sent = server.header("/foo", "authorization");
    assert_eq!(sent.as_deref(), Some("Bearer t0ken"));
}

#[test]
fn checksums_of_files_are_verified_and_must_be_ones_that_are_known() {
    let Some(lab) = root_lab() else { return };
    let directory = lab.path("web");
    std::fs::create_dir(&directory).expect("a new folder");
    std::fs::write(directory.join("foo"), "content").expect("a new file");
    let server = WebServer::start(&directory);
    let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
    for (checksum, source, reason) in [
        (format!("sha256:{empty}"), "foo", "digest mismatch"),
        (
            format!("md5:{empty}"),
            "foo",
            "unsupported digest algorithm",
        ),
        (empty.to_owned(), "foo", "invalid checksum digest format"),
    ] {
        let url = format!("{}/{source}", server.url);
        let project = lab.project(&format!(
            "FROM scratch\nADD --checksum={checksum} {url} /\n"
        ));
        let refused = lab.try_build(&project, &[]).failure();
        assert!(refused.stderr.contains(reason), "{checksum}: {refused}");
    }
}

#[test]
fn an_archive_from_the_web_is_a_context_with_any_dockerfile() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY foo bar\n");
    project
        .file("foo", "foo-contents")
        .file(".dockerignore", "foo\n");
    let directory = lab.path("web");
    std::fs::create_dir(&directory).expect("a new folder");
    let script = format!(
        "cd {} && mv Dockerfile mydockerfile && tar -czf {}/context mydockerfile foo .dockerignore",
        project.dir.display(),
        directory.display()
    );
    run("sh", &["-ec", &script]).success();
    let server = WebServer::start(&directory);
    let out = lab.path("result");
    let output = format!("type=local,dest={}", out.display());
    let url = format!("{}/context", server.url);
    lab.rbuild(&["build", "-f", "mydockerfile", "--output", &output, &url])
        .success();
    assert_eq!(text(&out.join("bar")), "foo-contents");
}

#[test]
fn a_dockerfile_has_a_largest_size() {
    let Some(lab) = root_lab() else { return };
    let line = format!("# {}\n", "x".repeat(4094));
    let text = format!("FROM scratch\n{}", line.repeat((17 << 20) / line.len()));
    let project = lab.project(&text);
    let refused = lab.try_build(&project, &[]).failure();
    let reason = "Dockerfile exceeds maximum allowed size";
    assert!(refused.stderr.contains(reason), "{}", refused.stderr);
}

/// What there is to COPY in these tests.
#[test]
fn a_private_repository_is_read_with_a_key_over_ssh_and_without_one_the_error_says_which_flag_gives_it()
 {
    let Some(lab) = root_lab() else { return };
    let _repository = Repository::new(&lab);
    let server = SshServer::start(&lab.path("ssh"));
    let path = lab.path("repository/.git");
    let address = format!("ssh://root@{}{}#v2", server.host, path.display());
    let key = format!("default={}", server.key.display());
    let project = lab.project(&format!("FROM scratch\nADD {address} /added/\n"));
    let tree = lab.tree(&project, &["--ssh", &key]);
    assert_eq!(tree.text("added/foo"), "second\n");
    let refused = lab.project(&format!(
        "FROM scratch\nADD ssh://root@{}/none.git /\n",
        server.host
    ));
    lab.try_build(&refused, &[])
        .failure()
        .says("--ssh default=")
        .says("Dockerfile:2");
    lab.try_build(&refused, &["--ssh", &key])
        .failure()
        .says("none.git");
}

#[test]
fn what_cannot_be_fetched_is_shown_where_it_is_asked_for() {
    let Some(lab) = root_lab() else { return };
    let server = WebServer::start(&lab.path("nothing"));
    for source in [
        format!("{}/missing", server.url),
        format!("{}/missing.git", server.url),
        "http://127.0.0.1:1/x".to_owned(),
    ] {
        let project = lab.project(&format!("FROM scratch\nADD {source} /x\n"));
        lab.try_build(&project, &[])
            .failure()
            .says("Dockerfile:2")
            .says(&format!("ADD {source} /x"));
    }
}

#[test]
fn a_missing_source_is_explained_by_what_is_like_it_or_hides_it() {
    let Some(lab) = root_lab() else { return };
    for (source, reason) in [
        ("scr/main.rs", "did you mean src/main.rs?"),
        ("src/mian.rs", "did you mean src/main.rs?"),
        ("secret.txt", ".dockerignore:2 (*.txt)"),
    ] {
        let project = lab.project(&format!("FROM scratch\nCOPY {source} /\n"));
        project
            .file("src/main.rs", "")
            .file("secret.txt", "")
            .file(".dockerignore", "# no texts\n*.txt\n");
        let refused = lab.try_build(&project, &[]).failure();
        assert!(refused.stderr.contains(reason), "{source}: {refused}");
    }
}

//! `--depfile`: what a target was made of, told to make.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime};

use crate::support::{Caller, Lab, Project, Running, require};

/// Builds in the project's directory, so that files are called as there.
fn build_inside(lab: &Lab, project: &Project, arguments: &[&str]) {
    let mut command = lab.build_command(arguments);
    command.current_dir(&project.dir);
    Running::start(&mut command).wait().success();
}

/// What is before the first colon, and what follows it, of a depfile with no odd names.
fn rule(path: &Path) -> (String, BTreeSet<String>) {
    let text = fs::read_to_string(path).expect("a depfile");
    let (rule, others) = text.split_once("\n\n").unwrap_or((&text, ""));
    let (target, files) = rule.split_once(':').expect("a rule");
    let files: BTreeSet<String> = files
        .split_whitespace()
        .filter(|word| *word != "\\")
        .map(str::to_owned)
        .collect();
    let alone: BTreeSet<String> = others
        .lines()
        .map(|line| line.trim_end_matches(':').to_owned())
        .collect();
    assert_eq!(files, alone, "each file has a rule of its own");
    (target.to_owned(), files)
}

fn set<const N: usize>(names: [&str; N]) -> BTreeSet<String> {
    names.map(str::to_owned).into()
}

#[test]
fn a_depfile_names_just_what_the_target_reads_of_its_contexts_in_the_cache_or_not() {
    let Some(lab) = Lab::new(Caller::Ranges) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS other\nCOPY other.txt /\n\
         FROM busybox AS app\nCOPY src/ /src/\nCOPY --exclude=no.conf *.conf /etc/\n\
         RUN --mount=type=bind,source=tools,target=/tools cat /tools/t\n\
         COPY --from=more lib /lib2/\nADD link /linked\n",
    );
    for file in [
        "other.txt",
        "src/main.c",
        "src/deep/er.h",
        "src/gone.o",
        "a.conf",
        "no.conf",
        "tools/t",
        "unread",
        "linked",
        "named/lib",
        "named/unread",
    ] {
        project.file(file, file);
    }
    project.file(".dockerignore", "**/*.o\n");
    project.symlink("link", "linked");
    project.symlink("src/to", "main.c");
    project.symlink("src/nowhere", "missing");
    let options = ["--build-context", "more=named", "--depfile"];
    let app = [&options[..], &["app.d", "--target=app", "."]].concat();
    build_inside(&lab, &project, &app);
    let expected = set([
        "Dockerfile",
        ".dockerignore",
        "src/main.c",
        "src/deep/er.h",
        "src/to",
        "a.conf",
        "tools/t",
        "linked",
        "named/lib",
    ]);
    let path = project.dir.join("app.d");
    assert_eq!(rule(&path), ("app".to_owned(), expected.clone()));
    fs::remove_file(&path).expect("a depfile");
    build_inside(&lab, &project, &app);
    assert_eq!(rule(&path).1, expected, "all of it was in the cache");

    let outputs = ["o.d", "--target=other", "-otype=tar,dest=o.tar", "./"];
    build_inside(&lab, &project, &[&options[..], &outputs].concat());
    let other = set(["Dockerfile", ".dockerignore", "other.txt"]);
    assert_eq!(rule(&project.dir.join("o.d")), ("o.tar".to_owned(), other));
}

#[test]
fn a_depfile_leaves_out_what_the_build_itself_writes() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM scratch\nCOPY . /\n");
    project.file("f", "");
    let options = ["-oout", "--depfile=f.d", "--metadata-file=meta", "."];
    for _ in 0..2 {
        build_inside(&lab, &project, &options);
        let (target, files) = rule(&project.dir.join("f.d"));
        assert_eq!(target, "meta");
        assert_eq!(files, set(["Dockerfile", "f"]));
    }
}

#[test]
fn make_understands_whatever_files_are_called() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    if !require("make", "what reads depfiles") {
        return;
    }
    let names = [
        "plain", "a b", "a#b", "a$b", "$(x", "a:b", "a%b", "%", "a|b", "a*b", "[ab]?", "~a",
        r"a\b", r"a\ b", r"a\#b", "a=b", "a:=b", "a\tb", "a&b", "a&", "a'\"b", "é", "-x",
    ];
    let project = lab.project("FROM scratch\nCOPY in /\n");
    for name in names {
        project.file(&format!("in/{name}"), "");
    }
    project.file("in/a;b", "").file("in/m(x)", "");
    let mut command = lab.build_command(&["--depfile=image.d", "--iidfile=image", "."]);
    let told = Running::start(command.current_dir(&project.dir)).wait();
    let told = told.success().says("in/a;b").says("in/m(x)");
    assert_eq!(told.stderr.matches("WARNING: --depfile").count(), 2);
    project.file("Makefile", "image:\n\tfalse\n-include image.d\n");
    let is_current = || {
        let mut make = Command::new("make");
        let quiet = make.args(["-q", "image"]).current_dir(&project.dir);
        let outcome = Running::start(quiet).wait();
        match outcome.status.code() {
            Some(0) => true,
            Some(1) => false,
            _ => panic!("{outcome}"),
        }
    };
    let set_age = |path: &Path, age: u64| {
        let time = SystemTime::now() - Duration::from_secs(age);
        let file = fs::File::open(path).expect("a file");
        file.set_modified(time).expect("our own file");
    };
    let image = project.dir.join("image");
    for path in ["Dockerfile".to_owned()]
        .into_iter()
        .chain(names.map(|name| format!("in/{name}")))
    {
        set_age(&project.dir.join(path), 200);
    }
    set_age(&image, 100);
    assert!(is_current());
    for name in names {
        let path = project.dir.join("in").join(name);
        set_age(&path, 50);
        assert!(!is_current(), "{name:?} is newer");
        set_age(&path, 200);
        assert!(is_current(), "{name:?} is older again");
    }
    fs::remove_file(project.dir.join("in/a b")).expect("a file");
    assert!(!is_current(), "what is gone is no error");
}

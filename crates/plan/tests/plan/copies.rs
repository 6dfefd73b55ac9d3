//! COPY, ADD and WORKDIR: what file operations they become.

use std::collections::BTreeSet;

use rbuild_plan::{
    ContextSource, CopyAction, FileAction, GitDirectory, Input, MainContext, Mode, Needed,
    Operation, Owner, Parents, PlanOptions, Unpack, Wildcard,
};

use crate::common::{
    actions, config, files, find, history, mistake, mistakes_with, names, planned, planned_with,
};

const ROOT: Owner = Owner::Ids { uid: 0, gid: 0 };

fn copies(text: &str) -> Vec<CopyAction> {
    let planned = planned(text);
    actions(&planned.plan)
        .into_iter()
        .filter_map(|action| match action {
            FileAction::Copy(copy) => Some(copy.clone()),
            _ => None,
        })
        .collect()
}

fn copy(line: &str) -> CopyAction {
    let mut copies = copies(&format!("FROM debian\n{line}\n"));
    assert_eq!(copies.len(), 1);
    copies.remove(0)
}

#[test]
fn files_of_the_context_belong_to_root_whatever_the_user() {
    let copies = copies("FROM debian\nUSER app\nCOPY a b/\n");
    assert_eq!(copies[0].owner, ROOT);
    assert_eq!(
        (copies[0].source.as_str(), copies[0].destination.as_str()),
        ("/a", "/b/")
    );
    assert_eq!(copies[0].unpack, Unpack::Never);
}

#[test]
fn files_of_a_stage_keep_their_owners() {
    let copies = copies("FROM debian AS a\nFROM debian\nCOPY --from=a /x /\n");
    assert_eq!(copies[0].owner, Owner::Source);
}

#[test]
fn sources_are_clamped_to_the_context() {
    assert_eq!(copy("COPY ../../etc/./passwd /").source, "/etc/passwd");
    assert_eq!(copy("COPY . .").source, "/");
    assert_eq!(copy("COPY dir/ x").source, "/dir");
}

#[test]
fn a_destination_is_seen_from_the_working_directory() {
    let copies = copies("FROM debian\nWORKDIR /w\nCOPY a .\nCOPY a b\nCOPY a ./c/\nCOPY a /d\n");
    let destinations: Vec<_> = copies
        .iter()
        .map(|copy| copy.destination.as_str())
        .collect();
    assert_eq!(destinations, ["/w/", "/w/b", "/w/c/", "/d"]);
}

#[test]
fn a_pattern_may_match_nothing_and_a_path_may_not() {
    assert_eq!(copy("COPY a*.txt /").wildcard, Wildcard::Pattern);
    assert_eq!(copy("COPY a.txt /").wildcard, Wildcard::Literal);
    assert_eq!(copy("COPY [\"a[1]\", \"/\"]").wildcard, Wildcard::Pattern);
}

#[test]
fn chown_is_numbers_or_names() {
    assert_eq!(
        copy("COPY --chown=5 a /").owner,
        Owner::Ids { uid: 5, gid: 5 }
    );
    assert_eq!(
        copy("COPY --chown=5:6 a /").owner,
        Owner::Ids { uid: 5, gid: 6 }
    );
    assert_eq!(
        copy("COPY --chown=app:6 a /").owner,
        Owner::Named("app:6".to_owned())
    );
    assert_eq!(
        copies("FROM debian\nARG U=7\nCOPY --chown=$U:8 a /\n")[0].owner,
        Owner::Ids { uid: 7, gid: 8 }
    );
}

#[test]
fn chmod_is_octal_or_symbolic() {
    assert_eq!(copy("COPY --chmod=755 a /").mode, Mode::Octal(0o755));
    assert_eq!(
        copy("COPY --chmod=u=rwX,go=rX a /").mode,
        Mode::Symbolic("u=rwX,go=rX".to_owned())
    );
    assert_eq!(
        copies("FROM debian\nARG M=600\nCOPY --chmod=$M a /\n")[0].mode,
        Mode::Octal(0o600)
    );
    assert!(
        mistake("FROM debian\nCOPY --chmod=10000 a /\n")
            .starts_with("invalid chmod parameter: '10000'")
    );
}

#[test]
fn several_sources_are_one_step() {
    let planned = planned("FROM debian\nCOPY a b c/\n");
    assert_eq!(files(&planned.plan).len(), 1);
    assert_eq!(actions(&planned.plan).len(), 2);
    assert_eq!(history(&planned), ["+ COPY a b c/ # buildkit"]);
}

#[test]
fn history_shows_owner_mode_and_what_variables_said_but_no_from() {
    let planned = planned(
        "FROM debian AS a\nFROM debian\nARG D=/x\nCOPY --from=a --chown=1:1 --chmod=755 --link=false f $D\n",
    );
    assert_eq!(
        history(&planned)[1],
        "+ COPY --chown=1:1 --chmod=755 f /x # buildkit"
    );
}

#[test]
fn a_link_stands_on_nothing_and_is_merged() {
    let planned = planned("FROM debian\nCOPY --link a /b\nRUN x\n");
    let link = find(&planned.plan, "LINK COPY");
    assert_eq!(planned.plan.vertex(link).operation, Operation::Merge);
    let inputs = planned.plan.inputs(link);
    assert!(matches!(
        planned.plan.vertex(inputs[0]).operation,
        Operation::Image(_)
    ));
    let Operation::File(file) = &planned.plan.vertex(inputs[1]).operation else {
        panic!("a file operation");
    };
    assert_eq!(file.base, None);
    let FileAction::Copy(copy) = &file.actions[0] else {
        panic!("a copy")
    };
    assert_eq!(copy.from, Input(0));
    assert_eq!(
        planned.plan.inputs(inputs[1]),
        [find(&planned.plan, "build context")]
    );
    assert_eq!(
        planned.plan.vertex(link).name,
        "[2/3] LINK COPY --link a /b"
    );
    assert_eq!(
        planned.plan.vertex(inputs[1]).name,
        "[2/3] COPY --link a /b"
    );
}

#[test]
fn a_link_with_chmod_is_a_plain_copy() {
    let planned = planned("FROM debian\nCOPY --link --chmod=755 a /b\n");
    assert!(
        !names(&planned.plan)
            .iter()
            .any(|name| name.contains("LINK"))
    );
}

#[test]
fn a_link_cannot_look_up_names() {
    let text = "FROM debian\nCOPY --link --chown=app a /b\n";
    assert!(mistake(text).contains("--link does not look at"));
    assert!(mistake("FROM scratch\nCOPY --chown=app a /b\n").contains("the stage is empty"));
}

#[test]
fn the_first_copy_onto_scratch_has_no_base() {
    let planned = planned("FROM scratch\nCOPY a /\nCOPY b /\n");
    let bases: Vec<_> = files(&planned.plan)
        .iter()
        .map(|(_, file)| file.base)
        .collect();
    assert_eq!(bases, [None, Some(Input(0))]);
}

#[test]
fn parents_keeps_the_path_from_the_pivot() {
    let copy = copy("COPY --parents a/./b/*.txt /x/");
    assert_eq!(
        (copy.parents, copy.source.as_str()),
        (Parents::Kept, "/a/./b/*.txt")
    );
    assert_eq!(copy.wildcard, Wildcard::Pattern);
    let planned = planned("FROM debian\nCOPY --parents a/b /x/\n");
    assert_eq!(history(&planned), ["+ COPY --parents a/b /x/ # buildkit"]);
}

#[test]
fn excludes_are_not_expanded() {
    let copies = copies("FROM debian\nARG X=1\nCOPY --exclude=*.$X --exclude=b a /\n");
    assert_eq!(copies[0].excludes, ["*.$X", "b"]);
}

#[test]
fn add_unpacks_local_archives_and_not_fetched_ones() {
    assert_eq!(copy("ADD a.tar /").unpack, Unpack::Archives);
    assert_eq!(copy("ADD --unpack=false a.tar /").unpack, Unpack::Never);
    assert_eq!(copy("ADD https://host/a.tar /").unpack, Unpack::Never);
    assert_eq!(
        copy("ADD --unpack=true https://host/a.tar /").unpack,
        Unpack::Archives
    );
}

#[test]
fn a_fetched_file_has_mode_0600_and_the_name_of_its_url() {
    let digest = "a".repeat(64);
    let planned = planned(&format!(
        "FROM debian\nADD --checksum=sha256:{digest} https://host/p/f.txt?x=1 /d/\n"
    ));
    let FileAction::Copy(copy) = actions(&planned.plan)[0] else {
        panic!("a copy")
    };
    assert_eq!(
        (copy.source.as_str(), &copy.mode, &copy.owner),
        ("/f.txt", &Mode::Octal(0o600), &ROOT)
    );
    let source = planned
        .plan
        .vertices()
        .find_map(|id| match &planned.plan.vertex(id).operation {
            Operation::Http(source) => Some(source.clone()),
            _ => None,
        });
    let source = source.expect("an Http vertex");
    assert_eq!(source.url, "https://host/p/f.txt?x=1");
    assert_eq!(source.checksum.expect("a checksum").hex(), digest);
    assert_eq!(
        history(&planned),
        ["+ ADD https://host/p/f.txt?x=1 /d/ # buildkit"]
    );
}

#[test]
fn a_git_url_is_checked_out() {
    let planned = planned("FROM debian\nADD --keep-git-dir=true https://host/r.git#v1:sub /src\n");
    let source = planned
        .plan
        .vertices()
        .find_map(|id| match &planned.plan.vertex(id).operation {
            Operation::Git(source) => Some(source.clone()),
            _ => None,
        });
    let source = source.expect("a Git vertex");
    assert_eq!(
        (
            source.url.as_str(),
            source.reference.as_deref(),
            source.subdirectory.as_deref()
        ),
        ("https://host/r.git", Some("v1"), Some("sub"))
    );
    assert_eq!(source.git_directory, GitDirectory::Kept);
    let FileAction::Copy(copy) = actions(&planned.plan)[0] else {
        panic!("a copy")
    };
    assert_eq!(
        (copy.source.as_str(), copy.destination.as_str()),
        ("/", "/src")
    );
}

#[test]
fn copy_takes_no_urls_and_checksums_need_one() {
    assert_eq!(
        mistake("FROM debian\nCOPY https://host/x /\n"),
        "source can't be a URL for COPY"
    );
    assert_eq!(
        mistake("FROM debian\nCOPY git@host:x/y /\n"),
        "source can't be a git ref for COPY"
    );
    assert_eq!(
        mistake("FROM debian\nADD --checksum=sha256:00 a /\n"),
        "checksum requires HTTP(S) or Git sources"
    );
    let digest = "a".repeat(64);
    assert_eq!(
        mistake(&format!(
            "FROM debian\nADD --checksum=sha256:{digest} https://h/a https://h/b /d/\n"
        )),
        "checksum can't be specified for multiple sources"
    );
}

#[test]
fn heredocs_become_files() {
    let planned = planned("FROM debian\nARG X=1\nCOPY <<a <<'b' /d/\n$X \"q\" 'r'\na\n$X\nb\n");
    let made: Vec<_> = actions(&planned.plan)
        .into_iter()
        .map(|action| match action {
            FileAction::MakeFile {
                path,
                name,
                data,
                mode,
                owner,
            } => {
                assert_eq!((mode, owner), (&Mode::Octal(0o644), &ROOT));
                (path.as_str(), name.as_str(), data.as_str())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(made, [("/d/", "a", "1 \"q\" 'r'\n"), ("/d/", "b", "$X\n")]);
    assert_eq!(history(&planned)[1], "+ COPY <<a <<b /d/ # buildkit");
}

#[test]
fn the_context_is_one_vertex_that_knows_what_is_needed_of_it() {
    let planned = planned(
        "FROM debian AS a\nCOPY a/x /\nFROM debian\nCOPY --parents b/./c* /\nRUN --mount=source=d,target=/d x\nCOPY --from=a / /a\n",
    );
    let contexts = planned
        .plan
        .vertices()
        .filter(|&id| planned.plan.vertex(id).operation == Operation::Context(ContextSource::Main));
    let contexts: Vec<_> = contexts.collect();
    assert_eq!(contexts.len(), 1);
    let expected: BTreeSet<_> = ["a/x", "b/c*", "d"].map(str::to_owned).into();
    assert_eq!(
        planned.plan.context_paths(contexts[0]),
        Needed::Paths(expected)
    );
}

#[test]
fn a_copy_of_the_root_needs_the_whole_context() {
    let planned = planned("FROM debian\nCOPY a /\nCOPY . /\n");
    let context = find(&planned.plan, "build context");
    assert_eq!(planned.plan.context_paths(context), Needed::All);
}

#[test]
fn without_a_context_a_copy_says_so() {
    let options = PlanOptions {
        main_context: MainContext::Absent,
        ..PlanOptions::default()
    };
    let mistakes = mistakes_with("FROM debian\nCOPY app /\n", &options);
    assert_eq!(mistakes[0].message, "no build context to take \"app\" from");
    planned_with("FROM debian\nCOPY . /\nCOPY *.txt /\n", &options);
}

#[test]
fn a_workdir_is_a_layer_that_belongs_to_the_user() {
    let planned = planned("FROM debian\nUSER 7\nWORKDIR /a\nWORKDIR b\nUSER app\nWORKDIR ../c\n");
    let made: Vec<_> = actions(&planned.plan)
        .into_iter()
        .map(|action| match action {
            FileAction::MakeDirectory {
                path,
                mode: 0o755,
                owner,
            } => (path.clone(), owner.clone()),
            other => panic!("{other:?}"),
        })
        .collect();
    let seven = Owner::Ids { uid: 7, gid: 7 };
    assert_eq!(
        made,
        [
            ("/a".to_owned(), seven.clone()),
            ("/a/b".to_owned(), seven),
            ("/a/c".to_owned(), Owner::Named("app".to_owned())),
        ]
    );
    assert_eq!(config(&planned).config.working_dir, "/a/c");
    assert_eq!(history(&planned)[1..3], ["+ WORKDIR /a", "+ WORKDIR /a/b"]);
}

#[test]
fn workdir_root_makes_nothing() {
    let planned = planned("FROM debian\nWORKDIR /\n");
    assert!(files(&planned.plan).is_empty());
    assert_eq!(history(&planned), ["- WORKDIR /"]);
}

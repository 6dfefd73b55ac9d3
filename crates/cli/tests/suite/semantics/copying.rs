//! COPY and ADD.

use super::root_lab;
use crate::support::{Kind, Tree};

fn of(tree: &Tree, path: &str) -> (u64, u64, u32) {
    let node = tree.get(path);
    (node.uid, node.gid, node.mode)
}

#[test]
fn files_of_the_context_belong_to_root_and_those_of_stages_to_whom_they_belonged() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS stage\nRUN touch /file && chown 7:8 /file\nFROM busybox\nUSER www-data\nCOPY file /context\nADD file /added\nCOPY --from=stage /file /stage\n",
    );
    project.file("file", "");
    std::os::unix::fs::chown(project.dir.join("file"), Some(3), Some(4)).expect("root may");
    let tree = lab.tree(&project, &[]);
    assert_eq!(of(&tree, "context"), (0, 0, 0o644));
    assert_eq!(of(&tree, "added"), (0, 0, 0o644));
    assert_eq!(of(&tree, "stage"), (7, 8, 0o644));
}

#[test]
fn a_directorys_contents_are_copied_and_only_the_targets_slash_matters() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY dir /a\nCOPY dir/ /b\nCOPY dir /c/\nCOPY dir/ /d/\nCOPY file /e\nCOPY file /f/\nCOPY file /a\nCOPY dir/.. /g\n",
    );
    project.file("dir/inner", "").file("file", "");
    let tree = lab.tree(&project, &[]);
    for path in [
        "a/inner",
        "b/inner",
        "c/inner",
        "d/inner",
        "e",
        "f/file",
        "a/file",
        "g/dir/inner",
    ] {
        assert!(matches!(tree.get(path).kind, Kind::File(_)), "{path}");
    }
}

#[test]
fn missing_directories_of_the_target_are_made_for_root_or_as_the_flags_say() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY file /plain/deep/file\nCOPY --chown=5:6 file /owned/deep/file\nCOPY --chmod=0700 file /mode/deep/file\nCOPY --link --chown=7:8 file /linked/deep/file\n",
    );
    project.file("file", "");
    let tree = lab.tree(&project, &[]);
    for folder in ["plain", "plain/deep"] {
        assert_eq!(of(&tree, folder), (0, 0, 0o755), "{folder}");
    }
    for folder in ["owned", "owned/deep"] {
        assert_eq!(of(&tree, folder), (5, 6, 0o755), "{folder}");
    }
    for folder in ["mode", "mode/deep"] {
        assert_eq!(of(&tree, folder), (0, 0, 0o700), "{folder}");
    }
    for folder in ["linked", "linked/deep"] {
        assert_eq!(of(&tree, folder), (7, 8, 0o755), "{folder}");
    }
}

#[test]
fn a_pattern_may_match_nothing_and_a_path_may_not() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY none* also?none /x/\nCOPY file none* /y/\n");
    project.file("file", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.below("y"), ["file"]);
    assert!(!tree.has("x"), "{:?}", tree.paths());
    let missing = lab.project("FROM scratch\nCOPY none /x\n");
    lab.try_build(&missing, &[])
        .failure()
        .says("none")
        .says("Dockerfile:2");
}

#[test]
fn a_link_that_is_the_source_is_followed_and_one_inside_is_copied() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY link /followed\nCOPY dirlink /dir\nCOPY up /up\nCOPY dir/inner /inner\n",
    );
    project
        .file("file", "content")
        .file("dir/real", "real")
        .symlink("link", "file")
        .symlink("dirlink", "dir")
        .symlink("dir/inner", "real")
        // Out of the context it leads to the context's own root.
        .symlink("up", "../../../file");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("followed"), "content");
    assert_eq!(tree.text("up"), "content");
    assert_eq!(tree.text("inner"), "real");
    assert_eq!(tree.get("dir/inner").kind, Kind::Symlink("real".to_owned()));
}

#[test]
fn a_link_in_the_target_is_followed_inside_the_image_but_not_by_a_linked_copy() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN mkdir /real && ln -s /real /abs && ln -s ../../../real /up && ln -s real /linked\nCOPY file /abs/one\nCOPY file /up/\nCOPY --link file /linked/three\n",
    );
    project.file("file", "x");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.below("real"), ["file", "one"]);
    assert_eq!(tree.get("abs").kind, Kind::Symlink("/real".to_owned()));
    // It stands on nothing: the directory replaces the link.
    assert_eq!(tree.get("linked").kind, Kind::Directory);
    assert!(tree.has("linked/three"));
}

#[test]
fn sources_cannot_leave_the_context() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY ../../file /a\nCOPY /file /b\nCOPY /../dir/../file /c\nADD //file /d\n",
    );
    project.file("file", "in");
    let tree = lab.tree(&project, &[]);
    for path in ["a", "b", "c", "d"] {
        assert_eq!(tree.text(path), "in", "{path}");
    }
    let outside = lab.project("FROM scratch\nCOPY ../../../../../../../../etc/passwd /a\n");
    lab.try_build(&outside, &[]).failure();
}

#[test]
fn a_linked_copy_with_a_mode_is_an_ordinary_one_and_no_linked_copy_knows_names() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN mkdir /real && ln -s real /to\nCOPY --link --chmod=0600 --chown=www-data file /to/file\n",
    );
    project.file("file", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(of(&tree, "real/file"), (33, 33, 0o600));
    let named = lab.project("FROM busybox\nCOPY --link --chown=www-data file /\n");
    named.file("file", "");
    lab.try_build(&named, &[])
        .failure()
        .says("www-data")
        .says("Dockerfile:2");
}

#[test]
fn an_owner_is_found_in_the_image_and_one_that_is_not_there_is_an_error() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN echo 'app:x:1000:1001::/:/bin/sh' >> /etc/passwd\nCOPY --chown=app file /name\nCOPY --chown=app:users file /group\nCOPY --chown=1000 file /number\nCOPY --chown=:users file /nobody\n",
    );
    project.file("file", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(of(&tree, "name"), (1000, 1001, 0o644));
    assert_eq!(of(&tree, "group"), (1000, 100, 0o644));
    assert_eq!(of(&tree, "number"), (1000, 1000, 0o644));
    assert_eq!(of(&tree, "nobody"), (0, 100, 0o644));
    let root = lab.project("FROM scratch\nCOPY --chown=root:root file /\n");
    root.file("file", "");
    assert_eq!(of(&lab.tree(&root, &[]), "file"), (0, 0, 0o644));
    for owner in ["nobodyknows", "app:nogroup"] {
        let project = lab.project(&format!(
            "FROM busybox\nCOPY --chown={owner} Dockerfile /\n"
        ));
        lab.try_build(&project, &[])
            .failure()
            .says(owner.split(':').next().expect("a name"))
            .says("Dockerfile:2");
    }
}

#[test]
fn an_octal_mode_is_for_all_and_a_symbolic_one_for_each() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY --chmod=0640 dir /octal\nCOPY --chmod=u=rwX,go=rX dir /symbolic\nCOPY --chmod=a-w,u+x dir /change\nARG M=u+s\nCOPY --chmod=$M dir/file /variable\n",
    );
    project
        .file("dir/file", "")
        .mode("dir/file", 0o600)
        .file("dir/program", "")
        .mode("dir/program", 0o710);
    let tree = lab.tree(&project, &[]);
    let mode = |path: &str| tree.get(path).mode;
    assert_eq!(
        [mode("octal"), mode("octal/file"), mode("octal/program")],
        [0o640; 3]
    );
    assert_eq!(
        [
            mode("symbolic"),
            mode("symbolic/file"),
            mode("symbolic/program")
        ],
        [0o755, 0o644, 0o755]
    );
    assert_eq!(
        [mode("change"), mode("change/file"), mode("change/program")],
        [0o755, 0o500, 0o510],
        "the target is made for what is copied into it"
    );
    assert_eq!(mode("variable"), 0o4600);
}

#[test]
fn parents_are_kept_from_the_pivot_and_a_path_that_is_not_there_is_an_error() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nCOPY --parents a/b/c.txt /plain/\nCOPY --parents a/./b/c.txt /pivot/\nCOPY --parents ./a/b /dir/\nCOPY --parents a/**/*.txt none/*.txt /glob/\nCOPY --parents a/./**/c.* /both/\n",
    );
    project
        .file("a/b/c.txt", "")
        .file("a/b/d/e.txt", "")
        .file("a/b/x", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.below("plain"), ["a", "a/b", "a/b/c.txt"]);
    assert_eq!(tree.below("pivot"), ["b", "b/c.txt"]);
    assert_eq!(tree.below("both"), ["b", "b/c.txt"]);
    assert!(
        tree.has("dir/a/b/x") || tree.has("dir/b/x"),
        "{:?}",
        tree.paths()
    );
    assert_eq!(
        tree.below("glob"),
        ["a", "a/b", "a/b/c.txt", "a/b/d", "a/b/d/e.txt"]
    );
    let missing = lab.project("FROM scratch\nCOPY --parents a/none.txt /x/\n");
    missing.file("a/b", "");
    lab.try_build(&missing, &[]).failure().says("a/none.txt");
}

#[test]
fn exclusions_are_seen_from_the_source_and_know_no_variables() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM scratch\nARG X=log\nCOPY --exclude=*.$X --exclude=sub/b dir /literal\nCOPY --exclude=dir/a.log --exclude=/a.log dir /anchored\nCOPY --exclude=**/*.log dir /all\nCOPY --exclude=* --exclude=!a.log dir /except\n",
    );
    project
        .file("dir/a.log", "")
        .file("dir/x.$X", "")
        .file("dir/sub/b", "")
        .file("dir/sub/c.log", "");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.below("literal"), ["a.log", "sub", "sub/c.log"]);
    assert!(tree.has("anchored/a.log"));
    assert_eq!(tree.below("all"), ["sub", "sub/b", "x.$X"]);
    assert_eq!(tree.below("except"), ["a.log"]);
}

#[test]
fn times_of_copied_files_stay_but_do_not_count() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY file /file\n");
    project.file("file", "x").touch("file");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.get("file").mtime, 1_234_567_890);
    let handle = std::fs::File::options()
        .write(true)
        .open(project.dir.join("file"))
        .expect("ours");
    handle
        .set_modified(std::time::SystemTime::now())
        .expect("our own file");
    let again = lab.build(&project, &[]);
    assert_eq!(again.ran(), [""; 0], "{again}");
}

#[test]
fn heredocs_are_plain_files_named_by_their_word_and_expanded_outside_of_quotes_too() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nARG V=value\nCOPY <<one.txt <<'two.txt' /d/\n'$V' \"$V\" \\$V \"open\none.txt\n$V\ntwo.txt\nADD <<three /four\n${V:-x} ${U:-unset}\nthree\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("d/one.txt"), "'value' \"value\" $V \"open\n");
    assert_eq!(tree.text("d/two.txt"), "$V\n");
    assert_eq!(tree.text("four"), "value unset\n");
    for path in ["d/one.txt", "d/two.txt", "four"] {
        assert_eq!(of(&tree, path), (0, 0, 0o644));
    }
}

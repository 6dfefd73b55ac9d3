//! What a RUN executes, in what surroundings, and what stays of it.

use std::os::unix::net::UnixListener;

use super::{history, root_lab};
use crate::support::Running;

#[test]
fn the_shell_form_is_one_argument_of_the_shell_and_the_json_form_knows_no_variables() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV V=value\nRUN echo \"$V   x\" > /shell\nRUN [\"touch\", \"/$V\"]\nSHELL [\"/bin/sh\", \"-c\", \"echo $0 > /own\"]\nRUN the text of it\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("shell"), "value   x\n");
    assert!(tree.has("$V"), "{:?}", tree.paths());
    assert_eq!(tree.text("own"), "the text of it\n");
}

#[test]
fn a_lone_heredoc_is_the_shells_argument_whether_its_word_is_quoted_or_not() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nARG V=arg\nRUN <<EOF\necho \"$V\" > /plain\nfalse\ntrue\nEOF\nRUN <<'EOF'\necho \"$V\" > /quoted\nEOF\n\
         SHELL [\"/bin/sh\", \"-c\", \"echo \\\"$0\\\" > /whole\"]\nRUN <<EOF\ntwo\nlines\nEOF\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(
        (tree.text("plain"), tree.text("quoted")),
        ("arg\n".to_owned(), "arg\n".to_owned())
    );
    assert_eq!(tree.text("whole"), "two\nlines\n\n");
}

#[test]
fn a_heredoc_with_a_shebang_is_a_program_that_nobody_can_change() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN <<FILE\n#!/bin/sh\necho $0 > /name\nstat -c %a $0 > /mode\necho x >> $0 && echo written > /written\ntrue\nFILE\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("name"), "/dev/pipes/FILE\n");
    assert_eq!(tree.text("mode"), "755\n");
    assert!(
        !tree.has("written") && !tree.has("dev/pipes"),
        "{:?}",
        tree.paths()
    );
}

#[test]
fn words_beside_a_heredoc_leave_it_to_the_shell() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV V=value\nRUN <<EOF sed s/a/b/ > /one\na $V\nEOF\nRUN cat <<'A' - <<B > /two\n$V\nA\n$V\nB\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("one"), "b value\n");
    assert_eq!(tree.text("two"), "value\n");
}

#[test]
fn mount_points_leave_no_trace_in_the_layer() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN mkdir -p /opt/kept && touch -d '2001-02-03 04:05:06' /opt /opt/kept\n\
         RUN --mount=type=cache,target=/opt/a/b --mount=type=tmpfs,target=/opt/kept/t --mount=type=secret,id=s,target=/opt/secret --mount=type=bind,target=/new/ctx true\n",
    );
    project.file("s", "secret");
    let secret = format!("id=s,src={}", project.dir.join("s").display());
    let tree = lab.tree(&project, &["--secret", &secret]);
    for gone in [
        "opt/a",
        "opt/kept/t",
        "opt/secret",
        "new",
        "run/secrets",
        "etc/hosts",
        "etc/resolv.conf",
    ] {
        assert!(!tree.has(gone), "{gone} is left");
    }
    assert_eq!(tree.get("opt").mtime, 981_173_106);
    assert_eq!(tree.get("opt/kept").mtime, 981_173_106);
}

#[test]
fn what_is_written_to_a_bind_mount_is_gone_after_the_step() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS other\nRUN mkdir /d && echo old > /d/f\nFROM busybox\n\
         RUN --mount=from=other,source=/d,target=/m,rw --mount=target=/c,rw echo new > /m/f && echo new > /c/f && cat /m/f /c/f > /during\n\
         RUN --mount=from=other,source=/d,target=/m --mount=target=/c cat /m/f /c/f > /after\n\
         RUN --mount=from=other,source=/d,target=/m touch /m/x 2> /dev/null || echo read-only > /default\nCOPY --from=other /d/f /stage\n",
    );
    project.file("f", "old\n");
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("during"), "new\nnew\n");
    assert_eq!(tree.text("after"), "old\nold\n");
    assert_eq!(tree.text("default"), "read-only\n");
    assert_eq!(tree.text("stage"), "old\n");
    assert!(!tree.has("m") && !tree.has("c"));
    assert_eq!(
        std::fs::read_to_string(project.dir.join("f")).expect("ours"),
        "old\n"
    );
}

#[test]
fn a_missing_secret_is_no_error_unless_it_is_required() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=secret,id=none --mount=type=secret,id=also,env=ALSO test ! -e /run/secrets/none && test -z \"${ALSO+set}\"\n",
    );
    lab.build(&project, &[]);
    for required in ["required", "required=true"] {
        let project = lab.project(&format!(
            "FROM busybox\nRUN --mount=type=secret,id=none,{required} true\n"
        ));
        lab.try_build(&project, &[])
            .failure()
            .says("none")
            .says("Dockerfile:2");
    }
}

#[test]
fn a_secret_for_a_variable_makes_no_file_unless_a_target_is_given() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV TOKEN=old\nRUN --mount=type=secret,id=token,env=TOKEN test \"$TOKEN\" = hidden && test ! -e /run/secrets\n\
         RUN --mount=type=secret,id=token,env=TOKEN,target=/t test \"$TOKEN\" = hidden && test \"$(cat /t)\" = hidden\nRUN test \"$TOKEN\" = old\n",
    );
    let mut command = lab.build_command(&["--secret", "id=token,env=GIVEN"]);
    command.env("GIVEN", "hidden").arg(&project.dir);
    Running::start(&mut command).wait().success();
}

#[test]
fn a_variable_for_the_agent_that_is_set_already_stays() {
    let Some(lab) = root_lab() else { return };
    let agent = lab.path("home/agent");
    let _listener = UnixListener::bind(&agent).expect("a socket");
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=ssh echo $SSH_AUTH_SOCK > /default\nENV SSH_AUTH_SOCK=/mine\nRUN --mount=type=ssh echo $SSH_AUTH_SOCK > /own && test -S /run/buildkit/ssh_agent.0\n",
    );
    let ssh = format!("default={}", agent.display());
    let tree = lab.tree(&project, &["--ssh", &ssh]);
    assert_eq!(tree.text("default"), "/run/buildkit/ssh_agent.0\n");
    assert_eq!(tree.text("own"), "/mine\n");
}

#[test]
fn privileges_need_to_be_allowed() {
    let Some(lab) = root_lab() else { return };
    for (flag, entitlement) in [
        ("--network=host", "network.host"),
        ("--security=insecure", "security.insecure"),
    ] {
        let project = lab.project(&format!("FROM busybox\nRUN {flag} echo ran\n"));
        let refused = lab
            .try_build(&project, &[])
            .failure()
            .says(entitlement)
            .says("--allow");
        assert_eq!(refused.ran(), [""; 0], "{refused}");
        lab.build(&project, &["--allow", entitlement]);
    }
}

#[test]
fn a_step_has_the_stages_surroundings_and_an_empty_input() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nENV V=value\nWORKDIR /w/d\nRUN rmdir /w/d /w\nRUN pwd > /out && echo $V >> /out && cat | wc -c >> /out\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("out"), "/w/d\nvalue\n0\n");
    assert!(tree.has("w/d"));
}

#[test]
fn groups_come_with_a_user_unless_its_group_is_given() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nRUN echo 'app:x:1000:1001::/home/app:/bin/sh' >> /etc/passwd && printf 'own:x:1001:\\nmore:x:2000:www-data,app\\n' >> /etc/group\n\
         USER app\nRUN echo $(id -u) $(id -g) $(id -G) > /tmp/name\nUSER app:users\nRUN echo $(id -u) $(id -g) $(id -G) > /tmp/both\n\
         USER 1000:100\nRUN echo $(id -u) $(id -g) $(id -G) > /tmp/numbers\nUSER 1000\nRUN echo $(id -u) $(id -g) $(id -G) > /tmp/number\n\
         USER 0\nRUN echo $(id -u) $(id -g) > /tmp/root\nUSER 4242\nRUN echo $(id -u) $(id -g) > /tmp/unknown\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("tmp/name"), "1000 1001 1001 2000\n");
    assert_eq!(tree.text("tmp/both"), "1000 100 100\n");
    assert_eq!(tree.text("tmp/numbers"), "1000 100 100\n");
    assert_eq!(tree.text("tmp/number"), "1000 1001 1001 2000\n");
    assert_eq!(tree.text("tmp/root"), "0 0\n");
    assert_eq!(tree.text("tmp/unknown"), "4242 0\n");
}

#[test]
fn a_step_that_changes_nothing_is_a_layer_all_the_same() {
    let Some(lab) = root_lab() else { return };
    let project =
        lab.project("FROM busybox\nRUN true\nWORKDIR /etc\nCOPY none* /\nENV A=1\nWORKDIR /\n");
    let told = history(&lab, &project, &[]);
    let layers: Vec<bool> = told.iter().map(|(_, layer)| *layer).collect();
    assert_eq!(layers, [true, true, true, false, false], "{told:?}");
    let layout = lab.layout(&project, &[]);
    layout.assert_conforms();
    let config = layout.config();
    assert_eq!(
        config["rootfs"]["diff_ids"].as_array().map(Vec::len),
        Some(4)
    );
}

#[test]
fn what_is_written_to_a_volume_later_stays() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM busybox\nRUN mkdir /v\nVOLUME /v\nRUN echo kept > /v/file\n");
    assert_eq!(lab.tree(&project, &[]).text("v/file"), "kept\n");
}

#[test]
fn workdir_makes_a_layer_with_directories_of_the_user() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox\nWORKDIR /\nUSER 33:100\nWORKDIR /a/b\nUSER www-data\nWORKDIR c\nUSER 0\nWORKDIR ../d\nRUN pwd > /pwd\n",
    );
    let tree = lab.tree(&project, &[]);
    let of = |path: &str| {
        let node = tree.get(path);
        (node.uid, node.gid, node.mode)
    };
    assert_eq!(of("a"), (33, 100, 0o755));
    assert_eq!(of("a/b"), (33, 100, 0o755));
    assert_eq!(of("a/b/c"), (33, 33, 0o755));
    assert_eq!(of("a/b/d"), (0, 0, 0o755));
    assert_eq!(tree.text("pwd"), "/a/b/d\n");
    let told = history(&lab, &project, &[]);
    assert!(told.contains(&("WORKDIR /".to_owned(), false)), "{told:?}");
    assert!(
        told.contains(&("WORKDIR /a/b/c".to_owned(), true)),
        "{told:?}"
    );
}

#[test]
fn a_relative_workdir_continues_that_of_the_base() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nWORKDIR /base/dir\n");
    lab.build(&base, &["-t", "base"]);
    let project = lab.project("FROM base\nWORKDIR sub/../own\nRUN pwd > /pwd\n");
    assert_eq!(lab.tree(&project, &[]).text("pwd"), "/base/dir/own\n");
    assert_eq!(
        lab.layout(&project, &[]).config()["config"]["WorkingDir"],
        "/base/dir/own"
    );
}

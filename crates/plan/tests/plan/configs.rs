//! What instructions do to the image's config.

use rbuild_plan::{FileAction, Owner, PlanOptions};
use serde_json::json;

use crate::common::{Shelf, actions, config, history, mistake, planned, planned_with, try_plan};

fn plan_on(edit: impl FnOnce(&mut rbuild_image::ImageConfig), text: &str) -> rbuild_plan::Planned {
    let mut shelf = Shelf::standard();
    shelf.put("base", edit);
    try_plan(text, &PlanOptions::default(), &shelf).expect("it plans")
}

#[test]
fn what_a_base_says_is_inherited_but_not_when_it_was_made() {
    let planned = plan_on(
        |config| {
            config.author = "me".to_owned();
            config.other.insert("docker_version".to_owned(), json!("1"));
            config.other.insert("os.version".to_owned(), json!("10"));
            config.config.user = "app".to_owned();
            config.config.working_dir = "srv".to_owned();
            config.config.shell = Some(vec!["/bin/ash".to_owned(), "-c".to_owned()]);
            config.config.labels.insert("a".to_owned(), "1".to_owned());
            config
                .config
                .other
                .insert("Hostname".to_owned(), json!("x"));
        },
        "FROM base\nRUN x\n",
    );
    let config = config(&planned);
    assert_eq!(
        (config.created.as_deref(), config.author.as_str()),
        (None, "me")
    );
    assert!(config.other.keys().eq(["os.version"]));
    assert!(config.config.other.is_empty() && config.rootfs.diff_ids.is_empty());
    assert_eq!(
        (
            config.config.user.as_str(),
            config.config.working_dir.as_str()
        ),
        ("app", "/srv")
    );
    let exec = crate::common::execs(&planned.plan)[0];
    assert_eq!(
        (&*exec.cwd, &*exec.user, &*exec.args[0]),
        ("/srv", "app", "/bin/ash")
    );
}

#[test]
fn a_base_without_path_gets_one_in_the_image() {
    let planned = planned("FROM bare\n");
    let env = config(&planned).config.env.as_ref().expect("an env");
    assert_eq!(env.len(), 1);
    assert!(env[0].starts_with("PATH=/usr/local/sbin:"));
}

#[test]
fn entrypoint_clears_an_inherited_cmd_only() {
    let inherited = planned("FROM debian\nENTRYPOINT [\"e\"]\n");
    assert_eq!(config(&inherited).config.cmd, None);
    for text in [
        "FROM debian\nCMD [\"c\"]\nENTRYPOINT [\"e\"]\n",
        "FROM debian\nENTRYPOINT [\"e\"]\nCMD [\"c\"]\n",
    ] {
        assert_eq!(
            config(&planned(text)).config.cmd.as_deref(),
            Some(["c".to_owned()].as_slice())
        );
    }
    let child = planned("FROM debian AS a\nCMD [\"c\"]\nFROM a\nENTRYPOINT [\"e\"]\n");
    assert_eq!(config(&child).config.cmd, None);
}

#[test]
fn empty_commands_reset() {
    let planned = planned("FROM debian\nCMD []\nENTRYPOINT []\n");
    let config = config(&planned);
    assert_eq!(config.config.cmd.as_deref(), Some([].as_slice()));
    assert_eq!(config.config.entrypoint, None);
    assert_eq!(history(&planned), ["- CMD []", "- ENTRYPOINT []"]);
}

#[test]
fn cmd_marks_its_arguments_as_escaped() {
    let with = planned("FROM debian\nCMD a \"b\"\n");
    assert!(config(&with).config.args_escaped);
    assert_eq!(
        history(&with),
        ["- CMD [\"/bin/sh\" \"-c\" \"a \\\"b\\\"\"]"]
    );
    assert!(!config(&planned("FROM debian\n")).config.args_escaped);
}

#[test]
fn a_healthcheck_is_stored_as_docker_has_it() {
    let planned_check =
        planned("FROM debian\nHEALTHCHECK --interval=30s --timeout=1m30s --retries=2 CMD curl x\n");
    let check = config(&planned_check)
        .config
        .healthcheck
        .clone()
        .expect("a check");
    assert_eq!(check.test, ["CMD-SHELL", "curl x"]);
    assert_eq!(
        (check.interval, check.timeout, check.retries),
        (30_000_000_000, 90_000_000_000, 2)
    );
    assert_eq!(
        history(&planned_check),
        [
            "- HEALTHCHECK {Test:[CMD-SHELL curl x] Interval:30s Timeout:1m30s StartPeriod:0s StartInterval:0s Retries:2}"
        ]
    );
    let none = planned("FROM debian\nHEALTHCHECK NONE\n");
    assert_eq!(
        config(&none)
            .config
            .healthcheck
            .as_ref()
            .expect("a check")
            .test,
        ["NONE"]
    );
}

#[test]
fn exposed_ports_are_sorted_split_and_counted_out() {
    let planned =
        planned("FROM debian\nARG P=\"90 91/udp\"\nEXPOSE 8080 80-82 $P 127.0.0.1:1:2/TCP\n");
    assert_eq!(
        history(&planned)[1],
        "- EXPOSE [90/tcp 91/udp 2/tcp 80/tcp 81/tcp 82/tcp 8080/tcp]"
    );
    let ports: Vec<_> = config(&planned)
        .config
        .exposed_ports
        .keys()
        .cloned()
        .collect();
    assert_eq!(
        ports,
        [
            "2/tcp", "80/tcp", "8080/tcp", "81/tcp", "82/tcp", "90/tcp", "91/udp"
        ]
    );
    assert_eq!(
        mistake("FROM debian\nEXPOSE 80/icmp\n"),
        "invalid port: \"80/icmp\": invalid proto: icmp"
    );
}

#[test]
fn metadata_instructions_write_config_and_history_without_layers() {
    let text = "FROM debian\nMAINTAINER me <m@x>\nENV A=1 B=\"2 3\"\nLABEL l=v\nUSER u:g\nVOLUME /a /b\nVOLUME [\"/c d\"]\nSTOPSIGNAL SIGTERM\nSHELL [\"/bin/bash\", \"-c\"]\nONBUILD RUN later\n";
    let planned = planned(text);
    assert_eq!(
        history(&planned),
        [
            "- MAINTAINER me <m@x>",
            "- ENV A=1 B=2 3",
            "- LABEL l=v",
            "- USER u:g",
            "- VOLUME [/a /b]",
            "- VOLUME [/c d]",
            "- STOPSIGNAL SIGTERM",
            "- SHELL [/bin/bash -c]",
        ]
    );
    let config = config(&planned);
    assert_eq!(config.author, "me <m@x>");
    assert!(config.config.volumes.keys().eq(["/a", "/b", "/c d"]));
    assert_eq!(config.config.stop_signal, "SIGTERM");
    assert_eq!(
        config.config.on_build.as_deref(),
        Some(["RUN later".to_owned()].as_slice())
    );
}

#[test]
fn volume_does_not_undo_later_writes() {
    let planned = planned("FROM debian\nVOLUME /v\nRUN touch /v/x\n");
    assert_eq!(
        history(&planned)[1],
        "+ RUN /bin/sh -c touch /v/x # buildkit"
    );
}

#[test]
fn stop_signals_are_checked() {
    assert_eq!(
        mistake("FROM debian\nSTOPSIGNAL SIGWHAT\n"),
        "invalid signal: SIGWHAT"
    );
    planned("FROM debian\nARG S=9\nSTOPSIGNAL $S\n");
}

#[test]
fn labels_of_the_command_line_win_on_the_target_only() {
    let options = PlanOptions {
        labels: vec![
            ("a".to_owned(), "cli".to_owned()),
            ("n".to_owned(), "1".to_owned()),
        ],
        ..PlanOptions::default()
    };
    let planned = planned_with("FROM debian\nLABEL a=file b=file\n", &options);
    let labels: Vec<_> = config(&planned)
        .config
        .labels
        .iter()
        .map(|(k, v)| format!("{k}={v}"))
        .collect();
    assert_eq!(labels, ["a=cli", "b=file", "n=1"]);
    assert_eq!(history(&planned), ["- LABEL a=file b=file"]);
}

#[test]
fn history_of_the_base_comes_first_and_is_counted() {
    let planned = planned("FROM debian AS a\nENV X=1\nFROM a\nENV Y=1\n");
    let output = &planned.plan.outputs[0];
    assert_eq!(output.base_history, 1);
    assert_eq!(output.config.history[0].created_by, "base");
    assert_eq!(history(&planned), ["- ENV X=1", "- ENV Y=1"]);
}

#[test]
fn an_env_of_the_base_is_replaced_in_its_place() {
    let planned = planned("FROM debian\nENV A=1\nENV PATH=/x:$PATH\n");
    assert_eq!(
        config(&planned).config.env.as_deref(),
        Some(["PATH=/x:/bin".to_owned(), "A=1".to_owned()].as_slice())
    );
}

#[test]
fn root_needs_no_look_up_and_the_largest_number_is_no_owner() {
    let planned = planned("FROM scratch\nCOPY --chown=root:root a /\nCOPY --chown=root b /\n");
    let is_root = |action: &&FileAction| matches!(action, FileAction::Copy(copy) if copy.owner == Owner::Ids { uid: 0, gid: 0 });
    assert!(actions(&planned.plan).iter().all(is_root));
    assert_eq!(
        mistake("FROM scratch\nCOPY --chown=0:4294967295 a /\n"),
        "invalid owner 4294967295: the largest ID is 4294967294"
    );
}

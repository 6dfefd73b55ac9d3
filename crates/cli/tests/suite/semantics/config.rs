//! The image's config and history.

use serde_json::{Value, json};

use super::{history, root_lab};
use crate::support::Running;

#[test]
fn entrypoint_takes_an_inherited_command_away_but_not_one_of_its_own_stage() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nCMD [\"inherited\"]\n");
    lab.build(&base, &["-t", "base"]);
    let cmd = |text: &str| {
        let project = lab.project(text);
        lab.layout(&project, &[]).config()["config"]["Cmd"].clone()
    };
    assert_eq!(cmd("FROM base\nENTRYPOINT [\"e\"]\n"), Value::Null);
    assert_eq!(
        cmd("FROM base AS a\nFROM a\nENTRYPOINT [\"e\"]\n"),
        Value::Null
    );
    assert_eq!(
        cmd("FROM busybox AS a\nCMD [\"a\"]\nFROM a\nENTRYPOINT [\"e\"]\n"),
        Value::Null
    );
    assert_eq!(
        cmd("FROM base\nENTRYPOINT [\"e\"]\nCMD [\"own\"]\n"),
        json!(["own"])
    );
    assert_eq!(
        cmd("FROM base\nCMD [\"own\"]\nENTRYPOINT [\"e\"]\n"),
        json!(["own"])
    );
}

#[test]
fn a_command_is_marked_as_escaped() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch AS without\nLABEL a=b\nFROM scratch\nCMD [\"x\"]\n");
    let config = lab.layout(&project, &[]).config();
    assert_eq!(config["config"]["ArgsEscaped"], true);
    let without = lab.layout(&project, &["--target", "without"]).config();
    assert_eq!(without["config"]["ArgsEscaped"], Value::Null);
}

#[test]
fn triggers_run_first_with_the_usual_escape_and_only_in_the_next_generation() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project(
        "# escape=`\nFROM busybox\nONBUILD ENV BS=\\$x\nONBUILD COPY --from=data /made /made\nONBUILD RUN echo trigger >> /order\nONBUILD COPY <<EOF /doc\nbody\nEOF\n",
    );
    let built = lab.layout(&base, &["-o", "type=image,name=base"]).config();
    assert_eq!(built["config"]["OnBuild"].as_array().map(Vec::len), Some(4));
    let project = lab.project(
        "FROM busybox AS data\nRUN echo data > /made\nFROM base AS child\nRUN echo own >> /order && echo \"$BS\" > /bs\nFROM child\nRUN echo grandchild >> /order\n",
    );
    let tree = lab.tree(&project, &[]);
    assert_eq!(tree.text("order"), "trigger\nown\ngrandchild\n");
    assert_eq!(tree.text("made"), "data\n");
    assert_eq!(tree.text("doc"), "body\n");
    assert_eq!(tree.text("bs"), "$x\n");
    let config = lab.layout(&project, &["--target", "child"]).config();
    assert_eq!(config["config"]["OnBuild"], Value::Null);
}

#[test]
fn labels_of_the_command_line_win_and_are_for_the_target_alone() {
    let Some(lab) = root_lab() else { return };
    let project =
        lab.project("FROM busybox AS base\nLABEL a=file b=file\nFROM base\nLABEL c=file\n");
    let arguments = [
        "--label", "a=given", "--label", "c=given", "--label", "empty",
    ];
    let config = lab.layout(&project, &arguments).config();
    assert_eq!(
        config["config"]["Labels"],
        json!({"a": "given", "b": "file", "c": "given", "empty": ""})
    );
    // They are no step: nothing of the history tells them.
    let told = history(&lab, &project, &arguments);
    assert_eq!(told.len(), 2, "{told:?}");
}

#[test]
fn every_line_of_history_has_its_comment_and_a_time() {
    let Some(lab) = root_lab() else { return };
    let project =
        lab.project("FROM busybox\nENV A=1\nRUN true\nLABEL l=1\nCOPY Dockerfile /\nCMD [\"x\"]\n");
    let config = lab.layout(&project, &[]).config();
    let entries = config["history"].as_array().expect("a list");
    let own: Vec<&Value> = entries
        .iter()
        .filter(|entry| entry["comment"] == "buildkit.dockerfile.v0")
        .collect();
    assert_eq!(own.len(), 5, "{config}");
    // As a time: as texts, 38.02Z would come after 38.028Z.
    let time = |entry: &Value| {
        let text = entry["created"].as_str().expect("a text");
        text.parse::<jiff::Timestamp>().expect("a time")
    };
    // What makes no layer has the time of the layer before it; at the start, that of the first new one.
    assert_eq!(time(own[0]), time(own[1]));
    assert_eq!(time(own[2]), time(own[1]));
    assert_eq!(time(own[4]), time(own[3]));
    assert_eq!(config["created"].as_str(), own[3]["created"].as_str());
    assert!(
        own.windows(2).all(|pair| time(pair[0]) <= time(pair[1])),
        "{config}"
    );
}

#[test]
fn an_epoch_dates_the_config_and_leaves_the_bases_history_alone() {
    let Some(lab) = root_lab() else { return };
    let base = lab.project("FROM busybox\nRUN true\n");
    let base_config = lab
        .layout(
            &base,
            &[
                "--build-arg",
                "SOURCE_DATE_EPOCH=1000",
                "-o",
                "type=image,name=base",
            ],
        )
        .config();
    let project = lab.project("FROM base\nENV A=1\nRUN touch /new\n");
    for (name, value) in [("argument", "--build-arg"), ("environment", "")] {
        let path = lab.path(&format!("out/{name}"));
        let output = format!("type=oci,tar=false,dest={}", path.display());
        let mut command = lab.build_command(&["-o", &output]);
        if value.is_empty() {
            command.env("SOURCE_DATE_EPOCH", "2000");
        } else {
            command.args([value, "SOURCE_DATE_EPOCH=2000"]);
        }
        command.arg(&project.dir);
        Running::start(&mut command).wait().success();
        let config = crate::support::Layout::new(&path).config();
        assert_eq!(config["created"], "1970-01-01T00:33:20Z");
        let entries = config["history"].as_array().expect("a list");
        let before = base_config["history"].as_array().expect("a list");
        assert_eq!(&entries[..before.len()], &before[..]);
        for entry in &entries[before.len()..] {
            assert_eq!(entry["created"], "1970-01-01T00:33:20Z", "{config}");
        }
    }
}

#[test]
fn a_healthcheck_is_inherited_until_none_takes_it_away() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project(
        "FROM busybox AS base\nHEALTHCHECK --retries=7 CMD [\"true\"]\nFROM base AS kept\nRUN true\nFROM base\nHEALTHCHECK NONE\n",
    );
    let check = |arguments: &[&str]| {
        lab.layout(&project, arguments).config()["config"]["Healthcheck"].clone()
    };
    assert_eq!(
        check(&["--target", "kept"]),
        json!({"Test": ["CMD", "true"], "Retries": 7})
    );
    assert_eq!(check(&[]), json!({"Test": ["NONE"]}));
}

#[test]
fn warnings_come_once_for_all_platforms_and_as_errors_before_anything_runs() {
    let Some(lab) = root_lab() else { return };
    let project = lab.project("FROM scratch\nCOPY Dockerfile /\nCMD x\n");
    let outcome = lab.build(&project, &["--platform", "linux/amd64,linux/arm64"]);
    assert_eq!(
        outcome.stderr.matches("JSONArgsRecommended").count(),
        1,
        "{outcome}"
    );
    let strict = lab.project("# check=error=true\nFROM busybox\nRUN echo ran\nCMD x\n");
    let outcome = lab
        .try_build(&strict, &[])
        .failure()
        .says("JSONArgsRecommended");
    assert_eq!(outcome.ran(), [""; 0], "{outcome}");
}

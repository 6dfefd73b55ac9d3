//! ONBUILD: when triggers fire, and for whom.

use rbuild_plan::{PlanError, PlanOptions, Planned};

use crate::common::{Shelf, args, config, execs, history, names, try_plan};

fn with_triggers(triggers: &[&str]) -> Shelf {
    let mut shelf = Shelf::standard();
    shelf.put("base", |config| {
        config.config.on_build = Some(triggers.iter().map(|text| (*text).to_owned()).collect());
    });
    shelf
}

fn planned(triggers: &[&str], text: &str) -> Planned {
    try_plan(text, &PlanOptions::default(), &with_triggers(triggers)).expect("it plans")
}

#[test]
fn triggers_run_before_the_stages_own_instructions_and_are_used_up() {
    let planned = planned(&["ENV A=1", "RUN trigger"], "FROM base\nRUN own\n");
    assert_eq!(
        names(&planned.plan)[1..],
        ["[2/4] ONBUILD RUN trigger", "[3/4] RUN own"]
    );
    assert_eq!(
        history(&planned),
        [
            "- ENV A=1",
            "+ RUN /bin/sh -c trigger # buildkit",
            "+ RUN /bin/sh -c own # buildkit"
        ]
    );
    assert_eq!(config(&planned).config.on_build, None);
    assert_eq!(execs(&planned.plan)[1].env.get("A"), Some("1"));
}

#[test]
fn a_stages_own_onbuild_fires_in_the_next_stage_only() {
    let text = "FROM debian AS a\nONBUILD RUN trigger\nRUN a\nFROM a AS b\nRUN b\nFROM b\nRUN c\n";
    let planned = try_plan(text, &PlanOptions::default(), &Shelf::standard()).expect("it plans");
    let args: Vec<_> = execs(&planned.plan)
        .iter()
        .map(|exec| exec.args[2].to_string())
        .collect();
    assert_eq!(args, ["a", "trigger", "b", "c"]);
    assert_eq!(config(&planned).config.on_build, None);
}

#[test]
fn a_trigger_may_copy_from_a_stage_of_the_file_that_uses_the_image() {
    let text = "FROM debian AS data\nRUN make data\nFROM base\n";
    let planned = planned(&["COPY --from=data /x /y"], text);
    assert!(
        names(&planned.plan)
            .iter()
            .any(|name| name.ends_with("RUN make data"))
    );
    assert!(
        names(&planned.plan)
            .iter()
            .any(|name| name.contains("ONBUILD COPY --from=data /x /y"))
    );
}

#[test]
fn a_trigger_may_bring_an_image_of_its_own() {
    let shelf = with_triggers(&["COPY --from=alpine /x /y"]);
    try_plan("FROM base\n", &PlanOptions::default(), &shelf).expect("it plans");
    assert_eq!(shelf.asked(), ["base", "alpine"]);
}

#[test]
fn a_bad_trigger_is_reported_at_the_from() {
    let error = try_plan(
        "# x\n\nFROM base\n",
        &PlanOptions::default(),
        &with_triggers(&["RUNN x"]),
    );
    let Err(PlanError::Mistakes { diagnostics }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(diagnostics[0].span.start, 5);
    assert!(diagnostics[0].message.contains("RUNN x"));
}

#[test]
fn a_trigger_has_heredocs_and_variables() {
    let planned = planned(&["ARG V=1", "COPY <<EOF /f\n$V\nEOF"], "FROM base\n");
    let made = crate::common::actions(&planned.plan);
    assert!(
        matches!(made[0], rbuild_plan::FileAction::MakeFile { data, .. } if data == "1\n"),
        "{made:?}"
    );
}

#[test]
fn an_arg_of_a_trigger_is_declared() {
    let options = args(&[("VERSION", "2"), ("TYPO", "1")]);
    let planned = try_plan("FROM base\n", &options, &with_triggers(&["ARG VERSION"]));
    let planned = planned.expect("it plans");
    let unused = planned.unused_build_args.iter();
    assert_eq!(unused.map(|arg| &arg.name).collect::<Vec<_>>(), ["TYPO"]);
}

//! Which stages are built, and how names find them.

use crate::common::{
    Shelf, args, config, find, history, mistake, mistakes_with, names, planned, planned_with,
    try_plan,
};
use rbuild_dockerfile::{Source, parse};
use rbuild_plan::{ContextSource, NamedContext, Operation, PlanError, PlanOptions, base_images};

fn target(name: &str) -> PlanOptions {
    PlanOptions {
        target: Some(name.to_owned()),
        ..PlanOptions::default()
    }
}

#[test]
fn only_what_the_target_needs_is_planned_and_resolved() {
    let text =
        "FROM debian AS a\nRUN one\nFROM nowhere AS b\nRUN two\nFROM alpine\nCOPY --from=a /x /x\n";
    let shelf = Shelf::standard();
    let planned = try_plan(text, &PlanOptions::default(), &shelf).expect("it plans");
    assert_eq!(
        names(&planned.plan),
        [
            "[a 1/2] FROM docker.io/library/debian:latest",
            "[stage-2 1/2] FROM docker.io/library/alpine:latest",
            "[a 2/2] RUN one",
            "[stage-2 2/2] COPY --from=a /x /x",
        ]
    );
    assert_eq!(shelf.asked(), ["debian", "alpine"]);
}

#[test]
fn the_base_images_of_a_build_are_known_before_planning() {
    let text = "ARG V=bookworm\nFROM debian:$V AS a\nFROM nowhere AS b\nFROM a\nCOPY --from=busybox /x /\nRUN --mount=from=alpine,target=/a true\n";
    let dockerfile = parse(&Source {
        name: String::new(),
        text: text.to_owned(),
    })
    .dockerfile
    .expect("it parses");
    let images = base_images(&dockerfile, &PlanOptions::default());
    let references: Vec<_> = images
        .iter()
        .map(|image| image.reference.as_str())
        .collect();
    assert_eq!(references, ["alpine", "busybox", "debian:bookworm"]);
}

#[test]
fn a_from_sees_only_stages_above_it() {
    let error = try_plan(
        "FROM later\nFROM debian AS later\nFROM scratch\nCOPY --from=0 / /\n",
        &PlanOptions::default(),
        &Shelf::standard(),
    );
    let Err(PlanError::Resolve { reference, .. }) = error else {
        panic!("later is an image: {error:?}");
    };
    assert_eq!(reference, "later");
}

#[test]
fn copying_from_a_later_stage_is_an_error_and_no_pull() {
    assert_eq!(
        mistake("FROM debian AS a\nCOPY --from=b /x /\nFROM debian AS b\nFROM a\n"),
        "cannot copy from stage \"b\", it needs to be defined before current stage \"a\""
    );
}

#[test]
fn copy_from_counts_stages_but_mount_from_does_not() {
    let copied = planned("FROM debian\nRUN x\nFROM alpine\nCOPY --from=0 /x /\n");
    assert!(
        names(&copied.plan)
            .iter()
            .any(|name| name.ends_with("RUN x"))
    );
    let shelf = Shelf::standard();
    let mounted = try_plan(
        "FROM debian\nFROM alpine\nRUN --mount=from=0,target=/x true\n",
        &PlanOptions::default(),
        &shelf,
    );
    assert!(matches!(mounted, Err(PlanError::Resolve { reference, .. }) if reference == "0"));
    assert_eq!(
        mistake("FROM debian\nCOPY --from=7 /x /\n"),
        "invalid stage index 7"
    );
    assert_eq!(
        mistake("FROM debian\nCOPY --from=-1 /x /\n"),
        "invalid stage index -1"
    );
}

#[test]
fn of_equal_stage_names_the_last_wins() {
    let planned = planned(
        "FROM debian AS a\nRUN one\nFROM alpine AS a\nRUN two\nFROM scratch\nCOPY --from=A /x /\n",
    );
    let names = names(&planned.plan);
    assert!(names.iter().any(|name| name.ends_with("RUN two")));
    assert!(!names.iter().any(|name| name.ends_with("RUN one")));
    assert_eq!(planned.warnings[0].code, "DuplicateStageName");
}

#[test]
fn cycles_are_reported_before_anything_is_resolved() {
    let shelf = Shelf::default();
    let error = try_plan(
        "FROM nowhere AS a\nCOPY --from=a /x /\n",
        &PlanOptions::default(),
        &shelf,
    );
    let Err(PlanError::Mistakes { diagnostics }) = error else {
        panic!("{error:?}");
    };
    assert_eq!(
        diagnostics[0].message,
        "circular dependency detected on stage: a"
    );
    assert!(shelf.asked().is_empty());
    assert_eq!(
        mistake("FROM debian AS a\nCOPY --from=b /x /\nFROM debian AS b\nCOPY --from=a /x /\n"),
        "circular dependency detected on stage: a"
    );
}

#[test]
fn an_unknown_target_suggests_a_near_one() {
    let mistakes = mistakes_with("FROM debian AS builder\nFROM debian\n", &target("bulder"));
    assert_eq!(
        mistakes[0].message,
        "target stage \"bulder\" could not be found"
    );
    assert_eq!(mistakes[0].help.as_deref(), Some("did you mean builder?"));
    // A number names a stage for `COPY --from`, not here.
    let mistakes = mistakes_with("FROM debian AS tools\nFROM debian AS app\n", &target("0"));
    assert_eq!(mistakes[0].help.as_deref(), Some("the file has app, tools"));
    let planned = planned_with(
        "FROM debian AS one\nRUN 1\nFROM debian AS two\nRUN 2\n",
        &target("ONE"),
    );
    assert!(
        names(&planned.plan)
            .iter()
            .any(|name| name == "[one 2/2] RUN 1")
    );
}

#[test]
fn scratch_has_no_layers_and_only_the_default_path() {
    let planned = planned("FROM scratch\n");
    assert_eq!(planned.plan.outputs[0].root, None);
    assert_eq!(config(&planned).config.working_dir, "/");
    assert_eq!(
        config(&planned).config.env.as_deref(),
        Some(
            ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned()]
                .as_slice()
        )
    );
    assert!(config(&planned).history.is_empty());
}

#[test]
fn a_child_stage_sees_the_args_of_its_parent() {
    let planned = planned_with(
        "FROM debian AS a\nARG X=1\nFROM a AS b\nRUN child\nFROM debian AS c\nCOPY --from=b / /\nRUN stranger\n",
        &args(&[]),
    );
    let env = |part: &str| match &planned.plan.vertex(find(&planned.plan, part)).operation {
        Operation::Exec(exec) => exec.env.clone(),
        other => panic!("{other:?}"),
    };
    assert!(env("RUN child").defines("X"));
    assert!(!env("RUN stranger").defines("X"));
}

#[test]
fn a_named_context_replaces_an_image() {
    let mut options = PlanOptions::default();
    options.contexts.insert(
        "debian".to_owned(),
        NamedContext::Image("alpine".to_owned()),
    );
    let shelf = Shelf::standard();
    try_plan(
        "FROM docker.io/library/debian:latest\nRUN x\n",
        &options,
        &shelf,
    )
    .expect("it plans");
    assert_eq!(shelf.asked(), ["alpine"]);
}

#[test]
fn a_named_context_for_one_platform_goes_first() {
    let mut options = PlanOptions::default();
    options.contexts.insert(
        "debian".to_owned(),
        NamedContext::Image("golang".to_owned()),
    );
    options.contexts.insert(
        "debian::linux/amd64".to_owned(),
        NamedContext::Image("alpine".to_owned()),
    );
    let shelf = Shelf::standard();
    try_plan("FROM debian\n", &options, &shelf).expect("it plans");
    assert_eq!(shelf.asked(), ["alpine"]);
}

#[test]
fn a_named_context_replaces_a_whole_stage() {
    let mut options = PlanOptions::default();
    options
        .contexts
        .insert("deps".to_owned(), NamedContext::Local);
    let planned = planned_with(
        "FROM nowhere AS deps\nRUN never\nFROM debian\nCOPY --from=deps /x /\n",
        &options,
    );
    assert_eq!(
        names(&planned.plan),
        [
            "[context deps] load from client",
            "[stage-1 1/2] FROM docker.io/library/debian:latest",
            "[stage-1 2/2] COPY --from=deps /x /",
        ]
    );
    let context = find(&planned.plan, "context deps");
    assert_eq!(
        planned.plan.vertex(context).operation,
        Operation::Context(ContextSource::Named("deps".to_owned()))
    );
}

#[test]
fn building_on_a_local_context_makes_it_a_layer() {
    let mut options = PlanOptions::default();
    options
        .contexts
        .insert("tree".to_owned(), NamedContext::Local);
    let planned = planned_with("FROM tree\nRUN x\n", &options);
    let run = find(&planned.plan, "RUN x");
    let [root] = planned.plan.inputs(run)[..] else {
        panic!("one input");
    };
    assert!(matches!(
        planned.plan.vertex(root).operation,
        Operation::File(_)
    ));
}

#[test]
fn an_image_that_cannot_be_had_suggests_a_common_one() {
    let error = try_plan("FROM debain\n", &PlanOptions::default(), &Shelf::standard());
    let Err(PlanError::Resolve {
        suggestion, span, ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(suggestion.as_deref(), Some("debian"));
    assert_eq!(span.start, 0);
}

#[test]
fn equal_images_and_steps_of_two_stages_exist_once() {
    let planned = planned(
        "FROM debian AS a\nRUN x\nFROM debian AS b\nRUN x\nFROM scratch\nCOPY --from=a /1 /\nCOPY --from=b /2 /\n",
    );
    let runs = names(&planned.plan)
        .iter()
        .filter(|name| name.ends_with("RUN x"))
        .count();
    assert_eq!(runs, 1);
    assert_eq!(history(&planned).len(), 2);
}

#[test]
fn several_mistakes_are_reported_together() {
    let mistakes = mistakes_with(
        "FROM debian\nSTOPSIGNAL what\nEXPOSE http\nRUN --mount=type=moon x\nCOPY --chmod=9 a b\n",
        &PlanOptions::default(),
    );
    let codes: Vec<_> = mistakes.iter().map(|mistake| mistake.code).collect();
    assert_eq!(codes.len(), 4, "{mistakes:#?}");
}

#[test]
fn a_stage_name_with_capitals_is_explained() {
    let mistakes = mistakes_with("FROM debian AS Base\nFROM Base\n", &PlanOptions::default());
    assert_eq!(mistakes[0].patch.as_deref(), Some("base"));
}

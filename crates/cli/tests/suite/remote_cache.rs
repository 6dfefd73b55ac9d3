//! Caches that machines share: what a second machine runs, fetches and asks.

use rstest::rstest;

use crate::support::{Caller, Machine, Project, Shared};

/// Two stages; the second takes files of the first, and shows others to a command.
const STAGES: &str = "FROM busybox AS build
COPY src /src
RUN mkdir /out && cat /src/a > /out/a && date +%N > /out/when
RUN echo unused > /unused
FROM busybox
WORKDIR /app
COPY --from=build /out /app/out
RUN --mount=from=build,source=/src,target=/s cp /s/a /app/copy
COPY other /app/other
";

fn sources(project: &Project) {
    project.file("src/a", "a").file("other", "other");
}

fn machine(caller: Caller) -> Option<Machine> {
    Machine::new(caller, STAGES, sources)
}

/// The blobs that were fetched, by requests.
fn blobs(requests: &[String]) -> usize {
    let is_blob = |one: &&String| one.starts_with("GET ") && one.contains("/blobs/sha256:");
    requests.iter().filter(is_blob).count()
}

#[rstest]
fn an_empty_machine_runs_nothing_and_gives_the_same_image(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let (Some(shared), Some(one), Some(other)) =
        (Shared::start(), machine(caller), machine(caller))
    else {
        return;
    };
    let name = shared.name("user/app:cache");
    let to = format!("type=registry,ref={name},mode=max");
    let first = one.build(&["--cache-to", &to]);
    let second = other.build(&["--cache-from", &name]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(second.image(), first.image());
    // What was fetched is recorded: the cache is not needed again.
    let third = other.build(&[]);
    assert_eq!(third.image(), first.image());
    let tree = other.lab.tree(&other.project, &[]);
    assert_eq!(tree.text("app/copy"), "a");
}

#[test]
fn a_warm_build_takes_few_round_trips_and_fetches_no_layer_that_nobody_reads() {
    let (Some(shared), Some(one), Some(other)) = (
        Shared::start(),
        machine(Caller::Root),
        machine(Caller::Root),
    ) else {
        return;
    };
    let name = shared.name("user/app:cache");
    one.build(&["--cache-to", &format!("type=registry,ref={name},mode=max")]);
    let from = ["--cache-from", &name, "-o", "type=cacheonly"];
    let (second, asked) = shared.asked_by(|| other.build(&from));
    assert_eq!(second.ran(), [""; 0], "{second}");
    // The list of entries: its manifest, and what that names.
    assert_eq!(asked.len(), 2, "{asked:#?}");
    // With a changed file: what depends on it runs, on what was fetched for it.
    other.project.file("other", "changed");
    let (third, asked) = shared.asked_by(|| other.build(&from));
    assert_eq!(third.ran(), ["COPY other /app/other"], "{third}");
    // The list, one entry that is not there, the one that it was before; of layers, those below the step.
    assert!(blobs(&asked) <= 1 + 1 + 3 + 3, "{asked:#?}");
}

#[test]
fn with_one_changed_file_only_what_depends_on_it_runs() {
    let (Some(shared), Some(one), Some(other)) = (
        Shared::start(),
        machine(Caller::Root),
        machine(Caller::Root),
    ) else {
        return;
    };
    let name = shared.name("user/app:cache");
    one.build(&["--cache-to", &format!("type=registry,ref={name},mode=max")]);
    other.project.file("src/a", "b");
    let second = other.build(&["--cache-from", &name]);
    let mut ran = second.ran();
    ran.sort();
    assert_eq!(
        ran,
        [
            "COPY --from=build /out /app/out",
            "COPY other /app/other",
            "COPY src /src",
            "RUN --mount=from=build,source=/src,target=/s cp /s/a /app/copy",
            "RUN echo unused > /unused",
            "RUN mkdir /out && cat /src/a > /out/a && date +%N > /out/when",
        ]
    );
    assert_eq!(other.lab.tree(&other.project, &[]).text("app/copy"), "b");
}

#[test]
fn why_a_step_ran_is_told_by_what_other_machines_did() {
    let (Some(shared), Some(one), Some(other), Some(third)) = (
        Shared::start(),
        machine(Caller::Root),
        machine(Caller::Root),
        machine(Caller::Root),
    ) else {
        return;
    };
    let name = shared.name("user/app:cache");
    one.build(&["--cache-to", &format!("type=registry,ref={name},mode=max")]);
    let edited = STAGES.replace("echo unused >", "echo edited >");
    third.project.dockerfile(&edited);
    third
        .build(&["--cache-from", &name])
        .says("not cached: command: echo unused > /unused → echo edited > /unused");
    other.project.file("src/a", "changed").file("src/b", "new");
    let built = other.build(&["--cache-from", &name]);
    for words in [
        "not cached: src/a changed (and 1 more)",
        "not cached: step above: /src/a changed (and 1 more)",
        "not cached: what is mounted at /s changed",
    ] {
        assert!(built.stderr.contains(words), "{words}: {built}");
    }
    // Afterwards, without the cache.
    let context = other.project.dir.to_string_lossy().into_owned();
    let why = other
        .lab
        .rbuild(&["cache", "why", "COPY src", "--context", &context])
        .success();
    assert!(why.stdout.contains("because src/a changed"), "{why}");
}

#[test]
fn a_directory_serves_as_well() {
    let (Some(one), Some(other)) = (machine(Caller::Root), machine(Caller::Root)) else {
        return;
    };
    let directory = one.lab.path("cache");
    let to = format!("type=local,dest={},mode=max", directory.display());
    let from = format!("type=local,src={}", directory.display());
    let first = one.build(&["--cache-to", &to]);
    assert!(directory.join("latest/latest.json").exists());
    let second = other.build(&["--cache-from", &from]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(second.image(), first.image());
    // Without the list, entries are found by their keys.
    std::fs::remove_dir_all(directory.join("latest")).expect("it was there");
    let Some(third) = machine(Caller::Root) else {
        return;
    };
    let outcome = third.build(&["--cache-from", &from]);
    assert_eq!(outcome.ran(), [""; 0], "{outcome}");
}

#[test]
fn without_the_layers_of_inner_stages_the_output_is_still_found() {
    let (Some(shared), Some(one), Some(other)) = (
        Shared::start(),
        machine(Caller::Root),
        machine(Caller::Root),
    ) else {
        return;
    };
    let name = shared.name("user/app:cache");
    let first = one.build(&["--cache-to", &format!("type=registry,ref={name}")]);
    let second = other.build(&["--cache-from", &name]);
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(second.image(), first.image());
    // A step that reads the inner stage makes that run, and the build goes on as if nothing had been.
    other
        .project
        .dockerfile(&format!("{STAGES}COPY --from=build /src/a /late\n"));
    let third = other.build(&["--cache-from", &name]);
    assert!(third.ran().contains(&"COPY src /src".to_owned()), "{third}");
    assert_eq!(other.lab.tree(&other.project, &[]).text("late"), "a");
}

#[test]
fn several_caches_are_read_and_written_at_once() {
    let (Some(shared), Some(one), Some(other)) = (
        Shared::start(),
        machine(Caller::Root),
        machine(Caller::Root),
    ) else {
        return;
    };
    let (a, b) = (shared.name("user/a:cache"), shared.name("user/b:cache"));
    let directory = one.lab.path("cache");
    one.build(&["--cache-to", &format!("type=registry,ref={a},mode=max")]);
    // From one place to two others; its layers are fetched for that as far as they are not here.
    let to_b = format!("type=registry,ref={b},mode=max");
    let to_directory = format!("type=local,dest={},mode=max", directory.display());
    let moved = other.build(&[
        "--cache-from",
        &shared.name("user/none:cache"),
        "--cache-from",
        &a,
        "--cache-to",
        &to_b,
        "--cache-to",
        &to_directory,
        "-o",
        "type=cacheonly",
    ]);
    assert_eq!(moved.ran(), [""; 0], "{moved}");
    let from_directory = format!("type=local,src={}", directory.display());
    for from in [b, from_directory] {
        let Some(third) = machine(Caller::Root) else {
            return;
        };
        let outcome = third.build(&["--cache-from", &from]);
        assert_eq!(outcome.ran(), [""; 0], "{from}: {outcome}");
    }
}

#[test]
fn what_the_cache_has_is_not_sent_again() {
    let (Some(shared), Some(one), Some(other)) = (
        Shared::start(),
        machine(Caller::Root),
        machine(Caller::Root),
    ) else {
        return;
    };
    let name = shared.name("user/app:cache");
    let to = format!("type=registry,ref={name},mode=max");
    one.build(&["--cache-to", &to]);
    let writes = |requests: &[String]| {
        let requests = requests.iter();
        requests
            .filter(|one| !one.starts_with("GET "))
            .cloned()
            .collect::<Vec<_>>()
    };
    let (_, asked) = shared.asked_by(|| one.build(&["--cache-to", &to]));
    assert_eq!(writes(&asked), [""; 0]);
    let both = ["--cache-from", &name, "--cache-to", &to];
    let (_, asked) = shared.asked_by(|| other.build(&both));
    assert_eq!(writes(&asked), [""; 0]);
}

#[test]
fn other_tools_read_what_is_in_the_registry() {
    let (Some(shared), Some(one)) = (Shared::start(), machine(Caller::Root)) else {
        return;
    };
    let name = shared.name("user/app:cache");
    one.build(&["--cache-to", &format!("type=registry,ref={name},mode=max")]);
    let raw = shared
        .registry
        .inspect_raw("user/app:cache")
        .expect("skopeo reads it");
    let bundle: serde_json::Value = serde_json::from_slice(&raw).expect("a manifest");
    assert_eq!(
        bundle["artifactType"],
        "application/vnd.rbuild.cache.bundle.v1"
    );
    let host = shared.registry.host();
    let listed = shared
        .registry
        .skopeo(&[
            "list-tags",
            "--tls-verify=false",
            &format!("docker://{host}/user/app"),
        ])
        .expect("a list of tags");
    let listed: serde_json::Value = serde_json::from_slice(&listed).expect("JSON");
    let tags: Vec<&str> = listed["Tags"]
        .as_array()
        .expect("tags")
        .iter()
        .filter_map(|tag| tag.as_str())
        .collect();
    let count = |kind: &str| tags.iter().filter(|tag| tag.starts_with(kind)).count();
    assert_eq!((count("cache.k."), count("cache.f.")), (7, 3), "{tags:?}");
    let entry = tags
        .iter()
        .find(|tag| tag.starts_with("cache.k."))
        .expect("an entry");
    let raw = shared
        .registry
        .inspect_raw(&format!("user/app:{entry}"))
        .expect("skopeo reads it");
    let entry: serde_json::Value = serde_json::from_slice(&raw).expect("a manifest");
    assert_eq!(
        entry["artifactType"],
        "application/vnd.rbuild.cache.entry.v1"
    );
    assert_eq!(entry["layers"].as_array().map(Vec::len), Some(1));
}

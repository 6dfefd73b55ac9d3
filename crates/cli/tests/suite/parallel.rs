//! Steps at the same time, in one build and in many.

use std::collections::HashMap;
use std::time::Duration;

use rstest::rstest;

use crate::support::{Caller, Lab, Running, State};

#[rstest]
fn twenty_builds_at_once_share_their_steps(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    // What all have in common, and a step of each one's own.
    let projects: Vec<_> = (0..20)
        .map(|number| {
            let project = lab.project(&format!(
                "FROM busybox\nCOPY shared /shared\nRUN sleep 0.3; date +%s%N > /once; echo ran once\nRUN cat /shared /once > /both\nRUN echo {number} > /own\n"
            ));
            project.file("shared", "shared");
            project
        })
        .collect();
    let running: Vec<Running> = projects
        .iter()
        .enumerate()
        .map(|(number, project)| lab.start_build(project, &["-t", &format!("app{number}")]))
        .collect();
    let outcomes: Vec<_> = running
        .into_iter()
        .map(|running| running.wait().success())
        .collect();
    for shared in ["COPY shared", "RUN sleep 0.3", "RUN cat /shared"] {
        let ran = outcomes
            .iter()
            .filter(|outcome| outcome.state(shared) == State::Done)
            .count();
        assert_eq!(ran, 1, "{shared}");
    }
    for (number, project) in projects.iter().enumerate() {
        assert_eq!(lab.build(project, &[]).ran(), [""; 0]);
        let own = lab.project(&format!("FROM app{number}\nRUN cat /own\n"));
        if number % 7 == 0 {
            assert_eq!(
                lab.build(&own, &[]).step("RUN cat").output,
                [number.to_string()]
            );
        }
    }
}

#[test]
fn twenty_builds_of_one_project_give_one_image() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project("FROM busybox\nRUN sleep 0.2; head -c 100000 /dev/urandom > /random\nRUN sha256sum /random > /sum\n");
    let running: Vec<Running> = (0..20)
        .map(|_| lab.start_build(&project, &["-t", "app"]))
        .collect();
    let mut images: Vec<String> = running
        .into_iter()
        .map(|running| running.wait().success().image())
        .collect();
    images.dedup();
    assert_eq!(images.len(), 1, "{images:?}");
}

#[rstest]
fn independent_stages_run_at_the_same_time(
    #[values(Caller::Root, Caller::Ranges, Caller::SingleId)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let stages =
        (0..8).map(|stage| format!("FROM busybox AS s{stage}\nRUN sleep 2; echo {stage} > /x\n"));
    let copies = (0..8).map(|stage| format!("COPY --from=s{stage} /x /{stage}\n"));
    let dockerfile: String = stages
        .chain(["FROM scratch\n".to_owned()])
        .chain(copies)
        .collect();
    let project = lab.project(&dockerfile);
    let mut command = lab.command(&["build", "--progress=rawjson", "-j", "8", "--build-context"]);
    command
        .arg(lab.base(crate::support::BaseImage::Busybox))
        .arg(&project.dir);
    let outcome = Running::start(&mut command).wait().success();
    let mut times: HashMap<String, (String, String)> = HashMap::new();
    for line in outcome.stderr.lines() {
        let event: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
        for vertex in event["vertexes"].as_array().into_iter().flatten() {
            let name = vertex["name"].as_str().unwrap_or_default();
            if let (true, Some(begun), Some(done)) = (
                name.contains("RUN sleep"),
                vertex["started"].as_str(),
                vertex["completed"].as_str(),
            ) {
                times.insert(
                    vertex["digest"].to_string(),
                    (begun.to_owned(), done.to_owned()),
                );
            }
        }
    }
    assert_eq!(times.len(), 8, "{outcome}");
    let last_start = times.values().map(|(begun, _)| begun).max().expect("eight");
    let first_end = times.values().map(|(_, done)| done).min().expect("eight");
    assert!(last_start < first_end, "not all ran at once: {times:#?}");
    assert!(outcome.took < Duration::from_secs(12), "{outcome}");
}

#[test]
fn one_job_runs_one_step_at_a_time() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let project = lab.project(
        "FROM busybox AS a\nRUN --mount=type=cache,target=/c mkdir /c/lock && sleep 0.5 && rmdir /c/lock\n\
         FROM busybox AS b\nRUN --mount=type=cache,target=/c mkdir /c/lock && sleep 0.5 && rmdir /c/lock && true\n\
         FROM scratch\nCOPY --from=a /etc /a\nCOPY --from=b /etc /b\n",
    );
    lab.build(&project, &["-j", "1"]);
}

#[rstest]
fn a_locked_cache_has_one_user_at_a_time(#[values("one build", "two builds")] where_: &str) {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    let run = |stage: &str| {
        format!(
            "FROM busybox AS {stage}\nRUN --mount=type=cache,target=/c,sharing=locked mkdir /c/lock && sleep 0.3 && rmdir /c/lock && echo {stage} > /{stage}\n"
        )
    };
    if where_ == "one build" {
        let project = lab.project(&format!(
            "{}{}FROM scratch\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
            run("a"),
            run("b")
        ));
        lab.build(&project, &[]);
        return;
    }
    let project = lab.project(&format!("{}{}", run("a"), run("b")));
    let one = lab.start_build(&project, &["--target", "a"]);
    let two = lab.start_build(&project, &["--target", "b"]);
    one.wait().success();
    two.wait().success();
}

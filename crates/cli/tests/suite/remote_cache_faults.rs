//! Caches that do not answer, lie, lose things, or are written by many at once.

use std::time::Duration;

use nix::sys::signal::Signal;
use rbuild_testkit::{Fault, Registry, RegistrySetup, Rule};

use crate::support::{Caller, Machine, Project, Shared};

const STEPS: &str = "FROM busybox
COPY a /a
RUN cat /a > /b && date +%N > /when
COPY c /c
";

fn sources(project: &Project) {
    project.file("a", "a").file("c", "c");
}

fn machine() -> Option<Machine> {
    Machine::new(Caller::Root, STEPS, sources)
}

/// An address at which nobody listens.
fn nobody() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    format!(
        "{}/user/app:cache",
        listener.local_addr().expect("an address")
    )
}

#[test]
fn a_cache_that_does_not_answer_costs_a_warning_and_nothing_else() {
    let Some(one) = machine() else { return };
    let name = nobody();
    let built = one.build(&["--cache-from", &name]);
    assert_eq!(
        built
            .stderr
            .matches(&format!("--cache-from {name}"))
            .count(),
        1,
        "{built}"
    );
    assert_eq!(built.ran().len(), 3, "{built}");
}

#[test]
fn a_cache_that_was_never_written_is_no_reason_for_a_warning() {
    let (Some(shared), Some(one)) = (Shared::start(), machine()) else {
        return;
    };
    let built = one.build(&["--cache-from", &shared.name("user/none:cache")]);
    assert!(!built.stderr.contains("WARN"), "{built}");
}

#[test]
fn a_failure_to_write_fails_the_build_after_its_outputs_unless_it_is_to_be_ignored() {
    let Some(one) = machine() else { return };
    let to = format!("type=registry,ref={}", nobody());
    let failed = one
        .lab
        .try_build(&one.project, &["-t", "x", "--cache-to", &to])
        .failure();
    assert!(failed.last_words().contains("--cache-to"), "{failed}");
    // The image was written before.
    one.lab.rbuild(&["inspect", "x"]).success();
    let ignored = one.build(&["--cache-to", &format!("{to},ignore-error=true")]);
    assert!(ignored.stderr.contains("--cache-to"), "{ignored}");
}

#[test]
fn a_cache_that_wants_credentials_says_what_to_do() {
    let setup = RegistrySetup {
        password: true,
        ..RegistrySetup::default()
    };
    let (Some(registry), Some(one)) = (Registry::start_with(&setup), machine()) else {
        return;
    };
    let to = format!("type=registry,ref={}/user/app:cache", registry.host());
    let failed = one
        .lab
        .try_build(&one.project, &["--cache-to", &to])
        .failure();
    assert!(failed.last_words().contains("rbuild login"), "{failed}");
}

#[test]
fn layers_that_are_gone_or_damaged_are_made_here() {
    let faults = || {
        [
            Fault::Reply {
                status: 404,
                headers: Vec::new(),
                body: b"{}".to_vec(),
            },
            Fault::Corrupt(30),
        ]
    };
    for (number, fault) in faults().into_iter().enumerate() {
        let (Some(shared), Some(one), Some(other)) = (Shared::start(), machine(), machine()) else {
            return;
        };
        let name = shared.name("user/app:cache");
        one.build(&["--cache-to", &format!("type=registry,ref={name},mode=max")]);
        // The list and its manifest come through; what is fetched later does not.
        shared
            .proxy
            .inject(Rule::always("GET", "/blobs/sha256:", fault).after(1));
        let built = other.build(&["--cache-from", &name]);
        assert_eq!(built.ran().len(), 3, "fault {number}: {built}");
        let tree = other.lab.tree(&other.project, &[]);
        assert_eq!(tree.text("b"), "a");
    }
}

#[test]
fn an_entry_that_lies_about_its_layer_is_not_believed() {
    let (Some(one), Some(other)) = (machine(), machine()) else {
        return;
    };
    let directory = one.lab.path("cache");
    one.build(&[
        "--cache-to",
        &format!("type=local,dest={},mode=max", directory.display()),
    ]);
    // Two entries exchange their blobs and diffIDs: all digests are right, the contents are not.
    let list = directory.join("latest/latest.json");
    let mut bundle: serde_json::Value =
        serde_json::from_slice(&std::fs::read(&list).expect("a list")).expect("JSON");
    let entries = bundle["entries"].as_array_mut().expect("entries");
    let other_layer = entries[2]["layers"][0].clone();
    for field in ["diffId", "size", "blob"] {
        entries[0]["layers"][0][field] = other_layer[field].clone();
    }
    std::fs::write(&list, bundle.to_string()).expect("written");
    let built = other.build(&[
        "--cache-from",
        &format!("type=local,src={}", directory.display()),
    ]);
    assert!(built.stderr.contains("is of no use"), "{built}");
    let tree = other.lab.tree(&other.project, &[]);
    assert_eq!(
        (tree.text("a").as_str(), tree.text("c").as_str()),
        ("a", "c")
    );
}

#[test]
fn of_many_writers_none_loses_what_another_wrote() {
    const WRITERS: usize = 20;
    let (Some(shared), Some(base)) = (Shared::start(), machine()) else {
        return;
    };
    let name = shared.name("user/app:cache");
    let to = format!("type=registry,ref={name},mode=max");
    // One store serves all of them: it is the cache that they write at once.
    let projects: Vec<Project> = (0..WRITERS)
        .map(|number| {
            let project = base
                .lab
                .project(&format!("{STEPS}RUN echo {number} > /number\n"));
            sources(&project);
            project
        })
        .collect();
    let running: Vec<_> = projects
        .iter()
        .map(|project| {
            base.lab
                .start_build(project, &["--cache-to", &to, "-o", "type=cacheonly"])
        })
        .collect();
    for one in running {
        one.wait().success();
    }
    let Some(reader) = machine() else { return };
    for number in 0..WRITERS {
        reader
            .project
            .dockerfile(&format!("{STEPS}RUN echo {number} > /number\n"));
        let built = reader.build(&["--cache-from", &name, "-o", "type=cacheonly"]);
        assert_eq!(built.ran(), [""; 0], "{number}: {built}");
    }
}

#[test]
fn who_interrupts_does_not_wait_for_a_transfer_that_does_not_end() {
    let (Some(shared), Some(one)) = (Shared::start(), machine()) else {
        return;
    };
    // All steps are done before: what is left to wait for is the transfer.
    one.lab.build(&one.project, &[]);
    let stalls = Fault::Delay(Duration::from_secs(600));
    shared.proxy.inject(Rule::always("POST", "/blobs/", stalls));
    let to = format!("type=registry,ref={}", shared.name("user/app:cache"));
    let mut building = one.lab.start_build(&one.project, &["--cache-to", &to]);
    while shared.proxy.count("POST", "/blobs/") == 0 {
        std::thread::sleep(Duration::from_millis(5));
    }
    // Transfers begin while steps run, and those end at once.
    building.until_stderr_has("exporting cache to");
    building.signal(Signal::SIGINT);
    let interrupted = building.wait();
    assert_eq!(interrupted.status.code(), Some(130), "{interrupted}");
    assert!(
        interrupted.last_words().contains("was given up"),
        "{interrupted}"
    );
}

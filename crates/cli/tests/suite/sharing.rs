//! Two processes that need the same step: who makes it, who waits, and who does not.
//!
//! What steps say is written apart in their commands, which are shown too.

use nix::sys::signal::Signal;

use crate::support::{Caller, Lab, Project, Running, State};

#[test]
fn a_build_takes_over_the_step_of_one_that_is_killed() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    // Whoever comes first to the cache never ends.
    let project = lab.project(
        "FROM busybox\nCOPY file /file\n\
         RUN --mount=type=cache,target=/c if mkdir /c/first; then echo be'gun'; sleep 100000; fi; echo done > /done\n\
         RUN cat /done > /after\n",
    );
    project.file("file", "file");
    let mut first = lab.start_build(&project, &[]);
    first.until_stderr_has("begun");
    let mut second = lab.start_build(&project, &[]);
    second.until_stderr_has("COPY file /file\n#5 CACHED");
    first.signal(Signal::SIGKILL);
    first.wait();
    let outcome = second.wait().success();
    assert_eq!(outcome.state("COPY file"), State::Cached);
    assert_eq!(outcome.ran().len(), 2, "{outcome}");
    assert_eq!(lab.build(&project, &[]).ran(), [""; 0]);
}

#[test]
fn builds_without_cache_do_not_wait_for_each_other() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    // Neither ends before the other has begun.
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=cache,target=/c mkdir /c/one || mkdir /c/two; until [ -d /c/two ]; do sleep 0.02; done; echo x > /x\n",
    );
    let running = [(), ()].map(|()| lab.start_build(&project, &["--no-cache"]));
    for one in running {
        assert_eq!(one.wait().success().ran().len(), 1);
    }
    assert_eq!(lab.build(&project, &[]).ran(), [""; 0]);
}

#[test]
fn a_build_shares_the_step_of_one_without_cache() {
    let Some(lab) = Lab::new(Caller::Root) else {
        return;
    };
    // It ends when it is told to.
    let project = lab.project(
        "FROM busybox\nRUN --mount=type=cache,target=/c echo be'gun'; until [ -e /c/go ]; do sleep 0.02; done; date +%N > /when\n",
    );
    let go = lab.project("FROM busybox\nRUN --mount=type=cache,target=/c touch /c/go\n");
    let mut first = lab.start_build(&project, &["--no-cache", "-t", "app"]);
    first.until_stderr_has("begun");
    let second = lab.start_build(&project, &["-t", "app"]);
    lab.build(&go, &[]);
    let (first, second) = (first.wait().success(), second.wait().success());
    assert_eq!(second.ran(), [""; 0], "{second}");
    assert_eq!(first.image(), second.image());
}

/// Two builds that want one step: it says that it began, and ends when a third build lets it.
struct Pair {
    lab: Lab,
    project: Project,
    go: Project,
    maker: Running,
    waiter: Running,
}

impl Pair {
    fn start() -> Option<Self> {
        let lab = Lab::new(Caller::Root)?;
        let project = lab.project(
            "FROM busybox\nCOPY file /file\n\
             RUN --mount=type=cache,target=/c echo be'gun'; until [ -e /c/go ]; do sleep 0.02; done; echo done > /done\n",
        );
        project.file("file", "file");
        let go = lab.project("FROM busybox\nRUN --mount=type=cache,target=/c touch /c/go\n");
        let mut maker = lab.start_build(&project, &["-t", "one"]);
        maker.until_stderr_has("begun");
        let mut waiter = lab.start_build(&project, &["-t", "other"]);
        waiter.until_stderr_has("COPY file /file\n#5 CACHED");
        Some(Self {
            lab,
            project,
            go,
            maker,
            waiter,
        })
    }
}

#[test]
fn who_waits_for_a_step_takes_it_over_from_a_build_that_is_interrupted() {
    let Some(mut pair) = Pair::start() else {
        return;
    };
    pair.maker.signal(Signal::SIGINT);
    assert_eq!(pair.maker.wait().status.code(), Some(130));
    pair.waiter.until_stderr_has("begun");
    pair.lab.build(&pair.go, &[]);
    let outcome = pair.waiter.wait().success();
    assert_eq!(outcome.ran().len(), 1, "{outcome}");
    assert_eq!(pair.lab.build(&pair.project, &[]).ran(), [""; 0]);
}

#[test]
fn who_waits_for_a_step_can_be_interrupted_and_leaves_it_to_the_other() {
    let Some(pair) = Pair::start() else { return };
    pair.waiter.signal(Signal::SIGINT);
    let interrupted = pair.waiter.wait();
    assert_eq!(interrupted.status.code(), Some(130), "{interrupted}");
    assert_eq!(interrupted.state("COPY file"), State::Cached);
    pair.lab.build(&pair.go, &[]);
    assert_eq!(pair.maker.wait().success().ran().len(), 2);
    assert_eq!(pair.lab.build(&pair.project, &[]).ran(), [""; 0]);
}

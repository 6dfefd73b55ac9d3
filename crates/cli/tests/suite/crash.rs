//! Killed at any instant, the next build is as good as the first.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Project, processes_with};

/// How often a build is killed.
const KILLS: u32 = 50;

fn project(lab: &Lab, mark: &str) -> Project {
    let project = lab.project(&format!(
        "FROM busybox AS a\nCOPY data /data\nRUN tar -c /data | sha256sum > /sum && (sleep {mark} &) && sleep 0.05\n\
         FROM busybox AS b\nRUN seq 1 2000 > /numbers\nRUN --mount=type=cache,target=/c seq 1 100 >> /c/x; split -l 10 /numbers /part-\nFROM b AS c\nRUN rm /part-aa && mkdir /part-aa\n\
         FROM busybox\nCOPY --from=a /sum /sum\nCOPY --from=c / /c/\nRUN ls -R /c | sha256sum > /list\n"
    ));
    for number in 0..60 {
        project.file(&format!("data/{number}"), format!("{number}").repeat(500));
    }
    project
}

/// Numbers that look random and are the same each time.
struct Seeded(u64);

impl Seeded {
    /// Between 0 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[rstest]
fn killed_at_any_instant_the_next_build_succeeds(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = Lab::new(caller) else { return };
    let Some(reference) = Lab::new(caller) else {
        return;
    };
    let mark = lab.mark();
    let clean = {
        let mut command = reference.build_command(&[]);
        command
            .env("SOURCE_DATE_EPOCH", "1")
            .arg(project(&reference, &mark).dir);
        crate::support::Running::start(&mut command)
            .wait()
            .success()
    };
    let project = project(&lab, &mark);
    let build = || {
        let mut command = lab.build_command(&["-t", "app"]);
        command.env("SOURCE_DATE_EPOCH", "1").arg(&project.dir);
        crate::support::Running::start(&mut command)
    };
    let mut random = Seeded(u64::from(caller == Caller::Root) + 41);
    let mut interrupted = 0;
    for round in 0..KILLS {
        if round % 5 == 0 {
            // From the beginning again: nothing is known, but what the last ones left is still there.
            let mut prune = lab.command(&["prune", "--all", "--force"]);
            drop(crate::support::Running::start(&mut prune).wait());
        }
        let mut running = build();
        let end = Instant::now() + clean.took.mul_f64(random.next() * 1.1);
        while Instant::now() < end && !running.is_over() {
            std::thread::sleep(Duration::from_micros(200));
        }
        interrupted += u32::from(!running.is_over());
        running.signal(Signal::SIGKILL);
        running.wait();
        if round % 10 == 9 {
            let outcome = build().wait().success();
            assert_eq!(
                outcome.image(),
                clean.image(),
                "after kill {round}: {outcome}"
            );
            lab.assert_nothing_left();
            assert_eq!(processes_with(&mark), [""; 0], "after kill {round}");
        }
    }
    assert!(
        interrupted > KILLS / 4,
        "only {interrupted} builds were killed in time"
    );
    let tmp = std::fs::read_dir(lab.path("root/tmp")).map_or(0, Iterator::count);
    assert!(tmp < 20, "{tmp} leftovers in tmp");
}

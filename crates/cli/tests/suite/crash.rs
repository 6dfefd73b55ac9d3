//! Killed at any instant, the next build is as good as the first. `RBUILD_CRASH_KILLS=300` kills that often.

use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use rstest::rstest;

use crate::support::{Caller, Lab, Project, mark, processes_with};

/// How often a build is killed where nobody asks for more.
const KILLS: u32 = 16;

/// Builds that may be started for each one that is killed before it ends: what an earlier one did is not done again.
const BUILDS_FOR_A_KILL: u32 = 6;

/// How often a build of `caller` is killed.
fn kills(caller: Caller) -> u32 {
    let wanted = std::env::var("RBUILD_CRASH_KILLS").ok();
    let kills = wanted.map_or(KILLS, |text| text.parse().expect("a number"));
    if caller == Caller::Root {
        kills
    } else {
        kills / 2
    }
}

fn project(lab: &Lab, mark: &str) -> Project {
    let project = lab.project(&format!(
        "FROM busybox AS a\nCOPY data /data\nRUN cat /data/* | sha256sum > /sum && (sleep {mark} &) && sleep 0.05\n\
         FROM busybox AS b\nRUN seq 1 2000 > /numbers\nRUN --mount=type=cache,target=/c seq 1 100 >> /c/x; for i in $(seq 1 200); do echo $i > /part-$i; done\nFROM b AS c\nRUN rm /part-1 && mkdir /part-1 && rm /part-2\n\
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
    let mark = mark();
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
    // What users steps have makes no difference to what they leave.
    let build = |round: u32| {
        let users = match caller {
            Caller::Root if round % 2 == 1 => "auto",
            _ => "host",
        };
        let mut command = lab.build_command(&["-t", "app", "--userns", users]);
        command.env("SOURCE_DATE_EPOCH", "1").arg(&project.dir);
        crate::support::Running::start(&mut command)
    };
    let mut random = Seeded(u64::from(caller == Caller::Root) + 41);
    let mut interrupted = 0;
    let mut begin_anew = false;
    let mut round = 0;
    // Machines are not equally fast all the time: the shortest of whole builds counts.
    let mut took = clean.took;
    let kills = kills(caller);
    while interrupted < kills {
        assert!(
            round < kills * BUILDS_FOR_A_KILL,
            "only {interrupted} of {round} builds were killed in time"
        );
        if begin_anew {
            lab.rbuild(&["prune", "--all", "--force"]).success();
        }
        let mut running = build(round);
        let end = Instant::now() + took.mul_f64(random.next());
        while Instant::now() < end && !running.is_over() {
            std::thread::sleep(Duration::from_micros(200));
        }
        let was_whole = begin_anew || round == 0;
        begin_anew = running.is_over();
        interrupted += u32::from(!begin_anew);
        running.signal(Signal::SIGKILL);
        let ended = running.wait();
        if was_whole && begin_anew {
            took = took.min(ended.took);
        }
        round += 1;
        if round % 3 == 0 {
            let outcome = build(round).wait().success();
            assert_eq!(
                outcome.image(),
                clean.image(),
                "after kill {round}: {outcome}"
            );
            lab.assert_nothing_left();
            lab.rbuild(&["fsck"]).success();
            assert_eq!(processes_with(&mark), [""; 0], "after kill {round}");
            begin_anew = true;
        }
    }
    // What the dead left is swept after the next build.
    lab.rbuild(&["prune", "--all", "--force"]).success();
    build(round).wait().success();
    lab.assert_nothing_left();
    let left: Vec<_> = std::fs::read_dir(lab.path("root/tmp"))
        .expect("a folder")
        .flatten()
        .map(|entry| entry.file_name())
        .collect();
    assert!(left.len() < 5, "{left:?}");
}

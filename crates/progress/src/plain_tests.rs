use std::time::{Duration, UNIX_EPOCH};

use insta::assert_snapshot;

use super::Plain;
use crate::folds::Folds;
use crate::script::{Script, Sink};
use crate::{EventKind, LogViewer, Outcome};

fn plain(tell: impl FnOnce(&mut Script)) -> String {
    shown_by(LogViewer::Plain, tell)
}

fn shown_by(viewer: LogViewer, tell: impl FnOnce(&mut Script)) -> String {
    let sink = Sink::default();
    let started_at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    let folds = Folds::new(viewer, started_at);
    let mut script = Script::drawn_by(Plain::new(sink.clone(), folds));
    tell(&mut script);
    sink.text()
}

#[test]
fn a_build_reads_as_people_know_it() {
    let text = plain(|b| {
        b.plan(10, "[internal] load build definition from Dockerfile")
            .plan(20, "[base 1/1] FROM docker.io/library/debian:bookworm")
            .plan(30, "[build 2/3] RUN make")
            .plan(40, "[build 3/3] COPY . .")
            .plan(50, "exporting to image");
        b.start(0, 10)
            .status(1, 10, "transferring dockerfile: 67B", 0, 0)
            .completed(30, 10);
        b.start(40, 20)
            .status(40, 20, "sha256:3f4ca61", 0, 29_120_000)
            .status(540, 20, "sha256:3f4ca61", 1_000_000, 29_120_000)
            .status(1_240, 20, "sha256:3f4ca61", 3_150_000, 29_120_000)
            .status(1_940, 20, "sha256:3f4ca61", 29_120_000, 29_120_000)
            .completed(2_000, 20);
        b.start(2_000, 30)
            .output(2_123, 30, "cc -o hel")
            .output(2_200, 30, "lo hello.c\n\tdone\r\n")
            .completed(3_000, 30)
            .done(3_000, 40, Outcome::Cached)
            .start(3_100, 50)
            .failed(3_200, 50, "no space left");
        b.end(3_300);
    });
    assert_snapshot!(text, @r"
    #1 [internal] load build definition from Dockerfile
    #1 transferring dockerfile: 67B done
    #1 DONE 0.0s

    #2 [base 1/1] FROM docker.io/library/debian:bookworm
    #2 sha256:3f4ca61 0B / 29.12MB
    #2 sha256:3f4ca61 3.15MB / 29.12MB 1.2s
    #2 sha256:3f4ca61 29.12MB / 29.12MB 1.9s done
    #2 DONE 2.0s

    #3 [build 2/3] RUN make
    #3 0.123 cc -o hello hello.c
    #3 0.200 	done
    #3 DONE 1.0s

    #4 [build 3/3] COPY . .
    #4 CACHED

    #5 exporting to image
    #5 ERROR: no space left
    ");
}

#[test]
fn steps_that_run_at_once_do_not_mix_their_lines() {
    let text = plain(|b| {
        b.plan(1, "[a 1/1] RUN a")
            .plan(2, "[b 1/1] RUN b")
            .plan(3, "[c 1/1] RUN c");
        b.start(0, 1).start(0, 2).start(0, 3);
        b.output(10, 1, "a1\n")
            .output(10, 2, "b1\n")
            .output(20, 1, "a2\n")
            .output(30, 2, "b2\n");
        b.completed(40, 1)
            .output(50, 2, "b3\n")
            .completed(60, 2)
            .done(60, 3, Outcome::Cancelled);
        b.end(100);
    });
    assert_snapshot!(text, @r"
    #1 [a 1/1] RUN a
    #1 0.010 a1
    #1 0.020 a2
    #1 DONE 0.0s

    #2 [b 1/1] RUN b
    #2 0.010 b1
    #2 0.030 b2
    #2 0.050 b3
    #2 DONE 0.1s

    #3 [c 1/1] RUN c
    #3 CANCELED
    ");
}

#[test]
fn a_silent_step_does_not_keep_others_from_being_heard() {
    let text = plain(|b| {
        b.plan(1, "[a 1/1] RUN sleep 9").plan(2, "[b 1/1] RUN b");
        b.start(0, 1)
            .start(0, 2)
            .output(10, 2, "b1\n")
            .tick(500)
            .tick(1_100);
        b.completed(9_000, 1).completed(9_500, 2).end(9_500);
    });
    assert_snapshot!(text, @r"
    #1 [a 1/1] RUN sleep 9
    #1 ...

    #2 [b 1/1] RUN b
    #2 0.010 b1
    #2 DONE 9.5s

    #1 [a 1/1] RUN sleep 9
    #1 DONE 9.0s
    ");
}

#[test]
fn a_talkative_step_gives_way_after_a_while() {
    let text = plain(|b| {
        b.plan(1, "[a 1/1] RUN a").plan(2, "[b 1/1] RUN b");
        b.start(0, 1).start(0, 2).output(0, 2, "b1\n");
        for second in 0..7 {
            b.output(second * 900, 1, "a\n").tick(second * 900);
        }
        b.completed(6_000, 1).completed(6_000, 2).end(6_000);
    });
    let (first, _) = text.split_once("#2 0.000 b1").expect("b is heard");
    assert_eq!(first.matches("#1 ").count() - 2, 7, "{text}");
}

#[test]
fn half_a_line_is_shown_when_its_end_does_not_come_and_continued_when_it_does() {
    let text = plain(|b| {
        b.plan(1, "[1/1] RUN ask");
        b.start(0, 1).output(100, 1, "sure? ").tick(200).tick(1_200);
        b.output(3_000, 1, "yes\nlast")
            .completed(4_000, 1)
            .end(4_000);
    });
    assert_snapshot!(text, @r"
    #1 [1/1] RUN ask
    #1 0.100 sure? yes
    #1 3.000 last
    #1 DONE 4.0s
    ");
}

#[test]
fn progress_bars_do_not_flood_the_log() {
    let bar = (0..=1000).fold(String::new(), |bar, n| bar + &format!("\r{n}/1000"));
    let text = plain(|b| {
        b.plan(1, "[1/1] RUN curl");
        b.start(0, 1)
            .output(10, 1, &bar)
            .output(20, 1, "\n")
            .completed(30, 1)
            .end(30);
    });
    assert_snapshot!(text, @r"
    #1 [1/1] RUN curl
    #1 0.010 0/1000
    #1 0.010 1000/1000
    #1 DONE 0.0s
    ");
}

#[test]
fn warnings_stand_at_the_end() {
    let text = plain(|b| {
        let message = "FromAsCasing: 'as' and 'FROM' differ in case (line 1)".to_owned();
        let about = None;
        b.event(0, EventKind::Warning { message, about });
        b.plan(1, "[1/1] FROM scratch")
            .start(0, 1)
            .completed(0, 1)
            .end(0);
    });
    assert_snapshot!(text, @r"
    #1 [1/1] FROM scratch
    #1 DONE 0.0s

     1 warning found (use --debug to expand):
     - FromAsCasing: 'as' and 'FROM' differ in case (line 1)
    ");
}

#[test]
fn a_flood_of_output_is_all_there_and_in_order() {
    let mut expected = String::new();
    let text = plain(|b| {
        b.plan(1, "[1/1] RUN yes").start(0, 1);
        for n in 0..20_000 {
            b.output(0, 1, &format!("line {n}\n"));
            expected.extend(["#1 0.000 line ", &n.to_string(), "\n"]);
        }
        b.completed(0, 1).end(0);
    });
    assert_eq!(
        text,
        format!("#1 [1/1] RUN yes\n{expected}#1 DONE 0.0s\n\n")
    );
}

#[test]
fn a_step_that_ran_before_says_why_it_runs_again() {
    let text = plain(|b| {
        b.plan(1, "[1/2] RUN make").plan(2, "[2/2] COPY . .");
        b.missed(0, 1, "CFLAGS: -O1\n → -O2")
            .start(10, 1)
            .completed(1_000, 1)
            .start(1_000, 2)
            .missed(1_100, 2, "src/main.rs changed (and 2 more)")
            .completed(1_200, 2);
        b.end(1_300);
    });
    assert_snapshot!(text, @r"
    #1 [1/2] RUN make
    #1 not cached: CFLAGS: -O1  → -O2
    #1 DONE 1.0s

    #2 [2/2] COPY . .
    #2 not cached: src/main.rs changed (and 2 more)
    #2 DONE 0.2s
    ");
}

fn two_steps(b: &mut Script) {
    b.plan(10, "[1/2] RUN echo 100%").plan(20, "[2/2] COPY . .");
    b.start(0, 10)
        .output(100, 10, "::warning::no command\n100%\n")
        .completed(1_500, 10)
        .done(1_500, 20, Outcome::Cached);
    b.end(1_600);
}

#[test]
fn github_folds_each_step_that_says_something() {
    assert_snapshot!(shown_by(LogViewer::GitHub, two_steps), @r"
    ::group::#1 [1/2] RUN echo 100%25
    #1 0.100 ::warning::no command
    #1 0.100 100%
    #1 DONE 1.5s
    ::endgroup::

    #2 [2/2] COPY . .
    #2 CACHED
    ");
}

#[test]
fn gitlab_folds_each_step_that_says_something() {
    let text = shown_by(LogViewer::GitLab, two_steps);
    assert_snapshot!(text.replace("\r\u{1b}[0K", "<CR>"), @r"
    section_start:1700000000:rbuild_1700000000_1[collapsed=true]<CR>#1 [1/2] RUN echo 100%
    #1 0.100 ::warning::no command
    #1 0.100 100%
    #1 DONE 1.5s
    section_end:1700000001:rbuild_1700000000_1<CR>

    #2 [2/2] COPY . .
    #2 CACHED
    ");
}

//! Hostile files: planning takes time and memory in proportion to them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use rbuild_plan::{PlanError, PlanOptions};
use rstest::rstest;

use crate::common::{Shelf, mistake, try_plan};

/// Far more than any of these takes, also in a slow debug build on a busy machine.
const ENOUGH: Duration = Duration::from_secs(20);

fn plans_in_time(text: &str) {
    let start = Instant::now();
    let _ = try_plan(text, &PlanOptions::default(), &Shelf::standard());
    assert!(start.elapsed() < ENOUGH, "{:?}", start.elapsed());
}

#[test]
fn long_names_that_differ_take_no_time() {
    let (a, b) = ("A".repeat(60_000), "B".repeat(60_000));
    plans_in_time(&format!("FROM scratch\nENV {a}=1\nCOPY ${b} /\n"));
    plans_in_time(&format!("ARG {a}=1\nFROM scratch${b}\n"));
}

#[test]
fn many_names_that_are_not_defined_take_no_time() {
    let mut text = String::from("FROM scratch\n");
    for number in 0..1_000 {
        let _ = writeln!(
            text,
            "ENV NAME_OF_A_VARIABLE_{number}=1\nCOPY $NAME_OF_SOME_VARIABLE_{number} /"
        );
    }
    plans_in_time(&text);
}

#[test]
fn many_stages_on_each_other_take_no_time() {
    let mut text = String::from("FROM scratch AS s0\n");
    for stage in 1..1_000 {
        let _ = writeln!(
            text,
            "FROM s{} AS s{stage}\nENV A=1\nCOPY --from=s{} a b",
            stage - 1,
            stage - 1
        );
    }
    plans_in_time(&text);
}

#[test]
fn values_do_not_grow_without_end() {
    let mut text = format!("FROM scratch\nENV A={}\n", "x".repeat(60_000));
    for number in 0..300 {
        let _ = writeln!(text, "ENV B{number}=$A$A$A$A$A$A$A$A$A$A");
    }
    assert_eq!(
        mistake(&text),
        "variables make the file grow by more than 64 MiB"
    );
}

/// Half a megabyte in `A`, in a file of a few hundred bytes.
fn doubled() -> String {
    "ENV A=0123456789abcdef\n".to_owned() + &"ENV A=$A$A\n".repeat(15)
}

#[rstest]
#[case("ENV B=$A\n")]
#[case("LABEL l=$A\n")]
#[case("RUN x\n")]
#[case("RUN echo $A\n")]
#[case("COPY <<E /x\n$A\nE\n")]
#[case("COPY --link x $A\n")]
#[case("RUN --mount=type=secret,id=$A --mount=type=secret,id=$A x\n")]
#[case("EXPOSE 1-65535\n")]
fn no_instruction_makes_a_large_plan_of_a_small_file(#[case] line: &str) {
    let text = format!("FROM debian\n{}{}", doubled(), line.repeat(200));
    let error = try_plan(&text, &PlanOptions::default(), &Shelf::standard());
    let Err(PlanError::Mistakes { diagnostics }) = error else {
        panic!("it is planned");
    };
    assert!(
        diagnostics
            .iter()
            .any(|found| found.message.contains("more than 64 MiB"))
    );
    assert!(diagnostics.len() < 4, "told once: {}", diagnostics.len());
}

#[test]
fn global_arguments_do_not_grow_without_end() {
    let text =
        "ARG A=0123456789abcdef\n".to_owned() + &"ARG A=$A$A\n".repeat(2_000) + "FROM debian\n";
    plans_in_time(&text);
    let text = "ARG A=0123456789abcdef\n".to_owned()
        + &"ARG A=$A$A\n".repeat(15)
        + &"ARG B=$A\n".repeat(2_000)
        + "FROM debian\n";
    plans_in_time(&text);
}

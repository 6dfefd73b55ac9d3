//! `--print-plan`: what it looks like is relied on by scripts.

use rbuild_plan::{to_dot, to_json};

use crate::common::planned;

const TEXT: &str = "FROM debian AS build\nRUN make\nFROM scratch\nCOPY --from=build /app /\n";

#[test]
fn a_plan_is_drawn_for_graphviz() {
    insta::assert_snapshot!(to_dot(&planned(TEXT).plan), @"");
}

#[test]
fn a_plan_is_printed_as_json() {
    let json = serde_json::to_string_pretty(&to_json(&planned(TEXT).plan)["vertices"])
        .expect("plain JSON");
    insta::assert_snapshot!(json, @"");
}

#[test]
fn equal_files_give_equal_plans() {
    assert_eq!(to_json(&planned(TEXT).plan), to_json(&planned(TEXT).plan));
}

//! What images are made of: `layers`, and `diff` of two.

use rstest::rstest;

use crate::support::{Caller, Lab};

const DOCKERFILE: &str = "\
FROM scratch
COPY a b /d/
COPY b /d/b
COPY new /d/new
FROM scratch AS other
COPY a /d/a
COPY changed /d/b
";

/// A lab with the images `app` and `other`.
fn built(caller: Caller) -> Option<Lab> {
    let lab = Lab::new(caller)?;
    let project = lab.project(DOCKERFILE);
    project
        .file("a", "1")
        .file("b", "22")
        .file("new", "333")
        .file("changed", "4444");
    lab.build(&project, &["-t", "other"]);
    let project =
        lab.project(&DOCKERFILE[..DOCKERFILE.find("FROM scratch AS").expect("two stages")]);
    project.file("a", "1").file("b", "22").file("new", "333");
    lab.build(&project, &["-t", "app"]);
    Some(lab)
}

#[rstest]
fn layers_tell_what_they_did_and_what_later_ones_hide(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some(lab) = built(caller) else { return };
    let told = lab.rbuild(&["layers", "app"]).success().stdout;
    let lines: Vec<&str> = told.lines().collect();
    let columns: Vec<&str> = lines[0]
        .split("  ")
        .map(str::trim)
        .filter(|one| !one.is_empty())
        .collect();
    assert_eq!(
        columns,
        [
            "LAYER",
            "SIZE",
            "ADDED",
            "CHANGED",
            "REMOVED",
            "HIDDEN",
            "CREATED BY"
        ]
    );
    assert!(
        lines[1].contains("3 (3B)") && lines[1].contains("1 (2B)"),
        "{told}"
    );
    assert!(lines[1].contains("COPY a b /d/"), "{told}");
    assert_eq!(
        *lines.last().expect("lines"),
        "3 layers, 8B: 2B (25%) of it hidden by later layers"
    );
    let paths = lab.rbuild(&["layers", "--paths", "app"]).success().stdout;
    assert!(paths.contains("  A /d/new (3B)\n"), "{paths}");
    let json = lab
        .rbuild(&["layers", "--paths", "--format", "json", "app"])
        .success()
        .stdout;
    let rows: Vec<serde_json::Value> = json
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON"))
        .collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["HiddenBytes"], 2);
    assert_eq!(rows[2]["Paths"][0]["Path"], "/d/new");
}

#[test]
fn two_images_are_compared_by_what_is_to_be_seen_in_them() {
    let Some(lab) = built(Caller::Root) else {
        return;
    };
    let told = lab.rbuild(&["diff", "app", "other"]).success().stdout;
    assert_eq!(told, "C /d/b\nD /d/new\n");
    assert_eq!(lab.rbuild(&["diff", "app", "app"]).success().stdout, "");
    // One name is a container's.
    lab.rbuild(&["diff", "app"])
        .failure()
        .says("No such container: app (it is an image: name two");
    let more = lab.rbuild(&["container", "diff", "app", "other"]);
    assert_eq!(more.status.code(), Some(2));
}

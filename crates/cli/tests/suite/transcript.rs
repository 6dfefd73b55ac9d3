//! What every introduction to images, containers and registries types, and what docker answers, column by column.

use rbuild_testkit::Registry;
use regex::Regex;
use rstest::rstest;

use crate::registries::lab_with_hub;
use crate::support::{Caller, Lab};

/// Blanks after the widest cell of a column, and the least that one takes, as docker's tables have them.
const GAP: usize = 3;
const MIN_COLUMN: usize = 10;

/// What a command line prints.
fn says(lab: &Lab, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    lab.rbuild(&words).success().stdout
}

/// What a command line that is refused says.
fn refuses(lab: &Lab, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    lab.rbuild(&words).failure().stderr
}

/// The cells of a table with these columns, each where docker's table has it.
#[track_caller]
fn rows(table: &str, columns: &[&str]) -> Vec<Vec<String>> {
    let lines: Vec<Vec<char>> = table.lines().map(|line| line.chars().collect()).collect();
    let header: String = lines[0].iter().collect();
    let starts: Vec<usize> = columns
        .iter()
        .map(|name| {
            header
                .find(name)
                .unwrap_or_else(|| panic!("no {name} in {table}"))
        })
        .collect();
    let cell = |line: &[char], column: usize| -> String {
        let end = starts.get(column + 1).copied().unwrap_or(line.len());
        let part = line
            .get(starts[column]..end.min(line.len()))
            .unwrap_or_default();
        part.iter().collect::<String>().trim_end().to_owned()
    };
    let all: Vec<Vec<String>> = lines
        .iter()
        .map(|line| {
            (0..columns.len())
                .map(|column| cell(line, column))
                .collect()
        })
        .collect();
    assert_eq!(all[0], columns);
    let mut expected = 0;
    for (column, start) in starts.iter().enumerate() {
        assert_eq!(*start, expected, "column {column} of\n{table}");
        let widest = all.iter().map(|row| row[column].chars().count()).max();
        expected += MIN_COLUMN.max(widest.unwrap_or_default() + GAP);
    }
    all[1..].to_vec()
}

/// Whether each cell of a row is as its pattern says, from beginning to end.
#[track_caller]
fn fits(row: &[String], patterns: &[&str]) {
    assert_eq!(row.len(), patterns.len());
    for (cell, pattern) in row.iter().zip(patterns) {
        let pattern = Regex::new(&format!("^(?:{pattern})$")).expect("a pattern");
        assert!(
            pattern.is_match(cell),
            "{cell:?} is not {pattern} in {row:?}"
        );
    }
}

/// Whether each line is as its pattern says.
#[track_caller]
fn lines_fit(text: &str, patterns: &[&str]) {
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    assert_eq!(lines.len(), patterns.len(), "{text}");
    fits(&lines, patterns);
}

const ID: &str = "[0-9a-f]{12}";
const DIGEST: &str = "sha256:[0-9a-f]{64}";
const AGE: &str = "(Less than a second|About a minute|[0-9]+ (second|minute)s?) ago";
const PS: &[&str] = &[
    "CONTAINER ID",
    "IMAGE",
    "COMMAND",
    "CREATED",
    "STATUS",
    "PORTS",
    "NAMES",
];
const IMAGES: &[&str] = &["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"];
const HISTORY: &[&str] = &["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"];

#[rstest]
fn the_commands_of_an_introduction_answer_as_docker_does(
    #[values(Caller::Root, Caller::Ranges)] caller: Caller,
) {
    let Some((lab, hub)) = lab_with_hub(caller) else {
        return;
    };
    images(&lab);
    containers(&lab);
    registry(&lab, &hub);
    assert!(refuses(&lab, "search busybox").contains("registries are not searched"));
}

/// pull, images, history
fn images(lab: &Lab) {
    let layer = format!("{ID}: Pull complete");
    let digest = format!("Digest: {DIGEST}");
    let pulled = says(lab, "pull busybox");
    lines_fit(
        &pulled,
        &[
            "Using default tag: latest",
            "latest: Pulling from library/busybox",
            &layer,
            &digest,
            "Status: Downloaded newer image for busybox:latest",
            "docker.io/library/busybox:latest",
        ],
    );
    let again = says(lab, "pull busybox:latest");
    assert!(
        again.contains("Status: Image is up to date for busybox:latest\n"),
        "{again}"
    );
    assert_eq!(
        says(lab, "pull -q busybox"),
        "docker.io/library/busybox:latest\n"
    );
    let listed = rows(&says(lab, "images"), IMAGES);
    assert_eq!(listed.len(), 1);
    fits(
        &listed[0],
        &["busybox", "latest", ID, ".+ ago|N/A", r"[0-9.]+MB"],
    );
    let digests = ["REPOSITORY", "TAG", "DIGEST", "IMAGE ID", "CREATED", "SIZE"];
    let listed = rows(&says(lab, "images --digests"), &digests);
    fits(&listed[0][2..3], &[DIGEST]);
    let told = rows(&says(lab, "history busybox"), HISTORY);
    fits(&told[0], &[ID, ".*", ".*", r"[0-9.]+(B|kB|MB)", ".*"]);
}

/// run, ps, stop, rm, commit
fn containers(lab: &Lab) {
    assert_eq!(says(lab, "run busybox echo hello"), "hello\n");
    let id = says(lab, "run -d --name web busybox sleep 1000");
    lines_fit(&id, &["[0-9a-f]{64}"]);
    let running = rows(&says(lab, "ps"), PS);
    assert_eq!(running.len(), 1);
    let up = "Up (Less than a second|About a minute|[0-9]+ (second|minute)s?)";
    fits(
        &running[0],
        &[&id[..12], "busybox", "\"sleep 1000\"", AGE, up, "", "web"],
    );
    let all = rows(&says(lab, "ps -a"), PS);
    assert_eq!(all.len(), 2);
    let exited = format!(r"Exited \(0\) {AGE}");
    let name = "[a-z]+_[a-z]+";
    fits(
        &all[1],
        &[ID, "busybox", "\"echo hello\"", AGE, &exited, "", name],
    );
    assert_eq!(says(lab, "ps -aq").lines().count(), 2);
    let refused = refuses(lab, "rm web");
    assert!(refused.contains("container is running"), "{refused}");
    let used = refuses(lab, "rmi busybox");
    assert!(
        used.contains("conflict: unable to remove repository reference \"busybox\" (must force)"),
        "{used}"
    );
    assert_eq!(says(lab, "exec web sh -c echo"), "\n");
    assert_eq!(says(lab, "stop -t 0 web"), "web\n");
    assert_eq!(says(lab, "rm web"), "web\n");
    let script = [
        "run",
        "--name",
        "made",
        "busybox",
        "sh",
        "-c",
        "echo note > /note",
    ];
    assert_eq!(lab.rbuild(&script).success().stdout, "");
    assert_eq!(says(lab, "diff made"), "A /note\n");
    lines_fit(&says(lab, "commit -m note made noted:1"), &[DIGEST]);
    let told = rows(&says(lab, "history noted:1"), HISTORY);
    fits(
        &told[0],
        &[ID, AGE, "sh -c echo note > /note", "5B", "note"],
    );
    fits(&told[1], &["<missing>", ".*", ".*", ".*", ".*"]);
    let rest = says(lab, "container prune -f");
    assert!(rest.starts_with("Deleted Containers:\n"), "{rest}");
    assert_eq!(rows(&says(lab, "ps -a"), PS).len(), 0);
}

/// tag, push, rmi, run again from the registry
fn registry(lab: &Lab, hub: &Registry) {
    let name = format!("{}/team/noted:1", hub.host());
    assert_eq!(says(lab, &format!("tag noted:1 {name}")), "");
    let listed = rows(&says(lab, "images"), IMAGES);
    let same: Vec<&Vec<String>> = listed.iter().filter(|row| row[1] == "1").collect();
    assert_eq!(same.len(), 2, "one image, two names");
    assert_eq!(same[0][2], same[1][2]);
    let pushed = says(lab, &format!("push {name}"));
    let lines: Vec<&str> = pushed.lines().collect();
    let refers = format!("The push refers to repository [{}/team/noted]", hub.host());
    assert_eq!(lines[0], refers);
    let last = Regex::new(&format!("^1: digest: {DIGEST} size: [0-9]+$")).expect("a pattern");
    assert!(last.is_match(lines[lines.len() - 1]), "{pushed}");
    let layer = Regex::new(&format!(
        "^{ID}: (Pushed|Layer already exists|Mounted from .*)$"
    ));
    let layer = layer.expect("a pattern");
    assert!(
        lines[1..lines.len() - 1]
            .iter()
            .all(|line| layer.is_match(line)),
        "{pushed}"
    );
    assert_eq!(
        says(lab, &format!("rmi {name}")),
        format!("Untagged: {name}\n")
    );
    let removed = says(lab, "rmi noted:1");
    lines_fit(
        &removed,
        &["Untagged: noted:1", &format!("Deleted: {DIGEST}")],
    );
    assert!(refuses(lab, "rmi noted:1").contains("No such image: noted:1"));
    let again = lab
        .rbuild(&["run", "--rm", &name, "cat", "/note"])
        .success();
    assert_eq!(again.stdout, "note\n");
    for line in [
        format!("Unable to find image '{name}' locally"),
        "1: Pulling from team/noted".to_owned(),
        format!("Status: Downloaded newer image for {name}"),
    ] {
        assert!(again.stderr.contains(&line), "{again}");
    }
    let removed = says(lab, &format!("rmi {name} busybox"));
    let untagged = format!("Untagged: {}/team/noted@{DIGEST}", hub.host());
    let deleted = format!("Deleted: {DIGEST}");
    let plain = format!("Untagged: {name}");
    let of_hub = format!("Untagged: busybox@{DIGEST}");
    let expected = [
        &plain,
        &untagged,
        &deleted,
        "Untagged: busybox:latest",
        &of_hub,
        &deleted,
    ];
    lines_fit(&removed, &expected);
    assert_eq!(rows(&says(lab, "images"), IMAGES).len(), 0);
}

//! What differs between two results, in words.
//!
//! ```text
//! config: config.Labels.built: "19:45:01" against "19:45:03"
//! layer 2 of 3, RUN date > /etc/date
//!   etc/date: contents differ from byte 17, line 1
//!     - Sat Nov 21 19:45:01 UTC 2026
//!     + Sat Nov 21 19:45:03 UTC 2026
//!   var/cache/x: only in the second
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::Value;

use super::contents::{Contents, Facts, bytes};
use super::layout::{Image, Layout};

/// Files that are shown of one layer.
const MAX_FILES: usize = 50;
/// Characters of a line that are shown.
const MAX_CHARACTERS: usize = 160;

/// What differs; empty if nothing does.
pub(super) fn compare(first: &Layout, second: &Layout) -> anyhow::Result<String> {
    let mut text = String::new();
    if first.digest() == second.digest() {
        return Ok(text);
    }
    let (ours, theirs) = (first.images()?, second.images()?);
    for (one, other) in ours.iter().zip(&theirs) {
        let mut told = String::new();
        config(&mut told, one, other);
        layers(&mut told, (first, one), (second, other))?;
        if !told.is_empty() && !one.platform.is_empty() {
            let _ = writeln!(text, "{}", one.platform);
        }
        text.push_str(&told);
    }
    if ours.len() != theirs.len() {
        let _ = writeln!(text, "{} images against {}", ours.len(), theirs.len());
    }
    Ok(text)
}

fn config(text: &mut String, one: &Image, other: &Image) {
    let mut differences = Vec::new();
    json(&mut differences, "", &one.config, &other.config);
    // Those of layers are told by the layers.
    differences.retain(|(path, _)| !path.starts_with("rootfs"));
    for (path, difference) in differences {
        let _ = writeln!(text, "config: {path}: {difference}");
    }
    let annotations = |image: &Image| image.manifest["annotations"].clone();
    let mut differences = Vec::new();
    json(
        &mut differences,
        "annotations",
        &annotations(one),
        &annotations(other),
    );
    for (path, difference) in differences {
        let _ = writeln!(text, "manifest: {path}: {difference}");
    }
}

/// Where two documents differ.
fn json(found: &mut Vec<(String, String)>, path: &str, one: &Value, other: &Value) {
    let below = |key: &str| match path {
        "" => key.to_owned(),
        path => format!("{path}.{key}"),
    };
    match (one, other) {
        (Value::Object(one), Value::Object(other)) => {
            let keys: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
            for key in keys {
                let (one, other) = (one.get(key), other.get(key));
                let nothing = Value::Null;
                json(
                    found,
                    &below(key),
                    one.unwrap_or(&nothing),
                    other.unwrap_or(&nothing),
                );
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (at, (one, other)) in one.iter().zip(other).enumerate() {
                json(found, &format!("{path}[{at}]"), one, other);
            }
        }
        _ if one != other => found.push((path.to_owned(), format!("{one} against {other}"))),
        _ => {}
    }
}

fn layers(
    text: &mut String,
    (first, one): (&Layout, &Image),
    (second, other): (&Layout, &Image),
) -> anyhow::Result<()> {
    let list = |image: &Image| {
        image.manifest["layers"]
            .as_array()
            .cloned()
            .unwrap_or_default()
    };
    let (ours, theirs) = (list(one), list(other));
    if ours.len() != theirs.len() {
        let _ = writeln!(text, "{} layers against {}", ours.len(), theirs.len());
    }
    for (at, (ours, theirs)) in ours.iter().zip(&theirs).enumerate() {
        if ours["digest"] == theirs["digest"] {
            continue;
        }
        let made_by = instruction(&one.config, at);
        let count = list(one).len();
        let _ = writeln!(text, "layer {} of {count}, {made_by}", at + 1);
        let before = Contents::read(first.layer(ours)?)?;
        let after = Contents::read(second.layer(theirs)?)?;
        let changed: BTreeSet<String> = before
            .files
            .iter()
            .filter(|(path, facts)| {
                let other = after.files.get(*path);
                other.is_some_and(|other| other.digest != facts.digest)
            })
            .map(|(path, _)| path.clone())
            .take(MAX_FILES)
            .collect();
        let shown = (
            bytes(first.layer(ours)?, &changed)?,
            bytes(second.layer(theirs)?, &changed)?,
        );
        files(text, &before, &after, &shown);
    }
    Ok(())
}

/// What made the layer with this number.
fn instruction(config: &Value, layer: usize) -> String {
    let history = config["history"].as_array().into_iter().flatten();
    let mut with_layer = history.filter(|entry| entry["empty_layer"] != true);
    let entry = with_layer
        .nth(layer)
        .and_then(|entry| entry["created_by"].as_str());
    let text = entry.unwrap_or("of a base image");
    shortened(text.trim_end_matches(" # buildkit"))
}

type Bytes = BTreeMap<String, Vec<u8>>;

fn files(text: &mut String, before: &Contents, after: &Contents, shown: &(Bytes, Bytes)) {
    let paths: BTreeSet<&String> = before.files.keys().chain(after.files.keys()).collect();
    let mut told = Vec::new();
    for path in paths {
        match (before.files.get(path), after.files.get(path)) {
            (Some(_), None) => told.push(format!("  {path}: only in the first\n")),
            (None, Some(_)) => told.push(format!("  {path}: only in the second\n")),
            (Some(one), Some(other)) if one != other => {
                told.push(file(
                    path,
                    (one, other),
                    (shown.0.get(path), shown.1.get(path)),
                ));
            }
            _ => {}
        }
    }
    if told.is_empty() {
        text.push_str(if before.order == after.order {
            "  the same files in the same order, packed differently\n"
        } else {
            "  the same files in another order\n"
        });
    }
    text.extend(told.iter().take(MAX_FILES).map(String::as_str));
    if let Some(more) = told.len().checked_sub(MAX_FILES).filter(|more| *more > 0) {
        let _ = writeln!(text, "  and {more} more");
    }
}

fn file(
    path: &str,
    (one, other): (&Facts, &Facts),
    bytes: (Option<&Vec<u8>>, Option<&Vec<u8>>),
) -> String {
    let mut notes = one.differences(other);
    let mut lines = String::new();
    if one.digest != other.digest {
        let (place, shown) = match bytes {
            (Some(ours), Some(theirs)) => place(ours, theirs),
            _ => (String::new(), String::new()),
        };
        notes.insert(0, format!("contents differ{place}"));
        lines = shown;
    }
    format!("  {path}: {}\n{lines}", notes.join(", "))
}

/// Where bytes differ, and the lines there if they are text.
fn place(ours: &[u8], theirs: &[u8]) -> (String, String) {
    let same = ours
        .iter()
        .zip(theirs)
        .take_while(|(one, other)| one == other);
    let at = same.count();
    if at == ours.len() && at == theirs.len() {
        // They differ beyond what was read.
        return (String::new(), String::new());
    }
    let start = ours[..at]
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |end| end + 1);
    let line = |bytes: &[u8]| {
        let rest = &bytes[start..];
        let end = rest
            .iter()
            .position(|byte| *byte == b'\n')
            .unwrap_or(rest.len());
        let text = std::str::from_utf8(&rest[..end]).ok()?;
        let is_text = !text.contains(|c: char| c.is_control() && c != '\t');
        is_text.then(|| shortened(text))
    };
    match (line(ours), line(theirs)) {
        (Some(one), Some(other)) => {
            let number = ours[..at].split(|byte| *byte == b'\n').count();
            (
                format!(" in line {number}"),
                format!("    - {one}\n    + {other}\n"),
            )
        }
        _ => (format!(" from byte {at}"), String::new()),
    }
}

fn shortened(text: &str) -> String {
    let text = text.replace(['\n', '\r'], " ");
    if text.chars().count() <= MAX_CHARACTERS {
        return text;
    }
    text.chars().take(MAX_CHARACTERS - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn documents_are_compared_down_to_their_leaves() {
        let mut found = Vec::new();
        let one = json!({"config": {"Env": ["A=1", "B=2"], "Labels": {"x": "1"}}, "os": "linux"});
        let other = json!({"config": {"Env": ["A=1", "B=3"]}, "os": "linux"});
        json(&mut found, "", &one, &other);
        let told: Vec<_> = found
            .iter()
            .map(|(path, words)| format!("{path}: {words}"))
            .collect();
        assert_eq!(
            told,
            [
                r#"config.Env[1]: "B=2" against "B=3""#,
                r#"config.Labels: {"x":"1"} against null"#,
            ]
        );
    }

    #[test]
    fn lines_are_shown_of_texts_and_offsets_of_other_files() {
        let (at, lines) = place(b"a\nbuilt at 1\n", b"a\nbuilt at 2\n");
        assert_eq!(at, " in line 2");
        assert_eq!(lines, "    - built at 1\n    + built at 2\n");
        let (at, lines) = place(b"\x7fELF\0\x01", b"\x7fELF\0\x02");
        assert_eq!((at.as_str(), lines.as_str()), (" from byte 5", ""));
        let (at, _) = place(b"abc", b"abcd");
        assert_eq!(at, " in line 1");
    }
}

//! The answers to `--call`, as text and as JSON, in the shapes that buildx gives them.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_dockerfile::{Diagnostic, Severity, Source, Span};
use rbuild_plan::{Outline, OutlineNeed, Presence, Target, lint_rule};
use serde_json::{Value, json};

use super::places::{Places, instruction};
use crate::render::{excerpt, excerpt_of};

/// Blanks between the columns of the lists of methods and targets.
const NARROW_GAP: usize = 1;
/// Blanks between the columns of an outline.
const WIDE_GAP: usize = 3;

/// What can be asked, and what it tells.
const METHODS: [(&str, &str); 4] = [
    (
        "outline",
        "List all parameters current build target supports",
    ),
    ("targets", "List all targets current build supports"),
    ("lint", "Lint a Dockerfile"),
    ("subrequests.describe", "List available subrequest types"),
];
/// The version of the shapes of all answers.
pub(super) const VERSION: &str = "1.0.0";

/// An answer in both forms, and whether it is a good one.
pub(super) struct Answer {
    pub(super) json: Value,
    pub(super) text: String,
    pub(super) verdict: Verdict,
    /// What failed, beside the answer.
    pub(super) error: Option<String>,
    /// What was found, for editors.
    pub(super) findings: Vec<Value>,
}

/// What an answer means for the exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Good,
    Bad,
}

impl Answer {
    fn good(json: Value, text: String) -> Self {
        Self {
            json,
            text,
            verdict: Verdict::Good,
            error: None,
            findings: Vec::new(),
        }
    }
}

/// `--call=subrequests.describe`
pub(super) fn methods() -> Answer {
    let rows = METHODS
        .iter()
        .map(|&(name, description)| [name, VERSION, description].map(str::to_owned).to_vec());
    let list: Vec<Value> = METHODS
        .iter()
        .map(|(name, description)| {
            let options = if *name == "outline" {
                json!([{ "Name": "target", "Description": "Target build stage" }])
            } else {
                json!([])
            };
            let mut metadata = vec![
                json!({ "Name": "result.json" }),
                json!({ "Name": "result.txt" }),
            ];
            if *name == "lint" {
                metadata.push(json!({ "Name": "result.statuscode" }));
            }
            json!({
                "Name": format!("frontend.{name}"),
                "Version": VERSION,
                "Type": "rpc",
                "Description": description,
                "Opts": options,
                "Inputs": null,
                "Metadata": metadata,
                "Refs": null,
            })
        })
        .collect();
    let text = table(&["NAME", "VERSION", "DESCRIPTION"], rows, NARROW_GAP);
    Answer::good(json!(list), text)
}

/// `--call=targets`
pub(super) fn targets(places: Places<'_>, targets: &[Target]) -> Answer {
    let list: Vec<Value> = targets
        .iter()
        .map(|target| {
            let mut value = json!({});
            put(&mut value, "name", &target.name);
            if target.is_default {
                value["default"] = json!(true);
            }
            put(&mut value, "description", &target.description);
            put(&mut value, "base", &target.base);
            put(&mut value, "platform", &target.platform);
            value["location"] = places.location(target.span);
            value
        })
        .collect();
    let rows = targets.iter().map(|target| {
        let name = match (target.name.as_str(), target.is_default) {
            ("", true) => "(default)".to_owned(),
            (name, true) => format!("{name} (default)"),
            (name, false) => name.to_owned(),
        };
        vec![name, target.description.clone()]
    });
    let text = table(&["TARGET", "DESCRIPTION"], rows, NARROW_GAP);
    let sources = [BASE64.encode(&places.source().text)];
    Answer::good(json!({ "targets": list, "sources": sources }), text)
}

/// `--call=outline`
pub(super) fn outline(places: Places<'_>, outline: &Outline) -> Answer {
    let mut value = json!({});
    put(&mut value, "name", &outline.name);
    put(&mut value, "description", &outline.description);
    let args = outline.args.iter().map(|arg| {
        let mut value = json!({ "name": arg.name });
        put(&mut value, "description", &arg.description);
        put(&mut value, "value", &arg.value);
        value["location"] = places.location(arg.span);
        value
    });
    put_list(&mut value, "args", &args.collect::<Vec<_>>());
    let needs = |needs: &[OutlineNeed]| {
        let needs = needs.iter().map(|need| {
            let mut value = json!({ "name": need.name });
            if need.presence == Presence::Required {
                value["required"] = json!(true);
            }
            value["location"] = places.location(need.span);
            value
        });
        needs.collect::<Vec<_>>()
    };
    put_list(&mut value, "secrets", &needs(&outline.secrets));
    put_list(&mut value, "ssh", &needs(&outline.ssh));
    value["sources"] = json!([BASE64.encode(&places.source().text)]);
    Answer::good(value, outline_text(outline))
}

fn outline_text(outline: &Outline) -> String {
    let mut text = String::new();
    if !outline.name.is_empty() || !outline.description.is_empty() {
        let name = match outline.name.as_str() {
            "" => "(default)",
            name => name,
        };
        let mut rows = Vec::new();
        if !outline.description.is_empty() {
            rows.push(vec!["DESCRIPTION:".to_owned(), outline.description.clone()]);
        }
        text += &table(&["TARGET:", name], rows, NARROW_GAP);
        text.push('\n');
    }
    if !outline.args.is_empty() {
        let rows = outline.args.iter();
        let rows =
            rows.map(|arg| vec![arg.name.clone(), arg.value.clone(), arg.description.clone()]);
        text += &table(&["BUILD ARG", "VALUE", "DESCRIPTION"], rows, WIDE_GAP);
        text.push('\n');
    }
    for (title, needs) in [("SECRET", &outline.secrets), ("SSH", &outline.ssh)] {
        if needs.is_empty() {
            continue;
        }
        let rows = needs.iter().map(|need| {
            let required = match need.presence {
                Presence::Required => "true",
                Presence::Optional => "",
            };
            vec![need.name.clone(), required.to_owned()]
        });
        text += &table(&[title, "REQUIRED"], rows, WIDE_GAP);
        text.push('\n');
    }
    text
}

/// `--call=check`: what was found, errors among it.
pub(super) fn check(places: Places<'_>, findings: &[Diagnostic]) -> Answer {
    let by = |severity| findings.iter().filter(move |one| one.severity == severity);
    let mut warnings: Vec<&Diagnostic> = by(Severity::Warning).collect();
    warnings.sort_by_key(|warning| instruction(warning));
    let errors: Vec<&Diagnostic> = by(Severity::Error).collect();
    let mut value = json!({
        "warnings": warnings.iter().map(|one| warning_json(places, one)).collect::<Vec<_>>(),
        "sources": [source_json(places.source())],
    });
    let mut text = match warnings.len() {
        0 => String::new(),
        1 => "Check complete, 1 warning has been found!\n".to_owned(),
        count => format!("Check complete, {count} warnings have been found!\n"),
    };
    for warning in &warnings {
        let url = url(warning);
        let url = if url.is_empty() {
            url
        } else {
            format!(" - {url}")
        };
        let lines = instruction(warning);
        let drawn = excerpt_of(places.source(), lines, warning);
        let code = warning.code;
        let _ = write!(text, "\nWARNING: {code}{url}\n{}\n{drawn}", warning.message);
    }
    let mut error = None;
    if let Some(first) = errors.first() {
        let source = places.source();
        let build_error = |one: &Diagnostic| {
            json!({
                "message": one.headline(source),
                "location": places.location(instruction(one)),
            })
        };
        value["buildError"] = build_error(first);
        if errors.len() > 1 {
            value["buildErrors"] = errors.iter().map(|one| build_error(one)).collect();
        }
        let messages = errors.iter().map(|one| with_help(source, one));
        let mut told = String::new();
        for (one, message) in errors.iter().zip(messages) {
            let drawn = if one.span == Span::default() {
                String::new()
            } else {
                excerpt(places.source(), one.span)
            };
            let _ = write!(told, "{message}\n{drawn}");
        }
        error = Some(told.trim_end().to_owned());
    } else if warnings.is_empty() {
        text.push_str("Check complete, no warnings found.\n");
    }
    Answer {
        json: value,
        text,
        verdict: if findings.is_empty() {
            Verdict::Good
        } else {
            Verdict::Bad
        },
        error,
        findings: findings.iter().map(|one| places.finding(one)).collect(),
    }
}

fn with_help(source: &Source, finding: &Diagnostic) -> String {
    let headline = finding.headline(source);
    match (finding.suggestion(), &finding.help) {
        (None, Some(help)) => format!("{headline} ({help})"),
        _ => headline,
    }
}

fn warning_json(places: Places<'_>, warning: &Diagnostic) -> Value {
    let mut value = json!({ "ruleName": warning.code });
    if let Some(rule) = lint_rule(warning.code) {
        put(&mut value, "description", rule.description);
        put(&mut value, "url", rule.url);
    }
    put(&mut value, "detail", &warning.message);
    value["location"] = places.location(instruction(warning));
    value
}

fn source_json(source: &Source) -> Value {
    json!({
        "filename": source.name,
        "data": BASE64.encode(&source.text),
        "language": "Dockerfile",
    })
}

/// The page that explains a warning.
pub(super) fn url(warning: &Diagnostic) -> String {
    lint_rule(warning.code).map_or_else(String::new, |rule| rule.url.to_owned())
}

fn put(value: &mut Value, key: &str, text: &str) {
    if !text.is_empty() {
        value[key] = json!(text);
    }
}

fn put_list(value: &mut Value, key: &str, list: &[Value]) {
    if !list.is_empty() {
        value[key] = json!(list);
    }
}

/// Columns as wide as their widest cell and a gap; the last is as wide as it is.
fn table(header: &[&str], rows: impl IntoIterator<Item = Vec<String>>, gap: usize) -> String {
    let header = header.iter().map(|cell| (*cell).to_owned()).collect();
    let rows: Vec<Vec<String>> = std::iter::once(header).chain(rows).collect();
    let columns = rows[0].len();
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells.max().unwrap_or(0) + gap
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for row in &rows {
        for (column, cell) in row.iter().enumerate() {
            let width = if column + 1 == columns {
                0
            } else {
                widths[column]
            };
            let _ = write!(text, "{cell:<width$}");
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            vec!["build".to_owned(), "compiles".to_owned()],
            vec![String::new(), "x".to_owned()],
        ];
        assert_eq!(
            table(&["TARGET", "DESCRIPTION"], rows, 1),
            "TARGET DESCRIPTION\nbuild  compiles\n       x\n"
        );
    }

    #[test]
    fn what_can_be_asked_is_told() {
        assert!(methods().text.starts_with("NAME                 VERSION DESCRIPTION\noutline              1.0.0   List all parameters"));
    }
}

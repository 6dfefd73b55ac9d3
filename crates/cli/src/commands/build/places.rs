//! Where things stand in a Dockerfile, for programs: lines of whole instructions, ranges of words.

use rbuild_dockerfile::{Diagnostic, LineIndex, Severity, Source, Span};
use rbuild_plan::lint_rule;
use serde_json::{Value, json};

/// The places of one file.
#[derive(Clone, Copy)]
pub(super) struct Places<'a> {
    source: &'a Source,
    lines: &'a LineIndex<'a>,
}

/// What BuildKit takes for the place of a finding: the whole instruction.
pub(super) fn instruction(finding: &Diagnostic) -> Span {
    finding.instruction.unwrap_or(finding.span)
}

impl<'a> Places<'a> {
    /// `lines` are those of `source`.
    pub(super) fn new(source: &'a Source, lines: &'a LineIndex<'a>) -> Self {
        Self { source, lines }
    }

    pub(super) fn source(self) -> &'a Source {
        self.source
    }

    /// A place as BuildKit's answers have it: a range for every line, without columns.
    pub(super) fn location(self, span: Span) -> Value {
        let (first, last) = self.lines.lines(span);
        let ranges: Vec<_> = (first..=last)
            .map(|line| json!({ "start": { "line": line }, "end": { "line": line } }))
            .collect();
        json!({ "ranges": ranges })
    }

    /// A finding for an editor: `{"severity", "code", "message", "help", "replacement", "url", "file", "range"}`.
    pub(super) fn finding(self, finding: &Diagnostic) -> Value {
        let mut value = json!({
            "severity": match finding.severity {
                Severity::Error => "error",
                Severity::Warning => "warning",
            },
            "code": finding.code,
            "message": finding.message,
        });
        let url = lint_rule(finding.code).map(|rule| rule.url.to_owned());
        let optional = [
            ("help", finding.help.clone()),
            ("replacement", finding.patch.clone()),
            ("url", url.filter(|url| !url.is_empty())),
        ];
        for (key, text) in optional {
            if let Some(text) = text {
                value[key] = json!(text);
            }
        }
        if finding.span != Span::default() {
            value["file"] = json!(self.source.name);
            value["range"] = self.range(finding.span);
        }
        value
    }

    /// Lines and columns from 1, columns in characters; offsets in bytes. The end is excluded.
    fn range(self, span: Span) -> Value {
        let point = |offset: u32| {
            let position = self.lines.position(offset);
            json!({ "line": position.line, "column": position.column, "offset": offset })
        };
        json!({ "start": point(span.start), "end": point(span.end) })
    }
}

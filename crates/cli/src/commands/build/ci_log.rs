//! Findings where a continuous integration shows them: beside the lines of a pull request.
//!
//! ```text
//! ::error file=app/Dockerfile,line=3,endLine=3,title=step-failed::process "/bin/sh -c make" did not complete successfully: exit code: 2
//! ```

use std::path::Path;

use rbuild_progress::{LogViewer, Mode};
use serde_json::Value;

use super::local_files::LocalFiles;
use super::request::Request;
use crate::app::App;
use crate::render;

/// Says `findings` to who shows the log, if that has a form for them.
pub(super) fn annotate(app: &App, request: &Request, findings: &[Value]) -> anyhow::Result<()> {
    let is_read = app.environment.log_viewer() == LogViewer::GitHub;
    if !is_read || matches!(request.progress, Mode::RawJson | Mode::Tty) {
        return Ok(());
    }
    let file = file(app, request);
    let lines = findings
        .iter()
        .map(|finding| annotation(finding, file.as_deref()));
    Ok(render::note(&lines.collect::<String>())?)
}

/// The Dockerfile as the repository has it.
fn file(app: &App, request: &Request) -> Option<String> {
    let files = LocalFiles::of(request).ok()?;
    let path = files.dockerfile()?;
    let path = std::path::absolute(path).ok()?;
    let workspace = app.environment.text("GITHUB_WORKSPACE");
    let inside = workspace.and_then(|root| path.strip_prefix(root).ok().map(Path::to_owned));
    Some(inside.unwrap_or(path).display().to_string())
}

fn annotation(finding: &Value, file: Option<&str>) -> String {
    let text = |key: &str| finding[key].as_str().unwrap_or_default();
    let mut properties = Vec::new();
    if let (Some(file), Some(first)) = (file, finding["range"]["start"]["line"].as_u64()) {
        let last = finding["range"]["end"]["line"].as_u64().unwrap_or(first);
        properties.push(format!("file={}", property(file)));
        properties.push(format!("line={first}"));
        properties.push(format!("endLine={}", last.max(first)));
    }
    properties.push(format!("title={}", property(text("code"))));
    let mut message = text("message").to_owned();
    for more in ["help", "url"] {
        if !text(more).is_empty() {
            message.push('\n');
            message.push_str(text(more));
        }
    }
    let severity = text("severity");
    let (properties, message) = (properties.join(","), escaped(&message));
    format!("::{severity} {properties}::{message}\n")
}

/// A message as a workflow command has it.
fn escaped(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// A property's value as a workflow command has it.
fn property(text: &str) -> String {
    escaped(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_finding_stands_at_its_lines() {
        let finding = json!({
            "severity": "warning", "code": "FromAsCasing", "message": "100%: no",
            "url": "https://example.com/a", "file": "Dockerfile",
            "range": {"start": {"line": 2}, "end": {"line": 3}},
        });
        assert_eq!(
            annotation(&finding, Some("a,b/Dockerfile")),
            "::warning file=a%2Cb/Dockerfile,line=2,endLine=3,title=FromAsCasing::100%25: no%0Ahttps://example.com/a\n"
        );
        let nowhere = json!({"severity": "error", "code": "build-failed", "message": "no"});
        assert_eq!(
            annotation(&nowhere, Some("Dockerfile")),
            "::error title=build-failed::no\n"
        );
    }
}

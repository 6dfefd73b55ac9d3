//! `--iidfile`, `--digest-file` and `--metadata-file`.

use std::path::Path;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_dockerfile::Diagnostic;
use rbuild_image::Digest;
use serde_json::{Value, json};

use super::answers::{self, Answer, Verdict};
use super::call::{Call, Function};
use super::depfile;
use super::explain;
use super::outputs::Outcome;
use super::places::{Places, instruction};
use super::request::Request;
use crate::app::App;
use crate::render;

/// Characters of a build's reference, as many as buildx's have.
const REFERENCE_CHARACTERS: usize = 25;

/// Writes what was asked for, once all outputs are complete.
pub(super) fn write(app: &App, request: &Request, outcome: &Outcome) -> anyhow::Result<()> {
    if let Some(path) = &request.iidfile {
        std::fs::write(path, outcome.id())
            .with_context(|| format!("failed to write --iidfile {}", path.display()))?;
    }
    if let (Some(path), Some(exported)) = (&request.digest_file, &outcome.exported) {
        std::fs::write(path, exported.digest.to_string())
            .with_context(|| format!("failed to write --digest-file {}", path.display()))?;
    }
    if let (Some(path), Some(reads)) = (&request.depfile, &outcome.reads) {
        let reads = reads
            .as_ref()
            .map_err(|reason| anyhow::anyhow!("failed to write --depfile: failed to {reason}"))?;
        for file in depfile::write(request, path, reads)? {
            let file = file.display();
            render::note(&format!(
                "WARNING: --depfile: make has no form for the name {file:?}, which is left out\n"
            ))?;
        }
    }
    match &request.metadata_file {
        Some(path) => write_metadata(path, &metadata(app, outcome)),
        None => Ok(()),
    }
}

/// Writes an answer's metadata.
pub(super) fn write_answer(request: &Request, call: Call, answer: &Answer) -> anyhow::Result<()> {
    let Some(path) = &request.metadata_file else {
        return Ok(());
    };
    let mut value = json!({ "result.json": answer.json });
    if call.function == Function::Check {
        let status = i32::from(answer.verdict == Verdict::Bad);
        value["result.statuscode"] = json!(status.to_string());
    }
    value["result.txt"] = json!(answer.text);
    value["version"] = json!(answers::VERSION);
    write_metadata(path, &value)
}

fn write_metadata(path: &Path, value: &Value) -> anyhow::Result<()> {
    std::fs::write(path, format!("{value:#}\n"))
        .with_context(|| format!("failed to write --metadata-file {}", path.display()))
}

/// The keys that buildx writes.
fn metadata(app: &App, outcome: &Outcome) -> Value {
    let reference = format!("rbuild/rbuild0/{}", outcome.reference);
    let mut value = json!({ "buildx.build.ref": reference });
    for (key, provenance) in &outcome.provenance {
        value[key] = provenance.clone();
    }
    let wanted = app.environment.text("BUILDX_METADATA_WARNINGS");
    let wanted = wanted.is_some_and(|text| super::args::boolean(&text) == Ok(true));
    if wanted && !outcome.warnings.is_empty() {
        value["buildx.build.warnings"] = json!(outcome.warnings);
    }
    if let Some(exported) = &outcome.exported {
        if exported.is_single() {
            value["containerimage.config.digest"] = json!(exported.id.to_string());
        }
        value["containerimage.descriptor"] = exported.described();
        value["containerimage.digest"] = json!(exported.digest.to_string());
    }
    if !outcome.names.is_empty() {
        let names: Vec<String> = outcome.names.iter().map(ToString::to_string).collect();
        value["image.name"] = json!(names.join(","));
    }
    value
}

/// A name for this build that no other has: the last part of `builder/node/build`.
pub(super) fn build_id(app: &App) -> String {
    let since = app.environment.now().duration_since(std::time::UNIX_EPOCH);
    let nanoseconds = since.map_or(0, |since| since.as_nanos());
    let unique = format!("{}-{nanoseconds}", std::process::id());
    let name = Digest::sha256_of(unique.as_bytes()).hex();
    name[..REFERENCE_CHARACTERS].to_owned()
}

/// A warning as BuildKit's client tells it.
pub(super) fn warning(places: Places<'_>, warning: &Diagnostic) -> Value {
    let source = places.source();
    let rule = rbuild_plan::lint_rule(warning.code);
    let location = places.location(instruction(warning));
    let mut value = json!({
        "level": 1,
        "short": BASE64.encode(explain::short(places, warning)),
        "detail": [BASE64.encode(rule.map_or("", |rule| rule.description))],
    });
    let url = answers::url(warning);
    if !url.is_empty() {
        value["url"] = json!(url);
    }
    value["sourceInfo"] = json!({
        "filename": source.name,
        "data": BASE64.encode(&source.text),
        "language": "Dockerfile",
    });
    value["range"] = location["ranges"].clone();
    value
}

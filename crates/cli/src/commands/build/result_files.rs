//! `--iidfile` and `--metadata-file`.

use anyhow::Context as _;
use serde_json::json;

use super::outputs::Outcome;
use super::request::Request;

/// Writes what was asked for, once all outputs are complete.
pub(super) fn write(request: &Request, outcome: &Outcome) -> anyhow::Result<()> {
    if let Some(path) = &request.iidfile {
        std::fs::write(path, outcome.id())
            .with_context(|| format!("failed to write --iidfile {}", path.display()))?;
    }
    if let Some(path) = &request.metadata_file {
        let text = format!("{:#}\n", metadata(request, outcome));
        std::fs::write(path, text)
            .with_context(|| format!("failed to write --metadata-file {}", path.display()))?;
    }
    Ok(())
}

/// The keys that buildx writes.
fn metadata(request: &Request, outcome: &Outcome) -> serde_json::Value {
    let mut value = json!({});
    if let Some(exported) = &outcome.exported {
        value["containerimage.config.digest"] = json!(exported.id.to_string());
        value["containerimage.descriptor"] = json!(exported.descriptor);
        value["containerimage.digest"] = json!(exported.digest.to_string());
    }
    if !request.names.is_empty() {
        let names: Vec<String> = request.names.iter().map(ToString::to_string).collect();
        value["image.name"] = json!(names.join(","));
    }
    value
}

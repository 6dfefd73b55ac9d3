//! The bill of materials.

use anyhow::Context as _;
use rbuild_attest::Attestation;
use rbuild_export::inventory;
use rbuild_image::LayerId;
use rbuild_plan::Planned;
use rbuild_progress::EventKind;
use rbuild_sbom::{SPDX_PREDICATE, Subject, document};
use rbuild_solve::{Build, Solution};

use crate::app::App;
use crate::commands::build::internal::InternalSteps;
use crate::commands::build::request::Request;

/// The file that it is where attestations are files.
const FILE_NAME: &str = "sbom.spdx.json";
/// What an image without a name is called in the document.
const UNNAMED: &str = "image";
/// Who wrote it.
const TOOL: &str = concat!("rbuild-", env!("CARGO_PKG_VERSION"));

/// The packages of each image.
pub(super) fn make(
    app: &App,
    request: &Request,
    planned: &Planned,
    solution: &Solution,
    build: &Build,
    steps: &InternalSteps,
) -> anyhow::Result<Vec<Attestation>> {
    let created = created(app, planned.source_date_epoch)?;
    let name = request.outputs.name();
    let name = name.as_deref().unwrap_or(UNNAMED);
    let outputs = planned.plan.outputs.iter().zip(&solution.outputs);
    outputs
        .map(|(output, layers)| {
            let title = format!("[{}] generating sbom", output.platform);
            let predicate = steps.run(&title, |_| {
                scanned(build, name, &created, layers.as_slice())
            })?;
            Ok(Attestation {
                file_name: FILE_NAME.to_owned(),
                predicate_type: SPDX_PREDICATE.to_owned(),
                predicate,
                subjects: Vec::new(),
            })
        })
        .collect()
}

fn scanned(
    build: &Build,
    name: &str,
    created: &str,
    layers: &[LayerId],
) -> anyhow::Result<serde_json::Value> {
    let inventory = inventory(&build.store, layers)?;
    for finding in &inventory.findings {
        let message = format!(
            "--sbom: what {} tells is missing: {}",
            finding.path, finding.reason
        );
        let about = None;
        build.reporter.send(EventKind::Warning { message, about });
    }
    let subject = Subject {
        name,
        tool: TOOL,
        created,
    };
    Ok(document(&subject, &inventory))
}

/// `SOURCE_DATE_EPOCH`, or now: as SPDX has times, in whole seconds.
fn created(app: &App, epoch: Option<i64>) -> anyhow::Result<String> {
    let time = match epoch {
        Some(seconds) => jiff::Timestamp::from_second(seconds),
        None => jiff::Timestamp::try_from(app.environment.now()),
    };
    let time = time.context("failed to date the bill of materials")?;
    Ok(time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string())
}

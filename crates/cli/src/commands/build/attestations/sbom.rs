//! The bill of materials: our own, or what a generator found.

use anyhow::{Context as _, bail};
use rbuild_attest::{Attestation, Subject as InTotoSubject};
use rbuild_export::{files_in, inventory};
use rbuild_image::LayerId;
use rbuild_plan::{ImageScan, Planned, SCAN_DESTINATION};
use rbuild_progress::EventKind;
use rbuild_sbom::{SPDX_PREDICATE, Subject, document};
use rbuild_solve::{Build, Solution};
use serde_json::Value;

use crate::app::App;
use crate::commands::build::internal::InternalSteps;
use crate::commands::build::request::Request;

/// What the image's own document is called, where attestations are files.
const CORE: &str = "sbom";
/// What the names of such files end in.
const EXTENSION: &str = ".spdx.json";
/// What an image without a name is called in the document.
const UNNAMED: &str = "image";
/// Who wrote it.
const TOOL: &str = concat!("rbuild-", env!("CARGO_PKG_VERSION"));
/// The most that is read of a file that a generator wrote, in bytes.
const MAX_STATEMENT_BYTES: u64 = 80 << 20;

/// The documents of each image, that of its own files first.
pub(super) fn make(
    app: &App,
    request: &Request,
    planned: &Planned,
    solution: &Solution,
    build: &Build,
    steps: &InternalSteps,
) -> anyhow::Result<Vec<Vec<Attestation>>> {
    let created = created(app, planned.source_date_epoch)?;
    let name = request.outputs.name();
    let name = name.as_deref().unwrap_or(UNNAMED);
    let scanner = Scanner {
        build,
        solution,
        name,
        created: &created,
    };
    let outputs = planned.plan.outputs.iter().zip(&solution.outputs);
    outputs
        .zip(&planned.plan.scans)
        .map(|((output, layers), scan)| {
            if let Some(vertex) = scan.generated {
                return generated(build, solution.looked_at(vertex));
            }
            let title = format!("[{}] generating sbom", output.platform);
            steps.run(&title, |_| scanner.documents(layers, scan))
        })
        .collect()
}

/// Looks for packages itself.
struct Scanner<'a> {
    build: &'a Build,
    solution: &'a Solution,
    name: &'a str,
    created: &'a str,
}

impl Scanner<'_> {
    fn documents(&self, layers: &[LayerId], scan: &ImageScan) -> anyhow::Result<Vec<Attestation>> {
        let mut documents = vec![self.document(CORE, self.name, layers)?];
        for tree in &scan.trees {
            let part = tree.name.trim_start_matches(CORE).trim_start_matches('-');
            let about = format!("{} ({part})", self.name);
            let layers = self.solution.looked_at(tree.root);
            documents.push(self.document(&tree.name, &about, layers)?);
        }
        Ok(documents)
    }

    fn document(&self, file: &str, about: &str, layers: &[LayerId]) -> anyhow::Result<Attestation> {
        let inventory = inventory(&self.build.store, layers)?;
        for finding in &inventory.findings {
            let message = format!(
                "--sbom: what {} tells is missing: {}",
                finding.path, finding.reason
            );
            let about = None;
            let event = EventKind::Warning { message, about };
            self.build.reporter.send(event);
        }
        let subject = Subject {
            name: about,
            tool: TOOL,
            created: self.created,
        };
        Ok(Attestation {
            file_name: format!("{file}{EXTENSION}"),
            predicate_type: SPDX_PREDICATE.to_owned(),
            predicate: document(&subject, &inventory),
            subjects: Vec::new(),
        })
    }
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

/// The statements that a generator wrote, that about the image first.
fn generated(build: &Build, layers: &[LayerId]) -> anyhow::Result<Vec<Attestation>> {
    let Some(top) = layers.last() else {
        bail!("--sbom: the generator left no files");
    };
    let directory = SCAN_DESTINATION.trim_start_matches('/');
    let files = files_in(&build.store, *top, directory, MAX_STATEMENT_BYTES)?;
    if files.is_empty() {
        bail!("--sbom: the generator wrote nothing to {SCAN_DESTINATION}");
    }
    let mut statements = files
        .into_iter()
        .map(|(name, bytes)| {
            statement(&name, &bytes)
                .with_context(|| format!("--sbom: failed to use {name} of the generator"))
        })
        .collect::<anyhow::Result<Vec<_>>>()?;
    let is_core = |one: &Attestation| one.file_name.split('.').next() == Some(CORE);
    statements.sort_by_key(|one| (!is_core(one), one.file_name.clone()));
    Ok(statements)
}

fn statement(name: &str, bytes: &[u8]) -> anyhow::Result<Attestation> {
    let mut statement: Value =
        serde_json::from_slice(bytes).context("it is no in-toto statement")?;
    if statement["predicateType"] != SPDX_PREDICATE {
        let kind = &statement["predicateType"];
        bail!("its predicate type is {kind}, not {SPDX_PREDICATE:?}");
    }
    let subjects = statement["subject"]
        .as_array()
        .map_or(&[][..], Vec::as_slice);
    let subjects = subjects
        .iter()
        .filter_map(InTotoSubject::from_json)
        .collect();
    Ok(Attestation {
        file_name: name.to_owned(),
        predicate_type: SPDX_PREDICATE.to_owned(),
        predicate: statement["predicate"].take(),
        subjects,
    })
}

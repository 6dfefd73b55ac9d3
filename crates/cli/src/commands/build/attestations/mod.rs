//! `--attest`, `--provenance`, `--sbom`: what was asked for, and making it once the steps are done.
//!
//! ```text
//! flags → Attests        plan + what sources turned out to be → provenance ─┐
//!                        layers → packages → SPDX                          ─┴→ Attestation, for each image
//! ```

mod provenance;
mod request;
mod sbom;
mod vcs;

use rbuild_attest::Attestation;
use rbuild_plan::Planned;
use rbuild_solve::{Build, Solution};

pub(super) use self::provenance::{Told, for_metadata};
pub(super) use self::request::{Attests, Inline};
use super::contexts::Inputs;
use super::internal::InternalSteps;
use super::request::Request;
use crate::app::App;

/// What is attested of one image, and where it may go.
pub(super) type Made = Vec<(Attestation, Inline)>;

/// The attestations of each image of `planned`, in its order.
pub(super) fn make(
    app: &App,
    request: &Request,
    inputs: &Inputs,
    planned: &Planned,
    solution: &Solution,
    (build, told): (&Build, &Told),
    steps: &InternalSteps,
) -> anyhow::Result<Vec<Made>> {
    let mut made: Vec<Made> = planned.plan.outputs.iter().map(|_| Vec::new()).collect();
    if request.attests.sbom.is_some() {
        let documents = sbom::make(app, request, planned, solution, build, steps)?;
        for (of_image, document) in made.iter_mut().zip(documents) {
            of_image.extend(document.into_iter().map(|one| (one, Inline::Anywhere)));
        }
    }
    if let Some(wanted) = &request.attests.provenance {
        let invocation = provenance::invocation(app, request, inputs, told, wanted)?;
        for (of_image, output) in made.iter_mut().zip(&planned.plan.outputs) {
            let resolved = provenance::resolved(build);
            let document =
                provenance::attestation(wanted, inputs, planned, output, &resolved, &invocation);
            of_image.push((document, wanted.inline));
        }
    }
    Ok(made)
}

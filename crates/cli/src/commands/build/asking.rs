//! `--call` and `--check`: questions about a Dockerfile, and how their answers are told.

use std::process::ExitCode;

use rbuild_plan::targets;

use super::answers::{self, Answer, Verdict};
use super::call::{Call, Format, Function, Status};
use super::contexts::Inputs;
use super::internal::InternalSteps;
use super::places::Places;
use super::planning::{self, Unplanned};
use super::request::{Diagnostics, Request};
use super::{ci_log, result_files};
use crate::app::App;
use crate::render;

/// Answers a question about the Dockerfile.
pub(super) fn ask(
    app: &App,
    request: &Request,
    inputs: &Inputs,
    call: Call,
    steps: &InternalSteps,
) -> anyhow::Result<Answer> {
    let source = &inputs.source;
    if call.function == Function::Describe {
        return Ok(answers::methods());
    }
    let lines = source.line_index();
    let understood = match (planning::understand(request, source), call.function) {
        (Ok(understood), _) => understood,
        (Err(Unplanned::Mistakes(findings)), Function::Check) => {
            let places = Places::new(source, &lines);
            return Ok(answers::check(places, &findings));
        }
        (Err(unplanned), _) => return Err(unplanned.into_error(source)),
    };
    let places = Places::new(source, &lines);
    if call.function == Function::Targets {
        return Ok(answers::targets(places, &targets(&understood.dockerfile)));
    }
    match (
        planning::plan(app, request, inputs, &understood, steps),
        call.function,
    ) {
        (Ok(planned), Function::Check) => Ok(answers::check(places, &planned.warnings)),
        (Ok(planned), _) => Ok(answers::outline(places, &planned.outline)),
        (Err(Unplanned::Mistakes(findings)), Function::Check) => {
            Ok(answers::check(places, &findings))
        }
        (Err(unplanned), _) => Err(unplanned.into_error(source)),
    }
}

/// Prints an answer; with `--diagnostics=json`, that of a check is told finding by finding.
pub(super) fn tell(
    app: &App,
    request: &Request,
    call: Call,
    answer: &Answer,
) -> anyhow::Result<ExitCode> {
    result_files::write_answer(request, call, answer)?;
    ci_log::annotate(app, request, &answer.findings)?;
    let as_findings = call.function == Function::Check && request.diagnostics == Diagnostics::Json;
    if as_findings {
        print_findings(&answer.findings)?;
    } else {
        render::out(&match call.format {
            Format::Json => format!("{:#}\n", answer.json),
            Format::Text => answer.text.clone(),
        })?;
    }
    if let Some(error) = &answer.error {
        anyhow::bail!("{error}");
    }
    let failed = answer.verdict == Verdict::Bad && call.status == Status::Told;
    Ok(ExitCode::from(u8::from(failed)))
}

/// One JSON object on each line.
pub(super) fn print_findings(findings: &[serde_json::Value]) -> anyhow::Result<()> {
    let lines: Vec<String> = findings.iter().map(|one| format!("{one}\n")).collect();
    Ok(render::out(&lines.concat())?)
}

//! `rbuild cache why`: for each step of a Dockerfile when it ran last, and what was different from the run before.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::bail;
use rbuild_cache::{Explanation, Ran, Reason, last_runs};
use rbuild_progress::redacted;
use serde_json::{Value, json};

use crate::app::App;
use crate::commands::build::project_scope;
use crate::commands::documents;
use crate::commands::format::Format;
use crate::render::{self, ago};

/// Digits of a key that are shown.
const KEY_DIGITS: usize = 12;

// What was typed after `rbuild cache why`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only steps whose name has this in it: `RUN make`
    step: Option<String>,
    /// The directory that is built
    #[arg(long, value_name = "CONTEXT", default_value = ".")]
    context: String,
    /// Its Dockerfile, as it is given to `rbuild build`
    #[arg(short, long, value_name = "FILE")]
    file: Option<String>,
    /// json, or a template such as '{{.Step}} {{.Why}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints the reasons.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let scope = project_scope(&args.context, args.file.as_deref())?;
    let runs = last_runs(app.store()?, &scope)?;
    if runs.is_empty() {
        bail!(
            "no step of a Dockerfile in {:?} is in the cache: with another context or Dockerfile, say which (--context, -f)",
            args.context
        );
    }
    let wanted = args.step.as_deref().map(str::to_lowercase);
    let is_wanted = |ran: &&Ran| {
        let name = ran.record.name.to_lowercase();
        wanted.as_ref().is_none_or(|wanted| name.contains(wanted))
    };
    let chosen: Vec<&Ran> = runs.iter().filter(is_wanted).collect();
    if let (true, Some(step)) = (chosen.is_empty(), &args.step) {
        bail!("no step has {step:?} in its name; without it, all are listed");
    }
    let text = match format {
        Some(format) => format.render(&chosen.iter().map(|ran| row(ran)).collect::<Vec<_>>())?,
        None => chosen
            .iter()
            .map(|ran| paragraph(ran, app.environment.now()))
            .collect::<Vec<_>>()
            .join("\n"),
    };
    render::out(&redacted(&text))?;
    Ok(ExitCode::SUCCESS)
}

fn row(ran: &Ran) -> Value {
    let earlier = ran.explanation.earlier.as_ref();
    let why: Vec<String> = words(&ran.explanation);
    json!({
        "Step": ran.record.name,
        "Key": ran.record.key.to_string(),
        "RanAt": documents::rfc3339(ran.record.created),
        "Seconds": ran.record.run_time.as_secs_f64(),
        "EarlierKey": earlier.map(|earlier| earlier.key.to_string()),
        "EarlierRanAt": earlier.map(|earlier| documents::rfc3339(earlier.created)),
        "Why": why.join("; "),
        "Reasons": ran.explanation.reasons,
    })
}

fn paragraph(ran: &Ran, now: SystemTime) -> String {
    let when = ago(documents::age(now, ran.record.created));
    let seconds = ran.record.run_time.as_secs_f64();
    let mut text = format!("{}\n  ran {when}, for {seconds:.1} s\n", ran.record.name);
    text.push_str(&explained(&ran.explanation, now));
    text
}

/// An explanation's lines.
pub(crate) fn explained(explanation: &Explanation, now: SystemTime) -> String {
    let mut text = String::new();
    for (number, words) in words(explanation).iter().enumerate() {
        let before = if number == 0 { "because" } else { "       " };
        let _ = writeln!(text, "  {before} {words}");
    }
    if let Some(earlier) = &explanation.earlier {
        let key = earlier.key.to_string();
        let when = ago(documents::age(now, earlier.created));
        let _ = writeln!(
            text,
            "  compared with the run of {when} ({})",
            &key[..KEY_DIGITS]
        );
    }
    text
}

/// Every reason, and of files each.
fn words(explanation: &Explanation) -> Vec<String> {
    explanation
        .reasons
        .iter()
        .flat_map(Reason::in_full)
        .collect()
}

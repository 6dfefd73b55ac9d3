//! `rbuild history`: how an image came to be, the newest step first.

use std::process::ExitCode;

use rbuild_image::HistoryEntry;
use rbuild_store::StoredImage;
use serde_json::{Value, json};

use super::format::Format;
use super::{documents, lookup};
use crate::app::App;
use crate::render::{self, Table, ago, bytes_decimal};

/// Letters of CREATED BY that are shown.
const CREATED_BY_LETTERS: usize = 45;

// What was typed after `rbuild history`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    image: String,
    /// Complete commands and IDs
    #[arg(long)]
    no_trunc: bool,
    /// Only image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Sizes and times for people
    #[arg(short = 'H', long, num_args = 0..=1, require_equals = true)]
    #[arg(default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    human: bool,
    /// Of the image for this platform, where it is for several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
    /// json, or a template such as '{{.ID}} {{.CreatedBy}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Prints an image's history.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let store = app.store()?;
    let found = lookup::image(store, &args.image)?;
    let resolved = documents::chosen(app, &found.image, &args.image, args.platform.as_deref())?;
    let sizes = documents::layer_sizes(store, &resolved)?;
    let steps = steps(&resolved.config.history, &sizes);
    let rows: Vec<Value> = steps
        .iter()
        .enumerate()
        .map(|(number, step)| row(app, args, &found.image, number, step))
        .collect();
    let text = match format {
        _ if args.quiet => column(&rows, "ID"),
        Some(format) => format.render(&rows)?,
        None => table(&rows),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// A line of the history.
#[derive(Debug, PartialEq)]
struct Step {
    entry: HistoryEntry,
    bytes: u64,
}

/// History and layers brought together, newest first. Layers of which the history says nothing are shown all the same.
fn steps(history: &[HistoryEntry], sizes: &[u64]) -> Vec<Step> {
    let mut sizes = sizes.iter();
    let mut steps: Vec<Step> = history
        .iter()
        .map(|entry| Step {
            bytes: if entry.empty_layer {
                0
            } else {
                sizes.next().copied().unwrap_or(0)
            },
            entry: entry.clone(),
        })
        .collect();
    steps.extend(sizes.map(|bytes| Step {
        entry: HistoryEntry::default(),
        bytes: *bytes,
    }));
    steps.reverse();
    steps
}

fn row(app: &App, args: &Args, image: &StoredImage, number: usize, step: &Step) -> Value {
    let id = match (number, args.no_trunc) {
        (0, true) => image.id.to_string(),
        (0, false) => image.id.short(),
        _ => "<missing>".to_owned(),
    };
    let created = step.entry.created.as_deref().and_then(documents::time);
    let since = created.map_or_else(
        || "N/A".to_owned(),
        |created| ago(documents::age(app.environment.now(), created)),
    );
    let at = created.map_or_else(|| "N/A".to_owned(), documents::rfc3339);
    let by = step.entry.created_by.replace(['\t', '\n'], " ");
    json!({
        "Comment": step.entry.comment,
        "CreatedAt": at,
        "CreatedBy": if args.no_trunc { by } else { shortened(&by, CREATED_BY_LETTERS) },
        "CreatedSince": if args.human { since } else { at.clone() },
        "ID": id,
        "Size": if args.human { bytes_decimal(step.bytes) } else { step.bytes.to_string() },
    })
}

/// At most `letters` letters, the last an ellipsis where something is missing.
pub(super) fn shortened(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters - 1).chain(['…']).collect()
}

/// One field of every row, a line each.
pub(super) fn column(rows: &[Value], field: &str) -> String {
    let cells = rows.iter().map(|row| cell(row, field));
    cells.map(|cell| cell + "\n").collect()
}

/// A field of a row that is text.
pub(super) fn cell(row: &Value, field: &str) -> String {
    row[field].as_str().unwrap_or_default().to_owned()
}

fn table(rows: &[Value]) -> String {
    let mut table = Table::new(&["IMAGE", "CREATED", "CREATED BY", "SIZE", "COMMENT"]);
    for row in rows {
        let fields = ["ID", "CreatedSince", "CreatedBy", "Size", "Comment"];
        table.row(fields.map(|field| cell(row, field)));
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(created_by: &str, empty_layer: bool) -> HistoryEntry {
        HistoryEntry {
            created_by: created_by.to_owned(),
            empty_layer,
            ..HistoryEntry::default()
        }
    }

    #[test]
    fn sizes_belong_to_the_steps_that_made_layers() {
        let history = [entry("ADD", false), entry("ENV", true), entry("RUN", false)];
        let shown: Vec<(String, u64)> = steps(&history, &[10, 20])
            .into_iter()
            .map(|step| (step.entry.created_by, step.bytes))
            .collect();
        let expected = [("RUN", 20), ("ENV", 0), ("ADD", 10)];
        assert_eq!(shown, expected.map(|(by, bytes)| (by.to_owned(), bytes)));
    }

    #[test]
    fn layers_without_history_are_shown() {
        assert_eq!(steps(&[], &[7]).len(), 1);
    }

    #[test]
    fn long_commands_are_cut_with_an_ellipsis() {
        let long = "x".repeat(50);
        assert_eq!(shortened(&long, 45).chars().count(), 45);
        assert!(shortened(&long, 45).ends_with('…'));
        assert_eq!(shortened("short", 45), "short");
    }
}

//! `rbuild layers`: what each layer of an image added, changed and removed, and what of it later ones hide.
//!
//! ```text
//! LAYER          SIZE      ADDED          CHANGED       REMOVED       HIDDEN      CREATED BY
//! 0ac1b9e2e6b1   4.26MB    410 (4.26MB)   0             0             1 (12kB)    ADD rootfs.tar /
//! 77c5d1a5b1d0   12kB      1 (10B)        1 (12kB)      2 (4.1kB)     0           RUN make install
//!
//! 2 layers, 4.272MB: 12kB (0%) of it hidden by later layers
//! ```

mod stack;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::stack::{Count, LayerStory, Stack};
use super::fetch::{self, Layers, Words};
use super::format::Format;
use super::history::{cell, shortened};
use super::pull::cancelled_by_the_user;
use super::{documents, lookup};
use crate::app::App;
use crate::render::{self, Board, Table, Voice, bytes_decimal, bytes_human};

/// Letters of CREATED BY that are shown.
const CREATED_BY_LETTERS: usize = 45;

// What was typed after `rbuild layers`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image
    image: String,
    /// Also the paths: A added, C changed, D removed, each with the bytes that it has in the layer
    #[arg(short, long)]
    paths: bool,
    /// Complete IDs and commands
    #[arg(long)]
    no_trunc: bool,
    /// json, or a template such as '{{.ID}} {{.HiddenBytes}}', for each layer
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Tells it, the bottom layer first.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let found = lookup::image(app.store()?, &args.image)?;
    let image = documents::any_platform(app, &found.image)?;
    let here = extracted(app, &image)?;
    let mut stack = Stack::default();
    for layer in &here.layers {
        stack.lay(&*layer.index()?);
    }
    let mut makers = image
        .config
        .history
        .iter()
        .filter(|entry| !entry.empty_layer);
    let layers = stack.stories().iter().zip(&image.config.rootfs.diff_ids);
    let rows: Vec<Value> = layers
        .map(|(story, diff_id)| {
            let maker = makers
                .next()
                .map_or("", |entry| match entry.created_by.as_str() {
                    "" => &entry.comment,
                    step => step,
                });
            row(args, story, &diff_id.0, maker)
        })
        .collect();
    let text = match format {
        Some(format) => format.render(&rows)?,
        None => table(args, stack.stories(), &rows) + &total(stack.stories()),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// The layers with their files; what is missing of a pulled image is fetched.
pub(super) fn extracted(app: &App, image: &rbuild_plan::ResolvedImage) -> anyhow::Result<Layers> {
    let cancel = cancelled_by_the_user(app)?;
    let board = &mut Board::new(Voice::Silent);
    fetch::layers(
        app,
        image,
        &image.config.platform(),
        (Words::PULL, board),
        &cancel,
    )
}

fn row(args: &Args, story: &LayerStory, diff_id: &rbuild_image::Digest, maker: &str) -> Value {
    let maker = maker.replace(['\t', '\n'], " ");
    let mut row = json!({
        "ID": if args.no_trunc { diff_id.to_string() } else { diff_id.short() },
        "CreatedBy": if args.no_trunc { maker } else { shortened(&maker, CREATED_BY_LETTERS) },
        "Size": bytes_decimal(story.bytes),
        "SizeBytes": story.bytes,
        "Added": story.added.paths,
        "AddedBytes": story.added.bytes,
        "Changed": story.changed.paths,
        "ChangedBytes": story.changed.bytes,
        "Removed": story.removed.paths,
        "RemovedBytes": story.removed.bytes,
        "Hidden": story.hidden.paths,
        "HiddenBytes": story.hidden.bytes,
    });
    if args.paths {
        let path = |touched: &stack::Touched| {
            json!({
                "Kind": touched.letter.to_string(),
                "Path": shown(&touched.path),
                "Bytes": touched.bytes,
            })
        };
        row["Paths"] = story.touched.iter().map(path).collect();
    }
    row
}

/// A path as people write it.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

fn table(args: &Args, stories: &[LayerStory], rows: &[Value]) -> String {
    let columns = |table: &mut Table, (row, story): (&Value, &LayerStory)| {
        table.row([
            cell(row, "ID"),
            cell(row, "Size"),
            counted(story.added),
            counted(story.changed),
            counted(story.removed),
            counted(story.hidden),
            cell(row, "CreatedBy"),
        ]);
    };
    let header = [
        "LAYER",
        "SIZE",
        "ADDED",
        "CHANGED",
        "REMOVED",
        "HIDDEN",
        "CREATED BY",
    ];
    let mut table = Table::new(&header);
    for one in rows.iter().zip(stories) {
        columns(&mut table, one);
    }
    let text = table.render();
    if !args.paths {
        return text;
    }
    let mut lines = text.lines();
    let mut text = format!("{}\n", lines.next().unwrap_or_default());
    for (line, story) in lines.zip(stories) {
        text.push_str(line);
        text.push('\n');
        for touched in &story.touched {
            let (path, size) = (shown(&touched.path), bytes_decimal(touched.bytes));
            text.push_str(&[&format!("  {} {path}", touched.letter), " (", &size, ")\n"].concat());
        }
    }
    text
}

/// `3 (12kB)`
fn counted(count: Count) -> String {
    match count.paths {
        0 => "0".to_owned(),
        paths => format!("{paths} ({})", bytes_decimal(count.bytes)),
    }
}

fn total(stories: &[LayerStory]) -> String {
    let bytes: u64 = stories.iter().map(|story| story.bytes).sum();
    let hidden: u64 = stories.iter().map(|story| story.hidden.bytes).sum();
    let share = (hidden * 100).checked_div(bytes).unwrap_or(0);
    let layers = match stories.len() {
        1 => "1 layer".to_owned(),
        several => format!("{several} layers"),
    };
    format!(
        "\n{layers}, {}: {} ({share}%) of it hidden by later layers\n",
        bytes_human(bytes),
        bytes_human(hidden)
    )
}

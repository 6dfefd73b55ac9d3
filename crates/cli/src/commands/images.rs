//! `rbuild images`: what is in the local store.

use std::process::ExitCode;
use std::time::SystemTime;

use rbuild_image::Reference;
use rbuild_store::{Store, StoredImage};
use serde_json::{Value, json};

use super::filter::Filters;
use super::format::Format;
use super::{documents, lookup};
use crate::app::App;
use crate::refused::{Refusal, Refused, Table, flag};
use crate::render::{self, ago, bytes_decimal};

// What was typed after `rbuild images`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "flags, as they are typed")]
pub(crate) struct Args {
    /// Only images of this repository
    #[arg(value_name = "REPOSITORY[:TAG]")]
    repository: Option<String>,
    /// All images (there are no hidden ones: what steps made is not listed as images)
    #[arg(short, long)]
    all: bool,
    /// Only image IDs
    #[arg(short, long)]
    quiet: bool,
    /// Show digests
    #[arg(long)]
    digests: bool,
    /// Complete IDs
    #[arg(long)]
    no_trunc: bool,
    /// Only images that fit: reference=PATTERN, dangling=true|false, label=KEY[=VALUE], before=IMAGE, since=IMAGE, until=24h
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// json, or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    #[command(flatten)]
    refused: Refused<OfImages>,
}

/// Options that are refused.
#[derive(Debug)]
struct OfImages;

impl Table for OfImages {
    const REFUSED: &'static [Refusal] = &[flag(
        "tree",
        "the platforms of an image are shown by rbuild imagetools inspect, its layers by rbuild layers",
    )];
}

/// Lists images.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let store = app.store()?;
    let choice = Choice::new(app, args)?;
    let mut rows = Vec::new();
    for image in store.images()? {
        let image = Listed::read(app, store, image)?;
        let names: Vec<Option<&Reference>> = match image.stored.names.as_slice() {
            [] => vec![None],
            names => names.iter().map(Some).collect(),
        };
        let shown = names.into_iter().filter(|name| choice.fits(&image, *name));
        rows.extend(shown.map(|name| Row::new(&image, name)));
    }
    rows.sort_by(|one, other| {
        (other.created, &one.repository, &one.tag).cmp(&(
            one.created,
            &other.repository,
            &other.tag,
        ))
    });
    let text = match format {
        _ if args.quiet => quiet(args, &rows),
        Some(format) => {
            let now = app.environment.now();
            let rows: Vec<Value> = rows.iter().map(|row| row.json(args, now)).collect();
            format.render(&rows)?
        }
        None => table(args, &rows, app.environment.now()),
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// An image, and what its documents say.
struct Listed {
    stored: StoredImage,
    created: Option<SystemTime>,
    bytes: u64,
    labels: std::collections::BTreeMap<String, String>,
}

impl Listed {
    /// When it was made; of one that does not say, long ago.
    fn made(&self) -> SystemTime {
        self.created.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    fn read(app: &App, store: &Store, stored: StoredImage) -> anyhow::Result<Self> {
        // An image that cannot be read is listed, so that it can be removed.
        let Ok(resolved) = documents::any_platform(app, &stored) else {
            return Ok(Self {
                created: None,
                bytes: 0,
                labels: std::collections::BTreeMap::new(),
                stored,
            });
        };
        Ok(Self {
            created: documents::created(&resolved),
            bytes: documents::layer_sizes(store, &resolved)?.iter().sum(),
            labels: resolved.config.config.labels.clone(),
            stored,
        })
    }
}

/// Names of filters.
const KEYS: &[&str] = &[
    "reference",
    "dangling",
    "label",
    "label!",
    "before",
    "since",
    "until",
];

/// The images that are asked for.
struct Choice {
    filters: Filters,
    dangling: Option<bool>,
    before: Option<SystemTime>,
    since: Option<SystemTime>,
    until: Option<SystemTime>,
    repository: Option<String>,
}

impl Choice {
    fn new(app: &App, args: &Args) -> anyhow::Result<Self> {
        let filters = Filters::parse(&args.filters, KEYS)?;
        let made = |key| {
            let name = filters.one(key)?;
            name.map(|name| when_made(app, name)).transpose()
        };
        Ok(Self {
            dangling: filters.truth("dangling")?,
            before: made("before")?,
            since: made("since")?,
            until: filters.until(app.environment.now())?,
            repository: args.repository.clone(),
            filters,
        })
    }

    fn fits(&self, image: &Listed, name: Option<&Reference>) -> bool {
        let called = |pattern: &str| name.is_some_and(|name| fits_pattern(name, pattern));
        self.repository.as_deref().is_none_or(called)
            && self.filters.any("reference", called)
            && self.dangling.is_none_or(|wanted| name.is_none() == wanted)
            && self.before.is_none_or(|before| image.made() < before)
            && self.since.is_none_or(|since| image.made() > since)
            && self.until.is_none_or(|until| image.made() < until)
            && self.filters.labels_fit(&image.labels)
    }
}

fn when_made(app: &App, name: &str) -> anyhow::Result<SystemTime> {
    let found = lookup::image(app.store()?, name)?;
    let image = documents::any_platform(app, &found.image)?;
    Ok(documents::created(&image).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// Whether the familiar or the complete name fits; without a tag in the pattern, any tag does.
fn fits_pattern(name: &Reference, pattern: &str) -> bool {
    let complete = format!("{}/{}", name.registry(), name.repository());
    let tag = name.tag().unwrap_or_default();
    [name.familiar_repository(), complete]
        .iter()
        .any(|name| matches(pattern, name) || matches(pattern, &format!("{name}:{tag}")))
}

/// A shell's pattern: `*` and `?` stop at `/`.
fn matches(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.as_bytes(), text.as_bytes());
    match (pattern.split_first(), text.split_first()) {
        (None, None) => true,
        (Some((b'*', rest)), _) => {
            let run = text.iter().take_while(|&&byte| byte != b'/').count();
            (0..=run).any(|skipped| matches_bytes(rest, &text[skipped..]))
        }
        (Some((wanted, rest)), Some((found, more))) => {
            (wanted == found || (*wanted == b'?' && *found != b'/')) && matches_bytes(rest, more)
        }
        _ => false,
    }
}

fn matches_bytes(pattern: &[u8], text: &[u8]) -> bool {
    match (std::str::from_utf8(pattern), std::str::from_utf8(text)) {
        (Ok(pattern), Ok(text)) => matches(pattern, text),
        _ => false,
    }
}

/// One name of an image.
struct Row {
    repository: String,
    tag: String,
    digest: String,
    id: rbuild_image::Digest,
    created: Option<SystemTime>,
    bytes: u64,
}

const NONE: &str = "<none>";

impl Row {
    fn new(image: &Listed, name: Option<&Reference>) -> Self {
        let none = || NONE.to_owned();
        let digest = name.and_then(|name| documents::repository_digest(&image.stored, name));
        Self {
            repository: name.map_or_else(none, Reference::familiar_repository),
            tag: name
                .and_then(Reference::tag)
                .map_or_else(none, str::to_owned),
            digest: digest.map_or_else(none, |digest| digest.to_string()),
            id: image.stored.id,
            created: image.created,
            bytes: image.bytes,
        }
    }

    fn id(&self, args: &Args) -> String {
        if args.no_trunc {
            self.id.to_string()
        } else {
            self.id.short()
        }
    }

    fn age(&self, now: SystemTime) -> String {
        self.created.map_or_else(
            || "N/A".to_owned(),
            |created| ago(documents::age(now, created)),
        )
    }

    fn json(&self, args: &Args, now: SystemTime) -> Value {
        json!({
            "Containers": "N/A",
            "CreatedAt": self.created.map_or_else(|| "N/A".to_owned(), documents::table_time),
            "CreatedSince": self.age(now),
            "Digest": self.digest,
            "ID": self.id(args),
            "Repository": self.repository,
            "SharedSize": "N/A",
            "Size": bytes_decimal(self.bytes),
            "Tag": self.tag,
            "UniqueSize": "N/A",
        })
    }
}

/// The IDs, a line a name, in the order of the table.
fn quiet(args: &Args, rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        text.push_str(&row.id(args));
        text.push('\n');
    }
    text
}

fn table(args: &Args, rows: &[Row], now: SystemTime) -> String {
    let mut header = vec!["REPOSITORY", "TAG"];
    if args.digests {
        header.push("DIGEST");
    }
    header.extend(["IMAGE ID", "CREATED", "SIZE"]);
    let mut table = render::Table::new(&header);
    for row in rows {
        let mut cells = vec![row.repository.clone(), row.tag.clone()];
        if args.digests {
            cells.push(row.digest.clone());
        }
        cells.extend([row.id(args), row.age(now), bytes_decimal(row.bytes)]);
        table.row(cells);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_fit_familiar_and_complete_names() {
        let name: Reference = "debian:bookworm".parse().expect("a name");
        for pattern in [
            "debian",
            "deb*",
            "debian:book*",
            "docker.io/library/*:bookworm",
            "d?bian",
        ] {
            assert!(fits_pattern(&name, pattern), "{pattern}");
        }
        for pattern in ["deb", "*:bullseye", "debian:b", "library"] {
            assert!(!fits_pattern(&name, pattern), "{pattern}");
        }
    }

    #[test]
    fn a_star_stops_at_a_slash() {
        assert!(!matches("*", "team/app"));
        assert!(matches("team/*", "team/app"));
    }
}

//! `rbuild images`: what is in the local store.

use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rbuild_image::Reference;
use rbuild_store::{Store, StoredImage};
use serde_json::{Value, json};

use super::format::Format;
use super::{documents, lookup};
use crate::app::App;
use crate::render::{self, Table, ago, bytes_decimal};

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
    /// Only images that fit: reference=PATTERN, dangling=true|false, label=KEY[=VALUE], before=IMAGE, since=IMAGE
    #[arg(short, long = "filter", value_name = "FILTER")]
    filters: Vec<String>,
    /// json, or a template such as '{{.Repository}}:{{.Tag}}'
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
}

/// Lists images.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let store = app.store()?;
    let mut filters = args
        .filters
        .iter()
        .map(|text| Filter::parse(app, store, text))
        .collect::<anyhow::Result<Vec<_>>>()?;
    if let Some(repository) = &args.repository {
        filters.push(Filter::Reference(repository.clone()));
    }
    let mut rows = Vec::new();
    for image in store.images()? {
        let image = Listed::read(app, store, image)?;
        let fits = |name: Option<&Reference>| filters.iter().all(|one| one.fits(&image, name));
        let names: Vec<Option<&Reference>> = match image.stored.names.as_slice() {
            [] => vec![None],
            names => names.iter().map(Some).collect(),
        };
        let shown = names.into_iter().filter(|name| fits(*name));
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

/// A `--filter`.
enum Filter {
    Reference(String),
    Dangling(bool),
    Label(String, Option<String>),
    Before(Option<SystemTime>),
    Since(Option<SystemTime>),
}

impl Filter {
    fn parse(app: &App, store: &Store, text: &str) -> anyhow::Result<Self> {
        let (key, value) = text
            .split_once('=')
            .with_context(|| format!("invalid filter {text:?}: it is KEY=VALUE"))?;
        let time = || {
            let found = lookup::image(store, value)?;
            anyhow::Ok(documents::created(&*documents::any_platform(
                app,
                &found.image,
            )?))
        };
        Ok(match key {
            "reference" => Self::Reference(value.to_owned()),
            "dangling" => Self::Dangling(match value {
                "true" | "1" => true,
                "false" | "0" => false,
                _ => bail!("invalid filter {text:?}: dangling is true or false"),
            }),
            "label" => match value.split_once('=') {
                Some((label, value)) => Self::Label(label.to_owned(), Some(value.to_owned())),
                None => Self::Label(value.to_owned(), None),
            },
            "before" => Self::Before(time()?),
            "since" => Self::Since(time()?),
            _ => bail!(
                "invalid filter {text:?}: there are reference, dangling, label, before and since"
            ),
        })
    }

    fn fits(&self, image: &Listed, name: Option<&Reference>) -> bool {
        match self {
            Self::Reference(pattern) => name.is_some_and(|name| fits_pattern(name, pattern)),
            Self::Dangling(wanted) => name.is_none() == *wanted,
            Self::Label(label, value) => image
                .labels
                .get(label)
                .is_some_and(|found| value.as_ref().is_none_or(|value| value == found)),
            Self::Before(time) => image.created < *time,
            Self::Since(time) => image.created > *time,
        }
    }
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
    let mut table = Table::new(&header);
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

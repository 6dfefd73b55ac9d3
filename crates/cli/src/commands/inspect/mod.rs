//! `rbuild inspect`: all that is known of images and containers, in docker's words.

mod config;
mod container;
mod host_config;
mod image;

use std::process::ExitCode;

use serde_json::Value;

pub(super) use self::host_config::network_mode;
use super::format::Format;
use super::{lookup, network, volume};
use crate::app::App;
use crate::render;

/// A time that never was, as docker writes it.
const NEVER: &str = "0001-01-01T00:00:00Z";

// What was typed after `rbuild inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    sized: Sized,
    /// Only objects of this kind
    #[arg(long = "type", value_enum)]
    kind: Option<Kind>,
}

// Containers, with how much disk they take where that is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct Sized {
    #[command(flatten)]
    named: Named,
    /// Of containers also how much disk they take: their own files, and all that they see
    #[arg(short, long)]
    size: bool,
}

// What is to be shown, and how.
#[derive(Debug, clap::Args)]
pub(crate) struct Named {
    /// Names or IDs
    #[arg(required = true)]
    names: Vec<String>,
    /// json, or a template such as '{{.Config.User}}' or '{{json .RootFS}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
}

/// What can be inspected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// An image.
    Image,
    /// A container.
    Container,
    /// A network.
    Network,
    /// A volume.
    Volume,
}

/// Prints what was found, and fails for what was not.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    show(app, &args.sized.named, args.kind, Detail::of(&args.sized))
}

/// `rbuild container inspect`
pub(crate) fn run_containers(app: &App, args: &Sized) -> anyhow::Result<ExitCode> {
    show(app, &args.named, Some(Kind::Container), Detail::of(args))
}

/// `rbuild image inspect`
pub(crate) fn run_images(app: &App, args: &Named) -> anyhow::Result<ExitCode> {
    show(app, args, Some(Kind::Image), Detail::Known)
}

/// What is told of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// What is known of it.
    Known,
    /// Also what has to be measured.
    Sizes,
}

impl Detail {
    fn of(args: &Sized) -> Self {
        if args.size { Self::Sizes } else { Self::Known }
    }
}

fn show(app: &App, args: &Named, kind: Option<Kind>, detail: Detail) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in &args.names {
        match object(app, name, kind, detail)? {
            Some(value) => found.push(value),
            None => missing.push(name),
        }
    }
    render::out(&match format {
        Some(format) => format.render(&found)?,
        None => format!("{}\n", indented(&Value::Array(found))?),
    })?;
    let Some(first) = missing.first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let kind = match kind {
        Some(Kind::Container) => "container",
        Some(Kind::Image) => "image",
        Some(Kind::Network) => "network",
        Some(Kind::Volume) => "volume",
        None => "object",
    };
    let hint = lookup::missing(app.store()?, first)?.to_string();
    let hint = hint.find(" (").map_or("", |at| &hint[at..]);
    let names: Vec<&str> = missing.iter().map(|name| name.as_str()).collect();
    anyhow::bail!("No such {kind}: {}{hint}", names.join(", "))
}

/// docker's indentation: four blanks.
pub(super) fn indented(value: &Value) -> anyhow::Result<String> {
    use serde::Serialize as _;
    let mut text = Vec::new();
    let form = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    value.serialize(&mut serde_json::Serializer::with_formatter(&mut text, form))?;
    Ok(String::from_utf8(text)?)
}

/// A container by that name, else an image, a network, or a volume.
fn object(
    app: &App,
    name: &str,
    kind: Option<Kind>,
    detail: Detail,
) -> anyhow::Result<Option<Value>> {
    let store = app.store()?;
    let may_be = |one| kind.is_none_or(|kind| kind == one);
    if may_be(Kind::Container)
        && let Some(container) = store.container(name)?
    {
        return Ok(Some(container::describe(store, &container, detail)?));
    }
    let image = if may_be(Kind::Image) {
        lookup::find(store, name)
    } else {
        Ok(None)
    };
    if let Ok(Some(found)) = &image {
        return Ok(Some(image::describe(app, &found.image)?));
    }
    if may_be(Kind::Network)
        && let Some(value) = network::find(app, name)?
    {
        return Ok(Some(value));
    }
    if may_be(Kind::Volume)
        && let Some(value) = volume::find(app, name)?
    {
        return Ok(Some(value));
    }
    // What is no image's name may be another object's.
    image.map(|_| None)
}

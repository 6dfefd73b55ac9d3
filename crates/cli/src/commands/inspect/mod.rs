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

// Images, of one platform where that is asked for.
#[derive(Debug, clap::Args)]
pub(crate) struct OfPlatform {
    #[command(flatten)]
    named: Named,
    /// The image for this platform, where it is for several
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
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
    show(app, &args.sized.named, About::new(&args.sized, args.kind))
}

/// `rbuild container inspect`
pub(crate) fn run_containers(app: &App, args: &Sized) -> anyhow::Result<ExitCode> {
    show(app, &args.named, About::new(args, Some(Kind::Container)))
}

/// `rbuild image inspect`
pub(crate) fn run_images(app: &App, args: &OfPlatform) -> anyhow::Result<ExitCode> {
    let about = About {
        kind: Some(Kind::Image),
        platform: args.platform.as_deref(),
        detail: Detail::Known,
    };
    show(app, &args.named, about)
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
struct About<'a> {
    /// Only objects of this kind.
    kind: Option<Kind>,
    /// Of images, the one for this platform.
    platform: Option<&'a str>,
    detail: Detail,
}

/// What is told of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Detail {
    /// What is known of it.
    Known,
    /// Also what has to be measured.
    Sizes,
}

impl About<'_> {
    fn new(args: &Sized, kind: Option<Kind>) -> Self {
        Self {
            kind,
            platform: None,
            detail: if args.size {
                Detail::Sizes
            } else {
                Detail::Known
            },
        }
    }
}

fn show(app: &App, args: &Named, about: About<'_>) -> anyhow::Result<ExitCode> {
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let mut found = Vec::new();
    let mut missing = Vec::new();
    for name in &args.names {
        match object(app, name, about)? {
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
    let kind = match about.kind {
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
fn object(app: &App, name: &str, about: About<'_>) -> anyhow::Result<Option<Value>> {
    let store = app.store()?;
    let may_be = |one| about.kind.is_none_or(|kind| kind == one);
    if may_be(Kind::Container)
        && let Some(container) = store.container(name)?
    {
        return Ok(Some(container::describe(store, &container, about.detail)?));
    }
    let image = if may_be(Kind::Image) {
        lookup::find(store, name)
    } else {
        Ok(None)
    };
    if let Ok(Some(found)) = &image {
        return Ok(Some(image::describe(
            app,
            &found.image,
            name,
            about.platform,
        )?));
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

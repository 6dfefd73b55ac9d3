//! `rbuild imagetools create`: one name for images that were pushed apart, as the jobs of a matrix build do.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_export::{Annotation, AnnotationPlace};
use rbuild_image::{Digest, Platform, Reference};
use rbuild_registry::Client;
use serde_json::json;

use super::index::{Single, combine};
use super::source::{Found, Source};
use crate::app::App;
use crate::commands::annotation;
use crate::commands::fetch::registry_failure;
use crate::commands::pull::cancelled_by_the_user;
use crate::render;

// What was typed after `rbuild imagetools create`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images that were pushed: names, digests in the repository of --tag, or descriptors in JSON
    sources: Vec<String>,
    /// Read a source's descriptor from a file
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Name to push the new image as, may be given several times
    #[arg(short, long = "tag", value_name = "NAME")]
    tags: Vec<String>,
    /// Add to what the name stands for now
    #[arg(long)]
    append: bool,
    /// Only show what would be pushed
    #[arg(long)]
    dry_run: bool,
    /// Annotate the index, or its entries: [index:|manifest-descriptor[PLATFORM]:]KEY=VALUE
    #[arg(long = "annotation", value_name = "ANNOTATION")]
    annotations: Vec<String>,
    /// Only the images for these platforms
    #[arg(
        short,
        long = "platform",
        value_name = "OS/ARCH",
        value_delimiter = ','
    )]
    platforms: Vec<String>,
    /// Make an index of a single image, too
    #[arg(long, num_args = 0..=1, require_equals = true)]
    #[arg(default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    prefer_index: bool,
    /// Write what was pushed to a file, as JSON
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
}

/// What is to be said of the index and its entries.
fn annotations(args: &Args) -> anyhow::Result<Vec<Annotation>> {
    let parse = |text: &String| annotation::parse(text, AnnotationPlace::Index);
    let parsed = args.annotations.iter().map(parse);
    let parsed = parsed.collect::<anyhow::Result<Vec<_>>>()?.concat();
    let is_in_index = |one: &&Annotation| {
        matches!(
            one.place,
            AnnotationPlace::Index | AnnotationPlace::ManifestDescriptor
        )
    };
    match parsed.iter().find(|one| !is_in_index(one)) {
        Some(one) => bail!(
            "the annotation {:?} cannot be set here, since manifests are taken as they are: use index or manifest-descriptor",
            one.key
        ),
        None => Ok(parsed),
    }
}

/// Creates an image of images.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let tags = tags(args)?;
    let sources = sources(args, &tags)?;
    let annotations = annotations(args)?;
    let platforms = args.platforms.iter().map(|text| text.parse());
    let platforms = platforms.collect::<Result<Vec<Platform>, _>>()?;
    let cancel = cancelled_by_the_user(app)?;
    let client = app.registry();
    let told = |error: anyhow::Error| match error.downcast_ref() {
        Some(error) => registry_failure(error, &cancel),
        None => error,
    };
    let default = only_repository(&tags, &sources);
    let found = sources.iter().map(|source| source.find(client, default));
    let found: Vec<Found> = found.collect::<anyhow::Result<_>>().map_err(told)?;
    let single = if args.prefer_index {
        Single::Indexed
    } else {
        Single::Copied
    };
    let document = combine(&found, &annotations, &platforms, single)?;
    if args.dry_run {
        let text = String::from_utf8_lossy(&document.bytes);
        render::out(&format!("{text}\n"))?;
        return Ok(ExitCode::SUCCESS);
    }
    for tag in &tags {
        push(client, &found, tag, &document.media_type, &document.bytes).map_err(told)?;
    }
    let digest = Digest::sha256_of(&document.bytes);
    if let Some(path) = &args.metadata_file {
        let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let metadata = json!({
            "containerimage.descriptor": {
                "mediaType": document.media_type,
                "digest": digest.to_string(),
                "size": document.bytes.len(),
            },
            "image.name": names.join(","),
        });
        std::fs::write(path, format!("{metadata:#}\n"))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    for tag in &tags {
        render::out(&format!("{}\n", tag.with_digest(digest)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn tags(args: &Args) -> anyhow::Result<Vec<Reference>> {
    if args.sources.is_empty() && args.files.is_empty() {
        bail!("no sources specified: name the images to put together");
    }
    if args.tags.is_empty() && !args.dry_run {
        bail!("nowhere to push to: name the new image with --tag, or only look with --dry-run");
    }
    if args.append && args.tags.is_empty() {
        bail!("--append needs --tag: the name that is added to");
    }
    let parsed = args.tags.iter().map(|tag| {
        let name: Reference = tag
            .parse()
            .with_context(|| format!("invalid name {tag:?}"))?;
        if name.digest().is_some() {
            bail!("invalid name {tag:?}: a digest cannot be chosen");
        }
        Ok(name)
    });
    parsed.collect()
}

/// All sources: what the name stands for now, files, arguments.
fn sources(args: &Args, tags: &[Reference]) -> anyhow::Result<Vec<Source>> {
    let mut sources = Vec::new();
    if args.append {
        sources.extend(tags.first().cloned().map(Source::Named));
    }
    for path in &args.files {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read {}", path.display()))?;
        sources.push(Source::parse(&text)?);
    }
    for text in &args.sources {
        sources.push(Source::parse(text)?);
    }
    Ok(sources)
}

/// Where digests alone are looked for: the repository that everything else is in.
fn only_repository<'a>(tags: &'a [Reference], sources: &'a [Source]) -> Option<&'a Reference> {
    let named = tags
        .iter()
        .chain(sources.iter().filter_map(Source::repository));
    let mut all: Vec<&Reference> = named.collect();
    let distinct: BTreeSet<(&str, &str)> = all
        .iter()
        .map(|name| (name.registry(), name.repository()))
        .collect();
    if distinct.len() == 1 { all.pop() } else { None }
}

fn push(
    client: &Client,
    sources: &[Found],
    tag: &Reference,
    media_type: &str,
    bytes: &[u8],
) -> anyhow::Result<()> {
    for source in sources {
        client.copy_manifest(&source.reference, source.resolved.digest, tag)?;
    }
    client.put_manifest(tag, media_type, bytes)?;
    Ok(())
}

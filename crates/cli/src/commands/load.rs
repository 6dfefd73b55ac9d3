//! `rbuild load`: images from an archive that `save` wrote, ours, docker's or podman's, or that is an OCI layout.
//!
//! All of the archive is read and checked before anything of it is in the store, and all layers are there before any image is. What
//! a load that was interrupted has brought so far is as with a pull: whole layers that nobody needs, for the next one.

use std::fs::File;
use std::io::{IsTerminal as _, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_image::{Digest, Platform, Reference, descriptor};
use rbuild_plan::{ImageOrigin, ResolvedImage};
use rbuild_solve::Cancel;
use rbuild_source::{ArchivedImage, ImageArchive, SourceError, unpacked};
use rbuild_store::{ImageOrigin as StoredOrigin, RootAttributes, Store};

use super::fetch::{self, Layers, Words};
use super::pull::cancelled_by_the_user;
use crate::app::App;
use crate::failure::chain;
use crate::render::{self, Board, Voice};

// What was typed after `rbuild load`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read from this file instead of standard input
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Of an image for several platforms, take this one
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Only what was loaded, no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Loads all images of the archive.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let (stream, name) = opened(args)?;
    let store = app.store()?;
    let cancel = cancelled_by_the_user(app)?;
    let scratch = store.draft(&RootAttributes::default())?;
    let fail = |error: &SourceError| anyhow::anyhow!("failed to {}", chain(error));
    let tar = unpacked(stream).with_context(|| format!("failed to read {name}"))?;
    let archive = ImageArchive::read(
        Cancellable {
            tar,
            cancel: &cancel,
        },
        &name,
        &scratch.diff_path(),
    )
    .map_err(|error| stopped(&cancel).unwrap_or_else(|| fail(&error)))?;
    let mut images = archive.images().map_err(|error| fail(&error))?;
    if let Some(text) = &args.platform {
        let wanted = text
            .parse::<Platform>()
            .with_context(|| format!("invalid platform {text:?}"))?;
        for image in &mut images {
            choose(image, &wanted)?;
        }
    }
    let named = images
        .iter()
        .map(names)
        .collect::<anyhow::Result<Vec<_>>>()?;
    let mut kept = Vec::new();
    let mut board = Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Terminal
    });
    for image in &images {
        extract(app, &archive, image, &cancel, &mut board, &mut kept)?;
    }
    for (image, names) in images.iter().zip(named) {
        render::out(&enter(store, image, &names)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The archive, and what to call it.
fn opened(args: &Args) -> anyhow::Result<(Box<dyn Read + Send>, String)> {
    if let Some(path) = &args.input {
        let file =
            File::open(path).with_context(|| format!("failed to open {}", path.display()))?;
        return Ok((Box::new(file), path.display().to_string()));
    }
    let stdin = std::io::stdin();
    if stdin.is_terminal() {
        bail!("there is nothing to load: give the archive with -i FILE, or on standard input");
    }
    Ok((Box::new(stdin), "standard input".to_owned()))
}

fn stopped(cancel: &Cancel) -> Option<anyhow::Error> {
    cancel
        .is_cancelled()
        .then(|| crate::failure::Interrupted.into())
}

/// The image's names, each once in whatever form it is written.
fn names(image: &ArchivedImage) -> anyhow::Result<Vec<Reference>> {
    let mut names: Vec<Reference> = Vec::new();
    for text in &image.names {
        let name = text
            .parse::<Reference>()
            .with_context(|| format!("the archive calls an image {text:?}, which is no name"))?;
        if name.tag().is_none() || name.digest().is_some() {
            bail!("the archive calls an image {name}: it needs a tag, and no digest");
        }
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// Leaves the one platform of an image that is wanted; its manifest is the image then.
fn choose(image: &mut ArchivedImage, wanted: &Platform) -> anyhow::Result<()> {
    let name = image
        .names
        .first()
        .map_or("the archive's image", String::as_str);
    if !image
        .platforms
        .iter()
        .any(|one| one.config.platform() == *wanted)
    {
        let there: Vec<String> = image
            .platforms
            .iter()
            .map(|one| one.config.platform().to_string())
            .collect();
        bail!(
            "{name} is not there for {wanted}, but for {}",
            there.join(", ")
        );
    }
    image
        .platforms
        .retain(|one| one.config.platform() == *wanted);
    let manifest = image.platforms.first().map(|one| one.manifest);
    let chosen = image
        .documents
        .iter()
        .find(|bytes| Some(Digest::sha256_of(bytes)) == manifest);
    if let (Some(digest), Some(bytes)) = (manifest, chosen) {
        image.head = descriptor(&media_type(bytes)?, digest, bytes.len() as u64);
    }
    Ok(())
}

/// What a manifest says that it is; OCI's need not say it.
fn media_type(manifest: &[u8]) -> anyhow::Result<String> {
    const OCI: &str = "application/vnd.oci.image.manifest.v1+json";
    let manifest: serde_json::Value = serde_json::from_slice(manifest)?;
    Ok(manifest["mediaType"].as_str().unwrap_or(OCI).to_owned())
}

/// Brings all layers of `image` into the store, where `kept` holds them.
fn extract(
    app: &App,
    archive: &ImageArchive,
    image: &ArchivedImage,
    cancel: &Cancel,
    board: &mut Board,
    kept: &mut Vec<Layers>,
) -> anyhow::Result<()> {
    let layout = archive.layout();
    let layout = layout.to_str().context("the store's path is not UTF-8")?;
    for one in &image.platforms {
        let platform = one.config.platform();
        let resolved = ResolvedImage {
            origin: ImageOrigin::OciLayout(layout.into()),
            manifest: one.manifest,
            config: one.config.clone(),
            layers: one.layers.clone(),
        };
        kept.push(fetch::layers(
            app,
            &resolved,
            &platform,
            (Words::LOAD, board),
            cancel,
        )?);
    }
    Ok(())
}

/// Enters an image whose layers are there; gives docker's lines.
fn enter(store: &Store, image: &ArchivedImage, names: &[Reference]) -> anyhow::Result<String> {
    for document in &image.documents {
        store.put_blob(document)?;
    }
    if names.is_empty() {
        let entered = store.add_image(&image.head, &StoredOrigin::Local)?;
        return Ok(format!("Loaded image ID: {}\n", entered.id));
    }
    let mut lines = Vec::new();
    for name in names {
        store.set_tag(name, &image.head)?;
        lines.push(format!("Loaded image: {}\n", name.familiar()));
    }
    Ok(lines.concat())
}

/// An archive whose reading ends when the user wants that.
struct Cancellable<'a, R> {
    tar: R,
    cancel: &'a Cancel,
}

impl<R: Read> Read for Cancellable<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.cancel.is_cancelled() {
            return Err(std::io::Error::other("interrupted"));
        }
        self.tar.read(buffer)
    }
}

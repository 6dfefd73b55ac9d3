//! `rbuild save`: images as an archive, for `rbuild load`, `docker load`, `podman load` and skopeo.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_export::{Blobs, Document, SavedImage, write_saved};
use rbuild_image::{Digest, Platform, Reference, is_attestation};
use rbuild_store::{Store, StoredImage};

use super::destination::{Destination, open};
use super::image_documents::{Document as Stored, Documents, ImageDocument};
use super::{lookup, pull};
use crate::app::App;
use crate::failure::chain;
use crate::render;

// What was typed after `rbuild save`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or IDs; a name without a tag means all tags
    #[arg(required = true)]
    images: Vec<String>,
    /// Of images for several platforms, only what is for this one
    #[arg(long, value_name = "OS/ARCH")]
    platform: Option<String>,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Writes the archive.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let destination = match &args.output {
        Some(path) => Destination::File(path.clone()),
        None if std::io::stdout().is_terminal() => {
            bail!("cowardly refusing to save to a terminal: use -o FILE, or redirect");
        }
        None => Destination::Stdout,
    };
    let store = app.store()?;
    let platform = args.platform.as_deref();
    let platform = platform
        .map(|text| pull::platform(app, Some(text)))
        .transpose()?;
    let mut saved = Vec::new();
    for (image, names) in meant(store, &args.images)? {
        saved.push(as_saved(app, &image, names, platform.as_ref())?);
    }
    let blobs = Blobs {
        store,
        registry: app.registry(),
    };
    open(&destination)?.write(|sink| {
        write_saved(&blobs, &saved, sink)
            .map_err(|error| anyhow::anyhow!("failed to {}", chain(&error)))
    })?;
    Ok(ExitCode::SUCCESS)
}

/// The images that `texts` mean, each once, with the names that it was meant by.
fn meant(store: &Store, texts: &[String]) -> anyhow::Result<Vec<(StoredImage, Vec<Reference>)>> {
    let mut all: Vec<(StoredImage, Vec<Reference>)> = Vec::new();
    let mut add = |image: StoredImage, name: Option<Reference>| {
        let at = all
            .iter()
            .position(|(known, _)| known.digest == image.digest);
        let at = at.unwrap_or_else(|| {
            all.push((image, Vec::new()));
            all.len() - 1
        });
        let names = &mut all[at].1;
        names.extend(name.filter(|name| name.tag().is_some() && !names.contains(name)));
    };
    for text in texts {
        let tags = tags(store, text)?;
        if tags.is_empty() {
            let found = lookup::image(store, text)?;
            add(found.image, found.name);
        }
        for (image, name) in tags {
            add(image, Some(name));
        }
    }
    Ok(all)
}

/// All tags of a repository that was named without one.
fn tags(store: &Store, text: &str) -> anyhow::Result<Vec<(StoredImage, Reference)>> {
    let Some(name) = text
        .parse::<Reference>()
        .ok()
        .filter(|_| pull::defaulted(text))
    else {
        return Ok(Vec::new());
    };
    let mut found = Vec::new();
    for image in store.images()? {
        let same = |other: &&Reference| {
            other.registry() == name.registry()
                && other.repository() == name.repository()
                && other.tag().is_some()
        };
        let names: Vec<Reference> = image.names.iter().filter(same).cloned().collect();
        found.extend(names.into_iter().map(|name| (image.clone(), name)));
    }
    found.sort_by(|(_, one), (_, other)| one.tag().cmp(&other.tag()));
    Ok(found)
}

fn as_saved(
    app: &App,
    image: &StoredImage,
    names: Vec<Reference>,
    platform: Option<&Platform>,
) -> anyhow::Result<SavedImage> {
    let store = app.store()?;
    let mut documents = Documents::read(store, image)?;
    if let Some(platform) = platform
        && !documents.choose(store, platform)?
    {
        let name = names
            .first()
            .map_or_else(|| image.digest.to_string(), Reference::familiar);
        bail!("image {name} is not here for {platform}");
    }
    let (head, left_out) = documents.here("saved")?;
    if let Some(left_out) = left_out {
        render::note(&format!("{left_out}\n"))?;
    }
    let mut saved = SavedImage {
        head: of_export(&head),
        documents: Vec::new(),
        layers: Vec::new(),
        table: table(app, &documents)?,
        names,
    };
    let origin = image.names.first();
    for one in &documents.images {
        if head.is_index() {
            saved.documents.push(of_export(&one.document));
        }
        let config = one.manifest.config();
        saved.documents.push(document(store, config)?);
        if is_attestation(&one.document.descriptor) {
            for statement in one.manifest.layers() {
                saved.documents.push(document(store, statement)?);
            }
        } else {
            let layers = one.layers(store, &one.config(store)?, origin)?;
            let blobs = one.manifest.layers().iter().cloned();
            saved.layers.extend(layers.into_iter().zip(blobs));
        }
    }
    Ok(saved)
}

/// What Docker's table says: of several platforms it knows one, this machine's if there is such.
fn table(app: &App, documents: &Documents) -> anyhow::Result<(Digest, Vec<Digest>)> {
    let store = app.store()?;
    let mut best: Option<(u32, &ImageDocument)> = None;
    for one in &documents.images {
        if is_attestation(&one.document.descriptor) {
            continue;
        }
        let platform = one.config(store)?.platform();
        let distance = platform.distance_to(&app.platform()).unwrap_or(u32::MAX);
        if best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, one));
        }
    }
    let (_, one) = best.context("there is no image in the index")?;
    let layers = one.manifest.layers().iter();
    let layers = layers.map(|layer| Digest::try_from(layer.digest()));
    Ok((
        Digest::try_from(one.manifest.config().digest())?,
        layers.collect::<Result<_, _>>()?,
    ))
}

fn of_export(document: &Stored) -> Document {
    Document {
        descriptor: document.descriptor.clone(),
        bytes: document.bytes.clone(),
    }
}

fn document(store: &Store, descriptor: &rbuild_image::Descriptor) -> anyhow::Result<Document> {
    let digest = Digest::try_from(descriptor.digest())?;
    let bytes = store
        .read_blob(&digest)?
        .with_context(|| format!("the document {digest} is missing"))?;
    Ok(Document {
        descriptor: descriptor.clone(),
        bytes,
    })
}

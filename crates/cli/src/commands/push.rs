//! `rbuild push`: an image to its registry.
//!
//! ```text
//! pulled, or all layers compressed   its own manifest and blobs, so that its digest stays what it is
//! built here                         layers are compressed on the way, by rbuild-export
//! ```

mod as_is;
mod attestations;
mod converted;

use std::process::ExitCode;

use anyhow::{Context as _, bail};
use rbuild_image::{
    Compression, Descriptor, Digest, ImageManifest, LayerMediaType, Manifest, Reference,
};
use rbuild_plan::ImageForm;
use rbuild_store::{ImageOrigin, Store, StoredImage};

use super::lookup;
use super::pull::{cancelled_by_the_user, defaulted, parse_name};
use crate::app::App;
use crate::render::{self, Board, Voice};

/// What was typed after `rbuild push`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// NAME[:TAG]
    name: String,
    /// Only the name
    #[arg(short, long)]
    quiet: bool,
}

/// Pushes an image under its name.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let name = parse_name(&args.name)?;
    let Some(tag) = name.tag().filter(|_| name.digest().is_none()) else {
        bail!("cannot push a digest reference: name a tag");
    };
    let store = app.store()?;
    let Some(image) = store.image(&name)? else {
        let missing = lookup::missing(store, &args.name)?;
        return Err(missing).with_context(|| format!("nothing to push under the name {name}"));
    };
    let cancel = cancelled_by_the_user(app)?;
    let mut board = Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Stdout
    });
    if defaulted(&args.name) {
        board.say("Using default tag: latest");
    }
    let (registry, repository) = (name.registry(), name.repository());
    board.say(&format!(
        "The push refers to repository [{registry}/{repository}]"
    ));
    let documents = Documents::read(store, &image)?;
    let pushed = if documents.travels_as_it_is(&image.origin) {
        as_is::push(app, &documents, &image, &name, &mut board, &cancel)?
    } else {
        converted::push(app, &documents, &name, board, &cancel)?
    };
    if args.quiet {
        render::out(&format!("{name}\n"))?;
    } else {
        let size = pushed.size();
        render::out(&format!(
            "{tag}: digest: {} size: {size}\n",
            pushed.digest()
        ))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// An image's manifests that are here.
struct Documents {
    root: Document,
    /// The images of an index; the root itself where it is none.
    images: Vec<ImageDocument>,
    /// How many images an index names.
    named: usize,
    /// Whether the root is an index.
    form: ImageForm,
}

/// A document with its bytes.
struct Document {
    descriptor: Descriptor,
    bytes: Vec<u8>,
}

/// An image manifest.
struct ImageDocument {
    document: Document,
    manifest: ImageManifest,
}

impl Documents {
    fn read(store: &Store, image: &StoredImage) -> anyhow::Result<Self> {
        let bytes = store
            .read_blob(&image.digest)?
            .with_context(|| format!("the manifest {} is missing", image.digest))?;
        let root = Document {
            descriptor: image.descriptor.clone(),
            bytes,
        };
        let mut images = Vec::new();
        let mut named = 1;
        let mut form = ImageForm::Single;
        match Manifest::from_json(&root.bytes)? {
            Manifest::Image(manifest) => images.push(ImageDocument {
                document: Document {
                    descriptor: root.descriptor.clone(),
                    bytes: root.bytes.clone(),
                },
                manifest,
            }),
            Manifest::Index(index) => {
                named = index.manifests().len();
                form = ImageForm::Indexed;
                for entry in index.manifests() {
                    images.extend(ImageDocument::of_index(store, entry)?);
                }
            }
        }
        if images.is_empty() {
            bail!("no image of the index {} is here", image.digest);
        }
        Ok(Self {
            root,
            images,
            named,
            form,
        })
    }

    /// Whether the blobs that the manifests name are what is pushed.
    fn travels_as_it_is(&self, origin: &ImageOrigin) -> bool {
        if let ImageOrigin::Registry(_) = origin {
            return true;
        }
        let mut layers = self.images.iter().flat_map(|image| image.manifest.layers());
        !layers.any(is_plain)
    }
}

impl ImageDocument {
    /// The image of an index's entry, if it is here.
    fn of_index(store: &Store, entry: &Descriptor) -> anyhow::Result<Option<Self>> {
        let Some(bytes) = store.read_blob(&Digest::try_from(entry.digest())?)? else {
            return Ok(None);
        };
        let Manifest::Image(manifest) = Manifest::from_json(&bytes)? else {
            return Ok(None);
        };
        let document = Document {
            descriptor: entry.clone(),
            bytes,
        };
        Ok(Some(Self { document, manifest }))
    }
}

/// Whether a layer is a plain tar: the form of those that we made.
fn is_plain(layer: &Descriptor) -> bool {
    let kind = LayerMediaType::parse(layer.media_type().as_ref());
    kind.is_some_and(|kind| kind.compression == Compression::None)
}

/// A registry image that has a blob; in the target's registry if there is one.
fn source_of(
    store: &Store,
    blob: &Descriptor,
    target: &Reference,
) -> anyhow::Result<Option<Reference>> {
    let mut found: Option<Reference> = None;
    for image in store.images()? {
        let ImageOrigin::Registry(origin) = &image.origin else {
            continue;
        };
        let near = origin.registry() == target.registry();
        if found.is_some() && !near {
            continue;
        }
        let has = Documents::read(store, &image).is_ok_and(|documents| {
            let mut layers = documents
                .images
                .iter()
                .flat_map(|image| image.manifest.layers());
            layers.any(|layer| layer.digest() == blob.digest())
        });
        if has {
            found = Some(origin.clone());
            if near {
                break;
            }
        }
    }
    Ok(found)
}

//! The image of a container: found, pulled if it has to be, its layers extracted.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::bail;
use rbuild_container::Image;
use rbuild_image::{LayerId, Platform};
use rbuild_plan::ResolvedImage;
use rbuild_solve::Cancel;
use rbuild_store::{Layer, StoredImage};

use super::options::ContainerArgs;
use super::request::PullPolicy;
use crate::app::App;
use crate::commands::{documents, fetch, lookup, pull};
use crate::render::{Board, Voice};

/// An image whose layers are all extracted here, and stay as long as this lives.
pub(crate) struct Ready {
    image: StoredImage,
    resolved: Arc<ResolvedImage>,
    ids: Vec<LayerId>,
    directories: Vec<PathBuf>,
    _layers: Vec<Arc<Layer>>,
}

impl Ready {
    /// The image that `args` name.
    pub(super) fn new(app: &App, args: &ContainerArgs) -> anyhow::Result<Self> {
        let platform = pull::platform(app, args.platform.as_deref())?;
        let image = obtain(app, args, &platform)?;
        let resolved = documents_of(app, args, &image, &platform)?;
        let layers = if let Some(layers) = layers_here(app, &resolved)? {
            layers
        } else {
            let mut board = Board::new(Voice::Stderr);
            fetch::layers(
                app,
                &resolved,
                &platform,
                (fetch::Words::PULL, &mut board),
                &Cancel::new(),
            )?
            .layers
        };
        Ok(Self {
            image,
            resolved,
            ids: layers.iter().map(|layer| layer.id()).collect(),
            directories: layers.iter().map(|layer| layer.diff_path()).collect(),
            _layers: layers,
        })
    }

    /// What a container is made from; `name` is how the user called it.
    pub(crate) fn as_image<'a>(&'a self, name: &'a str) -> Image<'a> {
        Image {
            name,
            manifest: Some(&self.image.digest),
            config: &self.resolved.config.config,
            layers: &self.ids,
            directories: &self.directories,
        }
    }
}

/// The image, pulled if it has to be.
fn obtain(app: &App, args: &ContainerArgs, platform: &Platform) -> anyhow::Result<StoredImage> {
    let store = app.store()?;
    let known = match args.pull {
        PullPolicy::Always => None,
        PullPolicy::Missing | PullPolicy::Never => lookup::find(store, args.image())?,
    };
    match (known, args.pull) {
        (Some(found), _) => Ok(found.image),
        (None, PullPolicy::Never) => Err(lookup::missing(store, args.image())?.into()),
        (None, policy) => {
            let reference = pull::parse_name(args.image())?;
            let mut board = board(args);
            if policy == PullPolicy::Missing {
                let name = reference.familiar();
                board.say(&format!("Unable to find image '{name}' locally"));
            }
            fetch::pull(app, &reference, platform, &mut board, &Cancel::new())
        }
    }
}

/// The documents of the image for the platform; fetched where only those of other platforms are here.
fn documents_of(
    app: &App,
    args: &ContainerArgs,
    image: &StoredImage,
    platform: &Platform,
) -> anyhow::Result<Arc<ResolvedImage>> {
    let mut found = documents::for_platform(app, image, platform)?;
    if found.is_none()
        && args.pull != PullPolicy::Never
        && let rbuild_store::ImageOrigin::Registry(origin) = &image.origin
    {
        fetch::pull(app, origin, platform, &mut board(args), &Cancel::new())?;
        found = documents::for_platform(app, image, platform)?;
    }
    let Some(found) = found else {
        bail!("image {} is not here for {platform}", args.image());
    };
    let is = found.config.platform();
    if args.platform.is_some() && is.distance_to(platform).is_none() {
        bail!(
            "image {} was found, but its platform is {is}, not {platform}",
            args.image()
        );
    }
    Ok(found)
}

fn board(args: &ContainerArgs) -> Board {
    Board::new(if args.quiet {
        Voice::Silent
    } else {
        Voice::Stderr
    })
}

/// All layers, if all are extracted here: the way that costs nothing.
fn layers_here(app: &App, image: &ResolvedImage) -> anyhow::Result<Option<Vec<Arc<Layer>>>> {
    let store = app.store()?;
    let mut layers = Vec::with_capacity(image.layers.len());
    for diff_id in &image.config.rootfs.diff_ids {
        let id = store.layer_by_diff_id(diff_id)?;
        match id.map(|id| store.layer(&id)).transpose()?.flatten() {
            Some(layer) => layers.push(layer),
            None => return Ok(None),
        }
    }
    Ok(Some(layers))
}

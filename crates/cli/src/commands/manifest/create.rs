//! `rbuild manifest create`.

use anyhow::bail;
use rbuild_image::{Manifest, Reference};
use rbuild_store::{ListedManifest, ManifestList};
use serde_json::{Map, Value};

use super::trust;
use crate::app::App;
use crate::commands::fetch::registry_failure;
use crate::commands::imagetools::{Found, Source};
use crate::commands::pull::{cancelled_by_the_user, parse_name};
use crate::render;

// What was typed after `rbuild manifest create`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The list's name, under which it is to be pushed
    list: String,
    /// Images in registries; of one that is for several platforms, all of its images
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
    /// Add to the list that is there
    #[arg(short, long)]
    amend: bool,
    /// Trust registries without a valid certificate, or in plain HTTP
    #[arg(long)]
    insecure: bool,
}

pub(super) fn run(app: &App, args: &Args) -> anyhow::Result<()> {
    let name = parse_name(&args.list)?;
    if name.digest().is_some() {
        bail!("invalid name {:?}: a digest cannot be chosen", args.list);
    }
    let images = args.images.iter().map(|image| parse_name(image));
    let images = images.collect::<anyhow::Result<Vec<_>>>()?;
    trust(app, args.insecure, &images);
    let store = app.store()?;
    refuse_known(store.manifest_list(&name)?.as_ref(), args)?;
    let cancel = cancelled_by_the_user(app)?;
    let mut listed = Vec::new();
    for image in &images {
        let found = Source::Named(image.clone()).find(app.registry(), None);
        let found = found.map_err(|error| match error.downcast_ref() {
            Some(failure) => registry_failure(failure, &cancel),
            None => error,
        })?;
        listed.extend(manifests(image, found)?);
    }
    store.change_manifest_list(&name, |known| {
        refuse_known(known.as_ref(), args)?;
        let mut list = known.unwrap_or_else(|| ManifestList::new(name.clone()));
        for one in listed {
            list.put(one);
        }
        Ok::<_, anyhow::Error>(list)
    })?;
    render::out(&format!("Created manifest list {name}\n"))?;
    Ok(())
}

fn refuse_known(known: Option<&ManifestList>, args: &Args) -> anyhow::Result<()> {
    if known.is_some() && !args.amend {
        bail!(
            "refusing to amend an existing manifest list with no --amend flag (rbuild manifest rm {} forgets it)",
            args.list
        );
    }
    Ok(())
}

/// What a list has of `image`: itself, or all that its index names.
fn manifests(image: &Reference, found: Found) -> anyhow::Result<Vec<ListedManifest>> {
    if let Manifest::Image(_) = found.resolved.manifest {
        return Ok(vec![ListedManifest {
            reference: image.clone(),
            descriptor: found.descriptor,
        }]);
    }
    let index: Map<String, Value> = serde_json::from_slice(&found.resolved.bytes)?;
    let listed = index.get("manifests").and_then(Value::as_array);
    let entries = listed.into_iter().flatten().filter_map(Value::as_object);
    entries
        .map(|entry| {
            let digest = entry.get("digest").and_then(Value::as_str);
            let digest = digest.unwrap_or_default().parse()?;
            Ok(ListedManifest {
                reference: image.with_digest(digest),
                descriptor: entry.clone(),
            })
        })
        .collect()
}

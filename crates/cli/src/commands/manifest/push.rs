//! `rbuild manifest push`.

use anyhow::bail;
use rbuild_image::{Digest, Reference};
use rbuild_store::ListedManifest;
use serde_json::Value;

use super::{index, known, trust};
use crate::app::App;
use crate::commands::fetch::registry_failure;
use crate::commands::pull::{cancelled_by_the_user, parse_name};
use crate::render;

// What was typed after `rbuild manifest push`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The list's name
    list: String,
    /// Forget the list once it is pushed
    #[arg(short, long)]
    purge: bool,
    /// Trust registries without a valid certificate, or in plain HTTP
    #[arg(long)]
    insecure: bool,
}

pub(super) fn run(app: &App, args: &Args) -> anyhow::Result<()> {
    let name = parse_name(&args.list)?;
    let store = app.store()?;
    let list = known(store, &name)?;
    let sources = list.entries.iter().map(|entry| &entry.reference);
    trust(app, args.insecure, sources.chain([&name]));
    for entry in &list.entries {
        check(entry)?;
    }
    let cancel = cancelled_by_the_user(app)?;
    let client = app.registry();
    let failed = |error| registry_failure(&error, &cancel);
    for entry in &list.entries {
        let digest: Digest = text(entry, "digest").parse()?;
        client
            .copy_manifest(&entry.reference, digest, &name)
            .map_err(failed)?;
        if !is_beside(&entry.reference, &name) {
            let there = name.without_digest().familiar_repository();
            render::out(&format!(
                "Pushed ref {there}@{digest} with digest: {digest}\n"
            ))?;
        }
    }
    let document = index(&list);
    client
        .put_manifest(&name, &document.media_type, &document.bytes)
        .map_err(failed)?;
    render::out(&format!("{}\n", Digest::sha256_of(&document.bytes)))?;
    if args.purge {
        store.remove_manifest_list(&name)?;
    }
    Ok(())
}

/// Whoever pulls looks for a platform.
fn check(entry: &ListedManifest) -> anyhow::Result<()> {
    let platform = entry.descriptor.get("platform");
    let says = |field: &str| {
        let value = platform.and_then(|platform| platform[field].as_str());
        value.is_some_and(|value| !value.is_empty())
    };
    if says("os") && says("architecture") {
        return Ok(());
    }
    bail!(
        "manifest {} must have an OS and Architecture to be pushed to a registry: rbuild manifest annotate says them",
        entry.reference.familiar()
    )
}

fn text<'a>(entry: &'a ListedManifest, field: &str) -> &'a str {
    let value = entry.descriptor.get(field).and_then(Value::as_str);
    value.unwrap_or_default()
}

fn is_beside(one: &Reference, other: &Reference) -> bool {
    (one.registry(), one.repository()) == (other.registry(), other.repository())
}

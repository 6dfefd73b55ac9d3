//! `rbuild manifest inspect`.

use rbuild_image::Reference;
use rbuild_registry::Resolved;
use rbuild_store::ManifestList;
use serde_json::{Map, Value, json};

use super::{entry_of, index, is_index, known, trust};
use crate::app::App;
use crate::commands::fetch::registry_failure;
use crate::commands::imagetools::Source;
use crate::commands::inspect::indented;
use crate::commands::pull::{cancelled_by_the_user, parse_name};
use crate::render;

// What was typed after `rbuild manifest inspect`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// A list, or an image in a registry; after a list's name, an image of that list
    #[arg(required = true, num_args = 1..=2, value_names = ["NAME", "IMAGE"])]
    names: Vec<String>,
    /// Each image with its name, descriptor and manifest
    #[arg(short, long)]
    verbose: bool,
    /// Trust the registry without a valid certificate, or in plain HTTP
    #[arg(long)]
    insecure: bool,
}

pub(super) fn run(app: &App, args: &Args) -> anyhow::Result<()> {
    let names = args.names.iter().map(|name| parse_name(name));
    let names = names.collect::<anyhow::Result<Vec<_>>>()?;
    trust(app, args.insecure, &names);
    let store = app.store()?;
    let value = match names.as_slice() {
        [list, image] => {
            let mut list = known(store, list)?;
            let entry = entry_of(&mut list, image)?;
            let manifest = Shown::of(app, image)?;
            manifest.value(args.verbose, Some(&entry.descriptor))
        }
        [name, ..] => match store.manifest_list(name)? {
            Some(list) if args.verbose => in_full(app, &list)?,
            Some(list) => serde_json::from_slice(&index(&list).bytes)?,
            None => there(app, name, args.verbose)?,
        },
        [] => Value::Null, // clap asks for one
    };
    render::out(&format!("{}\n", indented(&value)?))?;
    Ok(())
}

/// What `name` stands for in its registry.
fn there(app: &App, name: &Reference, verbose: bool) -> anyhow::Result<Value> {
    let shown = Shown::of(app, name)?;
    if !verbose || !is_index(&shown.resolved.manifest) {
        return Ok(shown.value(verbose, None));
    }
    let entries = shown.document["manifests"].as_array().cloned();
    let entries = entries.unwrap_or_default();
    let entries = entries.iter().filter_map(Value::as_object);
    let entries = entries.map(|entry| {
        let digest = entry.get("digest").and_then(Value::as_str);
        let name = name.with_digest(digest.unwrap_or_default().parse()?);
        Ok(Shown::of(app, &name)?.value(true, Some(entry)))
    });
    entries.collect::<anyhow::Result<_>>().map(Value::Array)
}

fn in_full(app: &App, list: &ManifestList) -> anyhow::Result<Value> {
    let entries = list.entries.iter().map(|entry| {
        let shown = Shown::of(app, &entry.reference)?;
        Ok(shown.value(true, Some(&entry.descriptor)))
    });
    entries.collect::<anyhow::Result<_>>().map(Value::Array)
}

/// A manifest in a registry.
struct Shown {
    name: Reference,
    resolved: Resolved,
    descriptor: Map<String, Value>,
    document: Value,
}

impl Shown {
    fn of(app: &App, name: &Reference) -> anyhow::Result<Self> {
        let cancel = cancelled_by_the_user(app)?;
        let found = Source::Named(name.clone()).find(app.registry(), None);
        let found = found.map_err(|error| match error.downcast_ref() {
            Some(failure) => registry_failure(failure, &cancel),
            None => error,
        })?;
        Ok(Self {
            name: name.clone(),
            document: serde_json::from_slice(&found.resolved.bytes)?,
            resolved: found.resolved,
            descriptor: found.descriptor,
        })
    }

    fn value(self, verbose: bool, descriptor: Option<&Map<String, Value>>) -> Value {
        if !verbose {
            return self.document;
        }
        let kind = self.resolved.descriptor.media_type().to_string();
        let key = if kind.contains("docker") {
            "SchemaV2Manifest"
        } else {
            "OCIManifest"
        };
        json!({
            "Ref": self.name.to_string(),
            "Descriptor": descriptor.unwrap_or(&self.descriptor),
            key: self.document,
        })
    }
}

//! `rbuild imagetools inspect`: what a name stands for in its registry.

use std::fmt::Write as _;
use std::process::ExitCode;

use rbuild_image::{Manifest, Platform, Reference};
use rbuild_registry::{Client, Resolved};
use serde_json::{Map, Value, json};

use super::{index::platform_of, statements};
use crate::app::App;
use crate::commands::fetch::registry_failure;
use crate::commands::format::Format;
use crate::commands::pull::{cancelled_by_the_user, parse_name};
use crate::render;

// What was typed after `rbuild imagetools inspect`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The image: [REGISTRY/]NAME[:TAG|@DIGEST]; it is not pulled
    name: String,
    /// The document as the registry has it
    #[arg(long)]
    raw: bool,
    /// A template over .Name, .Manifest, .Image, .Provenance and .SBOM, such as '{{json .Manifest}}'
    #[arg(long, value_name = "FORMAT", conflicts_with = "raw")]
    format: Option<String>,
}

/// Prints what a name stands for.
pub(crate) fn run(app: &App, args: &Args) -> anyhow::Result<ExitCode> {
    let name = parse_name(&args.name)?;
    let format = args.format.as_deref().map(Format::parse).transpose()?;
    let cancel = cancelled_by_the_user(app)?;
    let client = app.registry();
    let resolved = client
        .resolve(&name)
        .map_err(|error| registry_failure(&error, &cancel))?;
    let text = match format {
        // Not a byte more, or it would have another digest.
        None if args.raw => String::from_utf8_lossy(&resolved.bytes).into_owned(),
        None => listing(&name, &resolved),
        Some(format) => {
            let mut value = value(client, &name, &resolved)
                .map_err(|error| registry_failure(&error, &cancel))?;
            if is_about_statements(args.format.as_deref()) {
                let told = |error: anyhow::Error| match error.downcast_ref() {
                    Some(error) => registry_failure(error, &cancel),
                    None => error,
                };
                let found = statements::read(client, &name, &resolved, &entries(&resolved));
                let found = found.map_err(told)?;
                value["Provenance"] = found.provenance;
                value["SBOM"] = found.sbom;
            }
            format.render(&[value])?
        }
    };
    render::out(&text)?;
    Ok(ExitCode::SUCCESS)
}

/// Whether a template has to do with what is attested, which takes further questions.
fn is_about_statements(format: Option<&str>) -> bool {
    let words = [".Provenance", ".SBOM"];
    format.is_some_and(|format| words.iter().any(|word| format.contains(word)))
}

fn listing(name: &Reference, resolved: &Resolved) -> String {
    let mut text = format!(
        "Name:      {name}\nMediaType: {}\nDigest:    {}\n",
        resolved.descriptor.media_type(),
        resolved.digest
    );
    let entries = entries(resolved);
    if !entries.is_empty() {
        text.push_str("           \nManifests: \n");
    }
    for (position, entry) in entries.iter().enumerate() {
        if position > 0 {
            text.push_str("             \n");
        }
        list_entry(&mut text, name, entry);
    }
    text
}

fn list_entry(text: &mut String, name: &Reference, entry: &Map<String, Value>) {
    let field = |name: &str| entry.get(name).and_then(Value::as_str).unwrap_or_default();
    let platform = platform_of(entry);
    let lines = [
        ("Name:", format!("{name}@{}", field("digest"))),
        ("MediaType:", field("mediaType").to_owned()),
        (
            "Platform:",
            platform
                .as_ref()
                .map(Platform::to_string)
                .unwrap_or_default(),
        ),
        (
            "OSVersion:",
            platform
                .map(|platform| platform.os_version)
                .unwrap_or_default(),
        ),
    ];
    for (label, value) in lines {
        if !value.is_empty() {
            let _ = writeln!(text, "  {label:<11} {value}"); // writing to a string cannot fail
        }
    }
    let Some(Value::Object(annotations)) = entry.get("annotations") else {
        return;
    };
    text.push_str("  Annotations:\n");
    let width = annotations.keys().map(String::len).max().unwrap_or(0) + 1;
    for (key, value) in annotations {
        let label = format!("{key}:");
        let value = value.as_str().unwrap_or_default();
        let _ = writeln!(text, "    {label:<width$} {value}");
    }
}

/// The entries of an index.
fn entries(resolved: &Resolved) -> Vec<Map<String, Value>> {
    let index: Option<Map<String, Value>> = serde_json::from_slice(&resolved.bytes).ok();
    let listed = index.and_then(|mut index| index.remove("manifests"));
    match listed {
        Some(Value::Array(listed)) => listed
            .into_iter()
            .filter_map(|entry| match entry {
                Value::Object(entry) => Some(entry),
                _ => None,
            })
            .collect(),
        _ => Vec::new(),
    }
}

/// What `--format` sees: an image's config is a map by platform where there are several.
fn value(
    client: &Client,
    name: &Reference,
    resolved: &Resolved,
) -> Result<Value, rbuild_registry::RegistryError> {
    let mut manifest = Map::new();
    let document: Map<String, Value> = serde_json::from_slice(&resolved.bytes).unwrap_or_default();
    manifest.extend(document);
    manifest.insert(
        "mediaType".to_owned(),
        resolved.descriptor.media_type().to_string().into(),
    );
    manifest.insert("digest".to_owned(), resolved.digest.to_string().into());
    manifest.insert("size".to_owned(), resolved.bytes.len().into());
    let mut images = configs(client, name, resolved)?;
    let image = match images.len() {
        1 => images.pop().map(|(_, config)| config).unwrap_or_default(),
        _ => Value::Object(images.into_iter().collect()),
    };
    Ok(json!({
        "name": name.to_string(), "manifest": &manifest, "image": &image,
        "Name": name.to_string(), "Manifest": manifest, "Image": image,
    }))
}

fn configs(
    client: &Client,
    name: &Reference,
    resolved: &Resolved,
) -> Result<Vec<(String, Value)>, rbuild_registry::RegistryError> {
    let config = |image: &rbuild_image::ImageManifest| {
        let (bytes, config) = client.config(name, image.config())?;
        let platform = Platform::new(&config.os, &config.architecture, &config.variant);
        let value = serde_json::from_slice(&bytes).unwrap_or_default();
        Ok::<_, rbuild_registry::RegistryError>((platform.to_string(), value))
    };
    match &resolved.manifest {
        Manifest::Image(image) => Ok(vec![config(image)?]),
        Manifest::Index(index) => {
            let mut configs = Vec::new();
            for entry in index.manifests() {
                let platform = entry.platform().as_ref().map(Platform::from);
                if platform.is_some_and(|platform| platform.is_unknown()) {
                    continue; // an attestation
                }
                let digest = rbuild_image::Digest::try_from(entry.digest());
                let Ok(digest) = digest else { continue };
                if let Manifest::Image(image) = &client.manifest(name, &digest)?.manifest {
                    configs.push(config(image)?);
                }
            }
            Ok(configs)
        }
    }
}

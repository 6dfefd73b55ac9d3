//! An image, as docker tells it.

use std::collections::BTreeSet;

use rbuild_image::Reference;
use rbuild_store::StoredImage;
use serde_json::{Value, json};

use super::NEVER;
use super::config::runtime_config;
use crate::app::App;
use crate::commands::documents;

/// All that is known of it.
pub(super) fn describe(
    app: &App,
    image: &StoredImage,
    name: &str,
    platform: Option<&str>,
) -> anyhow::Result<Value> {
    let store = app.store()?;
    let resolved = documents::chosen(app, image, name, platform)?;
    let size: u64 = documents::layer_sizes(store, &resolved)?.iter().sum();
    let config = &resolved.config;
    let tags = image.names.iter().filter(|name| name.tag().is_some());
    let tags: Vec<String> = tags.map(Reference::familiar).collect();
    let comment = config
        .history
        .last()
        .map_or("", |entry| entry.comment.as_str());
    let mut value = json!({
        "Id": image.id.to_string(),
        "RepoTags": tags,
        "RepoDigests": repository_digests(image),
        "Parent": "",
        "Comment": comment,
        "Created": config.created.as_deref().unwrap_or(NEVER),
        "DockerVersion": "",
        "Author": config.author,
        "Config": runtime_config(&config.config)?,
        "Architecture": config.architecture,
    });
    if !config.variant.is_empty() {
        value["Variant"] = json!(config.variant);
    }
    value["Os"] = json!(config.os);
    value["Size"] = json!(size);
    value["RootFS"] = json!({
        "Type": config.rootfs.kind,
        "Layers": config.rootfs.diff_ids,
    });
    value["Metadata"] = json!({ "LastTagTime": documents::rfc3339(image.stored) });
    value["Descriptor"] = serde_json::to_value(&image.descriptor)?;
    Ok(value)
}

/// `debian@sha256:…`, of each repository that the image was pulled from or pushed to.
fn repository_digests(image: &StoredImage) -> Vec<String> {
    let named = image.names.iter().filter(|name| name.digest().is_some());
    let all: BTreeSet<String> = image
        .published
        .iter()
        .chain(named)
        .filter_map(|name| Some(format!("{}@{}", name.familiar_repository(), name.digest()?)))
        .collect();
    all.into_iter().collect()
}

//! What an image of the store is: its platform's manifest and config, and what its layers weigh.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rbuild_container::StoredConfig;
use rbuild_image::{Digest, Platform, Reference};
use rbuild_plan::{ImageOrigin, ResolvedImage};
use rbuild_store::{ImageOrigin as StoredOrigin, Store, StoredImage};

use crate::app::App;
use crate::base_images::{BaseImages, Freshness};

/// The documents of `image` for `platform`; none if it is not for it, or that platform is not here.
pub(crate) fn for_platform(
    app: &App,
    image: &StoredImage,
    platform: &Platform,
) -> anyhow::Result<Option<Arc<ResolvedImage>>> {
    let store = app.store()?;
    let origin = match (&image.origin, image.names.first()) {
        (StoredOrigin::Registry(name), _) | (StoredOrigin::Local, Some(name)) => name.to_string(),
        (StoredOrigin::Local, None) => String::new(),
    };
    let images = BaseImages {
        store,
        registry: app.registry(),
        freshness: Freshness::Known,
        lender: None,
    };
    let found = images
        .documents(&image.descriptor, platform, ImageOrigin::Store(origin))
        .map_err(|error| anyhow::anyhow!(error))
        .with_context(|| format!("failed to read image {}", image.id.short()))?;
    Ok(found.map(Arc::new))
}

/// The documents of `image`, which was called `name`, for the platform that was typed, else for any.
pub(crate) fn chosen(
    app: &App,
    image: &StoredImage,
    name: &str,
    platform: Option<&str>,
) -> anyhow::Result<Arc<ResolvedImage>> {
    let Some(text) = platform else {
        return any_platform(app, image);
    };
    let platform = super::pull::platform(app, Some(text))?;
    for_platform(app, image, &platform)?
        .with_context(|| format!("image {name} is not here for {platform}"))
}

/// The documents of `image` for this machine, else for the first platform that is here.
pub(crate) fn any_platform(app: &App, image: &StoredImage) -> anyhow::Result<Arc<ResolvedImage>> {
    if let Some(found) = for_platform(app, image, &app.platform())? {
        return Ok(found);
    }
    for platform in platforms(app.store()?, image)? {
        if let Some(found) = for_platform(app, image, &platform)? {
            return Ok(found);
        }
    }
    anyhow::bail!(
        "image {} is damaged: none of its manifests is in the store; pull or build it again",
        image.id.short()
    )
}

/// The platforms that an index names.
fn platforms(store: &Store, image: &StoredImage) -> anyhow::Result<Vec<Platform>> {
    let Some(bytes) = store.read_blob(&image.digest)? else {
        return Ok(Vec::new());
    };
    let rbuild_image::Manifest::Index(index) = rbuild_image::Manifest::from_json(&bytes)? else {
        return Ok(Vec::new());
    };
    let named = index
        .manifests()
        .iter()
        .filter_map(|entry| entry.platform().as_ref());
    Ok(named.map(Platform::from).collect())
}

/// The bytes that each layer takes, bottom first: those of its files where it is extracted here, else those of its
/// blob.
pub(crate) fn layer_sizes(store: &Store, image: &ResolvedImage) -> anyhow::Result<Vec<u64>> {
    let layers = image.config.rootfs.diff_ids.iter().zip(&image.layers);
    layers
        .map(|(diff_id, blob)| {
            let id = store.layer_by_diff_id(diff_id)?;
            let layer = id.map(|id| store.layer(&id)).transpose()?.flatten();
            Ok(layer.map_or_else(|| blob.size(), |layer| layer.bytes()))
        })
        .collect()
}

/// Labels of a container: those of its image, and its own.
pub(crate) fn labels(config: &StoredConfig) -> BTreeMap<String, String> {
    let own = config.options.labels.iter();
    let own = own.map(|label| label.split_once('=').unwrap_or((label, "")));
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    config.image.labels.clone().into_iter().chain(own).collect()
}

/// When the image says that it was made.
pub(crate) fn created(image: &ResolvedImage) -> Option<SystemTime> {
    image.config.created.as_deref().and_then(time)
}

/// An RFC 3339 time.
pub(crate) fn time(text: &str) -> Option<SystemTime> {
    text.parse::<jiff::Timestamp>().ok().map(SystemTime::from)
}

/// How long ago `then` was.
pub(crate) fn age(now: SystemTime, then: SystemTime) -> Duration {
    now.duration_since(then).unwrap_or_default()
}

/// `2026-08-20 10:00:00 +0000 UTC`, as docker writes times in tables.
pub(crate) fn table_time(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d %H:%M:%S +0000 UTC").to_string()
}

/// `2026-08-20T10:00:00.123Z`
pub(crate) fn rfc3339(time: SystemTime) -> String {
    jiff::Timestamp::try_from(time)
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_string()
}

/// The digest by which the registry of `name` knows the image: that of what was pulled from there or pushed to it.
pub(crate) fn repository_digest(image: &StoredImage, name: &Reference) -> Option<Digest> {
    let mut published = image.published.iter();
    let found = published.find(|there| {
        there.registry() == name.registry() && there.repository() == name.repository()
    });
    found.unwrap_or(name).digest()
}

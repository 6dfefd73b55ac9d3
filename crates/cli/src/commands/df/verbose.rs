//! `rbuild system df -v`: each thing that takes disk, in docker's four tables.

use std::collections::BTreeMap;
use std::time::SystemTime;

use rbuild_container::{volume_users, volumes};
use rbuild_image::Reference;
use rbuild_store::{Store, UsageItem, UsageKind, tree_bytes};
use serde_json::Value;

use crate::app::App;
use crate::commands::history::cell;
use crate::commands::several::worded;
use crate::commands::{documents, filter, ps};
use crate::render::{Table, ago, bytes_decimal};

/// Characters of an ID that tables show.
const SHORT: usize = 12;

/// The four tables.
pub(super) fn tables(app: &App) -> anyhow::Result<String> {
    let store = app.store()?;
    let now = app.environment.now();
    let usage = store.usage()?;
    let of = |kinds: &dyn Fn(UsageKind) -> bool| -> Vec<&UsageItem> {
        usage.items.iter().filter(|item| kinds(item.kind)).collect()
    };
    let cached = of(&|kind| !matches!(kind, UsageKind::Image | UsageKind::Container));
    let cache_bytes: u64 = cached
        .iter()
        .map(|item| item.bytes - item.shared_bytes.min(item.bytes))
        .sum();
    Ok([
        "Images space usage:\n\n".to_owned(),
        images(store, &of(&|kind| kind == UsageKind::Image), now)?,
        "\nContainers space usage:\n\n".to_owned(),
        containers(app, store)?,
        "\nLocal Volumes space usage:\n\n".to_owned(),
        local_volumes(store)?,
        format!("\nBuild cache usage: {}\n\n", bytes_decimal(cache_bytes)),
        cache(&cached, now),
    ]
    .concat())
}

fn images(store: &Store, items: &[&UsageItem], now: SystemTime) -> anyhow::Result<String> {
    let mut containers: BTreeMap<String, usize> = BTreeMap::new();
    for container in store.containers()? {
        let image = match &container.image {
            Some(digest) => store.image_by_digest(digest)?,
            None => None,
        };
        if let Some(image) = image {
            *containers.entry(image.id.to_string()).or_default() += 1;
        }
    }
    let mut table = Table::new(&[
        "REPOSITORY",
        "TAG",
        "IMAGE ID",
        "CREATED",
        "SIZE",
        "SHARED SIZE",
        "UNIQUE SIZE",
        "CONTAINERS",
    ]);
    for item in items {
        let name = item.name.parse::<Reference>().ok();
        let (repository, tag) = match &name {
            Some(name) => (
                name.familiar_repository(),
                name.tag().unwrap_or("<none>").to_owned(),
            ),
            None => ("<none>".to_owned(), "<none>".to_owned()),
        };
        table.row([
            repository,
            tag,
            short(&item.id),
            since(item.created, now),
            bytes_decimal(item.bytes),
            bytes_decimal(item.shared_bytes),
            bytes_decimal(item.bytes.saturating_sub(item.shared_bytes)),
            containers
                .get(&item.id)
                .copied()
                .unwrap_or_default()
                .to_string(),
        ]);
    }
    Ok(table.render())
}

fn containers(app: &App, store: &Store) -> anyhow::Result<String> {
    let mut table = Table::new(&[
        "CONTAINER ID",
        "IMAGE",
        "COMMAND",
        "LOCAL VOLUMES",
        "SIZE",
        "CREATED",
        "STATUS",
        "NAMES",
    ]);
    for container in store.containers()? {
        let row: Value = ps::row_of(app, store, &container)?;
        let (own, _) = ps::sizes(store, &container)?;
        let field = |name: &str| cell(&row, name);
        table.row([
            field("ID"),
            field("Image"),
            field("Command"),
            field("LocalVolumes"),
            bytes_decimal(own),
            field("RunningFor"),
            field("Status"),
            field("Names"),
        ]);
    }
    Ok(table.render())
}

fn local_volumes(store: &Store) -> anyhow::Result<String> {
    let mut table = Table::new(&["VOLUME NAME", "LINKS", "SIZE"]);
    for volume in volumes(store).map_err(worded)? {
        let users = volume_users(store, &volume.name).map_err(worded)?;
        table.row([
            volume.name.clone(),
            users.len().to_string(),
            bytes_decimal(tree_bytes(&volume.data)?),
        ]);
    }
    Ok(table.render())
}

fn cache(items: &[&UsageItem], now: SystemTime) -> String {
    let mut table = Table::new(&[
        "CACHE ID",
        "CACHE TYPE",
        "SIZE",
        "CREATED",
        "LAST USED",
        "SHARED",
    ]);
    for item in items {
        table.row([
            short(&item.id),
            filter::usage::type_name(item.kind).to_owned(),
            bytes_decimal(item.bytes),
            since(item.created, now),
            since(item.last_used, now),
            (item.shared_bytes > 0).to_string(),
        ]);
    }
    table.render()
}

fn short(id: &str) -> String {
    id.trim_start_matches("sha256:")
        .chars()
        .take(SHORT)
        .collect()
}

fn since(time: Option<SystemTime>, now: SystemTime) -> String {
    time.map_or_else(|| "N/A".to_owned(), |time| ago(documents::age(now, time)))
}

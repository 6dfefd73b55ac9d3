//! `ps --filter`: which containers are listed.

use std::time::SystemTime;

use rbuild_store::Store;

use super::Listed;
use crate::commands::filter::Filters;
use crate::commands::several;

/// Names of filters.
const KEYS: &[&str] = &[
    "name", "id", "status", "exited", "health", "ancestor", "label", "label!", "network", "volume",
    "publish", "expose", "before", "since",
];
const STATES: &[&str] = &[
    "created",
    "restarting",
    "running",
    "removing",
    "paused",
    "exited",
    "dead",
];
const HEALTH: &[&str] = &["none", "starting", "healthy", "unhealthy"];

/// The containers that are asked for.
pub(super) struct Choice {
    filters: Filters,
    before: Option<Other>,
    since: Option<Other>,
}

/// A container that others are older or younger than.
struct Other {
    created: SystemTime,
    id: String,
}

impl Choice {
    pub(super) fn new(texts: &[String], store: &Store) -> anyhow::Result<Self> {
        let filters = Filters::parse(texts, KEYS)?;
        let filters = filters.only("status", STATES)?.only("health", HEALTH)?;
        let other = |key| {
            let name = filters.one(key)?;
            let other = name.map(|name| several::one(store, name)).transpose()?;
            anyhow::Ok(other.map(|one| Other {
                created: one.created,
                id: one.id,
            }))
        };
        Ok(Self {
            before: other("before")?,
            since: other("since")?,
            filters,
        })
    }

    /// Whether containers are asked for by what they do or did, those that do not run too.
    pub(super) fn asks_for_states(&self) -> bool {
        self.filters.has("status") || self.filters.has("exited")
    }

    pub(super) fn fits(&self, one: &Listed<'_>) -> bool {
        let (filters, container) = (&self.filters, one.container);
        let end = one.condition.end().map(|end| end.code.to_string());
        let health = one.health.as_ref().map(|health| health.status.word());
        let networks = one.networks();
        filters.matches("name", &container.name)
            && filters.matches("id", &container.id)
            && filters.any("status", |value| value == one.condition.word())
            && filters.any("exited", |value| end.as_deref() == Some(value))
            && filters.any("health", |value| value == health.unwrap_or("none"))
            && filters.any("ancestor", |value| same_image(&container.image_name, value))
            && filters.labels_fit(&one.labels())
            && filters.any("network", |value| {
                networks.split(',').any(|name| name == value)
            })
            && filters.any("volume", |value| one.mounts(value))
            && filters.any("publish", |value| one.publishes(value))
            && filters.any("expose", |value| one.exposes(value))
            && self
                .before
                .as_ref()
                .is_none_or(|other| container.created <= other.created && container.id != other.id)
            && self
                .since
                .as_ref()
                .is_none_or(|other| container.created >= other.created && container.id != other.id)
    }
}

/// Without a protocol it is TCP's.
pub(super) fn same_port(port: &str, asked: &str) -> bool {
    port == asked || port.strip_suffix("/tcp") == Some(asked)
}

fn same_image(one: &str, other: &str) -> bool {
    let parse = |text: &str| text.parse::<rbuild_image::Reference>().ok();
    one == other || (parse(one).is_some() && parse(one) == parse(other))
}

//! `ps --filter`: which containers are listed. All that are given hold at once.

use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rbuild_store::Store;

use super::Listed;
use crate::commands::several;

/// A `--filter`.
pub(super) struct Filter {
    pub(super) key: Key,
    value: String,
    /// When the container was made that it names, and its ID.
    other: Option<(SystemTime, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    Name,
    Id,
    Status,
    Health,
    Ancestor,
    Label,
    Network,
    Exited,
    Volume,
    Publish,
    Expose,
    Before,
    Since,
}

/// Names of filters, as an error lists them.
const KEYS: &str = "name, id, status, exited, health, ancestor, label, network, volume, publish, expose, before and since";

impl Filter {
    pub(super) fn parse(text: &str, store: &Store) -> anyhow::Result<Self> {
        let (key, value) = text
            .split_once('=')
            .with_context(|| format!("invalid filter {text:?}: it is KEY=VALUE"))?;
        let key = match key {
            "name" => Key::Name,
            "id" => Key::Id,
            "status" => Key::Status,
            "health" => Key::Health,
            "ancestor" => Key::Ancestor,
            "label" => Key::Label,
            "network" => Key::Network,
            "exited" => Key::Exited,
            "volume" => Key::Volume,
            "publish" => Key::Publish,
            "expose" => Key::Expose,
            "before" => Key::Before,
            "since" => Key::Since,
            _ => bail!("invalid filter {text:?}: there are {KEYS}"),
        };
        let other = match key {
            Key::Before | Key::Since => Some(several::one(store, value)?),
            _ => None,
        };
        Ok(Self {
            key,
            value: value.to_owned(),
            other: other.map(|one| (one.created, one.id)),
        })
    }

    pub(super) fn fits(&self, one: &Listed<'_>) -> bool {
        match self.key {
            Key::Name => one.container.name.contains(&self.value),
            Key::Id => one.container.id.starts_with(&self.value),
            Key::Status => one.condition.word() == self.value,
            Key::Health => {
                let status = one.health.as_ref().map(|health| health.status.word());
                status.unwrap_or("none") == self.value
            }
            Key::Exited => {
                let code = one.condition.end().map(|end| end.code.to_string());
                code.as_ref() == Some(&self.value)
            }
            Key::Volume => one.config.as_ref().is_some_and(|config| {
                let mut volumes = config.options.volumes.iter();
                volumes.any(|volume| {
                    let at = [Some(&volume.target), volume.source.as_ref()];
                    volume.name.as_ref() == Some(&self.value)
                        || at
                            .into_iter()
                            .flatten()
                            .any(|path| path.as_os_str() == self.value.as_str())
                })
            }),
            Key::Publish => one.publishes(&self.value),
            Key::Expose => one.exposes(&self.value),
            Key::Before => self.other.as_ref().is_some_and(|(created, id)| {
                one.container.created <= *created && one.container.id != *id
            }),
            Key::Since => self.other.as_ref().is_some_and(|(created, id)| {
                one.container.created >= *created && one.container.id != *id
            }),
            Key::Network => one.networks().split(',').any(|name| name == self.value),
            Key::Ancestor => same_image(&one.container.image_name, &self.value),
            Key::Label => one.config.as_ref().is_some_and(|config| {
                config.options.labels.iter().any(|label| {
                    let name = label.split('=').next().unwrap_or_default();
                    *label == self.value || name == self.value
                })
            }),
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_the_same_whatever_form_their_names_have() {
        assert!(same_image("debian", "docker.io/library/debian:latest"));
        assert!(!same_image("debian", "debian:bookworm"));
        assert!(same_image("3f4ca61aafcd", "3f4ca61aafcd"));
    }
}

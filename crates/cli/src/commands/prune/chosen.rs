//! `--filter` of `container prune` and `image prune`: how old, and which labels.

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, bail};

use crate::commands::filter::until;

/// What all filters together ask for.
#[derive(Debug, Default)]
pub(super) struct Chosen {
    before: Option<SystemTime>,
    labels: Vec<Label>,
}

#[derive(Debug)]
struct Label {
    name: String,
    value: Option<String>,
    wanted: bool,
}

impl Chosen {
    /// Reads what was typed: `until=24h`, `label=NAME`, `label!=NAME=VALUE`.
    pub(super) fn parse(texts: &[String], now: SystemTime) -> anyhow::Result<Self> {
        let mut chosen = Self::default();
        for text in texts {
            let (key, value) = text
                .split_once('=')
                .with_context(|| format!("invalid filter {text:?}: it is KEY=VALUE"))?;
            match key {
                "until" if chosen.before.is_some() => {
                    bail!("invalid filter {text:?}: until is given twice")
                }
                "until" => chosen.before = Some(until(value, now)?),
                "label" | "label!" => {
                    let (name, value) = match value.split_once('=') {
                        Some((name, value)) => (name, Some(value.to_owned())),
                        None => (value, None),
                    };
                    chosen.labels.push(Label {
                        name: name.to_owned(),
                        value,
                        wanted: key == "label",
                    });
                }
                _ => bail!("invalid filter {text:?}: there are until, label and label!"),
            }
        }
        Ok(chosen)
    }

    /// Whether something that was made then, with these labels, is meant.
    pub(super) fn fits(&self, made: Option<SystemTime>, labels: &BTreeMap<String, String>) -> bool {
        let old_enough = self
            .before
            .is_none_or(|before| made.is_none_or(|made| made < before));
        old_enough && self.labels.iter().all(|label| label.holds(labels))
    }
}

impl Label {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = labels
            .get(&self.name)
            .is_some_and(|found| self.value.as_ref().is_none_or(|value| value == found));
        has == self.wanted
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn age_and_labels_have_to_fit_all() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000);
        let old = Some(now - Duration::from_secs(7200));
        let labels = BTreeMap::from([("a".to_owned(), "1".to_owned())]);
        let fits = |texts: &[&str], made| {
            let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
            let chosen = Chosen::parse(&texts, now).expect("well-formed");
            chosen.fits(made, &labels)
        };
        assert!(fits(&[], Some(now)));
        assert!(fits(&["until=1h", "label=a"], old));
        assert!(!fits(&["until=1h"], Some(now)));
        assert!(!fits(&["label=a=2"], old));
        assert!(fits(&["label!=a=2", "label!=b"], old));
        assert!(!fits(&["label!=a"], old));
        let wrong = ["color=red".to_owned()];
        assert!(Chosen::parse(&wrong, now).is_err());
    }
}

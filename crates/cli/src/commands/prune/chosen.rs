//! `--filter` of `container prune`, `image prune` and their like: how old, and which labels.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::commands::filter::Filters;

/// What all filters together ask for.
#[derive(Debug)]
pub(in crate::commands) struct Chosen {
    before: Option<SystemTime>,
    filters: Filters,
}

impl Chosen {
    /// Reads what was typed: `until=24h`, `label=NAME`, `label!=NAME=VALUE`.
    pub(in crate::commands) fn parse(texts: &[String], now: SystemTime) -> anyhow::Result<Self> {
        let filters = Filters::parse(texts, &["until", "label", "label!"])?;
        Ok(Self {
            before: filters.until(now)?,
            filters,
        })
    }

    /// Whether something that was made then, with these labels, is meant. What has labels that nobody can read is not,
    /// where labels are asked for.
    pub(in crate::commands) fn fits(
        &self,
        made: Option<SystemTime>,
        labels: Option<&BTreeMap<String, String>>,
    ) -> bool {
        let old_enough = self
            .before
            .is_none_or(|before| made.is_none_or(|made| made < before));
        let of_labels = self.filters.has("label") || self.filters.has("label!");
        old_enough && labels.map_or(!of_labels, |labels| self.filters.labels_fit(labels))
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
            chosen.fits(made, Some(&labels))
        };
        assert!(fits(&[], Some(now)));
        assert!(fits(&["until=1h", "label=a"], old));
        assert!(!fits(&["until=1h"], Some(now)));
        assert!(!fits(&["label=a=2"], old));
        assert!(fits(&["label!=a=2", "label!=b"], old));
        assert!(!fits(&["label!=a"], old));
        let unknown = |text: &str| {
            let chosen = Chosen::parse(&[text.to_owned()], now).expect("well-formed");
            chosen.fits(old, None)
        };
        assert!(!unknown("label!=a") && !unknown("label=a") && unknown("until=1h"));
        let wrong = ["color=red".to_owned()];
        assert!(Chosen::parse(&wrong, now).is_err());
    }
}

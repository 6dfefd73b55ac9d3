//! `--filter` of all verbs: `KEY=VALUE`, as often as one likes.
//!
//! All keys hold at once; of several values for one key any does, but of labels all have to be there.

pub(super) mod usage;

use std::collections::BTreeMap;
use std::time::SystemTime;

use anyhow::{Context as _, bail};
use regex::Regex;

use super::moment::until;

/// What was typed: values by key.
#[derive(Debug, Default)]
pub(super) struct Filters(BTreeMap<&'static str, Vec<String>>);

impl Filters {
    /// Reads what was typed. A key that is not among `known` is an error that names them.
    pub(super) fn parse(texts: &[String], known: &[&'static str]) -> anyhow::Result<Self> {
        let mut all = Self::default();
        for text in texts {
            let (key, value) = text
                .split_once('=')
                .with_context(|| format!("invalid filter {text:?}: it is KEY=VALUE"))?;
            let key = key.trim().to_lowercase();
            let Some(key) = known.iter().find(|one| **one == key) else {
                bail!("invalid filter {text:?}: there are {}", listed(known));
            };
            all.0.entry(key).or_default().push(value.trim().to_owned());
        }
        Ok(all)
    }

    /// The values of a key.
    pub(super) fn values(&self, key: &str) -> impl Iterator<Item = &str> {
        self.0.get(key).into_iter().flatten().map(String::as_str)
    }

    /// Whether the key was given.
    pub(super) fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    /// Whether one of the values fits, or there are none.
    pub(super) fn any(&self, key: &str, fits: impl FnMut(&str) -> bool) -> bool {
        !self.has(key) || self.values(key).any(fits)
    }

    /// Whether one of the values is in `text`, or is a pattern that is; or there are none.
    pub(super) fn matches(&self, key: &str, text: &str) -> bool {
        let found = |pattern: &str| Regex::new(pattern).is_ok_and(|one| one.is_match(text));
        self.any(key, |value| value == text || found(value))
    }

    /// The value of a key that is given once at most.
    pub(super) fn one(&self, key: &str) -> anyhow::Result<Option<&str>> {
        let mut values = self.values(key);
        let first = values.next();
        if values.next().is_some() {
            bail!("invalid filter: {key} is given twice");
        }
        Ok(first)
    }

    /// The moment that `until` names.
    pub(super) fn until(&self, now: SystemTime) -> anyhow::Result<Option<SystemTime>> {
        self.one("until")?.map(|text| until(text, now)).transpose()
    }

    /// Whether a key is to be true or false.
    pub(super) fn truth(&self, key: &str) -> anyhow::Result<Option<bool>> {
        let Some(value) = self.one(key)? else {
            return Ok(None);
        };
        match value {
            "true" | "1" => Ok(Some(true)),
            "false" | "0" => Ok(Some(false)),
            _ => bail!("invalid filter {key}={value}: {key} is true or false"),
        }
    }

    /// Fails for a value that is not among `known`.
    pub(super) fn only(self, key: &str, known: &[&str]) -> anyhow::Result<Self> {
        if let Some(value) = self.values(key).find(|value| !known.contains(value)) {
            bail!("invalid filter {key}={value}: there are {}", listed(known));
        }
        Ok(self)
    }

    /// Whether something with these labels has all that `label` names and none that `label!` names.
    pub(super) fn labels_fit(&self, labels: &BTreeMap<String, String>) -> bool {
        let has = |asked: &str| match asked.split_once('=') {
            Some((name, value)) => labels.get(name).is_some_and(|found| found == value),
            None => labels.contains_key(asked),
        };
        self.values("label").all(has) && !self.values("label!").any(has)
    }
}

/// `a, b and c`
fn listed(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [only] => (*only).to_owned(),
        [all @ .., last] => format!("{} and {last}", all.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(texts: &[&str]) -> anyhow::Result<Filters> {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        Filters::parse(&texts, &["name", "status", "dangling", "label", "label!"])
    }

    fn filters(texts: &[&str]) -> Filters {
        typed(texts).expect("well-formed")
    }

    #[test]
    fn any_value_of_a_key_does() {
        let status = filters(&["status=exited", "Status=created "]);
        assert!(status.any("status", |value| value == "created"));
        assert!(!status.any("status", |value| value == "running"));
        assert!(filters(&[]).any("status", |_| false));
    }

    #[test]
    fn names_are_patterns() {
        assert!(filters(&["name=we"]).matches("name", "web"));
        assert!(!filters(&["name=^we$"]).matches("name", "web"));
        assert!(filters(&["name=^we$", "name=b$"]).matches("name", "web"));
        assert!(filters(&["name=a+(b"]).matches("name", "a+(b"));
    }

    #[test]
    fn of_labels_all_have_to_be_there() {
        let labels = BTreeMap::from([
            ("a".to_owned(), "1".to_owned()),
            ("b".to_owned(), String::new()),
        ]);
        let fit = |texts: &[&str]| filters(texts).labels_fit(&labels);
        assert!(fit(&["label=a", "label=b"]) && fit(&["label=a=1"]) && fit(&[]));
        assert!(!fit(&["label=a", "label=c"]) && !fit(&["label=a=2"]));
        assert!(fit(&["label!=a=2", "label!=c"]) && !fit(&["label!=a", "label!=c"]));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_what_does() {
        let told = |texts: &[&str]| typed(texts).expect_err("refused").to_string();
        assert_eq!(
            told(&["color=red"]),
            "invalid filter \"color=red\": there are name, status, dangling, label and label!"
        );
        assert_eq!(told(&["name"]), "invalid filter \"name\": it is KEY=VALUE");
        let twice = filters(&["dangling=1", "dangling=0"]);
        assert!(twice.truth("dangling").is_err());
        assert!(filters(&["dangling=perhaps"]).truth("dangling").is_err());
        assert_eq!(
            filters(&["dangling=1"]).truth("dangling").expect("true"),
            Some(true)
        );
        let status = filters(&["status=up"]).only("status", &["running", "exited"]);
        let told = status.expect_err("refused").to_string();
        assert_eq!(
            told,
            "invalid filter status=up: there are running and exited"
        );
    }
}

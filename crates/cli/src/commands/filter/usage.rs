//! `--filter` of `du` and `prune`, in the words of `docker buildx du`.
//!
//! ```text
//! until=24h   id=3f2a   type=exec.cachemount   description~=cargo   project=/src/app   inuse   shared=false   type!=image
//! ```
//!
//! All given filters hold at once; of several values for one key, any does (and of those that must not be, none).

use std::time::SystemTime;

use anyhow::{Context as _, bail};
use rbuild_store::{UsageItem, UsageKind};
use regex::Regex;

use crate::commands::moment::until;

/// What can be asked for, as an error lists it.
const KEYS: &str = "until, id, type, description (or name), project, inuse, mutable, immutable, shared and private";
/// BuildKit's names of what it keeps, and ours for what it does not keep or tell apart. Of the last two there is nothing here.
const TYPES: &[&str] = &[
    "image",
    "container",
    "regular",
    "base",
    "exec.cachemount",
    "source.git.checkout",
    "source.http",
    "source.local",
    "blob",
    "internal",
    "frontend",
];

/// What all filters together ask for.
#[derive(Debug, Default)]
pub(crate) struct Filters {
    /// Only what was not used since.
    pub(crate) unused_since: Option<SystemTime>,
    conditions: Vec<(String, Vec<Condition>)>,
}

/// One filter besides `until`.
#[derive(Debug)]
struct Condition {
    field: Field,
    test: Test,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Id,
    Type,
    Description,
    Project,
    InUse,
    Mutable,
    Shared,
}

#[derive(Debug)]
enum Test {
    Is(bool),
    Equals(String),
    Differs(String),
    Matches(Regex),
}

impl Filters {
    /// Reads what was typed.
    pub(crate) fn parse(texts: &[String], now: SystemTime) -> anyhow::Result<Self> {
        let mut filters = Self::default();
        for text in texts {
            let (key, value) = match text.split_once('=') {
                Some((key, value)) => (key, Some(value)),
                None => (text.as_str(), None),
            };
            if matches!(key, "until" | "unused-for") {
                if filters.unused_since.is_some() {
                    bail!("invalid filter {text:?}: until is given twice");
                }
                let value =
                    value.with_context(|| format!("invalid filter {text:?}: it is until=TIME"))?;
                filters.unused_since = Some(until(value, now)?);
                continue;
            }
            let condition =
                condition(key, value).with_context(|| format!("invalid filter {text:?}"))?;
            // What must not be is one more condition each time.
            let mut conditions = filters.conditions.iter_mut();
            match conditions.find(|(known, _)| known == key && !key.ends_with('!')) {
                Some((_, alternatives)) => alternatives.push(condition),
                None => filters.conditions.push((key.to_owned(), vec![condition])),
            }
        }
        Ok(filters)
    }

    /// Whether more is asked than how old something is.
    pub(crate) fn chooses(&self) -> bool {
        !self.conditions.is_empty()
    }

    /// Whether a thing is among what was asked for.
    pub(crate) fn permit(&self, item: &UsageItem) -> bool {
        let unused = |since| item.last_used.is_none_or(|used| used < since);
        self.unused_since.is_none_or(unused)
            && self
                .conditions
                .iter()
                .all(|(_, alternatives)| alternatives.iter().any(|one| one.holds(item)))
    }
}

impl Condition {
    fn holds(&self, item: &UsageItem) -> bool {
        let truth = |is: bool| match &self.test {
            Test::Is(wanted) => is == *wanted,
            _ => false,
        };
        match self.field {
            Field::InUse => truth(item.in_use),
            Field::Mutable => truth(is_mutable(item)),
            Field::Shared => truth(item.shared_bytes > 0),
            Field::Id => match &self.test {
                Test::Equals(begin) => begins(&item.id, begin),
                Test::Differs(begin) => !begins(&item.id, begin),
                test => test.holds(&item.id),
            },
            Field::Type => self.test.holds(type_name(item.kind)),
            Field::Description => self.test.holds(&item.name),
            Field::Project => {
                self.test.holds(&project_name(&item.scope))
                    || self.test.holds(directory(&item.scope))
            }
        }
    }
}

impl Test {
    fn holds(&self, text: &str) -> bool {
        match self {
            Self::Is(wanted) => *wanted != text.is_empty(),
            Self::Equals(value) => text == value,
            Self::Differs(value) => text != value,
            Self::Matches(pattern) => pattern.is_match(text),
        }
    }
}

/// Whether an ID begins so, with or without the name of its hash.
fn begins(id: &str, begin: &str) -> bool {
    id.starts_with(begin)
        || id
            .strip_prefix("sha256:")
            .is_some_and(|digits| digits.starts_with(begin))
}

fn condition(key: &str, value: Option<&str>) -> anyhow::Result<Condition> {
    let (name, sign) = match key.char_indices().next_back() {
        Some((at, sign @ ('!' | '~'))) if value.is_some() => (&key[..at], Some(sign)),
        _ => (key, None),
    };
    let (field, is) = match name {
        "id" => (Field::Id, None),
        "type" => (Field::Type, None),
        "description" | "name" => (Field::Description, None),
        "project" => (Field::Project, None),
        "inuse" => (Field::InUse, Some(true)),
        "mutable" => (Field::Mutable, Some(true)),
        "immutable" => (Field::Mutable, Some(false)),
        "shared" => (Field::Shared, Some(true)),
        "private" => (Field::Shared, Some(false)),
        "" => bail!("it is empty; there are {KEYS}"),
        other => bail!("there is no {other:?}; there are {KEYS}"),
    };
    let test = match (is, value, sign) {
        (Some(is), None, _) => Test::Is(is),
        (Some(is), Some(value), None | Some('!')) => match value {
            "true" | "1" => Test::Is(is == sign.is_none()),
            "false" | "0" => Test::Is(is != sign.is_none()),
            _ => bail!("{name} is true or false"),
        },
        (Some(_), Some(_), Some(_)) => bail!("{name} is true or false"),
        (None, None, _) => {
            bail!("{name} needs a value: {name}=VALUE, {name}!=VALUE or {name}~=PATTERN")
        }
        (None, Some(value), Some('~')) => {
            Test::Matches(Regex::new(value).with_context(|| format!("{value:?} is no pattern"))?)
        }
        (None, Some(value), sign) => {
            if field == Field::Type && !TYPES.contains(&value) {
                bail!("there is no type {value:?}; there are {}", TYPES.join(", "));
            }
            match sign {
                Some(_) => Test::Differs(value.to_owned()),
                None => Test::Equals(value.to_owned()),
            }
        }
    };
    Ok(Condition { field, test })
}

/// A record's project for people: its directory, and its Dockerfile where that has another name.
pub(crate) fn project_name(scope: &str) -> String {
    match scope.split_once('\n') {
        Some((directory, "Dockerfile")) => directory.to_owned(),
        Some((directory, file)) => format!("{directory} ({})", file.replace(['\n', '\t'], " ")),
        None => scope.to_owned(),
    }
}

fn directory(scope: &str) -> &str {
    scope.lines().next().unwrap_or_default()
}

/// Whether others than we may change it.
pub(crate) fn is_mutable(item: &UsageItem) -> bool {
    matches!(item.kind, UsageKind::CacheMount | UsageKind::Container)
}

/// BuildKit's name of a kind, where it has one.
pub(crate) fn type_name(kind: UsageKind) -> &'static str {
    match kind {
        UsageKind::Image => "image",
        UsageKind::Container => "container",
        UsageKind::BuildCache => "regular",
        UsageKind::Base => "base",
        UsageKind::CacheMount => "exec.cachemount",
        UsageKind::Git => "source.git.checkout",
        UsageKind::Http => "source.http",
        UsageKind::Context => "source.local",
        UsageKind::Blob => "blob",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn item(kind: UsageKind, name: &str) -> UsageItem {
        UsageItem {
            kind,
            id: "sha256:3f2a".to_owned(),
            name: name.to_owned(),
            scope: "/src/app\nDockerfile".to_owned(),
            bytes: 10,
            shared_bytes: 0,
            in_use: false,
            created: None,
            last_used: Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_000)),
        }
    }

    fn permits(texts: &[&str]) -> bool {
        let texts: Vec<String> = texts.iter().map(|&text| text.to_owned()).collect();
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let filters = Filters::parse(&texts, now).expect("filters");
        filters.permit(&item(UsageKind::BuildCache, "RUN cargo build"))
    }

    #[test]
    fn all_filters_hold_at_once_and_any_value_of_a_key_does() {
        assert!(permits(&[]));
        assert!(permits(&[
            "type=regular",
            "project=/src/app",
            "id=3f2a",
            "until=1h"
        ]));
        assert!(!permits(&["type=regular", "project=/src/other"]));
        assert!(permits(&["type=blob", "type=regular"]));
        assert!(!permits(&["type!=blob", "type!=regular"]));
        assert!(permits(&["description~=cargo .*d$", "name!=RUN make"]));
        assert!(!permits(&["description=RUN cargo"]));
        assert!(permits(&[
            "immutable",
            "private",
            "inuse=false",
            "shared!=true"
        ]));
        assert!(!permits(&["mutable"]));
        assert!(!permits(&["until=3h"]));
    }

    #[test]
    fn an_unknown_key_is_refused_with_those_that_there_are() {
        for (text, words) in [
            ("label=x", "there are until, id, type"),
            ("type=layer", "there are image, container, regular"),
            ("inuse=maybe", "inuse is true or false"),
            ("name", "name needs a value"),
            ("name~=(", "is no pattern"),
            ("until", "it is until=TIME"),
        ] {
            let error = Filters::parse(&[text.to_owned()], SystemTime::now()).expect_err(text);
            assert!(format!("{error:#}").contains(words), "{error:#}");
        }
    }

    #[test]
    fn a_project_is_its_directory_and_a_file_of_another_name() {
        assert_eq!(project_name("/src/app\nDockerfile"), "/src/app");
        assert_eq!(
            project_name("/src/app\ndev.Dockerfile"),
            "/src/app (dev.Dockerfile)"
        );
    }
}

//! Which sources a rule is about.

use regex::bytes::{Captures, Regex, RegexBuilder};

use super::PolicySource;
use crate::go::quote;

/// How an identifier is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MatchType {
    /// `*` stands for anything.
    Wildcard,
    /// As it is.
    Exact,
    /// Somewhere in the source's identifier, unless `^` and `$` say otherwise.
    Regex,
}

/// How an attribute is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Condition {
    Equal,
    NotEqual,
    /// The value is a regular expression.
    Matches,
}

/// Sources with such an identifier and such attributes.
#[derive(Debug, Clone)]
pub(super) struct Selector {
    identifier: String,
    pattern: Pattern,
    constraints: Vec<Constraint>,
}

#[derive(Debug, Clone)]
enum Pattern {
    Exact,
    /// The whole identifier; each `*` is a group.
    Wildcard(Regex),
    Regex(Regex),
}

/// What an attribute must be; one that is missing is empty.
#[derive(Debug, Clone)]
pub(super) struct Constraint {
    key: String,
    value: Expected,
}

#[derive(Debug, Clone)]
enum Expected {
    Equal(String),
    NotEqual(String),
    Matches(Regex),
}

impl Selector {
    pub(super) fn new(
        identifier: &str,
        match_type: MatchType,
        constraints: Vec<Constraint>,
    ) -> Result<Self, String> {
        let pattern = match match_type {
            MatchType::Exact => Pattern::Exact,
            MatchType::Regex => Pattern::Regex(compiled(identifier)?),
            MatchType::Wildcard if identifier.contains("**") => {
                return Err(format!("invalid wildcard {}: \"**\"", quote(identifier)));
            }
            MatchType::Wildcard => {
                let literal: Vec<_> = identifier.split('*').map(regex::escape).collect();
                Pattern::Wildcard(compiled(&format!("^{}$", literal.join("(.*)")))?)
            }
        };
        Ok(Self {
            identifier: identifier.to_owned(),
            pattern,
            constraints,
        })
    }

    /// As the policy writes it.
    pub(super) fn identifier(&self) -> &str {
        &self.identifier
    }

    pub(super) fn matches(&self, source: &PolicySource) -> bool {
        let identifier = &source.identifier;
        self.constraints.iter().all(|one| one.holds(source))
            && (self.identifier == *identifier
                || match &self.pattern {
                    Pattern::Exact => false,
                    Pattern::Wildcard(regex) | Pattern::Regex(regex) => {
                        regex.is_match(identifier.as_bytes())
                    }
                })
    }

    /// `template` with `$1` and `${name}` replaced by what the groups of the pattern hold in `identifier`.
    pub(super) fn format(&self, identifier: &str, template: &str) -> String {
        let bytes = identifier.as_bytes();
        let formatted = match &self.pattern {
            Pattern::Exact => return template.to_owned(),
            Pattern::Regex(regex) => regex.replace_all(bytes, template.as_bytes()).into_owned(),
            Pattern::Wildcard(regex) => {
                let expand = |captures: Captures<'_>| {
                    let mut expanded = Vec::new();
                    captures.expand(template.as_bytes(), &mut expanded);
                    expanded
                };
                regex.captures(bytes).map_or_else(|| bytes.to_vec(), expand)
            }
        };
        String::from_utf8_lossy(&formatted).into_owned()
    }
}

impl Constraint {
    pub(super) fn new(key: &str, value: &str, condition: Condition) -> Result<Self, String> {
        let key = key.to_owned();
        let value = match condition {
            Condition::Equal => Expected::Equal(value.to_owned()),
            Condition::NotEqual => Expected::NotEqual(value.to_owned()),
            Condition::Matches => Expected::Matches(compiled(value)?),
        };
        Ok(Self { key, value })
    }

    fn holds(&self, source: &PolicySource) -> bool {
        let actual = source.attributes.get(&self.key).map_or("", String::as_str);
        match &self.value {
            Expected::Equal(value) => actual == value,
            Expected::NotEqual(value) => actual != value,
            Expected::Matches(regex) => regex.is_match(actual.as_bytes()),
        }
    }
}

/// Go's syntax, in which classes such as `\d` are ASCII.
fn compiled(pattern: &str) -> Result<Regex, String> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .build()
        .map_err(|error| format!("invalid regex {}: {error}", quote(pattern)))
}

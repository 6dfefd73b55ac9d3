//! A policy's text: `{"version": 1, "rules": [{"action": "DENY", "selector": {"identifier": "…"}}]}`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::selector::{Condition, Constraint, MatchType, Selector};
use super::{Action, Policy, PolicyError, Rule, Update};
use crate::go::quote;

/// The version of the language of policies that this is.
const VERSION: i64 = 1;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyText {
    #[serde(default)]
    version: Option<i64>,
    #[serde(default)]
    rules: Vec<RuleText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RuleText {
    #[serde(default)]
    action: Choice,
    selector: SelectorText,
    #[serde(default)]
    updates: Option<UpdateText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SelectorText {
    identifier: String,
    #[serde(default, alias = "matchType")]
    match_type: Choice,
    #[serde(default)]
    constraints: Vec<ConstraintText>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConstraintText {
    key: String,
    #[serde(default)]
    value: String,
    #[serde(default)]
    condition: Choice,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UpdateText {
    #[serde(default)]
    identifier: String,
    #[serde(default)]
    attrs: BTreeMap<String, String>,
}

/// One of a few names, or its number; absent means the first.
#[derive(Deserialize)]
#[serde(untagged)]
enum Choice {
    Number(usize),
    Name(String),
}

impl Default for Choice {
    fn default() -> Self {
        Self::Number(0)
    }
}

impl Choice {
    fn of<T: Copy>(&self, what: &str, choices: &[(&str, T)]) -> Result<T, String> {
        let found = match self {
            Self::Number(number) => choices.get(*number),
            Self::Name(name) => choices.iter().find(|(known, _)| known == name),
        };
        found.map(|&(_, value)| value).ok_or_else(|| {
            let given = match self {
                Self::Number(number) => number.to_string(),
                Self::Name(name) => quote(name),
            };
            let names: Vec<_> = choices.iter().map(|&(name, _)| name).collect();
            format!("{what} {given} is none of {}", names.join(", "))
        })
    }
}

#[derive(Clone, Copy)]
enum Verb {
    Allow,
    Deny,
    Convert,
}

pub(super) fn parse(name: &str, text: &str) -> Result<Policy, PolicyError> {
    let invalid = |reason: String| PolicyError::Invalid {
        name: name.to_owned(),
        reason,
    };
    let parsed: PolicyText =
        serde_json::from_str(text).map_err(|error| invalid(error.to_string()))?;
    if let Some(version) = parsed.version.filter(|&version| version > VERSION) {
        return Err(invalid(format!(
            "its version is {version}, and only {VERSION} is known"
        )));
    }
    let rules = parsed.rules.iter().enumerate().map(|(place, rule)| {
        rule.understood()
            .map_err(|reason| invalid(format!("rule {}: {reason}", place + 1)))
    });
    Ok(Policy {
        name: name.to_owned(),
        rules: rules.collect::<Result<_, _>>()?,
    })
}

impl RuleText {
    fn understood(&self) -> Result<Rule, String> {
        const VERBS: [(&str, Verb); 3] = [
            ("ALLOW", Verb::Allow),
            ("DENY", Verb::Deny),
            ("CONVERT", Verb::Convert),
        ];
        let action = match (self.action.of("action", &VERBS)?, &self.updates) {
            (Verb::Allow, _) => Action::Allow,
            (Verb::Deny, _) => Action::Deny,
            (Verb::Convert, Some(updates)) => Action::Convert(Update {
                identifier: (!updates.identifier.is_empty()).then(|| updates.identifier.clone()),
                attributes: updates.attrs.clone(),
            }),
            (Verb::Convert, None) => return Err("CONVERT needs \"updates\"".to_owned()),
        };
        Ok(Rule {
            action,
            selector: self.selector.understood()?,
        })
    }
}

impl SelectorText {
    fn understood(&self) -> Result<Selector, String> {
        const TYPES: [(&str, MatchType); 3] = [
            ("WILDCARD", MatchType::Wildcard),
            ("EXACT", MatchType::Exact),
            ("REGEX", MatchType::Regex),
        ];
        let constraints = self.constraints.iter().map(ConstraintText::understood);
        Selector::new(
            &self.identifier,
            self.match_type.of("match_type", &TYPES)?,
            constraints.collect::<Result<_, _>>()?,
        )
    }
}

impl ConstraintText {
    fn understood(&self) -> Result<Constraint, String> {
        const CONDITIONS: [(&str, Condition); 3] = [
            ("EQUAL", Condition::Equal),
            ("NOTEQUAL", Condition::NotEqual),
            ("MATCHES", Condition::Matches),
        ];
        let condition = self.condition.of("condition", &CONDITIONS)?;
        Constraint::new(&self.key, &self.value, condition)
    }
}

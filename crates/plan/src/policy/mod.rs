//! Source policies: which images, repositories, files and directories a build may take, and what stands in for them.
//!
//! ```text
//! source: "docker-image://docker.io/library/alpine:latest" { attributes }
//!    │ for each policy, each rule in order, if its selector matches:
//!    │    ALLOW, DENY   the last one that matches decides
//!    │    CONVERT       a new source: all policies are asked again, from their first rules
//!    └─▶ the source to use, or why there is none
//! ```
//!
//! The rules, their JSON and the names of sources are BuildKit's. What a rule says that is not understood is an error:
//! a policy never permits by a misspelling.

mod error;
mod json;
mod selector;
mod source;

use std::collections::BTreeMap;

pub use error::PolicyError;
pub use source::PolicySource;
pub(crate) use source::Replacement;

use selector::Selector;

/// Conversions of one source before it is taken for a circle.
const MAX_CONVERSIONS: usize = 20;

/// All policies of a build.
#[derive(Debug, Clone, Default)]
pub struct SourcePolicies(Vec<Policy>);

/// One file of rules.
#[derive(Debug, Clone)]
struct Policy {
    /// The file that it was read from, for messages.
    name: String,
    rules: Vec<Rule>,
}

/// What to do with the sources that a selector matches.
#[derive(Debug, Clone)]
struct Rule {
    action: Action,
    selector: Selector,
}

#[derive(Debug, Clone)]
enum Action {
    Allow,
    Deny,
    Convert(Update),
}

/// What a CONVERT writes over a source.
#[derive(Debug, Clone)]
struct Update {
    identifier: Option<String>,
    attributes: BTreeMap<String, String>,
}

/// What one look through all policies came to.
enum Verdict {
    Allowed,
    Converted(PolicySource),
}

impl SourcePolicies {
    /// Adds the policy in `text`, JSON that was read from the file `name`.
    pub fn add(&mut self, name: &str, text: &str) -> Result<(), PolicyError> {
        self.0.push(json::parse(name, text)?);
        Ok(())
    }

    /// Whether there is nothing to ask.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The source to use where `source` is asked for.
    pub fn evaluate(&self, source: PolicySource) -> Result<PolicySource, PolicyError> {
        let asked = source.identifier.clone();
        let mut source = source;
        for _ in 0..=MAX_CONVERSIONS {
            match self.look(&source, |_| true)? {
                Verdict::Allowed => return Ok(source),
                Verdict::Converted(converted) => source = converted,
            }
        }
        Err(PolicyError::Circle { identifier: asked })
    }

    /// What the policies say of `pinned`, which is `named` with the digest that its name was found to mean. `named` is
    /// allowed already, so only rules count that do not match it as well: those that speak of digests.
    pub fn evaluate_pinned(
        &self,
        named: &PolicySource,
        pinned: PolicySource,
    ) -> Result<PolicySource, PolicyError> {
        match self.look(&pinned, |rule| !rule.selector.matches(named))? {
            Verdict::Allowed => Ok(pinned),
            Verdict::Converted(converted) => self.evaluate(converted),
        }
    }

    fn look(
        &self,
        source: &PolicySource,
        counts: impl Fn(&Rule) -> bool,
    ) -> Result<Verdict, PolicyError> {
        for policy in &self.0 {
            let mut denied_by = None;
            for (place, rule) in policy.rules.iter().enumerate() {
                if !rule.selector.matches(source) || !counts(rule) {
                    continue;
                }
                match &rule.action {
                    Action::Allow => denied_by = None,
                    Action::Deny => denied_by = Some((place, rule)),
                    Action::Convert(update) => {
                        let converted = update.apply(&rule.selector, source);
                        if converted != *source {
                            return Ok(Verdict::Converted(converted));
                        }
                    }
                }
            }
            if let Some((place, rule)) = denied_by {
                return Err(PolicyError::Denied {
                    identifier: source.identifier.clone(),
                    policy: policy.name.clone(),
                    rule: place + 1,
                    selector: rule.selector.identifier().to_owned(),
                });
            }
        }
        Ok(Verdict::Allowed)
    }
}

impl Update {
    fn apply(&self, selector: &Selector, source: &PolicySource) -> PolicySource {
        let mut converted = source.clone();
        if let Some(template) = &self.identifier {
            converted.identifier = selector.format(&source.identifier, template);
        }
        let attributes = self.attributes.iter();
        converted
            .attributes
            .extend(attributes.map(|(key, value)| (key.clone(), value.clone())));
        converted
    }
}

#[cfg(test)]
mod tests;

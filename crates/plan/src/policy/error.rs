//! Why a source may not be used, or a policy not be understood.

use crate::go::quote;

/// What a policy refuses. Messages stand by themselves.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PolicyError {
    /// The text is no policy.
    #[error("invalid source policy {name}: {reason}")]
    Invalid {
        /// The file.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A DENY had the last word.
    #[error(
        "source {} denied by policy: source denied by policy (rule {rule} of {policy}: DENY {selector})",
        quote(identifier)
    )]
    Denied {
        /// The source, as it was after conversions.
        identifier: String,
        /// The policy's file.
        policy: String,
        /// The rule's place in it, from 1.
        rule: usize,
        /// Whom the rule selects.
        selector: String,
    },
    /// Rules convert a source without end.
    #[error(
        "too many mutations on a single source: too many operations (the rules convert {} in a circle)",
        quote(identifier)
    )]
    Circle {
        /// The source, as it was asked for.
        identifier: String,
    },
    /// A CONVERT asks for something that cannot stand in.
    #[error(
        "source policy converts {} to {}, {reason}",
        quote(identifier),
        quote(converted)
    )]
    Unsuitable {
        /// The source, as it was asked for.
        identifier: String,
        /// What it became.
        converted: String,
        /// Why that cannot be used.
        reason: String,
    },
}

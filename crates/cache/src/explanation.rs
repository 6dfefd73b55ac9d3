//! What is said of a step that missed.

use std::time::SystemTime;

use rbuild_store::StepKey;

use crate::{Circumstances, Lookup, Reason};

/// Why a step missed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explanation {
    /// What it was compared with.
    pub earlier: Option<Earlier>,
    /// Why, the likeliest cause first; never empty.
    pub reasons: Vec<Reason>,
}

/// An earlier step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Earlier {
    /// Its key.
    pub key: StepKey,
    /// When it ran.
    pub created: SystemTime,
    /// Who remembers it.
    pub place: EarlierPlace,
}

/// Who remembers an earlier step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EarlierPlace {
    /// This store.
    Here,
    /// A remote cache.
    Elsewhere,
}

impl Explanation {
    pub(crate) fn with(reason: Reason) -> Self {
        Self {
            earlier: None,
            reasons: vec![reason],
        }
    }

    /// For a step that was not to look into the cache.
    pub fn not_asked() -> Self {
        Self::with(Reason::NotAsked)
    }

    /// What needs no comparison.
    pub(crate) fn known(circumstances: &Circumstances) -> Option<Self> {
        match &circumstances.lookup {
            Lookup::Asked => None,
            Lookup::NotAsked => Some(Self::not_asked()),
            Lookup::Expired(ttl) => Some(Self::with(Reason::Expired { ttl: ttl.clone() })),
        }
    }

    /// Whether there was nothing to compare with.
    pub fn is_first(&self) -> bool {
        self.reasons == [Reason::First]
    }
}

impl std::fmt::Display for Explanation {
    /// The first reason; how many others there are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.reasons.as_slice() {
            [] => Ok(()),
            [only] => write!(f, "{only}"),
            [first, second] => write!(f, "{first}; {second}"),
            [first, rest @ ..] => write!(f, "{first}; and {} more differences", rest.len()),
        }
    }
}

//! What a build has come to so far, told once although it may begin again.
//!
//! A build begins again when a layer that a remote cache lists cannot be had: entries with it are hits no more, and what was done
//! meanwhile is recorded here, so that little is done twice. Those who watch see steps that were cached run after all.

use std::collections::{BTreeMap, BTreeSet};

use rbuild_cache::Explanation;
use rbuild_plan::{Operation, VertexId};
use rbuild_progress::Outcome;

use crate::build::Build;
use crate::error::StepError;
use crate::step::From;
use crate::tree::Tree;
use crate::why::Miss;

/// As often as entries without their layers may be in the way, one below the other. After that nothing remote is believed.
const MOST_ATTEMPTS: usize = 16;

/// Kept from one attempt to the next.
#[derive(Default)]
pub(crate) struct Story {
    attempts: usize,
    /// Contexts are what they were when they were walked.
    contexts: BTreeMap<VertexId, Tree>,
    cached: BTreeSet<VertexId>,
    ran: BTreeMap<VertexId, Explanation>,
    others: BTreeSet<VertexId>,
}

impl Story {
    /// Whether `error` is about layers of a remote cache: they are refused, and the build is to begin again.
    pub(crate) fn goes_on_without(&mut self, build: &Build, error: &StepError) -> bool {
        let StepError::RemoteLayers { layers, .. } = error else {
            return false;
        };
        if build.cancel.is_cancelled() {
            return false;
        }
        for layer in layers {
            build.imports.refuse(layer);
        }
        self.attempts += 1;
        if self.attempts >= MOST_ATTEMPTS {
            build.imports.refuse_all();
        }
        true
    }

    /// The contexts that were walked.
    pub(crate) fn contexts(&self) -> BTreeMap<VertexId, Tree> {
        self.contexts.clone()
    }

    /// `id` has its result. Gives what there is to tell of it, if that was not told.
    pub(crate) fn add(
        &mut self,
        id: VertexId,
        operation: &Operation,
        tree: &Tree,
        from: Option<From>,
    ) -> Option<Outcome> {
        match from {
            Some(From::Cache) => {
                // These have told that they began.
                let has_begun = matches!(operation, Operation::Git(_) | Operation::Http(_));
                let is_news = !self.ran.contains_key(&id) && self.cached.insert(id);
                (is_news || has_begun).then_some(Outcome::Cached)
            }
            Some(From::Run(explanation)) => {
                self.cached.remove(&id);
                self.ran.insert(id, explanation);
                Some(Outcome::Completed)
            }
            None => {
                if let Tree::Context(..) = tree {
                    self.contexts.insert(id, tree.clone());
                }
                self.others.insert(id).then_some(Outcome::Completed)
            }
        }
    }

    /// How many steps' results were there.
    pub(crate) fn cached(&self) -> usize {
        self.cached.len()
    }

    /// How many steps ran.
    pub(crate) fn executed(&self) -> usize {
        self.ran.len()
    }

    /// Why they ran, in the order of the plan.
    pub(crate) fn misses(&self) -> Vec<Miss> {
        let ran = self.ran.iter();
        ran.map(|(&vertex, explanation)| Miss {
            vertex,
            explanation: explanation.clone(),
        })
        .collect()
    }
}

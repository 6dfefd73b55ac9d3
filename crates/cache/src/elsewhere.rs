//! Runs of a step on other machines.

use std::time::SystemTime;

use rbuild_image::LayerId;
use rbuild_layer::ContentIndex;
use rbuild_store::StepKey;

use crate::{Circumstances, Preimage};

/// Who knows what other machines did: remote caches.
pub trait Elsewhere {
    /// The last run of the step that is called `name`, or of one that is called much like it.
    fn last_run(&self, name: &str) -> Option<ElsewhereRun>;

    /// What is in a layer of theirs, without its bytes.
    fn index(&self, layer: &LayerId) -> Option<ContentIndex>;
}

/// A run of a step on another machine.
#[derive(Debug, Clone)]
pub struct ElsewhereRun {
    /// Its words there.
    pub name: String,
    /// The step's key there.
    pub key: StepKey,
    /// When it ran.
    pub created: SystemTime,
    /// What the key is the hash of.
    pub preimage: Preimage,
    /// What it ran on.
    pub circumstances: Circumstances,
    /// What it made.
    pub layers: Vec<LayerId>,
}

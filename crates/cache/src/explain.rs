//! Why a step missed: the nearest earlier step, and what differs from it.

use std::time::SystemTime;

use rbuild_image::LayerId;
use rbuild_store::{Record, StepKey, Store, StoreError};

use crate::reason::reasons;
use crate::{Circumstances, Files, Lookup, Preimage, Reason};

/// Among so many of the newest records of a project the nearest is looked for, when the step itself has none.
const RECORDS_TO_COMPARE: usize = 50;

/// A step that differs in more than this from another is not what became of it.
const MOST_DIFFERENCES: usize = 2;

/// So many of the newest records are read to list a Dockerfile's steps.
const RECORDS_TO_LIST: usize = 500;

/// More records than one step makes in one build.
const RECORDS_OF_ONE_NAME: usize = 8;

/// A step that missed.
#[derive(Debug, Clone, Copy)]
pub struct Missed<'a> {
    /// Its Dockerfile; see [`Record::scope`].
    pub scope: &'a str,
    /// Its words; see [`Record::name`].
    pub name: &'a str,
    /// What its key is the hash of.
    pub preimage: &'a Preimage,
    /// What it stands on.
    pub circumstances: &'a Circumstances,
    /// What it made, once it has.
    pub layers: Option<&'a [LayerId]>,
    /// When its build began: other steps of the same build are not what it was before.
    pub begun: SystemTime,
}

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
}

impl Explanation {
    fn with(reason: Reason) -> Self {
        Self {
            earlier: None,
            reasons: vec![reason],
        }
    }

    /// For a step that was not to look into the cache.
    pub fn not_asked() -> Self {
        Self::with(Reason::NotAsked)
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

/// Why `missed` had to run: compared with the last run of the same step, else with the step of the same Dockerfile
/// that it has most in common with.
///
/// # Errors
/// When the store cannot be read.
pub fn explain(store: &Store, missed: Missed<'_>) -> Result<Explanation, StoreError> {
    if missed.circumstances.lookup == Lookup::NotAsked {
        return Ok(Explanation::not_asked());
    }
    let mut earlier = last_run(store, &missed)?;
    if earlier.is_none() {
        let mut records = store.records_in_scope(missed.scope, RECORDS_TO_COMPARE)?;
        records.retain(|record| record.created < missed.begun);
        earlier = nearest(store, missed.preimage, records)?;
    }
    match earlier {
        Some(earlier) => compare(store, &earlier, missed),
        None => Ok(Explanation::with(Reason::First)),
    }
}

/// The newest record of the step itself. What was mounted into a RUN is recorded under its name, too.
fn last_run(store: &Store, missed: &Missed<'_>) -> Result<Option<Record>, StoreError> {
    for record in store.records_named(missed.scope, missed.name, RECORDS_OF_ONE_NAME)? {
        let same_kind = preimage_of(store, &record.key)?
            .is_some_and(|preimage| preimage.kind() == missed.preimage.kind());
        if same_kind {
            return Ok(Some(record));
        }
    }
    Ok(None)
}

/// A step of a Dockerfile, when it ran last, and why.
#[derive(Debug, Clone)]
pub struct Ran {
    /// What it gave.
    pub record: Record,
    /// Why it was not a hit then.
    pub explanation: Explanation,
}

/// The last run of each step of the Dockerfile `scope`, newest first.
///
/// # Errors
/// When the store cannot be read.
pub fn last_runs(store: &Store, scope: &str) -> Result<Vec<Ran>, StoreError> {
    let mut known = Vec::new();
    for record in store.records_in_scope(scope, RECORDS_TO_LIST)? {
        if let Some(preimage) = preimage_of(store, &record.key)? {
            known.push((record, preimage));
        }
    }
    let mut runs: Vec<Ran> = Vec::new();
    for (position, (record, preimage)) in known.iter().enumerate() {
        if runs.iter().any(|ran| ran.record.name == record.name) {
            continue;
        }
        let circumstances = Circumstances::decode(&record.outcome).unwrap_or_default();
        let missed = Missed {
            scope,
            name: &record.name,
            preimage,
            circumstances: &circumstances,
            layers: Some(&record.layers),
            begun: record.created,
        };
        let older = &known[position + 1..];
        let same_step = older
            .iter()
            .find(|(old, known)| old.name == record.name && known.kind() == preimage.kind());
        let earlier = match same_step {
            Some((old, _)) => Some(old.clone()),
            None => nearest(
                store,
                preimage,
                older.iter().map(|(old, _)| old.clone()).collect(),
            )?,
        };
        let explanation = match earlier {
            _ if circumstances.lookup == Lookup::NotAsked => Explanation::not_asked(),
            Some(earlier) => compare(store, &earlier, missed)?,
            None => Explanation::with(Reason::First),
        };
        runs.push(Ran {
            record: record.clone(),
            explanation,
        });
    }
    Ok(runs)
}

/// Of `candidates` the one that differs least from `preimage`; none that is another step altogether.
fn nearest(
    store: &Store,
    preimage: &Preimage,
    candidates: Vec<Record>,
) -> Result<Option<Record>, StoreError> {
    let mut best: Option<(usize, Record)> = None;
    for candidate in candidates {
        let Some(known) = preimage_of(store, &candidate.key)? else {
            continue;
        };
        if known.kind() != preimage.kind() {
            continue;
        }
        let differences = reasons(&known, preimage);
        // A step that was changed stands where it stood, and is much as it was; one that stands elsewhere is another.
        let is_elsewhere = differences
            .iter()
            .any(|reason| matches!(reason, Reason::Above { .. }));
        let is_another_step =
            differences.len() > MOST_DIFFERENCES || (is_elsewhere && differences.len() > 1);
        let distance = differences.len();
        if !is_another_step && best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, candidate));
        }
    }
    Ok(best.map(|(_, record)| record))
}

/// What differs from `earlier`.
fn compare(store: &Store, earlier: &Record, missed: Missed<'_>) -> Result<Explanation, StoreError> {
    let Some(before) = preimage_of(store, &earlier.key)? else {
        return Ok(Explanation::with(Reason::First));
    };
    let mut reasons = reasons(&before, missed.preimage);
    let known = Circumstances::decode(&earlier.outcome).unwrap_or_default();
    for reason in &mut reasons {
        match reason {
            Reason::Above { .. } => *reason = below(store, &known, missed.circumstances)?,
            Reason::Copied { files } => {
                *files = differing(store, &earlier.layers, missed.layers, |path| {
                    missed.circumstances.name_at_source(path)
                })?;
            }
            _ => {}
        }
    }
    if reasons.is_empty() {
        reasons.push(Reason::Removed);
    }
    Ok(Explanation {
        earlier: Some(Earlier {
            key: earlier.key,
            created: earlier.created,
        }),
        reasons,
    })
}

fn preimage_of(store: &Store, key: &StepKey) -> Result<Option<Preimage>, StoreError> {
    // One that cannot be read was written by another version: there is nothing to compare with.
    Ok(store
        .preimage(key)?
        .and_then(|bytes| Preimage::decode(&bytes).ok()))
}

/// What is different below a step: its base image, or what a step before it made.
fn below(store: &Store, before: &Circumstances, now: &Circumstances) -> Result<Reason, StoreError> {
    let first = before
        .base
        .iter()
        .zip(&now.base)
        .find(|(left, right)| left != right);
    let files = match first {
        Some((left @ LayerId::Made(_), right @ LayerId::Made(_))) => {
            differing(store, &[*left], Some(&[*right]), |path| {
                format!("/{}", String::from_utf8_lossy(path))
            })?
        }
        Some(_) => {
            return Ok(Reason::BaseImage {
                before: before.image.clone(),
                now: now.image.clone(),
            });
        }
        None => Files::default(),
    };
    Ok(Reason::Above { files })
}

/// What differs between two layers, if both are there.
fn differing(
    store: &Store,
    before: &[LayerId],
    now: Option<&[LayerId]>,
    name: impl Fn(&[u8]) -> String,
) -> Result<Files, StoreError> {
    let ([before], Some([now])) = (before, now) else {
        return Ok(Files::default());
    };
    let (Some(before), Some(now)) = (store.layer(before)?, store.layer(now)?) else {
        return Ok(Files::default());
    };
    let (before, now) = (before.index()?, now.index()?);
    Ok(Files::between(&before, &now, name))
}

//! Why a step missed: the nearest earlier step, and what differs from it.

use std::cell::OnceCell;
use std::collections::HashSet;
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

    /// What needs no comparison.
    fn known(circumstances: &Circumstances) -> Option<Self> {
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

/// Why `missed` had to run: compared with the last run of the same step, else with the step of the same Dockerfile
/// that it has most in common with.
///
/// # Errors
/// When the store cannot be read.
pub fn explain(store: &Store, missed: Missed<'_>) -> Result<Explanation, StoreError> {
    if let Some(known) = Explanation::known(missed.circumstances) {
        return Ok(known);
    }
    let own = store.records_named(missed.scope, missed.name, RECORDS_OF_ONE_NAME)?;
    let own: Vec<Known> = own.into_iter().map(Known::new).collect();
    if let Some((earlier, before)) = last_run(store, missed.preimage, &own)? {
        return compare(store, earlier, before, missed);
    }
    let mut records = store.records_in_scope(missed.scope, RECORDS_TO_COMPARE)?;
    records.retain(|record| record.created < missed.begun);
    let records: Vec<Known> = records.into_iter().map(Known::new).collect();
    compare_with_nearest(store, &records, missed)
}

/// A record and its preimage, which is read when it is first asked for.
struct Known {
    record: Record,
    preimage: OnceCell<Option<Preimage>>,
}

impl Known {
    fn new(record: Record) -> Self {
        Self {
            record,
            preimage: OnceCell::new(),
        }
    }

    fn preimage(&self, store: &Store) -> Result<Option<&Preimage>, StoreError> {
        if let Some(read) = self.preimage.get() {
            return Ok(read.as_ref());
        }
        // One that cannot be read was written by another version: there is nothing to compare with.
        let bytes = store.preimage(&self.record.key)?;
        let read = bytes.and_then(|bytes| Preimage::decode(&bytes).ok());
        Ok(self.preimage.get_or_init(|| read).as_ref())
    }
}

/// The newest of a step's own records. What was mounted into a RUN is recorded under its name, too.
fn last_run<'k>(
    store: &Store,
    preimage: &Preimage,
    own: impl IntoIterator<Item = &'k Known>,
) -> Result<Option<(&'k Record, &'k Preimage)>, StoreError> {
    for known in own {
        if let Some(before) = known.preimage(store)?
            && before.kind() == preimage.kind()
        {
            return Ok(Some((&known.record, before)));
        }
    }
    Ok(None)
}

fn compare_with_nearest(
    store: &Store,
    records: &[Known],
    missed: Missed<'_>,
) -> Result<Explanation, StoreError> {
    match nearest(store, missed.preimage, records)? {
        Some((earlier, before)) => compare(store, earlier, before, missed),
        None => Ok(Explanation::with(Reason::First)),
    }
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
    let records = store.records_in_scope(scope, RECORDS_TO_LIST)?;
    let known: Vec<Known> = records.into_iter().map(Known::new).collect();
    let mut runs: Vec<Ran> = Vec::new();
    let mut named = HashSet::new();
    for (position, ran) in known.iter().enumerate() {
        let record = &ran.record;
        if named.contains(record.name.as_str()) {
            continue;
        }
        let Some(preimage) = ran.preimage(store)? else {
            continue;
        };
        named.insert(record.name.as_str());
        let circumstances = Circumstances::decode(&record.outcome).unwrap_or_default();
        let missed = Missed {
            scope,
            name: &record.name,
            preimage,
            circumstances: &circumstances,
            layers: Some(&record.layers),
            begun: record.created,
        };
        runs.push(Ran {
            record: record.clone(),
            explanation: explain_among(store, &known[position + 1..], missed)?,
        });
    }
    Ok(runs)
}

/// [`explain()`] by records that are known, newest first.
fn explain_among(
    store: &Store,
    older: &[Known],
    missed: Missed<'_>,
) -> Result<Explanation, StoreError> {
    if let Some(known) = Explanation::known(missed.circumstances) {
        return Ok(known);
    }
    let own = older.iter().filter(|old| old.record.name == missed.name);
    if let Some((earlier, before)) = last_run(store, missed.preimage, own)? {
        return compare(store, earlier, before, missed);
    }
    let newest = &older[..older.len().min(RECORDS_TO_COMPARE)];
    compare_with_nearest(store, newest, missed)
}

/// Of `candidates` the one that differs least from `preimage`; none that is another step altogether.
fn nearest<'k>(
    store: &Store,
    preimage: &Preimage,
    candidates: &'k [Known],
) -> Result<Option<(&'k Record, &'k Preimage)>, StoreError> {
    let mut best: Option<(usize, (&Record, &Preimage))> = None;
    for candidate in candidates {
        let Some(known) = candidate.preimage(store)? else {
            continue;
        };
        if known.kind() != preimage.kind() {
            continue;
        }
        let differences = reasons(known, preimage, &[]);
        // A step that was changed stands where it stood, and is much as it was; one that stands elsewhere is another.
        let is_elsewhere = differences
            .iter()
            .any(|reason| matches!(reason, Reason::Above { .. }));
        let is_another_step =
            differences.len() > MOST_DIFFERENCES || (is_elsewhere && differences.len() > 1);
        let distance = differences.len();
        if !is_another_step && best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, (&candidate.record, known)));
        }
    }
    Ok(best.map(|(_, found)| found))
}

/// What differs from `earlier`.
fn compare(
    store: &Store,
    earlier: &Record,
    before: &Preimage,
    missed: Missed<'_>,
) -> Result<Explanation, StoreError> {
    let known = Circumstances::decode(&earlier.outcome).unwrap_or_default();
    let arguments = [
        known.arguments.as_slice(),
        missed.circumstances.arguments.as_slice(),
    ];
    let mut reasons = reasons(before, missed.preimage, &arguments.concat());
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

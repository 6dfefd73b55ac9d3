//! Why a step missed: the nearest earlier step, and what differs from it.

use std::cell::OnceCell;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::SystemTime;

use rbuild_image::LayerId;
use rbuild_layer::ContentIndex;
use rbuild_store::{Record, Store, StoreError};

use crate::reason::reasons;
use crate::{
    Circumstances, Earlier, EarlierPlace, Elsewhere, ElsewhereRun, Explanation, Files, Preimage,
    Reason, Told,
};

/// Among so many of the newest records of a project the nearest is looked for, when the step itself has none.
const RECORDS_TO_COMPARE: usize = 50;

/// A step that differs in more than this from another is not what became of it.
const MOST_DIFFERENCES: usize = 2;

/// So many of the newest records are read to list a Dockerfile's steps.
const RECORDS_TO_LIST: usize = 500;

/// More records than one step makes in one build.
const RECORDS_OF_ONE_NAME: usize = 8;

/// A step that missed.
#[derive(Clone, Copy)]
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
    /// Asked where this store has not seen the step before.
    pub elsewhere: Option<&'a dyn Elsewhere>,
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
        return compare(store, Before::here(earlier, before), missed);
    }
    let elsewhere = missed
        .elsewhere
        .and_then(|known| known.last_run(missed.name))
        .filter(|run| run.preimage.kind() == missed.preimage.kind());
    if let Some(run) = elsewhere.as_ref().filter(|run| run.name == missed.name) {
        return compare(store, Before::elsewhere(run), missed);
    }
    let mut records = store.records_in_scope(missed.scope, RECORDS_TO_COMPARE)?;
    records.retain(|record| record.created < missed.begun);
    let records: Vec<Known> = records.into_iter().map(Known::new).collect();
    let explanation = compare_with_nearest(store, &records, missed)?;
    match elsewhere {
        Some(run) if explanation.is_first() => {
            let differences = reasons(&run.preimage, missed.preimage, &[]);
            if is_another_step(&differences) {
                return Ok(explanation);
            }
            compare(store, Before::elsewhere(&run), missed)
        }
        _ => Ok(explanation),
    }
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
        let read = bytes.and_then(|bytes| Preimage::decode(bytes).ok());
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
        Some((earlier, before)) => compare(store, Before::here(earlier, before), missed),
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
            elsewhere: None,
        };
        let told = circumstances.told.as_ref().and_then(Told::explanation);
        let explanation = match told {
            Some(told) => told,
            None => explain_among(store, &known[position + 1..], missed)?,
        };
        runs.push(Ran {
            record: record.clone(),
            explanation,
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
        return compare(store, Before::here(earlier, before), missed);
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
        let distance = differences.len();
        if !is_another_step(&differences)
            && best.as_ref().is_none_or(|(least, _)| distance < *least)
        {
            best = Some((distance, (&candidate.record, known)));
        }
    }
    Ok(best.map(|(_, found)| found))
}

/// A step that was changed stands where it stood, and is much as it was; one that stands elsewhere is another.
fn is_another_step(differences: &[Reason]) -> bool {
    let is_elsewhere = differences
        .iter()
        .any(|reason| matches!(reason, Reason::Above { .. }));
    differences.len() > MOST_DIFFERENCES || (is_elsewhere && differences.len() > 1)
}

/// The step that a missed one is compared with.
struct Before<'a> {
    earlier: Earlier,
    preimage: &'a Preimage,
    circumstances: Circumstances,
    layers: &'a [LayerId],
}

impl<'a> Before<'a> {
    fn here(record: &'a Record, preimage: &'a Preimage) -> Self {
        Self {
            earlier: Earlier {
                key: record.key,
                created: record.created,
                place: EarlierPlace::Here,
            },
            preimage,
            circumstances: Circumstances::decode(&record.outcome).unwrap_or_default(),
            layers: &record.layers,
        }
    }

    fn elsewhere(run: &'a ElsewhereRun) -> Self {
        Self {
            earlier: Earlier {
                key: run.key,
                created: run.created,
                place: EarlierPlace::Elsewhere,
            },
            preimage: &run.preimage,
            circumstances: run.circumstances.clone(),
            layers: &run.layers,
        }
    }
}

/// What differs from `before`.
fn compare(
    store: &Store,
    before: Before<'_>,
    missed: Missed<'_>,
) -> Result<Explanation, StoreError> {
    let known = before.circumstances;
    let arguments = [
        known.arguments.as_slice(),
        missed.circumstances.arguments.as_slice(),
    ];
    let mut reasons = reasons(before.preimage, missed.preimage, &arguments.concat());
    for reason in &mut reasons {
        match reason {
            Reason::Above { .. } => *reason = below(store, &known, missed)?,
            Reason::Copied { files } => {
                *files = differing(store, before.layers, missed.layers, missed, |path| {
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
        earlier: Some(before.earlier),
        reasons,
    })
}

/// What is different below a step: its base image, or what a step before it made.
fn below(store: &Store, before: &Circumstances, missed: Missed<'_>) -> Result<Reason, StoreError> {
    let now = missed.circumstances;
    let first = before
        .base
        .iter()
        .zip(&now.base)
        .find(|(left, right)| left != right);
    let files = match first {
        Some((left @ LayerId::Made(_), right @ LayerId::Made(_))) => {
            differing(store, &[*left], Some(&[*right]), missed, |path| {
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

/// What differs between two layers, if it is known what is in both.
fn differing(
    store: &Store,
    before: &[LayerId],
    now: Option<&[LayerId]>,
    missed: Missed<'_>,
    name: impl Fn(&[u8]) -> String,
) -> Result<Files, StoreError> {
    let ([before], Some([now])) = (before, now) else {
        return Ok(Files::default());
    };
    let index = |id: &LayerId| -> Result<Option<Arc<ContentIndex>>, StoreError> {
        if let Some(layer) = store.layer(id)? {
            return Ok(Some(layer.index()?));
        }
        let known = missed.elsewhere.and_then(|known| known.index(id));
        Ok(known.map(Arc::new))
    };
    match (index(before)?, index(now)?) {
        (Some(before), Some(now)) => Ok(Files::between(&before, &now, name)),
        _ => Ok(Files::default()),
    }
}

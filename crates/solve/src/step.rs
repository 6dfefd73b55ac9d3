//! What every step that makes a layer has in common: look, lock, look again, make, record.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use rbuild_cache::{Explanation, Preimage, Told};
use rbuild_image::LayerId;
use rbuild_layer::ContentIndex;
use rbuild_plan::{CacheUse, Plan, Vertex, VertexId};
use rbuild_remote::{Address, Ask, Hit};
use rbuild_store::{
    FastKey, Layer, LayerDraft, LockGuard, NewRecord, Record, RootAttributes, StepKey,
};

use crate::adopt::Sought;
use crate::build::{Build, CacheTtl};
use crate::error::StepError;
use crate::fetch::Fetcher;
use crate::tree::Stack;

/// A vertex and its surroundings.
#[derive(Clone, Copy)]
pub(crate) struct Step<'a> {
    pub(crate) build: &'a Build,
    pub(crate) fetcher: &'a Fetcher<'a>,
    pub(crate) id: VertexId,
    pub(crate) vertex: &'a Vertex,
    pub(crate) plan: &'a Plan,
    /// How old a result may be to be taken.
    pub(crate) ttl: Option<&'a CacheTtl>,
}

/// The keys of a step.
pub(crate) struct Keys {
    /// By contents: what names the result.
    pub(crate) key: StepKey,
    /// What the key is the hash of.
    pub(crate) preimage: Preimage,
    /// By the identity of the inputs: leads to the key without looking at contents.
    pub(crate) fast: Option<FastKey>,
}

/// A step's result and whether it had to run.
pub(crate) struct Found {
    pub(crate) stack: Stack,
    pub(crate) from: From,
    /// By which it can be found again.
    pub(crate) key: StepKey,
    pub(crate) fast: Option<FastKey>,
    /// The remote cache's entry, of what is not recorded here.
    pub(crate) hit: Option<Arc<Hit>>,
}

/// What a look into the records gave.
enum Looked {
    /// A result.
    Found(Found),
    /// One that is older than was asked for.
    TooOld,
    /// None.
    Nothing,
}

/// Where a result comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum From {
    /// An earlier run.
    Cache,
    /// It was made now, for this reason.
    Run(Explanation),
}

impl Step<'_> {
    pub(crate) fn cache_use(&self) -> CacheUse {
        self.vertex.cache_use
    }

    /// The recorded result of `key` on top of `base`.
    pub(crate) fn find(&self, key: &StepKey, base: &Stack) -> Result<Option<Found>, StepError> {
        match self.look(key, base)? {
            Looked::Found(found) => Ok(Some(found)),
            Looked::TooOld | Looked::Nothing => Ok(None),
        }
    }

    fn look(&self, key: &StepKey, base: &Stack) -> Result<Looked, StepError> {
        if self.cache_use() == CacheUse::Refused {
            return Ok(Looked::Nothing);
        }
        let Some(record) = self.build.store.record(key)? else {
            return Ok(Looked::Nothing);
        };
        if self.is_too_old(record.created) {
            return Ok(Looked::TooOld);
        }
        let found = self.take(&record, None, base)?;
        Ok(found.map_or(Looked::Nothing, Looked::Found))
    }

    /// Whether a result of that time is older than was asked for.
    pub(crate) fn is_too_old(&self, created: SystemTime) -> bool {
        let age = self.build.now.duration_since(created);
        self.ttl
            .is_some_and(|ttl| age.is_ok_and(|age| age > ttl.age))
    }

    /// [`Self::find`] for the key that `fast` stands for.
    pub(crate) fn find_by_alias(
        &self,
        fast: &FastKey,
        base: &Stack,
    ) -> Result<Option<Found>, StepError> {
        match self.build.store.record_by_alias(fast)? {
            Some(record) if !self.is_too_old(record.created) => {
                self.take(&record, Some(*fast), base)
            }
            _ => Ok(None),
        }
    }

    /// The layers of `record`, pinned until the build is over; `None` if one of them is gone.
    fn take(
        &self,
        record: &Record,
        fast: Option<FastKey>,
        base: &Stack,
    ) -> Result<Option<Found>, StepError> {
        let mut pins = Vec::with_capacity(record.layers.len());
        for id in &record.layers {
            match self.build.store.layer(id)? {
                Some(layer) => pins.push(layer),
                None => return Ok(None),
            }
        }
        self.build.pin(pins);
        Ok(Some(Found {
            stack: base.with(&record.layers),
            from: From::Cache,
            key: record.key,
            fast,
            hit: None,
        }))
    }

    /// The result of `keys`: recorded, made by another process meanwhile, or made now by `make`.
    pub(crate) fn find_or_make(
        &self,
        keys: &Keys,
        base: &Stack,
        make: impl FnOnce() -> Result<LayerId, StepError>,
    ) -> Result<Found, StepError> {
        let store = &self.build.store;
        if let Some(found) = self.find_here(keys, base)? {
            return Ok(found);
        }
        // Before the lock: others may need the step, but not this build's network.
        let sought = Sought {
            address: Address::Key(keys.key),
            preimage: Some(&keys.preimage),
            fast: keys.fast,
        };
        if let Some(found) = self.find_remotely(&sought, base, Ask::Network)? {
            return Ok(found);
        }
        self.ask_elsewhere()?;
        self.fetcher.fetch(base)?;
        let _one_at_a_time = self.lock(keys)?;
        let expired = match self.look(&keys.key, base)? {
            Looked::Found(found) => {
                self.put_alias(keys)?;
                let fast = keys.fast;
                return Ok(Found { fast, ..found });
            }
            Looked::TooOld => self.ttl,
            Looked::Nothing => None,
        };
        let mut circumstances = self.circumstances(base, expired);
        let why = self.why(keys, &circumstances, None)?;
        self.tell_why(&why);
        let begun = Instant::now();
        let layer = make()?;
        let run_time = begun.elapsed();
        let why = self.why_in_full(why, keys, &circumstances, layer)?;
        circumstances.told = Told::of(&why);
        store.put_record(&NewRecord {
            key: &keys.key,
            scope: &self.build.scope,
            name: &self.record_name(),
            layers: &[layer],
            outcome: &circumstances.encode(),
            preimage: keys.preimage.as_bytes(),
            run_time,
        })?;
        self.put_alias(keys)?;
        Ok(Found {
            stack: base.with(&[layer]),
            from: From::Run(why),
            key: keys.key,
            fast: keys.fast,
            hit: None,
        })
    }

    /// [`Self::find`], and the fast key leads there from now on.
    fn find_here(&self, keys: &Keys, base: &Stack) -> Result<Option<Found>, StepError> {
        let Some(found) = self.find(&keys.key, base)? else {
            return Ok(None);
        };
        self.put_alias(keys)?;
        let fast = keys.fast;
        Ok(Some(Found { fast, ..found }))
    }

    /// Keeps others from making the same. Who wants no earlier result has no use for theirs either, and waits for nobody.
    fn lock(&self, keys: &Keys) -> Result<Option<LockGuard>, StepError> {
        let name = format!("step {}", keys.key);
        let store = &self.build.store;
        match self.cache_use() {
            CacheUse::Refused => Ok(store.try_lock(&name)?),
            CacheUse::Allowed => {
                let cancelled = || self.build.cancel.is_cancelled();
                Ok(Some(store.lock(&name, &cancelled)?))
            }
        }
    }

    fn put_alias(&self, keys: &Keys) -> Result<(), StepError> {
        if let Some(fast) = &keys.fast {
            self.build.store.alias(fast, &keys.key)?;
        }
        Ok(())
    }

    /// Makes `draft` a layer, or adopts the layer of the same contents that is there.
    pub(crate) fn commit(
        &self,
        draft: LayerDraft,
        index: ContentIndex,
    ) -> Result<LayerId, StepError> {
        let id = LayerId::Made(index.content_id());
        let layer = self.build.store.commit_layer(draft, index, id)?;
        self.build.pin([layer]);
        Ok(id)
    }

    /// The layer that this step of the same Dockerfile made last, if it is still there.
    pub(crate) fn earlier_layer(&self) -> Result<Option<Arc<Layer>>, StepError> {
        if self.cache_use() == CacheUse::Refused {
            return Ok(None);
        }
        let store = &self.build.store;
        let records = store.records_named(&self.build.scope, &self.record_name(), 1)?;
        match records.first().map(|record| record.layers.as_slice()) {
            Some([layer]) => Ok(store.layer(layer)?),
            _ => Ok(None),
        }
    }

    /// The attributes that `/` has in `stack`, which a layer on top of it must repeat. They are those of a pulled lowest
    /// layer, and else what every new root has: the root is in no layer's contents, so a layer may have been made over
    /// another base, or by a command that changed its root, and gave the same contents.
    pub(crate) fn root_attributes(&self, stack: &Stack) -> Result<RootAttributes, StepError> {
        match self.fetcher.fetch(stack)?.first() {
            Some(lowest) if matches!(lowest.id(), LayerId::Pulled(_)) => {
                Ok(RootAttributes::of(lowest)?)
            }
            _ => Ok(RootAttributes::default()),
        }
    }
}

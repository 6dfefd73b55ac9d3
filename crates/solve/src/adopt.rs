//! Results that a remote cache has, and how they become this store's own.
//!
//! ```text
//! lookup ─ entry ─→ stack of layers that need not be here ─→ next step's key
//!                        └─ somebody reads one → fetched, checked → layer here → record here
//! ```

use std::time::{Duration, SystemTime};

use rbuild_cache::Preimage;
use rbuild_image::LayerId;
use rbuild_plan::CacheUse;
use rbuild_remote::{Address, Ask, Hit};
use rbuild_store::{FastKey, NewRecord, Store};

use crate::error::StepError;
use crate::step::{Found, From, Step};
use crate::tree::Stack;

/// What is looked for.
pub(crate) struct Sought<'a> {
    pub(crate) address: Address,
    /// What the key is the hash of, if that is known already.
    pub(crate) preimage: Option<&'a Preimage>,
    pub(crate) fast: Option<FastKey>,
}

/// A record to be entered once the entry's layers are here.
pub(crate) struct Adoption {
    hit: std::sync::Arc<Hit>,
    fast: Option<FastKey>,
    scope: String,
    name: String,
    outcome: Vec<u8>,
    preimage: Option<Preimage>,
}

impl Adoption {
    /// The layers that the record needs.
    pub(crate) fn layers(&self) -> Vec<LayerId> {
        layers_of(&self.hit)
    }

    /// Whether somebody has computed what the key is the hash of.
    pub(crate) fn is_complete(&self) -> bool {
        self.preimage.is_some()
    }

    /// Fetches what the key is the hash of. Without it a later miss is explained less well, and that is all.
    pub(crate) fn completed(mut self) -> Self {
        self.preimage = fetched_preimage(&self.hit);
        self
    }

    /// Enters the record.
    pub(crate) fn enter(&self, store: &Store) -> Result<(), StepError> {
        let key = self.hit.entry.key();
        let preimage = self.preimage.as_ref();
        let record = NewRecord {
            key: &key,
            scope: &self.scope,
            name: &self.name,
            layers: &self.layers(),
            outcome: &self.outcome,
            preimage: preimage.map(Preimage::as_bytes).unwrap_or_default(),
            run_time: Duration::from_millis(self.hit.entry.run_millis),
        };
        store.put_record_of(&record, created(&self.hit))?;
        if let Some(fast) = &self.fast {
            store.alias(fast, &key)?;
        }
        Ok(())
    }
}

fn fetched_preimage(hit: &Hit) -> Option<Preimage> {
    hit.entry.preimage().or_else(|| {
        let address = Address::Key(hit.entry.key());
        hit.place.full_entry(&address).ok()??.preimage()
    })
}

/// When the step ran.
fn created(hit: &Hit) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(hit.entry.created)
}

fn layers_of(hit: &Hit) -> Vec<LayerId> {
    hit.entry.layers.iter().map(|layer| layer.id).collect()
}

impl Step<'_> {
    /// The result that `fast` leads to, recorded here or known to a remote cache.
    pub(crate) fn find_by_fast_key(
        &self,
        fast: FastKey,
        base: &Stack,
        ask: Ask,
    ) -> Result<Option<Found>, StepError> {
        if let Some(found) = self.find_by_alias(&fast, base)? {
            return Ok(Some(found));
        }
        let sought = Sought {
            address: Address::Fast(fast),
            preimage: None,
            fast: None,
        };
        self.find_remotely(&sought, base, ask)
    }

    /// A remote cache's result, on top of `base`. Its layers need not be here.
    pub(crate) fn find_remotely(
        &self,
        sought: &Sought<'_>,
        base: &Stack,
        ask: Ask,
    ) -> Result<Option<Found>, StepError> {
        if self.cache_use() == CacheUse::Refused {
            return Ok(None);
        }
        let Some(hit) = self.build.imports.find(&sought.address, ask) else {
            return Ok(None);
        };
        if self.is_too_old(created(&hit)) {
            self.build.imports.pass_over(&hit.entry.key());
            return Ok(None);
        }
        let fast = match sought.address {
            Address::Fast(fast) => Some(fast),
            Address::Key(_) => sought.fast,
        };
        let layers = layers_of(&hit);
        let are_here = self.pin_all(&layers)?;
        let adoption = Adoption {
            hit: std::sync::Arc::clone(&hit),
            fast,
            scope: self.build.scope.clone(),
            name: self.record_name(),
            outcome: self.circumstances(base, None).encode(),
            preimage: sought.preimage.cloned(),
        };
        if are_here {
            self.fetcher.adopt_now(adoption)?;
        } else {
            self.fetcher.adopt_later(adoption);
        }
        Ok(Some(Found {
            stack: base.with(&layers),
            from: From::Cache,
            key: hit.entry.key(),
            fast,
            hit: Some(hit),
        }))
    }

    /// Whether all of `layers` are here; if so, they stay until the build is over.
    fn pin_all(&self, layers: &[LayerId]) -> Result<bool, StepError> {
        let mut pins = Vec::with_capacity(layers.len());
        for id in layers {
            match self.build.store.layer(id)? {
                Some(layer) => pins.push(layer),
                None => return Ok(false),
            }
        }
        self.build.pin(pins);
        Ok(true)
    }
}

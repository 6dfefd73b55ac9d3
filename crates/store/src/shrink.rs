//! Making the cache smaller: which records, mounts, sources and blobs go, and their removal.
//!
//! A [`Run`] reads once who keeps what, and keeps that up to date while it removes, so several rounds see what is left.
//! In a rehearsal it only does the latter.

use std::time::SystemTime;

use rusqlite::params;

use crate::Store;
use crate::collect::{Collected, Removal};
use crate::disk::Disk;
use crate::error::Result;
use crate::fetched::Fetched;
use crate::flock::{self, Attempt, Hold};
use crate::image::{ImageRemoval, StoredImage};
use crate::ledger::{Index, Ledger, RecordNode};
use crate::measure::Measure;
use crate::prune::{Action, CachePrune, Prune, PruneOptions, Pruned};
use crate::record::StepKey;
use crate::time;
use crate::usage::{UsageItem, fetched_item, record_item};
use crate::worth::{worth, worth_of_compressed, worth_of_fetched};

/// One way to make room.
#[derive(Debug, Clone, Copy)]
enum Candidate {
    /// A layer, with all records that keep it.
    Layer(Index),
    Blob(Index),
    Mount(Index),
    Fetched(Index),
}

/// One prune.
pub(crate) struct Run<'a> {
    store: &'a Store,
    pub(crate) action: Action,
    ledger: Ledger,
    mounts: Vec<Option<UsageItem>>,
    fetched: Vec<Option<Fetched>>,
    disk: Disk,
    now: SystemTime,
    /// What was used since then may be in use.
    protected: SystemTime,
    pruned: Pruned,
}

impl<'a> Run<'a> {
    pub(crate) fn begin(store: &'a Store, action: Action, how: Measure) -> Result<Self> {
        let protected = store.oldest_lease()?.unwrap_or(i64::MAX);
        let mut run = Self {
            store,
            action,
            ledger: store.ledger()?,
            mounts: store.mount_usage(how)?.into_iter().map(Some).collect(),
            fetched: store.fetched(how)?.into_iter().map(Some).collect(),
            disk: store.disk()?,
            now: store.now(),
            protected: time::from_millis(protected),
            pruned: Pruned::default(),
        };
        if action == Action::Rehearse {
            run.rehearse_collection()?;
        }
        Ok(run)
    }

    /// What nothing needs goes in any case.
    fn rehearse_collection(&mut self) -> Result<()> {
        for layer in 0..self.ledger.layers.len() {
            if !self.store.is_layer_pinned(&self.ledger, layer)? {
                self.pruned.bytes += self.ledger.drop_layer_if_unneeded(layer);
            }
        }
        for blob in 0..self.ledger.blobs.len() {
            if self.ledger.blobs[blob].last_used < self.protected {
                self.pruned.bytes += self.ledger.drop_blob_if_unneeded(blob);
            }
        }
        Ok(())
    }

    /// A container went, with what it had written.
    pub(crate) fn dropped_container(&mut self, id: &str, bytes: u64) {
        let freed = self.ledger.drop_container(id);
        self.pruned.bytes += bytes;
        self.count_if_rehearsed(freed);
        self.pruned.containers.push(id.to_owned());
    }

    pub(crate) fn has_dropped(&self, container: &str) -> bool {
        self.pruned.containers.iter().any(|id| id == container)
    }

    /// An image went.
    pub(crate) fn dropped_image(&mut self, image: StoredImage) {
        let freed = self.ledger.drop_image(&image.digest);
        self.count_if_rehearsed(freed);
        self.pruned.images.push(ImageRemoval {
            untagged: image.names,
            deleted: vec![image.id],
            collected: Collected::default(),
        });
    }

    /// What is really removed is counted where that happens.
    fn count_if_rehearsed(&mut self, freed: u64) {
        if self.action == Action::Rehearse {
            self.pruned.bytes += freed;
        }
    }

    /// One round: what `options` choose goes, down to their limits if they have any.
    pub(crate) fn reduce(&mut self, options: &PruneOptions<'_>) -> Result<()> {
        let used = self.used();
        let free = self.disk.free.saturating_add(self.pruned.bytes);
        match options.limits.target(used, Disk { free, ..self.disk }) {
            None => self.remove_all(options),
            Some(target) => self.shrink(options, used, target),
        }
    }

    /// The bytes of the cache.
    fn used(&self) -> u64 {
        let mounts = self.mounts.iter().flatten().map(|mount| mount.bytes);
        let fetched = self.fetched.iter().flatten().map(|one| one.bytes);
        self.ledger.cache_bytes() + mounts.sum::<u64>() + fetched.sum::<u64>()
    }

    fn remove_all(&mut self, options: &PruneOptions<'_>) -> Result<()> {
        for record in 0..self.ledger.records.len() {
            if self.may_go(&self.ledger.records[record], options) {
                self.remove_record(record)?;
            }
        }
        for (_, candidate) in self.candidates_besides_records(options) {
            self.remove(candidate)?;
        }
        Ok(())
    }

    fn shrink(&mut self, options: &PruneOptions<'_>, mut used: u64, target: u64) -> Result<()> {
        if used <= target {
            return Ok(());
        }
        let mut candidates = self.candidates_besides_records(options);
        candidates.extend(self.candidate_layers(options));
        candidates.sort_by(|one, other| one.0.total_cmp(&other.0));
        for (_, candidate) in candidates {
            if used <= target {
                break;
            }
            used = used.saturating_sub(self.remove(candidate)?.unwrap_or(0));
        }
        Ok(())
    }

    /// Layers that only records keep, all of which may go: each with its worth for a byte.
    fn candidate_layers(&self, options: &PruneOptions<'_>) -> Vec<(f64, Candidate)> {
        let mut candidates = Vec::new();
        for (index, layer) in self.ledger.layers.iter().enumerate() {
            let records = || {
                layer
                    .records
                    .iter()
                    .map(|&record| &self.ledger.records[record])
            };
            if layer.gone || layer.holders > 0 || layer.bytes == 0 || layer.records.is_empty() {
                continue;
            }
            if !records().all(|record| record.gone || self.may_go(record, options)) {
                continue;
            }
            let worth_of = |record: &RecordNode| {
                let (bytes, _) = self.ledger.bytes_of_record(record);
                worth(record.run_time, record.last_used, self.now) / bytes.max(1) as f64
            };
            let living = records().filter(|record| !record.gone);
            candidates.push((living.map(worth_of).sum(), Candidate::Layer(index)));
        }
        candidates
    }

    fn candidates_besides_records(&self, options: &PruneOptions<'_>) -> Vec<(f64, Candidate)> {
        let mut candidates = Vec::new();
        let per_byte = |worth: f64, bytes: u64| worth / bytes.max(1) as f64;
        let used = |item: &UsageItem| item.last_used.unwrap_or(SystemTime::UNIX_EPOCH);
        if options.mounts == Prune::Unused {
            for (index, mount) in self.mounts.iter().enumerate() {
                if let Some(mount) = mount
                    .as_ref()
                    .filter(|mount| !mount.in_use && options.permits(mount))
                {
                    let worth = worth_of_fetched(mount.bytes, used(mount), self.now);
                    candidates.push((per_byte(worth, mount.bytes), Candidate::Mount(index)));
                }
            }
        }
        if options.fetched == Prune::Unused {
            for (index, fetched) in self.fetched.iter().enumerate() {
                let Some(item) = fetched.as_ref().map(fetched_item) else {
                    continue;
                };
                if !item.in_use && options.permits(&item) {
                    let worth = worth_of_fetched(item.bytes, used(&item), self.now);
                    candidates.push((per_byte(worth, item.bytes), Candidate::Fetched(index)));
                }
            }
        }
        if options.blobs == Prune::Unused {
            for (index, blob) in self.ledger.blobs.iter().enumerate() {
                let Some(item) = crate::usage::blob_item(blob) else {
                    continue;
                };
                if blob.is_form_of_layer()
                    && blob.last_used < self.protected
                    && options.permits(&item)
                {
                    let worth = worth_of_compressed(blob.bytes, blob.last_used, self.now);
                    candidates.push((per_byte(worth, blob.bytes), Candidate::Blob(index)));
                }
            }
        }
        candidates
    }

    /// Whether a record is among what was asked for. Whether a process uses it is asked when its turn comes.
    fn may_go(&self, record: &RecordNode, options: &PruneOptions<'_>) -> bool {
        let chosen = match options.cache {
            CachePrune::Keep => false,
            CachePrune::Unneeded => !self.ledger.is_held(record),
            CachePrune::All => true,
        };
        chosen
            && !record.gone
            && record.last_used < self.protected
            && options.permits(&record_item(&self.ledger, record))
    }

    /// Tells by how many bytes the cache is smaller then; `None` if it stayed.
    fn remove(&mut self, candidate: Candidate) -> Result<Option<u64>> {
        match candidate {
            Candidate::Layer(layer) => self.remove_records_of(layer),
            Candidate::Blob(blob) => self.remove_blob(blob),
            Candidate::Mount(mount) => self.remove_mount(mount),
            Candidate::Fetched(fetched) => self.remove_fetched(fetched),
        }
    }

    fn remove_records_of(&mut self, layer: Index) -> Result<Option<u64>> {
        if self.ledger.layers[layer].gone || self.store.is_layer_pinned(&self.ledger, layer)? {
            return Ok(None);
        }
        let mut freed = 0;
        for record in self.ledger.layers[layer].records.clone() {
            freed += self.remove_record(record)?.unwrap_or(0);
        }
        Ok(Some(freed))
    }

    /// Removes a record with the layers that only it needed. One whose layers some process uses stays.
    fn remove_record(&mut self, record: Index) -> Result<Option<u64>> {
        let node = &self.ledger.records[record];
        if node.gone || self.store.is_pinned(&self.ledger, node)? {
            return Ok(None);
        }
        let key = node.key;
        if self.action == Action::Remove {
            if !self.store.remove_unused_record(&key, self.protected)? {
                return Ok(None);
            }
            for &layer in &self.ledger.records[record].layers {
                let id = self.ledger.layers[layer].id;
                if let Some(bytes) = self.store.remove_layer(&id, Removal::IfUnneeded)? {
                    self.pruned.collected.layers.push(id);
                    self.pruned.collected.bytes += bytes;
                }
            }
        }
        let freed = self.ledger.drop_record(record);
        self.count_if_rehearsed(freed);
        self.pruned.records.push(key);
        Ok(Some(freed))
    }

    fn remove_blob(&mut self, blob: Index) -> Result<Option<u64>> {
        let digest = self.ledger.blobs[blob].digest;
        if self.action == Action::Remove {
            let Some(bytes) = self.store.remove_form_of_layer(&digest, self.protected)? else {
                return Ok(None);
            };
            self.pruned.collected.blobs.push(digest);
            self.pruned.collected.bytes += bytes;
        }
        let freed = self.ledger.drop_blob(blob);
        self.count_if_rehearsed(freed);
        Ok(Some(freed))
    }

    fn remove_mount(&mut self, mount: Index) -> Result<Option<u64>> {
        let Some(item) = self.mounts[mount].take() else {
            return Ok(None);
        };
        if self.action == Action::Remove && self.store.remove_cache_mount(&item.id)? == 0 {
            return Ok(None);
        }
        let bytes = item.bytes;
        self.pruned.bytes += bytes;
        self.pruned.mounts.push(item);
        Ok(Some(bytes))
    }

    fn remove_fetched(&mut self, fetched: Index) -> Result<Option<u64>> {
        let Some(one) = self.fetched[fetched].take() else {
            return Ok(None);
        };
        if self.action == Action::Remove && !self.store.remove_fetched(&one)? {
            return Ok(None);
        }
        self.pruned.bytes += one.bytes;
        self.pruned.fetched.push(fetched_item(&one));
        Ok(Some(one.bytes))
    }

    /// What nothing needs any more goes, and the trash is emptied.
    pub(crate) fn finish(mut self) -> Result<Pruned> {
        if self.action == Action::Rehearse {
            let layers = self.ledger.layers.iter().filter(|layer| layer.gone);
            self.pruned.collected.layers = layers.map(|layer| layer.id).collect();
            let blobs = self.ledger.blobs.iter().filter(|blob| blob.gone);
            self.pruned.collected.blobs = blobs.map(|blob| blob.digest).collect();
            return Ok(self.pruned);
        }
        let rest = self.store.collect()?;
        let collected = &mut self.pruned.collected;
        collected.layers.extend(rest.layers);
        collected.blobs.extend(rest.blobs);
        collected.bytes += rest.bytes;
        self.pruned.bytes += self.pruned.collected.bytes;
        self.store.sweep_measurements()?;
        self.store.empty_trash()?;
        Ok(self.pruned)
    }
}

impl Store {
    /// Whether a living process uses one of the record's layers.
    pub(crate) fn is_pinned(&self, ledger: &Ledger, record: &RecordNode) -> Result<bool> {
        for &layer in &record.layers {
            if self.is_layer_pinned(ledger, layer)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(crate) fn is_layer_pinned(&self, ledger: &Ledger, layer: Index) -> Result<bool> {
        let path = self.paths().layer(&ledger.layers[layer].id);
        Ok(matches!(
            flock::try_directory(&path, Hold::Exclusive)?,
            Attempt::Busy
        ))
    }

    fn remove_unused_record(&self, key: &StepKey, protected: SystemTime) -> Result<bool> {
        let before = time::to_millis(protected);
        self.db().write("remove a record", |db| {
            let removed = db
                .prepare_cached("DELETE FROM records WHERE key = ?1 AND last_used < ?2")?
                .execute(params![key.0, before])?;
            Ok(removed > 0)
        })
    }
}

//! Making the cache smaller: which records, mounts, sources and blobs go, and their removal.
//!
//! A [`Run`] reads once who keeps what, and keeps that up to date while it removes, so several rounds see what is left.
//! In a rehearsal it only does the latter.

mod candidates;

use std::time::SystemTime;

use rbuild_image::Digest;
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
use crate::prune::{Action, PruneOptions, Pruned};
use crate::record::StepKey;
use crate::time;
use crate::usage::{UsageItem, base_item, blob_item, fetched_item, layer_item, record_item};

use candidates::Candidate;

/// One prune.
pub(crate) struct Run<'a> {
    store: &'a Store,
    pub(crate) action: Action,
    ledger: Ledger,
    mounts: Vec<Option<UsageItem>>,
    fetched: Vec<Option<Fetched>>,
    disk: Disk,
    /// Whether what is thrown away must be gone before more is.
    tight: bool,
    now: SystemTime,
    /// What was used since then may be in use.
    protected: SystemTime,
    pruned: Pruned,
    garbage: Garbage,
}

/// Which of the blobs that nothing names go in any case.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Garbage {
    pub(crate) unused_since: SystemTime,
}

impl<'a> Run<'a> {
    pub(crate) fn begin(
        store: &'a Store,
        action: Action,
        how: Measure,
        garbage: Garbage,
    ) -> Result<Self> {
        let protected = store.oldest_lease()?.unwrap_or(i64::MAX);
        let mut run = Self {
            store,
            action,
            ledger: store.ledger()?,
            mounts: store.mount_usage(how)?.into_iter().map(Some).collect(),
            fetched: store.fetched(how)?.into_iter().map(Some).collect(),
            disk: store.disk()?,
            tight: store.is_tight()?,
            now: store.now(),
            protected: time::from_millis(protected),
            pruned: Pruned::default(),
            garbage,
        };
        if action == Action::Rehearse {
            run.rehearse_collection(garbage.unused_since)?;
        }
        Ok(run)
    }

    /// What nothing needs goes in any case.
    fn rehearse_collection(&mut self, unused_since: SystemTime) -> Result<()> {
        for layer in 0..self.ledger.layers.len() {
            if !self.store.is_layer_pinned(&self.ledger, layer)? {
                self.pruned.bytes += self.ledger.drop_layer_if_unneeded(layer);
            }
        }
        for blob in 0..self.ledger.blobs.len() {
            if self.ledger.blobs[blob].last_used < unused_since.min(self.protected) {
                self.pruned.bytes += self.ledger.drop_blob_if_unneeded(blob);
            }
        }
        Ok(())
    }

    /// A container went, with what it had written.
    pub(crate) fn dropped_container(&mut self, id: &str, bytes: u64, collected: Collected) {
        self.add(collected);
        let freed = self.ledger.drop_container(id);
        self.pruned.bytes += bytes;
        self.count_if_rehearsed(freed);
        self.pruned.containers.push(id.to_owned());
    }

    pub(crate) fn has_dropped(&self, container: &str) -> bool {
        self.pruned.containers.iter().any(|id| id == container)
    }

    /// An image went.
    pub(crate) fn dropped_image(&mut self, image: StoredImage, collected: Collected) {
        self.add(collected);
        let freed = self.ledger.drop_image(&image.digest);
        self.count_if_rehearsed(freed);
        self.pruned.images.push(ImageRemoval {
            untagged: image.names,
            deleted: vec![image.id],
            collected: Collected::default(),
        });
    }

    fn add(&mut self, more: Collected) {
        let collected = &mut self.pruned.collected;
        collected.layers.extend(more.layers);
        collected.blobs.extend(more.blobs);
        collected.bytes += more.bytes;
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
        // Last, so that layers that a record or image kept so far are seen for what they are.
        for base in 0..self.ledger.bases.len() {
            if self.may_forget(base, options) {
                self.remove_base(base)?;
            }
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
        if !self.ledger.layers[layer].gone
            && self.ledger.layers[layer].is_of_bases()
            && self.remove_layer(layer, Removal::FromBases)?
        {
            let mut item = layer_item(&self.ledger, layer);
            let from_bases = self.ledger.drop_layer_from_bases(layer);
            self.count_if_rehearsed(from_bases);
            item.bytes = from_bases;
            self.pruned.bases.push(item);
            freed += from_bases;
        }
        Ok(Some(freed))
    }

    /// Removes a layer, and with it the forms of its tar that nothing else needs. Tells whether it did.
    fn remove_layer(&mut self, layer: Index, when: Removal) -> Result<bool> {
        if self.action == Action::Rehearse {
            return Ok(true);
        }
        let id = self.ledger.layers[layer].id;
        let forms = self.ledger.layers[layer].forms();
        let forms: Vec<Digest> = forms
            .iter()
            .map(|&blob| self.ledger.blobs[blob].digest)
            .collect();
        let Some(bytes) = self.store.remove_layer(&id, when)? else {
            return Ok(false);
        };
        if self.tight {
            self.store.empty_trash()?;
        }
        let collected = &mut self.pruned.collected;
        collected.layers.push(id);
        collected.bytes += bytes;
        for digest in forms {
            if let Some(bytes) = self.store.remove_spare_blob(&digest, self.protected)? {
                collected.blobs.push(digest);
                collected.bytes += bytes;
            }
        }
        Ok(true)
    }

    /// Forgets a base, with the layers that only it had.
    fn remove_base(&mut self, base: Index) -> Result<()> {
        let layers = self.ledger.bases[base].layers.clone();
        for &layer in &layers {
            if self.store.is_layer_pinned(&self.ledger, layer)? {
                return Ok(());
            }
        }
        let protected = time::to_millis(self.protected);
        if let Some(name) = &self.ledger.bases[base].name
            && self.action == Action::Remove
            && !self.store.forget_resolution(name, protected)?
        {
            return Ok(());
        }
        for layer in layers {
            self.remove_layer(layer, Removal::IfUnneeded)?;
        }
        let mut item = base_item(&self.ledger, &self.ledger.bases[base]);
        let freed = self.ledger.drop_base(base);
        self.count_if_rehearsed(freed);
        item.bytes = freed;
        self.pruned.bases.push(item);
        Ok(())
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
            for layer in self.ledger.records[record].layers.clone() {
                self.remove_layer(layer, Removal::IfUnneeded)?;
            }
        }
        let mut item = record_item(&self.ledger, &self.ledger.records[record]);
        let freed = self.ledger.drop_record(record);
        self.count_if_rehearsed(freed);
        item.bytes = freed;
        self.pruned.records.push(item);
        Ok(Some(freed))
    }

    fn remove_blob(&mut self, blob: Index) -> Result<Option<u64>> {
        let digest = self.ledger.blobs[blob].digest;
        if self.action == Action::Remove {
            let removed = if self.ledger.blobs[blob].is_form_of_layer() {
                self.store.remove_form_of_layer(&digest, self.protected)?
            } else {
                self.store.remove_spare_blob(&digest, self.protected)?
            };
            let Some(bytes) = removed else {
                return Ok(None);
            };
            self.pruned.collected.blobs.push(digest);
            self.pruned.collected.bytes += bytes;
        }
        self.pruned
            .blobs
            .extend(blob_item(&self.ledger.blobs[blob]));
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
        let rest = self
            .store
            .collect(time::to_millis(self.garbage.unused_since))?;
        self.add(rest);
        self.pruned.bytes += self.pruned.collected.bytes;
        self.store.sweep_measurements()?;
        self.store.empty_trash()?;
        self.store.keep_reserve()?;
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

//! What may go, and what it is worth.

use std::time::SystemTime;

use super::Run;
use crate::ledger::{BaseNode, Index, LayerNode, RecordNode};
use crate::prune::{CachePrune, Prune, PruneOptions};
use crate::usage::{UsageItem, base_item, blob_item, fetched_item, record_item};
use crate::worth::{worth, worth_of_compressed, worth_of_fetched};

/// One way to make room.
#[derive(Debug, Clone, Copy)]
pub(super) enum Candidate {
    /// A layer, with all records that keep it. Bases do without it until somebody needs it.
    Layer(Index),
    Blob(Index),
    Mount(Index),
    Fetched(Index),
}

impl Run<'_> {
    /// Layers that only records and bases keep, all of which may go: each with its worth for a byte.
    pub(super) fn candidate_layers(&self, options: &PruneOptions<'_>) -> Vec<(f64, Candidate)> {
        let mut candidates = Vec::new();
        for (index, layer) in self.ledger.layers.iter().enumerate() {
            let kept = !layer.records.is_empty() || !layer.bases.is_empty();
            if layer.gone || layer.holders > 0 || layer.bytes == 0 || !kept {
                continue;
            }
            let records = layer.records.iter().map(|&one| &self.ledger.records[one]);
            let records: Vec<&RecordNode> = records.filter(|record| !record.gone).collect();
            let bases = layer.bases.iter().map(|&one| &self.ledger.bases[one]);
            let bases: Vec<&BaseNode> = bases.filter(|base| !base.gone).collect();
            if records.iter().all(|record| self.may_go(record, options))
                && bases.iter().all(|base| self.may_do_without(base, options))
            {
                let worth = self.worth_of_layer(layer, &records, &bases);
                candidates.push((worth, Candidate::Layer(index)));
            }
        }
        candidates
    }

    /// What its records and bases would lose, for each byte.
    fn worth_of_layer(
        &self,
        layer: &LayerNode,
        records: &[&RecordNode],
        bases: &[&BaseNode],
    ) -> f64 {
        let worth_of = |record: &&RecordNode| {
            let (bytes, _) = self.ledger.bytes_of(&record.layers);
            worth(record.run_time, record.last_used, self.now) / bytes.max(1) as f64
        };
        let fetched =
            bases.iter().map(|base| base.last_used).max().map(|used| {
                worth_of_fetched(layer.bytes, used, self.now) / layer.bytes.max(1) as f64
            });
        records.iter().map(worth_of).sum::<f64>() + fetched.unwrap_or(0.0)
    }

    pub(super) fn candidates_besides_records(
        &self,
        options: &PruneOptions<'_>,
    ) -> Vec<(f64, Candidate)> {
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
                let Some(item) = blob_item(blob) else {
                    continue;
                };
                if blob.last_used < self.protected && options.permits(&item) {
                    let worth = if blob.is_form_of_layer() {
                        worth_of_compressed(blob.bytes, blob.last_used, self.now)
                    } else {
                        worth_of_fetched(blob.bytes, blob.last_used, self.now)
                    };
                    candidates.push((per_byte(worth, blob.bytes), Candidate::Blob(index)));
                }
            }
        }
        candidates
    }

    /// Whether a record is among what was asked for. Whether a process uses it is asked when its turn comes.
    pub(super) fn may_go(&self, record: &RecordNode, options: &PruneOptions<'_>) -> bool {
        let chosen = match options.cache {
            CachePrune::Keep => false,
            CachePrune::Unneeded => !self.ledger.is_held(&record.layers),
            CachePrune::All => true,
        };
        chosen
            && !record.gone
            && record.last_used < self.protected
            && options.permits(&record_item(&self.ledger, record))
    }

    /// Whether the layers of a base are among what was asked for.
    fn may_do_without(&self, base: &BaseNode, options: &PruneOptions<'_>) -> bool {
        options.bases == Prune::Unused && options.permits(&base_item(&self.ledger, base))
    }

    /// Whether a base is to be forgotten: not while an image or a container is built on it.
    pub(super) fn may_forget(&self, base: Index, options: &PruneOptions<'_>) -> bool {
        let base = &self.ledger.bases[base];
        !base.gone
            && base.last_used < self.protected
            && !self.ledger.is_held(&base.layers)
            && self.may_do_without(base, options)
    }
}

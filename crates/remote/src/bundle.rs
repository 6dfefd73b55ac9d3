//! A list of entries of recent builds: one look that answers for a whole build.
//!
//! It is only a hint. The last writer wins, having merged what it found; what a bundle lacks is asked for by key.

use std::collections::{HashMap, HashSet};

use rbuild_store::StepKey;
use serde::{Deserialize, Serialize};

use crate::entry::VERSION;
use crate::{Address, Entry, RemoteError};

/// The most entries that a bundle lists: the newest count. A build has tens of steps.
pub const MAX_LISTED: usize = 1_000;
/// The largest bundle that is read or written, in bytes.
const MAX_BUNDLE_BYTES: usize = 4 << 20;

/// Entries without what explanations need, those of the latest build first.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Bundle {
    entries: Vec<Entry>,
    index: HashMap<Address, usize>,
}

#[derive(Serialize)]
struct Written<'a> {
    version: u32,
    entries: &'a [Entry],
}

#[derive(Deserialize)]
struct Read {
    version: u32,
    entries: Vec<Entry>,
}

impl Bundle {
    /// These entries, the most recent first; of one key the first counts.
    pub fn new(entries: impl IntoIterator<Item = Entry>) -> Self {
        let mut seen: HashSet<StepKey> = HashSet::new();
        let mut chosen: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| seen.insert(entry.key()))
            .map(|entry| entry.brief())
            .collect();
        chosen.truncate(MAX_LISTED);
        let mut index = HashMap::new();
        for (position, entry) in chosen.iter().enumerate() {
            let aliases = entry.aliases().map(Address::Fast);
            for address in std::iter::once(Address::Key(entry.key())).chain(aliases) {
                index.entry(address).or_insert(position);
            }
        }
        Self {
            entries: chosen,
            index,
        }
    }

    /// What it lists.
    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entry of `address`, if it is listed.
    pub fn find(&self, address: &Address) -> Option<&Entry> {
        self.index.get(address).map(|&at| &self.entries[at])
    }

    /// `newer` in front of what is listed here.
    #[must_use]
    pub fn merged(&self, newer: &[Entry]) -> Self {
        let newer = newer.iter().map(|entry| {
            let mut entry = entry.clone();
            if let Some(known) = self.find(&Address::Key(entry.key())) {
                for alias in known.aliases() {
                    entry.add_alias(&alias);
                }
            }
            entry
        });
        Self::new(newer.chain(self.entries.iter().cloned()))
    }

    /// As JSON, with as many entries as fit.
    pub fn encode(&self) -> Vec<u8> {
        let mut entries = self.entries.as_slice();
        loop {
            let written = Written {
                version: VERSION,
                entries,
            };
            let bytes = serde_json::to_vec(&written).expect("texts and numbers are JSON");
            if bytes.len() <= MAX_BUNDLE_BYTES || entries.is_empty() {
                return bytes;
            }
            entries = &entries[..entries.len() / 2];
        }
    }

    /// Reads what [`Self::encode`] wrote. Entries that are not understood are left out.
    pub fn decode(bytes: &[u8]) -> Result<Self, RemoteError> {
        let fail = |reason: String| RemoteError::document("bundle", reason);
        if bytes.len() > MAX_BUNDLE_BYTES {
            return Err(fail(format!("it has more than {MAX_BUNDLE_BYTES} bytes")));
        }
        let read: Read = serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))?;
        if read.version != VERSION {
            return Err(fail("it is of another version of the format".to_owned()));
        }
        let good = read.entries.into_iter();
        Ok(Self::new(good.filter(|entry| entry.check().is_ok())))
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::{ContentId, LayerId};
    use rbuild_store::FastKey;

    use super::*;
    use crate::EntryLayer;

    fn entry(number: usize) -> Entry {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&(number as u64).to_be_bytes());
        let layer = EntryLayer {
            id: LayerId::Made(ContentId(key)),
            created: 0,
            begun: None,
            diff_id: None,
            size: 0,
            blob: None,
            forms: Vec::new(),
            index: None,
        };
        Entry::new(&StepKey(key), vec![layer])
    }

    #[test]
    fn the_newest_entries_are_kept_with_all_their_aliases() {
        let mut known = entry(3);
        known.add_alias(&FastKey([7; 32]));
        let old = Bundle::new([known]).merged(&(4..MAX_LISTED + 9).map(entry).collect::<Vec<_>>());
        let again = entry(3);
        let merged = old.merged(std::slice::from_ref(&again));
        assert_eq!(merged.entries().len(), MAX_LISTED);
        assert_eq!(merged.entries()[0].key(), again.key());
        let merged = Bundle::new([{
            let mut known = entry(3);
            known.add_alias(&FastKey([7; 32]));
            known
        }])
        .merged(&[again]);
        assert!(merged.find(&Address::Fast(FastKey([7; 32]))).is_some());
    }

    #[test]
    fn what_was_written_is_read_and_nonsense_is_passed_over() {
        let bundle = Bundle::new((0..3).map(entry));
        let bytes = bundle.encode();
        assert!(bytes.starts_with(br#"{"version":1,"entries":[{"version":1,"key":"#));
        assert_eq!(Bundle::decode(&bytes).expect("a bundle"), bundle);
        let text = String::from_utf8(bytes).expect("JSON is text");
        let odd = text.replacen("blake3-", "sha256-", 1);
        assert_eq!(
            Bundle::decode(odd.as_bytes())
                .expect("a bundle")
                .entries()
                .len(),
            2
        );
        assert!(Bundle::decode(b"[]").is_err());
    }
}

//! A hasher for what is long and hashed once: eight bytes at a time, each step a multiplication folded to 64 bits.
//!
//! Its seed is drawn for each plan, so that no Dockerfile can be made of steps whose hashes are equal. Nothing that it
//! computes is stored.

use std::hash::{BuildHasher, Hasher, RandomState};

/// Two odd numbers without a pattern: digits of pi.
const MULTIPLIERS: [u64; 2] = [0x243f_6a88_85a3_08d3, 0x1319_8a2e_0370_7345];

/// Makes hashers with one seed.
#[derive(Debug, Clone)]
pub(crate) struct Seed([u64; 2]);

impl Default for Seed {
    fn default() -> Self {
        let random = RandomState::new();
        Self(MULTIPLIERS.map(|number| random.hash_one(number)))
    }
}

impl BuildHasher for Seed {
    type Hasher = Fold;

    fn build_hasher(&self) -> Fold {
        let [state, key] = self.0;
        Fold { state, key }
    }
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Fold {
    state: u64,
    key: u64,
}

fn folded(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

impl Fold {
    fn word(&mut self, word: u64) {
        self.state = folded(self.state ^ word, self.key ^ MULTIPLIERS[0]);
    }
}

impl Hasher for Fold {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.word(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        // The length parts a short end from one with zeros behind it.
        self.word(u64::from_le_bytes(last) ^ ((bytes.len() as u64) << 56));
    }

    fn write_u8(&mut self, number: u8) {
        self.word(number.into());
    }

    fn write_u32(&mut self, number: u32) {
        self.word(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.word(number);
    }

    fn write_usize(&mut self, number: usize) {
        self.word(number as u64);
    }

    fn finish(&self) -> u64 {
        folded(self.state, self.key ^ MULTIPLIERS[1])
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn what_differs_hashes_differently_and_what_is_equal_equally() {
        let seed = Seed::default();
        let mut known = HashSet::new();
        for length in 0..40 {
            for byte in [0, 1, 0xff] {
                let text = vec![byte; length];
                let hash = seed.hash_one(&text);
                assert_eq!(hash, seed.hash_one(&text));
                assert!(known.insert(hash) || length == 0, "{text:?}");
            }
        }
        for number in 0_u64..10_000 {
            assert!(known.insert(seed.hash_one(number << 32)), "{number}");
        }
        assert_ne!(seed.hash_one(1), Seed::default().hash_one(1));
    }
}

//! The tags of a cache in a registry.
//!
//! ```text
//! cache              the bundle
//! cache.k.<64 hex>   the entry of a key
//! cache.f.<64 hex>   the entry of a fast key
//! cache.m.<64 hex>   a cache mount
//! ```

use crate::Address;

/// The longest tag, in characters (OCI distribution-spec).
const MAX_TAG: usize = 128;
/// What an address adds to the tag.
const SUFFIX: usize = 3 + 64;
/// Hexadecimal digits that stand for the rest of a tag that is too long.
const HASH_DIGITS: usize = 24;

/// The tag of the entry of `address` in the cache `tag`.
pub(crate) fn of(tag: &str, address: &Address) -> String {
    let kind = match address {
        Address::Key(_) => 'k',
        Address::Fast(_) => 'f',
    };
    format!("{}.{kind}.{}", shortened(tag), address.hex())
}

/// The tag of the cache mount `key`, which has 64 digits, in the cache `tag`.
pub(crate) fn of_mount(tag: &str, key: &str) -> String {
    format!("{}.m.{key}", shortened(tag))
}

/// `tag`, or where that is too long to be extended, its beginning and a hash.
fn shortened(tag: &str) -> String {
    if tag.len() + SUFFIX <= MAX_TAG {
        return tag.to_owned();
    }
    let hash = blake3::hash(tag.as_bytes()).to_hex();
    let kept = MAX_TAG - SUFFIX - HASH_DIGITS - 1;
    // Tags are ASCII.
    format!("{}-{}", &tag[..kept], &hash[..HASH_DIGITS])
}

#[cfg(test)]
mod tests {
    use rbuild_store::{FastKey, StepKey};

    use super::*;

    #[test]
    fn tags_stay_within_what_registries_allow() {
        let key = Address::Key(StepKey([0xab; 32]));
        assert_eq!(of("main", &key), format!("main.k.{}", "ab".repeat(32)));
        let fast = Address::Fast(FastKey([0xcd; 32]));
        assert_eq!(of("main", &fast), format!("main.f.{}", "cd".repeat(32)));
        for length in [61, 62, 128] {
            let (one, other) = ("a".repeat(length), "a".repeat(length - 1) + "b");
            assert_eq!(of(&one, &key).len(), MAX_TAG);
            assert_ne!(of(&one, &key), of(&other, &key));
        }
    }
}

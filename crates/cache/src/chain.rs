//! A stack of layers as a key sees it.

use rbuild_image::LayerId;

/// The identity of a stack of layers: a layer that we made counts by its content, a pulled one by its diffID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; 32]);

/// Opens the encoding; carries the version. A change makes every key miss.
const DOMAIN: &[u8] = b"rbuild layer chain 1\n";

/// A layer in the encoding: which kind of name, and the name.
const LAYER_BYTES: usize = 1 + 32;

impl Chain {
    /// The chain of `layers`, bottom first.
    pub fn of(layers: &[LayerId]) -> Self {
        // The hasher is fastest on all at once.
        let mut encoded = Vec::with_capacity(DOMAIN.len() + layers.len() * LAYER_BYTES);
        encoded.extend(DOMAIN);
        for layer in layers {
            let (kind, bytes) = match layer {
                LayerId::Made(content) => (b'c', &content.0),
                LayerId::Pulled(diff) => (b'd', diff.0.as_bytes()),
            };
            encoded.push(kind);
            encoded.extend(bytes);
        }
        Self(*blake3::hash(&encoded).as_bytes())
    }

    /// As it stands in a preimage.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::{ContentId, DiffId, Digest};

    use super::*;

    #[test]
    fn a_chain_stays_the_same_across_versions_of_the_program() {
        let made = LayerId::Made(ContentId([1; 32]));
        let pulled = LayerId::Pulled(DiffId(Digest::sha256_of(b"tar")));
        assert_eq!(
            Chain::of(&[pulled, made]).hex(),
            "5a1a0d9eb4b4e43adaddb5d0b9647cbd18be9bb0cdb5e9b040e3d4d1ec8bf67e"
        );
        assert_ne!(Chain::of(&[pulled, made]), Chain::of(&[made, pulled]));
    }
}

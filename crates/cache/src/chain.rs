//! A stack of layers as a key sees it.

use rbuild_image::LayerId;

/// The identity of a stack of layers: a layer that we made counts by its content, a pulled one by its diffID.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Chain([u8; 32]);

impl Chain {
    /// The chain of `layers`, bottom first.
    pub fn of(layers: &[LayerId]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for layer in layers {
            let (kind, bytes) = match layer {
                LayerId::Made(content) => (b'c', &content.0),
                LayerId::Pulled(diff) => (b'd', diff.0.as_bytes()),
            };
            hasher.update(&[kind]);
            hasher.update(bytes);
        }
        Self(*hasher.finalize().as_bytes())
    }

    /// As it stands in a preimage.
    pub fn hex(&self) -> String {
        blake3::Hash::from_bytes(self.0).to_hex().to_string()
    }
}

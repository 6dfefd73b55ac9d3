//! Identities of content.
//!
//! ```text
//! Digest     sha256 of bytes          what OCI calls a digest: names blobs
//! DiffId     sha256 of a layer's tar  names a layer whatever its compression
//! ChainId    sha256 over DiffIds      names a stack of layers (OCI image-spec, config.md)
//! ContentId  blake3 of a layer's index, without times: our name for a layer we made
//! LayerId    ContentId or DiffId      names a layer in our store and in keys
//! ```

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::ImageError;

/// A sha256 content digest (OCI image-spec, descriptor.md): `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// A digest from the raw 32 bytes of a sha256.
    pub const fn from_sha256_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The raw 32 bytes.
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The 64 hexadecimal digits, without the algorithm.
    pub fn hex(&self) -> String {
        hex::encode(self.0)
    }

    /// The first 12 hexadecimal digits, as people know image IDs.
    pub fn short(&self) -> String {
        hex::encode(&self.0[..6])
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256:{}", self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let fail = |reason| ImageError::Digest {
            text: text.to_owned(),
            reason,
        };
        let digits = text
            .strip_prefix("sha256:")
            .ok_or_else(|| fail("only sha256: digests are supported"))?;
        if digits.len() != 64 || digits.bytes().any(|b| b.is_ascii_uppercase()) {
            return Err(fail(
                "sha256: is followed by 64 lower-case hexadecimal digits",
            ));
        }
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| fail("sha256: is followed by 64 lower-case hexadecimal digits"))?;
        Ok(Self(bytes))
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl From<Digest> for oci_spec::image::Digest {
    fn from(digest: Digest) -> Self {
        digest
            .to_string()
            .parse()
            .expect("our digests are well-formed")
    }
}

impl TryFrom<&oci_spec::image::Digest> for Digest {
    type Error = ImageError;

    fn try_from(digest: &oci_spec::image::Digest) -> Result<Self, ImageError> {
        digest.as_ref().parse()
    }
}

/// Computes a [`Digest`] piece by piece; an [`std::io::Write`], so bytes can be copied into it.
#[derive(Clone, Default)]
pub struct Digester {
    state: Sha256,
    written: u64,
}

impl Digester {
    /// Nothing hashed yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes in `bytes`.
    pub fn update(&mut self, bytes: &[u8]) {
        self.state.update(bytes);
        self.written += bytes.len() as u64;
    }

    /// How many bytes were taken in.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// The digest of all that was taken in.
    pub fn finish(self) -> Digest {
        Digest(self.state.finalize().into())
    }
}

impl std::io::Write for Digester {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The digest of a layer's uncompressed tar (OCI image-spec, config.md, "Layer `DiffID`").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct DiffId(pub Digest);

impl fmt::Display for DiffId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The identity of a stack of layers (OCI image-spec, config.md, "Layer `ChainID`").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ChainId(pub Digest);

impl ChainId {
    /// The chain of `layers`, bottom first; `None` for no layers.
    pub fn of(layers: &[DiffId]) -> Option<Self> {
        let (first, rest) = layers.split_first()?;
        Some(rest.iter().fold(Self(first.0), |chain, layer| {
            Self(Digest::sha256_of(
                format!("{} {}", chain.0, layer).as_bytes(),
            ))
        }))
    }
}

/// What a layer holds, times apart: blake3 over its content index (see `rbuild-layer`).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(pub [u8; 32]);

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A layer's name in the store and in keys: by content for a layer that we made, by diffID for one
/// that was pulled. Written `blake3-<hex>` or `sha256-<hex>`, which is also its directory's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LayerId {
    /// A layer that a step of ours made.
    Made(ContentId),
    /// A layer that came with an image.
    Pulled(DiffId),
}

impl fmt::Display for LayerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Made(content) => write!(f, "blake3-{content}"),
            Self::Pulled(diff) => write!(f, "sha256-{}", diff.0.hex()),
        }
    }
}

impl FromStr for LayerId {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let fail = |reason| ImageError::Digest {
            text: text.to_owned(),
            reason,
        };
        let (kind, digits) = text
            .split_once('-')
            .ok_or_else(|| fail("a layer is named blake3-… or sha256-…"))?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| fail("a layer's name ends in 64 hexadecimal digits"))?;
        match kind {
            "blake3" => Ok(Self::Made(ContentId(bytes))),
            "sha256" => Ok(Self::Pulled(DiffId(Digest(bytes)))),
            _ => Err(fail("a layer is named blake3-… or sha256-…")),
        }
    }
}

impl Serialize for LayerId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for LayerId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

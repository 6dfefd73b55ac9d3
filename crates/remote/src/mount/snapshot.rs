//! What a cache mount held, as a list of chunks.

use rbuild_image::{Descriptor, Digest, descriptor};
use serde::{Deserialize, Serialize};

use crate::RemoteError;

/// Changes when an older program would put other bytes together. Snapshots of another version are passed over.
pub(crate) const VERSION: u32 = 1;
/// The largest list that is read or written, in bytes: chunks of some 20 GB.
pub(crate) const MAX_SNAPSHOT_BYTES: usize = 8 << 20;
/// The largest chunk that is believed, in bytes: one is held in memory.
const MAX_CHUNK_BYTES: u64 = 64 << 20;
/// What a chunk is.
const CHUNK: &str = "application/vnd.rbuild.cache.chunk.v1+zstd";

/// What a cache mount held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSnapshot {
    version: u32,
    /// The mount's id, for people.
    pub id: String,
    /// The heads of the tar's members.
    pub heads: Vec<Chunk>,
    /// Their contents, one after the other.
    pub contents: Vec<Chunk>,
}

/// A part of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chunk {
    /// blake3 of its bytes, in hexadecimal.
    pub id: String,
    /// Its bytes.
    pub size: u64,
    /// Its blob: the bytes, compressed by zstd.
    pub blob: Digest,
    /// The blob's bytes.
    pub packed: u64,
}

impl MountSnapshot {
    /// Of the mount `id`.
    pub fn new(id: &str, heads: Vec<Chunk>, contents: Vec<Chunk>) -> Self {
        Self {
            version: VERSION,
            id: id.to_owned(),
            heads,
            contents,
        }
    }

    /// All chunks.
    pub fn chunks(&self) -> impl Iterator<Item = &Chunk> {
        self.heads.iter().chain(&self.contents)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, RemoteError> {
        let bytes = serde_json::to_vec(self).expect("texts and numbers are JSON");
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            let reason = format!("the cache mount {} has too many chunks", self.id);
            return Err(RemoteError::document("mount", reason));
        }
        Ok(bytes)
    }

    /// `None` for one of another version.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Option<Self>, RemoteError> {
        #[derive(Deserialize)]
        struct Head {
            version: u32,
        }
        let wrong = |reason: String| RemoteError::document("mount", reason);
        if bytes.len() > MAX_SNAPSHOT_BYTES {
            return Err(wrong("it is too large".to_owned()));
        }
        let head: Head = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if head.version != VERSION {
            return Ok(None);
        }
        let read: Self = serde_json::from_slice(bytes).map_err(|error| wrong(error.to_string()))?;
        if read.chunks().any(|chunk| chunk.size > MAX_CHUNK_BYTES) {
            return Err(wrong("a chunk is too large".to_owned()));
        }
        Ok(Some(read))
    }
}

impl Chunk {
    /// Its blob, as a registry calls it.
    pub(crate) fn descriptor(&self) -> Descriptor {
        descriptor(CHUNK, self.blob, self.packed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_stays_readable_across_versions_of_the_program() {
        let text = format!(
            r#"{{"version":1,"id":"go","heads":[{{"id":"{}","size":1024,"blob":"sha256:{}","packed":90}}],"contents":[]}}"#,
            "a".repeat(64),
            "b".repeat(64)
        );
        let read = MountSnapshot::decode(text.as_bytes()).expect("it is a list");
        let read = read.expect("of this version");
        assert_eq!(read.heads.len(), 1);
        assert_eq!(read.encode().expect("it is small"), text.as_bytes());
        let later = text.replace("\"version\":1", "\"version\":2");
        assert_eq!(MountSnapshot::decode(later.as_bytes()).expect("JSON"), None);
        let large = text.replace("1024", "99999999999");
        assert!(MountSnapshot::decode(large.as_bytes()).is_err());
        assert!(MountSnapshot::decode(b"{}").is_err());
    }
}

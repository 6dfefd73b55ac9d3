//! A layer as entries describe it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_image::{Descriptor, DiffId, Digest, LayerId};
use rbuild_layer::{ContentIndex, FileTimes};
use rbuild_store::Store;
use serde::{Deserialize, Serialize};

use crate::RemoteError;
use crate::publish::millis;

/// More forms than a layer has.
const MAX_FORMS: usize = 32;
/// Of larger layers the entry does not tell what is in them: it is for people, and is to stay small.
const MOST_INDEXED_FILES: usize = 2_000;
/// The largest index that is unpacked, in bytes.
const MAX_INDEX_BYTES: usize = 8 << 20;

/// A layer of an [`Entry`].
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EntryLayer {
    /// By content.
    pub id: LayerId,
    /// When it was made, in milliseconds since 1970: the history of an image shows it.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub created: u64,
    /// When its step began to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begun: Option<u64>,
    /// The digest of its tar; absent where nobody needed it, which is only where there is no blob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<DiffId>,
    /// The bytes of its tar.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// Its tar, compressed, in this cache; absent with `mode=min` for what no output holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blob: Option<Descriptor>,
    /// In which other forms images have it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forms: Vec<LayerForm>,
    /// What is in it, for explanations: its content index, zstd, base64; absent where that is large.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) index: Option<String>,
}

/// Another tar of a layer, or another compression of the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LayerForm {
    /// How its files are dated: `own`, `fixed:SECONDS`, `bounded:SECONDS`.
    times: String,
    /// The digest of this tar.
    pub diff_id: DiffId,
    /// Its bytes.
    pub size: u64,
    /// Blobs of it that registries may have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blobs: Vec<Descriptor>,
}

impl EntryLayer {
    /// What there is to say of the layer `id` before anybody looks at its bytes.
    pub(crate) fn timed(store: &Store, id: &LayerId) -> Result<Self, RemoteError> {
        let times = store.layer_times(id)?;
        let mut told = Self {
            id: *id,
            created: times.map_or(0, |times| millis(times.created)),
            begun: times.and_then(|times| times.begun).map(millis),
            diff_id: None,
            size: 0,
            blob: None,
            forms: Vec::new(),
            index: None,
        };
        if let Some(layer) = store.layer(id)? {
            told.set_index(&*layer.index()?);
        }
        Ok(told)
    }

    /// The tar whose files are dated so: its digest and its bytes.
    pub fn tar(&self, times: FileTimes) -> Option<(DiffId, u64)> {
        if times == FileTimes::Own {
            return Some((self.diff_id?, self.size));
        }
        let form = self.form(times)?;
        Some((form.diff_id, form.size))
    }

    /// Blobs of the tar whose files are dated so. Only [`Self::blob`] is in the cache itself.
    pub fn blobs(&self, times: FileTimes) -> Vec<&Descriptor> {
        let own = self.blob.iter().filter(|_| times == FileTimes::Own);
        let others = self.form(times).into_iter().flat_map(|form| &form.blobs);
        own.chain(others).collect()
    }

    /// Keeps what is in it, unless that is much.
    pub fn set_index(&mut self, index: &ContentIndex) {
        if index.len() > MOST_INDEXED_FILES {
            return;
        }
        let packed = zstd::bulk::compress(&index.encode(), 3).ok();
        self.index = packed.map(|packed| BASE64.encode(packed));
    }

    /// What is in it, if this is the layer `id`, and the entry tells and tells the truth.
    pub fn index_of(&self, id: &LayerId) -> Option<ContentIndex> {
        if self.id != *id {
            return None;
        }
        let packed = BASE64.decode(self.index.as_ref()?).ok()?;
        let bytes = zstd::bulk::decompress(&packed, MAX_INDEX_BYTES).ok()?;
        let index = ContentIndex::decode(&bytes).ok()?;
        (LayerId::Made(index.content_id()) == *id).then_some(index)
    }

    /// Without what only explanations need.
    #[must_use]
    pub(crate) fn brief(&self) -> Self {
        Self {
            index: None,
            ..self.clone()
        }
    }

    fn form(&self, times: FileTimes) -> Option<&LayerForm> {
        let wanted = times_text(times);
        self.forms.iter().find(|form| form.times == wanted)
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if !matches!(self.id, LayerId::Made(_)) {
            return Err("a layer of it is not named by its content");
        }
        if self.blob.is_some() && (self.diff_id.is_none() || self.size == 0) {
            return Err("a layer of it has a blob of nobody knows which tar");
        }
        if self.forms.len() > MAX_FORMS {
            return Err("a layer of it has too many forms");
        }
        let forms = self.forms.iter().flat_map(|form| &form.blobs);
        for blob in self.blob.iter().chain(forms) {
            if Digest::try_from(blob.digest()).is_err() {
                return Err("a blob of it is not named by its sha256");
            }
            // Nobody but a stranger would send us elsewhere.
            if blob.urls().is_some() {
                return Err("a blob of it is said to be at another place");
            }
        }
        Ok(())
    }
}

impl LayerForm {
    /// The tar with its files dated so.
    pub fn new(times: FileTimes, diff_id: DiffId, size: u64, blobs: Vec<Descriptor>) -> Self {
        Self {
            times: times_text(times),
            diff_id,
            size,
            blobs,
        }
    }
}

fn times_text(times: FileTimes) -> String {
    match times {
        FileTimes::Own => "own".to_owned(),
        FileTimes::Fixed(seconds) => format!("fixed:{seconds}"),
        FileTimes::Bounded(seconds) => format!("bounded:{seconds}"),
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
pub(crate) fn is_zero(value: &u64) -> bool {
    *value == 0
}

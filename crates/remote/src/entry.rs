//! What one step key stands for, as JSON.
//!
//! ```json
//! {"version": 1, "key": "9c…", "aliases": ["41…"], "name": "[build] RUN make", "created": 1766000000000, "runMillis": 5210,
//!  "layers": [{"id": "blake3-7e…", "created": 1766000005210, "begun": 1766000000000, "diffId": "sha256:0d…", "size": 10240,
//!              "blob": {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": "sha256:e1…", "size": 812},
//!              "forms": [{"times": "fixed:0", "diffId": "sha256:5b…", "size": 10240, "blobs": [{…}]}]}],
//!  "circumstances": {…}, "preimage": "KLUv/…"}
//! ```
//!
//! The last two are only there for explanations, and left out of bundles and annotations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use rbuild_cache::{Circumstances, Preimage};
use rbuild_store::{FastKey, StepKey};
use serde::{Deserialize, Serialize};

use crate::entry_layer::is_zero;
use crate::{Address, EntryLayer, RemoteError};

/// The format's version. Entries of another one are passed over, so a change costs what was cached.
pub(crate) const VERSION: u32 = 1;
/// The largest entry that is read, in bytes. Preimages have the data of heredocs in them.
pub(crate) const MAX_ENTRY_BYTES: usize = 8 << 20;
/// The largest preimage that is unpacked, in bytes: zstd makes little of much.
const MAX_PREIMAGE_BYTES: usize = 64 << 20;
/// More layers than a step makes.
const MAX_LAYERS: usize = 16;
/// More aliases than one entry needs.
const MAX_ALIASES: usize = 32;

/// What a step gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    version: u32,
    /// The step's key, in hexadecimal.
    key: String,
    /// Fast keys that lead here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<String>,
    /// The step in the words of the Dockerfile.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// When it ran, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub created: u64,
    /// How long it ran.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub run_millis: u64,
    /// Its layers, bottom first.
    pub layers: Vec<EntryLayer>,
    /// What it ran on; of whatever version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    circumstances: Option<serde_json::Value>,
    /// What the key is the hash of: zstd, base64.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    preimage: Option<String>,
}

impl Entry {
    /// The entry of `key`, with nothing but these layers.
    pub fn new(key: &StepKey, layers: Vec<EntryLayer>) -> Self {
        Self {
            version: VERSION,
            key: hex::encode(key.0),
            aliases: Vec::new(),
            name: String::new(),
            created: 0,
            run_millis: 0,
            layers,
            circumstances: None,
            preimage: None,
        }
    }

    /// The key.
    pub fn key(&self) -> StepKey {
        // Whoever reads an entry has checked it.
        self.key.parse().unwrap_or(StepKey([0; 32]))
    }

    /// The fast keys that lead here.
    pub fn aliases(&self) -> impl Iterator<Item = FastKey> + '_ {
        let keys = self.aliases.iter();
        keys.filter_map(|text| Some(FastKey(text.parse::<StepKey>().ok()?.0)))
    }

    /// Lets `fast` lead here.
    pub fn add_alias(&mut self, fast: &FastKey) {
        let text = hex::encode(fast.0);
        if !self.aliases.contains(&text) {
            self.aliases.push(text);
            let surplus = self.aliases.len().saturating_sub(MAX_ALIASES);
            self.aliases.drain(..surplus);
        }
    }

    /// Whether the entry is that of `address`.
    pub fn answers(&self, address: &Address) -> bool {
        match address {
            Address::Key(key) => self.key() == *key,
            Address::Fast(fast) => self.aliases().any(|alias| alias == *fast),
        }
    }

    /// Whether every layer can be had from the cache.
    pub fn has_blobs(&self) -> bool {
        self.layers.iter().all(|layer| layer.blob.is_some())
    }

    /// Keeps what the step ran on, as a record has it; not what was told to those who watched.
    pub fn set_circumstances(&mut self, outcome: &[u8]) {
        let mut value: Option<serde_json::Value> = serde_json::from_slice(outcome).ok();
        if let Some(fields) = value.as_mut().and_then(serde_json::Value::as_object_mut) {
            fields.remove("told");
        }
        self.circumstances = value;
    }

    /// What the step ran on.
    pub fn circumstances(&self) -> Option<Circumstances> {
        Circumstances::decode(self.circumstances.as_ref()?.to_string().as_bytes())
    }

    /// Keeps what the key is the hash of.
    pub fn set_preimage(&mut self, preimage: &[u8]) {
        let packed = zstd::bulk::compress(preimage, 3).ok();
        self.preimage = packed.map(|packed| BASE64.encode(packed));
    }

    /// What the key is the hash of, if the entry has it and it is that.
    pub fn preimage(&self) -> Option<Preimage> {
        let packed = BASE64.decode(self.preimage.as_ref()?).ok()?;
        let bytes = zstd::bulk::decompress(&packed, MAX_PREIMAGE_BYTES).ok()?;
        let preimage = Preimage::decode(bytes).ok()?;
        (preimage.key() == self.key()).then_some(preimage)
    }

    /// Without what only explanations need.
    #[must_use]
    pub fn brief(&self) -> Self {
        Self {
            circumstances: None,
            preimage: None,
            layers: self.layers.iter().map(EntryLayer::brief).collect(),
            ..self.clone()
        }
    }

    /// As JSON.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers are JSON")
    }

    /// Reads what [`Self::encode`] wrote, perhaps on another machine; what it says is checked as far as it can be.
    pub fn decode(bytes: &[u8]) -> Result<Self, RemoteError> {
        let fail = |reason: String| RemoteError::document("entry", reason);
        if bytes.len() > MAX_ENTRY_BYTES {
            return Err(fail(format!("it has more than {MAX_ENTRY_BYTES} bytes")));
        }
        let entry: Self = serde_json::from_slice(bytes).map_err(|error| fail(error.to_string()))?;
        entry.check().map_err(|reason| fail(reason.to_owned()))?;
        Ok(entry)
    }

    pub(crate) fn check(&self) -> Result<(), &'static str> {
        if self.version != VERSION {
            return Err("it is of another version of the format");
        }
        if self.key.parse::<StepKey>().is_err() {
            return Err("its key is none");
        }
        if self.layers.is_empty() || self.layers.len() > MAX_LAYERS {
            return Err("a step has one layer or a few");
        }
        if self.aliases.len() > MAX_ALIASES {
            return Err("it has too many aliases");
        }
        for layer in &self.layers {
            layer.check()?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use rbuild_image::{ContentId, DiffId, Digest, LayerId, descriptor, media_type};
    use rbuild_layer::FileTimes;

    use super::*;
    use crate::LayerForm;

    fn layer() -> EntryLayer {
        let tar = DiffId(Digest::sha256_of(b"tar"));
        let blob = descriptor(media_type::OCI_LAYER_GZIP, Digest::sha256_of(b"gzip"), 20);
        let dated = DiffId(Digest::sha256_of(b"dated"));
        EntryLayer {
            id: LayerId::Made(ContentId([1; 32])),
            created: 1_766_000_005_210,
            begun: Some(1_766_000_000_000),
            diff_id: Some(tar),
            size: 10_240,
            blob: Some(blob),
            forms: vec![LayerForm::new(
                FileTimes::Fixed(0),
                dated,
                10_240,
                Vec::new(),
            )],
            index: None,
        }
    }

    fn entry() -> Entry {
        let mut preimage = Preimage::new("exec");
        preimage.push("arg 0", "/bin/true");
        let mut entry = Entry::new(&preimage.key(), vec![layer()]);
        entry.name = "[build] RUN true".to_owned();
        entry.created = 1_766_000_000_000;
        entry.run_millis = 5_210;
        entry.add_alias(&FastKey([2; 32]));
        entry.set_preimage(preimage.as_bytes());
        entry
    }

    #[test]
    fn the_format_stays_the_same() {
        let mut entry = Entry {
            key: hex::encode([9; 32]),
            ..entry()
        };
        entry.preimage = Some("KLUv".to_owned());
        entry.set_circumstances(br#"{"version":1,"told":{}}"#);
        let text = String::from_utf8(entry.encode()).expect("JSON is text");
        let nines = "09".repeat(32);
        let twos = "02".repeat(32);
        let ones = "01".repeat(32);
        let [tar, gzip, dated] =
            ["tar", "gzip", "dated"].map(|text| Digest::sha256_of(text.as_bytes()));
        let expected = [
            &format!(
                r#"{{"version":1,"key":"{nines}","aliases":["{twos}"],"name":"[build] RUN true","#
            ),
            r#""created":1766000000000,"runMillis":5210,"layers":[{"#,
            &format!(r#""id":"blake3-{ones}","created":1766000005210,"begun":1766000000000,"#),
            &format!(r#""diffId":"{tar}","size":10240,"#),
            r#""blob":{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","#,
            &format!(r#""digest":"{gzip}","size":20}},"#),
            &format!(r#""forms":[{{"times":"fixed:0","diffId":"{dated}","size":10240}}]}}],"#),
            r#""circumstances":{"version":1},"preimage":"KLUv"}"#,
        ];
        assert_eq!(text, expected.concat());
    }

    #[test]
    fn what_was_written_is_read() {
        let entry = entry();
        let read = Entry::decode(&entry.encode()).expect("an entry");
        assert_eq!(read, entry);
        let preimage = read.preimage().expect("a preimage");
        assert_eq!(preimage.key(), read.key());
        assert!(read.answers(&Address::Fast(FastKey([2; 32]))));
        assert_eq!(read.brief().preimage(), None);
    }

    #[test]
    fn a_preimage_of_another_key_is_none() {
        let mut other = entry();
        other.set_preimage(Preimage::new("exec").as_bytes());
        assert_eq!(other.preimage(), None);
    }

    #[test]
    fn other_versions_and_nonsense_are_refused() {
        let text = String::from_utf8(entry().encode()).expect("JSON is text");
        for (from, to) in [
            ("\"version\":1", "\"version\":2"),
            ("\"key\":\"", "\"key\":\"x"),
            ("blake3-", "sha256-"),
            ("\"layers\":[", "\"layers\":[],\"more\":["),
            ("\"size\":20", "\"size\":20,\"urls\":[\"http://10.0.0.1/\"]"),
        ] {
            assert!(
                Entry::decode(text.replace(from, to).as_bytes()).is_err(),
                "{to}"
            );
        }
        assert!(Entry::decode(b"").is_err());
    }
}

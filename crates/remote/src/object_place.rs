//! A cache in a store of named objects: a directory, S3.
//!
//! ```text
//! entries/<key>.json        an entry
//! aliases/<fast key>.json   {"version": 1, "key": "…"}
//! mounts/<key>.json         a cache mount
//! blobs/sha256/<hex>        a layer's tar, compressed, or a chunk of a cache mount
//! latest/<name>.json        the bundle called <name>
//! ```

use std::io::Read;
use std::sync::Arc;

use rbuild_image::{Descriptor, Digest};
use rbuild_objects::{ObjectName, Objects};
use rbuild_store::StepKey;
use serde::{Deserialize, Serialize};

use crate::entry::VERSION;
use crate::registry_place::answering;
use crate::verified::Verified;
use crate::{Address, Bundle, Entry, MountSnapshot, Place, RemoteError, Upload};

/// A cache of several names in one store; names share entries and blobs.
#[derive(Debug)]
pub struct ObjectPlace {
    objects: Arc<dyn Objects>,
    /// Bundles that are read.
    names: Vec<ObjectName>,
}

#[derive(Serialize, Deserialize)]
struct Alias {
    version: u32,
    key: String,
}

impl ObjectPlace {
    /// The cache called `names` in `objects`; all of them are read, and written to.
    pub fn new(objects: Arc<dyn Objects>, names: &[&str]) -> Result<Self, RemoteError> {
        let names = names
            .iter()
            .map(|name| named(&format!("latest/{name}.json")));
        Ok(Self {
            objects,
            names: names.collect::<Result<_, _>>()?,
        })
    }

    fn read_entry(&self, key: &StepKey) -> Result<Option<Entry>, RemoteError> {
        let name = named(&format!("entries/{key}.json"))?;
        match self.objects.read(&name)? {
            Some(bytes) => Entry::decode(&bytes).map(Some),
            None => Ok(None),
        }
    }
}

impl Place for ObjectPlace {
    fn title(&self) -> String {
        self.objects.address()
    }

    fn bundle(&self) -> Result<Option<Bundle>, RemoteError> {
        let mut found: Option<Bundle> = None;
        for name in &self.names {
            if let Some(bytes) = self.objects.read(name)? {
                let bundle = Bundle::decode(&bytes)?;
                found = Some(match found {
                    Some(first) => bundle.merged(first.entries()),
                    None => bundle,
                });
            }
        }
        Ok(found)
    }

    fn put_bundle(&self, bundle: &Bundle) -> Result<(), RemoteError> {
        let bytes = bundle.encode();
        for name in &self.names {
            self.objects.replace(name, &bytes)?;
        }
        Ok(())
    }

    fn entry(&self, address: &Address) -> Result<Option<Entry>, RemoteError> {
        let key = match address {
            Address::Key(key) => *key,
            Address::Fast(_) => {
                let name = named(&format!("aliases/{}.json", address.hex()))?;
                let Some(bytes) = self.objects.read(&name)? else {
                    return Ok(None);
                };
                let wrong = |reason: String| RemoteError::document("alias", reason);
                let alias: Alias =
                    serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
                if alias.version != VERSION {
                    return Ok(None);
                }
                let key = alias.key.parse();
                key.map_err(|_| wrong("its key is none".to_owned()))?
            }
        };
        // An entry need not know all of its aliases: the alias itself says where it leads.
        let found = self.read_entry(&key)?;
        Ok(found.and_then(|entry| answering(entry, &Address::Key(key))))
    }

    fn full_entry(&self, address: &Address) -> Result<Option<Entry>, RemoteError> {
        self.entry(address)
    }

    fn put_entry(&self, entry: &Entry) -> Result<(), RemoteError> {
        let key = entry.key();
        let name = named(&format!("entries/{key}.json"))?;
        self.objects.replace(&name, &entry.encode())?;
        for fast in entry.aliases() {
            let name = named(&format!("aliases/{}.json", Address::Fast(fast).hex()))?;
            let alias = Alias {
                version: VERSION,
                key: key.to_string(),
            };
            let bytes = serde_json::to_vec(&alias).expect("texts and numbers are JSON");
            self.objects.replace(&name, &bytes)?;
        }
        Ok(())
    }

    fn mount(&self, key: &str) -> Result<Option<MountSnapshot>, RemoteError> {
        match self.objects.read(&named(&format!("mounts/{key}.json"))?)? {
            Some(bytes) => MountSnapshot::decode(&bytes),
            None => Ok(None),
        }
    }

    fn put_mount(&self, key: &str, snapshot: &MountSnapshot) -> Result<(), RemoteError> {
        let name = named(&format!("mounts/{key}.json"))?;
        Ok(self.objects.replace(&name, &snapshot.encode()?)?)
    }

    fn open_blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, RemoteError> {
        let digest = Digest::try_from(blob.digest())?;
        let Some(object) = self.objects.open(&blob_name(&digest)?)? else {
            return Err(RemoteError::MissingBlob {
                digest: digest.to_string(),
                place: self.title(),
            });
        };
        let verified = Verified::new(object.reader, digest, blob.size(), self.title());
        Ok(Box::new(verified))
    }

    fn put_blob(&self, upload: &Upload<'_>) -> Result<(), RemoteError> {
        let digest = Digest::try_from(upload.descriptor.digest())?;
        let (name, size) = (blob_name(&digest)?, upload.descriptor.size());
        if self.objects.size(&name)? == Some(size) {
            return Ok(());
        }
        let mut source = (upload.open)().map_err(RemoteError::Compress)?;
        Ok(self.objects.write(&name, size, &mut source)?)
    }
}

fn named(text: &str) -> Result<ObjectName, RemoteError> {
    Ok(text.parse()?)
}

fn blob_name(digest: &Digest) -> Result<ObjectName, RemoteError> {
    named(&format!("blobs/sha256/{}", digest.hex()))
}

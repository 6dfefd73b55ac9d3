//! GitHub's Actions cache, version 2 of its service.
//!
//! ```text
//! CreateCacheEntry           key → where to put it, for whoever comes first
//! PUT (Azure Blob Storage)   its bytes
//! FinalizeCacheEntryUpload   now it can be found
//! GetCacheEntryDownloadURL   a key, or the newest that begins with …  → where to get it
//! ```
//!
//! A key is taken for ever by the first who asks for it, even if he dies before his bytes are there. So no object has
//! just its name for a key: `blobs/sha256/4f9c…` is any of `rbuild-1-blobs/sha256/4f9c…#1` and `…#2`, the second one
//! for the case that the first was taken and never came; and a hint that is replaced has a new key each time, of which
//! the newest counts. Reading asks for what begins with `…#`.
//!
//! Blobs are shared by all scopes, as their names say what they hold; all else belongs to one:
//! `rbuild-1-SCOPE-entries/91ab….json#1`.

mod blob;
mod exchange;
mod service;

use std::fmt;
use std::io::Read;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::objects::MAX_READ_BYTES;
use crate::source::Source;
use crate::web::Web;
use crate::{Object, ObjectName, Objects, ObjectsError, WebOptions};

use exchange::Exchange;
use service::{Reserved, Service};

/// Before all keys. A new number finds nothing of the old ones.
const KEYS: &str = "rbuild-1-";
/// The longest key that the service takes, in bytes.
const MAX_KEY_BYTES: usize = 512;
/// How often a key is tried that somebody else has taken and not yet filled.
const NUMBERS: [u64; 2] = [1, 2];

/// The cache of a repository, as `--cache-to type=gha,…` describes it.
#[derive(Clone)]
pub struct GhaOptions {
    /// `ACTIONS_RESULTS_URL`.
    pub url: String,
    /// `ACTIONS_RUNTIME_TOKEN`.
    pub token: String,
    /// Tells the caches of one repository apart.
    pub scope: String,
    /// How long one request is tried again.
    pub timeout: Duration,
    /// What no other writer has: it tells the keys of hints apart.
    pub writer: String,
}

impl fmt::Debug for GhaOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the token.
        f.debug_struct("GhaOptions")
            .field("url", &self.url)
            .field("scope", &self.scope)
            .finish_non_exhaustive()
    }
}

/// A repository's Actions cache.
pub struct Gha {
    service: Service,
    exchange: Exchange,
    scope: String,
    writer: String,
    replaced: AtomicU64,
}

impl Gha {
    /// The cache that `options` describe. No request is sent yet.
    pub fn new(options: &GhaOptions, web: WebOptions) -> Result<Self, ObjectsError> {
        let wrong = |reason: String| ObjectsError::Config {
            store: format!("gha:{}", options.scope),
            reason,
        };
        // A comma separates keys in the service's own lists.
        if options.scope.contains(',') {
            return Err(wrong("a scope cannot have a comma".to_owned()));
        }
        if options.scope.len() > MAX_KEY_BYTES / 8 {
            return Err(wrong("a scope has 64 bytes at most".to_owned()));
        }
        Ok(Self {
            service: Service::new(&options.url, &options.token).map_err(wrong)?,
            exchange: Exchange::new(Web::new(web)?, options.timeout),
            scope: options.scope.clone(),
            writer: options.writer.clone(),
            replaced: AtomicU64::new(0),
        })
    }

    /// What all keys of an object begin with.
    fn keys(&self, name: &ObjectName) -> String {
        if name.as_str().starts_with("blobs/") {
            format!("{KEYS}{name}#")
        } else {
            format!("{KEYS}{}-{name}#", self.scope)
        }
    }

    fn object(&self, name: &ObjectName) -> String {
        format!("{}/{name}", self.address())
    }

    /// Where the newest of an object's entries is.
    fn find(&self, name: &ObjectName) -> Result<Option<String>, ObjectsError> {
        let found = self.service.find(&self.exchange, &self.keys(name));
        found.map_err(|error| error.at("find", self.object(name)))
    }

    /// Fills an entry that was reserved for us.
    fn fill(
        &self,
        key: &str,
        url: &str,
        size: u64,
        source: Source<'_>,
    ) -> Result<(), ObjectsError> {
        let object = source.object().to_owned();
        blob::upload(&self.exchange, url, size, source)?;
        let finished = self.service.finalize(&self.exchange, key, size);
        finished.map_err(|error| error.at("write", object))
    }

    fn reserve(&self, key: &str, object: &str) -> Result<Reserved, ObjectsError> {
        let reserved = self.service.reserve(&self.exchange, key);
        reserved.map_err(|error| error.at("write", object.to_owned()))
    }
}

impl Objects for Gha {
    fn read(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ObjectsError> {
        let Some(object) = self.open(name)? else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        let read = object
            .reader
            .take(MAX_READ_BYTES + 1)
            .read_to_end(&mut bytes);
        read.map_err(|source| ObjectsError::Store {
            action: "read",
            object: self.object(name),
            source: Box::new(source),
        })?;
        if bytes.len() as u64 > MAX_READ_BYTES {
            return Err(ObjectsError::TooLarge {
                object: self.object(name),
                limit: MAX_READ_BYTES,
            });
        }
        Ok(Some(bytes))
    }

    fn open(&self, name: &ObjectName) -> Result<Option<Object>, ObjectsError> {
        let Some(url) = self.find(name)? else {
            return Ok(None);
        };
        let opened = blob::download(&self.exchange, &url);
        opened.map_err(|error| error.at("read", self.object(name)))
    }

    fn size(&self, name: &ObjectName) -> Result<Option<u64>, ObjectsError> {
        let Some(url) = self.find(name)? else {
            return Ok(None);
        };
        let size = blob::size(&self.exchange, &url);
        size.map_err(|error| error.at("find", self.object(name)))
    }

    fn write(
        &self,
        name: &ObjectName,
        size: u64,
        source: &mut dyn Read,
    ) -> Result<(), ObjectsError> {
        let object = self.object(name);
        for number in NUMBERS {
            let key = format!("{}{number}", self.keys(name));
            match self.reserve(&key, &object)? {
                Reserved::Ours(url) => {
                    let source = Source::new(object, size, source);
                    return self.fill(&key, &url, size, source);
                }
                Reserved::Taken if self.find(name)?.is_some() => return Ok(()),
                Reserved::Taken => {}
            }
        }
        // Two writers are at it, or were.
        Ok(())
    }

    fn replace(&self, name: &ObjectName, mut bytes: &[u8]) -> Result<(), ObjectsError> {
        let object = self.object(name);
        let number = self.replaced.fetch_add(1, Ordering::Relaxed);
        let key = format!("{}{}-{number}", self.keys(name), self.writer);
        let size = bytes.len() as u64;
        match self.reserve(&key, &object)? {
            Reserved::Ours(url) => {
                let source = Source::new(object, size, &mut bytes);
                self.fill(&key, &url, size, source)
            }
            // By ourselves, in a request whose answer was lost: the hint stays as it is.
            Reserved::Taken => Ok(()),
        }
    }

    fn address(&self) -> String {
        format!("gha:{}", self.scope)
    }
}

impl fmt::Debug for Gha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gha")
            .field("address", &self.address())
            .finish_non_exhaustive()
    }
}

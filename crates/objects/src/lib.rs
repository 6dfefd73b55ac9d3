//! Named objects in a directory, S3, Azure Blob Storage or GitHub's Actions cache.
//!
//! ```text
//! blobs/sha256/4f9c…      written once: the name says the contents
//! entries/91ab….json      written once
//! latest/main.json        replaced: the last writer wins
//! ```
//!
//! All of [`Objects`] is `&self` and thread-safe: callers move objects in parallel. Many processes and machines use
//! one store at the same time without locks: an object appears whole or not at all. What a store gives back is
//! not verified here; whoever asked for contents compares their digest.
//!
//! This crate knows nothing of builds, and reads neither the environment nor a configuration file: it is told.
//!
//! ```
//! use rbuild_objects::{Directory, ObjectName, Objects};
//!
//! let dir = tempfile::tempdir()?;
//! let store = Directory::new(dir.path());
//! let name: ObjectName = "latest/main.json".parse()?;
//! assert_eq!(store.read(&name)?, None);
//! store.replace(&name, b"{}")?;
//! assert_eq!(store.read(&name)?.as_deref(), Some(&b"{}"[..]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod azure;
mod bucket;
mod container;
mod directory;
mod error;
mod gha;
mod name;
mod objects;
mod reason;
mod runtime;
mod s3;
mod source;
mod transport;
mod web;

pub use azure::{AzureCredentials, AzureOptions};
pub use bucket::Bucket;
pub use directory::Directory;
pub use error::ObjectsError;
pub use gha::{Gha, GhaOptions};
pub use name::ObjectName;
pub use objects::{MAX_READ_BYTES, Object, Objects};
pub use rbuild_web::{Proxies, WebError, WebOptions};
pub use s3::{BucketStyle, S3Credentials, S3Options};

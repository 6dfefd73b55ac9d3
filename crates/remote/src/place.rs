//! Where a cache is kept.

use std::io::{self, Read};

use rbuild_image::{Descriptor, Reference};

use crate::{Address, Bundle, Entry, MountSnapshot, RemoteError};

/// A blob that a place is to have.
pub struct Upload<'a> {
    /// Its digest and size.
    pub descriptor: &'a Descriptor,
    /// Opens its bytes from the start; may be called again.
    pub open: &'a dyn Fn() -> io::Result<Box<dyn Read + Send>>,
    /// A repository that may have it.
    pub neighbour: Option<&'a Reference>,
}

/// A remote cache. All of it may be called from several threads.
pub trait Place: Send + Sync {
    /// What people call it: `registry.example/app:cache`.
    fn title(&self) -> String;

    /// The list of recent entries; `None` where nothing was ever written.
    fn bundle(&self) -> Result<Option<Bundle>, RemoteError>;

    /// Replaces the list of recent entries.
    fn put_bundle(&self, bundle: &Bundle) -> Result<(), RemoteError>;

    /// The entry of `address`, perhaps without what explanations need.
    fn entry(&self, address: &Address) -> Result<Option<Entry>, RemoteError>;

    /// The entry of `address` with all that it has.
    fn full_entry(&self, address: &Address) -> Result<Option<Entry>, RemoteError>;

    /// Writes an entry under its key and its aliases. Its blobs are there.
    fn put_entry(&self, entry: &Entry) -> Result<(), RemoteError>;

    /// What the cache mount `key` held when it was last sent; `None` if it never was.
    fn mount(&self, key: &str) -> Result<Option<MountSnapshot>, RemoteError>;

    /// Replaces what the cache mount `key` held. Its blobs are there.
    fn put_mount(&self, key: &str, snapshot: &MountSnapshot) -> Result<(), RemoteError>;

    /// A blob's bytes. Reading fails at the end unless they are those of the digest.
    fn open_blob(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, RemoteError>;

    /// Sees to it that the place has a blob.
    fn put_blob(&self, upload: &Upload<'_>) -> Result<(), RemoteError>;

    /// The repository that has the blobs, if a registry can take them from there.
    fn repository(&self) -> Option<&Reference> {
        None
    }
}

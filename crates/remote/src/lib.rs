//! Remote caches: what steps gave, kept where other machines find it.
//!
//! ```text
//! Publisher ── entries, layers' blobs, bundle ──→ Place (a registry, a directory, an object store)
//!                                                   │
//! Imports   ←─ bundle at the start, entries by key ─┘── blobs, when somebody reads a layer
//! ```
//!
//! An [`Entry`] says what one step key stands for: layers by content, with the digests of their tars and blobs. Each entry is
//! an object (or an artifact) of its own, so that any number of writers lose nothing of each other's; a [`Bundle`] lists
//! entries of recent builds, and is only a hint that saves round trips. Images can tell their own steps' entries
//! ([`inline_cache`]). `docs/cache-format.md` shows all of it.
//!
//! Cache mounts can travel along: a [`MountSnapshot`] lists the chunks of one.
//!
//! What comes from a place is bounded in size and checked against its digests. That a key gives these contents is believed:
//! this is the trust that one puts into a cache.
//!
//! This crate runs no step and computes no key; it does not decide which layer is needed.
#![forbid(unsafe_code)]

mod address;
mod alike;
mod bundle;
mod entry;
mod entry_layer;
mod error;
mod imports;
mod inline;
mod mount;
mod object_place;
mod pack;
mod place;
mod publish;
mod registry_place;
mod tags;
mod verified;

pub use address::Address;
pub use bundle::{Bundle, MAX_LISTED};
pub use entry::Entry;
pub use entry_layer::{EntryLayer, LayerForm};
pub use error::RemoteError;
pub use imports::{Ask, Hit, Imports, KnownLayer};
pub use inline::{INLINE_FIELD, ImageLayer, inline_cache};
pub use mount::{Chunk, MountExchange, MountSnapshot, Sent, UsedMount, fetch_mount, send_mount};
pub use object_place::ObjectPlace;
pub use pack::BlobForm;
pub use place::{Place, Upload};
pub use publish::{Come, Finished, InOutput, Mode, Publisher, Target};
pub use registry_place::{RegistryPlace, Way};

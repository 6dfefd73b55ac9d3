//! Everything on disk: blobs, layers, images, cache records, cache mounts, containers, locks, leases, garbage.
//!
//! ```text
//! $RBUILD_ROOT/
//!   rbuild.db                      SQLite (WAL): the index of all below, and cache records with their preimages
//!   oci-layout  index.json         with blobs/, an OCI image layout: skopeo inspect oci:$RBUILD_ROOT:app:latest
//!   blobs/sha256/<hex>             manifests, configs, layer tars that somebody wanted as such
//!   layers/<id>/diff               an extracted layer, never changed: a lower directory of overlayfs
//!   layers/<id>/index              its content index
//!   mounts/<key>/<n>/data          cache mounts ([`Store::export_cache_mount`] packs one, [`Store::import_cache_mount`] unpacks it)
//!   containers/<id>/               what containers write
//!   manifests/<hash>.json          lists of manifests that are not pushed yet
//!   contexts/<hash>                stat caches of build contexts
//!   locks/<hash>                   locks by name, there while somebody wants them
//!   reserve                        room that a prune needs on a full disk
//!   tmp/<lease>/                   work in flight of one process
//!   tmp/trash/                     what is to be removed, whenever there is time
//! ```
//!
//! # Rules
//!
//! * **Files are the truth, the database is their index.** A layer's row is entered after its complete directory was
//!   renamed into place; a blob is renamed in the transaction that enters it. What has no row is garbage, what has a row
//!   but no file is forgotten when it is found.
//! * **No daemon.** Any number of processes share a root. The database's transactions order them; busy errors are waited out.
//! * **Who is alive is known by `flock`.** A process' temporary files lie in its locked lease directory; a [`Layer`]
//!   handle share-locks the layer's directory; cache mounts and named locks are locked files. The kernel frees all of it
//!   when a process ends, however that is, so nothing ever waits for the dead.
//! * **References.** Records, images (by diffID) and containers keep layers; images, base resolutions and kept layers keep blobs. The
//!   rest goes with [`Store::prune`], [`Store::untag`] or [`Store::collect_garbage`], unless a living process has a handle of it or,
//!   for blobs, wrote or asked for it since its lease began. Pulled layers are cache as records are: they go when room is needed.
//! * **A loss of power** may cost what was finished since the last [`Store::sync`], not more. Every file remembers the boot
//!   it was written in, and whether it was synced; what was not, and comes from another boot, is compared with its
//!   digests before it is used, and dropped where it fails.
//!
//! Not here: what a key means, how a layer is written or read, where blobs come from.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let directory = tempfile::tempdir()?;
//! # let root = directory.path();
//! use rbuild_store::{RootAttributes, Store};
//!
//! let store = Store::open(root)?;
//! let digest = store.put_blob(b"{}")?;
//! assert_eq!(store.read_blob(&digest)?.as_deref(), Some(&b"{}"[..]));
//!
//! let draft = store.draft(&RootAttributes::default())?;
//! std::fs::write(draft.diff_path().join("hello"), "world")?;
//! drop(draft); // or store.commit_layer(draft, index, id)
//! store.sweep()?;
//! # Ok(())
//! # }
//! ```
#![forbid(unsafe_code)]

mod blob;
mod cache_mount;
mod collect;
mod container;
mod db;
mod disk;
mod draft;
mod error;
mod fetched;
mod flock;
mod fsck;
mod image;
mod image_repository;
mod layer;
mod layer_blob;
mod lease;
mod ledger;
mod leftovers;
mod lock;
mod manifest_list;
mod measure;
mod oci_layout;
mod paths;
mod prune;
mod pushed;
mod record;
mod remove;
mod reserve;
mod resolution;
mod schema;
mod shrink;
mod store;
mod time;
mod usage;
mod uses;
mod worth;

pub use blob::{Blob, BlobWriter};
pub use cache_mount::{
    CacheFill, CacheMount, CacheMountGuard, CacheMountSpec, CacheSharing, cache_mount_key,
};
pub use collect::Collected;
pub use container::{Container, ContainerState, End, NewContainer};
pub use disk::{Disk, Limits, NO_ROOM};
pub use draft::{LayerDraft, RootAttributes};
pub use error::StoreError;
pub use fsck::{Check, Checking, Damage, Needed};
pub use image::{ImageOrigin, ImageRemoval, StoredImage};
pub use layer::{Layer, LayerTimes};
pub use layer_blob::LayerBlob;
pub use lease::Swept;
pub use lock::LockGuard;
pub use manifest_list::{ListedManifest, ManifestList};
pub use measure::tree_bytes;
pub use prune::{Action, CachePrune, Choice, ImagePrune, Prune, PruneOptions, Pruned};
pub use record::{FastKey, InvalidKey, NewRecord, Record, StepKey};
pub use resolution::Resolution;
pub use store::Store;
pub use time::Clock;
pub use usage::{ProjectTotal, Usage, UsageItem, UsageKind, UsageTotal};

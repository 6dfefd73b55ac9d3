//! The values of the OCI image world: digests, references, platforms, descriptors, image configs,
//! manifests and canonical JSON.
//!
//! This crate is pure: it takes values and returns values, reads no file and opens no socket. It does
//! not fetch, store or interpret layers; those crates speak in the types defined here.
//!
//! ```
//! use rbuild_image::{Digest, Reference};
//!
//! let name: Reference = "debian:bookworm".parse()?;
//! assert_eq!(name.to_string(), "docker.io/library/debian:bookworm");
//! assert_eq!(name.familiar(), "debian:bookworm");
//! assert!(Digest::sha256_of(b"").to_string().starts_with("sha256:e3b0c442"));
//! # Ok::<(), rbuild_image::ImageError>(())
//! ```
#![forbid(unsafe_code)]

mod canonical;
mod config;
mod digest;
mod document;
mod error;
mod manifest;
mod media;
mod platform;
mod reference;

pub use canonical::canonical_json;
pub use config::{Healthcheck, HistoryEntry, ImageConfig, Rootfs, RuntimeConfig, Volumes};
pub use digest::{ChainId, ContentId, DiffId, Digest, Digester, LayerId};
pub use document::MAX_DOCUMENT_BYTES;
pub use error::ImageError;
pub use manifest::{Manifest, descriptor, is_attestation, read_index};
pub use media::{Compression, Distribution, LayerMediaType, ManifestKind, Packing, media_type};
pub use oci_spec::image::{Descriptor, ImageIndex, ImageManifest, MediaType};
pub use platform::Platform;
pub use reference::Reference;

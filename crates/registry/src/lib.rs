//! The distribution protocol (OCI distribution-spec 1.1 and Docker's registry API): resolving names,
//! pulling, pushing and mounting, with credentials and mirrors.
//!
//! Whatever comes from a registry is checked against its digest and size before it counts. Failures that may
//! pass are retried, broken downloads and uploads are resumed, tokens are renewed; memory is bounded by
//! buffers, and nothing is written to disk. All of [`Client`] is `&self` and thread-safe: callers move blobs
//! in parallel.
//!
//! This crate does not store, unpack or compress anything, keeps no image list, and reads neither the
//! environment nor a configuration file of its own accord: it is told.
//!
//! ```no_run
//! use std::sync::Arc;
//! use rbuild_image::Platform;
//! use rbuild_registry::{Anonymous, Client, RegistryConfig};
//!
//! let client = Client::new(RegistryConfig::default(), Arc::new(Anonymous));
//! let name = "debian:bookworm".parse()?;
//! let image = client.pull_manifest(&name, &Platform::host())?;
//! for layer in image.manifest.layers() {
//!     let mut reader = client.blob(&name, layer)?;
//!     std::io::copy(&mut reader, &mut std::io::sink())?; // fails unless every byte is right
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod at_once;
mod blob;
mod client;
mod config;
mod containers_conf;
mod copy;
mod credentials;
mod docker_config;
mod error;
mod host_folder;
mod login;
mod options;
mod platform;
mod present;
mod push;
mod referrers;
mod reply;
mod resolve;
mod stream;
mod transport;
mod upload;

pub use at_once::transfer_all;
pub use blob::BlobReader;
pub use client::Client;
pub use config::{HostConfig, Keypair, RegistryConfig};
pub use containers_conf::ContainersRegistries;
pub use credentials::{Anonymous, Credential, Credentials, OnlyFor};
pub use docker_config::{CredentialFile, DockerConfig, KeptIn, LoginName, LoginSecret};
pub use error::{Attempt, Fault, RegistryError};
pub use options::{ClientOptions, RetryPolicy};
pub use platform::rank_platforms;
pub use present::PresentBlobs;
pub use push::{BlobArrival, BlobState, MountOutcome};
pub use rbuild_web::{Proxies, WebError, WebOptions};
pub use referrers::{Listed, Referrer};
pub use reply::{ApiError, Reply};
pub use resolve::{PulledManifest, Resolved};
pub use upload::BlobUpload;

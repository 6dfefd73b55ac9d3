//! What tests need besides the code under test: real registries, a proxy that breaks what passes through
//! it, and makers of small images. A dev-dependency only.
//!
//! Programs that are missing make tests say so and end early; where the environment variable `CI` is set,
//! they make them fail. See [`require`].
//!
//! ```no_run
//! use rbuild_testkit::{ImageMaker, Registry};
//!
//! let Some(registry) = Registry::start() else { return };
//! let dir = tempfile::tempdir().expect("a directory");
//! let layout = ImageMaker::new()
//!     .layer(&[("etc/greeting", b"hello")])
//!     .write(&dir.path().join("image"), "latest")
//!     .expect("an OCI layout");
//! registry.push(&layout, "library/greeting:latest").expect("a push");
//! ```
#![forbid(unsafe_code)]

mod actions_cache;
mod documents;
mod fault;
mod http;
mod image_maker;
mod proxy;
mod referrers;
mod registry;
mod require;
mod s3;
mod tls;
mod token;

pub use actions_cache::ActionsCache;
pub use documents::checked_documents;
pub use fault::{Fault, Rule};
pub use http::Recorded;
pub use image_maker::{ImageLayout, ImageMaker, LayerCompression};
pub use proxy::FaultProxy;
pub use registry::{PASSWORD, Registry, RegistrySetup, USERNAME};
pub use require::require;
pub use s3::S3Server;
pub use tls::TestCertificates;
pub use token::TokenRules;

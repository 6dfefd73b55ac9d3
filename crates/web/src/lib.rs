//! What every connection to the web shares: which proxy stands between, and whose certificates are believed.
//!
//! It knows no protocol but TLS: patience, redirects and credentials belong to those who ask.
//!
//! ```
//! use rbuild_web::Proxies;
//!
//! let proxies = Proxies {
//!     https: Some("http://proxy.example.com:3128".to_owned()),
//!     no_proxy: Some("registry.example.com".to_owned()),
//!     ..Proxies::default()
//! };
//! let proxy = proxies.for_https()?.expect("there is one");
//! assert_eq!(proxy.host(), "proxy.example.com");
//! assert!(proxies.for_http()?.is_none());
//! # Ok::<(), rbuild_web::WebError>(())
//! ```
#![forbid(unsafe_code)]

mod agent;
mod authorities;
mod error;
mod itself;
mod loopback;
mod options;
mod proxies;

pub use agent::agent;
pub use authorities::{authorities, certificates, identity, roots};
pub use error::WebError;
pub use loopback::is_loopback;
pub use options::WebOptions;
pub use proxies::Proxies;

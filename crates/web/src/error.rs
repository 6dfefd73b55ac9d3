//! What can be wrong with what we were told about the way.

use std::io;
use std::path::PathBuf;

/// A failure of this crate. Messages follow "failed to" and hold no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// A proxy's URL is none. It may hold a password, so it is not quoted.
    #[error("use the proxy: its URL is malformed")]
    Proxy,
    /// A file of certificates or keys cannot be read.
    #[error("read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file of certificates or keys does not hold what it should.
    #[error("use {}: {reason}", path.display())]
    Pem {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: &'static str,
    },
    /// A certificate to show is refused, or its key.
    #[error("set up encrypted connections")]
    Tls(#[source] rustls::Error),
}

//! How the web is reached.

use std::path::PathBuf;

use crate::Proxies;

/// How the web is reached, as the caller read it from the environment.
#[derive(Debug, Clone, Default)]
pub struct WebOptions {
    /// What we call ourselves.
    pub user_agent: String,
    /// Which proxies stand between.
    pub proxies: Proxies,
    /// PEM files of authorities that are trusted besides the public ones (what `SSL_CERT_FILE` names). Files that do not
    /// exist are passed over.
    pub root_certificates: Vec<PathBuf>,
}

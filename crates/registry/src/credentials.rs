//! Who we are to a registry.

use std::fmt;

use crate::RegistryError;

/// What proves who we are. Its secrets never show in `Debug`.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// A user name and a password (or an access token in its place).
    Password {
        /// The user's name.
        username: String,
        /// The secret.
        password: String,
    },
    /// A refresh token, to be changed for access tokens at the token server.
    IdentityToken(String),
    /// An access token, sent to the registry as it is.
    RegistryToken(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Password { username, .. } => f
                .debug_struct("Password")
                .field("username", username)
                .finish_non_exhaustive(),
            Self::IdentityToken(_) => f.write_str("IdentityToken(..)"),
            Self::RegistryToken(_) => f.write_str("RegistryToken(..)"),
        }
    }
}

/// Where credentials come from.
pub trait Credentials: Send + Sync {
    /// The credential for `registry` (`docker.io`, `localhost:5000`) and, where one is asked about, a repository there
    /// (`library/busybox`), `None` to go without.
    fn get(
        &self,
        registry: &str,
        repository: Option<&str>,
    ) -> Result<Option<Credential>, RegistryError>;
}

/// No credentials for anyone.
#[derive(Debug, Clone, Copy, Default)]
pub struct Anonymous;

impl Credentials for Anonymous {
    fn get(
        &self,
        _registry: &str,
        _repository: Option<&str>,
    ) -> Result<Option<Credential>, RegistryError> {
        Ok(None)
    }
}

/// One credential, for one registry.
#[derive(Debug, Clone)]
pub struct OnlyFor {
    /// The registry.
    pub registry: String,
    /// What it is shown.
    pub credential: Credential,
}

impl Credentials for OnlyFor {
    fn get(
        &self,
        registry: &str,
        _repository: Option<&str>,
    ) -> Result<Option<Credential>, RegistryError> {
        Ok((registry == self.registry).then(|| self.credential.clone()))
    }
}

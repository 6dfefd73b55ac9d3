//! Writing what `login` and `logout` change in Docker's `config.json`; all else in it stays as it was.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Map, Value, json};

use super::{BASE64, helper, is_url_of, keys_of, parse};
use crate::RegistryError;

/// Only its owner reads a file with passwords.
const MODE: u32 = 0o600;
/// The user that helpers keep identity tokens for (docker-credential-helpers).
const IDENTITY_TOKEN_USER: &str = "<token>";

/// A file of the form of Docker's `config.json`, to be changed. It need not exist.
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
}

/// What a password is for: a registry, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoginName {
    /// `docker.io`, `localhost:5000`
    pub registry: String,
    /// A repository there, or the beginning of a repository's path.
    pub repository: Option<String>,
}

impl LoginName {
    /// The keys that it has had in files, that of today first.
    fn keys(&self) -> Vec<String> {
        match &self.repository {
            None => keys_of(&self.registry),
            Some(_) => vec![self.to_string()],
        }
    }

    /// Whether the entry of `key` is for it.
    fn is_meant_by(&self, key: &str) -> bool {
        let by_url = self.repository.is_none() && is_url_of(key, &self.registry);
        by_url || self.keys().iter().any(|known| known == key)
    }
}

impl fmt::Display for LoginName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.repository {
            None => f.write_str(&self.registry),
            Some(repository) => write!(f, "{}/{repository}", self.registry),
        }
    }
}

/// What a login is proved with from now on.
#[derive(Clone, PartialEq, Eq)]
pub enum LoginSecret {
    /// The password.
    Password(String),
    /// What the registry's token server gave for it: it can be taken back, and is good for nothing else.
    IdentityToken(String),
}

/// Where a password was put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeptIn {
    /// In this file, readable.
    File(PathBuf),
    /// With `docker-credential-<name>`.
    Helper(String),
}

impl CredentialFile {
    /// The file at `path`.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// Keeps a secret for what `login` names: with the helper that the file names for its registry, else in the file.
    pub fn set(
        &self,
        login: &LoginName,
        username: &str,
        secret: &LoginSecret,
    ) -> Result<KeptIn, RegistryError> {
        self.change(|config| {
            let key = &login.keys()[0];
            let (entry, kept) = match (helper_for(config, &login.registry), &login.repository) {
                (Some(name), Some(_)) => {
                    let reason = format!(
                        "docker-credential-{name} keeps one login for each registry: leave the path away"
                    );
                    let registry = login.to_string();
                    return Err(RegistryError::Credentials { registry, reason });
                }
                (Some(name), None) => {
                    match secret {
                        LoginSecret::Password(password) => {
                            helper::store(&name, key, username, password)?;
                        }
                        LoginSecret::IdentityToken(token) => {
                            helper::store(&name, key, IDENTITY_TOKEN_USER, token)?;
                        }
                    }
                    (json!({}), KeptIn::Helper(name))
                }
                (None, _) => {
                    let entry = match secret {
                        LoginSecret::Password(password) => {
                            let auth = BASE64.encode(format!("{username}:{password}"));
                            json!({ "auth": auth })
                        }
                        LoginSecret::IdentityToken(token) => {
                            let auth = BASE64.encode(format!("{username}:"));
                            json!({ "auth": auth, "identitytoken": token })
                        }
                    };
                    (entry, KeptIn::File(self.path.clone()))
                }
            };
            let auths = object(config, "auths").ok_or_else(|| self.malformed())?;
            auths.retain(|known, _| !login.is_meant_by(known));
            auths.insert(key.clone(), entry);
            Ok(kept)
        })
    }

    /// Whether the file names `login`.
    pub fn has(&self, login: &LoginName) -> Result<bool, RegistryError> {
        let config = self.read(&self.path)?;
        let auths = config.get("auths").and_then(Value::as_object);
        Ok(auths.is_some_and(|auths| auths.keys().any(|key| login.is_meant_by(key))))
    }

    /// Forgets what is kept for `login`; tells whether there was anything.
    pub fn remove(&self, login: &LoginName) -> Result<bool, RegistryError> {
        if !self.path.exists() {
            return Ok(false);
        }
        self.change(|config| {
            let erased = match (helper_for(config, &login.registry), &login.repository) {
                (Some(name), None) => helper::erase(&name, &login.keys()[0])?,
                _ => false,
            };
            let auths = object(config, "auths").ok_or_else(|| self.malformed())?;
            let before = auths.len();
            auths.retain(|key, _| !login.is_meant_by(key));
            Ok(erased || auths.len() < before)
        })
    }

    /// Reads the file, changes it and puts it back in one step, while no other process of ours does.
    fn change<T>(
        &self,
        change: impl FnOnce(&mut Map<String, Value>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        // A link to the file stays a link.
        let path = self
            .path
            .canonicalize()
            .unwrap_or_else(|_| self.path.clone());
        let dir = match path.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        };
        std::fs::create_dir_all(dir).map_err(|error| self.fail(&error))?;
        let lock = File::open(dir).map_err(|error| self.fail(&error))?;
        lock.lock().map_err(|error| self.fail(&error))?;
        let mut config = self.read(&path)?;
        let before = config.clone();
        let result = change(&mut config)?;
        if config != before {
            write(&path, dir, &config).map_err(|error| self.fail(&error))?;
        }
        Ok(result)
    }

    fn read(&self, path: &Path) -> Result<Map<String, Value>, RegistryError> {
        let bytes = match std::fs::read(path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(self.fail(&error)),
        };
        match parse(&bytes, &self.path.display().to_string()) {
            None => Ok(Map::new()),
            Some(Ok(config)) => Ok(config),
            Some(Err(reason)) => Err(RegistryError::Config { reason }),
        }
    }

    fn malformed(&self) -> RegistryError {
        RegistryError::Config {
            reason: format!("{}: \"auths\" is not an object", self.path.display()),
        }
    }

    fn fail(&self, error: &std::io::Error) -> RegistryError {
        RegistryError::Config {
            reason: format!("{}: {error}", self.path.display()),
        }
    }
}

/// The object at `key`, made where it is missing; `None` if something else is there.
fn object<'a>(config: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = config.entry(key).or_insert_with(|| json!({}));
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

/// The helper that is in charge of `registry`.
fn helper_for(config: &Map<String, Value>, registry: &str) -> Option<String> {
    let own = keys_of(registry)
        .iter()
        .find_map(|key| config.get("credHelpers")?.get(key)?.as_str());
    let store = || config.get("credsStore")?.as_str();
    own.or_else(store)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
}

/// Replaces the file in one step.
fn write(path: &Path, dir: &Path, config: &Map<String, Value>) -> std::io::Result<()> {
    let mut text = serde_json::to_vec_pretty(config)?;
    text.push(b'\n');
    let mut file = tempfile::Builder::new()
        .permissions(std::fs::Permissions::from_mode(MODE))
        .tempfile_in(dir)?;
    file.write_all(&text)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

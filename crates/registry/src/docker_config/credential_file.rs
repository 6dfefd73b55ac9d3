//! Writing what `login` and `logout` change in Docker's `config.json`; all else in it stays as it was.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use serde_json::{Map, Value, json};

use super::{BASE64, helper, host_of, keys_of, parse};
use crate::RegistryError;

/// Only its owner reads a file with passwords.
const MODE: u32 = 0o600;

/// A file of the form of Docker's `config.json`, to be changed. It need not exist.
#[derive(Debug, Clone)]
pub struct CredentialFile {
    path: PathBuf,
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

    /// Keeps a password for `registry` (`docker.io`, `localhost:5000`): with the helper that the file names for it,
    /// else in the file.
    pub fn set(
        &self,
        registry: &str,
        username: &str,
        password: &str,
    ) -> Result<KeptIn, RegistryError> {
        self.change(|config| {
            let key = &keys_of(registry)[0];
            let (entry, kept) = if let Some(name) = helper_for(config, registry) {
                helper::store(&name, key, username, password)?;
                (json!({}), KeptIn::Helper(name))
            } else {
                let auth = BASE64.encode(format!("{username}:{password}"));
                (json!({ "auth": auth }), KeptIn::File(self.path.clone()))
            };
            let auths = object(config, "auths").ok_or_else(|| self.malformed())?;
            auths.retain(|known, _| known == key || host_of(known) != host_of(key));
            auths.insert(key.clone(), entry);
            Ok(kept)
        })
    }

    /// Forgets what is kept for `registry`; tells whether there was anything.
    pub fn remove(&self, registry: &str) -> Result<bool, RegistryError> {
        if !self.path.exists() {
            return Ok(false);
        }
        self.change(|config| {
            let keys = keys_of(registry);
            let erased = match helper_for(config, registry) {
                Some(name) => helper::erase(&name, &keys[0])?,
                None => false,
            };
            let auths = object(config, "auths").ok_or_else(|| self.malformed())?;
            let before = auths.len();
            auths.retain(|key, _| !keys.contains(key) && host_of(key) != registry);
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

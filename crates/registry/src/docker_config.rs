//! Credentials as `docker login` and `podman login` leave them: `config.json`, `auth.json`, and the
//! `docker-credential-*` programs that these name.
//!
//! ```json
//! {
//!   "auths": {
//!     "https://index.docker.io/v1/": { "auth": "base64 of user:password" },
//!     "quay.io/team/app": { "auth": "…" }
//!   },
//!   "credHelpers": { "gcr.io": "gcloud" },
//!   "credsStore": "secretservice"
//! }
//! ```
//!
//! A key of `auths` may be a repository or a beginning of its path, as in the files of podman, buildah and skopeo; the
//! longest that fits counts.

mod credential_file;
mod helper;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock, PoisonError};

use base64::Engine;
use base64::alphabet::STANDARD;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use crate::{Credential, Credentials, RegistryError};

pub use credential_file::{CredentialFile, KeptIn, LoginName, LoginSecret};

/// Docker Hub's key in `auths` and to credential helpers.
const DOCKER_HUB_KEY: &str = "https://index.docker.io/v1/";
/// base64 as Docker writes it, and as people write it by hand.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
);

/// Reads credentials from Docker's configuration files, each when it is first needed. A file that does not
/// exist holds none.
pub struct DockerConfig {
    text: Option<String>,
    paths: Vec<PathBuf>,
    files: OnceLock<Result<Vec<File>, String>>,
    told: Mutex<HashMap<(String, String), Option<Credential>>>,
}

#[derive(Default, Deserialize)]
struct File {
    #[serde(default)]
    auths: Option<HashMap<String, Option<Auth>>>,
    #[serde(default, rename = "credHelpers")]
    helpers: Option<HashMap<String, String>>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Auth {
    #[serde(rename = "auth")]
    encoded: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(rename = "identitytoken")]
    identity_token: Option<String>,
    #[serde(rename = "registrytoken")]
    registry_token: Option<String>,
}

impl DockerConfig {
    /// Credentials from the files at `paths`; the first that knows a registry wins.
    pub fn new(paths: impl IntoIterator<Item = PathBuf>) -> Self {
        Self {
            text: None,
            paths: paths.into_iter().collect(),
            files: OnceLock::new(),
            told: Mutex::default(),
        }
    }

    /// These, and before them those of `text`, which is what such a file would hold: how CI systems hand credentials
    /// over in `DOCKER_AUTH_CONFIG`.
    #[must_use]
    pub fn with_text(mut self, text: Option<String>) -> Self {
        self.text = text;
        self
    }

    fn files(&self) -> Result<&[File], RegistryError> {
        let given = self
            .text
            .as_ref()
            .map(|text| (text.as_bytes(), "DOCKER_AUTH_CONFIG"));
        let read = || {
            given
                .and_then(|(bytes, name)| parse(bytes, name))
                .into_iter()
                .chain(self.paths.iter().filter_map(|path| read(path)))
                .collect()
        };
        match self.files.get_or_init(read) {
            Ok(files) => Ok(files),
            Err(reason) => Err(RegistryError::Config {
                reason: reason.clone(),
            }),
        }
    }

    /// What a helper knows of `server`; it is asked once.
    fn ask(&self, helper: &str, server: &str) -> Result<Option<Credential>, RegistryError> {
        // Held while the helper runs: it may ask the user, and should do so once.
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let question = (helper.to_owned(), server.to_owned());
        if let Some(known) = told.get(&question) {
            return Ok(known.clone());
        }
        let credential = helper::get(helper, server)?;
        told.insert(question, credential.clone());
        Ok(credential)
    }
}

impl Credentials for DockerConfig {
    fn get(
        &self,
        registry: &str,
        repository: Option<&str>,
    ) -> Result<Option<Credential>, RegistryError> {
        for file in self.files()? {
            let found = match file.get(registry, repository)? {
                Kept::Here(credential) => credential,
                Kept::With { helper, server } => self.ask(helper, &server)?,
            };
            if found.is_some() {
                return Ok(found);
            }
        }
        Ok(None)
    }
}

/// Where a file says that a credential is.
enum Kept<'a> {
    Here(Option<Credential>),
    With { helper: &'a str, server: String },
}

/// `None` for a file that does not exist; otherwise the file, or what is wrong with it (its contents are
/// never quoted).
fn read(path: &Path) -> Option<Result<File, String>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return None,
        Err(error) => return Some(Err(format!("{}: {error}", path.display()))),
    };
    parse(&bytes, &path.display().to_string())
}

/// What the file called `name` holds; `None` for an empty one.
fn parse<T: for<'a> Deserialize<'a>>(bytes: &[u8], name: &str) -> Option<Result<T, String>> {
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return None;
    }
    Some(serde_json::from_slice(bytes).map_err(|error| {
        format!(
            "{name}: line {}, column {}: not the JSON of a Docker configuration",
            error.line(),
            error.column()
        )
    }))
}

impl File {
    fn get(&self, registry: &str, repository: Option<&str>) -> Result<Kept<'_>, RegistryError> {
        let keys = keys_of(registry);
        let helper = self.helpers.as_ref().and_then(|helpers| {
            keys.iter()
                .find_map(|key| helpers.get(key).map(|helper| (key, helper)))
        });
        if let Some((key, helper)) = helper {
            return Ok(Kept::With {
                helper,
                server: key.clone(),
            });
        }
        for auth in self.auths_of(registry, repository, &keys) {
            if let Some(credential) = auth.credential(registry)? {
                return Ok(Kept::Here(Some(credential)));
            }
        }
        Ok(match &self.store {
            Some(store) if !store.is_empty() => Kept::With {
                helper: store,
                server: keys[0].clone(),
            },
            _ => Kept::Here(None),
        })
    }

    /// The entries that fit, the closest first.
    fn auths_of(&self, registry: &str, repository: Option<&str>, keys: &[String]) -> Vec<&Auth> {
        let Some(auths) = self.auths.as_ref() else {
            return Vec::new();
        };
        let of_path = repository
            .into_iter()
            .flat_map(beginnings)
            .filter_map(|path| auths.get(&format!("{registry}/{path}")));
        let exact = keys.iter().find_map(|key| auths.get(key));
        // Keys of old are URLs; only their host counts.
        let by_host = || {
            let mut fitting = auths.iter().filter(|(key, _)| is_url_of(key, registry));
            fitting.next().map(|(_, auth)| auth)
        };
        let of_host = exact.or_else(by_host);
        of_path.chain(of_host).filter_map(Option::as_ref).collect()
    }
}

/// `a/b/c`, `a/b`, `a`.
fn beginnings(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path.rsplit_once('/').map(|(before, _)| before)
    })
}

/// Whether `key` is a URL of `registry`, as `https://index.docker.io/v1/`, perhaps without its scheme; a repository's path
/// is none.
fn is_url_of(key: &str, registry: &str) -> bool {
    let path = key.split_once('/').map_or("", |(_, path)| path);
    let is_url = key.contains("://") || matches!(path.trim_end_matches('/'), "" | "v1" | "v2");
    is_url && host_of(key) == registry
}

impl Auth {
    fn credential(&self, registry: &str) -> Result<Option<Credential>, RegistryError> {
        let given = |field: &Option<String>| field.clone().filter(|text| !text.is_empty());
        if let Some(token) = given(&self.registry_token) {
            return Ok(Some(Credential::RegistryToken(token)));
        }
        if let Some(token) = given(&self.identity_token) {
            return Ok(Some(Credential::IdentityToken(token)));
        }
        if let Some(encoded) = given(&self.encoded) {
            return decode(&encoded)
                .map(Some)
                .ok_or_else(|| RegistryError::Credentials {
                    registry: registry.to_owned(),
                    reason: "its \"auth\" field is not the base64 of user:password".to_owned(),
                });
        }
        Ok(given(&self.username).map(|username| Credential::Password {
            username,
            password: self.password.clone().unwrap_or_default(),
        }))
    }
}

fn decode(encoded: &str) -> Option<Credential> {
    let bytes = BASE64.decode(encoded.trim()).ok()?;
    let text = String::from_utf8(bytes).ok()?;
    let (username, password) = text.split_once(':')?;
    Some(Credential::Password {
        username: username.to_owned(),
        // Docker pads with zero bytes.
        password: password.trim_end_matches('\0').to_owned(),
    })
}

fn keys_of(registry: &str) -> Vec<String> {
    if registry == "docker.io" {
        return [
            DOCKER_HUB_KEY,
            "index.docker.io",
            "docker.io",
            "registry-1.docker.io",
        ]
        .map(str::to_owned)
        .to_vec();
    }
    vec![
        registry.to_owned(),
        format!("https://{registry}"),
        format!("http://{registry}"),
    ]
}

fn host_of(key: &str) -> &str {
    let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
    rest.split('/').next().unwrap_or(rest)
}

#[cfg(test)]
mod tests;

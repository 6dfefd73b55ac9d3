//! A host's folder in a `certs.d`, as Docker, podman and containerd have it.
//!
//! ```text
//! certs.d/registry.example.com:5000/
//!   ca.crt                     an authority to trust (every *.crt is)
//!   client.cert client.key     who we are
//!   hosts.toml                 containerd's: mirrors, authorities, clients, headers
//! ```
//!
//! The first `certs.d` with a `hosts.toml` for a host counts; certificates of all of them do.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::Spanned;
use url::Url;

use crate::{Keypair, RegistryError};

/// The folder for hosts that have none of their own.
const DEFAULT: &str = "_default";

/// What the folders of one host say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct HostFolder {
    /// The registry itself, if `hosts.toml` says something of it.
    pub(crate) server: Option<HostEntry>,
    /// Those that are asked before, in order.
    pub(crate) hosts: Vec<HostEntry>,
    pub(crate) certificates: Certificates,
}

/// Whom to trust, and who we are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Certificates {
    pub(crate) ca: Vec<PathBuf>,
    pub(crate) keypair: Option<Keypair>,
}

/// A host of `hosts.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostEntry {
    /// Host and port.
    pub(crate) host: String,
    /// Whether its URL says `http`.
    pub(crate) is_http: bool,
    /// The path before `/v2`: empty, or `/registry`.
    pub(crate) root: String,
    /// The path between `/v2` and a repository's name.
    pub(crate) path: String,
    /// Whether its certificate counts.
    pub(crate) insecure: bool,
    pub(crate) certificates: Certificates,
    /// Sent with every request.
    pub(crate) headers: Vec<(String, String)>,
    is_pulled_from: bool,
}

#[derive(Deserialize)]
struct Document {
    server: Option<String>,
    #[serde(default)]
    host: BTreeMap<String, Spanned<Fields>>,
    #[serde(flatten)]
    own: Fields,
}

#[derive(Deserialize)]
struct Fields {
    capabilities: Option<Vec<String>>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    ca: Option<OneOrMany>,
    client: Option<Clients>,
    #[serde(default)]
    header: BTreeMap<String, OneOrMany>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Clients {
    Together(String),
    Several(Vec<Client>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Client {
    Together(String),
    Pair((String, String)),
}

impl HostFolder {
    /// What the folders for `host` in `places` say.
    pub(crate) fn read(places: &[PathBuf], host: &str) -> Result<Self, RegistryError> {
        let mut all = Self::default();
        let mut is_told = false;
        for folder in folders(places, host) {
            all.certificates.add(Certificates::in_folder(&folder)?);
            let path = folder.join("hosts.toml");
            if is_told || !path.exists() {
                continue;
            }
            is_told = true;
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            (all.server, all.hosts) =
                parse(&text, &folder, host).map_err(|reason| failed(&path, reason.trim_end()))?;
        }
        Ok(all)
    }
}

/// The folders of `host` that exist; those for all others where there are none.
fn folders(places: &[PathBuf], host: &str) -> Vec<PathBuf> {
    let existing = |names: &[String]| -> Vec<PathBuf> {
        let all = places
            .iter()
            .flat_map(|place| names.iter().map(move |name| place.join(name)));
        all.filter(|folder| folder.is_dir()).collect()
    };
    let mut names = vec![host.to_owned()];
    if let Some((name, port)) = host.rsplit_once(':') {
        // For file systems that know no colons.
        names.push(format!("{name}_{port}_"));
    }
    let own = existing(&names);
    if own.is_empty() {
        existing(&[DEFAULT.to_owned()])
    } else {
        own
    }
}

impl Certificates {
    fn in_folder(folder: &Path) -> Result<Self, RegistryError> {
        let entries = match std::fs::read_dir(folder) {
            Ok(entries) => entries,
            // What is hidden from us is not for us.
            Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                return Ok(Self::default());
            }
            Err(error) => return Err(failed(folder, error)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|error| failed(folder, error))?.path());
        }
        paths.sort();
        let ends = |path: &&PathBuf, end: &str| path.extension().is_some_and(|found| found == end);
        let cert = paths.iter().find(|path| ends(path, "cert"));
        let keypair = match cert {
            None => None,
            Some(cert) => {
                let key = cert.with_extension("key");
                if !key.exists() {
                    return Err(failed(
                        cert,
                        format!("its key {} is missing", key.display()),
                    ));
                }
                let cert = cert.clone();
                Some(Keypair { cert, key })
            }
        };
        let ca = paths.iter().filter(|path| ends(path, "crt")).cloned();
        Ok(Self {
            ca: ca.collect(),
            keypair,
        })
    }

    /// Adds what is known besides; who we are, only if that is not known yet.
    pub(crate) fn add(&mut self, others: Self) {
        self.ca.extend(others.ca);
        if self.keypair.is_none() {
            self.keypair = others.keypair;
        }
    }
}

/// The registry itself, and those before it.
fn parse(
    text: &str,
    folder: &Path,
    host: &str,
) -> Result<(Option<HostEntry>, Vec<HostEntry>), String> {
    let document: Document = toml::from_str(text).map_err(|error| error.to_string())?;
    let mut server = None;
    if let Some(url) = &document.server {
        server = Some(HostEntry::new(url, &document.own, folder)?);
    }
    let mut listed: Vec<_> = document.host.iter().collect();
    listed.sort_by_key(|(_, fields)| fields.span().start);
    let mut hosts = Vec::new();
    for (url, fields) in listed {
        let entry = HostEntry::new(url, fields.get_ref(), folder)?;
        let own = server.as_ref().map_or(host, |server| &server.host);
        if entry.host == own {
            // The registry's own settings are most often told so.
            server = Some(entry);
        } else if entry.is_pulled_from {
            hosts.push(entry);
        }
    }
    Ok((server, hosts))
}

impl HostEntry {
    fn new(url: &str, fields: &Fields, folder: &Path) -> Result<Self, String> {
        let full = if url.contains("://") {
            url.to_owned()
        } else {
            format!("https://{url}")
        };
        let parsed = Url::parse(&full).map_err(|error| format!("the host {url:?}: {error}"))?;
        let host = match (parsed.host_str(), parsed.port()) {
            (Some(host), Some(port)) => format!("{host}:{port}"),
            (Some(host), None) => host.to_owned(),
            (None, _) => return Err(format!("the host {url:?} has no name")),
        };
        let path = parsed.path().trim_matches('/');
        let (root, path) = if fields.override_path {
            path.split_once("v2/")
                .or_else(|| path.strip_suffix("v2").map(|root| (root, "")))
                .ok_or_else(|| {
                    format!("the host {url:?}: with override_path its path needs a /v2")
                })?
        } else {
            (path.strip_suffix("v2").unwrap_or(path), "")
        };
        let root = root.trim_matches('/');
        let at = |name: &String| folder.join(name);
        let ca = fields.ca.iter().flat_map(OneOrMany::all).map(at).collect();
        let keypair = fields
            .client
            .as_ref()
            .and_then(|client| client.first(folder));
        let has = |capability: &str| {
            let given = fields.capabilities.as_ref();
            given.is_none_or(|all| all.iter().any(|one| one == capability))
        };
        let headers = fields.header.iter();
        let headers = headers.flat_map(|(name, values)| {
            let all = values.all().iter();
            all.map(move |value| (name.clone(), value.clone()))
        });
        Ok(Self {
            host,
            is_http: parsed.scheme() == "http",
            root: if root.is_empty() {
                String::new()
            } else {
                format!("/{root}")
            },
            path: path.to_owned(),
            insecure: fields.skip_verify,
            certificates: Certificates { ca, keypair },
            headers: headers.collect(),
            is_pulled_from: has("pull") && has("resolve"),
        })
    }
}

impl OneOrMany {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

impl Clients {
    fn first(&self, folder: &Path) -> Option<Keypair> {
        let (cert, key) = match self {
            Self::Together(file) => (file, file),
            Self::Several(all) => match all.first()? {
                Client::Together(file) => (file, file),
                Client::Pair((cert, key)) => (cert, key),
            },
        };
        Some(Keypair {
            cert: folder.join(cert),
            key: folder.join(key),
        })
    }
}

fn failed(path: &Path, reason: impl std::fmt::Display) -> RegistryError {
    RegistryError::Config {
        reason: format!("{}: {reason}", path.display()),
    }
}

#[cfg(test)]
#[path = "host_folder_tests.rs"]
mod tests;

//! From the configuration to the hosts where a name is asked for.
//!
//! ```text
//! our table's mirrors, else those of hosts.toml, else those of registries.conf     each with its own settings
//! where registries.conf says that the name is, else the registry itself
//! the registry itself, which is also where pushes go
//! ```
//!
//! Of what is said of one host our table counts most, then `hosts.toml`, then `registries.conf`; certificates add up.

use rbuild_image::Reference;

use crate::config::{HostConfig, RegistryConfig};
use crate::containers_conf::{Access, PrefixMirror, PrefixRule, Serves};
use crate::host_folder::{Certificates, HostEntry, HostFolder};
use crate::{Keypair, RegistryError};

/// The name of Docker Hub, and the registry behind it.
const DOCKER_HUB: &str = "docker.io";
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// The namespace of Docker Hub's official images.
const LIBRARY: &str = "library/";

/// A host as the configuration tells it.
#[derive(Debug, Clone)]
pub(crate) struct Site {
    /// Whose credentials it gets: `docker.io`, or the mirror's own.
    pub(crate) registry: String,
    /// Host and port.
    pub(crate) host: String,
    /// The path before `/v2`: empty, or `/registry`.
    pub(crate) root: String,
    /// How repositories are called there.
    rewriting: Rewriting,
    names: Names,
    /// The registry that a mirror is asked for.
    pub(crate) namespace: Option<String>,
    serves: Serves,
    pub(crate) standing: Standing,
    /// `true`: plain HTTP; `false`: HTTPS.
    pub(crate) http: Option<bool>,
    pub(crate) verification: Option<Verification>,
    pub(crate) certificates: Certificates,
    /// Sent with every request.
    pub(crate) headers: Vec<(String, String)>,
    /// Why nothing is asked there.
    pub(crate) refusal: Option<String>,
}

/// Whether a server must prove who it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Verification {
    Required,
    Off,
}

/// Who is asked if a host does not answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// The next mirror, or the registry.
    Mirror,
    /// Nobody.
    Registry,
}

/// How Docker Hub's official images are called at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// `library/busybox`, as at Docker Hub.
    Complete,
    /// `busybox`: a registry of one's own that was filled by hand.
    WithoutLibrary,
}

/// `from/rest` is `to/rest`.
#[derive(Debug, Clone, Default)]
struct Rewriting {
    from: String,
    to: String,
}

/// Where `registry`'s contents are asked for, the registry itself last. `rule` is what `registries.conf` says of the name.
pub(crate) fn sites_of(
    config: &RegistryConfig,
    registry: &str,
    rule: Option<&PrefixRule>,
) -> Vec<Site> {
    sites(config, registry, rule).unwrap_or_else(|error| {
        let mut site = Site::named(registry);
        site.refusal = Some(match error {
            RegistryError::Config { reason } => reason,
            other => other.to_string(),
        });
        vec![site]
    })
}

fn sites(
    config: &RegistryConfig,
    registry: &str,
    rule: Option<&PrefixRule>,
) -> Result<Vec<Site>, RegistryError> {
    if let Some(reason) = &config.unusable {
        return Err(RegistryError::Config {
            reason: reason.clone(),
        });
    }
    if rule.is_some_and(|rule| rule.access == Access::Blocked) {
        let mut site = Site::named(registry);
        site.refusal = Some(format!(
            "registries.conf blocks names of {registry} like this"
        ));
        return Ok(vec![site]);
    }
    let folder = HostFolder::read(&config.host_folders, registry)?;
    let mut own = Site::named(registry).reached(&config.host(registry), &folder);
    if let Some(rule) = rule {
        own.trusts_anyone_if(rule.insecure);
    }
    let mut all = mirrors(config, registry, &folder, rule)?;
    if let Some(rule) = rule
        && let Some(location) = &rule.location
    {
        let mut there = Site::located(config, location, rule)?;
        there.trusts_anyone_if(rule.insecure);
        all.push(there);
        own.serves = Serves::Pushes;
    }
    all.push(own);
    Ok(all)
}

fn mirrors(
    config: &RegistryConfig,
    registry: &str,
    folder: &HostFolder,
    rule: Option<&PrefixRule>,
) -> Result<Vec<Site>, RegistryError> {
    let table = config.host(registry);
    let mut all = Vec::new();
    for mirror in &table.mirrors {
        all.push(Site::mirror(config, mirror, registry)?);
    }
    if all.is_empty() {
        for entry in &folder.hosts {
            all.push(Site::listed(config, entry, registry)?);
        }
    }
    if registry == DOCKER_HUB {
        let names = Names::WithoutLibrary;
        let again: Vec<_> = all
            .iter()
            .map(|site| Site {
                names,
                ..site.clone()
            })
            .collect();
        all.extend(again);
    }
    if let (true, Some(rule)) = (all.is_empty(), rule) {
        for mirror in &rule.mirrors {
            all.push(Site::of_rule(config, mirror, rule)?);
        }
    }
    for site in &mut all {
        site.standing = Standing::Mirror;
    }
    Ok(all)
}

impl Site {
    /// The registry that a name begins with.
    fn named(registry: &str) -> Self {
        Self {
            registry: registry.to_owned(),
            host: match registry {
                DOCKER_HUB => DOCKER_HUB_HOST,
                other => other,
            }
            .to_owned(),
            root: String::new(),
            rewriting: Rewriting::default(),
            names: Names::Complete,
            namespace: None,
            serves: Serves::Pulls,
            standing: Standing::Registry,
            http: None,
            verification: None,
            certificates: Certificates::default(),
            headers: Vec::new(),
            refusal: None,
        }
    }

    /// A host of a mirror's, with what is known of it wherever it is named.
    fn known(config: &RegistryConfig, host: &str) -> Result<Self, RegistryError> {
        let mut folder = HostFolder::read(&config.host_folders, host)?;
        // Where a mirror is, is said by who names it.
        if let Some(server) = &folder.server
            && server.host != host
        {
            folder.server = None;
        }
        Ok(Self::named(host).reached(&config.host(host), &folder))
    }

    /// `[http[s]://]host[:port][/path]`
    fn mirror(config: &RegistryConfig, mirror: &str, of: &str) -> Result<Self, RegistryError> {
        let (http, rest) = match mirror.split_once("://") {
            Some(("http", rest)) => (Some(true), rest),
            Some(("https", rest)) => (Some(false), rest),
            _ => (None, mirror),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let mut site = Self::known(config, host)?;
        site.http = http.or(site.http);
        let path = path.strip_prefix("v2/").unwrap_or(path);
        path.clone_into(&mut site.rewriting.to);
        site.namespace = Some(of.to_owned());
        Ok(site)
    }

    /// A host of `hosts.toml`.
    fn listed(config: &RegistryConfig, entry: &HostEntry, of: &str) -> Result<Self, RegistryError> {
        let mut site = Self::known(config, &entry.host)?;
        site.settle(entry);
        site.namespace = Some(of.to_owned());
        Ok(site)
    }

    /// A mirror of `registries.conf`.
    fn of_rule(
        config: &RegistryConfig,
        mirror: &PrefixMirror,
        rule: &PrefixRule,
    ) -> Result<Self, RegistryError> {
        let mut site = Self::located(config, &mirror.location, rule)?;
        site.trusts_anyone_if(mirror.insecure);
        site.serves = mirror.serves;
        Ok(site)
    }

    /// `host[:port][/path]`, which takes the place of the rule's prefix.
    fn located(
        config: &RegistryConfig,
        location: &str,
        rule: &PrefixRule,
    ) -> Result<Self, RegistryError> {
        let (host, path) = location.split_once('/').unwrap_or((location, ""));
        let mut site = Self::known(config, host)?;
        site.rewriting = Rewriting {
            from: rule.path().to_owned(),
            to: path.to_owned(),
        };
        Ok(site)
    }

    /// With what its table and its folder say.
    fn reached(mut self, table: &HostConfig, folder: &HostFolder) -> Self {
        if let Some(entry) = &folder.server {
            self.settle(entry);
        }
        self.http = table.http.or(self.http);
        let insecure = table.insecure.map(Verification::off_if);
        self.verification = insecure.or(self.verification);
        let of_folders = std::mem::take(&mut self.certificates);
        self.certificates = Certificates {
            ca: table.ca.clone(),
            keypair: table.keypair.first().cloned(),
        };
        self.certificates.add(of_folders);
        self.certificates.add(folder.certificates.clone());
        self
    }

    /// As `hosts.toml` says.
    fn settle(&mut self, entry: &HostEntry) {
        self.host.clone_from(&entry.host);
        self.root.clone_from(&entry.root);
        self.rewriting.to.clone_from(&entry.path);
        self.headers.clone_from(&entry.headers);
        self.http = self.http.or(Some(entry.is_http));
        if entry.insecure {
            self.verification = self.verification.or(Some(Verification::Off));
        }
        self.certificates.add(entry.certificates.clone());
    }

    /// Takes whoever answers for the registry, unless something else is said of it.
    pub(crate) fn trusts_anyone_if(&mut self, insecure: bool) {
        if insecure {
            self.verification = self.verification.or(Some(Verification::Off));
        }
    }

    pub(crate) fn keypair(&self) -> Option<&Keypair> {
        self.certificates.keypair.as_ref()
    }

    /// What stands here of a path that begins with a repository's name.
    pub(crate) fn path(&self, path: &str) -> String {
        let path = match self.names {
            Names::Complete => path,
            Names::WithoutLibrary => path.strip_prefix(LIBRARY).unwrap_or(path),
        };
        let rest = path.strip_prefix(&self.rewriting.from).unwrap_or(path);
        let rest = rest.strip_prefix('/').unwrap_or(rest);
        match self.rewriting.to.as_str() {
            "" => rest.to_owned(),
            to => format!("{to}/{rest}").trim_end_matches('/').to_owned(),
        }
    }

    /// Whether this is a mirror that was asked under the complete name before.
    pub(crate) fn is_second_name(&self) -> bool {
        self.names == Names::WithoutLibrary
    }

    /// Whether images are asked for here by such a name.
    pub(crate) fn serves(&self, reference: &Reference) -> bool {
        let is_called_so =
            self.names == Names::Complete || reference.repository().starts_with(LIBRARY);
        let is_asked = match self.serves {
            Serves::Pulls => true,
            Serves::PullsByDigest => reference.digest().is_some(),
            Serves::PullsByTag => reference.digest().is_none(),
            Serves::Pushes => false,
        };
        is_called_so && is_asked
    }
}

impl Verification {
    fn off_if(insecure: bool) -> Self {
        if insecure { Self::Off } else { Self::Required }
    }
}

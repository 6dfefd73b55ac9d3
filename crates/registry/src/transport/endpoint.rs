//! A host that is asked for a registry's contents: the registry's own, or a mirror.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rbuild_web::is_loopback;
use ureq::Agent;
use url::Url;

use super::agent::{Agents, Route, Trust, Verification};
use super::challenge::Challenge;
use super::token::TokenSlot;
use crate::config::RegistryConfig;
use crate::{Attempt, RegistryError};

/// The registry behind `docker.io`.
const DOCKER_HUB_HOST: &str = "registry-1.docker.io";

/// How long a server may think about a greeting in TLS: one that waits for a line of HTTP never answers.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);

/// Which protocols may be spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Http,
    Https,
    /// HTTPS, and HTTP where that is not spoken.
    Either,
}

/// The protocol that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// How Docker Hub's official images are called at a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Names {
    /// `library/busybox`, as at Docker Hub.
    Complete,
    /// `busybox`: a registry of one's own that was filled by hand.
    WithoutLibrary,
}

/// The namespace of Docker Hub's official images.
const LIBRARY: &str = "library/";

/// One host, and all that was learnt about it.
pub(crate) struct Endpoint {
    /// Whose credentials it gets: `docker.io`, or the mirror's own.
    pub(crate) registry: String,
    /// Host and port.
    pub(crate) host: String,
    /// A path before the repository: empty, or `/cache`.
    prefix: String,
    /// The registry that a mirror is asked for.
    namespace: Option<String>,
    names: Names,
    wire: Wire,
    trust: Trust,
    scheme: OnceLock<Scheme>,
    probing: Mutex<()>,
    pub(super) challenge: Mutex<Option<Challenge>>,
    pub(super) tokens: Mutex<HashMap<Vec<super::Scope>, Arc<TokenSlot>>>,
    quiet_until: Mutex<Option<Instant>>,
    down: AtomicBool,
}

/// The endpoints to pull `registry`'s contents from: its mirrors, then itself, which is also where pushes go.
pub(crate) fn endpoints_of(config: &RegistryConfig, registry: &str) -> Vec<Arc<Endpoint>> {
    let mirrors = config.host(registry).mirrors;
    let mirror = |names| {
        mirrors
            .iter()
            .map(move |mirror| Arc::new(Endpoint::mirror(config, mirror, registry, names)))
    };
    let mut all: Vec<Arc<Endpoint>> = mirror(Names::Complete).collect();
    if registry == "docker.io" {
        all.extend(mirror(Names::WithoutLibrary));
    }
    let host = match registry {
        "docker.io" => DOCKER_HUB_HOST,
        other => other,
    };
    all.push(Arc::new(Endpoint::new(config, registry, host, "", None)));
    all
}

impl Endpoint {
    /// `[http[s]://]host[:port][/path]`.
    fn mirror(config: &RegistryConfig, mirror: &str, of: &str, names: Names) -> Self {
        let (wire, rest) = match mirror.split_once("://") {
            Some(("http", rest)) => (Some(Wire::Http), rest),
            Some(("https", rest)) => (Some(Wire::Https), rest),
            _ => (None, mirror),
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_matches('/');
        let path = path.strip_prefix("v2/").unwrap_or(path);
        let mut endpoint = Self::new(config, host, host, path, Some(of.to_owned()));
        endpoint.wire = wire.unwrap_or(endpoint.wire);
        endpoint.names = names;
        endpoint
    }

    fn new(
        config: &RegistryConfig,
        registry: &str,
        host: &str,
        path: &str,
        namespace: Option<String>,
    ) -> Self {
        let table = config.host(registry);
        let insecure = table.insecure.unwrap_or(false);
        let wire = match table.http {
            Some(true) => Wire::Http,
            None if insecure || is_loopback(host) => Wire::Either,
            Some(false) | None => Wire::Https,
        };
        Self {
            registry: registry.to_owned(),
            host: host.to_owned(),
            prefix: match path {
                "" => String::new(),
                path => format!("/{path}"),
            },
            namespace,
            names: Names::Complete,
            wire,
            trust: Trust {
                roots: table.ca.clone(),
                keypair: table.keypair.first().map(Trust::keypair),
                verification: if insecure {
                    Verification::Off
                } else {
                    Verification::Required
                },
            },
            scheme: OnceLock::new(),
            probing: Mutex::default(),
            challenge: Mutex::default(),
            tokens: Mutex::default(),
            quiet_until: Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    /// Whether this is a mirror that was asked under the complete name before.
    pub(crate) fn is_second_name(&self) -> bool {
        self.names == Names::WithoutLibrary
    }

    /// Whether this host may have `repository` under another name than those before it.
    pub(crate) fn may_have(&self, repository: &str) -> bool {
        self.names == Names::Complete || repository.starts_with(LIBRARY)
    }

    /// `scheme://host/v2/<prefix>/<path>`, with `?ns=` for a mirror. The first call finds out which protocol is
    /// spoken.
    pub(crate) fn url(&self, agents: &Agents, path: &str) -> Result<Url, RegistryError> {
        let scheme = match self.scheme(agents)? {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let path = match self.names {
            Names::Complete => path,
            Names::WithoutLibrary => path.strip_prefix(LIBRARY).unwrap_or(path),
        };
        let text = format!("{scheme}://{}/v2{}/{path}", self.host, self.prefix);
        let mut url = Url::parse(&text).map_err(|error| RegistryError::Config {
            reason: format!("the host {:?}: {error}", self.host),
        })?;
        if let Some(namespace) = &self.namespace {
            url.query_pairs_mut().append_pair("ns", namespace);
        }
        Ok(url)
    }

    fn scheme(&self, agents: &Agents) -> Result<Scheme, RegistryError> {
        if let Some(known) = self.scheme.get() {
            return Ok(*known);
        }
        let _one_at_a_time = self.probing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = self.scheme.get() {
            return Ok(*known);
        }
        let scheme = match self.wire {
            Wire::Http => Scheme::Http,
            Wire::Https => Scheme::Https,
            Wire::Either => self.probe(agents)?,
        };
        Ok(*self.scheme.get_or_init(|| scheme))
    }

    /// Asks in HTTPS. A server that speaks it answers anything; a certificate that is not trusted is no
    /// reason to fall back.
    fn probe(&self, agents: &Agents) -> Result<Scheme, RegistryError> {
        let agent = agents.https(&self.trust, route_to(&self.host))?;
        let url = format!("https://{}/v2/", self.host);
        let request = agent.head(url).config();
        let request = request.timeout_global(Some(PROBE_TIMEOUT)).build();
        let Err(error) = request.call() else {
            return Ok(Scheme::Https);
        };
        let attempt = Attempt {
            action: "speak to",
            subject: "the registry".to_owned(),
            host: self.host.clone(),
            registry: self.registry.clone(),
        };
        match RegistryError::unreachable(&attempt, error) {
            error @ RegistryError::Unreachable {
                fault: crate::Fault::Certificate | crate::Fault::UnknownHost,
                ..
            } => Err(error),
            _ => Ok(Scheme::Http),
        }
    }

    /// The agent for `url`, to which a request to this endpoint leads.
    pub(super) fn agent(&self, agents: &Agents, url: &Url) -> Result<Agent, RegistryError> {
        let host = url.host_str().unwrap_or_default();
        let route = route_to(host);
        match url.scheme() {
            "http" => agents.http(route),
            _ if self.is_origin(url) => agents.https(&self.trust, route),
            _ => agents.https(&self.trust.without_identity(), route),
        }
    }

    /// Whether `url` is on this very host and port.
    pub(super) fn is_origin(&self, url: &Url) -> bool {
        let own = Url::parse(&format!("{}://{}/", url.scheme(), self.host));
        let scheme_fits = self.scheme.get().is_none_or(|scheme| match scheme {
            Scheme::Http => url.scheme() == "http",
            Scheme::Https => url.scheme() == "https",
        });
        scheme_fits && own.is_ok_and(|own| own.origin() == url.origin())
    }

    /// Whether plain HTTP is acceptable on the way.
    pub(super) fn allows_http(&self) -> bool {
        self.wire != Wire::Https
    }

    /// Keeps all requests to this host back for `time`.
    pub(super) fn keep_quiet(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut quiet = self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *quiet = Some(quiet.map_or(until, |known| known.max(until)));
    }

    /// How long requests are to be kept back.
    pub(super) fn quiet_time(&self) -> Option<Duration> {
        let until = (*self
            .quiet_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner))?;
        until
            .checked_duration_since(Instant::now())
            .filter(|left| !left.is_zero())
    }

    /// Remembers that nobody answers, so that others are asked first.
    pub(crate) fn set_down(&self) {
        self.down.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down.load(Ordering::Relaxed)
    }
}

fn route_to(host: &str) -> Route {
    if is_loopback(host) {
        Route::Direct
    } else {
        Route::AsConfigured
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> RegistryConfig {
        RegistryConfig::from_toml(text).expect("a configuration")
    }

    fn urls(config: &RegistryConfig, registry: &str, repository: &str) -> Vec<String> {
        let agents = Agents::new(crate::ClientOptions::default());
        endpoints_of(config, registry)
            .iter()
            .filter(|endpoint| endpoint.may_have(repository))
            .map(|endpoint| {
                endpoint
                    .url(&agents, &format!("{repository}/manifests/b"))
                    .expect("a URL")
                    .into()
            })
            .collect()
    }

    #[test]
    fn docker_hub_and_its_mirrors_are_asked_in_order() {
        let config = config(
            r#"
            [registry."docker.io"]
            mirrors = ["m.example.com:5000", "https://p.example.com/hub/"]
            [registry."m.example.com:5000"]
            http = true
            "#,
        );
        assert_eq!(
            urls(&config, "docker.io", "me/a"),
            [
                "http://m.example.com:5000/v2/me/a/manifests/b?ns=docker.io",
                "https://p.example.com/v2/hub/me/a/manifests/b?ns=docker.io",
                "https://registry-1.docker.io/v2/me/a/manifests/b",
            ]
        );
        // An official image may be at a mirror without `library/`; Docker Hub itself is asked under its name.
        assert_eq!(
            urls(&config, "docker.io", "library/a"),
            [
                "http://m.example.com:5000/v2/library/a/manifests/b?ns=docker.io",
                "https://p.example.com/v2/hub/library/a/manifests/b?ns=docker.io",
                "http://m.example.com:5000/v2/a/manifests/b?ns=docker.io",
                "https://p.example.com/v2/hub/a/manifests/b?ns=docker.io",
                "https://registry-1.docker.io/v2/library/a/manifests/b",
            ]
        );
        assert_eq!(
            urls(&config, "ghcr.io", "a"),
            ["https://ghcr.io/v2/a/manifests/b"]
        );
    }

    #[test]
    fn credentials_belong_to_one_host_and_port() {
        let endpoint = &endpoints_of(&config("[registry.\"a.io\"]\nhttp = false"), "a.io")[0];
        let agents = Agents::new(crate::ClientOptions::default());
        endpoint.url(&agents, "").expect("a URL");
        let is_origin = |url: &str| endpoint.is_origin(&Url::parse(url).expect("a URL"));
        assert!(is_origin("https://a.io/v2/x"));
        assert!(is_origin("https://a.io:443/v2/x"));
        assert!(!is_origin("http://a.io/v2/x"));
        assert!(!is_origin("https://a.io:444/v2/x"));
        assert!(!is_origin("https://b.a.io/v2/x"));
    }
}

//! A host that is asked for a registry's contents: the registry's own, or a mirror.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rbuild_web::is_loopback;
use ureq::Agent;
use url::Url;

use super::agent::{Agents, Route, Trust};
use super::challenge::Challenge;
use super::site::{Site, Verification};
use super::token::TokenSlot;
use crate::{Attempt, RegistryError};

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

/// One host, and all that was learnt about it.
pub(crate) struct Endpoint {
    /// Whose credentials it gets: `docker.io`, or the mirror's own.
    pub(crate) registry: String,
    /// Host and port.
    pub(crate) host: String,
    site: Site,
    wire: Wire,
    trust: Trust,
    scheme: OnceLock<Scheme>,
    probing: Mutex<()>,
    pub(super) challenge: Mutex<Option<Challenge>>,
    pub(super) tokens: Mutex<HashMap<Vec<super::Scope>, Arc<TokenSlot>>>,
    quiet_until: Mutex<Option<Instant>>,
    down: AtomicBool,
}

impl Endpoint {
    /// The host at `site`, of which nothing is known yet.
    pub(crate) fn new(site: Site) -> Self {
        let verification = site.verification.unwrap_or(Verification::Required);
        let is_lenient = verification == Verification::Off || is_loopback(&site.host);
        let wire = match site.http {
            Some(true) => Wire::Http,
            None if is_lenient => Wire::Either,
            Some(false) | None => Wire::Https,
        };
        Self {
            registry: site.registry.clone(),
            host: site.host.clone(),
            wire,
            trust: Trust {
                roots: site.certificates.ca.clone(),
                keypair: site.keypair().map(Trust::keypair),
                verification,
            },
            site,
            scheme: OnceLock::new(),
            probing: Mutex::default(),
            challenge: Mutex::default(),
            tokens: Mutex::default(),
            quiet_until: Mutex::default(),
            down: AtomicBool::new(false),
        }
    }

    /// What is configured of it.
    pub(crate) fn site(&self) -> &Site {
        &self.site
    }

    /// A token's scope for pulling from `repository`, as that is called here.
    pub(crate) fn pull_scope(&self, repository: &str) -> super::Scope {
        super::Scope::pull(&self.site.path(repository))
    }

    /// `scheme://host/v2/<path>`, with `?ns=` for a mirror. The first call finds out which protocol is
    /// spoken.
    pub(crate) fn url(&self, agents: &Agents, path: &str) -> Result<Url, RegistryError> {
        if let Some(reason) = &self.site.refusal {
            return Err(RegistryError::Config {
                reason: reason.clone(),
            });
        }
        let scheme = match self.scheme(agents)? {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        let (root, path) = (&self.site.root, self.site.path(path));
        let text = format!("{scheme}://{}{root}/v2/{path}", self.host);
        let mut url = Url::parse(&text).map_err(|error| RegistryError::Config {
            reason: format!("the host {:?}: {error}", self.host),
        })?;
        if let Some(namespace) = &self.site.namespace {
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
        let url = format!("https://{}{}/v2/", self.host, self.site.root);
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
    use rbuild_image::Reference;

    use super::*;
    use crate::transport::site::sites_of;
    use crate::{ContainersRegistries, RegistryConfig};

    fn config(text: &str) -> RegistryConfig {
        RegistryConfig::from_toml(text).expect("a configuration")
    }

    fn endpoints(config: &RegistryConfig, name: &str) -> Vec<Endpoint> {
        let name: Reference = name.parse().expect("a name");
        let rules = &config.containers;
        let rule = rules.position(name.registry(), Some(name.repository()));
        sites_of(config, name.registry(), rule.map(|at| rules.rule(at)))
            .into_iter()
            .filter(|site| site.serves(&name))
            .map(Endpoint::new)
            .collect()
    }

    fn urls(config: &RegistryConfig, name: &str) -> Vec<String> {
        let agents = Agents::new(crate::ClientOptions::default());
        let repository = name.parse::<Reference>().expect("a name");
        let repository = repository.repository();
        endpoints(config, name)
            .iter()
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
            urls(&config, "me/a"),
            [
                "http://m.example.com:5000/v2/me/a/manifests/b?ns=docker.io",
                "https://p.example.com/v2/hub/me/a/manifests/b?ns=docker.io",
                "https://registry-1.docker.io/v2/me/a/manifests/b",
            ]
        );
        // An official image may be at a mirror without `library/`; Docker Hub itself is asked under its name.
        assert_eq!(
            urls(&config, "a"),
            [
                "http://m.example.com:5000/v2/library/a/manifests/b?ns=docker.io",
                "https://p.example.com/v2/hub/library/a/manifests/b?ns=docker.io",
                "http://m.example.com:5000/v2/a/manifests/b?ns=docker.io",
                "https://p.example.com/v2/hub/a/manifests/b?ns=docker.io",
                "https://registry-1.docker.io/v2/library/a/manifests/b",
            ]
        );
        assert_eq!(
            urls(&config, "ghcr.io/a"),
            ["https://ghcr.io/v2/a/manifests/b"]
        );
    }

    #[test]
    fn credentials_belong_to_one_host_and_port() {
        let endpoint = &endpoints(&config("[registry.\"a.io\"]\nhttp = false"), "a.io/a")[0];
        let agents = Agents::new(crate::ClientOptions::default());
        endpoint.url(&agents, "").expect("a URL");
        let is_origin = |url: &str| endpoint.is_origin(&Url::parse(url).expect("a URL"));
        assert!(is_origin("https://a.io/v2/x"));
        assert!(is_origin("https://a.io:443/v2/x"));
        assert!(!is_origin("http://a.io/v2/x"));
        assert!(!is_origin("https://a.io:444/v2/x"));
        assert!(!is_origin("https://b.a.io/v2/x"));
    }

    #[test]
    fn prefixes_of_registries_conf_take_names_elsewhere() {
        let text = r#"
            [[registry]]
            prefix = "docker.io/library"
            location = "internal.example.com/hub"
            [[registry.mirror]]
            location = "127.0.0.1:5000/m"
            [[registry.mirror]]
            location = "exact.example.com"
            pull-from-mirror = "digest-only"
            [[registry]]
            prefix = "ghcr.io/me/app"
            location = "docker.io/me/other"
            [[registry]]
            location = "bad.example.com"
            blocked = true
            "#;
        let mut config = config("[registry.\"127.0.0.1:5000\"]\nhttp = true");
        config.containers = ContainersRegistries::from_toml(text).expect("a configuration");
        assert_eq!(
            urls(&config, "busybox"),
            [
                "http://127.0.0.1:5000/v2/m/busybox/manifests/b",
                "https://internal.example.com/v2/hub/busybox/manifests/b",
            ]
        );
        let digest = format!("busybox@sha256:{}", "0".repeat(64));
        assert_eq!(
            urls(&config, &digest)[1],
            "https://exact.example.com/v2/busybox/manifests/b"
        );
        assert_eq!(
            urls(&config, "ghcr.io/me/app"),
            ["https://registry-1.docker.io/v2/me/other/manifests/b"]
        );
        // What is sent goes where its name says.
        let sites = |name: &str| {
            let rule = config.containers.position(name, Some("me/app"));
            sites_of(&config, name, rule.map(|at| config.containers.rule(at)))
        };
        assert_eq!(sites("ghcr.io").pop().expect("itself").host, "ghcr.io");
        let blocked = &endpoints(&config, "bad.example.com/a")[0];
        let agents = Agents::new(crate::ClientOptions::default());
        let error = blocked.url(&agents, "a").expect_err("blocked").to_string();
        assert!(error.contains("registries.conf blocks"), "{error}");
    }
}

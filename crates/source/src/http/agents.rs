//! Who makes connections: one agent for plain addresses and one for encrypted ones, since each may have a proxy of its own.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::SourceError;

/// How long a connection may take, and how long the headers after it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often an answer may send us on.
const MAX_REDIRECTS: u32 = 10;

/// How a client reaches the web.
#[derive(Debug, Clone, Default)]
pub struct HttpOptions {
    /// The name that it gives.
    pub user_agent: String,
    /// The proxy for `http`.
    pub http_proxy: Option<String>,
    /// The proxy for `https`.
    pub https_proxy: Option<String>,
    /// Hosts that are reached directly, separated by commas.
    pub no_proxy: Option<String>,
    /// PEM files of authorities that are trusted besides the public ones.
    pub root_certificates: Vec<PathBuf>,
}

/// The agents, made when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    options: HttpOptions,
    plain: OnceLock<Agent>,
    encrypted: OnceLock<Agent>,
}

impl Agents {
    pub(crate) fn new(options: HttpOptions) -> Self {
        Self {
            options,
            ..Self::default()
        }
    }

    /// The agent for the address.
    pub(crate) fn for_url(&self, url: &str) -> Result<&Agent, SourceError> {
        let is_encrypted = url
            .get(..6)
            .is_some_and(|start| start.eq_ignore_ascii_case("https:"));
        let (slot, proxy) = if is_encrypted {
            (&self.encrypted, &self.options.https_proxy)
        } else {
            (&self.plain, &self.options.http_proxy)
        };
        if let Some(agent) = slot.get() {
            return Ok(agent);
        }
        let agent = self.agent(proxy.as_deref())?;
        Ok(slot.get_or_init(|| agent))
    }

    fn agent(&self, proxy: Option<&str>) -> Result<Agent, SourceError> {
        let mut config = Agent::config_builder()
            .user_agent(self.options.user_agent.as_str())
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .proxy(self.proxy(proxy)?);
        if let Some(roots) = self.roots()? {
            config = config.tls_config(TlsConfig::builder().root_certs(roots).build());
        }
        Ok(config.build().into())
    }

    fn proxy(&self, url: Option<&str>) -> Result<Option<Proxy>, SourceError> {
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        // The URL may hold a password: it is not quoted.
        let malformed = || SourceError::HttpOptions {
            reason: "the proxy's URL is malformed".to_owned(),
        };
        let parsed = Proxy::new(url).map_err(|_| malformed())?;
        let mut builder = Proxy::builder(parsed.protocol())
            .host(parsed.host())
            .port(parsed.port());
        if let Some(username) = parsed.username() {
            builder = builder.username(username);
        }
        if let Some(password) = parsed.password() {
            builder = builder.password(password);
        }
        let direct = self.options.no_proxy.as_deref().unwrap_or_default();
        for host in direct.split(',').map(str::trim).filter(|h| !h.is_empty()) {
            builder = builder.no_proxy(host);
        }
        builder.build().map(Some).map_err(|_| malformed())
    }

    /// The public authorities with those of the options; `None` if there are no others.
    fn roots(&self) -> Result<Option<RootCerts>, SourceError> {
        let mut extra = Vec::new();
        for path in &self.options.root_certificates {
            extra.extend(certificates(path)?);
        }
        if extra.is_empty() {
            return Ok(None);
        }
        let public = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .map(|der| Certificate::from_der(der));
        Ok(Some(RootCerts::Specific(Arc::new(
            public.chain(extra).collect(),
        ))))
    }
}

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, SourceError> {
    let bytes = std::fs::read(path).map_err(|source| SourceError::File {
        action: "read the certificates",
        path: path.to_owned(),
        source,
    })?;
    let found: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(SourceError::HttpOptions {
            reason: format!("{}: no certificate in it", path.display()),
        });
    }
    Ok(found)
}

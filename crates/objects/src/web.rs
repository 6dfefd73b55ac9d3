//! How stores are reached over HTTP: proxies, trust, patience. One agent for each kind of address.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ureq::config::AutoHeaderValue;
use ureq::http::Uri;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::{Agent, Proxy};

use crate::ObjectsError;

/// The longest that a connection may take to be made.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(15);
/// The same for a cloud's own metadata service, which answers at once or does not exist.
const METADATA_TIMEOUT: Duration = Duration::from_secs(1);
/// The longest silence in the middle of a transfer.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// The longest wait for the answer to what gives a store work, such as the end of a large upload.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(300);
/// Connections kept open to one host: as many as transfers run side by side.
const IDLE_CONNECTIONS_PER_HOST: usize = 16;
/// Bytes taken from, and given to, a socket at once.
const SOCKET_BUFFER_BYTES: usize = 128 << 10;

/// How stores are reached.
#[derive(Debug, Clone, Default)]
pub struct WebOptions {
    /// What we call ourselves.
    pub user_agent: String,
    /// The proxy for `http`.
    pub http_proxy: Option<String>,
    /// The proxy for `https`.
    pub https_proxy: Option<String>,
    /// Hosts that are reached directly, separated by commas. Those on the loopback interface and a cloud's metadata
    /// service always are.
    pub no_proxy: Option<String>,
    /// PEM files of authorities that are trusted besides the public ones.
    pub root_certificates: Vec<PathBuf>,
}

/// The agents, made when they are first needed.
#[derive(Debug)]
pub(crate) struct Web {
    options: WebOptions,
    roots: Option<RootCerts>,
    agents: [OnceLock<Agent>; 4],
}

/// What makes two addresses need two agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Plain,
    Encrypted,
    Loopback,
    Metadata,
}

impl Web {
    /// Fails if a proxy or a certificate of `options` is not one.
    pub(crate) fn new(options: WebOptions) -> Result<Self, ObjectsError> {
        for url in [&options.http_proxy, &options.https_proxy] {
            proxy(url.as_deref(), "")?;
        }
        Ok(Self {
            roots: roots(&options.root_certificates)?,
            options,
            agents: Default::default(),
        })
    }

    /// The agent for an address.
    pub(crate) fn agent(&self, address: &Uri) -> &Agent {
        let kind = Kind::of(address);
        self.agents[kind as usize].get_or_init(|| self.make(kind))
    }

    fn make(&self, kind: Kind) -> Agent {
        let url = match kind {
            Kind::Plain => self.options.http_proxy.as_deref(),
            Kind::Encrypted => self.options.https_proxy.as_deref(),
            Kind::Loopback | Kind::Metadata => None,
        };
        let direct = self.options.no_proxy.as_deref().unwrap_or_default();
        let proxy = proxy(url, direct).expect("it was tried before");
        let connect = match kind {
            Kind::Metadata => METADATA_TIMEOUT,
            _ => CONNECT_TIMEOUT,
        };
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(self.options.user_agent.as_str())
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .timeout_connect(Some(connect))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(STALL_TIMEOUT))
            .timeout_per_write(Some(STALL_TIMEOUT))
            .input_buffer_size(SOCKET_BUFFER_BYTES)
            .output_buffer_size(SOCKET_BUFFER_BYTES)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_PER_HOST)
            .max_idle_connections(4 * IDLE_CONNECTIONS_PER_HOST)
            .proxy(proxy);
        if let Some(roots) = &self.roots {
            config = config.tls_config(TlsConfig::builder().root_certs(roots.clone()).build());
        }
        config.build().new_agent()
    }
}

impl Kind {
    fn of(address: &Uri) -> Self {
        let host = address.host().unwrap_or_default();
        if host.starts_with("169.254.") {
            Self::Metadata
        } else if is_loopback(host) {
            Self::Loopback
        } else if address.scheme_str() == Some("https") {
            Self::Encrypted
        } else {
            Self::Plain
        }
    }
}

/// Whether a host is this machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || host.ends_with(".localhost")
        || bare
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

fn proxy(url: Option<&str>, direct: &str) -> Result<Option<Proxy>, ObjectsError> {
    let Some(url) = url.filter(|url| !url.is_empty()) else {
        return Ok(None);
    };
    // The URL may hold a password: it is not quoted.
    let malformed = || ObjectsError::Web {
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
    for host in direct.split(',').map(str::trim).filter(|h| !h.is_empty()) {
        builder = builder.no_proxy(host);
    }
    builder.build().map(Some).map_err(|_| malformed())
}

/// The public authorities with those of the files; `None` if there are no others.
fn roots(files: &[PathBuf]) -> Result<Option<RootCerts>, ObjectsError> {
    let mut extra = Vec::new();
    for path in files.iter().filter(|path| path.exists()) {
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

fn certificates(path: &Path) -> Result<Vec<Certificate<'static>>, ObjectsError> {
    let fail = |reason: String| ObjectsError::Web {
        reason: format!("{}: {reason}", path.display()),
    };
    let bytes = std::fs::read(path).map_err(|error| fail(error.to_string()))?;
    let found: Vec<_> = parse_pem(&bytes)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if found.is_empty() {
        return Err(fail("no certificate in it".to_owned()));
    }
    Ok(found)
}

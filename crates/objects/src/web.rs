//! How stores are reached over HTTP: proxies, trust, patience. One agent for each kind of address.

use std::sync::OnceLock;
use std::time::Duration;

use rbuild_web::{WebOptions, agent, authorities, is_loopback, roots};
use ureq::Agent;
use ureq::config::AutoHeaderValue;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};

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

/// The agents, made when they are first needed.
#[derive(Debug)]
pub(crate) struct Web {
    options: WebOptions,
    roots: RootCerts,
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
        options.proxies.for_http()?;
        options.proxies.for_https()?;
        Ok(Self {
            roots: roots(authorities(&options.root_certificates)?),
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
        let proxies = &self.options.proxies;
        let proxy = match kind {
            Kind::Plain => proxies.for_http(),
            Kind::Encrypted => proxies.for_https(),
            Kind::Loopback | Kind::Metadata => Ok(None),
        };
        let proxy = proxy.expect("it was tried before");
        let connect = match kind {
            Kind::Metadata => METADATA_TIMEOUT,
            _ => CONNECT_TIMEOUT,
        };
        let config = Agent::config_builder()
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
            .tls_config(TlsConfig::builder().root_certs(self.roots.clone()).build())
            .proxy(proxy);
        agent(config.build()).expect("no certificate of ours is shown that could be refused")
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

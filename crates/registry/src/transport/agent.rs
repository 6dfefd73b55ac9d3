//! ureq agents: one for plain HTTP, one for each way of trusting certificates.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use rbuild_web::{agent, authorities, certificates, identity, roots};
use ureq::config::{AutoHeaderValue, ConfigBuilder};
use ureq::tls::TlsConfig;
use ureq::typestate::AgentScope;
use ureq::{Agent, Proxy};

use super::site::Verification;
use crate::RegistryError;
use crate::config::Keypair;
use crate::options::ClientOptions;

/// Connections kept open to one host: as many as transfers run side by side.
const IDLE_CONNECTIONS_PER_HOST: usize = 16;
/// Bytes taken from, and given to, a socket at once.
const SOCKET_BUFFER_BYTES: usize = 128 << 10;

/// What makes two HTTPS connections differ.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Trust {
    pub(crate) roots: Vec<PathBuf>,
    pub(crate) keypair: Option<(PathBuf, PathBuf)>,
    pub(crate) verification: Verification,
}

impl Trust {
    /// The same trust without the certificate that says who we are: for hosts that we were sent to.
    pub(crate) fn without_identity(&self) -> Self {
        Self {
            keypair: None,
            ..self.clone()
        }
    }

    pub(crate) fn keypair(pair: &Keypair) -> (PathBuf, PathBuf) {
        (pair.cert.clone(), pair.key.clone())
    }
}

/// Whether a proxy may stand between.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Route {
    AsConfigured,
    /// To the loopback interface.
    Direct,
}

type AgentKey = (Option<Trust>, Route);

/// All agents, made when first needed.
pub(crate) struct Agents {
    options: ClientOptions,
    made: Mutex<HashMap<AgentKey, Agent>>,
}

impl Agents {
    pub(crate) fn new(options: ClientOptions) -> Self {
        Self {
            options,
            made: Mutex::default(),
        }
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.options
    }

    /// An agent for plain HTTP.
    pub(crate) fn http(&self, route: Route) -> Result<Agent, RegistryError> {
        self.get((None, route))
    }

    /// An agent for HTTPS.
    pub(crate) fn https(&self, trust: &Trust, route: Route) -> Result<Agent, RegistryError> {
        self.get((Some(trust.clone()), route))
    }

    fn get(&self, key: AgentKey) -> Result<Agent, RegistryError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(agent) = made.get(&key) {
            return Ok(agent.clone());
        }
        let mut config = self.base().proxy(self.proxy(&key)?);
        if let Some(trust) = &key.0 {
            config = config.tls_config(self.tls(trust)?);
        }
        let agent = agent(config.build())?;
        made.insert(key, agent.clone());
        Ok(agent)
    }

    fn base(&self) -> ConfigBuilder<AgentScope> {
        Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .user_agent(self.options.web.user_agent.as_str())
            .accept(AutoHeaderValue::None)
            .accept_encoding(AutoHeaderValue::None)
            .timeout_connect(Some(self.options.connect_timeout))
            .timeout_per_read(Some(self.options.stall_timeout))
            .timeout_per_write(Some(self.options.stall_timeout))
            .input_buffer_size(SOCKET_BUFFER_BYTES)
            .output_buffer_size(SOCKET_BUFFER_BYTES)
            .max_idle_connections_per_host(IDLE_CONNECTIONS_PER_HOST)
            .max_idle_connections(4 * IDLE_CONNECTIONS_PER_HOST)
    }

    fn proxy(&self, (trust, route): &AgentKey) -> Result<Option<Proxy>, RegistryError> {
        let proxies = &self.options.web.proxies;
        Ok(match (route, trust) {
            (Route::Direct, _) => None,
            (Route::AsConfigured, Some(_)) => proxies.for_https()?,
            (Route::AsConfigured, None) => proxies.for_http()?,
        })
    }

    fn tls(&self, trust: &Trust) -> Result<TlsConfig, RegistryError> {
        let mut extra = authorities(&self.options.web.root_certificates)?;
        for path in &trust.roots {
            extra.extend(certificates(path)?);
        }
        let identity = match &trust.keypair {
            Some((cert, key)) => Some(identity(cert, key)?),
            None => None,
        };
        Ok(TlsConfig::builder()
            .root_certs(roots(extra))
            .client_cert(identity)
            .disable_verification(trust.verification == Verification::Off)
            .build())
    }
}

//! Who makes connections: one agent for plain addresses and one for encrypted ones, since each may have a proxy of its own.

use std::sync::OnceLock;
use std::time::Duration;

use rbuild_web::{WebOptions, agent, authorities, roots};
use ureq::tls::TlsConfig;
use ureq::{Agent, Proxy};

use crate::SourceError;

/// How long a connection may take, and how long the headers after it.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often an answer may send us on.
const MAX_REDIRECTS: u32 = 10;

/// The agents, made when they are first needed.
#[derive(Debug, Default)]
pub(crate) struct Agents {
    options: WebOptions,
    plain: OnceLock<Agent>,
    encrypted: OnceLock<Agent>,
}

impl Agents {
    pub(crate) fn new(options: WebOptions) -> Self {
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
        let slot = if is_encrypted {
            &self.encrypted
        } else {
            &self.plain
        };
        if let Some(agent) = slot.get() {
            return Ok(agent);
        }
        let proxies = &self.options.proxies;
        let agent = self.agent(if is_encrypted {
            proxies.for_https()?
        } else {
            proxies.for_http()?
        })?;
        Ok(slot.get_or_init(|| agent))
    }

    fn agent(&self, proxy: Option<Proxy>) -> Result<Agent, SourceError> {
        let roots = roots(authorities(&self.options.root_certificates)?);
        let config = Agent::config_builder()
            .user_agent(self.options.user_agent.as_str())
            .http_status_as_error(false)
            .max_redirects(MAX_REDIRECTS)
            .redirect_auth_headers(ureq::config::RedirectAuthHeaders::SameHost)
            .timeout_connect(Some(PATIENCE))
            .timeout_recv_response(Some(PATIENCE))
            .timeout_per_read(Some(PATIENCE))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .proxy(proxy);
        Ok(agent(config.build())?)
    }
}

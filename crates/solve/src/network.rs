//! The networks of a build's steps: made when the first command needs one, and used again by those that come after it.
//!
//! ```text
//! RUN ── lease() ─▶ one that is free, else a new one ─▶ sandbox joins it ─▶ command ─▶ given back, if nothing is left in it
//! ```
//!
//! Commands that run side by side have one each. Which network a command has is in no key.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rbuild_network::{
    Connection, DEFAULT_NETWORK, DefaultPlace, Membership, NetworkError, Networks, Wishes,
};
use rbuild_plan::{Exec, NetworkMode, SecurityMode};
use rbuild_sandbox::{Network, safe_program};

use crate::error::StepError;

/// Stands for the host's address in the values of `--add-host`.
pub(crate) const HOST_GATEWAY: &str = "host-gateway";

/// What the steps of a build that ask for nothing else are connected with.
#[derive(Debug, Clone, Default)]
pub enum StepNetwork {
    /// The host's network.
    #[default]
    Host,
    /// One of their own; the host's where there are none such.
    Private(Networks),
    /// The network of this name, on which containers may be.
    Named(Networks, String),
}

impl StepNetwork {
    fn name(&self) -> &str {
        match self {
            Self::Host => "host",
            Self::Private(_) => DEFAULT_NETWORK,
            Self::Named(_, name) => name,
        }
    }
}

/// What steps with a network are told about it.
#[derive(Debug, Clone, Default)]
pub struct NetworkFiles {
    /// Contents of the host's /etc/resolv.conf.
    pub resolv_conf: String,
    /// The name servers that are asked from private networks.
    pub servers: Vec<IpAddr>,
}

/// The networks of a build's steps.
#[derive(Debug, Default)]
pub struct StepNetworks {
    network: StepNetwork,
    files: NetworkFiles,
    /// What ids come from; unlike those of any other build.
    seed: [u8; 32],
    pool: Mutex<Pool>,
}

#[derive(Debug, Default)]
struct Pool {
    free: Vec<Connection>,
    made: u8,
    /// Why there are none.
    failure: Option<String>,
}

/// The network of a command.
#[derive(Debug)]
pub(crate) struct Lease<'a> {
    networks: &'a StepNetworks,
    own: Option<Connection>,
    keep: bool,
}

impl StepNetworks {
    /// `seed` is random.
    pub fn new(network: StepNetwork, files: NetworkFiles, seed: [u8; 32]) -> Self {
        Self {
            network,
            files,
            seed,
            pool: Mutex::default(),
        }
    }

    /// Why commands had no network of their own, if they were to have one where it can be had.
    pub fn failure(&self) -> Option<String> {
        self.pool().failure.clone()
    }

    fn pool(&self) -> MutexGuard<'_, Pool> {
        self.pool.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A network for `exec`.
    pub(crate) fn lease(&self, exec: &Exec) -> Result<Lease<'_>, StepError> {
        let mut lease = Lease {
            networks: self,
            own: None,
            // Whoever may change it leaves it to nobody.
            keep: exec.security == SecurityMode::Sandbox,
        };
        if exec.network != NetworkMode::Default || proxy_is_local(&exec.proxy_env) {
            return Ok(lease);
        }
        if !matches!(self.network, StepNetwork::Host) {
            lease.own = self.take()?;
        }
        Ok(lease)
    }

    fn take(&self) -> Result<Option<Connection>, StepError> {
        let number = {
            let mut pool = self.pool();
            if let Some(free) = pool.free.pop() {
                return Ok(Some(free));
            }
            if pool.failure.is_some() {
                return Ok(None);
            }
            pool.made = pool.made.wrapping_add(1);
            pool.made
        };
        let container = self.id(number);
        let name = format!("build-{}", container.get(..12).unwrap_or_default());
        let wishes = Wishes {
            container: &container,
            name: &name,
            servers: &self.files.servers,
            ..Wishes::default()
        };
        self.open(&wishes).map_err(|error| StepError::Network {
            name: self.network.name().to_owned(),
            source: error,
        })
    }

    /// A member's id, of which already the first digits tell it from others.
    fn id(&self, number: u8) -> String {
        let id = blake3::keyed_hash(&self.seed, &[number]);
        id.to_hex().to_string()
    }

    fn open(&self, wishes: &Wishes<'_>) -> Result<Option<Connection>, NetworkError> {
        let program = safe_program().map_err(|error| NetworkError::Step {
            action: "find this program".to_owned(),
            source: std::io::Error::other(error),
        })?;
        match &self.network {
            StepNetwork::Host => Ok(None),
            StepNetwork::Private(networks) => {
                match Connection::open_default(networks, wishes, &program)? {
                    DefaultPlace::Private(made) => Ok(Some(*made)),
                    DefaultPlace::Host { reason } => {
                        self.pool().failure = Some(reason.to_string());
                        Ok(None)
                    }
                }
            }
            StepNetwork::Named(networks, name) => {
                let memberships = [Membership {
                    network: name.clone(),
                    ..Membership::default()
                }];
                let wishes = Wishes {
                    networks: &memberships,
                    ..wishes.clone()
                };
                Connection::open(networks, &wishes, &program).map(Some)
            }
        }
    }
}

impl Drop for StepNetworks {
    fn drop(&mut self) {
        for connection in std::mem::take(&mut self.pool().free) {
            // What could not be taken down is swept by the next command.
            let _ = connection.close();
        }
    }
}

impl Lease<'_> {
    /// The namespace that the command joins, if it has one of its own.
    pub(crate) fn namespace(&self) -> Option<BorrowedFd<'_>> {
        self.own.as_ref().map(Connection::namespace)
    }

    /// What the sandbox is told, whose tree number `index` the namespace is.
    pub(crate) fn network(&self, mode: NetworkMode, index: usize) -> Network {
        match (mode, &self.own) {
            (NetworkMode::None, _) => Network::None,
            (_, Some(_)) => Network::Join(index),
            (NetworkMode::Default | NetworkMode::Host, None) => Network::Host,
        }
    }

    /// /etc/resolv.conf.
    pub(crate) fn resolv_conf(&self) -> String {
        let files = &self.networks.files;
        match &self.own {
            Some(own) => own.resolver().file(&files.resolv_conf, &files.servers),
            None => files.resolv_conf.clone(),
        }
    }

    /// The address at which the host can be reached.
    pub(crate) fn gateway(&self) -> IpAddr {
        let endpoints = self.own.as_ref().map(Connection::endpoints);
        let first = endpoints.unwrap_or_default();
        first
            .first()
            .map_or(IpAddr::from([127, 0, 0, 1]), |place| place.gateway.into())
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        let Some(own) = self.own.take() else { return };
        if self.keep && own.is_unused() {
            self.networks.pool().free.push(own);
            return;
        }
        // What could not be taken down is swept by the next command.
        let _ = own.close();
    }
}

/// Whether a proxy can be reached on the host's network only.
fn proxy_is_local(variables: &[String]) -> bool {
    variables.iter().any(|variable| {
        let (name, value) = variable.split_once('=').unwrap_or((variable, ""));
        if name.eq_ignore_ascii_case("no_proxy") {
            return false;
        }
        let rest = value.split_once("://").map_or(value, |(_, rest)| rest);
        let authority = rest.split('/').next().unwrap_or_default();
        let host = authority.rsplit('@').next().unwrap_or_default();
        host.starts_with("[::1]")
            || host.split(':').next().is_some_and(|host| {
                host.eq_ignore_ascii_case("localhost")
                    || host
                        .parse()
                        .is_ok_and(|address: IpAddr| address.is_loopback())
            })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_on_the_hosts_loopback_is_known() {
        let local = |text: &str| proxy_is_local(&[text.to_owned()]);
        for text in [
            "http_proxy=http://127.0.0.1:3128",
            "HTTPS_PROXY=http://user:word@localhost:3128/",
            "ALL_PROXY=[::1]:1080",
        ] {
            assert!(local(text), "{text}");
        }
        for text in [
            "http_proxy=http://proxy.corp:3128",
            "no_proxy=localhost,127.0.0.1",
            "http_proxy=",
            "http_proxy=http://localhost.corp:1",
        ] {
            assert!(!local(text), "{text}");
        }
    }
}

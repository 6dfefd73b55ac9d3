//! The client, and how it goes from one host to the next.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use rbuild_image::Reference;

use crate::present::PresentBlobs;
use crate::transport::{Agents, CancelFlag, Endpoint, Offline, Transport, sites_of};
use crate::{Attempt, ClientOptions, Credentials, Fault, RegistryConfig, RegistryError};

/// Talks to registries. Cheap to clone; clones share connections, tokens and what was learnt about hosts.
#[derive(Clone)]
pub struct Client {
    shared: Arc<Shared>,
}

/// A registry, and the rule of `registries.conf` that holds for the name.
type NameKind = (String, Option<usize>);

struct Shared {
    config: RegistryConfig,
    transport: Transport,
    endpoints: Mutex<HashMap<NameKind, Arc<[Arc<Endpoint>]>>>,
    /// Registries that need not prove who they are.
    trusted: Mutex<BTreeSet<String>>,
    present: PresentBlobs,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").finish_non_exhaustive()
    }
}

impl Client {
    /// A client with the default options.
    pub fn new(config: RegistryConfig, credentials: Arc<dyn Credentials>) -> Self {
        Self::with_options(config, credentials, ClientOptions::default())
    }

    /// A client with `options`.
    pub fn with_options(
        config: RegistryConfig,
        credentials: Arc<dyn Credentials>,
        options: ClientOptions,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                config,
                transport: Transport {
                    agents: Agents::new(options),
                    credentials,
                    cancel: CancelFlag::default(),
                    offline: Offline::default(),
                },
                endpoints: Mutex::default(),
                trusted: Mutex::default(),
                present: PresentBlobs::default(),
            }),
        }
    }

    /// From now on `registry` is trusted without a valid certificate, and over plain HTTP where HTTPS is not spoken, unless the
    /// configuration says otherwise of it: `registry.insecure=true`. Its mirrors are not.
    pub fn trust(&self, registry: &str) {
        let known = self.shared.endpoints.lock();
        let mut known = known.unwrap_or_else(PoisonError::into_inner);
        let trusted = self.shared.trusted.lock();
        let mut trusted = trusted.unwrap_or_else(PoisonError::into_inner);
        if trusted.insert(registry.to_owned()) {
            known.retain(|(name, _), _| name != registry);
        }
    }

    /// Makes all waits of this client and its clones end, and all transfers fail with
    /// [`RegistryError::Cancelled`] at their next step.
    pub fn cancel(&self) {
        self.shared.transport.cancel.set();
    }

    /// Whether [`Self::cancel`] was called.
    pub fn is_cancelled(&self) -> bool {
        self.shared.transport.cancel.is_set()
    }

    /// The blobs that repositories are known to have.
    pub fn present_blobs(&self) -> &PresentBlobs {
        &self.shared.present
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.shared.transport
    }

    /// The hosts to pull from: mirrors (for an official image of Docker Hub a second time without `library/`, as people
    /// push to registries of their own), then the registry itself; those that did not answer come last.
    pub(crate) fn sources(&self, reference: &Reference) -> Vec<Arc<Endpoint>> {
        let mut all: Vec<_> = self
            .endpoints(reference.registry(), Some(reference.repository()))
            .iter()
            .filter(|endpoint| endpoint.site().serves(reference))
            .cloned()
            .collect();
        all.sort_by_key(|endpoint| endpoint.is_down());
        all
    }

    /// The host to push to.
    pub(crate) fn destination(&self, reference: &Reference) -> Arc<Endpoint> {
        self.own_endpoint(reference.registry(), Some(reference.repository()))
    }

    /// The registry itself, no mirror.
    pub(crate) fn own_endpoint(&self, registry: &str, repository: Option<&str>) -> Arc<Endpoint> {
        let endpoints = self.endpoints(registry, repository);
        let own = endpoints
            .last()
            .expect("the registry itself is always there");
        Arc::clone(own)
    }

    /// All that have to do with a name: those to pull from, and last the registry itself.
    fn endpoints(&self, registry: &str, repository: Option<&str>) -> Arc<[Arc<Endpoint>]> {
        let config = &self.shared.config;
        let rule = config.containers.position(registry, repository);
        let mut known = self
            .shared
            .endpoints
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let make = || {
            let rule = rule.map(|position| config.containers.rule(position));
            let mut sites = sites_of(config, registry, rule);
            let trusted = self.shared.trusted.lock();
            let trusted = trusted.unwrap_or_else(PoisonError::into_inner);
            if let Some(own) = sites.last_mut() {
                own.trusts_anyone_if(trusted.contains(registry));
            }
            let sites = sites.into_iter();
            sites.map(|site| Arc::new(Endpoint::new(site))).collect()
        };
        let key = (registry.to_owned(), rule);
        Arc::clone(known.entry(key).or_insert_with(make))
    }

    /// Asks one host after the other until one answers.
    pub(crate) fn first_answer<T>(
        &self,
        reference: &Reference,
        mut ask: impl FnMut(&Arc<Endpoint>) -> Result<T, RegistryError>,
    ) -> Result<T, RegistryError> {
        let mut failures = Vec::new();
        for endpoint in self.sources(reference) {
            match ask(&endpoint) {
                Ok(answer) => return Ok(answer),
                Err(error @ RegistryError::Cancelled { .. }) => return Err(error),
                // The same host under the other name: its first answer says it all.
                Err(error) if endpoint.site().is_second_name() && error.is_not_found() => {}
                Err(error) => {
                    note_failure(&endpoint, &error);
                    failures.push(error);
                }
            }
        }
        Err(all_failed(failures))
    }
}

/// A host that nobody answers at is asked last from now on.
pub(crate) fn note_failure(endpoint: &Endpoint, error: &RegistryError) {
    if let RegistryError::Unreachable {
        fault: Fault::Refused | Fault::UnknownHost | Fault::Timeout,
        ..
    } = error
    {
        endpoint.set_down();
    }
}

/// One error for the failures of all hosts.
pub(crate) fn all_failed(mut failures: Vec<RegistryError>) -> RegistryError {
    match failures.len() {
        1 => failures.remove(0),
        _ => RegistryError::Everywhere { failures },
    }
}

/// An attempt on `subject` at `endpoint`.
pub(crate) fn attempt(action: &'static str, subject: String, endpoint: &Endpoint) -> Attempt {
    Attempt {
        action,
        subject,
        host: endpoint.host.clone(),
        registry: endpoint.registry.clone(),
    }
}

//! The surroundings of a command: environment, configuration, store, registry client.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use rbuild_image::Platform;
use rbuild_registry::{Client, ClientOptions, Credentials, DockerConfig, RegistryConfig};
use rbuild_solve::SshKeys;
use rbuild_source::{GitClient, GitOptions, GitProtocols, HttpClient};
use rbuild_store::{Limits, Store};
use rbuild_web::WebOptions;

use crate::args::Global;
use crate::cache_config::CacheConfig;
use crate::containers_files;
pub(crate) use crate::environment::Environment;
use crate::identity::{self, Bond, Need};
use crate::network_config::NetworkConfig;
use crate::users_config::UsersConfig;

/// Who we say we are on the web. Servers that make exceptions for `BuildKit` are to make them for us.
const USER_AGENT: &str = concat!(
    "rbuild/",
    env!("CARGO_PKG_VERSION"),
    " (compatible; buildkit/v0.26)"
);

/// What a command works with.
pub(crate) struct App {
    /// The environment at the start.
    pub(crate) environment: Environment,
    root: PathBuf,
    _bond: Bond,
    config_file: Option<PathBuf>,
    config: RegistryConfig,
    cache: CacheConfig,
    /// What is connected with what.
    pub(crate) networks: NetworkConfig,
    /// Whose users containers and steps have.
    pub(crate) users: UsersConfig,
    store: OnceLock<Store>,
    registry: OnceLock<Arc<Client>>,
    impatient_registry: OnceLock<Arc<Client>>,
}

impl App {
    /// Reads the configuration and enters the namespaces that all work is done in. Must come before any thread.
    pub(crate) fn new(global: &Global, need: Need) -> anyhow::Result<Self> {
        let environment = Environment {
            user: rustix::process::geteuid().as_raw(),
        };
        let root = match &global.root {
            Some(root) => std::path::absolute(root)?,
            None => environment.default_root()?,
        };
        let (config, cache, networks, users) = load_config(environment, global.config.as_deref())?;
        raise_descriptor_limit();
        let need = need.with(&networks);
        let bond = identity::enter(&root, need)?;
        Ok(Self {
            environment,
            _bond: bond,
            root,
            config_file: global
                .config
                .as_deref()
                .map(std::path::absolute)
                .transpose()?,
            config,
            cache,
            networks,
            users,
            store: OnceLock::new(),
            registry: OnceLock::new(),
            impatient_registry: OnceLock::new(),
        })
    }

    /// The store, opened when it is first needed.
    pub(crate) fn store(&self) -> anyhow::Result<&Store> {
        if let Some(store) = self.store.get() {
            return Ok(store);
        }
        let store = Store::open(&self.root)
            .with_context(|| format!("failed to open the store at {}", self.root.display()))?;
        Ok(self.store.get_or_init(|| store))
    }

    /// The registry client, made when it is first needed.
    pub(crate) fn registry(&self) -> &Arc<Client> {
        self.registry
            .get_or_init(|| self.own_registry(ClientOptions::default()))
    }

    /// A client for what a build can do without: the caches of other machines.
    pub(crate) fn impatient_registry(&self) -> &Arc<Client> {
        self.impatient_registry.get_or_init(|| {
            let mut options = ClientOptions::default();
            options.retry.attempts = 3;
            options.retry.longest_asked_wait = Duration::from_secs(5);
            options.connect_timeout = Duration::from_secs(5);
            options.stall_timeout = Duration::from_secs(10);
            self.own_registry(options)
        })
    }

    /// How files and stores of objects are reached.
    pub(crate) fn web(&self) -> WebOptions {
        WebOptions {
            user_agent: USER_AGENT.to_owned(),
            proxies: self.environment.proxies(),
            root_certificates: self.environment.path("SSL_CERT_FILE").into_iter().collect(),
        }
    }

    /// A client that shows the user's credentials.
    fn own_registry(&self, options: ClientOptions) -> Arc<Client> {
        let credentials = DockerConfig::new(self.environment.credential_files())
            .with_text(self.environment.text("DOCKER_AUTH_CONFIG"));
        Arc::new(self.client(options, Arc::new(credentials)))
    }

    /// A registry client that shows `credentials`.
    pub(crate) fn registry_as(&self, credentials: Arc<dyn Credentials>) -> Client {
        self.client(ClientOptions::default(), credentials)
    }

    fn client(&self, mut options: ClientOptions, credentials: Arc<dyn Credentials>) -> Client {
        options.web = self.web();
        Client::with_options(self.registries(), credentials, options)
    }

    /// Our configuration and what other programs on this machine know of registries.
    fn registries(&self) -> RegistryConfig {
        let mut config = self.config.clone();
        config.host_folders = containers_files::host_folders(self.environment);
        match containers_files::registries(self.environment) {
            Ok(containers) => config.containers = containers,
            Err(error) => config.unusable = Some(crate::failure::chain(error.as_ref())),
        }
        config
    }

    /// Fetches git repositories; clones are kept in the store.
    /// `keys` are those that SSH remotes may be shown.
    pub(crate) fn git(&self, keys: Option<SshKeys>) -> anyhow::Result<GitClient> {
        let (ssh_agent, ssh_keys) = match keys {
            None => (None, Vec::new()),
            Some(SshKeys::Agent(socket)) => (Some(socket), Vec::new()),
            Some(SshKeys::Files(files)) => (None, files),
        };
        Ok(GitClient::new(GitOptions {
            program: PathBuf::from("git"),
            cache: self.store()?.root().join("git"),
            environment: self.environment.for_git(),
            ssh_agent,
            ssh_keys,
            known_hosts: self.environment.known_hosts(),
            protocols: GitProtocols::Network,
        }))
    }

    /// Fetches files from the web; what was fetched is kept in the store.
    pub(crate) fn http(&self) -> anyhow::Result<HttpClient> {
        let cache = self.store()?.root().join("http");
        Ok(HttpClient::new(cache, self.web()))
    }

    /// Leaves the store to be synced, swept and kept within its limits, by a process that nobody waits for.
    pub(crate) fn maintain_store(&self) {
        crate::maintenance::start(&self.root, self.config_file.as_deref());
    }

    /// Where the store is.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a command of this program work on the store at `root` with the same configuration.
    pub(crate) fn hand_on(&self, command: &mut std::process::Command, root: &Path) {
        command.arg("--root").arg(root);
        if let Some(config) = &self.config_file {
            command.arg("--config").arg(config);
        }
    }

    /// What the cache may take of the disk; `None` if nothing is to be collected by itself.
    pub(crate) fn cache_limits(&self) -> anyhow::Result<Option<Limits>> {
        Ok(self.cache.limits(self.store()?.disk()?))
    }

    /// The platform that images are for unless somebody says otherwise.
    #[expect(clippy::unused_self, reason = "a setting some day")]
    pub(crate) fn platform(&self) -> Platform {
        Platform::host()
    }
}

/// Every layer in use holds a descriptor: as many as the system permits.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // Fewer descriptors only matter to builds with very many layers.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// `--config`, else the user's file, else the machine's, else the defaults.
fn load_config(
    environment: Environment,
    given: Option<&Path>,
) -> anyhow::Result<(RegistryConfig, CacheConfig, NetworkConfig, UsersConfig)> {
    let read = |path: &Path| {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("failed to read the configuration {}", path.display()))?;
        let used = || format!("failed to use the configuration {}", path.display());
        let registries = RegistryConfig::from_toml(&text).with_context(used)?;
        Ok((
            registries,
            CacheConfig::from_toml(&text).with_context(used)?,
            NetworkConfig::from_toml(&text).with_context(used)?,
            UsersConfig::from_toml(&text).with_context(used)?,
        ))
    };
    if let Some(path) = given {
        return read(path);
    }
    match environment
        .config_files()
        .into_iter()
        .find(|path| path.exists())
    {
        Some(path) => read(&path),
        None => Ok(Default::default()),
    }
}

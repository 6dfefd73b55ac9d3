//! The surroundings of a command: environment, configuration, store, registry client. The only place that reads the
//! environment.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::Context as _;
use rbuild_container::HostFiles;
use rbuild_image::Platform;
use rbuild_network::name_servers;
use rbuild_progress::LogViewer;
use rbuild_registry::{Client, ClientOptions, Credentials, DockerConfig, RegistryConfig};
use rbuild_solve::SshKeys;
use rbuild_source::{GitClient, GitOptions, GitProtocols, HttpClient};
use rbuild_store::{Limits, Store};
use rbuild_web::{Proxies, WebOptions};

use crate::args::Global;
use crate::cache_config::CacheConfig;
use crate::containers_files;
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

/// The process's environment variables, by what they mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// Who we were before we entered a namespace.
    user: u32,
}

#[expect(
    clippy::unused_self,
    reason = "only who is handed the environment may ask it"
)]
impl Environment {
    /// A variable that is set and not empty.
    pub(crate) fn get(self, name: &str) -> Option<OsString> {
        std::env::var_os(name).filter(|value| !value.is_empty())
    }

    /// A variable's text.
    pub(crate) fn text(self, name: &str) -> Option<String> {
        self.get(name)?.into_string().ok()
    }

    /// A variable's text, even if that is empty: what is passed on is passed on as it is.
    pub(crate) fn passed_on(self, name: &str) -> Option<String> {
        std::env::var_os(name)?.into_string().ok()
    }

    fn path(self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    fn home(self) -> Option<PathBuf> {
        self.path("HOME")
    }

    fn default_root(self) -> anyhow::Result<PathBuf> {
        if rustix::process::geteuid().is_root() {
            return Ok(PathBuf::from("/var/lib/rbuild"));
        }
        let data = self
            .path("XDG_DATA_HOME")
            .or_else(|| Some(self.home()?.join(".local/share")))
            .context("no place for images: set RBUILD_ROOT, XDG_DATA_HOME or HOME")?;
        Ok(data.join("rbuild"))
    }

    pub(crate) fn config_home(self) -> Option<PathBuf> {
        self.path("XDG_CONFIG_HOME")
            .or_else(|| Some(self.home()?.join(".config")))
    }

    fn config_files(self) -> Vec<PathBuf> {
        let user = self.config_home();
        let user = user.map(|directory| directory.join("rbuild/config.toml"));
        user.into_iter()
            .chain([PathBuf::from("/etc/rbuild/config.toml")])
            .collect()
    }

    /// Files of the form of Docker's config.json: the first that knows a registry counts, and the first of all is where
    /// new credentials go.
    pub(crate) fn credential_files(self) -> Vec<PathBuf> {
        let docker = self
            .path("DOCKER_CONFIG")
            .or_else(|| Some(self.home()?.join(".docker")));
        let runtime = match self.path("XDG_RUNTIME_DIR") {
            Some(path) => path.join("containers/auth.json"),
            None => PathBuf::from(format!("/run/containers/{}/auth.json", self.user)),
        };
        let containers = self
            .config_home()
            .map(|path| path.join("containers/auth.json"));
        let files = [
            self.path("REGISTRY_AUTH_FILE"),
            docker.map(|path| path.join("config.json")),
            Some(runtime),
            containers,
        ];
        files.into_iter().flatten().collect()
    }

    fn proxies(self) -> Proxies {
        let either = |upper: &str| {
            self.text(upper)
                .or_else(|| self.text(&upper.to_lowercase()))
        };
        Proxies {
            http: either("HTTP_PROXY"),
            https: either("HTTPS_PROXY"),
            no_proxy: either("NO_PROXY"),
        }
    }

    /// The Docker engine's socket.
    pub(crate) fn docker_socket(self) -> PathBuf {
        let host = self.text("DOCKER_HOST");
        let path = host
            .as_deref()
            .and_then(|host| host.strip_prefix("unix://"));
        PathBuf::from(path.unwrap_or("/var/run/docker.sock"))
    }

    /// What `git` sees of the environment.
    fn for_git(self) -> Vec<(OsString, OsString)> {
        const PASSED: &[&str] = &[
            "PATH",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "NO_PROXY",
            "ALL_PROXY",
            "http_proxy",
            "https_proxy",
            "no_proxy",
            "all_proxy",
            "SSL_CERT_FILE",
            "SSL_CERT_DIR",
            "GIT_SSL_CAINFO",
        ];
        PASSED
            .iter()
            .filter_map(|name| Some((OsString::from(name), self.get(name)?)))
            .collect()
    }

    /// The user's and the machine's known SSH hosts.
    fn known_hosts(self) -> Vec<PathBuf> {
        let own = self.home().map(|home| home.join(".ssh/known_hosts"));
        let machines = PathBuf::from("/etc/ssh/ssh_known_hosts");
        own.into_iter().chain([machines]).collect()
    }

    /// The host's /etc/resolv.conf; empty where there is none.
    pub(crate) fn resolv_conf(self) -> String {
        std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default()
    }

    /// The host's files that containers see.
    pub(crate) fn host_files(self) -> HostFiles {
        HostFiles {
            hosts: std::fs::read_to_string("/etc/hosts").ok(),
            resolv_conf: Some(self.resolv_conf()),
            servers: self.name_servers(),
        }
    }

    /// The name servers to ask from private networks: those behind systemd's own where that is the only one, as docker has it.
    pub(crate) fn name_servers(self) -> Vec<IpAddr> {
        let named = name_servers(&self.resolv_conf());
        if !named.iter().all(IpAddr::is_loopback) {
            return named;
        }
        let behind = std::fs::read_to_string("/run/systemd/resolve/resolv.conf");
        match name_servers(&behind.unwrap_or_default()) {
            behind if behind.is_empty() => named,
            behind => behind,
        }
    }

    /// When the machine was started; 1970 where the kernel does not say.
    pub(crate) fn booted(self) -> std::time::SystemTime {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let seconds = stat
            .lines()
            .find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok());
        std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.unwrap_or_default())
    }

    /// The time.
    pub(crate) fn now(self) -> std::time::SystemTime {
        std::time::SystemTime::now()
    }

    /// Whether colours are wanted (<https://no-color.org>).
    pub(crate) fn colors_allowed(self) -> bool {
        self.get("NO_COLOR").is_none() && self.text("TERM").as_deref() != Some("dumb")
    }

    /// Whether somebody can be asked.
    pub(crate) fn stdin_is_terminal(self) -> bool {
        std::io::stdin().is_terminal()
    }

    /// Who shows what is written to standard error, if it is no terminal.
    pub(crate) fn log_viewer(self) -> LogViewer {
        let is_true = |name: &str| self.text(name).as_deref() == Some("true");
        if self.stderr_is_terminal() {
            LogViewer::Plain
        } else if is_true("GITHUB_ACTIONS") {
            LogViewer::GitHub
        } else if is_true("GITLAB_CI") {
            LogViewer::GitLab
        } else {
            LogViewer::Plain
        }
    }

    /// Whether progress can be drawn in place.
    pub(crate) fn stderr_is_terminal(self) -> bool {
        std::io::stderr().is_terminal()
    }
}

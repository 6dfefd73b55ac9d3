//! The environment, clock and terminal of a command: the only place that reads them.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use rbuild_container::HostFiles;
use rbuild_network::name_servers;
use rbuild_progress::LogViewer;
use rbuild_web::Proxies;

/// The process's environment variables, by what they mean.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Environment {
    /// Who we were before we entered a namespace.
    pub(crate) user: u32,
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

    pub(crate) fn path(self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }

    pub(crate) fn home(self) -> Option<PathBuf> {
        self.path("HOME")
    }

    pub(crate) fn default_root(self) -> anyhow::Result<PathBuf> {
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

    pub(crate) fn config_files(self) -> Vec<PathBuf> {
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

    pub(crate) fn proxies(self) -> Proxies {
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
    pub(crate) fn for_git(self) -> Vec<(OsString, OsString)> {
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
    pub(crate) fn known_hosts(self) -> Vec<PathBuf> {
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

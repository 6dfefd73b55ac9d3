//! Debian's docker-registry on a port of its own, gone when dropped.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::image_maker::ImageLayout;
use crate::require::require;
use crate::tls::TestCertificates;

/// The user of a registry with a password.
pub const USERNAME: &str = "rbuild";
/// Its password.
pub const PASSWORD: &str = "correct horse";
/// The two in htpasswd's form (bcrypt, cheapest cost).
const HTPASSWD: &str = "rbuild:$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e\n";
/// How long a registry may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// What kind of registry is started.
#[derive(Debug, Clone, Default)]
pub struct RegistrySetup {
    /// Asks for [`USERNAME`] and [`PASSWORD`] (HTTP basic authentication).
    pub password: bool,
    /// Speaks HTTPS with these certificates.
    pub tls: Option<TestCertificates>,
    /// Demands a client certificate of the same authority.
    pub client_certificate: bool,
}

/// A running registry.
#[derive(Debug)]
pub struct Registry {
    child: Child,
    port: u16,
    setup: RegistrySetup,
    _dir: TempDir,
}

impl Registry {
    /// Starts an open registry in plain HTTP; `None` where the program is missing.
    pub fn start() -> Option<Self> {
        Self::start_with(&RegistrySetup::default())
    }

    /// Starts a registry; `None` where the program is missing.
    pub fn start_with(setup: &RegistrySetup) -> Option<Self> {
        if !require("docker-registry", "a test with a registry") {
            return None;
        }
        // A port that was free may be taken a moment later: another is tried then.
        let mut last = None;
        for _ in 0..5 {
            match Self::try_start(setup.clone()) {
                Ok(registry) => return Some(registry),
                Err(error) => last = Some(error),
            }
        }
        panic!("docker-registry does not start: {last:?}");
    }

    fn try_start(setup: RegistrySetup) -> io::Result<Self> {
        let dir = tempfile::tempdir()?;
        let port = free_port()?;
        let config = dir.path().join("config.yml");
        std::fs::write(&config, config_text(&dir, port, &setup)?)?;
        let child = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .env("OTEL_TRACES_EXPORTER", "none")
            .spawn()?;
        let mut registry = Self {
            child,
            port,
            setup,
            _dir: dir,
        };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&mut self) -> io::Result<()> {
        let end = Instant::now() + START_TIMEOUT;
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            if let Some(status) = self.child.try_wait()? {
                return Err(io::Error::other(format!("it ended with {status}")));
            }
            if Instant::now() > end {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Its port on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `127.0.0.1:PORT`, as image names have it.
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Copies a layout into it with skopeo, as `name` (`library/x:latest`).
    pub fn push(&self, layout: &ImageLayout, name: &str) -> io::Result<()> {
        let source = format!("oci:{}:{}", layout.dir.display(), layout.tag);
        let target = format!("docker://{}/{name}", self.host());
        let credentials = format!("{USERNAME}:{PASSWORD}");
        let mut arguments = vec![
            "copy",
            "--quiet",
            "--all",
            "--preserve-digests",
            "--dest-tls-verify=false",
        ];
        if self.setup.password {
            arguments.extend(["--dest-creds", &credentials]);
        }
        arguments.extend([source.as_str(), &target]);
        self.skopeo(&arguments).map(drop)
    }

    /// `skopeo inspect --raw`: a manifest's bytes as skopeo reads them.
    pub fn inspect_raw(&self, name: &str) -> io::Result<Vec<u8>> {
        let source = format!("docker://{}/{name}", self.host());
        let credentials = format!("{USERNAME}:{PASSWORD}");
        let mut arguments = vec!["inspect", "--raw", "--tls-verify=false"];
        if self.setup.password {
            arguments.extend(["--creds", &credentials]);
        }
        arguments.push(&source);
        self.skopeo(&arguments)
    }

    /// Runs skopeo; gives what it writes to standard output.
    pub fn skopeo(&self, arguments: &[&str]) -> io::Result<Vec<u8>> {
        let output = Command::new("skopeo").args(arguments).output()?;
        if output.status.success() {
            return Ok(output.stdout);
        }
        Err(io::Error::other(
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // It is ours, and may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port that nobody listens on at the moment.
fn free_port() -> io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

/// The configuration is YAML, of which JSON is a part.
fn config_text(dir: &TempDir, port: u16, setup: &RegistrySetup) -> io::Result<String> {
    let mut config = serde_json::json!({
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": true}},
        "storage": {
            "filesystem": {"rootdirectory": dir.path().join("data")},
            "delete": {"enabled": true},
        },
        "http": {"addr": format!("127.0.0.1:{port}")},
        // Layers that are elsewhere may be named.
        "validation": {"manifests": {"urls": {"allow": ["^https?://"]}}},
    });
    if setup.password {
        let path = dir.path().join("htpasswd");
        std::fs::write(&path, HTPASSWD)?;
        config["auth"] = serde_json::json!({"htpasswd": {"realm": "test", "path": path}});
    }
    if let Some(tls) = &setup.tls {
        config["http"]["tls"] = serde_json::json!({"certificate": tls.cert, "key": tls.key});
        if setup.client_certificate {
            config["http"]["tls"]["clientcas"] = serde_json::json!([tls.ca]);
        }
    }
    Ok(config.to_string())
}

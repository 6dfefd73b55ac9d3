//! A certificate authority of our own, and a server certificate for this machine.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

/// PEM files made by the openssl program, for `localhost` and `127.0.0.1`.
#[derive(Debug, Clone)]
pub struct TestCertificates {
    /// The authority's certificate: what clients must trust.
    pub ca: PathBuf,
    /// The server's certificate.
    pub cert: PathBuf,
    /// The server's key.
    pub key: PathBuf,
    /// A client's certificate.
    pub client_cert: PathBuf,
    /// The client's key.
    pub client_key: PathBuf,
}

impl TestCertificates {
    /// Makes them in `dir`.
    pub fn make(dir: &Path) -> io::Result<Self> {
        let made = Self {
            ca: dir.join("ca.pem"),
            cert: dir.join("server.pem"),
            key: dir.join("server.key"),
            client_cert: dir.join("client.pem"),
            client_key: dir.join("client.key"),
        };
        let extensions = dir.join("extensions");
        std::fs::write(
            &extensions,
            "subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
        )?;
        let key = "ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
        openssl(
            dir,
            &format!(
                "req -x509 -newkey {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-ca"
            ),
        )?;
        for who in ["server", "client"] {
            openssl(
                dir,
                &format!("req -newkey {key} -keyout {who}.key -out {who}.csr -subj /CN={who}"),
            )?;
            openssl(
                dir,
                &format!(
                    "x509 -req -in {who}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -out {who}.pem -extfile extensions"
                ),
            )?;
        }
        Ok(made)
    }

    /// As [`Self::make`], but the server shows what `openssl req -x509` makes, and is its own authority.
    pub fn self_signed(dir: &Path) -> io::Result<Self> {
        let made = Self::make(dir)?;
        openssl(
            dir,
            "req -x509 -newkey rsa:2048 -nodes -keyout server.key -out server.pem -days 2 -subj /CN=localhost \
             -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
        )?;
        Ok(Self {
            ca: made.cert.clone(),
            ..made
        })
    }
}

fn openssl(dir: &Path, arguments: &str) -> io::Result<()> {
    let output = Command::new("openssl")
        .args(arguments.split_whitespace())
        .current_dir(dir)
        .output()?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(
        String::from_utf8_lossy(&output.stderr).into_owned(),
    ))
}

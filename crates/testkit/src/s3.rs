//! A server of S3 on a port of its own: moto, run by the Python whose path `RBUILD_TEST_S3` holds.
//!
//! It checks signatures, and what a key may do.

use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::require::skip;

/// What the server runs.
const SCRIPT: &str = include_str!("s3_server.py");

/// A running server; it ends when dropped.
#[derive(Debug)]
pub struct S3Server {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub host: String,
    /// The identifier of a key that may do all.
    pub access_key_id: String,
    /// Its secret.
    pub secret_access_key: String,
}

impl S3Server {
    /// The bucket that is there.
    pub const BUCKET: &str = "cache";

    /// Starts a server; `None` where there is none.
    pub fn start() -> Option<Self> {
        let Some(python) = std::env::var_os("RBUILD_TEST_S3") else {
            skip(
                "a test with S3",
                "RBUILD_TEST_S3 does not name a Python that has moto",
            );
            return None;
        };
        let mut child = Command::new(PathBuf::from(python))
            .args(["-c", SCRIPT])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("the Python of RBUILD_TEST_S3 starts");
        let output = child.stdout.take().expect("it is piped");
        let mut line = String::new();
        BufReader::new(output)
            .read_line(&mut line)
            .expect("the server says where it is");
        let words: Vec<&str> = line.split_whitespace().collect();
        let [port, id, secret] = words[..] else {
            panic!("the S3 server does not start: it said {line:?}");
        };
        Some(Self {
            host: format!("127.0.0.1:{port}"),
            access_key_id: id.to_owned(),
            secret_access_key: secret.to_owned(),
            child,
        })
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host)
    }
}

impl Drop for S3Server {
    fn drop(&mut self) {
        // It is ours, and may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

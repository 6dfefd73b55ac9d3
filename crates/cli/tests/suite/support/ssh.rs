//! A real SSH server, which lets one key in.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::command::run;

const SSHD: &str = "/usr/sbin/sshd";

/// One process for each connection, on a port that stays taken until the test ends.
pub(crate) struct SshServer {
    /// `127.0.0.1:2222`
    pub(crate) host: String,
    /// The private key that it lets in as root.
    pub(crate) key: PathBuf,
}

impl SshServer {
    /// Keeps its files in `directory`. Only root can start one.
    pub(crate) fn start(directory: &Path) -> Self {
        std::fs::create_dir_all(directory).expect("a new folder");
        // Where the server's unprivileged half is shut in.
        std::fs::create_dir_all("/run/sshd").expect("root may");
        let place = |name: &str| directory.join(name);
        for name in ["host", "key"] {
            let path = place(name).display().to_string();
            run(
                "ssh-keygen",
                &["-q", "-t", "ed25519", "-N", "", "-f", &path],
            )
            .success();
        }
        let settings = format!(
            "HostKey {}\nAuthorizedKeysFile {}\nStrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\n",
            place("host").display(),
            place("key.pub").display()
        );
        std::fs::write(place("settings"), settings).expect("a new file");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let host = listener.local_addr().expect("an address").to_string();
        let settings = place("settings");
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let output = stream.try_clone().expect("a descriptor");
                let mut server = Command::new(SSHD);
                server.arg("-i").arg("-f").arg(&settings);
                server.stdin(OwnedFd::from(stream));
                server.stdout(OwnedFd::from(output));
                server.stderr(Stdio::null());
                server.status().expect("sshd is there");
            }
        });
        Self {
            host,
            key: place("key"),
        }
    }
}

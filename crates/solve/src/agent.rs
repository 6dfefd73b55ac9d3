//! `RUN --mount=type=ssh`: a socket of the step's own, whose connections are handed on to an agent.
//!
//! ```text
//! step ── socket (owner and mode as the mount asks) ── relay ── agent's socket
//!                                                               └ the caller's, or one started here for key files
//! ```
//!
//! The agent sees this process as its peer, not the step: agents refuse other users, and the step may be any. Keys never
//! pass through here.

use std::fs;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Where the keys are that a step may use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SshKeys {
    /// With the agent that listens on this socket.
    Agent(PathBuf),
    /// In these files, unencrypted: an agent is started for each step that uses them.
    Files(Vec<PathBuf>),
}

/// Why a step cannot use an agent.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The socket in the step could not be made.
    #[error("make a socket for the SSH agent: {0}")]
    Socket(#[source] io::Error),
    /// A program for keys in files could not be run.
    #[error(
        "run {program} for --ssh with key files (it is in the package openssh-client): {error}"
    )]
    Program {
        /// `ssh-agent` or `ssh-add`.
        program: &'static str,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// A key was refused.
    #[error("add the SSH key {}: {message}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// What ssh-add says.
        message: String,
    },
}

/// The socket's owner and mode, as the step sees them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SocketAttributes {
    pub(crate) owner: (u32, u32),
    pub(crate) mode: u32,
}

/// A socket that leads to an agent for as long as this lives.
pub(crate) struct AgentSocket {
    path: PathBuf,
    listener: Arc<UnixListener>,
    /// The agent that was started for key files.
    _own: Option<OwnAgent>,
}

impl AgentSocket {
    /// Listens in the empty directory `directory` and hands connections on to the agent with `keys`.
    pub(crate) fn open(
        keys: &SshKeys,
        directory: &Path,
        attributes: SocketAttributes,
    ) -> Result<Self, AgentError> {
        let (agent, own) = match keys {
            SshKeys::Agent(socket) => (socket.clone(), None),
            SshKeys::Files(files) => {
                let own = OwnAgent::start(files, directory)?;
                (own.socket.clone(), Some(own))
            }
        };
        let (path, listener) = listen(directory, attributes).map_err(AgentError::Socket)?;
        let listener = Arc::new(listener);
        let accepting = Arc::clone(&listener);
        std::thread::spawn(move || {
            // It ends when the socket is shut down below.
            while let Ok((inside, _)) = accepting.accept() {
                let agent = agent.clone();
                std::thread::spawn(move || relay(&inside, &agent));
            }
        });
        Ok(Self {
            path,
            listener,
            _own: own,
        })
    }

    /// Where it is on this machine.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        // Wakes the thread that accepts; a failure leaves it waiting, which costs nothing but the thread.
        let _ = rustix::net::shutdown(self.listener.as_fd(), rustix::net::Shutdown::Both);
    }
}

fn listen(directory: &Path, attributes: SocketAttributes) -> io::Result<(PathBuf, UnixListener)> {
    const NAME: &str = "agent";
    let path = directory.join(NAME);
    let listener = UnixListener::bind(short(&fs::File::open(directory)?, NAME))?;
    let (uid, gid) = attributes.owner;
    match std::os::unix::fs::chown(&path, Some(uid), Some(gid)) {
        // A single-id map: there is no other user in the step either.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidInput
            ) => {}
        outcome => outcome?,
    }
    fs::set_permissions(&path, fs::Permissions::from_mode(attributes.mode))?;
    Ok((path, listener))
}

/// `name` in `directory` by a short way: a socket's path has at most 107 bytes.
fn short(directory: &fs::File, name: &str) -> PathBuf {
    format!("/proc/self/fd/{}/{name}", directory.as_raw_fd()).into()
}

/// Connects to the socket at `path`, however long that is.
fn connect(path: &Path) -> io::Result<UnixStream> {
    /// `sun_path` with its final zero.
    const LONGEST_BYTES: usize = 107;
    match (path.parent(), path.file_name()) {
        (Some(parent), Some(name)) if path.as_os_str().len() > LONGEST_BYTES => {
            UnixStream::connect(short(&fs::File::open(parent)?, &name.to_string_lossy()))
        }
        _ => UnixStream::connect(path),
    }
}

/// Copies both ways until both ends are closed. What fails is the connection's end, as it is for a client of the agent.
fn relay(inside: &UnixStream, agent: &Path) {
    let Ok(agent) = connect(agent) else {
        return;
    };
    std::thread::scope(|scope| {
        scope.spawn(|| pump(inside, &agent));
        pump(&agent, inside);
    });
}

fn pump(mut from: &UnixStream, mut to: &UnixStream) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
    let _ = from.shutdown(Shutdown::Read);
}

/// An ssh-agent that was started here.
struct OwnAgent {
    process: Child,
    socket: PathBuf,
}

impl OwnAgent {
    fn start(files: &[PathBuf], directory: &Path) -> Result<Self, AgentError> {
        const PROGRAM: &str = "ssh-agent";
        let failed = |error| AgentError::Program {
            program: PROGRAM,
            error,
        };
        let socket = directory.join("own");
        let process = Command::new(PROGRAM)
            .args(["-D", "-a", "own"])
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(failed)?;
        let mut agent = Self { process, socket };
        agent.wait().map_err(failed)?;
        for (number, file) in files.iter().enumerate() {
            Self::add(file, &directory.join(format!("key{number}")))?;
        }
        Ok(agent)
    }

    /// Until it listens.
    fn wait(&mut self) -> io::Result<()> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let begun = Instant::now();
        while connect(&self.socket).is_err() {
            if self.process.try_wait()?.is_some() || begun.elapsed() > PATIENCE {
                return Err(io::Error::other("it does not listen"));
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Adds a key. ssh-add refuses files that others may read, which in a container or on CI is what they often are: it is
    /// given a copy.
    fn add(file: &Path, copy: &Path) -> Result<(), AgentError> {
        const PROGRAM: &str = "ssh-add";
        let failed = |message: String| AgentError::Key {
            path: file.to_owned(),
            message,
        };
        let key = fs::read(file).map_err(|error| failed(error.to_string()))?;
        let write = || -> io::Result<()> {
            let options = fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .mode(0o600)
                .open(copy);
            options?.write_all(&key)
        };
        write().map_err(|error| failed(error.to_string()))?;
        let output = Command::new(PROGRAM)
            .arg("-q")
            .arg(copy)
            .current_dir(copy.parent().unwrap_or(Path::new("/")))
            .env("SSH_AUTH_SOCK", "own")
            .env("SSH_ASKPASS_REQUIRE", "never")
            .stdin(Stdio::null())
            .output();
        let removed = fs::remove_file(copy);
        let output = output.map_err(|error| AgentError::Program {
            program: PROGRAM,
            error,
        })?;
        removed.map_err(|error| failed(error.to_string()))?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let shown = copy.to_string_lossy();
        Err(failed(
            said.trim().replace(shown.as_ref(), &file.to_string_lossy()),
        ))
    }
}

impl Drop for OwnAgent {
    fn drop(&mut self) {
        // It may be dead already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

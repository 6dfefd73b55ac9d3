//! What can go wrong between us and a registry, and what to do about it.

use std::fmt;
use std::io;
use std::time::Duration;

use rbuild_image::{Digest, ImageError};

use crate::reply::Reply;

/// What was tried, on what, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// `read the manifest of`.
    pub action: &'static str,
    /// `docker.io/library/debian:latest`.
    pub subject: String,
    /// The host that was asked: `registry-1.docker.io`, or a token server.
    pub host: String,
    /// The registry whose configuration and credentials were used: `docker.io`, or a mirror's own name.
    pub registry: String,
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} at {}", self.action, self.subject, self.host)
    }
}

/// Why a request had no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// The name has no address.
    UnknownHost,
    /// Nobody listens there.
    Refused,
    /// The server does not speak TLS.
    NotTls,
    /// The server's certificate is not trusted.
    Certificate,
    /// No answer in time.
    Timeout,
    /// The connection broke, or what came over it was not HTTP.
    Broken,
}

/// A failure of a registry operation. Messages follow "failed to" and hold no secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// The registry's configuration, or a credentials file, is not what it should be.
    #[error("read the registry configuration: {reason}")]
    Config {
        /// What is wrong, and where.
        reason: String,
    },
    /// The way to it was described in a way that makes no sense.
    #[error(transparent)]
    Web(#[from] rbuild_web::WebError),
    /// There should be credentials, but they could not be had.
    #[error("get credentials for {registry}: {reason}")]
    Credentials {
        /// For which registry.
        registry: String,
        /// What is wrong.
        reason: String,
    },
    /// The registry or its token server says no (401, 403).
    #[error("{attempt}: {reply}")]
    Denied {
        /// What was tried.
        attempt: Box<Attempt>,
        /// The answer.
        reply: Box<Reply>,
    },
    /// There is no such thing (404).
    #[error("{attempt}: {reply}")]
    NotFound {
        /// What was tried.
        attempt: Box<Attempt>,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Too many requests (429), and waiting did not help.
    #[error("{attempt}: {reply}")]
    RateLimited {
        /// What was tried.
        attempt: Box<Attempt>,
        /// The answer.
        reply: Box<Reply>,
    },
    /// Any other answer that is not a success.
    #[error("{attempt}: {reply}")]
    Status {
        /// What was tried.
        attempt: Box<Attempt>,
        /// The answer.
        reply: Box<Reply>,
    },
    /// There was no answer.
    #[error("{attempt}: {source}")]
    Unreachable {
        /// What was tried.
        attempt: Box<Attempt>,
        /// What kind of failure it is.
        fault: Fault,
        /// The failure.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The answer does not follow the protocol.
    #[error("{attempt}: {reason}")]
    Protocol {
        /// What was tried.
        attempt: Box<Attempt>,
        /// What is wrong with the answer.
        reason: String,
    },
    /// The bytes are not those that were asked for.
    #[error("{attempt}: got the digest {actual} in place of {expected}")]
    DigestMismatch {
        /// What was tried.
        attempt: Box<Attempt>,
        /// What was asked for.
        expected: Digest,
        /// What came, or what the registry says it has.
        actual: Digest,
    },
    /// There are more or fewer bytes than the descriptor says.
    #[error("{attempt}: got {actual} bytes in place of {expected}")]
    SizeMismatch {
        /// What was tried.
        attempt: Box<Attempt>,
        /// What the descriptor says.
        expected: u64,
        /// What the registry has, at least.
        actual: u64,
    },
    /// A manifest or config could not be read.
    #[error("{attempt}: {source}")]
    Document {
        /// What was tried.
        attempt: Box<Attempt>,
        /// What is wrong with it.
        source: ImageError,
    },
    /// An index has no image for the platform.
    #[error("find an image for {wanted} in {subject}: it is for {}", available.join(", "))]
    NoPlatform {
        /// The index.
        subject: String,
        /// The platform that was asked for.
        wanted: String,
        /// The platforms that it has.
        available: Vec<String>,
    },
    /// What was to be uploaded could not be read.
    #[error("read what is uploaded as {subject}: {source}")]
    Source {
        /// The blob.
        subject: String,
        /// The failure.
        source: io::Error,
    },
    /// All hosts that were asked failed: mirrors first, the registry itself last.
    #[error("{}", join(failures))]
    Everywhere {
        /// One failure for each host.
        failures: Vec<RegistryError>,
    },
    /// [`Client::cancel`](crate::Client::cancel) was called.
    #[error("finish a request to {host}: it was cancelled")]
    Cancelled {
        /// The host that was asked.
        host: String,
    },
}

/// What `openssl req -x509` makes unless it is told otherwise.
const CA_AS_SERVER: &str = "the server's certificate is that of an authority (CA:TRUE), which counts only where this very certificate is trusted";

fn join(failures: &[RegistryError]) -> String {
    let all: Vec<String> = failures.iter().map(ToString::to_string).collect();
    all.join("; and to ")
}

impl RegistryError {
    /// What the user can do about it, if we know.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Denied { attempt, .. } => Some(format!(
                "log in with `rbuild login {}`, or check the credentials in ~/.docker/config.json and that they allow this; registries also answer so for repositories that do not exist",
                attempt.registry
            )),
            Self::NotFound { attempt, .. } => Some(format!(
                "check the spelling of the name and the tag, and that {} has them",
                attempt.host
            )),
            Self::RateLimited { .. } => Some(
                "wait a while, log in (limits are higher then), or configure a mirror".to_owned(),
            ),
            Self::Unreachable { attempt, fault, .. } => fault.hint(attempt),
            Self::Protocol { attempt, reason } if reason.contains("HTTPS server") => Some(format!(
                "the server speaks HTTPS: remove `http = true` from [registry.\"{}\"]",
                attempt.registry
            )),
            Self::NoPlatform { .. } => {
                Some("name one of these platforms with --platform".to_owned())
            }
            Self::Everywhere { failures } => failures.iter().rev().find_map(Self::hint),
            _ => None,
        }
    }

    /// Whether the same request may succeed later: the network failed, or the server was overloaded.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { fault, .. } => !matches!(fault, Fault::Certificate | Fault::NotTls),
            Self::RateLimited { .. } => true,
            Self::Status { reply, .. } => reply.is_transient(),
            Self::Everywhere { failures } => failures.iter().any(Self::is_transient),
            _ => false,
        }
    }

    /// Whether bytes were damaged on their way: to be downloaded again from the start.
    pub fn is_corruption(&self) -> bool {
        match self {
            Self::DigestMismatch { .. } | Self::SizeMismatch { .. } => true,
            Self::Everywhere { failures } => failures.iter().any(Self::is_corruption),
            _ => false,
        }
    }

    /// Whether a host did not answer in time.
    pub(crate) fn is_silence(&self) -> bool {
        matches!(
            self,
            Self::Unreachable {
                fault: Fault::Timeout,
                ..
            }
        )
    }

    /// Whether the registry says that there is no such thing.
    pub fn is_not_found(&self) -> bool {
        match self {
            Self::NotFound { .. } => true,
            // Hosts that do not answer say nothing against those that do.
            Self::Everywhere { failures } => {
                let silent = |error: &&Self| matches!(error, Self::Unreachable { .. });
                let mut answers = failures.iter().filter(|error| !silent(error)).peekable();
                answers.peek().is_some() && answers.all(Self::is_not_found)
            }
            _ => false,
        }
    }

    /// Whether a registry refuses a manifest since it lacks a blob that the manifest names.
    pub fn is_missing_blob(&self) -> bool {
        let (Self::NotFound { reply, .. } | Self::Status { reply, .. }) = self else {
            return false;
        };
        let codes = ["MANIFEST_BLOB_UNKNOWN", "BLOB_UNKNOWN", "MANIFEST_UNKNOWN"];
        codes.iter().any(|code| reply.has_code(code))
    }

    /// The error inside an [`io::Error`] from a [`BlobReader`](crate::BlobReader), if it is one of ours.
    pub fn in_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { reply, .. } | Self::Status { reply, .. } => reply.retry_after,
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> Option<u16> {
        match self {
            Self::Denied { reply, .. }
            | Self::NotFound { reply, .. }
            | Self::RateLimited { reply, .. }
            | Self::Status { reply, .. } => Some(reply.status),
            _ => None,
        }
    }

    pub(crate) fn of_reply(attempt: &Attempt, reply: Reply) -> Self {
        let attempt = Box::new(attempt.clone());
        let reply = Box::new(reply);
        match reply.status {
            401 | 403 => Self::Denied { attempt, reply },
            404 => Self::NotFound { attempt, reply },
            429 => Self::RateLimited { attempt, reply },
            400 if reply.is_plain_http_refusal() => Self::Protocol {
                attempt,
                reason: reply.to_string(),
            },
            _ => Self::Status { attempt, reply },
        }
    }

    pub(crate) fn protocol(attempt: &Attempt, reason: impl Into<String>) -> Self {
        Self::Protocol {
            attempt: Box::new(attempt.clone()),
            reason: reason.into(),
        }
    }

    pub(crate) fn unreachable(attempt: &Attempt, error: ureq::Error) -> Self {
        let fault = Fault::of(&error);
        let source: Box<dyn std::error::Error + Send + Sync> = match (fault, error) {
            (Fault::UnknownHost, _) => "the host name has no address".into(),
            (Fault::NotTls, _) => "the server does not speak HTTPS".into(),
            (Fault::Certificate, error) if error.to_string().contains("CaUsedAsEndEntity") => {
                CA_AS_SERVER.into()
            }
            (_, ureq::Error::Io(error)) => error.to_string().into(),
            (_, error) => error.into(),
        };
        Self::Unreachable {
            attempt: Box::new(attempt.clone()),
            fault,
            source,
        }
    }
}

impl From<RegistryError> for io::Error {
    fn from(error: RegistryError) -> Self {
        Self::other(error)
    }
}

impl Fault {
    fn of(error: &ureq::Error) -> Self {
        let text = error.to_string();
        if text.contains("invalid peer certificate") {
            return Self::Certificate;
        }
        if text.contains("corrupt message") {
            return Self::NotTls;
        }
        match error {
            ureq::Error::HostNotFound => Self::UnknownHost,
            ureq::Error::Timeout(_) => Self::Timeout,
            ureq::Error::Io(error) => match error.kind() {
                io::ErrorKind::ConnectionRefused => Self::Refused,
                io::ErrorKind::TimedOut | io::ErrorKind::WouldBlock => Self::Timeout,
                _ if text.contains("failed to lookup address") => Self::UnknownHost,
                _ => Self::Broken,
            },
            _ => Self::Broken,
        }
    }

    fn hint(self, attempt: &Attempt) -> Option<String> {
        let Attempt { host, registry, .. } = attempt;
        match self {
            Self::UnknownHost => Some(format!(
                "check the spelling of {host} and the network's DNS"
            )),
            Self::Refused => Some(format!("check that a registry listens at {host}")),
            Self::NotTls => Some(format!(
                "if the registry is meant to speak plain HTTP, set `http = true` in [registry.\"{registry}\"] of the configuration file"
            )),
            Self::Certificate => Some(format!(
                "add the certificate authority, or the certificate that the server made for itself, to `ca = [..]` in [registry.\"{registry}\"] of the configuration file, or set `insecure = true` there to trust any certificate"
            )),
            Self::Timeout | Self::Broken => None,
        }
    }
}

//! Requests and their answers, tried again while that may help.

use std::error::Error;
use std::fmt;
use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{Request, Response, Uri, header};
use ureq::{Body, SendBody};

use crate::ObjectsError;
use crate::error::Refusal;
use crate::web::Web;

/// The wait after the first failure; it doubles with each.
const FIRST_WAIT: Duration = Duration::from_millis(250);
/// The longest wait of our own accord. GitHub's limits are counted per minute.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How often a request is sent at most that nobody answers, or that the service fails at.
const ATTEMPTS: u32 = 6;
/// How much of an answer is read that should be short.
const MAX_TEXT_BYTES: u64 = 64 << 10;
/// How much of an unknown answer is told.
const MAX_TOLD_BYTES: usize = 300;

/// Sends requests. All clones share what one learns about being too fast.
#[derive(Clone)]
pub(super) struct Exchange {
    web: Arc<Web>,
    timeout: Duration,
    /// Until when the service wants to hear nothing.
    pause: Arc<Mutex<Option<Instant>>>,
}

/// A request that can be sent again.
pub(super) struct Outgoing<'a> {
    pub(super) method: &'static str,
    pub(super) url: &'a str,
    pub(super) headers: &'a [(&'static str, &'a str)],
    pub(super) body: &'a [u8],
}

/// An answer that is a success.
pub(super) struct Answer(Response<Body>);

/// Why there is none. Never holds a URL: those that we are given are as good as passwords.
#[derive(Debug)]
pub(super) enum Failure {
    /// The service said no.
    Status {
        /// 409.
        status: u16,
        /// Its words.
        said: String,
    },
    /// There was no answer.
    Unreachable(ureq::Error),
    /// The answer makes no sense.
    Protocol(String),
}

impl Exchange {
    /// Requests are tried again for `timeout` if the service is busy.
    pub(super) fn new(web: Web, timeout: Duration) -> Self {
        Self {
            web: Arc::new(web),
            timeout,
            pause: Arc::default(),
        }
    }

    /// Sends until there is a success, or a failure that will stay.
    pub(super) fn send(&self, request: &Outgoing<'_>) -> Result<Answer, Failure> {
        let begun = Instant::now();
        let mut failures = 0;
        loop {
            self.wait_for_pause();
            let (failure, asked) = match self.send_once(request) {
                Ok(answer) if answer.status().is_success() => return Ok(Answer(answer)),
                Ok(answer) => {
                    let asked = retry_after(&answer);
                    (refused(answer), asked)
                }
                Err(error) => (Failure::Unreachable(error), None),
            };
            failures += 1;
            let busy = matches!(failure, Failure::Status { status: 429, .. });
            let wait = asked.unwrap_or_else(|| wait_after(failures));
            let late = begun.elapsed() + wait > self.timeout;
            if !failure.may_pass() || late || (!busy && failures >= ATTEMPTS) {
                return Err(failure);
            }
            if busy {
                self.pause_for(wait);
            } else {
                std::thread::sleep(wait);
            }
        }
    }

    fn send_once(&self, request: &Outgoing<'_>) -> Result<Response<Body>, ureq::Error> {
        let url: Uri = request.url.parse().map_err(ureq::http::Error::from)?;
        let agent = self.web.agent(&url);
        let mut builder = Request::builder().method(request.method).uri(url);
        for (name, value) in request.headers {
            builder = builder.header(*name, *value);
        }
        if matches!(request.method, "GET" | "HEAD") {
            return agent.run(builder.body(SendBody::none())?);
        }
        let mut body = request.body;
        let builder = builder.header(header::CONTENT_LENGTH, body.len());
        agent.run(builder.body(SendBody::from_reader(&mut body))?)
    }

    fn wait_for_pause(&self) {
        let until = *self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(until) = until {
            std::thread::sleep(until.saturating_duration_since(Instant::now()));
        }
    }

    fn pause_for(&self, time: Duration) {
        let until = Instant::now() + time;
        let mut pause = self.pause.lock().unwrap_or_else(PoisonError::into_inner);
        *pause = Some(pause.map_or(until, |set| set.max(until)));
    }
}

impl Answer {
    /// A short body.
    pub(super) fn text(self) -> Result<String, Failure> {
        let mut bytes = Vec::new();
        let read = self.reader().take(MAX_TEXT_BYTES).read_to_end(&mut bytes);
        read.map_err(|error| Failure::Unreachable(ureq::Error::Io(error)))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    pub(super) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    pub(super) fn reader(self) -> impl Read + Send + 'static {
        self.0.into_body().into_reader()
    }
}

impl Failure {
    /// Whether it may go away by itself.
    fn may_pass(&self) -> bool {
        match self {
            Self::Status { status, .. } => matches!(status, 408 | 429 | 500 | 502 | 503 | 504),
            Self::Unreachable(error) => match error {
                ureq::Error::Io(error) => error.kind() != io::ErrorKind::InvalidData,
                ureq::Error::Timeout(_)
                | ureq::Error::HostNotFound
                | ureq::Error::ConnectionFailed
                | ureq::Error::Protocol(_) => true,
                _ => false,
            },
            Self::Protocol(_) => false,
        }
    }

    /// As a failure to do `action` to `object`.
    pub(super) fn at(self, action: &'static str, object: String) -> ObjectsError {
        let refusal = match self {
            Self::Status {
                status: 401 | 403, ..
            } => Refusal::Access,
            _ => Refusal::Other,
        };
        ObjectsError::at(action, object, refusal, self)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status { status, said } if said.is_empty() => {
                write!(f, "the service answers with {status}")
            }
            Self::Status { status, said } => write!(f, "the service answers with {status}: {said}"),
            Self::Unreachable(error) => error.fmt(f),
            Self::Protocol(said) => f.write_str(said),
        }
    }
}

impl Error for Failure {}

/// The words in a refusal: Twirp's `{"code": …, "msg": …}`, Azure's `<Code>`, or the beginning of what it is.
fn refused(answer: Response<Body>) -> Failure {
    let status = answer.status().as_u16();
    let text = Answer(answer).text().unwrap_or_default();
    let twirp = || -> Option<String> {
        let parsed: serde_json::Value = serde_json::from_str(&text).ok()?;
        Some(parsed.get("msg")?.as_str()?.to_owned())
    };
    let said = twirp().or_else(|| crate::reason::in_markup(&text));
    let said = said.unwrap_or_else(|| {
        let told = text
            .char_indices()
            .take_while(|(at, _)| *at < MAX_TOLD_BYTES);
        told.map(|(_, c)| c).filter(|c| !c.is_control()).collect()
    });
    Failure::Status { status, said }
}

fn retry_after(answer: &Response<Body>) -> Option<Duration> {
    let value = answer.headers().get(header::RETRY_AFTER)?;
    Some(Duration::from_secs(value.to_str().ok()?.parse().ok()?))
}

fn wait_after(failures: u32) -> Duration {
    let doubled = FIRST_WAIT.saturating_mul(1 << (failures - 1).min(16));
    doubled.min(LONGEST_WAIT)
}

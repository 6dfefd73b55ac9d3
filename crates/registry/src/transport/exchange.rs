//! Sending a request: retried, authorized, redirected.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use ureq::http::{Method, Request, Response};
use url::Url;

use super::agent::Agents;
use super::body::Body;
use super::cancel::CancelFlag;
use super::challenge::Challenge;
use super::endpoint::Endpoint;
use super::offline::Offline;
use super::redirect::{self, MAX_REDIRECTS};
use super::retry::Backoff;
use super::scope::Scope;
use super::site::Standing;
use super::token::Authorization;
use crate::reply::Reply;
use crate::{Attempt, Credentials, RegistryError};

/// What all requests share.
pub(crate) struct Transport {
    pub(crate) agents: Agents,
    pub(crate) credentials: Arc<dyn Credentials>,
    pub(crate) cancel: CancelFlag,
    pub(crate) offline: Offline,
}

/// How long an answer may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Patience {
    Normal,
    /// The registry has work to do before it answers.
    Commit,
}

/// Whether a failure that may pass is tried again here, or left to the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Retry {
    Yes,
    No,
}

/// A request to an endpoint.
pub(crate) struct Call<'a> {
    endpoint: &'a Endpoint,
    attempt: &'a Attempt,
    method: Method,
    headers: Vec<(&'static str, String)>,
    body: Body<'a>,
    scopes: Vec<Scope>,
    patience: Patience,
    retry: Retry,
    accepted: &'a [u16],
}

impl<'a> Call<'a> {
    pub(crate) fn new(endpoint: &'a Endpoint, attempt: &'a Attempt, method: Method) -> Self {
        Self {
            endpoint,
            attempt,
            method,
            headers: Vec::new(),
            body: Body::Nothing,
            scopes: Vec::new(),
            patience: Patience::Normal,
            retry: Retry::Yes,
            accepted: &[],
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: Body<'a>) -> Self {
        self.body = body;
        self
    }

    pub(crate) fn scopes(mut self, scopes: impl Into<Vec<Scope>>) -> Self {
        self.scopes = scopes.into();
        self
    }

    pub(crate) fn patience(mut self, patience: Patience) -> Self {
        self.patience = patience;
        self
    }

    pub(crate) fn retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// Statuses besides 2xx that are an answer and no error.
    pub(crate) fn accept(mut self, statuses: &'a [u16]) -> Self {
        self.accepted = statuses;
        self
    }
}

/// What came back.
pub(super) type Answer = Response<ureq::Body>;

impl Transport {
    /// Sends `call` to `path` below the endpoint's `/v2/`.
    pub(crate) fn send(&self, call: &Call<'_>, path: &str) -> Result<Answer, RegistryError> {
        let mut backoff = self.backoff(&call.attempt.subject);
        loop {
            let error = match call.endpoint.url(&self.agents, path) {
                Ok(url) => return self.send_to(call, &url),
                Err(error) => error,
            };
            if call.retry == Retry::No {
                return Err(error);
            }
            self.wait_after(call.endpoint, &mut backoff, error)?;
        }
    }

    /// Sends `call` to `url`, which the endpoint gave us.
    pub(crate) fn send_to(&self, call: &Call<'_>, url: &Url) -> Result<Answer, RegistryError> {
        self.retrying(call, || self.authorized(call, url))
    }

    /// Sends `call` to `url` with `authorization` and no other.
    pub(super) fn send_as(
        &self,
        call: &Call<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<Answer, RegistryError> {
        self.retrying(call, || {
            let answer = self.follow(call, url, authorization)?;
            judge(call, answer)
        })
    }

    pub(crate) fn backoff(&self, subject: &str) -> Backoff {
        Backoff::new(self.agents.options().retry, subject)
    }

    /// Waits before `error`'s request is tried again, or gives the error back.
    pub(crate) fn wait_after(
        &self,
        endpoint: &Endpoint,
        backoff: &mut Backoff,
        error: RegistryError,
    ) -> Result<(), RegistryError> {
        // Silence takes long enough once; there is somebody else to ask.
        let is_silent_mirror = error.is_silence() && endpoint.site().standing == Standing::Mirror;
        let Some(wait) = backoff.after(&error).filter(|_| !is_silent_mirror) else {
            return Err(error);
        };
        if error.retry_after().is_some() {
            endpoint.keep_quiet(wait);
        }
        self.pause(endpoint, wait)
    }

    pub(crate) fn check_cancelled(&self, endpoint: &Endpoint) -> Result<(), RegistryError> {
        if self.cancel.is_set() {
            return Err(RegistryError::Cancelled {
                host: endpoint.host.clone(),
            });
        }
        Ok(())
    }

    fn pause(&self, endpoint: &Endpoint, time: Duration) -> Result<(), RegistryError> {
        self.cancel.sleep(time);
        self.check_cancelled(endpoint)
    }

    fn retrying(
        &self,
        call: &Call<'_>,
        mut send: impl FnMut() -> Result<Answer, RegistryError>,
    ) -> Result<Answer, RegistryError> {
        let mut backoff = self.backoff(&call.attempt.subject);
        loop {
            if let Some(time) = call.endpoint.quiet_time() {
                self.pause(call.endpoint, time)?;
            }
            self.check_cancelled(call.endpoint)?;
            match send() {
                Err(error) if call.retry == Retry::Yes => {
                    self.wait_after(call.endpoint, &mut backoff, error)?;
                }
                other => return other,
            }
        }
    }

    /// Sends with what we know to be wanted; answers one challenge.
    fn authorized(&self, call: &Call<'_>, url: &Url) -> Result<Answer, RegistryError> {
        if !call.endpoint.is_origin(url) {
            return judge(call, self.follow(call, url, None)?);
        }
        let mut scopes = call.scopes.clone();
        let sent = self.authorization(call.endpoint, &scopes, None)?;
        let answer = self.follow(call, url, sent.as_ref())?;
        if answer.status().as_u16() != 401 {
            return judge(call, answer);
        }
        let told = Challenge::of(answer.headers());
        let Some(challenge) = told.map_or_else(|| self.first_challenge(call), |it| Ok(Some(it)))?
        else {
            return judge(call, answer);
        };
        if let Challenge::Bearer {
            scope: Some(wanted),
            ..
        } = &challenge
        {
            let wanted = Scope::given(wanted);
            if !scopes.iter().any(|scope| scope.covers(&wanted)) {
                scopes.push(wanted);
            }
        }
        *call
            .endpoint
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(challenge);
        let renewed = self.authorization(call.endpoint, &scopes, sent.as_ref())?;
        if renewed.is_none() || renewed == sent {
            return judge(call, answer);
        }
        drop(answer);
        judge(call, self.follow(call, url, renewed.as_ref())?)
    }

    /// How the registry wants to be convinced where its refusal does not say so: some tell it only to who knocks first.
    fn first_challenge(&self, call: &Call<'_>) -> Result<Option<Challenge>, RegistryError> {
        let known = call.endpoint.challenge.lock();
        if known.unwrap_or_else(PoisonError::into_inner).is_some() {
            return Ok(None);
        }
        let url = call.endpoint.url(&self.agents, "")?;
        let knock = Call::new(call.endpoint, call.attempt, Method::GET);
        let answer = self.follow(&knock, &url, None)?;
        Ok(Challenge::of(answer.headers()))
    }

    /// Follows redirects. The authorization stays with the host that it was meant for.
    fn follow(
        &self,
        call: &Call<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<Answer, RegistryError> {
        let mut at = url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let authorization = authorization.filter(|_| at.origin() == url.origin());
            let answer = self.once(call, &at, authorization)?;
            match redirect::target(call.endpoint, call.attempt, &call.method, &at, &answer)? {
                Some(next) => at = next,
                None => return Ok(answer),
            }
        }
        Err(RegistryError::protocol(call.attempt, "too many redirects"))
    }

    fn once(
        &self,
        call: &Call<'_>,
        url: &Url,
        authorization: Option<&Authorization>,
    ) -> Result<Answer, RegistryError> {
        let agent = call.endpoint.agent(&self.agents, url)?;
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(url.as_str());
        for (name, value) in &call.headers {
            request = request.header(*name, value);
        }
        if call.endpoint.is_origin(url) {
            for (name, value) in &call.endpoint.site().headers {
                request = request.header(name, value);
            }
        }
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization.as_str());
        }
        let options = self.agents.options();
        let patience = match call.patience {
            Patience::Normal => options.stall_timeout,
            Patience::Commit => options.commit_timeout,
        };
        let sent = call.body.send(|body, length| {
            let mut request = request;
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let request = request.body(body).map_err(ureq::Error::Http)?;
            let configured = agent.configure_request(request);
            let request = configured.timeout_per_read(Some(patience)).build();
            agent.run(request)
        });
        let source_failure = match &call.body {
            Body::Stream(source) => source.take_failure(),
            _ => None,
        };
        match (source_failure, sent) {
            (Some(source), _) => Err(RegistryError::Source {
                subject: call.attempt.subject.clone(),
                source,
            }),
            (None, sent) => sent.map_err(|error| RegistryError::unreachable(call.attempt, error)),
        }
    }
}

fn judge(call: &Call<'_>, answer: Answer) -> Result<Answer, RegistryError> {
    let status = answer.status();
    if status.is_success() || call.accepted.contains(&status.as_u16()) {
        return Ok(answer);
    }
    Err(RegistryError::of_reply(call.attempt, Reply::read(answer)))
}

//! Access tokens: asked for once per scope, kept until shortly before they expire.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use ureq::http::Method;
use url::Url;
use url::form_urlencoded::Serializer;

use super::body::Body;
use super::challenge::Challenge;
use super::endpoint::Endpoint;
use super::exchange::{Answer, Call, Patience, Retry, Transport};
use super::scope::Scope;
use crate::{Attempt, Credential, RegistryError};

/// What a token server that does not say grants (distribution's token specification).
const DEFAULT_LIFETIME: Duration = Duration::from_secs(60);
/// What is believed of a token's lifetime at most.
const LONGEST_LIFETIME: Duration = Duration::from_secs(24 * 60 * 60);
/// A token is renewed this long before its end.
const MARGIN: Duration = Duration::from_secs(10);
/// How much of a token server's answer is read, in bytes.
const MAX_TOKEN_BYTES: u64 = 1 << 20;
/// How we call ourselves to OAuth 2 servers.
const CLIENT_ID: &str = "rbuild";

/// The value of an `Authorization` header.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Authorization(String);

impl Authorization {
    pub(super) fn basic(username: &str, password: &str) -> Self {
        Self(format!(
            "Basic {}",
            STANDARD.encode(format!("{username}:{password}"))
        ))
    }

    fn bearer(token: &str) -> Self {
        Self(format!("Bearer {token}"))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The place of one scope's token; its lock makes one thread ask while others wait.
#[derive(Default)]
pub(crate) struct TokenSlot(Mutex<Option<Token>>);

struct Token {
    authorization: Authorization,
    renew_at: Instant,
}

/// Who is asked for a token, and for which.
struct TokenServer<'a> {
    endpoint: &'a Endpoint,
    attempt: &'a Attempt,
    realm: &'a Url,
    service: Option<&'a str>,
    scopes: &'a [Scope],
}

#[derive(Deserialize)]
struct TokenReply {
    token: Option<String>,
    access_token: Option<String>,
    expires_in: Option<u64>,
    refresh_token: Option<String>,
}

impl Transport {
    /// What to send to `endpoint` for `scopes`, as far as its challenge is known. `refused` was sent and not
    /// accepted: anything but that.
    pub(super) fn authorization(
        &self,
        endpoint: &Endpoint,
        scopes: &[Scope],
        refused: Option<&Authorization>,
    ) -> Result<Option<Authorization>, RegistryError> {
        let challenge = endpoint
            .challenge
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        let Some(challenge) = challenge else {
            return Ok(None);
        };
        // The repository that is worked on comes first; others are mounted from, or what a challenge added.
        let repository = scopes.first().and_then(Scope::repository);
        let credential = self.credentials.get(&endpoint.registry, repository)?;
        match (&challenge, credential) {
            (_, Some(Credential::RegistryToken(token))) => Ok(Some(Authorization::bearer(&token))),
            (Challenge::Basic, Some(Credential::Password { username, password })) => {
                Ok(Some(Authorization::basic(&username, &password)))
            }
            (Challenge::Basic, _) => Ok(None),
            (Challenge::Bearer { .. }, credential) => self
                .token(endpoint, &challenge, credential.as_ref(), scopes, refused)
                .map(Some),
        }
    }

    fn token(
        &self,
        endpoint: &Endpoint,
        challenge: &Challenge,
        credential: Option<&Credential>,
        scopes: &[Scope],
        refused: Option<&Authorization>,
    ) -> Result<Authorization, RegistryError> {
        let slot = {
            let mut tokens = endpoint
                .tokens
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            Arc::clone(tokens.entry(scopes.to_vec()).or_default())
        };
        let mut slot = slot.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = &*slot
            && token.renew_at > Instant::now()
            && refused != Some(&token.authorization)
        {
            return Ok(token.authorization.clone());
        }
        let token = self.fetch_token(endpoint, challenge, credential, scopes)?;
        let authorization = token.authorization.clone();
        *slot = Some(token);
        Ok(authorization)
    }

    fn fetch_token(
        &self,
        endpoint: &Endpoint,
        challenge: &Challenge,
        credential: Option<&Credential>,
        scopes: &[Scope],
    ) -> Result<Token, RegistryError> {
        let Challenge::Bearer { realm, service, .. } = challenge else {
            unreachable!("tokens are for bearer challenges");
        };
        let attempt = Attempt {
            action: "get an access token for",
            subject: endpoint.registry.clone(),
            host: host_of(realm),
            registry: endpoint.registry.clone(),
        };
        let realm = self.check_realm(endpoint, &attempt, realm, credential)?;
        let asked_at = Instant::now();
        let server = TokenServer {
            endpoint,
            attempt: &attempt,
            realm: &realm,
            service: service.as_deref(),
            scopes,
        };
        let response = match credential {
            Some(Credential::IdentityToken(token)) => self.token_by_form(
                &server,
                &[("grant_type", "refresh_token"), ("refresh_token", token)],
            )?,
            Some(Credential::Password { username, password }) => {
                self.token_by_password(&server, username, password)?
            }
            _ => self.token_by_query(&server, None)?,
        };
        let mut bytes = Vec::new();
        response
            .into_body()
            .into_reader()
            .take(MAX_TOKEN_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| RegistryError::unreachable(&attempt, error.into()))?;
        if self.offline.is_wanted()
            && let Some(token) = offline_token(&bytes)
        {
            self.offline.give(token);
        }
        understand(&bytes, asked_at)
            .ok_or_else(|| RegistryError::protocol(&attempt, "an answer without a token"))
    }

    /// Servers that keep to distribution's specification know both ways; some know one of them only.
    fn token_by_password(
        &self,
        server: &TokenServer<'_>,
        username: &str,
        password: &str,
    ) -> Result<Answer, RegistryError> {
        let refused = match self.token_by_query(server, Some((username, password))) {
            Err(error) if error.status().is_some_and(may_want_a_form) => error,
            other => return other,
        };
        let mut pairs = vec![
            ("grant_type", "password"),
            ("username", username),
            ("password", password),
        ];
        if self.offline.is_wanted() {
            pairs.push(("access_type", "offline"));
        }
        self.token_by_form(server, &pairs).map_err(|error| {
            // A server that does not know one way has said what is wrong on the other.
            if refused.status().is_some_and(is_no_such_way) {
                error
            } else {
                refused
            }
        })
    }

    /// Asks by GET: the password, if any, is in a header.
    fn token_by_query(
        &self,
        server: &TokenServer<'_>,
        password: Option<(&str, &str)>,
    ) -> Result<Answer, RegistryError> {
        let mut url = server.realm.clone();
        if let Some(service) = server.service {
            url.query_pairs_mut().append_pair("service", service);
        }
        for scope in server.scopes {
            url.query_pairs_mut().append_pair("scope", scope.as_str());
        }
        if let Some((username, _)) = password
            && self.offline.is_wanted()
        {
            url.query_pairs_mut()
                .append_pair("account", username)
                .append_pair("client_id", CLIENT_ID)
                .append_pair("offline_token", "true");
        }
        let authorization =
            password.map(|(username, password)| Authorization::basic(username, password));
        let call = token_call(server.endpoint, server.attempt, Method::GET);
        self.send_as(&call, &url, authorization.as_ref())
    }

    /// Asks by POST, as OAuth 2 does: `grant` is in the form.
    fn token_by_form(
        &self,
        server: &TokenServer<'_>,
        grant: &[(&str, &str)],
    ) -> Result<Answer, RegistryError> {
        let mut form = Serializer::new(String::new());
        form.extend_pairs(grant)
            .append_pair("client_id", CLIENT_ID)
            .append_pair("scope", &joined(server.scopes));
        if let Some(service) = server.service {
            form.append_pair("service", service);
        }
        let form = form.finish();
        let call = token_call(server.endpoint, server.attempt, Method::POST)
            .header("content-type", "application/x-www-form-urlencoded")
            .body(Body::Bytes(form.as_bytes()));
        self.send_as(&call, server.realm, None)
    }

    /// A token server may be anywhere, but a registry in HTTPS must not have our password sent in the clear.
    fn check_realm(
        &self,
        endpoint: &Endpoint,
        attempt: &Attempt,
        realm: &str,
        credential: Option<&Credential>,
    ) -> Result<Url, RegistryError> {
        let base = endpoint.url(&self.agents, "")?;
        let realm = base
            .join(realm)
            .map_err(|_| RegistryError::protocol(attempt, "a malformed token realm"))?;
        match realm.scheme() {
            "https" => Ok(realm),
            "http" if credential.is_none() || endpoint.allows_http() => Ok(realm),
            _ => Err(RegistryError::protocol(
                attempt,
                "the token server is not reached by HTTPS, so no credentials are sent to it",
            )),
        }
    }
}

/// Whether a server that answers a GET so may give a token for a form: 404 and 405 say that there is no such way, 400, 401 and 403
/// may as well mean that no form came.
fn may_want_a_form(status: u16) -> bool {
    matches!(status, 400 | 401 | 403) || is_no_such_way(status)
}

fn is_no_such_way(status: u16) -> bool {
    matches!(status, 404 | 405)
}

fn token_call<'a>(endpoint: &'a Endpoint, attempt: &'a Attempt, method: Method) -> Call<'a> {
    Call::new(endpoint, attempt, method)
        .patience(Patience::Normal)
        .retry(Retry::Yes)
}

fn joined(scopes: &[Scope]) -> String {
    let all: Vec<&str> = scopes.iter().map(Scope::as_str).collect();
    all.join(" ")
}

fn host_of(realm: &str) -> String {
    let url = Url::parse(realm).ok();
    let authority = url.map(|url| url.authority().to_owned());
    authority.unwrap_or_else(|| "the token server".to_owned())
}

/// What may be kept in place of the password.
fn offline_token(bytes: &[u8]) -> Option<String> {
    let reply: TokenReply = serde_json::from_slice(bytes).ok()?;
    reply.refresh_token.filter(|token| !token.is_empty())
}

fn understand(bytes: &[u8], asked_at: Instant) -> Option<Token> {
    let reply: TokenReply = serde_json::from_slice(bytes).ok()?;
    let text = reply
        .token
        .filter(|token| !token.is_empty())
        .or(reply.access_token)?;
    // It goes into a header.
    let printable = |b: u8| b.is_ascii_graphic();
    if text.is_empty() || !text.bytes().all(printable) {
        return None;
    }
    let lifetime = reply
        .expires_in
        .map_or(DEFAULT_LIFETIME, Duration::from_secs)
        .min(LONGEST_LIFETIME);
    Some(Token {
        authorization: Authorization::bearer(&text),
        renew_at: asked_at + lifetime.saturating_sub(MARGIN.min(lifetime / 2)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_names_of_a_token_are_read() {
        let now = Instant::now();
        let token = |text: &str| {
            understand(text.as_bytes(), now).map(|token| {
                (
                    token.authorization.as_str().to_owned(),
                    token.renew_at - now,
                )
            })
        };
        let seconds = Duration::from_secs;
        assert_eq!(
            token(r#"{"token":"a"}"#),
            Some(("Bearer a".to_owned(), seconds(50)))
        );
        assert_eq!(
            token(r#"{"access_token":"b","expires_in":300}"#),
            Some(("Bearer b".to_owned(), seconds(290)))
        );
        assert_eq!(
            token(r#"{"token":"a","expires_in":2}"#),
            Some(("Bearer a".to_owned(), seconds(1)))
        );
        assert_eq!(token("{}"), None);
        assert_eq!(token(r#"{"token":"a\r\nx: y"}"#), None);
    }
}

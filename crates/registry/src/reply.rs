//! An answer that is not a success, as registries explain it (distribution-spec, "Error Codes").

use std::fmt;
use std::io::Read;
use std::time::{Duration, SystemTime};

use serde::Deserialize;
use ureq::http::{HeaderMap, Response, StatusCode};

/// How much of an error's body is read, in bytes.
const MAX_ERROR_BYTES: u64 = 16 << 10;
/// How much of a body that is not the protocol's JSON is shown, in characters.
const MAX_SHOWN_CHARS: usize = 200;

/// A status and what the registry says about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The HTTP status.
    pub status: u16,
    /// The registry's own errors.
    pub errors: Vec<ApiError>,
    /// The beginning of a body of another form.
    pub text: String,
    /// How long the server asks us to wait.
    pub retry_after: Option<Duration>,
}

/// One of the registry's own errors.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ApiError {
    /// `MANIFEST_UNKNOWN`.
    #[serde(default)]
    pub code: String,
    /// The registry's words.
    #[serde(default)]
    pub message: String,
}

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    errors: Vec<ApiError>,
    /// Token servers' forms.
    #[serde(default, alias = "error_description", alias = "message")]
    details: Option<String>,
}

impl Reply {
    /// Reads the answer's explanation.
    pub(crate) fn read(response: Response<ureq::Body>) -> Self {
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        // Whatever came before the connection broke explains enough.
        let _ = body
            .into_reader()
            .take(MAX_ERROR_BYTES)
            .read_to_end(&mut bytes);
        Self::new(parts.status, &parts.headers, &bytes)
    }

    fn new(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        let (errors, text) = match serde_json::from_slice::<Body>(body) {
            Ok(body) if !body.errors.is_empty() => (body.errors, String::new()),
            Ok(Body { details, .. }) => (Vec::new(), details.unwrap_or_default()),
            Err(_) => (Vec::new(), String::from_utf8_lossy(body).into_owned()),
        };
        let errors = errors.into_iter().map(|error| ApiError {
            code: one_line(&error.code),
            message: one_line(&error.message),
        });
        Self {
            status: status.as_u16(),
            errors: errors.collect(),
            text: if text.trim_start().starts_with('<') {
                String::new() // a proxy's page in HTML
            } else {
                one_line(&text)
            },
            retry_after: retry_after(headers),
        }
    }

    /// Whether the same request may succeed later.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.status, 408 | 429 | 500 | 502 | 503 | 504)
    }

    /// Whether a TLS server tells that it was spoken to in plain HTTP.
    pub(crate) fn is_plain_http_refusal(&self) -> bool {
        self.text.contains("HTTP request to an HTTPS server")
    }

    /// Whether one of the registry's errors has `code`.
    pub(crate) fn has_code(&self, code: &str) -> bool {
        self.errors.iter().any(|error| error.code == code)
    }
}

impl fmt::Display for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.status)?;
        let status = StatusCode::from_u16(self.status).ok();
        if let Some(reason) = status.and_then(|status| status.canonical_reason()) {
            write!(f, " {reason}")?;
        }
        for error in &self.errors {
            write!(f, ": {}", error.code)?;
            if !error.message.is_empty() {
                write!(f, ": {}", error.message)?;
            }
        }
        if !self.text.is_empty() {
            write!(f, ": {}", self.text)?;
        }
        Ok(())
    }
}

/// Text from a stranger, fit for a terminal.
fn one_line(text: &str) -> String {
    let clean: String = text
        .trim()
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(MAX_SHOWN_CHARS)
        .collect();
    clean.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// RFC 9110, 10.2.3: seconds, or a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(SystemTime::now()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reply(status: u16, body: &str) -> Reply {
        let status = StatusCode::from_u16(status).expect("a status");
        Reply::new(status, &HeaderMap::new(), body.as_bytes())
    }

    #[test]
    fn the_registrys_own_words_are_shown() {
        let body =
            r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{}}]}"#;
        let text = reply(404, body).to_string();
        assert_eq!(text, "404 Not Found: MANIFEST_UNKNOWN: manifest unknown");
        assert_eq!(
            reply(401, r#"{"details":"incorrect password"}"#).to_string(),
            "401 Unauthorized: incorrect password"
        );
    }

    #[test]
    fn a_page_in_html_and_control_characters_are_not_shown() {
        assert_eq!(
            reply(502, "<html><b>nginx</b>").to_string(),
            "502 Bad Gateway"
        );
        assert_eq!(
            reply(500, "a\x1b[31mb\n").to_string(),
            "500 Internal Server Error: a [31mb"
        );
        assert!(reply(500, &"x".repeat(10_000)).to_string().len() < 300);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let wait = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("retry-after", text.parse().expect("a value"));
            retry_after(&headers)
        };
        assert_eq!(wait("7"), Some(Duration::from_secs(7)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::ZERO));
        assert_eq!(wait("soon"), None);
    }
}

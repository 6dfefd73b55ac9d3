//! Going where a registry sends us: to its storage, without our credentials.

use ureq::http::{Method, Response};
use url::Url;

use super::endpoint::Endpoint;
use crate::{Attempt, RegistryError};

/// How many redirects are followed.
pub(super) const MAX_REDIRECTS: usize = 10;

/// Where the answer to a request for `url` sends us; `None` if it is not a redirect that can be followed.
pub(super) fn target(
    endpoint: &Endpoint,
    attempt: &Attempt,
    method: &Method,
    url: &Url,
    response: &Response<ureq::Body>,
) -> Result<Option<Url>, RegistryError> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    let redirects = match response.status().as_u16() {
        301..=303 => reads,
        307 | 308 => true,
        _ => false,
    };
    if !redirects {
        return Ok(None);
    }
    let location = response.headers().get("location");
    let Some(location) = location.and_then(|value| value.to_str().ok()) else {
        return Err(RegistryError::protocol(
            attempt,
            "a redirect without a target",
        ));
    };
    let next = url
        .join(location)
        .map_err(|_| RegistryError::protocol(attempt, "a redirect to a malformed URL"))?;
    match next.scheme() {
        "https" => Ok(Some(next)),
        "http" if url.scheme() == "http" || endpoint.allows_http() => Ok(Some(next)),
        _ => Err(RegistryError::protocol(
            attempt,
            format!(
                "a redirect away from HTTPS, to {}",
                next.host_str().unwrap_or("?")
            ),
        )),
    }
}

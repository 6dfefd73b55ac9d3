//! The service that knows keys: Twirp, which is JSON in a POST.

use serde::{Deserialize, Serialize};
use ureq::http::Uri;

use super::exchange::{Exchange, Failure, Outgoing};

/// Where its methods are.
const PATH: &str = "twirp/github.actions.results.api.v1.CacheService/";
/// Entries are found only under the version they were written with. Others hash their tools' paths into it; ours says
/// what the keys mean: sha256 of `rbuild-objects-1`. Another version finds nothing of this one's.
const VERSION: &str = "bbc8a1a02e090d6c0dca0db84177670f13724496583642efb78206207ddc4ee0";

/// The service of one repository.
pub(super) struct Service {
    base: String,
    token: String,
}

/// Whose a key is.
#[derive(Debug)]
pub(super) enum Reserved {
    /// Ours: the bytes go to this URL.
    Ours(String),
    /// Somebody else's, who may have filled it or not.
    Taken,
}

#[derive(Serialize)]
struct CreateRequest<'a> {
    key: &'a str,
    version: &'a str,
}

#[derive(Deserialize)]
struct CreateReply {
    ok: bool,
    #[serde(default, alias = "signedUploadUrl")]
    signed_upload_url: String,
    #[serde(default)]
    message: String,
}

#[derive(Serialize)]
struct FinalizeRequest<'a> {
    key: &'a str,
    /// 64 bits are text in protobuf's JSON.
    size_bytes: String,
    version: &'a str,
}

#[derive(Deserialize)]
struct FinalizeReply {
    ok: bool,
    #[serde(default)]
    message: String,
}

#[derive(Serialize)]
struct FindRequest<'a> {
    key: &'a str,
    restore_keys: [&'a str; 1],
    version: &'a str,
}

#[derive(Deserialize)]
struct FindReply {
    ok: bool,
    #[serde(default, alias = "signedDownloadUrl")]
    signed_download_url: String,
    #[serde(default, alias = "matchedKey")]
    matched_key: String,
}

impl Service {
    pub(super) fn new(url: &str, token: &str) -> Result<Self, String> {
        let base = format!("{}/{PATH}", url.trim_end_matches('/'));
        let parsed: Uri = base.parse().map_err(|_| format!("{url:?} is not a URL"))?;
        if !matches!(parsed.scheme_str(), Some("http" | "https")) {
            return Err(format!("{url:?} is not an http or https URL"));
        }
        Ok(Self {
            base,
            token: token.to_owned(),
        })
    }

    /// Asks for a key.
    pub(super) fn reserve(&self, exchange: &Exchange, key: &str) -> Result<Reserved, Failure> {
        let request = CreateRequest {
            key,
            version: VERSION,
        };
        let reply: CreateReply = match self.call(exchange, "CreateCacheEntry", &request) {
            Err(Failure::Status { status: 409, .. }) => return Ok(Reserved::Taken),
            other => other?,
        };
        if reply.ok && !reply.signed_upload_url.is_empty() {
            Ok(Reserved::Ours(reply.signed_upload_url))
        } else if reply.message.is_empty() {
            // So do services that are not GitHub's say that it is taken.
            Ok(Reserved::Taken)
        } else {
            Err(Failure::Protocol(reply.message))
        }
    }

    /// Says that all `size` bytes of the key are there.
    pub(super) fn finalize(
        &self,
        exchange: &Exchange,
        key: &str,
        size: u64,
    ) -> Result<(), Failure> {
        let request = FinalizeRequest {
            key,
            size_bytes: size.to_string(),
            version: VERSION,
        };
        let reply: FinalizeReply = self.call(exchange, "FinalizeCacheEntryUpload", &request)?;
        if reply.ok {
            return Ok(());
        }
        let said = if reply.message.is_empty() {
            "the service did not accept the upload".to_owned()
        } else {
            reply.message
        };
        Err(Failure::Protocol(said))
    }

    /// Where the newest entry is whose key begins with `keys`.
    pub(super) fn find(&self, exchange: &Exchange, keys: &str) -> Result<Option<String>, Failure> {
        let request = FindRequest {
            key: keys,
            restore_keys: [keys],
            version: VERSION,
        };
        let reply: FindReply = match self.call(exchange, "GetCacheEntryDownloadURL", &request) {
            Err(Failure::Status { status: 404, .. }) => return Ok(None),
            other => other?,
        };
        // Keys may come back in other letters.
        let matched = reply.matched_key.get(..keys.len());
        let fits = matched.is_some_and(|start| start.eq_ignore_ascii_case(keys));
        Ok(Some(reply.signed_download_url).filter(|url| reply.ok && fits && !url.is_empty()))
    }

    fn call<T: for<'a> Deserialize<'a>>(
        &self,
        exchange: &Exchange,
        method: &str,
        request: &impl Serialize,
    ) -> Result<T, Failure> {
        let body = serde_json::to_vec(request).expect("texts are valid JSON");
        let answer = exchange.send(&Outgoing {
            method: "POST",
            url: &format!("{}{method}", self.base),
            headers: &[
                ("Authorization", &format!("Bearer {}", self.token)),
                ("Content-Type", "application/json"),
                ("Accept", "application/json"),
            ],
            body: &body,
        })?;
        let text = answer.text()?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::Protocol(format!("{method} is not answered in JSON: {error}"))
        })
    }
}

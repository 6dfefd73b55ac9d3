//! Makes a container of Azure Blob Storage, which the `object_store` crate does not.

use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use object_store::azure::{AzureCredential, AzureCredentialProvider};
use sha2::{Digest, Sha256};
use ureq::SendBody;
use ureq::http::{Request, Uri};

use crate::ObjectsError;
use crate::runtime::Runtime;
use crate::web::Web;

/// What the form of the signature belongs to.
const API_VERSION: &str = "2020-10-02";
/// What SHA-256 takes at once, in bytes.
const HASH_BLOCK_BYTES: usize = 64;

/// A container that may not be there yet.
pub(crate) struct Container {
    pub(crate) url: Uri,
    pub(crate) web: Arc<Web>,
    pub(crate) account: String,
    pub(crate) who: Who,
    pub(crate) is_there: OnceLock<()>,
}

/// How a request is signed.
pub(crate) enum Who {
    /// With the account's key.
    Key(Vec<u8>),
    /// With a token.
    Token(AzureCredentialProvider),
}

impl Container {
    /// Makes the container, once. Where we may not, it is left to the first upload to fail.
    pub(crate) fn make(&self, runtime: &Runtime) -> Result<(), ObjectsError> {
        if self.is_there.get().is_some() {
            return Ok(());
        }
        let failed = |source| ObjectsError::Store {
            action: "create container",
            object: self.url.to_string(),
            source,
        };
        let date = httpdate::fmt_http_date(SystemTime::now());
        let authorization = match &self.who {
            Who::Key(key) => self.signature(key, &date),
            Who::Token(provider) => match &*runtime
                .block_on(provider.get_credential())
                .map_err(|error| failed(error.into()))?
            {
                AzureCredential::BearerToken(token) => format!("Bearer {token}"),
                _ => return Ok(()),
            },
        };
        let mut nothing = std::io::empty();
        let request = Request::put(format!("{}?restype=container", self.url))
            .header("Authorization", authorization)
            .header("Content-Length", "0")
            .header("x-ms-date", &date)
            .header("x-ms-version", API_VERSION)
            .body(SendBody::from_reader(&mut nothing));
        let sent = request
            .map_err(ureq::Error::from)
            .and_then(|request| self.web.agent(&self.url).run(request));
        let answer = sent.map_err(|error| failed(error.into()))?;
        // 409: it is there, as it should be.
        match answer.status().as_u16() {
            201 | 403 | 409 => {
                self.is_there.get_or_init(|| ());
                Ok(())
            }
            status => Err(failed(format!("the service answers with {status}").into())),
        }
    }

    /// `SharedKey`: what is asked for, in Azure's order, under the account's key.
    fn signature(&self, key: &[u8], date: &str) -> String {
        let empty_headers = "\n".repeat(12);
        let text = format!(
            "PUT{empty_headers}x-ms-date:{date}\nx-ms-version:{API_VERSION}\n/{}{}\nrestype:container",
            self.account,
            self.url.path()
        );
        let signature = BASE64_STANDARD.encode(hmac(key, text.as_bytes()));
        format!("SharedKey {}:{signature}", self.account)
    }
}

/// HMAC-SHA256 (RFC 2104).
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; HASH_BLOCK_BYTES];
    if key.len() > HASH_BLOCK_BYTES {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let inner = Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x36))
        .chain_update(text)
        .finalize();
    Sha256::new()
        .chain_update(block.map(|byte| byte ^ 0x5c))
        .chain_update(inner)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_those_of_the_standard() {
        // RFC 4231, test cases 2 and 6.
        assert_eq!(
            BASE64_STANDARD.encode(hmac(b"Jefe", b"what do ya want for nothing?")),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
        let text = b"Test Using Larger Than Block-Size Key - Hash Key First";
        let hash: String = hmac(&[0xaa; 131], text)[..4]
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect::<Vec<_>>()
            .concat();
        assert_eq!(hash, "60e43159");
    }
}

//! What proves to a server who asks.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// An authorization for one host, from the secrets `HTTP_AUTH_TOKEN_<host>`, `HTTP_AUTH_HEADER_<host>`,
/// `GIT_AUTH_TOKEN[.host]` and `GIT_AUTH_HEADER[.host]`. It prints as its kind alone.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Authorization {
    /// None.
    #[default]
    None,
    /// A token: `Bearer` over HTTP, the password of user `x-access-token` for git.
    Token(String),
    /// The whole value of the `Authorization` header.
    Header(String),
}

impl Authorization {
    pub(crate) fn http_header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Token(token) => Some(format!("Bearer {}", token.trim())),
            Self::Header(header) => Some(header.trim().to_owned()),
        }
    }

    pub(crate) fn git_header(&self) -> Option<String> {
        match self {
            Self::None => None,
            Self::Token(token) => {
                let pair = format!("x-access-token:{}", token.trim());
                Some(format!("Basic {}", STANDARD.encode(pair)))
            }
            Self::Header(header) => Some(header.trim().to_owned()),
        }
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::None => "None",
            Self::Token(_) => "Token(…)",
            Self::Header(_) => "Header(…)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_become_what_each_server_expects() {
        let token = Authorization::Token("t0\n".to_owned());
        assert_eq!(token.http_header().as_deref(), Some("Bearer t0"));
        assert_eq!(
            token.git_header().as_deref(),
            Some("Basic eC1hY2Nlc3MtdG9rZW46dDA=")
        );
        assert_eq!(format!("{token:?}"), "Token(…)");
    }
}

//! `HTTP_PROXY`, `HTTPS_PROXY`, `NO_PROXY`.

use ureq::Proxy;

use crate::WebError;

/// Which proxies stand between us and the web. Empty texts are as good as none.
#[derive(Debug, Clone, Default)]
pub struct Proxies {
    /// For plain HTTP.
    pub http: Option<String>,
    /// For HTTPS.
    pub https: Option<String>,
    /// Hosts that are reached directly, separated by commas.
    pub no_proxy: Option<String>,
}

impl Proxies {
    /// The proxy for plain HTTP, if there is one.
    pub fn for_http(&self) -> Result<Option<Proxy>, WebError> {
        self.proxy(self.http.as_deref())
    }

    /// The proxy for HTTPS, if there is one.
    pub fn for_https(&self) -> Result<Option<Proxy>, WebError> {
        self.proxy(self.https.as_deref())
    }

    fn proxy(&self, url: Option<&str>) -> Result<Option<Proxy>, WebError> {
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            return Ok(None);
        };
        let parsed = Proxy::new(url).map_err(|_| WebError::Proxy)?;
        let mut builder = Proxy::builder(parsed.protocol())
            .host(parsed.host())
            .port(parsed.port());
        if let Some(username) = parsed.username() {
            builder = builder.username(username);
        }
        if let Some(password) = parsed.password() {
            builder = builder.password(password);
        }
        let direct = self.no_proxy.as_deref().unwrap_or_default();
        for host in direct.split(',').map(str::trim).filter(|h| !h.is_empty()) {
            builder = builder.no_proxy(host);
        }
        builder.build().map(Some).map_err(|_| WebError::Proxy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_keeps_its_password_and_an_empty_one_is_none() {
        let proxies = Proxies {
            http: Some("http://me:secret@proxy:3128".to_owned()),
            https: Some(String::new()),
            no_proxy: None,
        };
        let proxy = proxies.for_http().expect("a proxy").expect("a proxy");
        assert_eq!(
            (proxy.host(), proxy.username(), proxy.password()),
            ("proxy", Some("me"), Some("secret"))
        );
        assert!(proxies.for_https().expect("no mistake").is_none());
    }

    #[test]
    fn a_malformed_proxy_is_refused_without_its_password() {
        let proxies = Proxies {
            http: Some("ftp://me:secret@proxy:3128".to_owned()),
            ..Proxies::default()
        };
        let error = proxies.for_http().expect_err("no proxy");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}

//! A token server in front of an open registry (distribution's token specification).

use std::collections::{BTreeSet, HashMap};

use crate::http::{Recorded, answer, decoded};

/// Who gets tokens.
#[derive(Debug, Clone, Default)]
pub struct TokenRules {
    /// `user:password` in base64, if not everyone.
    pub basic: Option<String>,
    /// The identity token that is taken in its place.
    pub identity_token: Option<String>,
    /// The identity token that is given to whoever shows the password and asks for one; it is taken from then on.
    pub refresh_token: Option<String>,
    /// User and password that are taken in a form alone (OAuth 2's password grant): nothing else is answered.
    pub password_form: Option<(String, String)>,
    /// What is said of the lifetime, in seconds.
    pub expires_in: Option<u64>,
}

/// The tokens that were given.
#[derive(Debug, Default)]
pub(crate) struct Tokens {
    pub(crate) rules: Option<TokenRules>,
    granted: HashMap<String, BTreeSet<String>>,
    count: u32,
}

impl Tokens {
    pub(crate) fn revoke_all(&mut self) {
        self.granted.clear();
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    /// The answer to a request, if it is for the token server or lacks a token.
    pub(crate) fn intercept(
        &mut self,
        host: &str,
        request: &Recorded,
        body: &[u8],
    ) -> Option<Vec<u8>> {
        let rules = self.rules.clone()?;
        if request.path.starts_with("/token") {
            return Some(self.grant(&rules, request, body));
        }
        let scope = scope_of(request);
        let given = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "))
            .and_then(|token| self.granted.get(token));
        let allowed = given.is_some_and(|scopes| {
            scope.is_empty()
                || scopes.contains(&scope)
                || scopes.contains(&scope.replace(":pull", ":pull,push"))
        });
        if allowed {
            return None;
        }
        let challenge =
            format!("Bearer realm=\"http://{host}/token\",service=\"test\",scope=\"{scope}\"");
        let headers = [("WWW-Authenticate".to_owned(), challenge)];
        let body = br#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
        Some(answer(401, &headers, body))
    }

    fn grant(&mut self, rules: &TokenRules, request: &Recorded, body: &[u8]) -> Vec<u8> {
        let query = request.path.split_once('?').map_or("", |(_, query)| query);
        let form = String::from_utf8_lossy(body).into_owned();
        let parameters: Vec<(String, String)> = [query, &form]
            .iter()
            .flat_map(|text| text.split('&'))
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), decoded(value)))
            .collect();
        let has = |name: &str, value: &str| parameters.iter().any(|(n, v)| n == name && v == value);
        if rules.password_form.is_some() && request.method != "POST" {
            return answer(405, &[], b"");
        }
        let identity = rules
            .identity_token
            .as_ref()
            .or(rules.refresh_token.as_ref());
        let known = match (&rules.basic, identity, &rules.password_form) {
            (None, None, None) => true,
            (_, _, Some((username, password))) => {
                has("grant_type", "password")
                    && has("username", username)
                    && has("password", password)
            }
            (basic, identity, None) => {
                let sent = request
                    .header("authorization")
                    .and_then(|v| v.strip_prefix("Basic "));
                basic.as_deref().is_some_and(|basic| sent == Some(basic))
                    || identity.is_some_and(|token| {
                        has("grant_type", "refresh_token") && has("refresh_token", token)
                    })
            }
        };
        if !known {
            return answer(401, &[], br#"{"details":"incorrect username or password"}"#);
        }
        let scopes = parameters
            .iter()
            .filter(|(name, _)| name == "scope")
            .flat_map(|(_, scopes)| scopes.split(' '))
            .map(str::to_owned)
            .collect();
        self.count += 1;
        let token = format!("token-{}", self.count);
        self.granted.insert(token.clone(), scopes);
        let mut reply = serde_json::json!({"token": token});
        if let (Some(refresh), true) = (&rules.refresh_token, has("offline_token", "true")) {
            reply["refresh_token"] = refresh.as_str().into();
        }
        if let Some(seconds) = rules.expires_in {
            reply["expires_in"] = seconds.into();
        }
        answer(200, &[], reply.to_string().as_bytes())
    }
}

/// The scope that a request needs; none for the API's root.
fn scope_of(request: &Recorded) -> String {
    let path = request.path.split('?').next().unwrap_or_default();
    let path = path.strip_prefix("/v2/").unwrap_or_default();
    let ends = ["/manifests/", "/blobs/"];
    let Some(end) = ends.iter().filter_map(|end| path.find(end)).min() else {
        return String::new();
    };
    let actions = match request.method.as_str() {
        "GET" | "HEAD" if !path.contains("/uploads/") => "pull",
        _ => "pull,push",
    };
    format!("repository:{}:{actions}", &path[..end])
}

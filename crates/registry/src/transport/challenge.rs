//! `WWW-Authenticate` (RFC 9110, 11.6.1): how a registry wants to be convinced.

use ureq::http::HeaderMap;

/// A registry's demand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Challenge {
    /// User name and password with each request.
    Basic,
    /// A token from `realm`.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

impl Challenge {
    /// The best challenge among the headers: tokens before passwords.
    pub(crate) fn of(headers: &HeaderMap) -> Option<Self> {
        let all = headers
            .get_all("www-authenticate")
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(parse);
        all.reduce(|best, next| match (&best, &next) {
            (Self::Basic, Self::Bearer { .. }) => next,
            _ => best,
        })
    }
}

/// The challenges in one header, which may hold several separated by commas.
fn parse(header: &str) -> Vec<Challenge> {
    let mut found: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut rest = header;
    loop {
        rest = rest.trim_start_matches([' ', '\t', ',']);
        let end = rest
            .find(|c: char| c == '=' || c == ',' || c.is_whitespace())
            .unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            break;
        }
        let Some(value) = after.trim_start().strip_prefix('=') else {
            found.push((word.to_ascii_lowercase(), Vec::new()));
            rest = after;
            continue;
        };
        let (value, after) = parse_value(value.trim_start());
        if let Some((_, parameters)) = found.last_mut() {
            parameters.push((word.to_ascii_lowercase(), value));
        }
        rest = after;
    }
    found.into_iter().filter_map(understand).collect()
}

/// A token or a quoted string, and what follows it.
fn parse_value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text
            .find(|c: char| c == ',' || c.is_whitespace())
            .unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(chars.next().map(|(_, escaped)| escaped)),
            _ => value.push(c),
        }
    }
    (value, "")
}

fn understand((scheme, parameters): (String, Vec<(String, String)>)) -> Option<Challenge> {
    let get = |wanted: &str| {
        let mut fitting = parameters.iter().filter(|(name, _)| name == wanted);
        fitting
            .next()
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    };
    match scheme.as_str() {
        "basic" => Some(Challenge::Basic),
        "bearer" => Some(Challenge::Bearer {
            realm: get("realm")?,
            service: get("service"),
            scope: get("scope"),
        }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[&str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append("www-authenticate", value.parse().expect("a value"));
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        }
    }

    #[test]
    fn registries_challenges_are_understood() {
        assert_eq!(of(&[r#"Basic realm="Registry""#]), Some(Challenge::Basic));
        assert_eq!(
            of(&[
                r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#
            ]),
            Some(bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                Some("repository:a/b:pull,push")
            ))
        );
        assert_eq!(
            of(&["bearer  realm = x , service=y"]),
            Some(bearer("x", Some("y"), None))
        );
    }

    #[test]
    fn a_token_is_preferred_to_a_password() {
        let expected = Some(bearer("https://a", None, None));
        assert_eq!(
            of(&["Basic realm=x", r#"Bearer realm="https://a""#]),
            expected
        );
        assert_eq!(
            of(&[r#"Negotiate, Basic realm="x, y", Bearer realm="https://a""#]),
            expected
        );
    }

    #[test]
    fn what_is_not_understood_is_passed_over() {
        assert_eq!(of(&[]), None);
        assert_eq!(of(&["Negotiate"]), None);
        assert_eq!(of(&["Bearer service=x"]), None);
        assert_eq!(
            of(&[r#"Bearer realm="unclosed"#]),
            Some(bearer("unclosed", None, None))
        );
    }

    proptest! {
        #[test]
        fn no_header_makes_it_panic(header in "[ -~]{0,60}") {
            let _ = parse(&header);
        }
    }
}

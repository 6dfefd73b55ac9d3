//! What is told names no passwords: those of web addresses are masked, as `BuildKit` masks them, and so is what opens doors in
//! their queries (signed addresses of object stores, tokens).

use std::borrow::Cow;

/// Stands for what is not told.
const MASK: &str = "xxxxx";
/// Ends of the names of parameters whose values are not told, in lower case without `-` and `_`: `X-Amz-Signature`, `access_token`, `sig`.
const SECRET_NAMES: [&str; 14] = [
    "signature",
    "sig",
    "token",
    "credential",
    "credentials",
    "password",
    "passwd",
    "pwd",
    "secret",
    "key",
    "keyid",
    "accessid",
    "auth",
    "jwt",
];

/// `text` without the user names, the passwords and the secret parameters of the `http` and `https` URLs in it. A token often
/// stands in the place of the user's name, so both go.
///
/// ```
/// assert_eq!(
///     rbuild_progress::redacted("ADD https://me:secret@example.com/a.tar?sig=4fe8 /"),
///     "ADD https://xxxxx:xxxxx@example.com/a.tar?sig=xxxxx /"
/// );
/// ```
pub fn redacted(text: &str) -> Cow<'_, str> {
    match without_users(text) {
        Cow::Borrowed(text) => without_secret_parameters(text),
        Cow::Owned(text) => Cow::Owned(without_secret_parameters(&text).into_owned()),
    }
}

fn without_users(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        let is_end = |c: char| is_end_of_address(c) || matches!(c, '/' | '?' | '#');
        let authority = &after[..after.find(is_end).unwrap_or(after.len())];
        let user = authority.rfind('@').filter(|_| ends_with_web(before));
        clean.push_str(before);
        rest = after;
        if let Some(end) = user {
            clean.extend([MASK, ":", MASK]);
            rest = &after[end..];
        }
    }
    if clean.is_empty() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
}

fn without_secret_parameters(text: &str) -> Cow<'_, str> {
    if !(text.contains("://") && text.contains('?')) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len());
    for word in text.split_inclusive(is_end_of_address) {
        let query = word
            .find("://")
            .filter(|at| ends_with_web(&word[..at + "://".len()]))
            .and_then(|at| Some(at + word[at..].find('?')? + 1));
        let (address, query) = word.split_at(query.unwrap_or(word.len()));
        clean.push_str(address);
        for parameter in query.split_inclusive(['&', ';', '?', '#']) {
            push_parameter(&mut clean, parameter);
        }
    }
    Cow::Owned(clean)
}

/// Adds `name=value` with what follows it, masked if the name is that of a secret.
fn push_parameter(clean: &mut String, parameter: &str) {
    let Some((name, value)) = parameter
        .split_once('=')
        .filter(|(name, _)| is_secret(name))
    else {
        clean.push_str(parameter);
        return;
    };
    let is_after = |c: char| is_end_of_address(c) || "&;?#,:)".contains(c);
    let after = value.trim_end_matches(is_after).len();
    clean.extend([name, "=", MASK, &value[after..]]);
}

fn is_secret(name: &str) -> bool {
    let plain: String = name
        .chars()
        .filter(|c| !matches!(c, '-' | '_'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    SECRET_NAMES.iter().any(|secret| plain.ends_with(secret))
}

fn ends_with_web(text: &str) -> bool {
    let ends_with = |scheme: &str| {
        let start = text.len().checked_sub(scheme.len());
        let end = start.and_then(|start| text.get(start..));
        end.is_some_and(|end| end.eq_ignore_ascii_case(scheme))
    };
    ends_with("http://") || ends_with("https://")
}

fn is_end_of_address(c: char) -> bool {
    c.is_whitespace() || matches!(c, '"' | '\'')
}

/// `text`, and as it is if nothing is to be masked.
pub(crate) fn redact(text: &mut String) {
    if let Cow::Owned(clean) = redacted(text) {
        *text = clean;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_web_addresses_are_masked_and_nothing_else() {
        for (text, clean) in [
            ("http://u:p@h/a", "http://xxxxx:xxxxx@h/a"),
            ("HTTPS://token@h", "HTTPS://xxxxx:xxxxx@h"),
            (
                "a http://u:p@ss@h \"https://v:q@i\"",
                "a http://xxxxx:xxxxx@h \"https://xxxxx:xxxxx@i\"",
            ),
            ("ssh://git@github.com/a", "ssh://git@github.com/a"),
            ("https://h/a@b", "https://h/a@b"),
            ("https://h?a@b", "https://h?a@b"),
            ("no address: a@b", "no address: a@b"),
        ] {
            assert_eq!(redacted(text), clean);
        }
    }

    #[test]
    fn signatures_and_tokens_in_queries_are_masked_and_nothing_else() {
        for (text, clean) in [
            (
                "GET https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Credential=A%2F2&X-Amz-Signature=9f: 403",
                "GET https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Credential=xxxxx&X-Amz-Signature=xxxxx: 403",
            ),
            (
                "curl \"http://u:p@h/a?private_token=x&y=1#f\" (https://i/?sig=a%3D=)",
                "curl \"http://xxxxx:xxxxx@h/a?private_token=xxxxx&y=1#f\" (https://i/?sig=xxxxx)",
            ),
            (
                "https://h/?to=https://u:p@i/?token=1",
                "https://h/?to=https://xxxxx:xxxxx@i/?token=xxxxx",
            ),
            (
                "https://h/?tokens=all&sign=1",
                "https://h/?tokens=all&sign=1",
            ),
            ("ü?token=1 https://h", "ü?token=1 https://h"),
            ("ü https://h/ü?ü&token", "ü https://h/ü?ü&token"),
        ] {
            assert_eq!(redacted(text), clean);
        }
    }
}

//! What is told names no passwords: those of web addresses are masked, as `BuildKit` masks them.

use std::borrow::Cow;

/// Stands for who is asked as, and with what.
const MASK: &str = "xxxxx:xxxxx";

/// `text` without the user names and passwords of the `http` and `https` URLs in it. A token often stands in the place of
/// the name, so both go.
///
/// ```
/// assert_eq!(
///     rbuild_progress::redacted("ADD https://me:secret@example.com/a.tar /"),
///     "ADD https://xxxxx:xxxxx@example.com/a.tar /"
/// );
/// ```
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut clean = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + "://".len());
        let is_web = ["http://", "https://"]
            .iter()
            .any(|scheme| before.to_ascii_lowercase().ends_with(scheme));
        let is_end = |c: char| c.is_whitespace() || matches!(c, '/' | '?' | '#' | '"' | '\'');
        let authority = &after[..after.find(is_end).unwrap_or(after.len())];
        let user = authority.rfind('@').filter(|_| is_web);
        clean.push_str(before);
        rest = after;
        if let Some(end) = user {
            clean.push_str(MASK);
            rest = &after[end..];
        }
    }
    if clean.is_empty() {
        return Cow::Borrowed(text);
    }
    clean.push_str(rest);
    Cow::Owned(clean)
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
}

//! Commands as progress shows them.

/// What values may add to a shown command, in bytes: nobody reads more.
const MAX_ADDED_BYTES: usize = 64 << 10;

/// `text` with `$name` and `${name}` replaced where `lookup` knows them; all else stays as written, what
/// stands in single quotes or behind a backslash too. All stays as written if values are too long to be shown.
pub(crate) fn expand_known<'v>(text: &str, lookup: impl Fn(&str) -> Option<&'v str>) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let mut quote = None;
    while let Some(at) = rest.find(['$', '\'', '"', '\\']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let taken = match rest.as_bytes()[0] {
            b'$' if quote != Some(b'\'') => {
                variable(rest).map(|(name, length)| match lookup(name) {
                    Some(value) => (value, length),
                    None => (&rest[..length], length),
                })
            }
            // The other kind of quote is a character like any other: `"it's $A"`.
            mark @ (b'\'' | b'"') => {
                quote = match quote {
                    None => Some(mark),
                    Some(open) => Some(open).filter(|open| *open != mark),
                };
                None
            }
            b'\\' if quote != Some(b'\'') => {
                let length = 1 + rest[1..].chars().next().map_or(0, char::len_utf8);
                Some((&rest[..length], length))
            }
            _ => None,
        };
        let (shown, length) = taken.unwrap_or((&rest[..1], 1));
        out.push_str(shown);
        rest = &rest[length..];
        if out.len() > text.len() + MAX_ADDED_BYTES {
            return text.to_owned();
        }
    }
    out.push_str(rest);
    out
}

/// The variable that `text` begins with, and how many bytes it takes.
fn variable(text: &str) -> Option<(&str, usize)> {
    let body = &text[1..];
    let (inner, braces) = match body.strip_prefix('{') {
        Some(inner) => (inner, 2),
        None => (body, 0),
    };
    let length = inner
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(inner.len());
    let name = &inner[..length];
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let is_closed = braces == 0 || inner[length..].starts_with('}');
    (is_name && is_closed).then_some((name, 1 + length + braces))
}

#[cfg(test)]
mod tests {
    use super::expand_known;

    #[test]
    fn only_known_variables_are_shown_by_value() {
        let lookup = |name: &str| (name == "A").then_some("1");
        for (text, shown) in [
            ("echo $A ${A}x", "echo 1 1x"),
            ("echo $B ${B} ${A:-x}", "echo $B ${B} ${A:-x}"),
            ("echo '$A' \\$A \"$A\"", "echo '$A' \\$A \"1\""),
            ("echo \"it's $A\" '\"$A'", "echo \"it's 1\" '\"$A'"),
            ("a $ $$ ${", "a $ $$ ${"),
            ("é\\é$A'", "é\\é1'"),
        ] {
            assert_eq!(expand_known(text, lookup), shown);
        }
    }

    #[test]
    fn values_too_long_to_be_shown_are_not() {
        let long = "x".repeat(1 << 20);
        let text = "$A".repeat(30_000);
        assert_eq!(expand_known(&text, |_| Some(&long)), text);
    }
}

//! The JSON form of arguments: `["a", "b"]`.
//!
//! A reader of its own, since what is *not* JSON is shell text and the border must be the one that Go's decoder draws:
//! lone surrogates become U+FFFD, nesting may go deep, and only a wholly valid array counts. It also knows where
//! every string stands.

use std::ops::Range;

/// Nesting that Go's decoder allows.
const MAX_DEPTH: usize = 10_000;

/// What an argument text is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Form {
    /// Not a JSON array.
    Text,
    /// An array of strings, decoded, with their places in the text.
    Strings(Vec<(String, Range<usize>)>),
    /// A valid array with something else in it, which stands at this place.
    NotStrings(Range<usize>),
}

/// Reads `text`.
pub(crate) fn read(text: &str) -> Form {
    if !text.trim_start().starts_with('[') {
        return Form::Text;
    }
    let mut reader = Reader {
        bytes: text.as_bytes(),
        text,
        at: text.len() - text.trim_start().len(),
    };
    match reader.array() {
        Some(form) if reader.at_end() => form,
        _ => Form::Text,
    }
}

/// The string that `key` has in the JSON object `text`, and its place. None if `text` is anything else.
pub(crate) fn member(text: &str, key: &str) -> Option<(String, Range<usize>)> {
    if !text.trim_start().starts_with('{') {
        return None;
    }
    let mut reader = Reader {
        bytes: text.as_bytes(),
        text,
        at: 0,
    };
    let mut found = None;
    reader.expect(b'{')?;
    if !reader.take(b'}') {
        loop {
            reader.blanks();
            let name = reader.string()?;
            reader.expect(b':')?;
            reader.blanks();
            let start = reader.at;
            let value = if reader.peek() == Some(b'"') {
                Some(reader.string()?)
            } else {
                reader.value().map(|()| None)?
            };
            if name == key {
                found = value.map(|value| (value, start..reader.at));
            }
            if reader.take(b'}') {
                break;
            }
            reader.expect(b',')?;
        }
    }
    found.filter(|_| reader.at_end())
}

struct Reader<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    /// The outermost array. None if it is no valid JSON.
    fn array(&mut self) -> Option<Form> {
        self.expect(b'[')?;
        let mut strings = Vec::new();
        let mut other = None;
        if self.take(b']') {
            return Some(Form::Strings(strings));
        }
        loop {
            self.blanks();
            let start = self.at;
            if self.peek() == Some(b'"') {
                let string = self.string()?;
                strings.push((string, start..self.at));
            } else {
                self.value()?;
                other.get_or_insert(start..self.at);
            }
            if self.take(b']') {
                return Some(other.map_or(Form::Strings(strings), Form::NotStrings));
            }
            self.expect(b',')?;
        }
    }

    /// Any value, checked and skipped, without recursion.
    fn value(&mut self) -> Option<()> {
        // What each open bracket waits for; the outermost array is not in it.
        let mut open = Vec::new();
        loop {
            self.blanks();
            match self.peek()? {
                b'[' => {
                    self.at += 1;
                    if !self.take(b']') {
                        open.push(b']');
                        (open.len() < MAX_DEPTH).then_some(())?;
                        continue;
                    }
                }
                b'{' => {
                    self.at += 1;
                    if !self.take(b'}') {
                        open.push(b'}');
                        (open.len() < MAX_DEPTH).then_some(())?;
                        self.key()?;
                        continue;
                    }
                }
                b'"' => drop(self.string()?),
                b't' => self.literal("true")?,
                b'f' => self.literal("false")?,
                b'n' => self.literal("null")?,
                _ => self.number()?,
            }
            loop {
                let Some(&close) = open.last() else {
                    return Some(());
                };
                if self.take(close) {
                    open.pop();
                    continue;
                }
                self.expect(b',')?;
                if close == b'}' {
                    self.key()?;
                }
                break;
            }
        }
    }

    fn key(&mut self) -> Option<()> {
        self.blanks();
        self.string()?;
        self.expect(b':')
    }

    fn string(&mut self) -> Option<String> {
        (self.bytes.get(self.at) == Some(&b'"')).then_some(())?;
        self.at += 1;
        let mut decoded = String::new();
        loop {
            let start = self.at;
            while !matches!(self.peek()?, b'"' | b'\\' | 0..0x20) {
                self.at += 1;
            }
            decoded.push_str(&self.text[start..self.at]);
            match self.next()? {
                b'"' => return Some(decoded),
                b'\\' => decoded.push(self.escape()?),
                _ => return None,
            }
        }
    }

    fn escape(&mut self) -> Option<char> {
        Some(match self.next()? {
            c @ (b'"' | b'\\' | b'/') => char::from(c),
            b'b' => '\u{08}',
            b'f' => '\u{0C}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let first = self.hex()?;
                if (0xD800..0xDC00).contains(&first) && self.bytes[self.at..].starts_with(b"\\u") {
                    let back = self.at;
                    self.at += 2;
                    let second = self.hex()?;
                    if (0xDC00..0xE000).contains(&second) {
                        let code = 0x10000 + ((first - 0xD800) << 10) + (second - 0xDC00);
                        return char::from_u32(code);
                    }
                    self.at = back;
                }
                char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER)
            }
            _ => return None,
        })
    }

    fn hex(&mut self) -> Option<u32> {
        let digits = self.text.get(self.at..self.at + 4)?;
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then_some(())?;
        self.at += 4;
        u32::from_str_radix(digits, 16).ok()
    }

    fn number(&mut self) -> Option<()> {
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        Some(())
    }

    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    fn literal(&mut self, word: &str) -> Option<()> {
        self.bytes[self.at..]
            .starts_with(word.as_bytes())
            .then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        self.take(byte).then_some(())
    }

    /// Skips blanks, and `byte` if it follows.
    fn take(&mut self, byte: u8) -> bool {
        self.blanks();
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    fn at_end(&mut self) -> bool {
        self.blanks();
        self.at == self.bytes.len()
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, read};
    use rstest::rstest;

    #[rstest]
    #[case("[]", &[])]
    #[case(r#"["a"]"#, &["a"])]
    #[case(r#" [ "a" , "b c" ] "#, &["a", "b c"])]
    #[case(r#"["\"\\\/\b\f\n\r\t\u00e9\ud83d\ude00"]"#, &["\"\\/\u{8}\u{c}\n\r\té😀"])]
    #[case(r#"["\ud800x"]"#, &["\u{fffd}x"])]
    #[case(r#"["\ud800\u0041"]"#, &["\u{fffd}A"])]
    fn arrays_of_strings_are_decoded(#[case] text: &str, #[case] strings: &[&str]) {
        let Form::Strings(read) = read(text) else {
            panic!("{text} is an array of strings")
        };
        assert_eq!(
            read.into_iter()
                .map(|(string, _)| string)
                .collect::<Vec<_>>(),
            strings
        );
    }

    #[rstest]
    #[case("['a']")]
    #[case(r#"["a""#)]
    #[case(r#"["a",]"#)]
    #[case(r#"["a"] x"#)]
    #[case(r#"["a" "b"]"#)]
    #[case("[ -f /x ] && y")]
    #[case(r#"["\x"]"#)]
    #[case("[01]")]
    #[case(r#"{"a": 1}"#)]
    #[case("")]
    fn anything_else_is_text(#[case] text: &str) {
        assert_eq!(read(text), Form::Text);
    }

    #[rstest]
    #[case("[1]", 1..2)]
    #[case(r#"["a", null]"#, 6..10)]
    #[case(r#"[{"a": [1, {}], "b": -1.5e3}, "x"]"#, 1..28)]
    #[case("[[[]], []]", 1..5)]
    fn valid_arrays_of_other_things_are_told_apart(
        #[case] text: &str,
        #[case] place: std::ops::Range<usize>,
    ) {
        assert_eq!(read(text), Form::NotStrings(place));
    }

    #[test]
    fn nesting_is_bounded() {
        assert_eq!(read(&"[".repeat(1_000_000)), Form::Text);
        let deep = "[".repeat(5_000) + &"]".repeat(5_000);
        assert!(matches!(read(&deep), Form::NotStrings(_)));
    }
}

//! The text of an ignore file: which lines are rules.
//!
//! ```text
//! # a comment          only in column 0
//!   /build/            → build         trimmed, cleaned, the leading / dropped
//! ! docs//keep.md      → !docs/keep.md
//! ```

use std::path::{Path, PathBuf};

use crate::{IgnoreRules, SourceError};

/// The name of the ignore file in a context's root.
pub(crate) const DEFAULT_NAME: &str = ".dockerignore";

/// A rule's text, cleaned, and where it stood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) number: u32,
    pub(crate) text: Vec<u8>,
}

/// The rules' lines of an ignore file.
pub(crate) fn lines(text: &[u8]) -> Vec<Line> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    text.split(|byte| *byte == b'\n')
        .zip(1..)
        .filter_map(|(line, number)| rule(line).map(|text| Line { number, text }))
        .collect()
}

fn rule(line: &[u8]) -> Option<Vec<u8>> {
    if line.starts_with(b"#") {
        return None;
    }
    let line = trim(line);
    if line.is_empty() {
        return None;
    }
    let (mark, pattern) = match line.strip_prefix(b"!") {
        Some(rest) => (&b"!"[..], trim(rest)),
        None => (&b""[..], line),
    };
    let mut rule = mark.to_vec();
    if !pattern.is_empty() {
        let cleaned = clean(pattern);
        rule.extend_from_slice(match cleaned.strip_prefix(b"/") {
            Some(rest) if !rest.is_empty() => rest,
            _ => &cleaned,
        });
    }
    Some(rule)
}

/// White space cut off both ends: Unicode's, as Go's `strings.TrimSpace`.
pub(crate) fn trim(text: &[u8]) -> &[u8] {
    let mut text = text.trim_ascii();
    loop {
        let before = text.len();
        for space in [
            "\u{0B}", "\u{85}", "\u{A0}", "\u{1680}", "\u{2028}", "\u{2029}", "\u{202F}",
            "\u{205F}", "\u{3000}",
        ] {
            text = text.strip_prefix(space.as_bytes()).unwrap_or(text);
            text = text.strip_suffix(space.as_bytes()).unwrap_or(text);
        }
        for last in 0x80..=0x8A {
            let space = [0xE2, 0x80, last];
            text = text.strip_prefix(&space[..]).unwrap_or(text);
            text = text.strip_suffix(&space[..]).unwrap_or(text);
        }
        text = text.trim_ascii();
        if text.len() == before {
            return text;
        }
    }
}

/// The shortest path that means the same, by the text alone (Go's `path.Clean`): `.` for nothing.
pub(crate) fn clean(path: &[u8]) -> Vec<u8> {
    let rooted = path.starts_with(b"/");
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => match parts.last() {
                Some(last) if *last != b".." => {
                    parts.pop();
                }
                _ if rooted => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let mut cleaned = if rooted { b"/".to_vec() } else { Vec::new() };
    cleaned.extend_from_slice(&parts.join(&b'/'));
    if cleaned.is_empty() {
        cleaned.push(b'.');
    }
    cleaned
}

impl IgnoreRules {
    /// The rules for the context at `context` when it is built with the Dockerfile at `dockerfile`: those of
    /// `<dockerfile>.dockerignore` if that exists, else of `.dockerignore` in the context's root, else none. The
    /// two are never merged.
    pub fn load(context: &Path, dockerfile: Option<&Path>) -> Result<Self, SourceError> {
        for path in Self::candidates(context, dockerfile) {
            match std::fs::read(&path) {
                Ok(text) => return Self::parse(&text, &path.to_string_lossy()),
                Err(error) if is_absent(&error) => {}
                Err(source) => return Err(SourceError::ReadIgnoreFile { path, source }),
            }
        }
        Ok(Self::none())
    }

    /// The files that [`Self::load`] looks for: the first that exists counts.
    pub fn candidates(context: &Path, dockerfile: Option<&Path>) -> Vec<PathBuf> {
        let own = dockerfile.map(|path| {
            let mut name = path.as_os_str().to_owned();
            name.push(DEFAULT_NAME);
            PathBuf::from(name)
        });
        own.into_iter()
            .chain([context.join(DEFAULT_NAME)])
            .collect()
    }
}

fn is_absent(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

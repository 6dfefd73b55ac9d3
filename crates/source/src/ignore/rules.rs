//! A list of patterns where the last one that matches decides, and what matches a directory matches all
//! that is below it.

use crate::ignore::file;
use crate::{Pattern, SourceError};

/// The rules of a `.dockerignore` file, or the patterns of `--exclude`. Anchored at the root of the tree they
/// are used on; `!` takes back what an earlier rule said.
///
/// ```
/// use rbuild_source::IgnoreRules;
///
/// let rules = IgnoreRules::parse(b"# build output\ntarget\n!target/keep.txt\n", ".dockerignore")?;
/// assert!(rules.ignores(b"target/debug/app"));
/// assert!(!rules.ignores(b"target/keep.txt"));
/// assert_eq!(rules.hidden_by(b"target/debug/app").map(|rule| rule.line), Some(2));
/// # Ok::<(), rbuild_source::SourceError>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct IgnoreRules {
    rules: Vec<Rule>,
    file: String,
}

#[derive(Debug, Clone)]
struct Rule {
    pattern: Pattern,
    effect: Effect,
    line: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Effect {
    Hide,
    Show,
}

/// The rule that hides a path, for people to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HidingRule<'a> {
    /// The file that the rule stands in; empty for patterns that came from elsewhere.
    pub file: &'a str,
    /// Its line, from 1; for patterns that came from elsewhere their position.
    pub line: u32,
    /// The pattern, cleaned.
    pub pattern: &'a [u8],
}

/// What is known about a directory, so that its children need not ask for it again.
#[derive(Debug, Clone, Default)]
pub(crate) struct DirectoryMatch {
    /// For each rule, whether it matched the directory or one above; empty at the root.
    matched: Vec<bool>,
    pub(crate) ignored: bool,
}

impl IgnoreRules {
    /// No rules: nothing is ignored.
    pub fn none() -> Self {
        Self::default()
    }

    /// The rules of an ignore file's text; `file` is its name in messages.
    pub fn parse(text: &[u8], file: &str) -> Result<Self, SourceError> {
        let rules = file::lines(text)
            .into_iter()
            .map(|line| {
                Rule::new(&line.text, line.number).map_err(|error| SourceError::IgnoreRule {
                    file: file.to_owned(),
                    line: line.number,
                    source: Box::new(error),
                })
            })
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            rules: rules.into_iter().flatten().collect(),
            file: file.to_owned(),
        })
    }

    /// The patterns of `--exclude` options, or of any other list in the same language: trimmed and cleaned, but a leading
    /// `/` stays.
    pub fn from_patterns<P: AsRef<[u8]>>(
        patterns: impl IntoIterator<Item = P>,
    ) -> Result<Self, SourceError> {
        let rules = patterns
            .into_iter()
            .zip(1..)
            .map(|(pattern, position)| Rule::new(pattern.as_ref(), position))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            rules: rules.into_iter().flatten().collect(),
            file: String::new(),
        })
    }

    /// Whether there are no rules.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether there are rules that take back others (`!`).
    pub fn has_exceptions(&self) -> bool {
        self.rules.iter().any(|rule| rule.effect == Effect::Show)
    }

    /// The patterns in their order, cleaned, each with whether it is an exception (`!`).
    pub fn patterns(&self) -> impl Iterator<Item = (&[u8], bool)> {
        self.rules
            .iter()
            .map(|rule| (rule.pattern.text(), rule.effect == Effect::Show))
    }

    /// Whether `path` (relative, no trailing `/`) is ignored, by a rule for itself or for a directory above it.
    pub fn ignores(&self, path: &[u8]) -> bool {
        self.decide(path).is_some()
    }

    /// The rule that hides `path`; `None` if it is visible.
    pub fn hidden_by(&self, path: &[u8]) -> Option<HidingRule<'_>> {
        self.decide(path).map(|rule| HidingRule {
            file: &self.file,
            line: rule.line,
            pattern: rule.pattern.text(),
        })
    }

    /// The rule that decides, down from the root as a walk comes along: a rule that would have changed nothing for
    /// a directory is not inherited from it.
    fn decide(&self, path: &[u8]) -> Option<&Rule> {
        let mut above = DirectoryMatch::default();
        for (at, byte) in path.iter().enumerate() {
            if *byte == b'/' {
                above = self.directory(&above, &path[..at]);
            }
        }
        let mut decided = None;
        self.judge(&above, path, |index, _| decided = Some(index));
        decided
            .map(|index| &self.rules[index])
            .filter(|rule| rule.effect == Effect::Hide)
    }

    /// As [`IgnoreRules::ignores`], when the verdict on the directory that `path` is in is known.
    pub(crate) fn ignores_in(&self, parent: &DirectoryMatch, path: &[u8]) -> bool {
        let mut ignored = false;
        self.judge(parent, path, |_, effect| ignored = effect == Effect::Hide);
        ignored
    }

    /// The verdict on a directory.
    pub(crate) fn directory(&self, parent: &DirectoryMatch, path: &[u8]) -> DirectoryMatch {
        let mut ignored = false;
        let mut matched = vec![false; self.rules.len()];
        self.judge(parent, path, |index, effect| {
            matched[index] = true;
            ignored = effect == Effect::Hide;
        });
        DirectoryMatch { matched, ignored }
    }

    /// Tells of every rule that has a say in `path`, in order: those that its directory inherited, and
    /// those that match it and change what was said before.
    fn judge(&self, parent: &DirectoryMatch, path: &[u8], mut told: impl FnMut(usize, Effect)) {
        let mut ignored = false;
        for (index, rule) in self.rules.iter().enumerate() {
            let inherited = parent.matched.get(index).is_some_and(|matched| *matched);
            let would_change = (rule.effect == Effect::Hide) != ignored;
            if inherited || (would_change && rule.pattern.matches(path)) {
                ignored = rule.effect == Effect::Hide;
                told(index, rule.effect);
            }
        }
    }

    /// Whether an ignored directory can hold something that is not ignored.
    pub(crate) fn can_show_below(&self, directory: &[u8]) -> bool {
        self.rules
            .iter()
            .any(|rule| rule.effect == Effect::Show && rule.pattern.can_match_below(directory))
    }
}

impl Rule {
    /// `None` for a blank pattern.
    fn new(text: &[u8], line: u32) -> Result<Option<Self>, SourceError> {
        let text = file::trim(text);
        if text.is_empty() {
            return Ok(None);
        }
        let cleaned = file::clean(text);
        let (effect, pattern) = match cleaned.strip_prefix(b"!") {
            Some(b"") => {
                return Err(SourceError::Pattern {
                    pattern: "!".to_owned(),
                    reason: "there is nothing after the !",
                });
            }
            Some(rest) => (Effect::Show, rest),
            None => (Effect::Hide, &cleaned[..]),
        };
        Ok(Some(Self {
            pattern: Pattern::ignore(pattern)?,
            effect,
            line,
        }))
    }
}

#[cfg(test)]
mod tests;

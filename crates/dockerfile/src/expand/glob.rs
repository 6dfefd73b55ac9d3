//! Patterns of `${name#pattern}` and `${name/pattern/text}`: `?` and `*`, `\` before a literal one of them.
//!
//! A pattern is run as a set of positions in it (bit *i*: its first *i* parts have matched) over the value's
//! characters: time is the product of the two lengths over 64, whatever stars there are. As in the regular
//! expressions that BuildKit makes of patterns, `?` and `*` do not match a line end.

use std::collections::HashMap;

use super::{ExpandError, MAX_PATTERN_CHARS};

/// Which of several matches to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Greed {
    Shortest,
    Longest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Literal(char),
    Any,
    Star,
}

/// A pattern.
#[derive(Debug)]
pub(crate) struct Glob {
    parts: Vec<Part>,
}

impl Glob {
    /// Reads a pattern.
    pub(crate) fn new(pattern: &str) -> Result<Self, ExpandError> {
        let mut parts = Vec::new();
        let mut chars = pattern.chars().peekable();
        while let Some(c) = chars.next() {
            let part = match c {
                '*' if parts.last() == Some(&Part::Star) => continue,
                '*' => Part::Star,
                '?' => Part::Any,
                '\\' => match chars.peek() {
                    // These two had to be escaped to stand in `${…}`; they are not special here.
                    Some('}' | '/') => continue,
                    Some(&escaped @ ('*' | '?' | '\\')) => {
                        chars.next();
                        Part::Literal(escaped)
                    }
                    other => {
                        let escaped = other.map(char::to_string).unwrap_or_default();
                        return Err(ExpandError::InvalidPattern {
                            pattern: pattern.to_owned(),
                            escaped,
                        });
                    }
                },
                c => Part::Literal(c),
            };
            parts.push(part);
            if parts.len() > MAX_PATTERN_CHARS {
                return Err(ExpandError::PatternTooLong);
            }
        }
        Ok(Self { parts })
    }

    /// `value` without the match at its start.
    pub(crate) fn strip_prefix<'v>(&self, value: &'v str, greed: Greed) -> &'v str {
        let mut run = Run::new(self.parts.iter().copied());
        let end = run.anchored(value.chars(), greed);
        end.map_or(value, |end| &value[end..])
    }

    /// `value` without the match at its end.
    pub(crate) fn strip_suffix<'v>(&self, value: &'v str, greed: Greed) -> &'v str {
        let mut run = Run::new(self.parts.iter().rev().copied());
        let length = run.anchored(value.chars().rev(), greed);
        length.map_or(value, |length| &value[..value.len() - length])
    }

    /// `value` with the leftmost, longest match replaced.
    pub(crate) fn replace_first(&self, value: &str, replacement: &str) -> String {
        let Some(start) = self.starts(value).into_iter().next() else {
            return value.to_owned();
        };
        let mut run = Run::new(self.parts.iter().copied());
        let length = run
            .anchored(value[start..].chars(), Greed::Longest)
            .unwrap_or(0);
        [&value[..start], replacement, &value[start + length..]].concat()
    }

    /// `value` with every match replaced; in the replacement `$0` is the match, `$$` a dollar, any other `$name`
    /// nothing. Fails if the result is longer than `limit` bytes.
    pub(crate) fn replace_all(
        &self,
        value: &str,
        replacement: &str,
        limit: usize,
    ) -> Result<String, ExpandError> {
        let mut run = Run::new(self.parts.iter().copied());
        let mut result = String::new();
        let mut copied = 0;
        let mut previous_end = None;
        for start in self.starts(value) {
            if start < copied {
                continue;
            }
            let length = run
                .anchored(value[start..].chars(), Greed::Longest)
                .unwrap_or(0);
            // An empty match right behind a match is none.
            if length == 0 && previous_end == Some(start) {
                continue;
            }
            result.push_str(&value[copied..start]);
            fill(replacement, &value[start..start + length], &mut result);
            copied = start + length;
            previous_end = Some(copied);
            if result.len() > limit {
                return Err(ExpandError::TooLong);
            }
        }
        result.push_str(&value[copied..]);
        Ok(result)
    }

    /// Where matches begin, ascending: found by running the reversed pattern backwards from every place at once.
    fn starts(&self, value: &str) -> Vec<usize> {
        let mut run = Run::new(self.parts.iter().rev().copied());
        let mut starts = Vec::new();
        run.begin();
        if run.accepts() {
            starts.push(value.len());
        }
        for (at, c) in value.char_indices().rev() {
            run.step(c);
            run.enter();
            if run.accepts() {
                starts.push(at);
            }
        }
        starts.reverse();
        starts
    }
}

/// Writes `template` with `$…` filled in as Go's regexp package does when there are no groups.
fn fill(template: &str, matched: &str, result: &mut String) {
    let mut rest = template;
    while let Some(at) = rest.find('$') {
        result.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(after) = after.strip_prefix('$') {
            result.push('$');
            rest = after;
            continue;
        }
        let (name, end) = match after.strip_prefix('{') {
            Some(inner) => {
                let name = &inner[..name_length(inner)];
                let closed = inner[name.len()..].starts_with('}');
                (name, if closed { name.len() + 2 } else { 0 })
            }
            None => (&after[..name_length(after)], name_length(after)),
        };
        if name.is_empty() || end == 0 {
            result.push('$');
            rest = after;
            continue;
        }
        if name == "0" {
            result.push_str(matched);
        }
        rest = &after[end..];
    }
    result.push_str(rest);
}

fn name_length(text: &str) -> usize {
    text.find(|c: char| !c.is_alphanumeric() && c != '_')
        .unwrap_or(text.len())
}

/// A pattern on its way through a value.
struct Run {
    /// Bit *i*: parts before *i* have matched.
    state: Vec<u64>,
    /// Bit *i*: part *i* is a star.
    stars: Vec<u64>,
    /// Bit *i*: part *i* is `?`.
    any: Vec<u64>,
    /// For a character, bit *i*: part *i* is it.
    literals: HashMap<char, Vec<u64>>,
    /// The number of parts.
    length: usize,
}

impl Run {
    fn new(parts: impl ExactSizeIterator<Item = Part>) -> Self {
        let length = parts.len();
        let words = length / 64 + 1;
        let mut run = Self {
            state: vec![0; words],
            stars: vec![0; words],
            any: vec![0; words],
            literals: HashMap::new(),
            length,
        };
        for (at, part) in parts.enumerate() {
            let mask = match part {
                Part::Star => &mut run.stars,
                Part::Any => &mut run.any,
                Part::Literal(c) => run.literals.entry(c).or_insert_with(|| vec![0; words]),
            };
            mask[at / 64] |= 1 << (at % 64);
        }
        run
    }

    /// The length in bytes of the match at the start of `value`.
    fn anchored(&mut self, value: impl Iterator<Item = char>, greed: Greed) -> Option<usize> {
        self.begin();
        let mut end = self.accepts().then_some(0);
        let mut at = 0;
        for c in value {
            if (end.is_some() && greed == Greed::Shortest)
                || self.state.iter().all(|&word| word == 0)
            {
                break;
            }
            self.step(c);
            at += c.len_utf8();
            if self.accepts() {
                end = Some(at);
            }
        }
        end
    }

    /// Nothing has matched yet.
    fn begin(&mut self) {
        self.state.fill(0);
        self.enter();
    }

    /// A match may begin here too.
    fn enter(&mut self) {
        self.state[0] |= 1;
        self.pass_stars();
    }

    fn accepts(&self) -> bool {
        self.state[self.length / 64] >> (self.length % 64) & 1 == 1
    }

    fn step(&mut self, c: char) {
        let literal = self.literals.get(&c);
        let mut carry = 0;
        for word in 0..self.state.len() {
            let state = self.state[word];
            let mut moves = literal.map_or(0, |mask| mask[word]);
            let mut stays = 0;
            if c != '\n' {
                moves |= self.any[word];
                stays = self.stars[word];
            }
            let shifted = state & moves;
            self.state[word] = (shifted << 1) | carry | (state & stays);
            carry = shifted >> 63;
        }
        self.pass_stars();
    }

    /// A star may match nothing. (Two never stand side by side.)
    fn pass_stars(&mut self) {
        let mut carry = 0;
        for word in 0..self.state.len() {
            let passed = self.state[word] & self.stars[word];
            self.state[word] |= (passed << 1) | carry;
            carry = passed >> 63;
        }
    }
}

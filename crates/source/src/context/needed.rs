//! Which part of a context a build reads, so that the rest is not walked.
//!
//! ```text
//! COPY app/*.go go.mod /src/     needed: app/*.go, go.mod
//!
//! app        on the way          go.mod   all of it        docs   skipped
//! app/x.go   all of it           app/README   skipped
//! ```

use crate::ignore::file::clean;
use crate::{Pattern, SourceError};

/// What of a context is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Needed {
    /// All that is not ignored.
    All,
    /// Only these paths and what is below them: literal or with wildcards (Go's `filepath.Match`, and `**` for any
    /// number of directories), relative to the root; a leading `/` and `..` are clamped to it. Symbolic
    /// links among them are followed inside the context, and what they point to is included as well.
    Paths(Vec<Vec<u8>>),
}

/// [`Needed`], compiled component by component.
#[derive(Debug, Default)]
pub(crate) struct NeededPaths {
    all: bool,
    paths: Vec<Components>,
}

#[derive(Debug)]
struct Components {
    parts: Vec<Part>,
}

#[derive(Debug, Clone)]
enum Part {
    Literal(Vec<u8>),
    Glob(Pattern),
    /// `**`, or a part that cannot be judged alone: all below is needed.
    Anything,
}

impl PartialEq for Part {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Literal(a), Self::Literal(b)) => a == b,
            (Self::Glob(a), Self::Glob(b)) => a.text() == b.text(),
            (Self::Anything, Self::Anything) => true,
            _ => false,
        }
    }
}

impl Eq for Part {}

/// How far a directory is on the way to what is needed.
#[derive(Debug, Clone)]
pub(crate) enum Reach {
    /// All below is needed.
    Everything,
    /// The next parts (path, part) that a name in this directory has to match.
    Parts(Vec<(usize, usize)>),
}

/// A symbolic link at, or on the way to, something needed: `rest` goes on where it points.
#[derive(Debug)]
pub(crate) struct NeededLink {
    pub(crate) directory: Vec<u8>,
    pub(crate) target: Vec<u8>,
    pub(crate) at: Vec<(usize, usize)>,
}

impl NeededPaths {
    pub(crate) fn new(needed: &Needed) -> Self {
        let mut compiled = Self::default();
        match needed {
            Needed::All => compiled.all = true,
            Needed::Paths(paths) => {
                for path in paths {
                    let rooted = [b"/", path.as_slice()].concat();
                    let cleaned = clean(&rooted);
                    compiled.add(&cleaned[1..], part);
                }
            }
        }
        compiled
    }

    /// Where the root stands.
    pub(crate) fn root(&self) -> Reach {
        if self.all {
            Reach::Everything
        } else {
            Reach::Parts((0..self.paths.len()).map(|path| (path, 0)).collect())
        }
    }

    /// Takes in where the links point; whether that is new.
    pub(crate) fn follow(&mut self, links: &[NeededLink]) -> bool {
        let mut grown = false;
        for link in links {
            for &(path, part) in &link.at {
                let rest = self.paths[path].parts[part..].to_vec();
                let base: &[u8] = if link.target.starts_with(b"/") {
                    b""
                } else {
                    &link.directory
                };
                let joined = [b"/", base, b"/", link.target.as_slice()].concat();
                let target = clean(&joined);
                grown |= self.add_parts(&target[1..], rest);
            }
        }
        grown
    }

    fn add(&mut self, path: &[u8], part: impl Fn(&[u8]) -> Part) {
        if path.is_empty() {
            self.all = true;
            return;
        }
        let parts = path.split(|byte| *byte == b'/').map(part).collect();
        self.paths.push(Components { parts });
    }

    fn add_parts(&mut self, target: &[u8], rest: Vec<Part>) -> bool {
        if self.all {
            return false;
        }
        if target.is_empty() && rest.is_empty() {
            self.all = true;
            return true;
        }
        let mut parts: Vec<Part> = target
            .split(|byte| *byte == b'/')
            .filter(|part| !part.is_empty())
            .map(|part| Part::Literal(part.to_vec()))
            .collect();
        parts.extend(rest);
        if self.paths.iter().any(|known| known.parts == parts) {
            return false;
        }
        self.paths.push(Components { parts });
        true
    }
}

fn part(text: &[u8]) -> Part {
    if text == b"**" {
        return Part::Anything;
    }
    if !Pattern::has_wildcard(text) {
        return Part::Literal(text.to_vec());
    }
    // A class with a `/` in it was cut in two: the executor judges, here it only must not be missed.
    let compiled: Result<Pattern, SourceError> = Pattern::glob(text);
    match compiled {
        Ok(pattern) if !text.windows(2).any(|pair| pair == b"**") && !may_match_slash(text) => {
            Part::Glob(pattern)
        }
        _ => Part::Anything,
    }
}

/// A negated class matches `/`, so a part with one may stretch over several components.
fn may_match_slash(text: &[u8]) -> bool {
    text.contains(&b'[')
}

impl Reach {
    /// Where `name` in this directory stands, and the parts that follow it where it itself is reached (for
    /// links); `None` if it is not needed.
    pub(crate) fn enter(
        &self,
        needed: &NeededPaths,
        name: &[u8],
    ) -> Option<(Self, Vec<(usize, usize)>)> {
        let Self::Parts(parts) = self else {
            return Some((Self::Everything, Vec::new()));
        };
        let mut next = Vec::new();
        let mut everything = false;
        for &(path, part) in parts {
            let components = &needed.paths[path].parts;
            let matches = match &components[part] {
                Part::Anything => {
                    everything = true;
                    false
                }
                Part::Literal(wanted) => wanted == name,
                Part::Glob(pattern) => pattern.matches(name),
            };
            if matches {
                everything |= part + 1 == components.len();
                next.push((path, part + 1));
            }
        }
        if everything {
            Some((Self::Everything, next))
        } else if next.is_empty() {
            None
        } else {
            Some((Self::Parts(next.clone()), next))
        }
    }

    /// Whether what stands here is itself needed, not only on the way.
    pub(crate) fn is_everything(&self) -> bool {
        matches!(self, Self::Everything)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(paths: &[&str], path: &str) -> Option<bool> {
        let needed = NeededPaths::new(&Needed::Paths(
            paths.iter().map(|path| path.as_bytes().to_vec()).collect(),
        ));
        let mut reach = needed.root();
        for name in path.split('/') {
            reach = reach.enter(&needed, name.as_bytes())?.0;
        }
        Some(reach.is_everything())
    }

    #[test]
    fn only_what_a_source_names_is_walked() {
        let paths = ["app/*.go", "/go.mod", "../up"];
        assert_eq!(reach(&paths, "app"), Some(false));
        assert_eq!(reach(&paths, "app/x.go"), Some(true));
        assert_eq!(reach(&paths, "app/x.rs"), None);
        assert_eq!(reach(&paths, "go.mod"), Some(true));
        assert_eq!(reach(&paths, "up/below"), Some(true));
        assert_eq!(reach(&paths, "docs"), None);
    }

    #[test]
    fn the_root_means_everything() {
        assert_eq!(reach(&["."], "a"), Some(true));
        assert_eq!(reach(&["/", "b"], "a/b"), Some(true));
        assert_eq!(reach(&[], "a"), None);
    }

    #[test]
    fn patterns_that_cross_directories_take_all_below() {
        assert_eq!(reach(&["a/**/x"], "a/b/c"), Some(true));
        assert_eq!(reach(&["a[^b]c"], "a"), Some(true));
    }
}

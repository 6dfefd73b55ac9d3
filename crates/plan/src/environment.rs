//! Variables in the order of their first definition, in versions that share what they have in common.
//!
//! ```text
//! ENV A=1     [A]
//! RUN x       holds [A]
//! ENV B=2     [A B]            few variables: one list, copied when somebody else holds it
//! …
//! ENV Z=9     [Z] → [… 40 …]   many: a short list in front of longer ones, each at least twice as long
//! ```
//!
//! A thousand RUNs below a thousand ENVs so take memory for a few thousand entries, not for a million.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::vec;

/// As many variables are one list, which is copied whole: it is searched faster than several.
const SMALL: usize = 32;

/// What a step finds in its environment: `NAME=value` in the order of first definition; one that is set again keeps its
/// place. Cloning costs nothing, and comparing equal ones mostly neither.
#[derive(Clone, Default)]
pub struct Environment {
    top: Option<Arc<Run>>,
    /// How many names there are.
    length: u32,
    /// What all variables take.
    bytes: usize,
    /// The sum of what identifies each variable: equal environments have equal ones.
    fingerprint: u64,
}

/// Variables sorted by name. They hide those of equal name in the runs below.
#[derive(Clone)]
struct Run {
    variables: Vec<Variable>,
    below: Option<Arc<Run>>,
}

#[derive(Clone)]
struct Variable {
    /// `NAME=value`, or `NAME`.
    text: Arc<str>,
    name_length: u32,
    origin: Origin,
    /// Its place in the order of first definition.
    place: u32,
}

/// What a variable was set by. Environments that differ in nothing else are equal: nothing that is done depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    Env,
    Arg,
}

impl Variable {
    fn name(&self) -> &str {
        &self.text[..self.name_length as usize]
    }

    /// What follows the `=`.
    fn value(&self) -> Option<&str> {
        self.text.get(self.name_length as usize + 1..)
    }

    fn fingerprint(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.place.hash(&mut hasher);
        self.text.hash(&mut hasher);
        hasher.finish()
    }
}

impl Environment {
    /// The value of `name`, if it has one.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.variable(name)?.value()
    }

    /// Whether `name` is here, with a value or without.
    pub fn defines(&self, name: &str) -> bool {
        self.variable(name).is_some()
    }

    /// Gives `name` a value.
    pub fn set(&mut self, name: &str, value: &str) {
        let text = [name, "=", value].concat().into();
        self.put(text, name.len(), Origin::Env);
    }

    /// Puts `NAME=value`, or `NAME` alone, in the place of what has that name.
    pub(crate) fn put(&mut self, text: Arc<str>, name_length: usize, origin: Origin) {
        let known = self.variable(&text[..name_length]);
        let place = known.map_or(self.length, |known| known.place);
        if let Some(known) = known {
            let (bytes, fingerprint) = (known.text.len(), known.fingerprint());
            self.bytes -= bytes;
            self.fingerprint = self.fingerprint.wrapping_sub(fingerprint);
        } else {
            self.length += 1;
        }
        let variable = Variable {
            text,
            name_length: name_length as u32,
            origin,
            place,
        };
        self.bytes += variable.text.len();
        self.fingerprint = self.fingerprint.wrapping_add(variable.fingerprint());
        self.insert(variable);
    }

    /// All of them, `NAME=value` each.
    pub fn iter(&self) -> vec::IntoIter<&str> {
        let texts = self.variables().map(|variable| &*variable.text);
        texts.collect::<Vec<_>>().into_iter()
    }

    /// The names of those that an ARG has set.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        let arguments = self.variables();
        let arguments = arguments.filter(|variable| variable.origin == Origin::Arg);
        arguments.map(Variable::name)
    }

    /// Names and values.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        self.variables()
            .map(|variable| (variable.name(), variable.value()))
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.variables().map(Variable::name)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// What they take in all, in bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// In their order.
    fn variables(&self) -> impl Iterator<Item = &Variable> {
        let mut found = vec![None; self.len()];
        for run in self.runs() {
            for variable in &run.variables {
                found[variable.place as usize].get_or_insert(variable);
            }
        }
        found.into_iter().flatten()
    }

    /// The newest first.
    fn runs(&self) -> impl Iterator<Item = &Run> {
        std::iter::successors(self.top.as_deref(), |run| run.below.as_deref())
    }

    fn variable(&self, name: &str) -> Option<&Variable> {
        self.runs().find_map(|run| {
            let place = run.place_of(name).ok()?;
            Some(&run.variables[place])
        })
    }

    fn insert(&mut self, variable: Variable) {
        if let Some(top) = self.top.as_mut().and_then(Arc::get_mut) {
            match top.place_of(variable.name()) {
                Ok(place) => return top.variables[place] = variable,
                Err(place) if top.variables.len() < SMALL => {
                    return top.variables.insert(place, variable);
                }
                Err(_) => {}
            }
        }
        let run = Run {
            variables: vec![variable],
            below: self.top.take().map(settled),
        };
        self.top = Some(settled(Arc::new(run)));
    }
}

/// `run` with those below that are too short to stay runs of their own: else there would be many.
fn settled(run: Arc<Run>) -> Arc<Run> {
    let is_to_merge = |run: &Run| {
        let (below, newer) = match &run.below {
            Some(below) => (below.variables.len(), run.variables.len()),
            None => return false,
        };
        below + newer <= SMALL || below < 2 * newer
    };
    if !is_to_merge(&run) {
        return run;
    }
    let mut run = Arc::unwrap_or_clone(run);
    while is_to_merge(&run)
        && let Some(below) = run.below.take()
    {
        let below = Arc::unwrap_or_clone(below);
        run = Run {
            variables: merged(below.variables, run.variables),
            below: below.below,
        };
    }
    Arc::new(run)
}

impl Run {
    fn place_of(&self, name: &str) -> Result<usize, usize> {
        self.variables
            .binary_search_by(|variable| variable.name().cmp(name))
    }
}

/// Both by name; of equal names the newer.
fn merged(older: Vec<Variable>, newer: Vec<Variable>) -> Vec<Variable> {
    let mut all = Vec::with_capacity(older.len() + newer.len());
    let (mut older, mut newer) = (older.into_iter().peekable(), newer.into_iter().peekable());
    while let (Some(old), Some(new)) = (older.peek(), newer.peek()) {
        match old.name().cmp(new.name()) {
            Ordering::Less => all.extend(older.next()),
            Ordering::Greater => all.extend(newer.next()),
            Ordering::Equal => {
                older.next();
                all.extend(newer.next());
            }
        }
    }
    all.extend(older);
    all.extend(newer);
    all
}

/// Name and value of `NAME=value`; no `=` means an empty value.
pub(crate) fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}

impl<'e> IntoIterator for &'e Environment {
    type Item = &'e str;
    type IntoIter = vec::IntoIter<&'e str>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl<S: AsRef<str>> Extend<S> for Environment {
    /// Sets each of `NAME=value` strings.
    fn extend<I: IntoIterator<Item = S>>(&mut self, list: I) {
        for entry in list {
            let (name, value) = split(entry.as_ref());
            self.set(name, value);
        }
    }
}

impl<S: AsRef<str>> FromIterator<S> for Environment {
    fn from_iter<I: IntoIterator<Item = S>>(list: I) -> Self {
        let mut environment = Self::default();
        environment.extend(list);
        environment
    }
}

impl PartialEq for Environment {
    fn eq(&self, other: &Self) -> bool {
        let is_same = match (&self.top, &other.top) {
            (Some(one), Some(two)) => Arc::ptr_eq(one, two),
            (one, two) => one.is_none() && two.is_none(),
        };
        is_same
            || (self.fingerprint == other.fingerprint
                && self.length == other.length
                && self.iter().eq(other.iter()))
    }
}

impl Eq for Environment {}

impl Hash for Environment {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests;

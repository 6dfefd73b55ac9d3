//! A step's environment: names in the order of their first definition.

use std::collections::HashMap;

/// Ordered variables; setting one again keeps its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Env {
    entries: Vec<(String, String)>,
    places: HashMap<String, usize>,
}

impl Env {
    /// Sets each of `NAME=value` strings.
    pub(crate) fn extend(&mut self, list: &[String]) {
        for entry in list {
            let (name, value) = split(entry);
            self.set(name, value);
        }
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.places
            .get(name)
            .map(|&place| self.entries[place].1.as_str())
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        if let Some(&place) = self.places.get(name) {
            value.clone_into(&mut self.entries[place].1);
        } else {
            self.places.insert(name.to_owned(), self.entries.len());
            self.entries.push((name.to_owned(), value.to_owned()));
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|(name, _)| name.as_str())
    }

    /// As `NAME=value` strings.
    pub(crate) fn to_list(&self) -> Vec<String> {
        self.entries
            .iter()
            .map(|(name, value)| assignment(name, value))
            .collect()
    }
}

/// `NAME=value`, written at once: plans are full of them.
fn assignment(name: &str, value: &str) -> String {
    [name, "=", value].concat()
}

/// Name and value of `NAME=value`; no `=` means an empty value.
pub(crate) fn split(entry: &str) -> (&str, &str) {
    entry.split_once('=').unwrap_or((entry, ""))
}

/// Sets `name` in a list of `NAME=value` strings, in place if it is there.
pub(crate) fn set_in_list(list: &mut Vec<String>, name: &str, value: &str) {
    let entry = assignment(name, value);
    match list.iter_mut().find(|known| split(known).0 == name) {
        Some(known) => *known = entry,
        None => list.push(entry),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_set_again_keeps_its_place() {
        let mut env = Env::default();
        env.extend(&["A=1".to_owned(), "B=2".to_owned()]);
        env.set("A", "3");
        assert_eq!(env.to_list(), ["A=3", "B=2"]);
        assert_eq!(env.get("C"), None);
    }
}

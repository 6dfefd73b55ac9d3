//! Why a step missed: what differs between its preimage and an earlier one.

use std::collections::HashMap;

use crate::{Element, Preimage};

/// One element that differs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// The step did not depend on it before.
    Added(Element),
    /// The step does not depend on it any more.
    Removed(Element),
    /// Its value is another.
    Changed {
        /// What it is.
        label: String,
        /// Its value before.
        before: Vec<u8>,
        /// Its value now.
        now: Vec<u8>,
    },
}

/// What differs between `before` and `now`, in the order of `now`, removed elements last. Elements of the same label
/// are compared in their order.
pub fn first_differences(before: &Preimage, now: &Preimage) -> Vec<Difference> {
    let (before, now) = (before.elements(), now.elements());
    let mut earlier: HashMap<_, &Element> = numbered(&before).collect();
    let mut differences = Vec::new();
    for (place, element) in numbered(&now) {
        match earlier.remove(&place) {
            None => differences.push(Difference::Added(element.clone())),
            Some(known) if known.value != element.value => {
                differences.push(Difference::Changed {
                    label: element.label.clone(),
                    before: known.value.clone(),
                    now: element.value.clone(),
                });
            }
            Some(_) => {}
        }
    }
    let removed = numbered(&before).filter(|(place, _)| earlier.contains_key(place));
    differences.extend(removed.map(|(_, element)| Difference::Removed(element.clone())));
    differences
}

/// Each element under its label and how many of the same label stand before it.
fn numbered(elements: &[Element]) -> impl Iterator<Item = ((&str, u32), &Element)> {
    let mut seen: HashMap<&str, u32> = HashMap::new();
    elements.iter().map(move |element| {
        let count = seen.entry(&element.label).or_default();
        let place = (element.label.as_str(), *count);
        *count += 1;
        (place, element)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preimage(elements: &[(&str, &str)]) -> Preimage {
        let mut preimage = Preimage::new("exec");
        for (label, value) in elements {
            preimage.push(*label, value);
        }
        preimage
    }

    fn element(label: &str, value: &str) -> Element {
        Element {
            label: label.into(),
            value: value.into(),
        }
    }

    #[test]
    fn what_is_new_what_changed_and_what_is_gone_is_named() {
        let before = preimage(&[("arg 0", "make"), ("env A", "1"), ("env B", "1")]);
        let now = preimage(&[("arg 0", "make"), ("env A", "2"), ("env C", "1")]);
        let expected = [
            Difference::Changed {
                label: "env A".into(),
                before: b"1".to_vec(),
                now: b"2".to_vec(),
            },
            Difference::Added(element("env C", "1")),
            Difference::Removed(element("env B", "1")),
        ];
        assert_eq!(first_differences(&before, &now), expected);
        assert_eq!(first_differences(&now, &now), []);
    }

    #[test]
    fn elements_of_one_label_are_told_apart_by_their_order() {
        let before = preimage(&[("source", "a"), ("source", "b")]);
        let now = preimage(&[("source", "a"), ("source", "c"), ("source", "d")]);
        let expected = [
            Difference::Changed {
                label: "source".into(),
                before: b"b".to_vec(),
                now: b"c".to_vec(),
            },
            Difference::Added(element("source", "d")),
        ];
        assert_eq!(first_differences(&before, &now), expected);
    }
}

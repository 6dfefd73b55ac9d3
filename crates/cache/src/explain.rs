//! Why a step missed: what differs between its preimage and an earlier one.

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

/// What differs between `before` and `now`, in the order of `now`, removed elements last.
pub fn first_differences(before: &Preimage, now: &Preimage) -> Vec<Difference> {
    let find = |preimage: &Preimage, label: &str, occurrence: usize| {
        preimage
            .elements()
            .iter()
            .filter(|e| e.label == label)
            .nth(occurrence)
            .cloned()
    };
    let mut differences = Vec::new();
    for (element, occurrence) in numbered(now) {
        match find(before, &element.label, occurrence) {
            None => differences.push(Difference::Added(element.clone())),
            Some(earlier) if earlier.value != element.value => {
                differences.push(Difference::Changed {
                    label: element.label.clone(),
                    before: earlier.value,
                    now: element.value.clone(),
                });
            }
            Some(_) => {}
        }
    }
    for (element, occurrence) in numbered(before) {
        if find(now, &element.label, occurrence).is_none() {
            differences.push(Difference::Removed(element.clone()));
        }
    }
    differences
}

/// Each element and how many of the same label stand before it.
fn numbered(preimage: &Preimage) -> impl Iterator<Item = (&Element, usize)> {
    preimage.elements().iter().enumerate().map(|(at, element)| {
        let earlier = &preimage.elements()[..at];
        (
            element,
            earlier.iter().filter(|e| e.label == element.label).count(),
        )
    })
}

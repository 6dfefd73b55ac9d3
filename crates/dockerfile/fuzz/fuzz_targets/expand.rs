//! A template and the values of its variables: the first line is the template, each other line the value of `A`, `B`, ….
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use rbuild_dockerfile::{Escape, expand, expand_raw, expand_words};

/// What an expansion may add to its template.
const GROWTH: usize = 1 << 20;

fuzz_target!(|text: &str| {
    let mut lines = text.split('\n');
    let template = lines.next().unwrap_or_default();
    let variables: BTreeMap<String, String> = ('A'..='Z')
        .map(String::from)
        .zip(lines.map(str::to_owned))
        .collect();
    for escape in [Escape::Backslash, Escape::Backtick] {
        if let Ok(whole) = expand(template, escape, &variables) {
            assert!(whole.text.len() <= template.len() + GROWTH);
            assert!(whole.used.iter().all(|name| variables.contains_key(name)));
            assert!(
                whole
                    .undefined
                    .iter()
                    .all(|name| !variables.contains_key(name))
            );
            let words = expand_words(template, escape, &variables).expect("it expands as a whole");
            assert!(words.words.iter().all(|word| !word.is_empty()));
        }
    }
    let raw = expand_raw(template, &variables);
    if !template.contains(['$', '\\']) {
        assert_eq!(raw.expect("nothing to expand").text, template);
    }
});

//! Names for containers that nobody named: a quality and a tool, `brisk_chisel`.

use crate::{ContainerError, Seed};

const QUALITIES: [&str; 64] = [
    "able", "amber", "apt", "azure", "bold", "brave", "bright", "brisk", "calm", "clear", "clever",
    "cosy", "crisp", "deft", "eager", "early", "easy", "exact", "fair", "fine", "firm", "fleet",
    "fond", "fresh", "frugal", "gentle", "glad", "golden", "grand", "hardy", "honest", "keen",
    "kind", "lively", "loyal", "lucid", "mellow", "merry", "mild", "modest", "neat", "nimble",
    "noble", "plain", "polite", "proud", "quick", "quiet", "ready", "robust", "sharp", "silent",
    "sleek", "smart", "solid", "steady", "still", "sturdy", "sunny", "swift", "tidy", "trusty",
    "vivid", "warm",
];

const TOOLS: [&str; 64] = [
    "adze", "anvil", "auger", "awl", "axe", "beam", "bellows", "bevel", "bolt", "brace", "brush",
    "caliper", "chisel", "clamp", "compass", "crane", "dowel", "drill", "easel", "file", "forge",
    "gauge", "gimlet", "hammer", "hinge", "hoist", "jack", "jig", "kiln", "lamp", "lathe", "lever",
    "loom", "mallet", "maul", "mitre", "nail", "oilcan", "pestle", "plane", "pliers", "plumb",
    "pulley", "punch", "quern", "rasp", "rivet", "rule", "sander", "saw", "scythe", "shears",
    "sickle", "spade", "spindle", "square", "sieve", "tongs", "trowel", "vise", "wedge", "wheel",
    "winch", "wrench",
];

/// Names that are tried before a number is added.
pub(crate) const ATTEMPTS: u32 = 8;

/// The `attempt`th name that `seed` gives; from [`ATTEMPTS`] on with a number, so that there is always a free one.
pub(crate) fn generate(seed: Seed, attempt: u32) -> String {
    let at = (attempt as usize * 2) % (seed.0.len() - 1);
    let quality = QUALITIES[usize::from(seed.0[at]) % QUALITIES.len()];
    let tool = TOOLS[usize::from(seed.0[at + 1]) % TOOLS.len()];
    match attempt.checked_sub(ATTEMPTS) {
        None => format!("{quality}_{tool}"),
        Some(number) => format!("{quality}_{tool}{}", number + 2),
    }
}

/// Docker's rule: a letter or digit, then letters, digits, `_`, `.`, `-`.
pub(crate) fn check(name: &str) -> Result<(), ContainerError> {
    let mut bytes = name.bytes();
    let first = bytes
        .next()
        .is_some_and(|byte| byte.is_ascii_alphanumeric());
    let rest = bytes.all(|byte| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte));
    if first && rest && name.len() > 1 {
        return Ok(());
    }
    Err(ContainerError::option(
        "--name",
        name,
        "a name has two or more letters, digits, '_', '.' or '-', and begins with a letter or digit",
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_two_words_and_another_one_at_the_next_attempt() {
        let seed = Seed(std::array::from_fn(|n| n as u8));
        assert_eq!(generate(seed, 0), "able_anvil");
        assert_eq!(generate(seed, 1), "apt_awl");
        let late = generate(seed, ATTEMPTS + 40);
        assert!(late.ends_with("42"), "{late}");
        assert!((0..200).all(|attempt| check(&generate(seed, attempt)).is_ok()));
    }

    #[test]
    fn words_are_not_repeated() {
        for words in [QUALITIES, TOOLS] {
            let mut unique = words.to_vec();
            unique.sort_unstable();
            unique.dedup();
            assert_eq!(unique.len(), words.len());
        }
    }

    #[test]
    fn names_that_could_be_taken_for_something_else_are_refused() {
        for name in ["", "a", "-a", "a/b", "a b", "_x", "ü1"] {
            assert!(check(name).is_err(), "{name}");
        }
        assert!(check("web-1.blue_2").is_ok());
    }
}

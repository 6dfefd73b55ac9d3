//! Suggestions for names that are almost right.

/// Distances up to this are near.
const NEAR: usize = 2;

/// Longer names are not compared: the time that takes is the product of the lengths.
const MAX_NAME_BYTES: usize = 64;

/// So many options are looked at: nobody reads more, and a hostile file could have one on each of its lines.
const MAX_OPTIONS: usize = 1000;

/// The option nearest to `name`, if it is near; none if `name` itself is an option.
pub(crate) fn nearest<'a>(
    name: &str,
    options: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let is_comparable = |option: &&str| {
        option.len() <= MAX_NAME_BYTES && option.len().abs_diff(name.len()) <= NEAR * MAX_UTF8_BYTES
    };
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for option in options.into_iter().take(MAX_OPTIONS).filter(is_comparable) {
        let distance = strsim::levenshtein(name, option);
        if distance == 0 {
            return None;
        }
        if distance <= NEAR && best.is_none_or(|(known, _)| distance < known) {
            best = Some((distance, option));
        }
    }
    best.map(|(_, option)| option)
}

/// The longest character.
const MAX_UTF8_BYTES: usize = 4;

//! Suggestions for names that are almost right.

/// Distances up to this are near.
const NEAR: usize = 2;

/// The option nearest to `name`, if it is near; none if `name` itself is an option.
pub(crate) fn nearest<'a>(
    name: &str,
    options: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for option in options {
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

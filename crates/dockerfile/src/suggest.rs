//! The near miss: `RUNN` → `RUN`.

/// A candidate is near if fewer edits than this make it the word.
const EDITS: usize = 3;

/// The candidate nearest to `word`, in the case that `word` is written in. None if none is near, or if one is
/// `word` itself but for its case: then something else is wrong.
///
/// ```
/// use rbuild_dockerfile::suggest;
///
/// assert_eq!(suggest("runn", ["RUN", "ENV"]).as_deref(), Some("run"));
/// assert_eq!(suggest("BANANA", ["RUN", "ENV"]), None);
/// ```
pub fn suggest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let lower = word.to_lowercase();
    let length = lower.chars().count();
    if length == 0 {
        return None;
    }
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let candidate_lower = candidate.to_lowercase();
        if candidate_lower == lower {
            return None;
        }
        let limit = best.map_or(EDITS, |(distance, _)| distance);
        if candidate_lower.chars().count().abs_diff(length) >= limit {
            continue;
        }
        let distance = strsim::osa_distance(&lower, &candidate_lower);
        if distance < limit {
            best = Some((distance, candidate));
        }
    }
    let (_, candidate) = best?;
    Some(if word == lower {
        candidate.to_lowercase()
    } else if word == word.to_uppercase() {
        candidate.to_uppercase()
    } else {
        candidate.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::suggest;
    use rstest::rstest;

    #[rstest]
    #[case("RUNN", Some("RUN"))]
    #[case("runn", Some("run"))]
    #[case("Runn", Some("RUN"))]
    #[case("RNU", Some("RUN"))]
    #[case("run", None)] // not the word's fault
    #[case("XYZZYX", None)]
    #[case("", None)]
    fn finds_the_word_that_was_meant(#[case] word: &str, #[case] meant: Option<&str>) {
        assert_eq!(
            suggest(word, ["COPY", "RUN", "ENTRYPOINT"]).as_deref(),
            meant
        );
    }
}

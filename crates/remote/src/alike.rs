//! Steps that are called much alike: `[build] RUN make` and `[build] RUN make -j`.

/// How much two names have in common, if they may be the same step's: both begin with the same stage and instruction, and
/// most of the longer one is in the other.
pub(crate) fn likeness(one: &str, other: &str) -> Option<usize> {
    if one == other {
        return Some(usize::MAX);
    }
    if beginning(one) != beginning(other) {
        return None;
    }
    let (left, right) = (one.as_bytes(), other.as_bytes());
    let shorter = left.len().min(right.len());
    let front = left.iter().zip(right).take_while(|(a, b)| a == b).count();
    let back = left
        .iter()
        .rev()
        .zip(right.iter().rev())
        .take_while(|(a, b)| a == b)
        .count();
    let common = front + back.min(shorter - front);
    let longer = left.len().max(right.len());
    (2 * common > longer).then_some(common)
}

/// `[build] RUN`
fn beginning(name: &str) -> &str {
    let stage = name.find("] ").map_or(0, |end| end + 2);
    let end = name[stage..]
        .find(' ')
        .map_or(name.len(), |end| stage + end);
    &name[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_edited_is_found_again() {
        let name = "[build] RUN make -j4 all";
        assert_eq!(likeness(name, name), Some(usize::MAX));
        assert!(likeness(name, "[build] RUN make all") > likeness(name, "[build] RUN make test"));
        for other in [
            "[test] RUN make -j4 all",
            "[build] COPY make -j4 all",
            "[build] RUN echo a message of some length",
            "",
        ] {
            assert_eq!(likeness(name, other), None, "{other}");
        }
        assert_eq!(likeness("[a] RUN aa", "[a] RUN aaa"), Some(10));
    }
}

//! The values in pax records.

use super::pax;
use crate::index::entry::Mtime;

/// Pax records, as far as they matter; later ones replace earlier ones.
pub(crate) type Records = Vec<(Vec<u8>, Vec<u8>)>;

/// A record's value; an empty one takes back an earlier one.
pub(crate) fn lookup<'a>(records: &'a Records, key: &[u8]) -> Option<&'a [u8]> {
    records
        .iter()
        .rev()
        .find(|(name, _)| name == key)
        .map(|(_, value)| value.as_slice())
        .filter(|value| !value.is_empty())
}

/// The extended attributes in records, sorted.
pub(crate) fn xattrs(records: &Records) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut xattrs: Vec<(Vec<u8>, Vec<u8>)> = Vec::new();
    for (key, value) in records {
        if let Some(name) = pax::xattr_name(key) {
            xattrs.retain(|(known, _)| *known != name);
            xattrs.push((name, value.clone()));
        }
    }
    xattrs.sort_unstable();
    xattrs
}

/// A decimal number with an optional sign.
pub(crate) fn decimal(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// A decimal number.
pub(crate) fn unsigned(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// Decimal seconds with an optional fraction, cut after nine digits.
pub fn timestamp(text: &[u8]) -> Option<Mtime> {
    let text = std::str::from_utf8(text).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let seconds: i64 = whole.parse().ok()?;
    let digits: String = fraction
        .chars()
        .chain("000000000".chars())
        .take(9)
        .collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    if whole.starts_with('-') && nanoseconds > 0 {
        return Some(Mtime {
            seconds: seconds.checked_sub(1)?,
            nanoseconds: 1_000_000_000 - nanoseconds,
        });
    }
    Some(Mtime {
        seconds,
        nanoseconds,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_have_fractions_and_signs() {
        let time = |seconds, nanoseconds| {
            Some(Mtime {
                seconds,
                nanoseconds,
            })
        };
        assert_eq!(timestamp(b"12"), time(12, 0));
        assert_eq!(timestamp(b"12.5"), time(12, 500_000_000));
        assert_eq!(timestamp(b"-1.25"), time(-2, 750_000_000));
        assert_eq!(timestamp(b"1.1234567891"), time(1, 123_456_789));
        assert_eq!(timestamp(b"x"), None);
    }
}

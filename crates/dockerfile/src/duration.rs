//! Durations as Go writes them: `1h30m`, `1.5s`, `100ms`.

use thiserror::Error;

/// Why a text is no duration; the texts are Go's, which people search for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum DurationError {
    /// It has no numbers where they are wanted, or is too long.
    #[error("time: invalid duration \"{0}\"")]
    Invalid(String),
    /// A number without a unit.
    #[error("time: missing unit in duration \"{0}\"")]
    MissingUnit(String),
    /// There is no such unit.
    #[error("time: unknown unit \"{0}\" in duration \"{1}\"")]
    UnknownUnit(String, String),
}

/// Nanoseconds of a duration as Go's `time.ParseDuration` reads it, and HEALTHCHECK: `1h30m`, `1.5s`, `100ms`.
pub fn parse_duration(text: &str) -> Result<i64, DurationError> {
    let invalid = || DurationError::Invalid(text.to_owned());
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Ok(0);
    }
    if rest.is_empty() {
        return Err(invalid());
    }
    let mut total: u64 = 0;
    while !rest.is_empty() {
        let (whole, after) = digits(rest);
        let (fraction, after) = match after.strip_prefix('.') {
            Some(after) => digits(after),
            None => ("", after),
        };
        if whole.is_empty() && fraction.is_empty() {
            return Err(invalid());
        }
        let unit_end = after
            .find(|c: char| c == '.' || c.is_ascii_digit())
            .unwrap_or(after.len());
        let (unit, after) = after.split_at(unit_end);
        if unit.is_empty() {
            return Err(DurationError::MissingUnit(text.to_owned()));
        }
        let nanoseconds = unit_nanoseconds(unit)
            .ok_or_else(|| DurationError::UnknownUnit(unit.to_owned(), text.to_owned()))?;
        total = amount(whole, fraction, nanoseconds)
            .and_then(|amount| total.checked_add(amount))
            .filter(|&total| total <= 1 << 63)
            .ok_or_else(invalid)?;
        rest = after;
    }
    match (negative, i64::try_from(total)) {
        (true, Ok(total)) => Ok(-total),
        (true, Err(_)) => Ok(i64::MIN),
        (false, Ok(total)) => Ok(total),
        (false, Err(_)) => Err(invalid()),
    }
}

fn digits(text: &str) -> (&str, &str) {
    text.split_at(
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len()),
    )
}

fn unit_nanoseconds(unit: &str) -> Option<u64> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => 1_000_000_000,
        "m" => 60_000_000_000,
        "h" => 3_600_000_000_000,
        _ => return None,
    })
}

/// `whole.fraction` units; digits beyond what a unit resolves are cut off.
fn amount(whole: &str, fraction: &str, unit: u64) -> Option<u64> {
    let whole: u64 = if whole.is_empty() {
        0
    } else {
        whole.parse().ok()?
    };
    let mut rest = u128::from(unit);
    let mut part: u128 = 0;
    let mut scale: u128 = 1;
    for digit in fraction.bytes().take(18) {
        scale *= 10;
        part = part * 10 + u128::from(digit - b'0');
    }
    rest = rest * part / scale;
    whole
        .checked_mul(unit)?
        .checked_add(u64::try_from(rest).ok()?)
}

#[cfg(test)]
mod tests {
    use super::{DurationError, parse_duration};
    use rstest::rstest;

    #[rstest]
    #[case("0", 0)]
    #[case("5s", 5_000_000_000)]
    #[case("1h2m3.5s", 3_723_500_000_000)]
    #[case(".5s", 500_000_000)]
    #[case("1.s", 1_000_000_000)]
    #[case("-1ms", -1_000_000)]
    #[case("+1µs", 1_000)]
    #[case("9223372036854775807ns", i64::MAX)]
    fn reads_what_go_reads(#[case] text: &str, #[case] nanoseconds: i64) {
        assert_eq!(parse_duration(text), Ok(nanoseconds));
    }

    #[rstest]
    #[case("", "time: invalid duration \"\"")]
    #[case("5", "time: missing unit in duration \"5\"")]
    #[case("5x", "time: unknown unit \"x\" in duration \"5x\"")]
    #[case("s", "time: invalid duration \"s\"")]
    #[case(
        "9223372036854775808ns",
        "time: invalid duration \"9223372036854775808ns\""
    )]
    #[case(
        "99999999999999999999h",
        "time: invalid duration \"99999999999999999999h\""
    )]
    fn refuses_what_go_refuses(#[case] text: &str, #[case] message: &str) {
        assert_eq!(
            parse_duration(text).map_err(|error: DurationError| error.to_string()),
            Err(message.to_owned())
        );
    }
}

//! Sizes and times as people read them.

use std::time::Duration;

/// `67B`, `2.10kB`, `29.12MB`: decimal units, as `BuildKit` and registries write them.
pub(crate) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count}B");
    }
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    // 999.995 would be written as 1000.00.
    while value >= 999.995 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.2}{}", UNITS[unit])
}

/// `0.1s`.
pub(crate) fn tenths(time: Duration) -> String {
    format!("{:.1}s", time.as_secs_f64())
}

/// A time stamp before a line of output: at most four significant digits (`0.123`, `12.34`, `123.4`).
pub(crate) fn stamp(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let precision = match seconds {
        s if s < 10.0 => 3,
        s if s < 100.0 => 2,
        _ => 1,
    };
    format!("{seconds:.precision$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_two_decimals_from_a_thousand_bytes_on() {
        let shown: Vec<_> = [0, 67, 999, 1000, 2_100, 999_999, 29_124_000, 5_000_000_000]
            .map(bytes)
            .into();
        assert_eq!(
            shown,
            [
                "0B", "67B", "999B", "1.00kB", "2.10kB", "1.00MB", "29.12MB", "5.00GB"
            ]
        );
    }

    #[test]
    fn stamps_lose_precision_as_they_grow() {
        let shown = [0.1234, 12.345, 123.45].map(|s| stamp(Duration::from_secs_f64(s)));
        assert_eq!(shown, ["0.123", "12.35", "123.5"]);
    }
}

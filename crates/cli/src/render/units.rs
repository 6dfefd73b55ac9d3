//! Sizes and ages as docker writes them.

use std::time::Duration;

/// `1.23MB`, in powers of 1000 with three significant digits, as docker has it of images and layers.
pub(crate) fn bytes_decimal(bytes: u64) -> String {
    with_digits(bytes, 3, &DECIMAL)
}

/// `1.234MB`: four digits, as docker has it of disk usage and of what is on its way.
pub(crate) fn bytes_human(bytes: u64) -> String {
    with_digits(bytes, 4, &DECIMAL)
}

/// `1.5MiB`, in powers of 1024, as docker has it of memory.
pub(crate) fn bytes_binary(bytes: u64) -> String {
    with_digits(bytes, 4, &BINARY)
}

/// What sizes are counted in.
struct Scale {
    base: f64,
    units: &'static [&'static str],
}

const DECIMAL: Scale = Scale {
    base: 1000.0,
    units: &["B", "kB", "MB", "GB", "TB", "PB"],
};
const BINARY: Scale = Scale {
    base: 1024.0,
    units: &["B", "KiB", "MiB", "GiB", "TiB", "PiB"],
};

/// With `significant` digits but without zeros at the end.
fn with_digits(bytes: u64, significant: usize, scale: &Scale) -> String {
    let mut value = bytes as f64;
    let mut unit = 0;
    while value >= scale.base && unit + 1 < scale.units.len() {
        value /= scale.base;
        unit += 1;
    }
    if unit == 0 {
        return format!("{bytes}B");
    }
    let before_the_dot = match value {
        value if value >= 1000.0 => 4,
        value if value >= 100.0 => 3,
        value if value >= 10.0 => 2,
        _ => 1,
    };
    let digits = significant.saturating_sub(before_the_dot);
    let text = format!("{value:.digits$}");
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        &text
    };
    format!("{text}{}", scale.units[unit])
}

/// `2 hours ago`, as docker has it.
pub(crate) fn ago(age: Duration) -> String {
    let seconds = age.as_secs();
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    let text = match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..60 => format!("{seconds} seconds"),
        60..120 => "About a minute".to_owned(),
        120..3600 => format!("{minutes} minutes"),
        3600..5400 => "About an hour".to_owned(),
        5400..172_800 => format!("{hours} hours"),
        172_800..1_209_600 => format!("{} days", hours / 24),
        1_209_600..5_184_000 => format!("{} weeks", hours / 24 / 7),
        5_184_000..63_072_000 => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    };
    format!("{text} ago")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_three_significant_digits() {
        assert_eq!(bytes_decimal(0), "0B");
        assert_eq!(bytes_decimal(999), "999B");
        assert_eq!(bytes_decimal(1_230_000), "1.23MB");
        assert_eq!(bytes_decimal(124_000_000), "124MB");
        assert_eq!(bytes_decimal(5_000), "5kB");
        assert_eq!(bytes_decimal(100_000), "100kB");
    }

    #[test]
    fn sizes_on_disk_have_four() {
        assert_eq!(bytes_human(212), "212B");
        assert_eq!(bytes_human(16_430_000), "16.43MB");
        assert_eq!(bytes_human(1_234_567_890), "1.235GB");
        assert_eq!(bytes_human(100_000), "100kB");
    }

    #[test]
    fn memory_is_told_in_binary_units() {
        assert_eq!(bytes_binary(512), "512B");
        assert_eq!(bytes_binary(1_572_864), "1.5MiB");
        assert_eq!(bytes_binary(23 << 30), "23GiB");
        assert_eq!(bytes_binary(1_060_864), "1.012MiB");
        assert_eq!(bytes_binary(1_047_552), "1023KiB");
    }

    #[test]
    fn ages_are_in_the_largest_unit_that_fits() {
        assert_eq!(ago(Duration::from_secs(5)), "5 seconds ago");
        assert_eq!(ago(Duration::from_secs(3 * 3600)), "3 hours ago");
        assert_eq!(ago(Duration::from_secs(3 * 86400)), "3 days ago");
        assert_eq!(ago(Duration::from_secs(21 * 86400)), "3 weeks ago");
    }
}

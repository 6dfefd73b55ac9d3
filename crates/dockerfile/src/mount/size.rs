//! Sizes as docker writes them: `64m`, `1.5 GB`, `512KiB`; powers of 1024 all of them.

/// Bytes of a size.
pub(super) fn bytes(text: &str) -> Option<u64> {
    let number_end = text.rfind(|c: char| c.is_ascii_digit() || matches!(c, '.' | ' '))? + 1;
    let (number, unit) = text.split_at(number_end);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let is_number = number
        .bytes()
        .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'+' | b'e' | b'E'));
    let size: f64 = number.parse().ok().filter(|_| is_number)?;
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 1,
        "m" | "mb" | "mib" => 2,
        "g" | "gb" | "gib" => 3,
        "t" | "tb" | "tib" => 4,
        "p" | "pb" | "pib" => 5,
        _ => return None,
    };
    let size = size * 1024_f64.powi(scale);
    // Go's int64 overflows here; nobody means that.
    (size.is_finite() && size < 9.2e18).then_some(size as u64)
}

#[cfg(test)]
mod tests {
    use super::bytes;
    use rstest::rstest;

    #[rstest]
    #[case("0", Some(0))]
    #[case("100", Some(100))]
    #[case("32b", Some(32))]
    #[case("64m", Some(64 << 20))]
    #[case("64MB", Some(64 << 20))]
    #[case("64MiB", Some(64 << 20))]
    #[case("1.5 g", Some(3 << 29))]
    #[case("", None)]
    #[case("m", None)]
    #[case("-1", None)]
    #[case("1x", None)]
    #[case("1kbb", None)]
    #[case("1bb", None)]
    #[case("1 2", None)]
    #[case("inf", None)]
    #[case("99999p", None)]
    fn reads_what_docker_reads(#[case] text: &str, #[case] size: Option<u64>) {
        assert_eq!(bytes(text), size);
    }
}

//! Moments and durations, as people write them.

use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use rbuild_dockerfile::parse_duration;

use super::documents;

/// RFC 3339 with or without a zone, a day, seconds since 1970, or how long ago.
pub(super) fn moment(text: &str, now: SystemTime) -> Option<SystemTime> {
    let forms = [
        text.to_owned(),
        format!("{text}Z"),
        format!("{text}T00:00:00Z"),
    ];
    if let Some(time) = forms.iter().find_map(|text| documents::time(text)) {
        return Some(time);
    }
    if let Ok(seconds) = text.parse::<f64>()
        && let Ok(since) = Duration::try_from_secs_f64(seconds)
    {
        return SystemTime::UNIX_EPOCH.checked_add(since);
    }
    let ago = duration(text)?;
    Some(now.checked_sub(ago).unwrap_or(SystemTime::UNIX_EPOCH))
}

/// A moment that `until` names.
pub(super) fn until(text: &str, now: SystemTime) -> anyhow::Result<SystemTime> {
    moment(text, now).with_context(|| {
        format!("invalid time {text:?}: it is an age such as 24h, or 2026-11-21T12:00:00Z")
    })
}

/// Go's durations, with days before them: `1h30m`, `90s`, `7d`, `1d12h`.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    const DAY_SECONDS: u64 = 24 * 60 * 60;
    let (days, rest) = match text.split_once('d') {
        Some((days, "")) => (days.parse().ok()?, "0"),
        Some((days, rest)) => (days.parse().ok()?, rest),
        None => (0, text),
    };
    let rest = u64::try_from(parse_duration(rest).ok()?).ok()?;
    Duration::from_secs(DAY_SECONDS.checked_mul(days)?).checked_add(Duration::from_nanos(rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_read_as_go_writes_them_and_in_days() {
        let hours = |hours: u64| Some(Duration::from_secs(hours * 3600));
        assert_eq!(duration("24h"), hours(24));
        assert_eq!(duration("1h30m"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("1.5h"), Some(Duration::from_secs(5400)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        assert_eq!(duration("7d"), hours(168));
        assert_eq!(duration("1d12h"), hours(36));
        for wrong in [
            "",
            "h",
            "12",
            "1x",
            "-1h",
            "d",
            "99999999999999999999h",
            "99999999999999999d",
        ] {
            assert_eq!(duration(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn moments_are_given_as_docker_takes_them() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(10_000);
        let seconds = |text: &str| {
            let moment = moment(text, now).expect("a time");
            let since = moment.duration_since(SystemTime::UNIX_EPOCH);
            since.expect("after 1970").as_secs_f64()
        };
        for (text, expected) in [
            ("1970-01-01T00:01:00Z", 60.0),
            ("1970-01-01T00:01:00", 60.0),
            ("1970-01-02", 86_400.0),
            ("1.5", 1.5),
            ("1m", 9_940.0),
            ("1h", 6_400.0),
        ] {
            assert!((seconds(text) - expected).abs() < 1e-9, "{text}");
        }
        assert!(moment("yesterday", now).is_none());
        assert!(until("yesterday", now).is_err());
    }
}

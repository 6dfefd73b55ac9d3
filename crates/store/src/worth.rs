//! What is lost with a thing that is removed: the order in which a cache that is too large shrinks.
//!
//! ```text
//! worth = (seconds that it takes to have it again + 10 ms) · ½ ^ (time since its last use / 7 days)
//! ```
//!
//! What has the least worth for each byte that it takes goes first: a large copy before a small layer that took a minute to
//! compile, and of two that cost the same the one that was used longer ago.

use std::time::{Duration, SystemTime};

/// After this long without use, a thing is worth half.
const HALF_LIFE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// What looking, starting and recording cost where the work itself takes no time.
const FLOOR_SECONDS: f64 = 0.01;

/// How fast sources come again, and cache mounts fill: what a network gives.
const FETCH_BYTES_PER_SECOND: f64 = 10e6;

/// How fast a layer is compressed again.
const COMPRESS_BYTES_PER_SECOND: f64 = 50e6;

/// Seconds of work that are lost with what took `cost` and was last used then.
pub(crate) fn worth(cost: Duration, last_used: SystemTime, now: SystemTime) -> f64 {
    (cost.as_secs_f64() + FLOOR_SECONDS) * freshness(last_used, now)
}

/// [`worth`] of what is fetched again.
pub(crate) fn worth_of_fetched(bytes: u64, last_used: SystemTime, now: SystemTime) -> f64 {
    (bytes as f64 / FETCH_BYTES_PER_SECOND + FLOOR_SECONDS) * freshness(last_used, now)
}

/// [`worth`] of what is compressed again.
pub(crate) fn worth_of_compressed(bytes: u64, last_used: SystemTime, now: SystemTime) -> f64 {
    (bytes as f64 / COMPRESS_BYTES_PER_SECOND + FLOOR_SECONDS) * freshness(last_used, now)
}

fn freshness(last_used: SystemTime, now: SystemTime) -> f64 {
    let age = now.duration_since(last_used).unwrap_or_default();
    (-(age.as_secs_f64() / HALF_LIFE.as_secs_f64())).exp2()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn work_counts_and_loses_half_its_worth_in_a_week() {
        let now = SystemTime::UNIX_EPOCH + 100 * DAY;
        let minute = Duration::from_secs(60);
        assert!(worth(minute, now, now) > worth(Duration::from_secs(1), now, now));
        let week = worth(minute, now - 7 * DAY, now);
        assert!((week * 2.0 - worth(minute, now, now)).abs() < 1e-6);
        // A clock that was turned back makes nothing worth more.
        assert!((worth(minute, now + DAY, now) - worth(minute, now, now)).abs() < 1e-9);
    }

    #[test]
    fn what_comes_from_the_network_is_worth_more_than_what_is_compressed_again() {
        let now = SystemTime::now();
        assert!(worth_of_fetched(1 << 30, now, now) > worth_of_compressed(1 << 30, now, now));
    }
}

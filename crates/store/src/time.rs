//! Times as the database holds them: milliseconds since 1970.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Where the store takes "now" from; tests move it.
pub type Clock = std::sync::Arc<dyn Fn() -> SystemTime + Send + Sync>;

pub(crate) fn to_millis(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as i64)
}

pub(crate) fn from_millis(millis: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(millis.max(0) as u64)
}

//! When to try again, and how long to wait before.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use crate::options::RetryPolicy;
use crate::{Fault, RegistryError};

/// How often a host that refuses connections is tried.
const REFUSED_ATTEMPTS: u32 = 3;

/// Counts the failures of one request.
pub(crate) struct Backoff {
    policy: RetryPolicy,
    failures: u32,
    /// Spreads the waits of requests that run side by side.
    seed: u64,
}

impl Backoff {
    /// Nothing has failed yet. `subject` tells this request from those beside it.
    pub(crate) fn new(policy: RetryPolicy, subject: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        Self {
            policy,
            failures: 0,
            seed: hasher.finish(),
        }
    }

    /// Begins to count anew, since the last try brought something.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    /// How long to wait after `error`; `None` to give up.
    pub(crate) fn after(&mut self, error: &RegistryError) -> Option<Duration> {
        if !error.is_transient() {
            return None;
        }
        self.failures += 1;
        let attempts = match error {
            RegistryError::Unreachable {
                fault: Fault::Refused | Fault::UnknownHost,
                ..
            } => self.policy.attempts.min(REFUSED_ATTEMPTS),
            _ => self.policy.attempts,
        };
        if self.failures >= attempts {
            return None;
        }
        match error.retry_after() {
            Some(asked) if asked > self.policy.longest_asked_wait => None,
            Some(asked) => Some(asked.max(self.policy.first_wait)),
            None => Some(self.wait()),
        }
    }

    /// Doubles with each failure; between half and all of it, so that not all come back at once.
    fn wait(&self) -> Duration {
        let doubled = self
            .policy
            .first_wait
            .saturating_mul(1 << (self.failures - 1).min(16));
        let full = doubled.min(self.policy.longest_wait);
        let spread = self.seed.rotate_left(self.failures * 7) % 512;
        full / 2 + full.mul_f64(spread as f64 / 1024.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Attempt;
    use crate::reply::Reply;

    fn status(status: u16, retry_after: Option<Duration>) -> RegistryError {
        let attempt = Attempt {
            action: "read",
            subject: "x".to_owned(),
            host: "y".to_owned(),
            registry: "y".to_owned(),
        };
        let reply = Reply {
            status,
            errors: Vec::new(),
            text: String::new(),
            retry_after,
        };
        RegistryError::of_reply(&attempt, reply)
    }

    #[test]
    fn waits_grow_and_end() {
        let policy = RetryPolicy::default();
        let mut backoff = Backoff::new(policy, "blob");
        let waits: Vec<_> = std::iter::from_fn(|| backoff.after(&status(503, None))).collect();
        assert_eq!(waits.len() as u32, policy.attempts - 1);
        assert!(waits[0] >= policy.first_wait / 2 && waits[0] <= policy.first_wait);
        assert!(waits[4] >= policy.first_wait * 8 && waits[4] <= policy.longest_wait);
    }

    #[test]
    fn the_server_may_say_how_long_within_reason() {
        let mut backoff = Backoff::new(RetryPolicy::default(), "blob");
        let asked = Duration::from_secs(9);
        assert_eq!(backoff.after(&status(429, Some(asked))), Some(asked));
        assert_eq!(
            backoff.after(&status(429, Some(Duration::from_secs(6 * 3600)))),
            None
        );
    }

    #[test]
    fn what_will_not_pass_is_not_tried_again() {
        let mut backoff = Backoff::new(RetryPolicy::default(), "blob");
        for code in [400, 401, 403, 404, 405, 501] {
            assert_eq!(backoff.after(&status(code, None)), None);
        }
    }
}

//! What a client is told besides where registries are: patience, proxies, trust.

use std::time::Duration;

use rbuild_web::WebOptions;

/// How the client behaves on the network. The defaults suit people and CI.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// How failures are retried.
    pub retry: RetryPolicy,
    /// The longest that a connection may take to be made.
    pub connect_timeout: Duration,
    /// The longest silence in the middle of a transfer.
    pub stall_timeout: Duration,
    /// The longest wait for the answer to a request that gives the registry work (the end of an upload).
    pub commit_timeout: Duration,
    /// Proxies, and authorities to trust for every registry. Hosts on the loopback interface are always reached
    /// directly.
    pub web: WebOptions,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            retry: RetryPolicy::default(),
            connect_timeout: Duration::from_secs(15),
            stall_timeout: Duration::from_secs(30),
            commit_timeout: Duration::from_secs(300),
            web: WebOptions::default(),
        }
    }
}

/// How failures that may pass are retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often a request is sent at most.
    pub attempts: u32,
    /// The wait after the first failure; it doubles with each.
    pub first_wait: Duration,
    /// The longest wait of our own accord.
    pub longest_wait: Duration,
    /// The longest wait that a server may ask for (`Retry-After`); more is a failure at once.
    pub longest_asked_wait: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            first_wait: Duration::from_millis(250),
            longest_wait: Duration::from_secs(8),
            longest_asked_wait: Duration::from_secs(120),
        }
    }
}

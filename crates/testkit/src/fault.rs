//! What can go wrong on the way to a registry, on demand.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// What the proxy does to a request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answers by itself.
    Reply {
        /// The status.
        status: u16,
        /// Headers.
        headers: Vec<(String, String)>,
        /// The body.
        body: Vec<u8>,
    },
    /// Closes the connection without an answer.
    Drop,
    /// Passes on this many bytes of the request's body, then closes both connections.
    DropUploadAfter(u64),
    /// Changes the byte of the request's body at this place.
    CorruptUpload(u64),
    /// Sends the headers and this many bytes of the answer's body, then closes the connection.
    TruncateAfter(u64),
    /// Changes the byte of the answer's body at this place.
    Corrupt(u64),
    /// Sends more than the registry did, without a length.
    Append(Vec<u8>),
    /// Waits before the request is passed on.
    Delay(Duration),
    /// Sends this many bytes of the answer's body, then nothing for that time, then closes the connection.
    StallAfter(u64, Duration),
    /// Sets a header of the answer (a wrong digest, a length that lies).
    SetHeader(&'static str, String),
    /// Takes a header away from the answer.
    RemoveHeader(&'static str),
    /// Takes a header away from the request (`range`: a server that does not know it).
    HideRequestHeader(&'static str),
}

impl Fault {
    /// An answer with a status and nothing else.
    pub fn status(status: u16) -> Self {
        Self::Reply {
            status,
            headers: Vec::new(),
            body: Vec::new(),
        }
    }

    /// An answer with a status and a header.
    pub fn status_with(status: u16, name: &str, value: &str) -> Self {
        Self::Reply {
            status,
            headers: vec![(name.to_owned(), value.to_owned())],
            body: Vec::new(),
        }
    }
}

/// Which requests a fault strikes.
#[derive(Debug)]
pub struct Rule {
    method: &'static str,
    path: String,
    skip: AtomicU32,
    times: AtomicU32,
    pub(crate) fault: Fault,
}

impl Rule {
    /// The first request with this method whose path (with its query) holds this text.
    pub fn once(method: &'static str, path: &str, fault: Fault) -> Self {
        Self::times(method, path, 1, fault)
    }

    /// Every such request.
    pub fn always(method: &'static str, path: &str, fault: Fault) -> Self {
        Self::times(method, path, u32::MAX, fault)
    }

    /// The first `times` such requests.
    pub fn times(method: &'static str, path: &str, times: u32, fault: Fault) -> Self {
        Self {
            method,
            path: path.to_owned(),
            skip: AtomicU32::new(0),
            times: AtomicU32::new(times),
            fault,
        }
    }

    /// Spares the first `skip` such requests.
    #[must_use]
    pub fn after(self, skip: u32) -> Self {
        self.skip.store(skip, Ordering::SeqCst);
        self
    }

    /// Whether it strikes this request; counts if so.
    pub(crate) fn strikes(&self, method: &str, path: &str) -> bool {
        if method != self.method || !path.contains(&self.path) {
            return false;
        }
        let count_down = |count: &AtomicU32| {
            let less = |n: u32| n.checked_sub(1);
            count
                .fetch_update(Ordering::SeqCst, Ordering::SeqCst, less)
                .is_ok()
        };
        !count_down(&self.skip) && count_down(&self.times)
    }
}

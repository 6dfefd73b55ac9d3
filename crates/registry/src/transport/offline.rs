//! The token that a login may get to keep in place of the password (distribution's token specification, `offline_token`).

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Whether one is wanted, and which it is.
#[derive(Default)]
pub(crate) struct Offline(Mutex<State>);

#[derive(Default)]
enum State {
    /// It is not.
    #[default]
    Unwanted,
    /// The next token server is asked for one.
    Wanted,
    /// Here it is.
    Given(String),
}

impl Offline {
    /// One is wanted from now on.
    pub(crate) fn want(&self) {
        *self.lock() = State::Wanted;
    }

    pub(super) fn is_wanted(&self) -> bool {
        matches!(*self.lock(), State::Wanted)
    }

    pub(super) fn give(&self, token: String) {
        *self.lock() = State::Given(token);
    }

    /// The one that was given; none is wanted any more.
    pub(crate) fn take(&self) -> Option<String> {
        match std::mem::take(&mut *self.lock()) {
            State::Given(token) => Some(token),
            State::Unwanted | State::Wanted => None,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

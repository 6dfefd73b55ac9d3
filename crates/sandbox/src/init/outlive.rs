//! The keeper of a process that outlives its caller: what that left to be read is read away.
//!
//! ```text
//!   caller ── Hold + descriptors ──▶ keeper        while both are there, the caller reads
//!          ✗                         keeper reads  from the caller's end to that of the last writer
//! ```
//!
//! So the process neither waits for a reader that is gone nor ends for the lack of one, and a terminal stays open.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use crate::channel::{Channel, Hold};

/// One read of what nobody wants.
const CHUNK_BYTES: usize = 16 << 10;

/// What the caller has left to be read.
#[derive(Debug, Default)]
pub(super) struct Held(Vec<OwnedFd>);

/// Returns when the process of `pidfd` has ended, whether or not the caller is still there.
pub(super) fn wait(control: &Channel, pidfd: &OwnedFd) -> io::Result<Held> {
    let mut held = Held::default();
    loop {
        let mut events = [
            PollFd::new(pidfd, PollFlags::IN),
            PollFd::new(control, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut events, None))?;
        if !events[0].revents().is_empty() {
            return Ok(held);
        }
        if !held.listen(control) {
            held.read_until(Some(pidfd))?;
            return Ok(held);
        }
    }
}

impl Held {
    /// Reads for those whom the process has left behind, once the caller is gone.
    pub(super) fn read_on(mut self, control: &Channel) -> io::Result<()> {
        while self.listen(control) {}
        self.read_until(None)
    }

    /// Takes what the caller says next. Whether it is still there.
    fn listen(&mut self, control: &Channel) -> bool {
        match control.receive::<Hold>() {
            Ok(Some((Hold, descriptors))) => {
                self.0 = descriptors;
                true
            }
            // However it went.
            Ok(None) | Err(_) => false,
        }
    }

    /// Reads until nobody writes any more, or the process of `pidfd` has ended.
    fn read_until(&mut self, pidfd: Option<&OwnedFd>) -> io::Result<()> {
        while !self.0.is_empty() || pidfd.is_some() {
            let watched = self.0.iter().chain(pidfd);
            let mut events: Vec<_> = watched.map(|one| PollFd::new(one, PollFlags::IN)).collect();
            rustix::io::retry_on_intr(|| poll(&mut events, None))?;
            let ready: Vec<bool> = events
                .iter()
                .map(|event| !event.revents().is_empty())
                .collect();
            if pidfd.is_some() && ready.last() == Some(&true) {
                return Ok(());
            }
            let mut ready = ready.into_iter();
            self.0
                .retain(|one| ready.next() != Some(true) || read_away(one));
        }
        Ok(())
    }
}

/// Whether more may come. A terminal whose last user is gone ends in an error (EIO).
fn read_away(from: &OwnedFd) -> bool {
    let mut chunk = [0; CHUNK_BYTES];
    match rustix::io::read(from, &mut chunk) {
        Ok(count) => count > 0,
        Err(error) => matches!(error, Errno::INTR | Errno::AGAIN),
    }
}

//! Ctrl-C and SIGTERM: the first asks the work to stop; a second one, or some seconds, stop it.

use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::failure::{self, INTERRUPTED};

/// How long the work may take to stop: what it waits for longer is the other end of a connection. The store is
/// whole whenever a process ends.
const GRACE: Duration = Duration::from_secs(5);

/// Calls `stop` when the user interrupts. Must be called before any other thread starts, so that all of them
/// leave the signals to the one that waits for them here. A second signal ends the process at once, and so does
/// the work itself if it goes on for five seconds.
pub(crate) fn on_interrupt(stop: impl Fn() + Send + 'static) -> anyhow::Result<()> {
    let signals: SigSet = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP]
        .into_iter()
        .collect();
    signals.thread_block()?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            let mut interrupted = false;
            while signals.wait().is_ok() {
                if interrupted {
                    std::process::exit(INTERRUPTED.into());
                }
                interrupted = true;
                end_after_grace();
                stop();
            }
        })?;
    Ok(())
}

/// Ends the process if it has not ended by itself. Without a thread to wait, a second signal has to do.
fn end_after_grace() {
    let waiting = std::thread::Builder::new().name("grace".to_owned());
    let _ = waiting.spawn(|| {
        std::thread::sleep(GRACE);
        let error = anyhow::anyhow!("canceled; what did not end within {GRACE:?} was given up");
        let _ = failure::report(&error);
        std::process::exit(INTERRUPTED.into());
    });
}

//! Ctrl-C and SIGTERM: the first asks the work to stop, a second one stops it.

use nix::sys::signal::{SigSet, Signal};

/// Calls `stop` when the user interrupts. Must be called before any other thread starts, so that all of them
/// leave the signals to the one that waits for them here. A second signal ends the process at once.
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
                    std::process::exit(130);
                }
                interrupted = true;
                stop();
            }
        })?;
    Ok(())
}

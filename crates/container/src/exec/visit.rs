//! The command of `exec` while its process runs: it copies, watches for the keys that leave, and ends with the process or
//! before it.

use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::thread;

use rbuild_sandbox::Running;
use rustix::event::{PollFd, PollFlags, poll};
use signal_hook::consts::signal as signals;
use signal_hook::iterator::Signals;

use super::ExecOutcome;
use super::copies::{Dry, Silent};
use super::wiring::{Wiring, pipe};
use crate::ContainerError;
use crate::keys::DetachKeys;
use crate::session::Streams;
use crate::terminal::terminal_size;

/// They end the command alone, but not before the user's terminal is as it was.
const ENDING: [i32; 4] = [
    signals::SIGHUP,
    signals::SIGINT,
    signals::SIGQUIT,
    signals::SIGTERM,
];

/// Copies until the process ends, or the user leaves it.
pub(super) fn stay(
    running: Running,
    wiring: Wiring<'_>,
    user: Streams<'_>,
    keys: &DetachKeys,
) -> Result<ExecOutcome, ContainerError> {
    let flows = wiring.flows(&running)?;
    let raw = flows.raw;
    let held: Vec<BorrowedFd<'_>> = flows.outputs.iter().map(|flow| flow.from.as_fd()).collect();
    running.leave_to_read(&held)?;
    let ending: &[i32] = if raw.is_some() { &ENDING } else { &[] };
    let mut signals =
        Signals::new(ending.iter().chain(&[signals::SIGWINCH])).map_err(ContainerError::Attach)?;
    let keys = raw.is_some().then_some(keys);
    let handle = signals.handle();
    let (why, tell) = pipe()?;
    let (over, end) = pipe()?;
    let left = thread::scope(|scope| {
        scope.spawn(|| heed(&mut signals, user, &running, &tell));
        scope.spawn(|| {
            let silent = flows.input.map(|input| input.run(keys, &over));
            if silent == Some(Silent::Left) {
                say(&tell, ExecOutcome::Left);
            }
        });
        for output in flows.outputs {
            scope.spawn(|| {
                if output.run(&over) == Dry::Unread {
                    // As in any pipeline: what it writes next is its end. It may have ended already.
                    let _ = running.leave_to_read(&[]);
                }
            });
        }
        let left = wait(&running, &why);
        // From here on the threads have nothing to wait for.
        drop(end);
        handle.close();
        left
    });
    drop(raw);
    match left? {
        None => Ok(ExecOutcome::Ended(running.wait()?.code())),
        Some(left) => {
            running.release();
            Ok(left)
        }
    }
}

/// Waits for the end, or for a reason to leave before it.
fn wait(running: &Running, why: &OwnedFd) -> Result<Option<ExecOutcome>, ContainerError> {
    let attach = |error: rustix::io::Errno| ContainerError::Attach(error.into());
    let end = running.end();
    let mut events = [
        PollFd::new(&end, PollFlags::IN),
        PollFd::new(why, PollFlags::IN),
    ];
    rustix::io::retry_on_intr(|| poll(&mut events, None)).map_err(attach)?;
    if !events[0].revents().is_empty() {
        return Ok(None);
    }
    let mut reason = [0];
    rustix::io::retry_on_intr(|| rustix::io::read(why, &mut reason)).map_err(attach)?;
    Ok(Some(match reason[0] {
        0 => ExecOutcome::Left,
        number => ExecOutcome::Interrupted(number.into()),
    }))
}

/// Tells [`wait`] a reason: a signal's number, or 0.
fn say(tell: &OwnedFd, left: ExecOutcome) {
    let number = match left {
        ExecOutcome::Interrupted(number) => u8::try_from(number).unwrap_or_default(),
        ExecOutcome::Left | ExecOutcome::Ended(_) => 0,
    };
    // A pipe with room for one byte, whose reader outlives us.
    let _ = rustix::io::write(tell, &[number]);
}

/// Gives the process's terminal the size of the user's, and hears what ends the command.
fn heed(signals: &mut Signals, user: Streams<'_>, running: &Running, tell: &OwnedFd) {
    follow_size(user, running);
    for signal in signals.forever() {
        if signal == signals::SIGWINCH {
            follow_size(user, running);
        } else {
            say(tell, ExecOutcome::Interrupted(signal));
        }
    }
}

fn follow_size(user: Streams<'_>, running: &Running) {
    let size = terminal_size(user.stdout).or_else(|| terminal_size(user.stdin));
    if let Some(size) = size {
        // A terminal that is closed already has no size to change.
        let _ = running.resize(size);
    }
}

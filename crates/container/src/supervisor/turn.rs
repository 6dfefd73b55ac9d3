//! What a supervisor does when something happens.

use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::Supervisor;
use super::clients::Role;
use super::life::Life;
use super::streams::Taken;
use crate::link::Stream;
use crate::log::Logging;
use crate::namespaces::PidMode;

/// Reads of one output before others have their turn.
const READS: usize = 8;

/// What can happen.
#[derive(Debug, Clone, Copy)]
enum Event {
    /// A command is at the door.
    Door,
    /// The container's first process has ended.
    End,
    /// It wrote something.
    Output(usize),
    /// It has room for input.
    Input,
    /// A command said something, or is gone.
    Client(u64),
    /// A command has room for more.
    Room(u64),
    /// A helper has ended.
    Helper(usize),
    /// A health check is done.
    Probe,
    /// Who keeps the user's networks is dead.
    Network,
}

impl Supervisor {
    /// Waits for something to happen, and deals with it. Whether there is more to come.
    pub(super) fn turn(&mut self) -> bool {
        if matches!(self.life, Life::Over) {
            self.clients.retain(|client| !client.pending.is_empty());
            if self.clients.is_empty() {
                return false;
            }
        }
        for (event, flags) in self.events() {
            self.deal_with(event, flags);
        }
        self.settle();
        true
    }

    /// What happened.
    fn events(&self) -> Vec<(Event, PollFlags)> {
        let mut events = Vec::new();
        let mut watched = Vec::new();
        if let Some(door) = &self.door {
            events.push(Event::Door);
            watched.push(PollFd::new(door, PollFlags::IN));
        }
        // Who is slow to take the output keeps the container from writing more.
        let jammed = self
            .clients
            .iter()
            .any(|client| client.role.has_streams() && !client.pending.is_empty());
        let mut full = false;
        if let Life::Running(run) = &self.life {
            if !run.ended {
                events.push(Event::End);
                watched.push(PollFd::from_borrowed_fd(run.sandbox.end(), PollFlags::IN));
            }
            for (index, output) in run.outputs.iter().enumerate().filter(|_| !jammed) {
                events.push(Event::Output(index));
                watched.push(PollFd::new(&output.from, PollFlags::IN));
            }
            if let Some(input) = run.input.as_ref().filter(|input| input.is_full()) {
                full = true;
                events.push(Event::Input);
                watched.push(PollFd::new(&input.to, PollFlags::OUT));
            }
        }
        for client in &self.clients {
            let mut flags = PollFlags::empty();
            // Nor is more input taken than it reads; that a command is gone is seen all the same.
            if !(full && client.role.has_streams()) {
                flags |= PollFlags::IN;
            }
            let event = if client.pending.is_empty() {
                Event::Client(client.number)
            } else {
                flags |= PollFlags::OUT;
                Event::Room(client.number)
            };
            events.push(event);
            watched.push(PollFd::from_borrowed_fd(client.link.as_fd(), flags));
        }
        for (index, helper) in self.helpers.iter().enumerate() {
            events.push(Event::Helper(index));
            watched.push(PollFd::new(&helper.end, PollFlags::IN));
        }
        if let Some(probe) = self.health.as_ref().and_then(|watch| watch.probe()) {
            events.push(Event::Probe);
            watched.push(PollFd::from_borrowed_fd(probe.done(), PollFlags::IN));
        }
        if let Some(trouble) = self.network.trouble() {
            events.push(Event::Network);
            watched.push(PollFd::from_borrowed_fd(trouble, PollFlags::IN));
        }
        let timeout = self.timeout().map(|pause| Timespec {
            tv_sec: pause.as_secs() as i64,
            tv_nsec: i64::from(pause.subsec_nanos()),
        });
        if rustix::io::retry_on_intr(|| poll(&mut watched, timeout.as_ref())).is_err() {
            return Vec::new();
        }
        let flags = watched.iter().map(PollFd::revents);
        events
            .into_iter()
            .zip(flags)
            .filter(|(_, flags)| !flags.is_empty())
            .collect()
    }

    fn timeout(&self) -> Option<Duration> {
        let due = match &self.life {
            Life::Resting { until, .. } => Some(*until),
            Life::Running(_) => self.health.as_ref().and_then(super::health::Watch::due),
            Life::Over => None,
        };
        due.map(|due| due.saturating_duration_since(Instant::now()))
    }

    fn deal_with(&mut self, event: Event, flags: PollFlags) {
        match event {
            Event::Door => {
                // Who is gone again before it was let in is no loss.
                if let Some(Ok(link)) = self.door.as_ref().map(crate::link::Door::accept) {
                    self.admit(link, Role::Visitor);
                }
            }
            Event::End => {
                if let Life::Running(run) = &mut self.life {
                    run.ended = true;
                    // Else what it left would keep its output open.
                    if self.config.options.pid != PidMode::Private {
                        self.cgroup.kill();
                    }
                    // Nobody reads any more.
                    run.input = None;
                }
            }
            Event::Output(index) => self.read(index),
            Event::Input => self.pour(),
            Event::Client(number) => self.hear(number),
            Event::Room(number) => {
                let gone = flags.intersects(PollFlags::HUP | PollFlags::ERR);
                let client = self.clients.iter_mut().find(|one| one.number == number);
                if client.is_some_and(|client| gone || !client.flush()) {
                    self.lose(number);
                } else if flags.contains(PollFlags::IN) {
                    self.hear(number);
                }
            }
            Event::Helper(index) => {
                // Its end was seen: this takes no time.
                let _ = self.helpers[index].child.wait();
            }
            Event::Probe => self.probe_ended(),
            Event::Network => self.network.mend(),
        }
    }

    /// After all events of a turn: what they left to be tidied.
    fn settle(&mut self) {
        self.helpers
            .retain_mut(|helper| matches!(helper.child.try_wait(), Ok(None)));
        if let Life::Running(run) = &mut self.life {
            run.outputs.retain(|output| !output.ended);
            if run.ended && run.outputs.is_empty() {
                let Life::Running(run) = std::mem::replace(&mut self.life, Life::Over) else {
                    return;
                };
                self.run_ended(*run);
            }
        }
        self.look_after_health();
        if let Life::Resting { until, .. } = &self.life
            && (self.ending || *until <= Instant::now())
        {
            self.wake();
        }
    }

    fn read(&mut self, index: usize) {
        for _ in 0..READS {
            let Life::Running(run) = &mut self.life else {
                return;
            };
            let Some(output) = run.outputs.get_mut(index) else {
                return;
            };
            let stream = output.stream;
            match output.take() {
                Taken::Bytes(bytes) => self.wrote(stream, &bytes),
                Taken::NothingNow => return,
                Taken::End => {
                    output.ended = true;
                    return;
                }
            }
        }
    }

    fn wrote(&mut self, stream: Stream, bytes: &[u8]) {
        let now = self.now();
        if self.config.options.logging == Logging::Kept
            && let Err(error) = self.log.write(stream, bytes, now)
        {
            self.note("write the log", &error);
        }
        self.show(stream, bytes);
    }

    /// Hands input on as far as there is room for it.
    pub(super) fn pour(&mut self) {
        if let Life::Running(run) = &mut self.life
            && let Some(input) = &mut run.input
            && !input.flush()
        {
            run.input = None;
        }
    }
}

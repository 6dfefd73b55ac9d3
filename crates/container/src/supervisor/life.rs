//! The runs of a container: begun, ended, begun again.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant, SystemTime};

use rbuild_sandbox::{Exit, TerminalSize, spawn};
use rbuild_store::{ContainerState, End, Store};

use super::Supervisor;
use super::streams::{Input, Output, Wiring};
use crate::condition::{boot_id, start_ticks};
use crate::hosts::NameFiles;
use crate::link::remove_door;
use crate::namespaces::{PidMode, Shared};
use crate::options::Cleanup;
use crate::{ContainerError, lifecycle, volume_store};

/// The first pause before a container is started again, doubled each time.
const FIRST_REST: Duration = Duration::from_millis(100);
/// The longest.
const LONGEST_REST: Duration = Duration::from_secs(60);
/// After a run of this length the pauses begin anew.
const GOOD_RUN: Duration = Duration::from_secs(10);

/// What the container is doing.
pub(super) enum Life {
    /// Its first process runs.
    Running(Box<Run>),
    /// It has ended and is to run again.
    Resting {
        /// When.
        until: Instant,
        /// How long it was to wait.
        rest: Duration,
        /// How it ended.
        end: End,
    },
    /// It has ended for good.
    Over,
}

/// Whether a container stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frozen {
    Yes,
    No,
}

/// One run.
pub(super) struct Run {
    pub(super) sandbox: rbuild_sandbox::Running,
    pub(super) outputs: Vec<Output>,
    pub(super) input: Option<Input>,
    /// The first process has ended; what it wrote is still being read.
    pub(super) ended: bool,
    since: SystemTime,
    began: Instant,
    rest: Duration,
}

impl Life {
    pub(super) fn input(&mut self) -> Option<&mut Input> {
        match self {
            Self::Running(run) => run.input.as_mut(),
            _ => None,
        }
    }

    pub(super) fn resize(&self, size: TerminalSize) -> Result<(), ContainerError> {
        match self {
            Self::Running(run) => Ok(run.sandbox.resize(size)?),
            _ => Ok(()),
        }
    }
}

impl Supervisor {
    /// Starts the container for the first time, with the user's own descriptors where it has such.
    pub(super) fn run_first(
        &mut self,
        store: &Store,
        given: Vec<OwnedFd>,
    ) -> Result<(), ContainerError> {
        let direct = std::mem::take(&mut self.start.direct);
        self.run(store, direct, given, FIRST_REST)
    }

    /// Starts it again.
    pub(super) fn run_again(&mut self, rest: Duration) -> Result<(), ContainerError> {
        let store = Store::open(&self.root)?;
        self.run(&store, [false; 3], Vec::new(), rest)
    }

    fn run(
        &mut self,
        store: &Store,
        direct: [bool; 3],
        given: Vec<OwnedFd>,
        rest: Duration,
    ) -> Result<(), ContainerError> {
        let failed = ContainerError::Supervise;
        let options = &self.config.options;
        let wants_input = options.interactive;
        let wiring = if options.tty {
            Wiring::terminal(self.start.size)
        } else {
            Wiring::plain(wants_input, direct, given).map_err(failed)?
        };
        self.cgroup.create(&self.config.options.limits)?;
        self.cgroup.record(&self.directory)?;
        let mut spec = lifecycle::prepare(
            store,
            &self.id,
            &self.config,
            &self.start.layers,
            &NameFiles {
                host: &self.host,
                network: self.network.record(),
            },
        )?;
        spec.cgroups = self.cgroup.directories();
        let options = &self.config.options;
        let mut descriptors: Vec<_> = self.network.namespace().into_iter().collect();
        let shared = Shared::open(store, options, descriptors.len())?;
        if options.pid != PidMode::Private && spec.cgroups.is_empty() {
            return Err(ContainerError::option(
                "--pid",
                "",
                "processes that are not in a namespace of their own are ended by control groups, which this user cannot make here",
            ));
        }
        shared.apply(&mut spec);
        if let Some(range) = &self.ids {
            spec.users = range.users();
        }
        self.cgroup.guard_devices(&spec)?;
        descriptors.extend(shared.descriptors());
        let sandbox = spawn(&spec, wiring.stdio(), &descriptors)?;
        drop(descriptors);
        drop(shared);
        let (outputs, input) = wiring
            .ours(sandbox.terminal(), wants_input)
            .map_err(failed)?;
        let since = self.now();
        let pid = sandbox.pid();
        let state = ContainerState::Running {
            pid,
            // A process that has just been started and ended is not reaped yet by its keeper, or never was seen.
            start_ticks: start_ticks(pid).unwrap_or_default(),
            boot: boot_id(),
            since,
            restarts: self.restarts,
        };
        store.set_container_state(self.id.as_str(), &state)?;
        self.life = Life::Running(Box::new(Run {
            sandbox,
            outputs,
            input,
            ended: false,
            since,
            began: Instant::now(),
            rest,
        }));
        self.watch_health();
        Ok(())
    }

    /// Freezes the container, or lets it go on, and says so in its row.
    pub(super) fn set_frozen(&mut self, frozen: Frozen) -> Result<(), ContainerError> {
        let Life::Running(run) = &self.life else {
            return Err(ContainerError::NotRunning {
                action: "pause",
                id: self.id.short().to_owned(),
            });
        };
        let (pid, since, restarts) = (run.sandbox.pid(), run.since, self.restarts);
        let (start_ticks, boot) = (start_ticks(pid).unwrap_or_default(), boot_id());
        let state = match frozen {
            Frozen::Yes => {
                self.cgroup.freeze()?;
                ContainerState::Paused {
                    pid,
                    start_ticks,
                    boot,
                    since,
                    restarts,
                }
            }
            Frozen::No => {
                self.cgroup.thaw()?;
                ContainerState::Running {
                    pid,
                    start_ticks,
                    boot,
                    since,
                    restarts,
                }
            }
        };
        if let Some(watch) = &mut self.health {
            watch.hold(frozen);
        }
        let store = Store::open(&self.root)?;
        Ok(store.set_container_state(self.id.as_str(), &state)?)
    }

    /// The first process has ended, and all that it wrote was read.
    pub(super) fn run_ended(&mut self, run: Run) {
        let now = self.now();
        self.stop_watching();
        if let Err(error) = self.log.finish(now) {
            self.note("write the log", &error);
        }
        let exit = match run.sandbox.wait() {
            Ok(exit) => exit,
            Err(error) => {
                self.note("see the end of it", &error);
                Exit::Signal(crate::signals::KILL)
            }
        };
        let end = End {
            code: exit.code(),
            at: now,
            since: Some(run.since),
            out_of_memory: self.cgroup.out_of_memory_kills() > 0,
            restarts: self.restarts,
            trouble: std::mem::take(&mut self.trouble),
        };
        self.cgroup.remove();
        let rest = if run.began.elapsed() >= GOOD_RUN {
            FIRST_REST
        } else {
            run.rest
        };
        self.after(end, rest);
    }

    /// What follows the end of a run: another one, if the policy says so.
    fn after(&mut self, end: End, rest: Duration) {
        let again = !self.ending && self.config.options.restart.applies(end.code, end.restarts);
        if !again {
            return self.over(&end);
        }
        let pid = std::process::id();
        let state = ContainerState::Restarting {
            pid,
            start_ticks: start_ticks(pid).unwrap_or_default(),
            boot: boot_id(),
            end: end.clone(),
        };
        let recorded = Store::open(&self.root)
            .and_then(|store| store.set_container_state(self.id.as_str(), &state));
        if let Err(error) = recorded {
            self.note("record that it starts again", &error);
        }
        self.life = Life::Resting {
            until: Instant::now() + rest,
            rest,
            end,
        };
    }

    /// The pause between two runs is over, or the container is to end.
    pub(super) fn wake(&mut self) {
        let Life::Resting { rest, end, .. } = std::mem::replace(&mut self.life, Life::Over) else {
            return;
        };
        if self.ending {
            return self.over(&end);
        }
        self.restarts += 1;
        if let Err(error) = self.run_again((rest * 2).min(LONGEST_REST)) {
            let trouble = crate::error::with_causes(&error);
            self.cgroup.remove();
            self.over(&End {
                code: i32::from(error.exit_code()),
                at: self.now(),
                restarts: self.restarts,
                trouble,
                ..end
            });
        }
    }

    /// It has ended for good: that is recorded before anybody is told.
    pub(super) fn over(&mut self, end: &End) {
        self.life = Life::Over;
        if let Err(error) = self.leave_network() {
            // What is left is swept by the next command.
            self.note("leave the network", &error);
        }
        let recorded = self.record_end(end);
        drop(self.door.take());
        // Whoever finds the socket finds that nobody answers: as good as none.
        let _ = remove_door(&self.directory);
        self.lock = None;
        // Where the store cannot be written, the row says that it runs, and the kernel that it does not.
        drop(recorded);
        self.tell_end(end.code);
    }

    /// What was removed leaves the disk. Nobody waits for it: others' may be among it.
    pub(super) fn empty_trash(&self) {
        if self.config.options.cleanup == Cleanup::Remove {
            // What stays is for the next one who does it.
            let _ = Store::open(&self.root).and_then(|store| store.empty_trash());
        }
    }

    fn record_end(&self, end: &End) -> Result<(), ContainerError> {
        let store = Store::open(&self.root)?;
        if self.config.options.cleanup == Cleanup::Remove {
            store.remove_container(self.id.as_str())?;
            volume_store::remove_anonymous(&store, &self.config.options.volumes)?;
            return Ok(());
        }
        let state = ContainerState::Exited { end: end.clone() };
        Ok(store.set_container_state(self.id.as_str(), &state)?)
    }
}

//! RUN: from key to layer.

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::panic::resume_unwind;

use rbuild_cache::{MountContent, Preimage, exec_preimage};
use rbuild_image::{LayerId, Platform};
use rbuild_layer::index_upper;
use rbuild_plan::{CacheUse, Exec, Input, SecurityMode, StepUsers};
use rbuild_progress::{EventKind, Stream};
use rbuild_remote::{Address, Ask};
use rbuild_sandbox::{Exit, Rlimit, Root, SandboxError, Spec, Stdio, UserRange, rlimit_number};
use rbuild_store::{FastKey, LayerDraft};
use rbuild_sys::OverlayFlavor;

use crate::adopt::Sought;
use crate::error::{DiskState, MemoryState, StepError};
use crate::memory::Kills;
use crate::mounts::{self, Mounted};
use crate::network::{HOST_GATEWAY, Lease};
use crate::report::{event_vertex, now_started};
use crate::step::{Found, Keys, Step};
use crate::tree::{Stack, Tree, merged};

/// The sandbox's own directory in the store.
const SCAFFOLD: &str = "scaffold";
/// How shells tell of an end by SIGKILL.
pub(crate) const KILLED: i32 = 128 + 9;
/// Bytes read at once from a command's output.
const OUTPUT_CHUNK_BYTES: usize = 32 << 10;

/// A command on its inputs.
pub(crate) struct ExecStep<'a> {
    pub(crate) step: Step<'a>,
    pub(crate) exec: &'a Exec,
    pub(crate) inputs: &'a [Tree],
}

impl ExecStep<'_> {
    /// The stack with the command's layer on top, from the cache or made now.
    pub(crate) fn run(&self) -> Result<Found, StepError> {
        let ask = if self.inputs_are_here()? {
            Ask::Memory
        } else {
            Ask::Network
        };
        if let Some(found) = self.find_cheaply(ask)? {
            return Ok(found);
        }
        let base = self.base();
        let contents = mounts::contents(&self.step, self.exec, self.inputs)?;
        let preimage = self.preimage(&base, &contents);
        let keys = Keys {
            key: preimage.key(),
            preimage,
            fast: self.fast_key(&base),
        };
        self.step.find_or_make(&keys, &base, || {
            now_started(&self.step.build.reporter, self.step.id);
            self.make(&base)
        })
    }

    /// A hit that costs no more than a look into the database; `None` says nothing.
    pub(crate) fn find_quickly(&self) -> Result<Option<Found>, StepError> {
        self.find_cheaply(Ask::Memory)
    }

    /// A hit without a look at contents.
    fn find_cheaply(&self, ask: Ask) -> Result<Option<Found>, StepError> {
        let base = self.base();
        if !self.shows_trees() {
            let contents = vec![MountContent::Nothing; self.exec.mounts.len()];
            let preimage = self.preimage(&base, &contents);
            let key = preimage.key();
            if let Some(found) = self.step.find(&key, &base)? {
                return Ok(Some(found));
            }
            let sought = Sought {
                address: Address::Key(key),
                preimage: Some(&preimage),
                fast: None,
            };
            // If not now, it is asked for with the lock still to come.
            return self.step.find_remotely(&sought, &base, Ask::Memory);
        }
        match self.fast_key(&base) {
            Some(fast) => self.step.find_by_fast_key(fast, &base, ask),
            None => Ok(None),
        }
    }

    /// Whether looking at what is mounted costs no download.
    fn inputs_are_here(&self) -> Result<bool, StepError> {
        let stacks = self.inputs.iter().skip(1).filter_map(Tree::stack);
        self.step.fetcher.has_all(stacks)
    }

    fn base(&self) -> Stack {
        self.inputs
            .first()
            .and_then(Tree::stack)
            .cloned()
            .unwrap_or_default()
    }

    fn shows_trees(&self) -> bool {
        self.exec
            .mounts
            .iter()
            .any(|mount| mounts::shown(&mount.kind).is_some())
    }

    /// The key by the identity of what is mounted: needs none of its contents.
    fn fast_key(&self, base: &Stack) -> Option<FastKey> {
        if self.step.cache_use() == CacheUse::Refused || !self.shows_trees() {
            return None;
        }
        let contents: Option<Vec<MountContent>> = self
            .exec
            .mounts
            .iter()
            .map(|mount| {
                let Some((Input(slot), source)) = mounts::shown(&mount.kind) else {
                    return Some(MountContent::Nothing);
                };
                let stack = self.inputs.get(slot as usize)?.stack()?;
                let chain = stack.chain().hex();
                Some(MountContent::Digest(format!("{chain} {source}")))
            })
            .collect();
        Some(FastKey(self.preimage(base, &contents?).key().0))
    }

    fn preimage(&self, base: &Stack, contents: &[MountContent]) -> Preimage {
        let platform = &self.step.vertex.platform;
        exec_preimage(self.exec, platform, base.chain(), contents)
    }

    fn make(&self, base: &Stack) -> Result<LayerId, StepError> {
        let root = self.step.root_attributes(base)?;
        let draft = self.step.build.store.draft(&root)?;
        let mounted = mounts::prepare(&self.step, self.exec, self.inputs)?;
        let memory = Kills::until_now();
        let exit = self
            .execute(base, &draft, &mounted)
            .map_err(|error| self.explained(error))?;
        self.check(exit, memory)?;
        // Contents do not tell whether the command changed it, so who takes the layer must not see it.
        draft.set_root(&root)?;
        let upper = draft.open_diff()?;
        let index = index_upper(upper.as_fd(), OverlayFlavor::detect())?;
        self.step.commit(draft, index)
    }

    fn execute(
        &self,
        base: &Stack,
        draft: &LayerDraft,
        mounted: &Mounted,
    ) -> Result<Exit, StepError> {
        let lease = self.step.build.network.lease(self.exec)?;
        let mut spec = self.spec(base, draft, mounted)?;
        spec.hosts = Some(self.hosts(&lease));
        spec.resolv_conf = Some(lease.resolv_conf());
        spec.network = lease.network(self.exec.network, mounted.trees.len());
        let range = match self.step.build.users {
            StepUsers::Caller => None,
            StepUsers::Own => Some(UserRange::claim()?),
        };
        if let Some(range) = &range {
            spec.users = range.users();
        }
        let (stdout, stdout_inside) = pipe()?;
        let (stderr, stderr_inside) = pipe()?;
        let stdio = Stdio::Descriptors {
            stdin: None,
            stdout: stdout_inside.as_fd(),
            stderr: stderr_inside.as_fd(),
        };
        let trees = mounted.trees.iter().map(AsFd::as_fd);
        let trees: Vec<BorrowedFd<'_>> = trees.chain(lease.namespace()).collect();
        let running = rbuild_sandbox::spawn(&spec, stdio, &trees)?;
        drop((stdout_inside, stderr_inside)); // or the readers below would wait for ourselves
        let killer = running.killer();
        let _kill_on_cancel = self.step.build.cancel.on_cancel(move || killer.kill());
        std::thread::scope(|scope| {
            let stdout = scope.spawn(|| self.pump(stdout, Stream::Stdout));
            let stderr = scope.spawn(|| self.pump(stderr, Stream::Stderr));
            let exit = running.wait();
            for pump in [stdout, stderr] {
                let pumped = pump.join().unwrap_or_else(|panic| resume_unwind(panic));
                pumped.map_err(StepError::Output)?;
            }
            Ok(exit?)
        })
    }

    /// Hands the command's output on as it comes, to its end.
    fn pump(&self, mut output: std::fs::File, stream: Stream) -> std::io::Result<()> {
        let mut buffer = vec![0; OUTPUT_CHUNK_BYTES];
        loop {
            let read = output.read(&mut buffer)?;
            if read == 0 {
                return Ok(());
            }
            self.step.build.reporter.send(EventKind::Output {
                vertex: event_vertex(self.step.id),
                stream,
                data: buffer[..read].to_vec(),
            });
        }
    }

    /// A program that the kernel cannot start because it is for another processor, with what to do.
    fn explained(&self, error: StepError) -> StepError {
        let platform = &self.step.vertex.platform;
        let host = Platform::host();
        match error {
            StepError::Sandbox(SandboxError::Init(failure))
                if failure.is_unknown_program() && platform.architecture != host.architecture =>
            {
                StepError::Foreign {
                    platform: Box::new(Platform::clone(platform)),
                    host: Box::new(host),
                    reason: failure.to_string(),
                }
            }
            other => other,
        }
    }

    fn check(&self, exit: Exit, before: Kills) -> Result<(), StepError> {
        if self.step.build.cancel.is_cancelled() {
            return Err(StepError::Cancelled);
        }
        let ending = match exit {
            Exit::Code(0) => return Ok(()),
            Exit::Code(code) => format!("exit code: {code}"),
            Exit::Signal(signal) => format!("killed by signal {signal}"),
        };
        Err(StepError::Exit {
            command: self.exec.args.join(" "),
            ending,
            code: exit.code(),
            disk: match self.step.build.store.disk() {
                Ok(disk) if disk.is_full() => DiskState::Full,
                _ => DiskState::Room,
            },
            memory: if exit.code() == KILLED && before.are_more_now() {
                MemoryState::RanOut
            } else {
                MemoryState::Enough
            },
        })
    }

    fn spec(&self, base: &Stack, draft: &LayerDraft, mounted: &Mounted) -> Result<Spec, StepError> {
        let build = self.step.build;
        let root = Root::Overlay(merged(self.step.fetcher, base, Some(draft))?);
        let args = self
            .exec
            .args
            .iter()
            .map(|arg| OsString::from(&**arg))
            .collect();
        let mut spec = Spec::new(root, build.store.root().join(SCAFFOLD), args);
        spec.process.env = self.environment(mounted);
        spec.process.cwd = (*self.exec.cwd).into();
        spec.process.user = (*self.exec.user).into();
        spec.process.groups.clone_from(&mounted.groups);
        spec.process.rlimits = self.rlimits();
        spec.hostname = (*self.exec.hostname).into();
        spec.mounts.clone_from(&mounted.mounts);
        if let Some(bytes) = self.exec.shm_size {
            spec.shm_bytes = bytes;
        }
        if self.exec.security == SecurityMode::Insecure {
            spec.lift_security();
        }
        Ok(spec)
    }

    fn environment(&self, mounted: &Mounted) -> Vec<OsString> {
        // A secret's variable hides the stage's of the same name: of two, shells take the first or the last.
        let hidden: Vec<&[u8]> = mounted
            .env
            .iter()
            .map(|variable| name_of(variable))
            .collect();
        let own = self
            .exec
            .env
            .iter()
            .chain(self.exec.proxy_env.iter().map(String::as_str))
            .map(OsString::from)
            .filter(|variable| !hidden.contains(&name_of(variable)));
        own.chain(mounted.env.iter().cloned()).collect()
    }

    /// /etc/hosts as the step sees it.
    fn hosts(&self, lease: &Lease<'_>) -> String {
        let hostname = &self.exec.hostname;
        let mut text =
            format!("127.0.0.1\tlocalhost {hostname}\n::1\tlocalhost ip6-localhost ip6-loopback\n");
        for (name, address) in &self.exec.extra_hosts {
            let address = match address.as_str() {
                HOST_GATEWAY => lease.gateway().to_string(),
                own => own.to_owned(),
            };
            text.push_str(&[&address, "\t", name, "\n"].concat());
        }
        text
    }

    fn rlimits(&self) -> Vec<Rlimit> {
        self.exec
            .ulimits
            .iter()
            .filter_map(|(name, soft, hard)| {
                Some(Rlimit {
                    resource: rlimit_number(name)?,
                    soft: *soft,
                    hard: *hard,
                })
            })
            .collect()
    }
}

/// The name in `NAME=value`.
fn name_of(variable: &OsStr) -> &[u8] {
    let bytes = variable.as_encoded_bytes();
    bytes.split(|&byte| byte == b'=').next().unwrap_or(bytes)
}

/// A pipe: the end that is read here, and the command's.
fn pipe() -> Result<(std::fs::File, OwnedFd), StepError> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)
        .map_err(|error| StepError::Output(error.into()))?;
    Ok((read.into(), write))
}

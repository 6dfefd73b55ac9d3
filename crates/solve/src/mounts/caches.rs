//! Cache mounts of a step: taken, seeded where they are new, waited for where others use them.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use rbuild_layer::{Attributes, EntryKind, TreeWriter};
use rbuild_plan::{CopyAction, Exec, Input, MountKind, Sharing};
use rbuild_progress::{EventKind, StatusState};
use rbuild_store::{CacheFill, CacheMountGuard, CacheMountSpec, CacheSharing, cache_mount_key};
use rbuild_sys::OverlayFlavor;

use super::carry;
use crate::canvas::{Canvas, Obstacle};
use crate::copy::{Copy, DirectoryRule, SourceTree as _};
use crate::error::StepError;
use crate::file::mtime;
use crate::path;
use crate::report::event_vertex;
use crate::select;
use crate::step::Step;
use crate::tree::{MountedStack, Stack, Tree};

/// Owner and mode of a cache directory that nobody asked to be other.
const DEFAULT_CACHE_ATTRIBUTES: ((u32, u32), u32) = ((0, 0), 0o755);
/// Attempts at a cache mount before people are told of the wait: about 100 ms, as the store spaces them.
const ATTEMPTS_UNTOLD: u32 = 16;

/// The cache mounts of a step, each once however often it is mounted, so that a step does not wait for itself. They are
/// taken in the order of their names: two steps that want the same ones cannot wait for each other.
pub(super) struct Caches(BTreeMap<CacheName, CacheMountGuard>);

/// A cache mount's id, and what a new directory of it is: its seed, owner and mode.
type CacheName = (String, String);

impl Caches {
    pub(super) fn open(step: &Step<'_>, exec: &Exec, inputs: &[Tree]) -> Result<Self, StepError> {
        let mut wanted: BTreeMap<CacheName, Vec<&MountKind>> = BTreeMap::new();
        for mount in &exec.mounts {
            if let MountKind::Cache { .. } = mount.kind {
                let name = cache_name(step, &mount.kind, inputs);
                wanted.entry(name).or_default().push(&mount.kind);
            }
        }
        let mut caches = BTreeMap::new();
        for (name, kinds) in wanted {
            let cache = cache(step, &name, &kinds, inputs)?;
            caches.insert(name, cache);
        }
        Ok(Self(caches))
    }

    pub(super) fn of(
        &self,
        step: &Step<'_>,
        kind: &MountKind,
        inputs: &[Tree],
    ) -> &CacheMountGuard {
        self.0
            .get(&cache_name(step, kind, inputs))
            .expect("every cache mount of the step was opened")
    }
}

/// In a directory of the user's, an id is one mount whatever it begins with.
fn cache_name(step: &Step<'_>, kind: &MountKind, inputs: &[Tree]) -> CacheName {
    match kind {
        MountKind::Cache { id, .. } if step.build.reuse.place(id).is_some() => {
            (id.clone(), String::new())
        }
        MountKind::Cache { id, .. } => (id.clone(), seed(kind, inputs)),
        _ => unreachable!("called for cache mounts alone"),
    }
}

/// What a new directory of a cache mount is, by content.
fn seed(kind: &MountKind, inputs: &[Tree]) -> String {
    let MountKind::Cache {
        from,
        source,
        owner,
        mode,
        ..
    } = kind
    else {
        unreachable!("called for cache mounts alone");
    };
    let seed = from.and_then(|Input(slot)| inputs[slot as usize].stack());
    let seed = seed.map(|stack| format!("{} {source}", stack.chain().hex()));
    let mut seed = seed.unwrap_or_default();
    // Owner and mode are the directory's own where the whole of it is mounted.
    if (*owner, *mode) != DEFAULT_CACHE_ATTRIBUTES && path::clean(source.as_bytes()).is_empty() {
        let (uid, gid) = owner;
        let _ = write!(seed, " {uid}:{gid} {mode:o}");
    }
    seed
}

/// The directory of the cache mount that `kinds` mount, seeded when it is new. Of different kinds of sharing the
/// strictest counts.
fn cache(
    step: &Step<'_>,
    (id, _): &CacheName,
    kinds: &[&MountKind],
    inputs: &[Tree],
) -> Result<CacheMountGuard, StepError> {
    let strictness = |kind: &&&MountKind| match kind {
        MountKind::Cache { sharing, .. } => match sharing {
            Sharing::Shared => 0,
            Sharing::Private => 1,
            Sharing::Locked => 2,
        },
        _ => 0,
    };
    let strictest = kinds.iter().max_by_key(strictness).copied();
    let Some(MountKind::Cache {
        sharing,
        from,
        source,
        owner,
        mode,
        ..
    }) = strictest
    else {
        unreachable!("called for cache mounts alone");
    };
    let seed = strictest.map(|kind| seed(kind, inputs)).unwrap_or_default();
    let spec = CacheMountSpec {
        id,
        seed: &seed,
        place: step.build.reuse.place(id),
        sharing: match sharing {
            Sharing::Shared => CacheSharing::Shared,
            Sharing::Private => CacheSharing::Private,
            Sharing::Locked => CacheSharing::Locked,
        },
        mode: *mode,
        uid: owner.0,
        gid: owner.1,
    };
    let mut cache = take(step, &spec)?;
    if cache.fill() == CacheFill::Unseeded {
        if let Some(stack) = from.and_then(|Input(slot)| inputs[slot as usize].stack()) {
            fill(step, stack, source, &cache)?;
        }
        cache.seeded()?;
    }
    Ok(cache)
}

/// Takes a cache mount. A new one may be what a remote cache has of it; else it is as its seed wants it.
fn take(step: &Step<'_>, spec: &CacheMountSpec<'_>) -> Result<CacheMountGuard, StepError> {
    let (store, exchange) = (&step.build.store, &step.build.mounts);
    let waiting = Waiting::new(step, spec.id);
    if spec.place.is_some() {
        return Ok(store.cache_mount(spec, &|| waiting.is_cancelled())?);
    }
    let key = cache_mount_key(spec);
    exchange.note(&key, spec.id);
    if !exchange.has_sources() {
        return Ok(store.cache_mount(spec, &|| waiting.is_cancelled())?);
    }
    let mut cache = store.cache_mount_to_fill(spec, &|| waiting.is_cancelled())?;
    if cache.fill() == CacheFill::Ready {
        return Ok(cache);
    }
    let Some((place, tar)) = exchange.fetch(&key, spec.id) else {
        return Ok(cache);
    };
    let message = format!("importing cache mount {} from {place}", spec.id);
    status(step, &message, StatusState::Running);
    match cache.unpack(spec.id, tar) {
        Ok(()) => {
            cache.seeded()?;
            status(step, &message, StatusState::Finished);
            Ok(cache)
        }
        Err(error) => {
            exchange.tell(spec.id, &place, &error);
            // What came of it so far goes.
            drop(cache);
            Ok(store.cache_mount_to_fill(spec, &|| waiting.is_cancelled())?)
        }
    }
}

fn status(step: &Step<'_>, message: &str, state: StatusState) {
    step.build.reporter.send(EventKind::Status {
        vertex: event_vertex(step.id),
        id: message.to_owned(),
        current: 0,
        total: None,
        state,
    });
}

/// Tells people that a step waits for a cache mount, if it does for longer than it takes to notice.
struct Waiting<'a> {
    step: &'a Step<'a>,
    message: String,
    attempts: Cell<u32>,
}

impl<'a> Waiting<'a> {
    fn new(step: &'a Step<'a>, id: &str) -> Self {
        Self {
            step,
            message: format!("waiting for cache mount {id}, which another step uses"),
            attempts: Cell::new(0),
        }
    }

    /// Another attempt failed. Whether the build is cancelled.
    fn is_cancelled(&self) -> bool {
        self.attempts.set(self.attempts.get().saturating_add(1));
        if self.attempts.get() == ATTEMPTS_UNTOLD {
            self.tell(StatusState::Running);
        }
        self.step.build.cancel.is_cancelled()
    }

    fn tell(&self, state: StatusState) {
        status(self.step, &self.message, state);
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if self.attempts.get() >= ATTEMPTS_UNTOLD {
            self.tell(StatusState::Finished);
        }
    }
}

/// Copies what the seed holds at `source` to the same place in a new cache directory.
fn fill(
    step: &Step<'_>,
    stack: &Stack,
    source: &str,
    cache: &CacheMountGuard,
) -> Result<(), StepError> {
    let action = CopyAction {
        destination: format!("/{source}"),
        ..carry(source)
    };
    let tree = MountedStack::new(step.fetcher, stack)?;
    let matches = select::select(tree.index(), &action).map_err(|_| StepError::NotFound {
        tree: "files",
        path: source.to_owned(),
        hint: None,
    })?;
    let directory = std::fs::File::open(cache.path()).map_err(StepError::Seed)?;
    let writer = TreeWriter::new(directory.into(), OverlayFlavor::detect())?;
    let canvas = Canvas::new(None, writer, mtime(step.build.now));
    let directories = DirectoryRule::Merge;
    let cancel = &step.build.cancel;
    Copy {
        action: &action,
        tree: &tree,
        canvas: &canvas,
        cancel,
        directories,
    }
    .run(&matches)?;
    // The directory that is mounted is the seed's own, not one that a copy makes on its way.
    let mounted = path::clean(source.as_bytes());
    if let Some(entry) = select::find(tree.index(), &mounted)
        && matches!(entry.kind, EntryKind::Directory { .. })
    {
        let own = Attributes {
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            mtime: entry.mtime,
            xattrs: entry.xattrs.clone(),
        };
        canvas.put_directory(&mounted, &own, Obstacle::Refused)?;
    }
    canvas.finish()?;
    Ok(())
}

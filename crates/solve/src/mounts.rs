//! `RUN --mount`: what each mount brings in, as a key sees it and as the sandbox gets it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rbuild_cache::MountContent;
use rbuild_layer::{ContentIndex, TreeWriter};
use rbuild_plan::{
    Access, CopyAction, Exec, ExecMount, FileAction, FileOperation, Input, Mode, MountKind, Owner,
    Parents, Presence, SecretFile, Sharing, Unpack, Wildcard,
};
use rbuild_sandbox::{Mount, Source};
use rbuild_store::{
    CacheFill, CacheMountGuard, CacheMountSpec, CacheSharing, LayerDraft, RootAttributes,
};
use rbuild_sys::{OverlayFlavor, Recursion, UpperWork, clone_tree, mount_overlay};
use rustix::fs::{OFlags, ResolveFlags};

use crate::agent::{AgentSocket, SocketAttributes};
use crate::canvas::Canvas;
use crate::copy::{Copy, DirectoryRule, SourceTree as _};
use crate::error::StepError;
use crate::file::{FileStep, mtime};
use crate::path;
use crate::select::{self, MatchKind, Placed, Role};
use crate::step::Step;
use crate::tree::{MountedStack, Stack, Tree, lower_directories, mount};

/// Where a context's part is put in the layer that carries it into a step.
const CARRIED: &str = "/mnt";
/// Owner and mode of a cache directory that nobody asked to be other.
const DEFAULT_CACHE_ATTRIBUTES: ((u32, u32), u32) = ((0, 0), 0o755);
/// Anyone may write to a tmpfs, as to /tmp: what Docker's tmpfs mounts have.
const TMPFS_MODE: u32 = 0o1777;

/// Mounts ready for the sandbox, and what must live as long as the step runs.
#[derive(Default)]
pub(crate) struct Mounted {
    pub(crate) mounts: Vec<Mount>,
    pub(crate) trees: Vec<OwnedFd>,
    /// Variables that secrets, agents and devices add.
    pub(crate) env: Vec<OsString>,
    /// Groups that devices belong to.
    pub(crate) groups: Vec<u32>,
    caches: Option<Caches>,
    /// Before the directories that they are in.
    agents: Vec<AgentSocket>,
    scratch: Vec<LayerDraft>,
}

/// The tree that a mount shows, or that a new cache directory is filled from, and the path in it.
pub(crate) fn shown(kind: &MountKind) -> Option<(Input, &str)> {
    match kind {
        MountKind::Bind { from, source, .. }
        | MountKind::Cache {
            from: Some(from),
            source,
            ..
        } => Some((*from, source)),
        _ => None,
    }
}

/// What each mount of `exec` brings in: the digest of the contents of a bind mount and of what fills a cache, nothing for
/// the others.
pub(crate) fn contents(
    step: &Step<'_>,
    exec: &Exec,
    inputs: &[Tree],
) -> Result<Vec<MountContent>, StepError> {
    exec.mounts
        .iter()
        .map(|mount| {
            let Some((Input(slot), source)) = shown(&mount.kind) else {
                return Ok(MountContent::Nothing);
            };
            let action = carry(source);
            match &inputs[slot as usize] {
                Tree::Context(_, tree) => digest(tree.index(), &action, mount, Own::Made),
                Tree::Layers(stack) => {
                    let index = step.fetcher.merged_index(stack)?;
                    digest(&index, &action, mount, own(&mount.kind))
                }
            }
        })
        .collect()
}

/// Where the mounted directory itself comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Own {
    /// It is made for the mount, whatever the source's attributes are.
    Made,
    /// It is the source's.
    Mounted,
}

/// A cache's directory is made; it is filled with what is in the source.
const fn own(kind: &MountKind) -> Own {
    match kind {
        MountKind::Bind { .. } => Own::Mounted,
        _ => Own::Made,
    }
}

fn digest(
    index: &ContentIndex,
    action: &CopyAction,
    mount: &ExecMount,
    own: Own,
) -> Result<MountContent, StepError> {
    let mut matches = select::select(index, action).map_err(|_| missing(mount, &action.source))?;
    if own == Own::Mounted
        && let Some(entry) = select::find(index, action.source.as_bytes())
    {
        for found in &mut matches {
            if let MatchKind::Directory(entries) = &mut found.kind {
                entries.push(Placed {
                    relative: Vec::new(),
                    entry,
                    role: Role::Selected,
                });
            }
        }
    }
    Ok(MountContent::Digest(select::digest(
        index, &matches, action,
    )))
}

fn missing(mount: &ExecMount, path: &str) -> StepError {
    StepError::MountSource {
        target: mount.target.clone(),
        path: path.to_owned(),
    }
}

/// The copy that takes the part of a context that is mounted.
pub(crate) fn carry(source: &str) -> CopyAction {
    CopyAction {
        from: Input(0),
        source: source.to_owned(),
        destination: CARRIED.to_owned(),
        owner: Owner::Source,
        mode: Mode::Source,
        parents: Parents::Dropped,
        excludes: Vec::new(),
        unpack: Unpack::Never,
        wildcard: Wildcard::Literal,
    }
}

/// Everything that `exec` mounts.
pub(crate) fn prepare(step: &Step<'_>, exec: &Exec, inputs: &[Tree]) -> Result<Mounted, StepError> {
    let mut mounted = Mounted::default();
    let caches = Caches::open(step, exec, inputs)?;
    for mount in &exec.mounts {
        match &mount.kind {
            MountKind::Bind {
                from,
                source,
                access,
            } => {
                let from = &inputs[from.0 as usize];
                let tree = bind(step, mount, from, source, *access, &mut mounted)?;
                mounted.push_tree(mount, tree, *access);
            }
            MountKind::Cache { source, access, .. } => {
                let cache = caches.of(step, &mount.kind, inputs);
                let root = std::fs::File::open(cache.path()).map_err(StepError::Seed)?;
                let tree = inside(root.as_fd(), source, mount)?;
                mounted.push_tree(mount, tree, *access);
            }
            MountKind::Tmpfs { size } => {
                let (bytes, mode) = (*size, TMPFS_MODE);
                mounted.push(mount, Source::Tmpfs { bytes, mode }, Access::ReadWrite);
            }
            MountKind::Inline { data, mode } => {
                mounted.push_data(mount, data.as_bytes(), *mode, (0, 0));
            }
            MountKind::Secret { .. } => mounted.secret(step, mount)?,
            MountKind::Ssh { .. } => mounted.agent(step, exec, mount)?,
        }
    }
    mounted.caches = Some(caches);
    mounted.devices(step, exec)?;
    Ok(mounted)
}

impl Mounted {
    fn secret(&mut self, step: &Step<'_>, mount: &ExecMount) -> Result<(), StepError> {
        let MountKind::Secret {
            id,
            file,
            env,
            presence,
            owner,
            mode,
        } = &mount.kind
        else {
            unreachable!("called for secrets alone");
        };
        let secret = match (step.build.secrets.get(id), presence) {
            (Some(secret), _) => secret,
            (None, Presence::Required) => return Err(StepError::Secret(id.clone())),
            (None, Presence::Optional) => return Ok(()),
        };
        if *file == SecretFile::Mounted {
            self.push_data(mount, secret.bytes(), *mode, *owner);
        }
        if let Some(name) = env {
            self.env.push(variable(name, secret.bytes()));
        }
        Ok(())
    }

    fn agent(&mut self, step: &Step<'_>, exec: &Exec, mount: &ExecMount) -> Result<(), StepError> {
        let MountKind::Ssh {
            id,
            presence,
            owner,
            mode,
        } = &mount.kind
        else {
            unreachable!("called for agents alone");
        };
        let keys = match (step.build.ssh.get(id), presence) {
            (Some(keys), _) => keys,
            (None, Presence::Required) => return Err(StepError::Ssh(id.clone())),
            (None, Presence::Optional) => return Ok(()),
        };
        let scratch = step.build.store.draft(&RootAttributes::default())?;
        let attributes = SocketAttributes {
            owner: *owner,
            mode: *mode,
        };
        let agent = AgentSocket::open(keys, &scratch.work_path(), attributes)?;
        self.push(
            mount,
            Source::Path(agent.path().to_owned()),
            Access::ReadWrite,
        );
        self.agents.push(agent);
        self.scratch.push(scratch);
        if !exec.env.defines("SSH_AUTH_SOCK") {
            let target = mount.target.as_bytes();
            self.env.push(variable("SSH_AUTH_SOCK", target));
        }
        Ok(())
    }

    /// What `--device` brings.
    fn devices(&mut self, step: &Step<'_>, exec: &Exec) -> Result<(), StepError> {
        let edits = step.build.devices.edits(&exec.devices);
        if edits.hooks > 0 {
            return Err(StepError::DeviceHooks {
                devices: exec.devices.join(", "),
            });
        }
        let nodes = edits
            .nodes
            .iter()
            .map(|node| (&node.path, &node.host_path, Access::ReadWrite));
        let mounts = edits
            .mounts
            .iter()
            .map(|mount| (&mount.path, &mount.host_path, mount.access));
        for (target, host_path, access) in nodes.chain(mounts) {
            self.mounts.push(Mount {
                target: target.into(),
                source: Source::Path(host_path.into()),
                access: inside_access(access),
            });
        }
        self.env.extend(edits.env.iter().map(OsString::from));
        self.groups = edits.groups;
        Ok(())
    }

    fn push_data(&mut self, mount: &ExecMount, bytes: &[u8], mode: u32, (uid, gid): (u32, u32)) {
        let source = Source::Data {
            bytes: bytes.to_vec(),
            mode,
            uid,
            gid,
        };
        self.push(mount, source, Access::ReadOnly);
    }

    fn push_tree(&mut self, mount: &ExecMount, tree: OwnedFd, access: Access) {
        let number = self.trees.len();
        self.trees.push(tree);
        self.push(mount, Source::Tree(number), access);
    }

    fn push(&mut self, mount: &ExecMount, source: Source, access: Access) {
        self.mounts.push(Mount {
            target: mount.target.clone().into(),
            source,
            access: inside_access(access),
        });
    }
}

const fn inside_access(access: Access) -> rbuild_sandbox::Access {
    match access {
        Access::ReadOnly => rbuild_sandbox::Access::ReadOnly,
        Access::ReadWrite => rbuild_sandbox::Access::ReadWrite,
    }
}

fn variable(name: &str, value: &[u8]) -> OsString {
    use std::os::unix::ffi::OsStringExt as _;
    OsString::from_vec([name.as_bytes(), b"=", value].concat())
}

/// The mounted part of a tree. A context's part is carried into a layer first: the step sees what the key was made
/// of, whatever happens to the context meanwhile.
fn bind(
    step: &Step<'_>,
    mount_point: &ExecMount,
    tree: &Tree,
    source: &str,
    access: Access,
    mounted: &mut Mounted,
) -> Result<OwnedFd, StepError> {
    let (stack, inside_path) = match tree {
        Tree::Layers(stack) => (stack.clone(), source.to_owned()),
        Tree::Context(..) => {
            let operation = FileOperation {
                base: None,
                actions: vec![FileAction::Copy(carry(source))],
            };
            let inputs = [tree.clone()];
            let found = FileStep {
                step: Step { ttl: None, ..*step },
                operation: &operation,
                inputs: &inputs,
            }
            .run()?;
            (found.stack, CARRIED.to_owned())
        }
    };
    let root = match access {
        Access::ReadOnly => mount(step.fetcher, &stack)?,
        Access::ReadWrite => writable(step, &stack, mounted)?,
    };
    inside(root.as_fd(), &inside_path, mount_point)
}

/// What is at `path` below `root`, as a tree to mount. Symbolic links in it must not lead to the host: they are resolved
/// inside first, and what was found is cloned.
fn inside(root: BorrowedFd<'_>, path: &str, mount: &ExecMount) -> Result<OwnedFd, StepError> {
    let mut inside = path::clean(path.as_bytes());
    if inside.is_empty() {
        inside = b".".to_vec();
    }
    let found = rustix::fs::openat2(
        root,
        inside.as_slice(),
        OFlags::PATH | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|_| missing(mount, path))?;
    Ok(clone_tree(found.as_fd(), Path::new(""), Recursion::This)?)
}

/// `stack` with a writable side that is thrown away after the step.
fn writable(step: &Step<'_>, stack: &Stack, mounted: &mut Mounted) -> Result<OwnedFd, StepError> {
    let scratch = step.build.store.draft(&step.root_attributes(stack)?)?;
    let lowers: Vec<PathBuf> = lower_directories(step.fetcher, stack)?
        .into_iter()
        .rev()
        .collect();
    let (upper, work) = (scratch.diff_path(), scratch.work_path());
    let sides = UpperWork {
        upper: &upper,
        work: &work,
    };
    let root = mount_overlay(&lowers, Some(sides), OverlayFlavor::detect())?;
    mounted.scratch.push(scratch);
    Ok(root)
}

/// The cache mounts of a step, each once however often it is mounted, so that a step does not wait for itself. They are
/// taken in the order of their names: two steps that want the same ones cannot wait for each other.
struct Caches(BTreeMap<CacheName, CacheMountGuard>);

/// A cache mount's id, and what a new directory of it is: its seed, owner and mode.
type CacheName = (String, String);

impl Caches {
    fn open(step: &Step<'_>, exec: &Exec, inputs: &[Tree]) -> Result<Self, StepError> {
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

    fn of(&self, step: &Step<'_>, kind: &MountKind, inputs: &[Tree]) -> &CacheMountGuard {
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
    let mut cache = step
        .build
        .store
        .cache_mount(&spec, &|| step.build.cancel.is_cancelled())?;
    if cache.fill() == CacheFill::Unseeded {
        if let Some(stack) = from.and_then(|Input(slot)| inputs[slot as usize].stack()) {
            fill(step, stack, source, &cache)?;
        }
        cache.seeded()?;
    }
    Ok(cache)
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
    canvas.finish()?;
    Ok(())
}

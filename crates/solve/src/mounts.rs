//! `RUN --mount`: what each mount brings in, as a key sees it and as the sandbox gets it.

mod caches;

use std::borrow::Cow;
use std::ffi::OsString;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

use rbuild_cache::MountContent;
use rbuild_layer::ContentIndex;
use rbuild_plan::{
    Access, CopyAction, Exec, ExecMount, FileAction, FileOperation, Input, Mode, MountKind, Owner,
    Parents, Presence, SecretFile, Unpack, Wildcard,
};
use rbuild_sandbox::{Mount, Programs, Source};
use rbuild_store::{LayerDraft, RootAttributes};
use rbuild_sys::{Recursion, clone_tree};
use rustix::fs::{CWD, OFlags, ResolveFlags};

use self::caches::Caches;
use crate::agent::{AgentSocket, SocketAttributes};
use crate::error::StepError;
use crate::file::FileStep;
use crate::path;
use crate::select::{self, MatchKind, Placed, Role};
use crate::step::Step;
use crate::tree::{Tree, merged};

/// Where a context's part is put in the layer that carries it into a step.
const CARRIED: &str = "/mnt";
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
                    digest(&index, &action, mount, Own::Mounted)
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
                    relative: Cow::Borrowed(b""),
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
                let layers = bind(step, from, source, *access, &mut mounted)?;
                mounted.push(mount, layers, *access);
            }
            MountKind::Cache { source, access, .. } => {
                let cache = caches.of(step, &mount.kind, inputs);
                let root = std::fs::File::open(cache.path()).map_err(StepError::Seed)?;
                let tree = inside(root.as_fd(), source, mount)?;
                mounted.push_tree(mount, tree, *access);
            }
            MountKind::Tmpfs { size } => {
                let memory = Source::Tmpfs {
                    bytes: *size,
                    mode: TMPFS_MODE,
                    owner: (0, 0),
                    programs: Programs::Started,
                };
                mounted.push(mount, memory, Access::ReadWrite);
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
        let socket = clone_tree(CWD, agent.path(), Recursion::This)?;
        self.push_tree(mount, socket, Access::ReadWrite);
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
    OsString::from_vec([name.as_bytes(), b"=", value].concat())
}

/// The mounted part of a tree. A context's part is carried into a layer first: the step sees what the key was made
/// of, whatever happens to the context meanwhile.
fn bind(
    step: &Step<'_>,
    tree: &Tree,
    source: &str,
    access: Access,
    mounted: &mut Mounted,
) -> Result<Source, StepError> {
    let (stack, path) = match tree {
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
    let changes = match access {
        Access::ReadOnly => None,
        // They are thrown away after the step.
        Access::ReadWrite => Some(step.build.store.draft(&step.root_attributes(&stack)?)?),
    };
    let layers = Source::Layers {
        merged: merged(step.fetcher, &stack, changes.as_ref())?,
        path: PathBuf::from(OsString::from_vec(inner(&path))),
    };
    mounted.scratch.extend(changes);
    Ok(layers)
}

/// `path` of a mount's source below the source's root.
fn inner(path: &str) -> Vec<u8> {
    let inside = path::clean(path.as_bytes());
    if inside.is_empty() {
        return b".".to_vec();
    }
    inside
}

/// What is at `path` below `root`, as a tree to mount. Symbolic links in it must not lead to the host: they are resolved
/// inside first, and what was found is cloned.
fn inside(root: BorrowedFd<'_>, path: &str, mount: &ExecMount) -> Result<OwnedFd, StepError> {
    let found = rbuild_sys::openat2(
        root,
        inner(path).as_slice(),
        OFlags::PATH | OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    )
    .map_err(|_| missing(mount, path))?;
    Ok(clone_tree(found.as_fd(), Path::new(""), Recursion::This)?)
}

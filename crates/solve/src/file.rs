//! COPY, ADD and WORKDIR: from key to layer.
//!
//! ```text
//! fast key (the trees' chains) ─ hit ─→ layer
//!         │ miss
//! selection ─ digest ─ key ─ hit ─→ layer
//!                       │ miss
//!                       lock, look again, copy, commit, record
//! ```

use std::sync::Arc;

use rbuild_cache::{Preimage, SourceContent, file_preimage};
use rbuild_layer::{Attributes, FileContent, Mtime, TreeWriter};
use rbuild_plan::{
    CacheUse, ContextSource, CopyAction, FileAction, FileOperation, Input, Mode, Owner, Unpack,
};
use rbuild_remote::Ask;
use rbuild_source::ContextTree;
use rbuild_store::{FastKey, RootAttributes};
use rbuild_sys::OverlayFlavor;

use crate::archive::Unpacked;
use crate::canvas::{Canvas, Existing};
use crate::copy::{Copy, DirectoryRule, SourceTree};
use crate::error::StepError;
use crate::hints;
use crate::mode::{self, Node};
use crate::owner;
use crate::path;
use crate::select::{self, Match, SelectError};
use crate::step::{Found, Keys, Step};
use crate::tree::{MountedStack, Stack, Tree, mount};

/// A file operation on its inputs.
pub(crate) struct FileStep<'a> {
    pub(crate) step: Step<'a>,
    pub(crate) operation: &'a FileOperation,
    pub(crate) inputs: &'a [Tree],
}

/// A copy's tree, opened.
enum Opened {
    Context(ContextSource, Arc<ContextTree>),
    Layers(MountedStack),
}

impl Opened {
    fn tree(&self) -> &dyn SourceTree {
        match self {
            Self::Context(_, tree) => &**tree,
            Self::Layers(mounted) => mounted,
        }
    }
}

impl FileStep<'_> {
    /// The stack with the operation's layer on top, from the cache or made now.
    pub(crate) fn run(&self) -> Result<Found, StepError> {
        let base = self.base();
        let fast = self.fast_key();
        if let Some(fast) = fast {
            let stacks = self.inputs.iter().filter_map(Tree::stack);
            let ask = if self.step.fetcher.has_all(stacks)? {
                Ask::Memory
            } else {
                Ask::Network
            };
            if let Some(found) = self.step.find_by_fast_key(fast, &base, ask)? {
                return Ok(found);
            }
        }
        let opened = self.open_sources()?;
        let selections = self.select(&opened)?;
        let contents = self.contents(&opened, &selections);
        let preimage = self.preimage(&contents);
        let keys = Keys {
            key: preimage.key(),
            preimage,
            fast,
        };
        self.step
            .find_or_make(&keys, &base, || self.make(&base, &opened, &selections))
    }

    /// A hit that costs no more than a look into the database; `None` says nothing.
    pub(crate) fn find_quickly(&self) -> Result<Option<Found>, StepError> {
        let base = self.base();
        match self.fast_key() {
            Some(fast) => self.step.find_by_fast_key(fast, &base, Ask::Memory),
            None => Ok(None),
        }
    }

    fn base(&self) -> Stack {
        self.operation
            .base
            .and_then(|Input(slot)| self.inputs[slot as usize].stack().cloned())
            .unwrap_or_default()
    }

    fn base_chain(&self) -> Option<rbuild_cache::Chain> {
        self.operation.base.map(|_| self.base().chain())
    }

    /// The key by the identity of the trees: needs none of their contents. A context has no such identity.
    fn fast_key(&self) -> Option<FastKey> {
        if self.step.cache_use() == CacheUse::Refused {
            return None;
        }
        let contents: Option<Vec<SourceContent>> = self
            .operation
            .actions
            .iter()
            .map(|action| match action {
                FileAction::Copy(copy) => {
                    let stack = self.inputs[copy.from.0 as usize].stack()?;
                    Some(SourceContent::Chain(stack.chain()))
                }
                _ => Some(SourceContent::Nothing),
            })
            .collect();
        Some(FastKey(self.preimage(&contents?).key().0))
    }

    fn preimage(&self, contents: &[SourceContent]) -> Preimage {
        file_preimage(self.operation, self.base_chain(), contents)
    }

    /// The tree of each copy action.
    fn open_sources(&self) -> Result<Vec<Option<Opened>>, StepError> {
        self.operation
            .actions
            .iter()
            .map(|action| match action {
                FileAction::Copy(copy) => self.open_source(copy).map(Some),
                _ => Ok(None),
            })
            .collect()
    }

    fn open_source(&self, copy: &CopyAction) -> Result<Opened, StepError> {
        match &self.inputs[copy.from.0 as usize] {
            Tree::Context(source, tree) => Ok(Opened::Context(source.clone(), Arc::clone(tree))),
            Tree::Layers(stack) => Ok(Opened::Layers(MountedStack::new(self.step.fetcher, stack)?)),
        }
    }

    fn select<'o>(&self, opened: &'o [Option<Opened>]) -> Result<Vec<Vec<Match<'o>>>, StepError> {
        self.operation
            .actions
            .iter()
            .zip(opened)
            .map(|(action, opened)| match (action, opened) {
                (FileAction::Copy(copy), Some(opened)) => {
                    select::select(opened.tree().index(), copy)
                        .map_err(|error| self.explain(error, opened))
                }
                _ => Ok(Vec::new()),
            })
            .collect()
    }

    fn explain(&self, error: SelectError, opened: &Opened) -> StepError {
        match error {
            SelectError::Missing(path) => {
                let (tree, hint) = match opened {
                    Opened::Context(source, tree) => (
                        "context",
                        hints::why_missing(self.step.build, source, tree, &path),
                    ),
                    Opened::Layers(mounted) => ("files", hints::similar(mounted.index(), &path)),
                };
                StepError::NotFound {
                    tree,
                    path: format!("/{}", String::from_utf8_lossy(&path)),
                    hint,
                }
            }
            SelectError::Link(path) => {
                StepError::Link(format!("/{}", String::from_utf8_lossy(&path)))
            }
            SelectError::Pattern(reason) => StepError::Pattern(reason),
        }
    }

    fn contents(
        &self,
        opened: &[Option<Opened>],
        selections: &[Vec<Match<'_>>],
    ) -> Vec<SourceContent> {
        self.operation
            .actions
            .iter()
            .zip(opened)
            .zip(selections)
            .map(|((action, opened), matches)| match (action, opened) {
                (FileAction::Copy(copy), Some(opened)) => {
                    SourceContent::Selection(select::digest(opened.tree().index(), matches, copy))
                }
                _ => SourceContent::Nothing,
            })
            .collect()
    }

    fn make(
        &self,
        base: &Stack,
        opened: &[Option<Opened>],
        selections: &[Vec<Match<'_>>],
    ) -> Result<rbuild_image::LayerId, StepError> {
        let build = self.step.build;
        let (root, attributes) = if base.layers().is_empty() {
            (None, RootAttributes::default())
        } else {
            let attributes = self.step.root_attributes(base)?;
            (Some(mount(self.step.fetcher, base)?), attributes)
        };
        let draft = build.store.draft(&attributes)?;
        let writer = self.with_earlier(TreeWriter::new(
            draft.open_diff()?,
            OverlayFlavor::detect(),
        )?)?;
        let canvas = Canvas::new(root, writer, mtime(build.now));
        for ((action, opened), matches) in self.operation.actions.iter().zip(opened).zip(selections)
        {
            match (action, opened) {
                (FileAction::Copy(copy), Some(opened)) => {
                    self.copy(copy, opened, matches, &canvas)?;
                }
                (FileAction::MakeDirectory { path, mode, owner }, _) => {
                    make_directory(&canvas, path, *mode, owner)?;
                }
                (
                    FileAction::MakeFile {
                        path,
                        name,
                        data,
                        mode,
                        owner,
                    },
                    _,
                ) => {
                    make_file(&canvas, path, name, data, mode, owner)?;
                }
                (FileAction::Copy(_), None) => {}
            }
        }
        let index = canvas.finish()?;
        self.step.commit(draft, index)
    }

    /// Lets `writer` link the files that this step's last layer has too, so that a copy costs what has changed.
    fn with_earlier(&self, writer: TreeWriter) -> Result<TreeWriter, StepError> {
        let Some(layer) = self.step.earlier_layer()? else {
            return Ok(writer);
        };
        Ok(writer.with_earlier(layer.open_diff()?, layer.index()?))
    }

    fn copy(
        &self,
        action: &CopyAction,
        opened: &Opened,
        matches: &[Match<'_>],
        canvas: &Canvas,
    ) -> Result<(), StepError> {
        let cancel = &self.step.build.cancel;
        if action.unpack == Unpack::Archives {
            for found in matches {
                let unpacked = Unpacked::try_from_match(self.step.build, opened.tree(), found)?;
                match unpacked {
                    Some(unpacked) => unpacked.place(action, canvas, cancel)?,
                    None => self
                        .plain(action, opened, canvas)
                        .run(std::slice::from_ref(found))?,
                }
            }
            return Ok(());
        }
        Ok(self.plain(action, opened, canvas).run(matches)?)
    }

    fn plain<'c>(
        &'c self,
        action: &'c CopyAction,
        opened: &'c Opened,
        canvas: &'c Canvas,
    ) -> Copy<'c> {
        Copy {
            action,
            tree: opened.tree(),
            canvas,
            cancel: &self.step.build.cancel,
            directories: DirectoryRule::Merge,
        }
    }
}

fn make_directory(canvas: &Canvas, path: &str, mode: u32, owner: &Owner) -> Result<(), StepError> {
    let resolved = canvas.resolve(path.as_bytes())?;
    // It is the USER's; one that is not in the image is a mistake that the first command tells of (as BuildKit has it).
    let root = Owner::Ids { uid: 0, gid: 0 };
    let attributes =
        attributes(canvas, mode, owner).or_else(|_| attributes(canvas, mode, &root))?;
    Ok(canvas.make_directories(&resolved, &attributes)?)
}

fn make_file(
    canvas: &Canvas,
    path: &str,
    name: &str,
    data: &str,
    mode: &Mode,
    owner: &Owner,
) -> Result<(), StepError> {
    /// The mode of a heredoc's file before `--chmod`.
    const FILE_MODE: u32 = 0o644;
    let destination = canvas.resolve(path.as_bytes())?;
    let into = path.ends_with('/') || canvas.look(&destination)? == Existing::Directory;
    let target = if into {
        path::join(&destination, name.as_bytes())
    } else {
        destination
    };
    let mode_of_file = mode::apply(mode, FILE_MODE, Node::File)
        .ok_or_else(|| StepError::Pattern(format!("{mode:?}")))?;
    let parents = attributes(canvas, mode::of_new_directory(mode), owner)?;
    canvas.make_directories(path::parent(&target), &parents)?;
    let file = attributes(canvas, mode_of_file, owner)?;
    Ok(canvas.file(&target, &file, FileContent::Bytes(data.as_bytes()))?)
}

fn attributes(canvas: &Canvas, mode: u32, owner: &Owner) -> Result<Attributes, StepError> {
    let owner = owner::resolve(owner, canvas.base()).map_err(crate::copy::CopyError::from)?;
    let (uid, gid) = owner.apply((0, 0));
    Ok(Attributes {
        mode,
        uid,
        gid,
        mtime: canvas.now(),
        xattrs: Vec::new(),
    })
}

/// A time as layers keep it.
pub(crate) fn mtime(time: std::time::SystemTime) -> Mtime {
    let since = time
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Mtime {
        seconds: since.as_secs() as i64,
        nanoseconds: since.subsec_nanos(),
    }
}

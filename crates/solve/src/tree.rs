//! What a vertex yields: a stack of layers, or a context's directory.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_cache::Chain;
use rbuild_image::LayerId;
use rbuild_layer::ContentIndex;
use rbuild_plan::ContextSource;
use rbuild_sandbox::{Merged, Upper};
use rbuild_source::ContextTree;
use rbuild_store::LayerDraft;
use rbuild_sys::{OverlayFlavor, mount_overlay};
use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::copy::{SourceFile, SourceTree};
use crate::error::StepError;
use crate::fetch::Fetcher;

/// A vertex's result.
#[derive(Clone)]
pub(crate) enum Tree {
    /// Layers, bottom first; pulled ones may not be here yet.
    Layers(Stack),
    /// A local directory, as it was when it was walked.
    Context(ContextSource, Arc<ContextTree>),
}

impl Tree {
    /// The layers, of a tree that has them.
    pub(crate) fn stack(&self) -> Option<&Stack> {
        match self {
            Self::Layers(stack) => Some(stack),
            Self::Context(..) => None,
        }
    }
}

/// Layers, bottom first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stack(Arc<Vec<LayerId>>);

impl Stack {
    pub(crate) fn new(layers: Vec<LayerId>) -> Self {
        Self(Arc::new(layers))
    }

    pub(crate) fn layers(&self) -> &[LayerId] {
        &self.0
    }

    pub(crate) fn chain(&self) -> Chain {
        Chain::of(&self.0)
    }

    /// This stack with `layers` on top.
    pub(crate) fn with(&self, layers: &[LayerId]) -> Self {
        Self(Arc::new([&self.0, layers].concat()))
    }
}

/// A stack that is extracted, seen as one directory.
pub(crate) struct MountedStack {
    index: Arc<ContentIndex>,
    root: OwnedFd,
}

impl MountedStack {
    /// Fetches what is missing of `stack` and mounts it, read-only, detached from any directory.
    pub(crate) fn new(fetcher: &Fetcher<'_>, stack: &Stack) -> Result<Self, StepError> {
        Ok(Self {
            index: fetcher.merged_index(stack)?,
            root: mount(fetcher, stack)?,
        })
    }
}

impl SourceTree for MountedStack {
    fn index(&self) -> &ContentIndex {
        &self.index
    }

    fn open(&self, path: &[u8]) -> io::Result<SourceFile> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
        let opened = rbuild_sys::openat2(self.root.as_fd(), path, flags, Mode::empty(), resolve)?;
        Ok(SourceFile::Constant(File::from(opened)))
    }
}

/// `stack` as one read-only directory.
pub(crate) fn mount(fetcher: &Fetcher<'_>, stack: &Stack) -> Result<OwnedFd, StepError> {
    let lowers = lower_directories(fetcher, stack)?;
    let top_first: Vec<PathBuf> = lowers.into_iter().rev().collect();
    Ok(mount_overlay(&top_first, None, OverlayFlavor::detect())?)
}

/// The directories of `stack`'s layers, bottom first, fetched where they are missing.
fn lower_directories(fetcher: &Fetcher<'_>, stack: &Stack) -> Result<Vec<PathBuf>, StepError> {
    let layers = fetcher.fetch(stack)?;
    Ok(layers.iter().map(|layer| layer.diff_path()).collect())
}

/// `stack` for the sandbox, with changes written to a draft if there is one.
pub(crate) fn merged(
    fetcher: &Fetcher<'_>,
    stack: &Stack,
    changes: Option<&LayerDraft>,
) -> Result<Merged, StepError> {
    let lowers = lower_directories(fetcher, stack)?;
    Ok(Merged {
        lowers: lowers.into_iter().rev().collect(),
        upper: changes.map(|draft| Upper {
            diff: draft.diff_path(),
            work: draft.work_path(),
        }),
    })
}

impl SourceTree for ContextTree {
    fn index(&self) -> &ContentIndex {
        ContextTree::index(self)
    }

    fn open(&self, path: &[u8]) -> io::Result<SourceFile> {
        self.open_file(path)
            .map(SourceFile::Changing)
            .map_err(io::Error::other)
    }
}

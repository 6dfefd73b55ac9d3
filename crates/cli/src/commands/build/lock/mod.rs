//! `--lock`: what the names in a Dockerfile stood for, kept in a file beside it, so that a later build means the same.
//!
//! ```text
//! rbuild.lock ─read→ pins ─→ images (before planning), files and repositories (while solving)
//!      ↑                        └── what was found ──┐
//!      └──────────────── written if it is more ──────┘   before any output is
//! ```

mod file;
mod images;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail};
use rbuild_image::Digest;
use rbuild_solve::{MovingSource, Pin, RemoteSources, Unpinned};

use self::file::{LockFile, PinnedImage};
pub(super) use self::images::LockedImages;
use super::internal::InternalSteps;

/// The file beside the Dockerfile.
const LOCK_FILE: &str = "rbuild.lock";

/// What is wanted of a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LockRequest {
    /// Another file than the one beside the Dockerfile.
    pub(super) file: Option<PathBuf>,
    /// What becomes of it.
    pub(super) change: Change,
}

impl LockRequest {
    /// Where the lock file is, if there is a place for it.
    pub(super) fn place(&self, dockerfile: Option<&Path>) -> Option<PathBuf> {
        let beside = dockerfile.map(|dockerfile| dockerfile.with_file_name(LOCK_FILE));
        self.file.clone().or(beside)
    }
}

/// What becomes of a lock file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// `--lock`: what is not in it yet is put into it.
    Add,
    /// `--locked`: nothing; what is not in it is an error.
    Refuse,
    /// `--update-lock[=NAME]`: what is called so, or all that the build uses, is looked up anew.
    Update(Option<String>),
}

/// A lock file in use.
pub(super) struct Lock {
    path: PathBuf,
    change: Change,
    known: LockFile,
    images: Mutex<BTreeMap<PinnedImage, Digest>>,
}

impl Lock {
    /// Reads the lock file of a build. `dockerfile` is where that is, if it is a file of the user's.
    pub(super) fn open(request: &LockRequest, dockerfile: Option<&Path>) -> anyhow::Result<Self> {
        let path = request.place(dockerfile).context(
            "there is no file that a lock file could stand beside: say where it is to be with --lock=FILE",
        )?;
        let known = match std::fs::read_to_string(&path) {
            Ok(text) => LockFile::parse(&text)
                .with_context(|| format!("failed to use the lock file {}", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => match request.change {
                Change::Refuse => bail!(
                    "--locked: there is no lock file {} (build with --lock to write it)",
                    path.display()
                ),
                Change::Add | Change::Update(_) => LockFile::default(),
            },
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("failed to read the lock file {}", path.display()));
            }
        };
        Ok(Self {
            path,
            change: request.change.clone(),
            known,
            images: Mutex::default(),
        })
    }

    /// The pins of what is no image, for the solver.
    pub(super) fn sources(&self) -> RemoteSources {
        let pinned = self.known.sources.iter();
        let pinned = pinned.filter(|(source, _)| !self.updates(source.name()));
        let pinned = pinned.map(|(source, pin)| (source.clone(), pin.clone()));
        let unpinned = match self.change {
            Change::Refuse => Unpinned::Refused,
            Change::Add | Change::Update(_) => Unpinned::Taken,
        };
        RemoteSources::new(pinned.collect(), unpinned)
    }

    /// Writes the file anew if the build found more than is in it.
    pub(super) fn finish(
        &self,
        sources: BTreeMap<MovingSource, Pin>,
        steps: &InternalSteps,
    ) -> anyhow::Result<()> {
        let mut next = self.known.clone();
        let images = self.found();
        self.check_update(images.keys().map(|image| image.name.as_str()), &sources)?;
        next.images.extend(images);
        next.sources.extend(sources);
        if next == self.known {
            return Ok(());
        }
        steps.run(&format!("[internal] write {LOCK_FILE}"), |_| {
            write(&self.path, &next.text())
                .with_context(|| format!("failed to write the lock file {}", self.path.display()))
        })
    }

    /// `--update-lock=NAME` that is nobody's name is a slip of the pen.
    fn check_update<'n>(
        &self,
        mut images: impl Iterator<Item = &'n str>,
        sources: &BTreeMap<MovingSource, Pin>,
    ) -> anyhow::Result<()> {
        let Change::Update(Some(name)) = &self.change else {
            return Ok(());
        };
        let mut others = sources.keys().map(MovingSource::name);
        if images.any(|image| self.updates(image)) || others.any(|other| self.updates(other)) {
            return Ok(());
        }
        bail!("--update-lock={name}: nothing that this build uses and can be pinned is called so")
    }

    /// Whether what is called `name` is looked up anew.
    fn updates(&self, name: &str) -> bool {
        match &self.change {
            Change::Update(Some(part)) => name.contains(part.as_str()),
            Change::Update(None) => true,
            Change::Add | Change::Refuse => false,
        }
    }

    fn found(&self) -> BTreeMap<PinnedImage, Digest> {
        self.images
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn note(&self, image: PinnedImage, digest: Digest) {
        self.images
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(image, digest);
    }
}

/// Readers see the old file or the new one.
fn write(path: &Path, text: &str) -> std::io::Result<()> {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(name);
    let written = std::fs::write(&draft, text).and_then(|()| std::fs::rename(&draft, path));
    written.inspect_err(|_| {
        // What matters is the first error.
        let _ = std::fs::remove_file(&draft);
    })
}

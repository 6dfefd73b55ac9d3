//! Paths inside the root, resolved there whatever its symbolic links say, and made where missing.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use rbuild_sys::openat2;
use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, ResolveFlags, StatxFlags, fstat, mkdirat, openat, readlinkat,
    statat, statx,
};
use rustix::io::Errno;

use crate::InitFailure;
use crate::channel::MadeAt;
use crate::stub::{CopiedUp, Made, MadeKind, Moment, State};

/// The kernel's own limit on symbolic links in one path.
const MAX_LINKS: usize = 40;

/// Whether what had to be made stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Trace {
    /// It goes after the step, if it is still empty.
    Remove,
    /// It is part of the step's result.
    Keep,
}

/// Opens and makes paths inside a root.
pub(super) struct Targets {
    root: OwnedFd,
    mount: u64,
    /// The overlay's upper directory: tells what overlayfs had to copy up.
    upper: Option<OwnedFd>,
    made: Vec<MadeAt>,
}

impl Targets {
    pub(super) fn new(root: OwnedFd, upper: Option<OwnedFd>) -> Result<Self, InitFailure> {
        let mount = mount_of(root.as_fd()).map_err(|error| fail(Path::new("/"), error))?;
        Ok(Self {
            root,
            mount,
            upper,
            made: Vec::new(),
        })
    }

    pub(super) fn root(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    pub(super) fn take_made(&mut self) -> Vec<MadeAt> {
        std::mem::take(&mut self.made)
    }

    /// Opens `path` (for mounting on, not for reading), and makes it as a `kind` where missing.
    pub(super) fn open(
        &mut self,
        path: &Path,
        kind: MadeKind,
        trace: Trace,
    ) -> Result<OwnedFd, InitFailure> {
        let opened = openat2(
            &self.root,
            path,
            OFlags::PATH | OFlags::CLOEXEC,
            Mode::empty(),
            ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
        );
        match opened {
            Ok(found) => Ok(found),
            Err(Errno::NOENT) => self.walk(path, kind, trace),
            Err(error) => Err(fail(path, error)),
        }
    }

    /// Walks by hand, one name at a time, never through a link that was not read first.
    fn walk(&mut self, path: &Path, kind: MadeKind, trace: Trace) -> Result<OwnedFd, InitFailure> {
        let fail = |error| fail(path, error);
        let mut pending: VecDeque<OsString> = names(path).collect();
        let mut here = Place::default();
        let mut links = 0;
        while let Some(name) = pending.pop_front() {
            if name == ".." {
                here.0.pop();
                continue;
            }
            let parent = here.directory(self.root.as_fd());
            let found = match open_name(parent, &name) {
                Ok(found) => found,
                Err(Errno::NOENT) => {
                    let kind = if pending.is_empty() {
                        kind
                    } else {
                        MadeKind::Directory
                    };
                    self.make(&here, &name, kind, trace).map_err(fail)?
                }
                Err(error) => return Err(fail(error)),
            };
            if is_link(found.as_fd()).map_err(fail)? {
                refuse_magic(here.directory(self.root.as_fd()), &name).map_err(fail)?;
                links += 1;
                if links > MAX_LINKS {
                    return Err(fail(Errno::LOOP));
                }
                let text = readlinkat(&found, "", Vec::new()).map_err(fail)?;
                let text = PathBuf::from(OsString::from_vec(text.into_bytes()));
                if text.is_absolute() {
                    here.0.clear();
                }
                for name in names(&text).collect::<Vec<_>>().into_iter().rev() {
                    pending.push_front(name);
                }
            } else {
                here.0.push((name, found));
            }
        }
        match here.0.pop() {
            Some((_, found)) => Ok(found),
            None => self
                .root
                .try_clone()
                .map_err(|error| InitFailure::step("open /", error)),
        }
    }

    fn make(
        &mut self,
        here: &Place,
        name: &OsStr,
        kind: MadeKind,
        trace: Trace,
    ) -> rustix::io::Result<OwnedFd> {
        let parent = here.directory(self.root.as_fd());
        let copied_up = self.not_in_upper(here)?;
        let before = Moment::from(&fstat(parent)?);
        match kind {
            MadeKind::Directory => mkdirat(parent, name, Mode::from_raw_mode(0o755))?,
            MadeKind::File => {
                openat(
                    parent,
                    name,
                    OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::CLOEXEC,
                    Mode::from_raw_mode(0o644),
                )?;
            }
        }
        if trace == Trace::Remove && mount_of(parent)? == self.mount {
            let mut path = here.path();
            path.push(name);
            let after = Moment::from(&fstat(parent)?);
            self.made.push(MadeAt {
                path,
                made: Made {
                    kind,
                    before,
                    after,
                    copied_up,
                },
            });
        }
        open_name(parent, name)
    }

    /// The directories of `here` that the upper directory does not have, outermost first.
    fn not_in_upper(&self, here: &Place) -> rustix::io::Result<Vec<CopiedUp>> {
        let mut missing = Vec::new();
        let Some(upper) = &self.upper else {
            return Ok(missing);
        };
        let mut path = PathBuf::new();
        for (name, directory) in &here.0 {
            path.push(name);
            match statat(upper, &path, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(_) => {}
                Err(Errno::NOENT | Errno::NOTDIR) => missing.push(CopiedUp {
                    path: path.clone(),
                    state: State::from(&fstat(directory)?),
                }),
                Err(error) => return Err(error),
            }
        }
        Ok(missing)
    }
}

/// A directory inside the root with the way that led there, free of links.
#[derive(Default)]
struct Place(Vec<(OsString, OwnedFd)>);

impl Place {
    fn directory<'a>(&'a self, root: BorrowedFd<'a>) -> BorrowedFd<'a> {
        self.0
            .last()
            .map_or(root, |(_, directory)| directory.as_fd())
    }

    fn path(&self) -> PathBuf {
        self.0.iter().map(|(name, _)| name).collect()
    }
}

fn names(path: &Path) -> impl Iterator<Item = OsString> {
    path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some(OsString::from("..")),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    })
}

fn open_name(directory: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<OwnedFd> {
    openat(
        directory,
        name.as_bytes(),
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )
}

/// Refuses a link of /proc to what a process has open: what can be read of it is the name of a place elsewhere.
fn refuse_magic(directory: BorrowedFd<'_>, name: &OsStr) -> rustix::io::Result<()> {
    let followed = openat2(
        directory,
        name,
        OFlags::PATH | OFlags::CLOEXEC,
        Mode::empty(),
        ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
    );
    match followed {
        Err(Errno::LOOP) => Err(Errno::LOOP),
        // Where others lead is looked at by the name.
        _ => Ok(()),
    }
}

fn is_link(file: BorrowedFd<'_>) -> rustix::io::Result<bool> {
    let stat = fstat(file)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Symlink)
}

fn mount_of(file: BorrowedFd<'_>) -> rustix::io::Result<u64> {
    Ok(statx(file, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)?.stx_mnt_id)
}

fn fail(path: &Path, error: Errno) -> InitFailure {
    InitFailure::step(format!("open {} in the root", path.display()), error)
}

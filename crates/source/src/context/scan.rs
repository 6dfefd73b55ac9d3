//! The parallel stat walk: every directory is one task of a rayon scope, and a large one is split further.
//!
//! A task opens its directory relative to its parent's descriptor, lists it, decides by the rules and by what is
//! needed which names count, and asks `stat` of those. No file is opened here.

use std::ops::Range;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rayon::prelude::*;
use rbuild_layer::{Entry, EntryKind, Opacity};
use rustix::fs::{FileType, Mode, OFlags, RawDir};
use rustix::io::Errno;

use crate::SourceError;
use crate::context::hash::read_xattrs;
use crate::context::name::{At, check_length, entry_of, is_vanished, open_beneath, text};
use crate::context::needed::{NeededLink, NeededPaths, Reach};
use crate::context::stat_cache::{Record, Stamp, StatCache};
use crate::ignore::{DirectoryMatch, IgnoreRules};

/// Names that one task asks `stat` of before it shares them out.
const NAMES_PER_TASK: usize = 512;
/// Directories held open for their children; above this a child is opened by its path instead. Far below
/// the usual limit of 1,024 descriptors.
const MAX_OPEN_DIRECTORIES: usize = 256;
/// One `getdents64` fills this: some 800 names.
const LISTING_BYTES: usize = 32 * 1024;

/// What is walked, and how it is judged.
pub(crate) struct Scan<'w, 'a> {
    root: BorrowedFd<'w>,
    ignore: &'w IgnoreRules,
    needed: &'w NeededPaths,
    cache: &'a StatCache,
    directories: Mutex<Vec<(usize, FoundDirectory<'a>)>>,
    links: Mutex<Vec<NeededLink>>,
    next_id: AtomicUsize,
    open: AtomicUsize,
    failed: AtomicBool,
    failure: Mutex<Option<SourceError>>,
}

/// A directory as it was found.
#[derive(Default)]
pub(crate) struct FoundDirectory<'a> {
    /// Its own entry; `None` if it vanished, or for the root.
    pub(crate) entry: Option<Entry>,
    /// Whether it counts even with nothing in it.
    pub(crate) wanted: bool,
    /// Sorted by name.
    pub(crate) children: Vec<Child<'a>>,
}

/// A name in a directory.
pub(crate) enum Child<'a> {
    /// A directory, by its place in [`Found::directories`].
    Directory(usize),
    /// A file whose digest the cache knows.
    Known {
        entry: Entry,
        stamp: Stamp,
        raw: &'a [u8],
    },
    /// A file to be hashed.
    Unknown { entry: Entry, stamp: Stamp },
    /// A symbolic link, device, pipe or socket.
    Other(Entry),
    /// Not wanted now; its record is kept for walks that do.
    Passed { raw: &'a [u8] },
}

/// All that a scan found. The root is directory 0.
pub(crate) struct Found<'a> {
    pub(crate) directories: Vec<FoundDirectory<'a>>,
    pub(crate) links: Vec<NeededLink>,
}

struct Task<'s> {
    id: usize,
    path: Vec<u8>,
    /// The parent, while there are not too many of them open.
    parent: Option<Arc<Held<'s>>>,
    ignored: DirectoryMatch,
    reach: Reach,
}

/// An open directory that is counted while it is open.
struct Held<'s> {
    descriptor: OwnedFd,
    open: &'s AtomicUsize,
}

impl<'s> Held<'s> {
    fn new(descriptor: OwnedFd, open: &'s AtomicUsize) -> Self {
        open.fetch_add(1, Ordering::Relaxed);
        Self { descriptor, open }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a directory holds, sorted by name.
struct Listing<'a> {
    /// All names, one after the other, as they were listed.
    names: Vec<u8>,
    listed: Vec<Listed<'a>>,
}

struct Listed<'a> {
    /// Where its name is among the names.
    name: Range<usize>,
    kind: FileType,
    record: Option<Record<'a>>,
}

impl<'w, 'a> Scan<'w, 'a> {
    pub(crate) fn new(
        root: BorrowedFd<'w>,
        ignore: &'w IgnoreRules,
        needed: &'w NeededPaths,
        cache: &'a StatCache,
    ) -> Self {
        Self {
            root,
            ignore,
            needed,
            cache,
            directories: Mutex::default(),
            links: Mutex::default(),
            next_id: AtomicUsize::new(1),
            open: AtomicUsize::new(0),
            failed: AtomicBool::new(false),
            failure: Mutex::default(),
        }
    }

    pub(crate) fn run(self) -> Result<Found<'a>, SourceError> {
        let task = Task {
            id: 0,
            path: Vec::new(),
            parent: None,
            ignored: DirectoryMatch::default(),
            reach: self.needed.root(),
        };
        rayon::scope(|scope| self.visit(scope, &task));
        if let Some(error) = self
            .failure
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            return Err(error);
        }
        let mut directories: Vec<FoundDirectory<'a>> = Vec::new();
        directories.resize_with(self.next_id.into_inner(), FoundDirectory::default);
        for (id, found) in self
            .directories
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner)
        {
            directories[id] = found;
        }
        let links = self
            .links
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        Ok(Found { directories, links })
    }

    fn visit<'s>(&'s self, scope: &rayon::Scope<'s>, task: &Task<'s>) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        match self.directory(scope, task) {
            Ok(Some(found)) => lock(&self.directories).push((task.id, found)),
            Ok(None) => {}
            Err(error) => {
                self.failed.store(true, Ordering::Relaxed);
                lock(&self.failure).get_or_insert(error);
            }
        }
    }

    fn directory<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        task: &Task<'s>,
    ) -> Result<Option<FoundDirectory<'a>>, SourceError> {
        let fail = |source: Errno| SourceError::ReadContext {
            path: text(&task.path),
            source: source.into(),
        };
        let descriptor = match self.open_directory(task) {
            Ok(descriptor) => descriptor,
            Err(error) if is_vanished(error) => return Ok(None),
            Err(error) => return Err(fail(error)),
        };
        let entry = Self::directory_entry(task, &descriptor).map_err(fail)?;
        let Listing { names, listed } = self.list(task, &descriptor).map_err(fail)?;
        let held = Arc::new(Held::new(descriptor, &self.open));
        let children: Result<Vec<_>, _> = if listed.len() <= NAMES_PER_TASK {
            self.children(scope, task, &held, &names, listed)
        } else {
            let chunks: Vec<_> = chunked(listed)
                .into_par_iter()
                .map(|listed| self.children(scope, task, &held, &names, listed))
                .collect();
            chunks
                .into_iter()
                .collect::<Result<Vec<_>, _>>()
                .map(|all| all.into_iter().flatten().collect())
        };
        Ok(Some(FoundDirectory {
            entry,
            wanted: !task.ignored.ignored && task.reach.is_everything(),
            children: children?,
        }))
    }

    fn open_directory(&self, task: &Task<'_>) -> Result<OwnedFd, Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match &task.parent {
            Some(parent) => {
                let name = task
                    .path
                    .rsplit(|byte| *byte == b'/')
                    .next()
                    .unwrap_or_default();
                rustix::fs::openat(parent.descriptor.as_fd(), name, flags, Mode::empty())
            }
            None if task.path.is_empty() => {
                rustix::fs::openat(self.root, c".", flags, Mode::empty())
            }
            None => open_beneath(self.root, &task.path, flags),
        }
    }

    fn directory_entry(task: &Task<'_>, descriptor: &OwnedFd) -> Result<Option<Entry>, Errno> {
        if task.path.is_empty() {
            return Ok(None);
        }
        let stat = rustix::fs::fstat(descriptor)?;
        let kind = EntryKind::Directory {
            opaque: Opacity::Merged,
        };
        let mut entry = entry_of(task.path.clone(), &stat, kind);
        entry.xattrs = read_xattrs(descriptor.as_fd())?;
        Ok(Some(entry))
    }

    /// The names in a directory, sorted, with what the cache knows of them.
    fn list(&self, task: &Task<'_>, descriptor: &OwnedFd) -> Result<Listing<'a>, Errno> {
        let mut buffer = Vec::with_capacity(LISTING_BYTES);
        let mut entries = RawDir::new(descriptor, buffer.spare_capacity_mut());
        let mut names = Vec::new();
        let mut listed = Vec::new();
        while let Some(entry) = entries.next() {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if name != b"." && name != b".." {
                let start = names.len();
                names.extend_from_slice(name);
                listed.push(Listed {
                    name: start..names.len(),
                    kind: entry.file_type(),
                    record: None,
                });
            }
        }
        listed.sort_unstable_by(|left, right| {
            names[left.name.clone()].cmp(&names[right.name.clone()])
        });
        let mut records = self.cache.directory(&task.path);
        for listed in &mut listed {
            listed.record = records.find(&names[listed.name.clone()]);
        }
        Ok(Listing { names, listed })
    }

    fn children<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        task: &Task<'s>,
        held: &Arc<Held<'s>>,
        names: &[u8],
        listed: Vec<Listed<'a>>,
    ) -> Result<Vec<Child<'a>>, SourceError> {
        let mut children = Vec::with_capacity(listed.len());
        for listed in listed {
            let name = &names[listed.name.clone()];
            let Some((reach, parts)) = task.reach.enter(self.needed, name) else {
                children.extend(listed.passed());
                continue;
            };
            let here = At {
                descriptor: held.descriptor.as_fd(),
                name,
                path: join(&task.path, name),
            };
            let Some((kind, stat)) = here.kind(listed.kind)? else {
                continue;
            };
            let child = if kind == FileType::Directory {
                self.enter(scope, task, held, here.path, reach)?
            } else if self.skips(task, kind, &here.path, &reach) {
                listed.passed()
            } else {
                let child = here.read(stat, listed.record)?;
                if let Some(Child::Other(Entry {
                    kind: EntryKind::Symlink { target },
                    ..
                })) = &child
                    && !parts.is_empty()
                {
                    let (directory, target) = (task.path.clone(), target.clone());
                    lock(&self.links).push(NeededLink {
                        directory,
                        target,
                        at: parts,
                    });
                }
                child
            };
            children.extend(child);
        }
        Ok(children)
    }

    /// Whether something that is no directory does not count. A symbolic link does even on the way to what is
    /// needed, since the way goes on behind it.
    fn skips(&self, task: &Task<'_>, kind: FileType, path: &[u8], reach: &Reach) -> bool {
        (kind != FileType::Symlink && !reach.is_everything())
            || self.ignore.ignores_in(&task.ignored, path)
    }

    fn enter<'s>(
        &'s self,
        scope: &rayon::Scope<'s>,
        task: &Task<'s>,
        held: &Arc<Held<'s>>,
        path: Vec<u8>,
        reach: Reach,
    ) -> Result<Option<Child<'a>>, SourceError> {
        let ignored = self.ignore.directory(&task.ignored, &path);
        if ignored.ignored && !self.ignore.can_show_below(&path) {
            return Ok(None);
        }
        check_length(&path)?;
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let parent =
            (self.open.load(Ordering::Relaxed) < MAX_OPEN_DIRECTORIES).then(|| Arc::clone(held));
        let task = Task {
            id,
            path,
            parent,
            ignored,
            reach,
        };
        scope.spawn(move |scope| self.visit(scope, &task));
        Ok(Some(Child::Directory(id)))
    }
}

impl<'a> Listed<'a> {
    fn passed(&self) -> Option<Child<'a>> {
        self.record.map(|record| Child::Passed { raw: record.raw })
    }
}

fn chunked(listed: Vec<Listed<'_>>) -> Vec<Vec<Listed<'_>>> {
    let mut chunks = Vec::with_capacity(listed.len() / NAMES_PER_TASK + 1);
    let mut names = listed.into_iter();
    loop {
        let chunk: Vec<_> = names.by_ref().take(NAMES_PER_TASK).collect();
        if chunk.is_empty() {
            return chunks;
        }
        chunks.push(chunk);
    }
}

fn join(directory: &[u8], name: &[u8]) -> Vec<u8> {
    if directory.is_empty() {
        return name.to_vec();
    }
    let mut path = Vec::with_capacity(directory.len() + 1 + name.len());
    path.extend_from_slice(directory);
    path.push(b'/');
    path.extend_from_slice(name);
    path
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

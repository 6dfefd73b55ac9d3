//! `cp`: files from a container to the host and back.
//!
//! Paths of the container are resolved in it, whatever its symbolic links say; what is copied is never followed.

use std::ffi::{OsStr, OsString};
use std::io::{self, BufWriter, Write};
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use rbuild_layer::{
    ContentIndex, Entry, EntryKind, Mtime, Opacity, OverlayFlavor, end_tar, index_upper,
    write_tar_part,
};
use rbuild_sandbox::{Owner, UserRange, copy_contents, copy_tree};
use rbuild_store::{Container, Store};
use rbuild_sys::{as_owner, openat2};
use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, statat};
use rustix::io::Errno;

use crate::ContainerError;
use crate::view::View;

/// Which way files go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the container to the host.
    Out,
    /// From the host into the container.
    In,
}

/// Whether a link that is named as the source is copied itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Links {
    /// It is.
    Copied,
    /// What it leads to is.
    Followed,
}

/// Copies `source` to `target`, as cp -r would: into a directory that is there, else under the new name. Of a source that
/// ends in `/.`, what is in it is copied.
pub fn copy(
    store: &Store,
    container: &Container,
    direction: Direction,
    (source, target): (&Path, &Path),
    links: Links,
    owner: Owner,
) -> Result<(), ContainerError> {
    let view = View::whole(store, container)?;
    if view.first_id == 0 {
        return copy_seen(&view, direction, (source, target), links, owner);
    }
    let owner = seen_from(view.first_id, direction, owner);
    match direction {
        Direction::Out => copy_seen(&view, direction, (source, target), links, owner),
        // What is made there has to have an owner that the container has.
        Direction::In => as_owner(view.first_id, || {
            copy_seen(&view, direction, (source, target), links, owner)
        })
        .map_err(|error| ContainerError::Copy {
            path: target.to_owned(),
            source: io::Error::other(error),
        })?,
    }
}

/// The owner that copies are to have, where users of the container from 0 on are the host's from `first` on.
fn seen_from(first: u32, direction: Direction, owner: Owner) -> Owner {
    match (direction, owner) {
        (Direction::Out, Owner::Given { .. }) => owner,
        (Direction::In, Owner::Given { uid, gid }) => Owner::Given {
            uid: first.saturating_add(uid),
            gid: first.saturating_add(gid),
        },
        (Direction::Out, _) => Owner::Moved {
            from: first,
            to: 0,
            count: UserRange::COUNT,
        },
        (Direction::In, _) => Owner::Moved {
            from: 0,
            to: first,
            count: UserRange::COUNT,
        },
    }
}

fn copy_seen(
    view: &View,
    direction: Direction,
    (source, target): (&Path, &Path),
    links: Links,
    owner: Owner,
) -> Result<(), ContainerError> {
    let inside = Tree {
        root: Some(view.root.as_fd()),
    };
    let host = Tree { root: None };
    let (from, to) = match direction {
        Direction::Out => (inside, host),
        Direction::In => (host, inside),
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| ContainerError::Copy { path, source }
    };
    let original = from.find(source, links).map_err(failed(source))?;
    let is_directory = original.kind == FileType::Directory;
    let place = to
        .place(target, is_directory, original.contents, &original.called)
        .map_err(failed(target))?;
    match place {
        Place::Into(directory) if original.contents => {
            let opened = from.open(source, OFlags::RDONLY | OFlags::DIRECTORY);
            let opened = opened.map_err(failed(source))?;
            copy_contents(opened.as_fd(), directory.as_fd(), owner)
        }
        Place::Into(directory) => copy_tree(
            original.parent.as_fd(),
            &original.name,
            directory.as_fd(),
            &original.called,
            owner,
        ),
        Place::As(directory, name) => copy_tree(
            original.parent.as_fd(),
            &original.name,
            directory.as_fd(),
            &name,
            owner,
        ),
    }
    .map_err(failed(source))
}

/// Copies what is in the directory `source` of the host into the directory `target` of the container, which must be there; owners
/// are kept.
pub fn copy_tree_in(
    store: &Store,
    container: &Container,
    source: &Path,
    target: &Path,
) -> Result<(), ContainerError> {
    let view = View::whole(store, container)?;
    let inside = Tree {
        root: Some(view.root.as_fd()),
    };
    let failed = |source: io::Error| ContainerError::Copy {
        path: target.to_owned(),
        source,
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY;
    let to = inside.open(target, flags).map_err(failed)?;
    let from = Tree { root: None }.open(source, flags).map_err(failed)?;
    if view.first_id == 0 {
        return copy_contents(from.as_fd(), to.as_fd(), Owner::Kept).map_err(failed);
    }
    let owner = seen_from(view.first_id, Direction::In, Owner::Kept);
    as_owner(view.first_id, || {
        copy_contents(from.as_fd(), to.as_fd(), owner)
    })
    .unwrap_or_else(|error| Err(io::Error::other(error)))
    .map_err(failed)
}

/// Writes `source` of the container as a tar: under its name, with all that is below it; of a path that ends in `/.`, what is in
/// it.
pub fn copy_out_as_tar(
    store: &Store,
    container: &Container,
    source: &Path,
    links: Links,
    sink: impl Write,
) -> Result<(), ContainerError> {
    let view = View::whole(store, container)?;
    let inside = Tree {
        root: Some(view.root.as_fd()),
    };
    let failed = |error: io::Error| ContainerError::Copy {
        path: source.to_owned(),
        source: error,
    };
    let original = inside.find(source, links).map_err(failed)?;
    let mut sink = BufWriter::new(sink);
    let name = original.name.as_bytes();
    let owner = match view.first_id {
        0 => Owner::Kept,
        first => seen_from(first, Direction::Out, Owner::Kept),
    };
    if !original.contents {
        let mut entry = entry_of(&original).map_err(failed)?;
        (entry.uid, entry.gid) = (owner.moved(entry.uid), owner.moved(entry.gid));
        let alone = ContentIndex::from_entries(vec![entry]);
        write_tar_part(original.parent.as_fd(), &alone, b"", &mut sink)?;
    }
    if original.kind == FileType::Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = if original.contents {
            inside.open(source, OFlags::RDONLY | OFlags::DIRECTORY)
        } else {
            rustix::fs::openat(&original.parent, &*original.name, flags, Mode::empty())
                .map_err(io::Error::from)
        };
        let directory = opened.map_err(failed)?;
        let mut entries = index_upper(directory.as_fd(), OverlayFlavor::detect())?
            .entries()
            .to_vec();
        for entry in &mut entries {
            (entry.uid, entry.gid) = (owner.moved(entry.uid), owner.moved(entry.gid));
        }
        let index = ContentIndex::from_entries(entries);
        let below: &[u8] = if original.contents { b"" } else { name };
        write_tar_part(directory.as_fd(), &index, below, &mut sink)?;
    }
    end_tar(&mut sink)?;
    sink.flush().map_err(failed)
}

/// What is copied as an entry of an archive. Nobody looks at the digest.
fn entry_of(original: &Original) -> io::Result<Entry> {
    let stat = statat(&original.parent, &*original.name, AtFlags::SYMLINK_NOFOLLOW)?;
    let kind = match original.kind {
        FileType::Directory => EntryKind::Directory {
            opaque: Opacity::Merged,
        },
        FileType::RegularFile => EntryKind::File {
            size: stat.st_size as u64,
            digest: [0; 32],
        },
        FileType::Symlink => EntryKind::Symlink {
            target: rustix::fs::readlinkat(&original.parent, &*original.name, Vec::new())?
                .into_bytes(),
        },
        FileType::Fifo => EntryKind::Fifo,
        _ => return Err(Errno::OPNOTSUPP.into()),
    };
    Ok(Entry {
        path: original.name.as_bytes().to_owned(),
        kind,
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: Mtime {
            seconds: stat.st_mtime,
            nanoseconds: 0,
        },
        xattrs: Vec::new(),
    })
}

/// A tree of files: the host's, or a container's.
#[derive(Clone, Copy)]
struct Tree<'a> {
    root: Option<BorrowedFd<'a>>,
}

/// What is to be copied.
struct Original {
    parent: OwnedFd,
    name: OsString,
    /// What the copy is called where nobody says otherwise: a link that is followed has no say in that.
    called: OsString,
    kind: FileType,
    /// Only what is in it.
    contents: bool,
}

/// Where it goes.
enum Place {
    /// Below this directory.
    Into(OwnedFd),
    /// Under this name.
    As(OwnedFd, OsString),
}

impl Tree<'_> {
    fn open(self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::CLOEXEC;
        let opened = match self.root {
            None => rustix::fs::openat(CWD, path, flags, Mode::empty()),
            Some(root) => openat2(
                root,
                &Path::new("/").join(path),
                flags,
                Mode::empty(),
                ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS,
            ),
        };
        Ok(opened?)
    }

    fn find(self, path: &Path, links: Links) -> io::Result<Original> {
        let mut path = path.to_owned();
        let contents = ends_in_dot(&path);
        let called = path.file_name().map(OsStr::to_owned);
        if links == Links::Followed {
            path = self.follow(path)?;
        }
        let (parent, name) = match path.file_name() {
            Some(name) if !contents => (parent_of(&path), name.to_owned()),
            // The root, `.`, `..`: as itself.
            _ => (path.clone(), OsString::from(".")),
        };
        let parent = self.open(&parent, OFlags::PATH | OFlags::DIRECTORY)?;
        let stat = statat(&parent, &*name, AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(Original {
            parent,
            kind: FileType::from_raw_mode(stat.st_mode),
            contents: contents || called.is_none(),
            called: called.unwrap_or_else(|| name.clone()),
            name,
        })
    }

    /// What the link at `path` leads to, one link after the other.
    fn follow(self, mut path: PathBuf) -> io::Result<PathBuf> {
        /// The kernel's own limit.
        const MAX_LINKS: usize = 40;
        for _ in 0..MAX_LINKS {
            let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
                return Ok(path);
            };
            let directory = self.open(parent_or_here(parent), OFlags::PATH | OFlags::DIRECTORY)?;
            match rustix::fs::readlinkat(&directory, name, Vec::new()) {
                Ok(text) => {
                    let text = PathBuf::from(OsStr::new(&*text.to_string_lossy()));
                    path = parent.join(text);
                }
                Err(_) => return Ok(path),
            }
        }
        Err(Errno::LOOP.into())
    }

    fn place(
        self,
        path: &Path,
        is_directory: bool,
        contents: bool,
        name: &OsStr,
    ) -> io::Result<Place> {
        match self.open(path, OFlags::RDONLY | OFlags::DIRECTORY) {
            Ok(directory) => return Ok(Place::Into(directory)),
            Err(error) if error.raw_os_error() == Some(Errno::NOTDIR.raw_os_error()) => {
                // Over a file that is there: only a file can.
                if is_directory {
                    return Err(error);
                }
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
        let asked_for_directory = ends_in_slash(path);
        if asked_for_directory && !is_directory {
            return Err(Errno::NOTDIR.into());
        }
        let new_name = path.file_name().unwrap_or(name).to_owned();
        let parent = self.open(&parent_of(path), OFlags::RDONLY | OFlags::DIRECTORY)?;
        if contents {
            rustix::fs::mkdirat(&parent, &*new_name, Mode::from_raw_mode(0o755))?;
            return Ok(Place::Into(
                self.open(path, OFlags::RDONLY | OFlags::DIRECTORY)?,
            ));
        }
        Ok(Place::As(parent, new_name))
    }
}

fn parent_of(path: &Path) -> PathBuf {
    parent_or_here(path.parent().unwrap_or(path)).to_owned()
}

fn parent_or_here(path: &Path) -> &Path {
    if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    }
}

/// `dir/.`; a path's parts do not tell it.
fn ends_in_dot(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/.") || path.components().eq([Component::CurDir])
}

fn ends_in_slash(path: &Path) -> bool {
    path.as_os_str().as_bytes().ends_with(b"/")
}

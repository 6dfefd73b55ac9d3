//! Objects as files of a directory, which may lie on a disk that several machines share.
//!
//! ```text
//! DIR/blobs/sha256/4f9c…      an object, by its name
//! DIR/.tmp/4711-3             one that is being written
//! ```
//!
//! An object is written beside the others and renamed into its place. There are no locks, as network file systems
//! may lack them. What a killed writer leaves in `.tmp` is removed by a later one after a day.
//!
//! Nothing is synced: after a power loss an object may be torn. Its size tells ([`Objects::write`] writes it again), and
//! so does its digest to the reader.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::error::Refusal;
use crate::objects::MAX_READ_BYTES;
use crate::{Object, ObjectName, Objects, ObjectsError};

/// Where objects are written before they have their names.
const TEMPORARY: &str = ".tmp";
/// How long nobody writes one object.
const ABANDONED: Duration = Duration::from_secs(24 * 60 * 60);
/// Tells the files apart that one process writes.
static NEXT: AtomicU64 = AtomicU64::new(0);

/// A directory of objects.
#[derive(Debug)]
pub struct Directory {
    root: PathBuf,
    swept: Once,
}

impl Directory {
    /// The objects in the directory `root`, which is made by the first write.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            swept: Once::new(),
        }
    }

    fn path(&self, name: &ObjectName) -> PathBuf {
        self.root.join(name.as_str())
    }

    fn open_file(&self, name: &ObjectName) -> Result<Option<(File, u64)>, ObjectsError> {
        let path = self.path(name);
        let open = || {
            let file = File::open(&path)?;
            let size = file.metadata()?.len();
            Ok((file, size))
        };
        if_there(open()).map_err(|source| failed("open", &path, source))
    }

    /// Copies at most `size` bytes and one more, so that too many are noticed.
    fn put(&self, name: &ObjectName, size: u64, source: &mut dyn Read) -> Result<(), ObjectsError> {
        let path = self.path(name);
        let mut draft = self.draft()?;
        let mut source = Checked::new(source);
        let copied = io::copy(
            &mut (&mut source).take(size.saturating_add(1)),
            &mut draft.file,
        );
        let object = || path.display().to_string();
        let actual = match (copied, source.failure) {
            (_, Some(source)) => {
                return Err(ObjectsError::Source {
                    object: object(),
                    source,
                });
            }
            (Err(source), None) => return Err(failed("write", &path, source)),
            (Ok(actual), None) => actual,
        };
        if actual != size {
            return Err(ObjectsError::Size {
                object: object(),
                expected: size,
                actual,
            });
        }
        draft.rename(&path)
    }

    /// A file that only we write, in [`TEMPORARY`].
    fn draft(&self) -> Result<Draft, ObjectsError> {
        let directory = self.root.join(TEMPORARY);
        make_directory(&directory)?;
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = directory.join(format!("{}-{number}", std::process::id()));
            match File::create_new(&path) {
                // A process of the same number, on another machine or before us.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(source) => return Err(failed("create", &path, source)),
                Ok(file) => {
                    self.swept.call_once(|| sweep(&directory, &file));
                    return Ok(Draft { path, file });
                }
            }
        }
    }
}

impl Objects for Directory {
    fn read(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ObjectsError> {
        let Some((file, _)) = self.open_file(name)? else {
            return Ok(None);
        };
        let path = self.path(name);
        let mut bytes = Vec::new();
        file.take(MAX_READ_BYTES + 1)
            .read_to_end(&mut bytes)
            .map_err(|source| failed("read", &path, source))?;
        if bytes.len() as u64 > MAX_READ_BYTES {
            return Err(ObjectsError::TooLarge {
                object: path.display().to_string(),
                limit: MAX_READ_BYTES,
            });
        }
        Ok(Some(bytes))
    }

    fn open(&self, name: &ObjectName) -> Result<Option<Object>, ObjectsError> {
        let opened = self.open_file(name)?;
        Ok(opened.map(|(file, size)| Object {
            size: Some(size),
            reader: Box::new(file),
        }))
    }

    fn size(&self, name: &ObjectName) -> Result<Option<u64>, ObjectsError> {
        let path = self.path(name);
        let found =
            if_there(fs::metadata(&path)).map_err(|source| failed("find", &path, source))?;
        Ok(found.map(|found| found.len()))
    }

    fn write(
        &self,
        name: &ObjectName,
        size: u64,
        source: &mut dyn Read,
    ) -> Result<(), ObjectsError> {
        if self.size(name)? == Some(size) {
            return Ok(());
        }
        self.put(name, size, source)
    }

    fn replace(&self, name: &ObjectName, mut bytes: &[u8]) -> Result<(), ObjectsError> {
        self.put(name, bytes.len() as u64, &mut bytes)
    }

    fn address(&self) -> String {
        self.root.display().to_string()
    }
}

/// An object in the making. Dropped without [`Draft::rename`], it leaves nothing.
struct Draft {
    path: PathBuf,
    file: File,
}

impl Draft {
    fn rename(self, to: &Path) -> Result<(), ObjectsError> {
        let parent = to.parent().expect("an object is below the root");
        make_directory(parent)?;
        fs::rename(&self.path, to).map_err(|source| failed("write", to, source))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // Not there any more if it was renamed.
        let _ = fs::remove_file(&self.path);
    }
}

/// Remembers a source's own failure, which is not the store's.
struct Checked<'a> {
    source: &'a mut dyn Read,
    failure: Option<io::Error>,
}

impl<'a> Checked<'a> {
    fn new(source: &'a mut dyn Read) -> Self {
        Self {
            source,
            failure: None,
        }
    }
}

impl Read for Checked<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.source.read(buffer) {
            Err(error) if error.kind() != ErrorKind::Interrupted => {
                let kind = error.kind();
                self.failure = Some(error);
                Err(kind.into())
            }
            other => other,
        }
    }
}

/// Removes what killed writers left. The file system's own time counts, of which `fresh` was made just now: machines'
/// clocks differ.
fn sweep(directory: &Path, fresh: &File) {
    let modified = |found: io::Result<fs::Metadata>| found.and_then(|found| found.modified()).ok();
    let (Some(now), Ok(entries)) = (modified(fresh.metadata()), fs::read_dir(directory)) else {
        return;
    };
    for entry in entries.flatten() {
        let age = modified(entry.metadata()).and_then(|then| now.duration_since(then).ok());
        if age.is_some_and(|age| age > ABANDONED) {
            // Another process may sweep, too.
            let _ = fs::remove_file(entry.path());
        }
    }
}

fn make_directory(path: &Path) -> Result<(), ObjectsError> {
    fs::create_dir_all(path).map_err(|source| failed("create directory", path, source))
}

fn if_there<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}

fn failed(action: &'static str, path: &Path, source: io::Error) -> ObjectsError {
    let object = path.display().to_string();
    let refusal = match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => Refusal::Access,
        _ => Refusal::Other,
    };
    ObjectsError::at(action, object, refusal, source)
}

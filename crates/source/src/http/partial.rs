//! A body on its way here, which survives a connection that breaks: the next one brings what is missing.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use rbuild_image::{Digest, Digester};

/// Read from the network at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// What has come so far, in a file that goes with it unless it is kept.
pub(crate) struct Partial {
    /// None when it has been kept.
    path: Option<PathBuf>,
    file: File,
    digester: Digester,
    /// An `ETag` or a date that says whether a later answer continues this one.
    validator: Option<String>,
}

/// Why a body did not come to its end.
pub(crate) enum Broken {
    /// The connection.
    Connection(io::Error),
    /// The file.
    File(io::Error),
    /// Nobody wants it any more.
    Stopped,
}

impl Partial {
    /// Nothing yet, in the new file `path`.
    pub(crate) fn new(path: PathBuf, file: File, validator: Option<String>) -> Self {
        Self {
            path: Some(path),
            file,
            digester: Digester::new(),
            validator,
        }
    }

    /// The bytes that have come.
    pub(crate) fn received(&self) -> u64 {
        self.digester.written()
    }

    /// What to ask the server with so that it sends only what is missing, if it can be asked.
    pub(crate) fn validator(&self) -> Option<&str> {
        self.validator.as_deref().filter(|_| self.received() > 0)
    }

    /// Takes in the rest of a body of `total` bytes.
    pub(crate) fn take(
        &mut self,
        mut body: impl Read,
        total: Option<u64>,
        wanted: &dyn Fn(u64) -> bool,
    ) -> Result<(), Broken> {
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let count = match body.read(&mut chunk) {
                Ok(0) if total.is_some_and(|total| self.received() < total) => {
                    return Err(Broken::Connection(io::ErrorKind::UnexpectedEof.into()));
                }
                Ok(0) => return Ok(()),
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(Broken::Connection(error)),
            };
            self.file.write_all(&chunk[..count]).map_err(Broken::File)?;
            self.digester.update(&chunk[..count]);
            if !wanted(self.received()) {
                return Err(Broken::Stopped);
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.path.as_deref().unwrap_or(Path::new(""))
    }

    /// Gives it its final name. Its bytes are on the disk before it has one: what is served from the cache is not hashed again,
    /// and a loss of power must not leave other bytes under the digest that a key is made of.
    pub(crate) fn keep_as(&mut self, path: &Path) -> io::Result<()> {
        File::open(self.path())?.sync_data()?;
        fs::rename(self.path(), path)?;
        self.path = None;
        Ok(())
    }

    /// The digest of all that came.
    pub(crate) fn digest(&self) -> Digest {
        self.digester.clone().finish()
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // A part of a body is of no use to anybody else.
            let _ = fs::remove_file(path);
        }
    }
}

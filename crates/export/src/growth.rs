//! A blob that one thread writes and another reads behind it.

use std::fs::File;
use std::io::{self, Read, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use rbuild_image::Descriptor;
use rbuild_store::BlobWriter;

use crate::error::ExportError;

/// How far the writer is.
#[derive(Default)]
pub(crate) struct Growth {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// What the reader reads, until it has taken it.
    file: Option<File>,
    written: u64,
    end: End,
}

#[derive(Default, Clone, PartialEq)]
enum End {
    /// There is more to come.
    #[default]
    Open,
    /// All is written, and it is this blob.
    Whole(Box<Descriptor>),
    /// It became nothing.
    Failed,
}

impl Growth {
    /// `writer` begins.
    pub(crate) fn begin(&self, writer: &BlobWriter) -> Result<(), ExportError> {
        self.lock().file = Some(writer.reader()?);
        self.changed.notify_all();
        Ok(())
    }

    /// The writer has ended with this blob.
    pub(crate) fn end(&self, blob: &Descriptor) {
        self.lock().end = End::Whole(Box::new(blob.clone()));
        self.changed.notify_all();
    }

    /// Which blob it was; to be asked after the last byte.
    pub(crate) fn blob(&self) -> Option<Descriptor> {
        match self.wait(|state| state.end != End::Open).end.clone() {
            End::Whole(blob) => Some(*blob),
            End::Open | End::Failed => None,
        }
    }

    fn wait(&self, ready: impl Fn(&State) -> bool) -> MutexGuard<'_, State> {
        let waited = self.changed.wait_while(self.lock(), |state| !ready(state));
        waited.unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends a blob that nobody has ended, also where its writer panics: somebody waits for its end.
pub(crate) struct Ending<'a>(pub(crate) &'a Growth);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        if state.end == End::Open {
            state.end = End::Failed;
        }
        drop(state);
        self.0.changed.notify_all();
    }
}

/// A writer that tells how far it is.
pub(crate) struct Followed<'a> {
    pub(crate) writer: &'a mut BlobWriter,
    pub(crate) growth: Option<&'a Growth>,
}

impl Write for Followed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.writer.write(bytes)?;
        if let Some(growth) = self.growth {
            growth.lock().written += count as u64;
            growth.changed.notify_all();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Reads behind the writer, and waits for it.
pub(crate) struct Follower<'a> {
    growth: &'a Growth,
    file: Option<File>,
    read: u64,
}

impl<'a> Follower<'a> {
    pub(crate) fn new(growth: &'a Growth) -> Self {
        Self {
            growth,
            file: None,
            read: 0,
        }
    }
}

impl Read for Follower<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (read, growth) = (self.read, self.growth);
        let mut state = growth.wait(|state| state.written > read || state.end != End::Open);
        if state.end == End::Failed {
            return Err(io::Error::other("it was not made after all"));
        }
        let left = state.written - read;
        if left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.file.is_none() {
            self.file = state.file.take();
        }
        drop(state);
        let most = usize::try_from(left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let file = self
            .file
            .as_mut()
            .ok_or_else(|| io::Error::other("nobody said where it is written"))?;
        let count = file.read(&mut buffer[..most])?;
        self.read += count as u64;
        Ok(count)
    }
}

//! What is sent: nothing, bytes, or a stream that can be opened again for a retry.

use std::io::{self, Read};
use std::sync::{Mutex, PoisonError};

use ureq::SendBody;

use super::cancel::CancelFlag;

/// A request's body.
#[derive(Clone, Copy)]
pub(crate) enum Body<'a> {
    /// None: for GET and HEAD.
    Nothing,
    /// A few bytes.
    Bytes(&'a [u8]),
    /// A part of a source.
    Stream(&'a Source<'a>),
    /// What comes, as long as it comes; once.
    Growing(&'a dyn Once),
}

/// A body that can be sent once.
pub(crate) trait Once {
    /// Its bytes.
    fn take(&self) -> io::Result<Box<dyn Read + '_>>;
}

/// A source of unknown length.
pub(crate) struct Growing<'a> {
    source: Mutex<Option<Box<dyn Read + Send + 'a>>>,
    cancel: &'a CancelFlag,
}

impl<'a> Growing<'a> {
    pub(crate) fn new(source: impl Read + Send + 'a, cancel: &'a CancelFlag) -> Self {
        Self {
            source: Mutex::new(Some(Box::new(source))),
            cancel,
        }
    }
}

impl Once for Growing<'_> {
    fn take(&self) -> io::Result<Box<dyn Read + '_>> {
        let mut source = self.source.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = source
            .take()
            .ok_or_else(|| io::Error::other("it was sent already"))?;
        let cancel = self.cancel;
        Ok(Box::new(GrowingReader { inner, cancel }))
    }
}

struct GrowingReader<'a> {
    inner: Box<dyn Read + Send + 'a>,
    cancel: &'a CancelFlag,
}

impl Read for GrowingReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_set() {
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.inner.read(buffer)
    }
}

/// How a blob's bytes are opened, each time they are sent.
pub(crate) type Open<'a> = dyn Fn() -> io::Result<Box<dyn Read + Send>> + 'a;

/// The part of a blob that one request sends.
pub(crate) struct Source<'a> {
    pub(crate) open: &'a Open<'a>,
    /// Where the part begins, in bytes.
    pub(crate) offset: u64,
    /// How long it is, in bytes.
    pub(crate) length: u64,
    /// Told the position in the blob as it is sent.
    pub(crate) progress: &'a (dyn Fn(u64) + Sync + 'a),
    /// Ends the sending in its middle.
    pub(crate) cancel: &'a CancelFlag,
    /// The failure to read, which is not the network's.
    pub(crate) failure: Mutex<Option<io::Error>>,
}

impl Source<'_> {
    /// Takes the failure to read the source, if there was one.
    pub(crate) fn take_failure(&self) -> Option<io::Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn fail(&self, error: io::Error) -> io::Error {
        let kind = error.kind();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        kind.into()
    }

    fn open(&self) -> io::Result<SourceReader<'_>> {
        let mut inner = (self.open)().map_err(|error| self.fail(error))?;
        let skipped = io::copy(&mut (&mut inner).take(self.offset), &mut io::sink())
            .map_err(|error| self.fail(error))?;
        if skipped < self.offset {
            return Err(self.fail(too_short()));
        }
        Ok(SourceReader {
            source: self,
            inner,
            left: self.length,
        })
    }
}

fn too_short() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "it has fewer bytes than its descriptor says",
    )
}

struct SourceReader<'a> {
    source: &'a Source<'a>,
    inner: Box<dyn Read + Send>,
    left: u64,
}

impl Read for SourceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.left == 0 || buffer.is_empty() {
            return Ok(0);
        }
        if self.source.cancel.is_set() {
            // Not a failure of the source: who asks next whether to try again is told.
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        let most = usize::try_from(self.left).map_or(buffer.len(), |left| left.min(buffer.len()));
        let count = match self.inner.read(&mut buffer[..most]) {
            Ok(0) => return Err(self.source.fail(too_short())),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => return Err(self.source.fail(error)),
        };
        self.left -= count as u64;
        let sent = self.source.length - self.left;
        (self.source.progress)(self.source.offset + sent);
        Ok(count)
    }
}

impl Body<'_> {
    /// Hands the body and its length to `send`.
    pub(crate) fn send<T>(
        &self,
        send: impl FnOnce(SendBody<'_>, Option<u64>) -> Result<T, ureq::Error>,
    ) -> Result<T, ureq::Error> {
        match self {
            Self::Nothing => send(SendBody::none(), None),
            Self::Bytes(bytes) => {
                let mut reader = *bytes;
                send(SendBody::from_reader(&mut reader), Some(bytes.len() as u64))
            }
            Self::Growing(growing) => {
                let mut reader = growing.take().map_err(ureq::Error::Io)?;
                send(SendBody::from_reader(&mut reader), None)
            }
            Self::Stream(source) => {
                let mut reader = source.open().map_err(ureq::Error::Io)?;
                send(SendBody::from_reader(&mut reader), Some(source.length))
            }
        }
    }
}

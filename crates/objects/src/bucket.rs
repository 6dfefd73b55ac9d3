//! Objects in a bucket of S3 or a container of Azure Blob Storage, through the `object_store` crate.
//!
//! ```text
//! caller's thread ─ read a part ─→ a worker of the bucket's own runtime ─ sign ─→ a thread that sends it
//! ```
//!
//! Small objects are sent at once, large ones in parts side by side. Parts in memory are counted over all writers of
//! the bucket, so a hundred writers need no more of it than one.

use std::fmt;
use std::io::{self, Read};
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::container::Container;
use crate::objects::MAX_READ_BYTES;
use crate::reason::failed;
use crate::runtime::Runtime;
use crate::source::Source;
use crate::{Object, ObjectName, Objects, ObjectsError};

/// Objects up to this size are sent at once; larger ones in parts of at least it. Above S3's least part, 5 MiB.
const PART_BYTES: u64 = 8 << 20;
/// S3 takes 10,000 parts.
const MAX_PARTS: u64 = 10_000;

/// A bucket or container, and what of it is ours. Made by [`Bucket::s3`] and [`Bucket::azure`].
pub struct Bucket {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) runtime: Arc<Runtime>,
    pub(crate) layout: Layout,
    pub(crate) address: String,
    pub(crate) parts: Arc<Semaphore>,
    pub(crate) refresh: Option<Refresh>,
    /// What has to be there before the first object.
    pub(crate) container: Option<Container>,
}

/// Where in the bucket objects are.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// Before the rest of names that begin with `blobs/`.
    pub(crate) blobs: String,
    /// Before all other names.
    pub(crate) manifests: String,
}

/// How objects that are in use are kept from rules that delete old ones.
#[derive(Debug)]
pub(crate) struct Refresh {
    /// Those written before this get a new date.
    pub(crate) before: SystemTime,
    /// Copies an object onto itself, which gives it a new date.
    pub(crate) copier: Arc<dyn ObjectStore>,
}

/// What one copy may have at most.
const MAX_COPY_BYTES: u64 = 5 << 30;

impl Layout {
    fn key(&self, name: &ObjectName) -> String {
        match name.as_str().strip_prefix("blobs/") {
            Some(rest) => format!("{}{rest}", self.blobs),
            None => format!("{}{name}", self.manifests),
        }
    }

    /// Whether keys can be made of it.
    pub(crate) fn check(&self) -> Result<(), String> {
        for prefix in [&self.blobs, &self.manifests] {
            Path::parse(format!("{prefix}x")).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

impl Bucket {
    fn path(&self, name: &ObjectName) -> Path {
        let key = self.layout.key(name);
        Path::parse(key).expect("prefixes are checked when a bucket is made")
    }

    /// What an object is called in messages.
    fn object(&self, name: &ObjectName) -> String {
        format!("{}/{}", self.address, self.layout.key(name))
    }

    /// The result of `future`; `None` if there is no such object.
    fn ask<T>(
        &self,
        action: &'static str,
        name: &ObjectName,
        future: impl Future<Output = object_store::Result<T>>,
    ) -> Result<Option<T>, ObjectsError> {
        match self.runtime.block_on(future) {
            Ok(found) => Ok(Some(found)),
            // A container is made when it is needed; a bucket must be there.
            Err(object_store::Error::NotFound { source, .. })
                if self.container.is_some() || !no_bucket(&*source) =>
            {
                Ok(None)
            }
            Err(error) => Err(failed(action, self.object(name), &error)),
        }
    }

    fn head(&self, name: &ObjectName) -> Result<Option<ObjectMeta>, ObjectsError> {
        let path = self.path(name);
        self.ask("find", name, self.store.head(&path))
    }

    fn get(&self, name: &ObjectName) -> Result<Option<(u64, BoxReader)>, ObjectsError> {
        let path = self.path(name);
        let Some(found) = self.ask("read", name, self.store.get(&path))? else {
            return Ok(None);
        };
        let size = found.meta.size;
        let reader = StreamReader {
            stream: found.into_stream(),
            runtime: Arc::clone(&self.runtime),
            piece: Bytes::new(),
            left: size,
        };
        Ok(Some((size, Box::new(reader))))
    }

    fn put(&self, name: &ObjectName, size: u64, source: Source<'_>) -> Result<(), ObjectsError> {
        if let Some(container) = &self.container {
            container.make(&self.runtime)?;
        }
        if size <= PART_BYTES {
            self.put_whole(name, source)
        } else {
            self.put_parts(name, size, source)
        }
    }

    fn put_whole(&self, name: &ObjectName, mut source: Source<'_>) -> Result<(), ObjectsError> {
        let _permit = self.permit();
        let bytes = source.part(PART_BYTES)?;
        source.end()?;
        let path = self.path(name);
        let put = self.store.put(&path, bytes.into());
        match self.runtime.block_on(put) {
            Ok(_) => Ok(()),
            Err(error) => Err(failed("write", self.object(name), &error)),
        }
    }

    fn put_parts(
        &self,
        name: &ObjectName,
        size: u64,
        source: Source<'_>,
    ) -> Result<(), ObjectsError> {
        let fail = |error| failed("write", self.object(name), &error);
        let path = self.path(name);
        let begun = self.runtime.block_on(self.store.put_multipart(&path));
        let mut upload = begun.map_err(fail)?;
        let sent = self.send_parts(name, size, source, &mut *upload);
        let finished = sent.and_then(|()| {
            let completed = self.runtime.block_on(upload.complete());
            completed.map(drop).map_err(fail)
        });
        if finished.is_err() {
            // The first failure is the one to tell. What stays is removed by the bucket's own rules.
            let _ = self.runtime.block_on(upload.abort());
        }
        finished
    }

    fn send_parts(
        &self,
        name: &ObjectName,
        size: u64,
        mut source: Source<'_>,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), ObjectsError> {
        let part_bytes = PART_BYTES.max(size.div_ceil(MAX_PARTS));
        let mut sending = JoinSet::new();
        let fail = |error| Err(failed("write", self.object(name), &error));
        while source.left() > 0 {
            let permit = self.permit();
            let part = upload.put_part(source.part(part_bytes)?.into());
            let sent = async move {
                let _permit = permit;
                part.await
            };
            sending.spawn_on(sent, self.runtime.handle());
            while let Some(sent) = sending.try_join_next() {
                if let Err(error) = sent.map_err(Into::into).and_then(|sent| sent) {
                    return fail(error);
                }
            }
        }
        source.end()?;
        while let Some(sent) = self.runtime.block_on(sending.join_next()) {
            if let Err(error) = sent.map_err(Into::into).and_then(|sent| sent) {
                return fail(error);
            }
        }
        Ok(())
    }

    fn permit(&self) -> OwnedSemaphorePermit {
        let permit = Arc::clone(&self.parts).acquire_owned();
        self.runtime
            .block_on(permit)
            .expect("the semaphore is never closed")
    }

    /// Gives an object that is there a new date if its own is old; `false` if it has to be sent again for that.
    fn keep(&self, name: &ObjectName, found: &ObjectMeta) -> Result<bool, ObjectsError> {
        let Some(refresh) = &self.refresh else {
            return Ok(true);
        };
        if SystemTime::from(found.last_modified) >= refresh.before {
            return Ok(true);
        }
        if found.size > MAX_COPY_BYTES {
            return Ok(false);
        }
        let path = self.path(name);
        let copied = self.ask("refresh", name, refresh.copier.copy(&path, &path))?;
        Ok(copied.is_some())
    }
}

impl Objects for Bucket {
    fn read(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ObjectsError> {
        let Some((size, mut reader)) = self.get(name)? else {
            return Ok(None);
        };
        if size > MAX_READ_BYTES {
            return Err(ObjectsError::TooLarge {
                object: self.object(name),
                limit: MAX_READ_BYTES,
            });
        }
        let mut bytes = Vec::with_capacity(size as usize);
        let read = reader.read_to_end(&mut bytes);
        let failed = |source| ObjectsError::Store {
            action: "read",
            object: self.object(name),
            source: Box::new(source),
        };
        read.map_err(failed)?;
        Ok(Some(bytes))
    }

    fn open(&self, name: &ObjectName) -> Result<Option<Object>, ObjectsError> {
        let found = self.get(name)?;
        Ok(found.map(|(size, reader)| Object {
            size: Some(size),
            reader,
        }))
    }

    fn size(&self, name: &ObjectName) -> Result<Option<u64>, ObjectsError> {
        Ok(self.head(name)?.map(|found| found.size))
    }

    fn write(
        &self,
        name: &ObjectName,
        size: u64,
        source: &mut dyn Read,
    ) -> Result<(), ObjectsError> {
        let found = self.head(name)?.filter(|found| found.size == size);
        if let Some(found) = found
            && self.keep(name, &found)?
        {
            return Ok(());
        }
        self.put(name, size, Source::new(self.object(name), size, source))
    }

    fn replace(&self, name: &ObjectName, mut bytes: &[u8]) -> Result<(), ObjectsError> {
        let size = bytes.len() as u64;
        self.put(name, size, Source::new(self.object(name), size, &mut bytes))
    }

    fn address(&self) -> String {
        // Two prefixes of one bucket are two places.
        let address = format!("{}/{}", self.address, self.layout.manifests);
        address.trim_end_matches('/').to_owned()
    }
}

impl fmt::Debug for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the store: it holds credentials.
        f.debug_struct("Bucket")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// Whether it is not the object that is missing, but all that it should be in.
fn no_bucket(error: &(dyn std::error::Error + 'static)) -> bool {
    error.to_string().contains("NoSuchBucket")
}

type BoxReader = Box<dyn Read + Send>;

/// A stream, read on the caller's thread.
struct StreamReader {
    stream: BoxStream<'static, object_store::Result<Bytes>>,
    runtime: Arc<Runtime>,
    piece: Bytes,
    /// How many bytes are still to come.
    left: u64,
}

impl Read for StreamReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.runtime.block_on(self.stream.next()) {
                Some(piece) => self.piece = piece.map_err(io::Error::other)?,
                None if self.left == 0 => return Ok(0),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
        let count = self.piece.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.piece.split_to(count));
        self.left = self.left.saturating_sub(count as u64);
        Ok(count)
    }
}

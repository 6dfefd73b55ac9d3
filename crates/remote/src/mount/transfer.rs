//! Sending a cache mount to a place, and reading it from there.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Cursor, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use crossbeam_channel::{Receiver, Sender, bounded};
use rbuild_image::Digest;
use rbuild_store::{CacheMount, Store};

use super::chunks::Cutter;
use super::snapshot::{Chunk, MountSnapshot};
use super::split::{Joiner, Splitter};
use crate::publish::RETRY_WAITS;
use crate::{Place, RemoteError, Upload};

/// Chunks that are asked for, sent or fetched at the same time. Most of it is waiting.
const WORKERS: usize = 8;
/// Chunks that are fetched before they are needed.
const AHEAD: usize = 4;
/// The compressor's level.
const LEVEL: i32 = 3;

/// What was sent of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Chunks that it has.
    pub chunks: usize,
    /// Of these, those that the place lacked.
    pub new: usize,
    /// Their bytes, compressed.
    pub bytes: u64,
}

/// Which stream of a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stream {
    Heads,
    Contents,
}

/// A chunk on its way: the stream, the place in it, its bytes.
type Job = (Stream, usize, Vec<u8>);

/// Sends what the first directory of `mount` holds to `place`, but for the chunks that it has.
pub fn send_mount(
    store: &Store,
    mount: &CacheMount,
    place: &dyn Place,
) -> Result<Sent, RemoteError> {
    let previous = match place.mount(&mount.key) {
        Err(RemoteError::Document { .. }) => None,
        other => other?,
    };
    let known = previous.iter().flat_map(MountSnapshot::chunks);
    let sender = ChunkSender {
        place,
        known: known.map(|chunk| (chunk.id.as_str(), chunk)).collect(),
        sent: Mutex::default(),
        failure: Mutex::default(),
        new: AtomicUsize::new(0),
        bytes: AtomicU64::new(0),
    };
    let (jobs, queue) = bounded::<Job>(WORKERS);
    let exported = std::thread::scope(|scope| {
        for _ in 0..WORKERS {
            let queue = queue.clone();
            let sender = &sender;
            scope.spawn(move || sender.work(&queue));
        }
        drop(queue);
        cut(store, mount, jobs, &sender)
    });
    if let Some(error) = lock(&sender.failure).take() {
        return Err(error);
    }
    exported?;
    let mut chunks = std::mem::take(&mut *lock(&sender.sent));
    chunks.sort_by_key(|(stream, number, _)| (*stream, *number));
    let sent = Sent {
        chunks: chunks.len(),
        new: sender.new.load(Ordering::Relaxed),
        bytes: sender.bytes.load(Ordering::Relaxed),
    };
    let (heads, contents) = chunks
        .into_iter()
        .partition::<Vec<_>, _>(|(stream, _, _)| *stream == Stream::Heads);
    let only = |all: Vec<(Stream, usize, Chunk)>| all.into_iter().map(|one| one.2).collect();
    let snapshot = MountSnapshot::new(&mount.id, only(heads), only(contents));
    if previous.as_ref() != Some(&snapshot) || sent.new > 0 {
        put_patiently(place, &mount.key, &snapshot)?;
    }
    Ok(sent)
}

/// Cuts the tar of `mount`, and hands the chunks to the workers, who are done when `jobs` is gone.
fn cut(
    store: &Store,
    mount: &CacheMount,
    jobs: Sender<Job>,
    sender: &ChunkSender<'_>,
) -> Result<(), RemoteError> {
    let (mut heads, mut contents) = (Cutter::default(), Cutter::default());
    let (mut head_number, mut content_number) = (0, 0);
    let hand_over = |stream, number: &mut usize, chunk| {
        if lock(&sender.failure).is_some() {
            return Err(io::Error::other("sending has failed"));
        }
        // The workers live until the queue is closed.
        let _ = jobs.send((stream, *number, chunk));
        *number += 1;
        Ok(())
    };
    let splitter = Splitter::new(
        |bytes: &[u8]| {
            heads.write(bytes, &mut |chunk| {
                hand_over(Stream::Heads, &mut head_number, chunk)
            })
        },
        |bytes: &[u8]| {
            contents.write(bytes, &mut |chunk| {
                hand_over(Stream::Contents, &mut content_number, chunk)
            })
        },
    );
    store.export_cache_mount(mount, splitter)?;
    for (stream, number, rest) in [
        (Stream::Heads, &mut head_number, heads.finish()),
        (Stream::Contents, &mut content_number, contents.finish()),
    ] {
        if let Some(chunk) = rest {
            hand_over(stream, number, chunk).map_err(RemoteError::Compress)?;
        }
    }
    drop(jobs);
    Ok(())
}

/// Others that write at the same time may confuse a registry for a moment.
fn put_patiently(
    place: &dyn Place,
    key: &str,
    snapshot: &MountSnapshot,
) -> Result<(), RemoteError> {
    let mut waits = RETRY_WAITS.iter();
    loop {
        match (place.put_mount(key, snapshot), waits.next()) {
            (Err(error), Some(wait)) if error.may_pass() => std::thread::sleep(*wait),
            (result, _) => return result,
        }
    }
}

struct ChunkSender<'a> {
    place: &'a dyn Place,
    /// Chunks of the mount as the place has it, by id.
    known: HashMap<&'a str, &'a Chunk>,
    sent: Mutex<Vec<(Stream, usize, Chunk)>>,
    failure: Mutex<Option<RemoteError>>,
    new: AtomicUsize,
    bytes: AtomicU64,
}

impl ChunkSender<'_> {
    fn work(&self, queue: &Receiver<Job>) {
        for (stream, number, bytes) in queue {
            if lock(&self.failure).is_some() {
                continue;
            }
            match self.send(&bytes) {
                Ok(chunk) => lock(&self.sent).push((stream, number, chunk)),
                Err(error) => {
                    lock(&self.failure).get_or_insert(error);
                }
            }
        }
    }

    /// Sees to it that the place has the chunk.
    fn send(&self, bytes: &[u8]) -> Result<Chunk, RemoteError> {
        let id = blake3::hash(bytes).to_hex().to_string();
        if let Some(known) = self.known.get(id.as_str()) {
            // Compressed only if the place has lost it; if by another compressor, it is another blob.
            let again = || zstd::bulk::compress(bytes, LEVEL);
            if self.put(known, &again).is_ok() {
                return Ok((*known).clone());
            }
        }
        let packed = zstd::bulk::compress(bytes, LEVEL).map_err(RemoteError::Compress)?;
        let chunk = Chunk {
            id,
            size: bytes.len() as u64,
            blob: Digest::sha256_of(&packed),
            packed: packed.len() as u64,
        };
        self.put(&chunk, &|| Ok(packed.clone()))?;
        Ok(chunk)
    }

    fn put(
        &self,
        chunk: &Chunk,
        packed: &dyn Fn() -> io::Result<Vec<u8>>,
    ) -> Result<(), RemoteError> {
        let opened = AtomicUsize::new(0);
        let open = || {
            opened.store(1, Ordering::Relaxed);
            Ok(Box::new(Cursor::new(packed()?)) as Box<dyn Read + Send>)
        };
        self.place.put_blob(&Upload {
            descriptor: &chunk.descriptor(),
            open: &open,
            neighbour: None,
        })?;
        if opened.into_inner() > 0 {
            self.new.fetch_add(1, Ordering::Relaxed);
            self.bytes.fetch_add(chunk.packed, Ordering::Relaxed);
        }
        Ok(())
    }
}

/// The tar of the mount `key` as `place` has it; `None` if it has none.
pub fn fetch_mount(
    place: &Arc<dyn Place>,
    key: &str,
) -> Result<Option<Box<dyn Read + Send>>, RemoteError> {
    let Some(snapshot) = place.mount(key)? else {
        return Ok(None);
    };
    let heads = ChunkReader::new(place, snapshot.heads);
    let contents = ChunkReader::new(place, snapshot.contents);
    Ok(Some(Box::new(Joiner::new(heads, contents))))
}

/// Reads chunks one after the other, some ahead.
struct ChunkReader {
    place: Arc<dyn Place>,
    waiting: VecDeque<Chunk>,
    coming: VecDeque<JoinHandle<Result<Vec<u8>, RemoteError>>>,
    current: Cursor<Vec<u8>>,
}

impl ChunkReader {
    fn new(place: &Arc<dyn Place>, chunks: Vec<Chunk>) -> Self {
        Self {
            place: Arc::clone(place),
            waiting: chunks.into(),
            coming: VecDeque::new(),
            current: Cursor::default(),
        }
    }

    /// The next chunk; `None` after the last.
    fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        while self.coming.len() < AHEAD
            && let Some(chunk) = self.waiting.pop_front()
        {
            let place = Arc::clone(&self.place);
            let fetch = move || fetch(place.as_ref(), &chunk);
            self.coming.push_back(std::thread::spawn(fetch));
        }
        let Some(first) = self.coming.pop_front() else {
            return Ok(None);
        };
        match first.join() {
            Ok(fetched) => fetched.map(Some).map_err(io::Error::other),
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Read for ChunkReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            match self.next()? {
                Some(chunk) => self.current = Cursor::new(chunk),
                None => return Ok(0),
            }
        }
    }
}

fn fetch(place: &dyn Place, chunk: &Chunk) -> Result<Vec<u8>, RemoteError> {
    let mut packed = Vec::new();
    let blob = place.open_blob(&chunk.descriptor())?;
    let unreadable = |error: io::Error| {
        RemoteError::document("mount", format!("a chunk of it cannot be read: {error}"))
    };
    blob.take(chunk.packed)
        .read_to_end(&mut packed)
        .map_err(unreadable)?;
    let size = usize::try_from(chunk.size).map_err(|_| wrong(place, chunk))?;
    let bytes = zstd::bulk::decompress(&packed, size).map_err(unreadable)?;
    if bytes.len() != size || blake3::hash(&bytes).to_hex().as_str() != chunk.id {
        return Err(wrong(place, chunk));
    }
    Ok(bytes)
}

fn wrong(place: &dyn Place, chunk: &Chunk) -> RemoteError {
    RemoteError::Corrupt {
        digest: chunk.blob.to_string(),
        place: place.title(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

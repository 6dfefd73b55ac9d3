//! Byte streams handed between threads, in buffers that go round.
//!
//! ```text
//! read_hashed:   source ─reader thread─┬─→ hasher thread (sha256)
//!                                      └─→ the caller, as a Read
//! write_hashed:  the caller, as a Write ──→ hasher thread (sha256)
//! ```

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use rbuild_image::{DiffId, Digester};

use crate::error::{LayerError, Result};

/// One buffer: fits the second-level cache, so that the next thread finds it there.
const BUFFER_BYTES: usize = 256 * 1024;

/// Buffers that may wait for a thread: bounds the memory to some MiB.
const WAITING_BUFFERS: usize = 8;

type Buffer = Arc<Vec<u8>>;

/// Runs `work` on the bytes of `source`, which is read on a thread of its own, so that decompression goes
/// on beside it; also tells the digest and length of all of `source`. `work` must read to the end.
pub(crate) fn read_hashed<T>(
    source: impl Read + Send,
    work: impl FnOnce(&mut Relayed) -> Result<T>,
) -> Result<(T, DiffId, u64)> {
    let (to_hasher, for_hasher) = bounded::<Buffer>(WAITING_BUFFERS);
    let (to_worker, for_worker) = bounded::<io::Result<Buffer>>(WAITING_BUFFERS);
    let (spare_in, spare_out) = bounded::<Vec<u8>>(2 * WAITING_BUFFERS);
    thread::scope(|scope| {
        let spare_from_hasher = spare_in.clone();
        let hasher = scope.spawn(move || hash_all(&for_hasher, &spare_from_hasher));
        scope.spawn(move || read_all(source, &spare_out, &to_hasher, &to_worker));
        let mut relayed = Relayed {
            incoming: for_worker,
            spare: spare_in,
            current: Buffer::default(),
            consumed: 0,
        };
        let result = work(&mut relayed);
        drop(relayed);
        let digester = hasher.join().expect("hashing does not panic");
        let size = digester.written();
        Ok((result?, DiffId(digester.finish()), size))
    })
}

fn read_all(
    mut source: impl Read,
    spare: &Receiver<Vec<u8>>,
    to_hasher: &Sender<Buffer>,
    to_worker: &Sender<io::Result<Buffer>>,
) {
    loop {
        let mut buffer = spare.try_recv().unwrap_or_default();
        buffer.resize(BUFFER_BYTES, 0);
        match fill(&mut source, &mut buffer) {
            Ok(0) => return,
            Ok(length) => {
                buffer.truncate(length);
                let buffer = Arc::new(buffer);
                let _ = to_hasher.send(Arc::clone(&buffer));
                if to_worker.send(Ok(buffer)).is_err() {
                    return;
                }
            }
            Err(error) => {
                let _ = to_worker.send(Err(error));
                return;
            }
        }
    }
}

/// Reads until `buffer` is full or the source ends.
fn fill(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

fn hash_all(incoming: &Receiver<Buffer>, spare: &Sender<Vec<u8>>) -> Digester {
    let mut digester = Digester::new();
    for buffer in incoming {
        digester.update(&buffer);
        give_back(buffer, spare);
    }
    digester
}

/// Whoever is last with a buffer sends it back to be filled again.
fn give_back(buffer: Buffer, spare: &Sender<Vec<u8>>) {
    if let Some(buffer) = Arc::into_inner(buffer) {
        let _ = spare.try_send(buffer);
    }
}

/// The caller's end of [`read_hashed`].
pub(crate) struct Relayed {
    incoming: Receiver<io::Result<Buffer>>,
    spare: Sender<Vec<u8>>,
    current: Buffer,
    consumed: usize,
}

impl Relayed {
    /// The bytes that are there, at least one unless the stream has ended.
    fn available(&mut self) -> io::Result<&[u8]> {
        if self.consumed == self.current.len() {
            let next = self.incoming.recv().unwrap_or(Ok(Buffer::default()))?;
            give_back(std::mem::replace(&mut self.current, next), &self.spare);
            self.consumed = 0;
        }
        Ok(&self.current[self.consumed..])
    }
}

impl Read for Relayed {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let available = self.available()?;
        let count = available.len().min(bytes.len());
        bytes[..count].copy_from_slice(&available[..count]);
        self.consumed += count;
        Ok(count)
    }
}

/// Runs `work`, which writes a stream, and tells the stream's digest and length.
pub(crate) fn write_hashed(work: impl FnOnce(&mut Hashing) -> Result<()>) -> Result<(DiffId, u64)> {
    let (to_hasher, for_hasher) = bounded::<Buffer>(WAITING_BUFFERS);
    let (spare_in, spare_out) = bounded::<Vec<u8>>(2 * WAITING_BUFFERS);
    thread::scope(|scope| {
        let hasher = scope.spawn(move || hash_all(&for_hasher, &spare_in));
        let mut sink = Hashing {
            outgoing: to_hasher,
            spare: spare_out,
            current: Vec::with_capacity(BUFFER_BYTES),
        };
        let result = work(&mut sink).and_then(|()| sink.flush().map_err(LayerError::Output));
        drop(sink);
        let digester = hasher.join().expect("hashing does not panic");
        let size = digester.written();
        result.map(|()| (DiffId(digester.finish()), size))
    })
}

/// The caller's end of [`write_hashed`].
pub(crate) struct Hashing {
    outgoing: Sender<Buffer>,
    spare: Receiver<Vec<u8>>,
    current: Vec<u8>,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = BUFFER_BYTES - self.current.len();
        let count = room.min(bytes.len());
        self.current.extend_from_slice(&bytes[..count]);
        if count == room {
            self.flush()?;
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        let mut next = self
            .spare
            .try_recv()
            .unwrap_or_else(|_| Vec::with_capacity(BUFFER_BYTES));
        next.clear();
        let full = std::mem::replace(&mut self.current, next);
        self.outgoing
            .send(Arc::new(full))
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

//! gzip on several threads.
//!
//! The input is cut into blocks of fixed size, and each becomes a gzip member of its own; a gzip file is one
//! or more members (RFC 1952, 2.2), and every reader of layers takes that: Go's, zlib's, Python's, and the
//! eStargz format is made of it. libdeflate compresses whole buffers only, twice as fast and a little better
//! than zlib, so one member of many flushed blocks is not to be had from it.
//!
//! ```text
//! write → block ─┬→ thread: member ─┐
//!                └→ thread: member ─┴→ sink, in order
//! ```

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use libdeflater::{CompressionLvl, Compressor};

use super::CompressionLevel;

/// One member's input. Larger blocks gain less than 0.1 %, smaller ones lose the window too often.
const BLOCK_BYTES: usize = 1024 * 1024;

/// Where RFC 1952 puts the operating system that a member was made on; 255 is "unknown".
const OS_OFFSET: usize = 9;
const OS_UNKNOWN: u8 = 255;

/// Compresses what is written to it.
pub(super) struct GzipWriter<W: Write> {
    sink: W,
    level: CompressionLvl,
    most_threads: usize,
    block: Vec<u8>,
    blocks_begun: u64,
    waiting: VecDeque<Receiver<Vec<u8>>>,
    pool: Pool,
}

/// The threads, as many as there was work for until now; they end when this is dropped.
struct Pool {
    jobs: Sender<Job>,
    incoming: Receiver<Job>,
    threads: usize,
}

/// A block, and where its member goes.
struct Job {
    block: Vec<u8>,
    done: Sender<Vec<u8>>,
}

impl<W: Write> GzipWriter<W> {
    pub(super) fn new(sink: W, level: CompressionLevel, threads: NonZeroUsize) -> Self {
        let level = match level {
            CompressionLevel::Default => 6,
            CompressionLevel::Of(level) => level.clamp(0, 12),
        };
        let (jobs, incoming) = unbounded();
        Self {
            sink,
            level: CompressionLvl::new(level).expect("the level is between 0 and 12"),
            most_threads: threads.get(),
            block: Vec::new(),
            blocks_begun: 0,
            waiting: VecDeque::new(),
            pool: Pool {
                jobs,
                incoming,
                threads: 0,
            },
        }
    }

    /// Only the sink: a member that ends early would change the stream.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }

    pub(super) fn finish(mut self) -> io::Result<W> {
        // No input at all is still one member.
        if !self.block.is_empty() || self.blocks_begun == 0 {
            self.begin_block()?;
        }
        while !self.waiting.is_empty() {
            self.write_oldest()?;
        }
        Ok(self.sink)
    }

    /// Hands the current block to the threads; waits for the oldest if enough are under way.
    fn begin_block(&mut self) -> io::Result<()> {
        if self.waiting.len() >= 2 * self.most_threads {
            self.write_oldest()?;
        }
        // A small layer needs no more than one thread.
        if self.pool.threads < self.most_threads {
            let (incoming, level) = (self.pool.incoming.clone(), self.level);
            thread::spawn(move || compress_blocks(&incoming, level));
            self.pool.threads += 1;
        }
        let (done, member) = bounded(1);
        let block = std::mem::take(&mut self.block);
        self.pool
            .jobs
            .send(Job { block, done })
            .expect("this writer holds a receiver");
        self.waiting.push_back(member);
        self.blocks_begun += 1;
        Ok(())
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some(member) = self.waiting.pop_front() else {
            return Ok(());
        };
        let member = member.recv().expect("compression does not panic");
        self.sink.write_all(&member)
    }
}

impl<W: Write> Write for GzipWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.block.len() == BLOCK_BYTES {
            self.begin_block()?;
        }
        if self.block.capacity() == 0 {
            self.block.reserve_exact(BLOCK_BYTES);
        }
        let count = bytes.len().min(BLOCK_BYTES - self.block.len());
        self.block.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Self::flush(self)
    }
}

/// What each thread does until the writer is gone.
fn compress_blocks(jobs: &Receiver<Job>, level: CompressionLvl) {
    let mut compressor = Compressor::new(level);
    for job in jobs {
        // A writer that was dropped waits for nothing.
        let _ = job.done.send(gzip_member(&mut compressor, &job.block));
    }
}

/// `block` as a gzip member.
pub(crate) fn gzip_member(compressor: &mut Compressor, block: &[u8]) -> Vec<u8> {
    let mut member = vec![0; compressor.gzip_compress_bound(block.len())];
    let length = compressor
        .gzip_compress(block, &mut member)
        .expect("the buffer is as large as the bound says");
    member.truncate(length);
    member[OS_OFFSET] = OS_UNKNOWN;
    member
}

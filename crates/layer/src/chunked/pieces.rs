//! Pieces that are compressed by themselves, on several threads, and written in their order.
//!
//! ```text
//! add → piece ─┬→ thread: digest, compress ─┐
//!              └→ thread: digest, compress ─┴→ sink, and where it came to lie
//! ```

use std::collections::VecDeque;
use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded, unbounded};
use libdeflater::CompressionLvl;
use rbuild_image::Digest;

use crate::compress::CompressionLevel;
use crate::compress::gzip_member;

/// Pieces under way, at most: with chunks of [`super::stream::CHUNK_BYTES`] some 50 MB.
const MOST_UNDER_WAY: usize = 12;

/// How pieces are compressed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Method {
    Gzip(CompressionLvl),
    Zstd(i32),
}

impl Method {
    pub(super) fn gzip(level: CompressionLevel) -> Self {
        let level = match level {
            CompressionLevel::Default => 6,
            CompressionLevel::Of(level) => level.clamp(0, 12),
        };
        Self::Gzip(CompressionLvl::new(level).expect("the level is between 0 and 12"))
    }

    pub(super) fn zstd(level: CompressionLevel) -> Self {
        Self::Zstd(match level {
            CompressionLevel::Default => zstd::DEFAULT_COMPRESSION_LEVEL,
            CompressionLevel::Of(level) => level.clamp(1, *zstd::compression_level_range().end()),
        })
    }

    /// Something that compresses one piece after the other.
    pub(super) fn compressor(self) -> io::Result<PieceCompressor> {
        Ok(match self {
            Self::Gzip(level) => PieceCompressor::Gzip(libdeflater::Compressor::new(level)),
            Self::Zstd(level) => PieceCompressor::Zstd(zstd::bulk::Compressor::new(level)?),
        })
    }
}

/// Compresses pieces.
pub(super) enum PieceCompressor {
    Gzip(libdeflater::Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl PieceCompressor {
    /// A gzip member or a zstd frame.
    pub(super) fn compress(&mut self, piece: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Gzip(compressor) => Ok(gzip_member(compressor, piece)),
            Self::Zstd(compressor) => compressor.compress(piece),
        }
    }
}

/// What a piece is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Headers and padding.
    Glue,
    /// A chunk of a file.
    Chunk,
}

/// Where a chunk came to lie.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) offset: u64,
    pub(super) end: u64,
    /// Of its uncompressed bytes.
    pub(super) digest: Digest,
}

struct Job {
    piece: Vec<u8>,
    role: Role,
    done: Sender<io::Result<Done>>,
}

struct Done {
    compressed: Vec<u8>,
    digest: Option<Digest>,
}

/// Compresses pieces into a sink.
pub(super) struct Pieces<W: Write> {
    sink: W,
    written: u64,
    method: Method,
    waiting: VecDeque<(Role, Receiver<io::Result<Done>>)>,
    places: Vec<Place>,
    jobs: Sender<Job>,
    incoming: Receiver<Job>,
    threads: usize,
    most_threads: usize,
}

impl<W: Write> Pieces<W> {
    pub(super) fn new(sink: W, method: Method, threads: NonZeroUsize) -> Self {
        let (jobs, incoming) = unbounded();
        Self {
            sink,
            written: 0,
            method,
            waiting: VecDeque::new(),
            places: Vec::new(),
            jobs,
            incoming,
            threads: 0,
            most_threads: threads.get(),
        }
    }

    /// Hands a piece to the threads; waits for the oldest if enough are under way.
    pub(super) fn add(&mut self, piece: Vec<u8>, role: Role) -> io::Result<()> {
        if self.waiting.len() >= (2 * self.most_threads).min(MOST_UNDER_WAY) {
            self.write_oldest()?;
        }
        // A small layer needs no more than one thread.
        if self.threads < self.most_threads {
            let (incoming, compressor) = (self.incoming.clone(), self.method.compressor()?);
            thread::spawn(move || compress_pieces(&incoming, compressor));
            self.threads += 1;
        }
        let (done, result) = bounded(1);
        self.jobs
            .send(Job { piece, role, done })
            .expect("this holds a receiver");
        self.waiting.push_back((role, result));
        Ok(())
    }

    /// Waits for all; gives the sink, how much it got, and where the chunks are.
    pub(super) fn finish(mut self) -> io::Result<(W, u64, Vec<Place>)> {
        while !self.waiting.is_empty() {
            self.write_oldest()?;
        }
        Ok((self.sink, self.written, self.places))
    }

    fn write_oldest(&mut self) -> io::Result<()> {
        let Some((role, result)) = self.waiting.pop_front() else {
            return Ok(());
        };
        let done = result.recv().expect("compression does not panic")?;
        let offset = self.written;
        self.sink.write_all(&done.compressed)?;
        self.written += done.compressed.len() as u64;
        if let (Role::Chunk, Some(digest)) = (role, done.digest) {
            self.places.push(Place {
                offset,
                end: self.written,
                digest,
            });
        }
        Ok(())
    }
}

/// What each thread does until the writer is gone.
fn compress_pieces(jobs: &Receiver<Job>, mut compressor: PieceCompressor) {
    for job in jobs {
        let digest = match job.role {
            Role::Chunk => Some(Digest::sha256_of(&job.piece)),
            Role::Glue => None,
        };
        let compressed = compressor.compress(&job.piece);
        // A writer that was dropped waits for nothing.
        let _ = job
            .done
            .send(compressed.map(|compressed| Done { compressed, digest }));
    }
}

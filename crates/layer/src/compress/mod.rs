//! Layer compression: gzip and zstd on all cores out, anything in.
//!
//! What is written depends on the bytes and the level alone, never on how many threads wrote it or how the
//! bytes were cut into writes.

mod detect;
mod gzip;
mod zstd;

use std::io::{self, Write};
use std::num::NonZeroUsize;
use std::thread::available_parallelism;

use rbuild_image::Compression;

pub use detect::{Decompressed, decompress};
pub(crate) use gzip::gzip_member;

/// How much work compression may take, in the numbers of its own format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionLevel {
    /// What suits layers: gzip 6, zstd 3.
    Default,
    /// A level of the format: 0 to 9 for gzip (up to 12 for whoever has the time), up to 22 for zstd. What
    /// is outside the range is taken as its nearest end.
    Of(i32),
}

/// Compresses what is written to it into a sink. [`Compressor::finish`] ends the stream; dropping it
/// without that leaves the stream without an end.
pub struct Compressor<W: Write>(Kind<W>);

enum Kind<W: Write> {
    None(W),
    Gzip(gzip::GzipWriter<W>),
    Zstd(::zstd::stream::write::Encoder<'static, W>),
}

/// A compressor into `sink` that uses all cores.
///
/// # Errors
/// [`io::Error`] when zstd cannot get its memory.
pub fn compress<W: Write>(
    sink: W,
    compression: Compression,
    level: CompressionLevel,
) -> io::Result<Compressor<W>> {
    let threads = available_parallelism().unwrap_or(NonZeroUsize::MIN);
    compress_with_threads(sink, compression, level, threads)
}

/// As [`compress`], with so many threads.
///
/// # Errors
/// As [`compress`].
pub fn compress_with_threads<W: Write>(
    sink: W,
    compression: Compression,
    level: CompressionLevel,
    threads: NonZeroUsize,
) -> io::Result<Compressor<W>> {
    Ok(Compressor(match compression {
        Compression::None => Kind::None(sink),
        Compression::Gzip => Kind::Gzip(gzip::GzipWriter::new(sink, level, threads)),
        Compression::Zstd => Kind::Zstd(zstd::encoder(sink, level, threads)?),
    }))
}

impl<W: Write> Compressor<W> {
    /// Ends the stream and gives back the sink.
    ///
    /// # Errors
    /// The sink's.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Kind::None(sink) => Ok(sink),
            Kind::Gzip(writer) => writer.finish(),
            Kind::Zstd(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for Compressor<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::None(sink) => sink.write(bytes),
            Kind::Gzip(writer) => writer.write(bytes),
            Kind::Zstd(encoder) => encoder.write(bytes),
        }
    }

    /// Only the sink is flushed: a flush in the middle would change the stream.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::None(sink) => sink.flush(),
            Kind::Gzip(writer) => writer.flush(),
            Kind::Zstd(encoder) => encoder.get_mut().flush(),
        }
    }
}

//! What a layer is compressed with, told by its first bytes.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use rbuild_image::Compression;
use zstd::stream::read::Decoder;

use crate::error::{LayerError, Result};

/// What is read from the source at once.
const INPUT_BYTES: usize = 128 * 1024;

/// The largest window that a zstd frame may ask for, as a power of two: 128 MiB, what zstd itself allows
/// without being told. It bounds the memory that a stream can claim.
const MAX_WINDOW_LOG: u32 = 27;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const BZIP2_MAGIC: &[u8] = b"BZh";
const XZ_MAGIC: &[u8] = &[0xfd, b'7', b'z', b'X', b'Z', 0];

/// zstd's skippable frames: `5? 2a 4d 18`.
const SKIPPABLE_MAGIC: [u8; 3] = [0x2a, 0x4d, 0x18];

/// Bytes that tell the formats apart.
const MAGIC_BYTES: usize = 6;

/// The source with the bytes that were looked at put back in front.
type Source<R> = BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>;

/// The uncompressed bytes of a layer.
pub struct Decompressed<R: Read>(Kind<R>);

enum Kind<R: Read> {
    None(Source<R>),
    Gzip(Box<MultiGzDecoder<Source<R>>>),
    Zstd(Box<Decoder<'static, Source<R>>>),
}

/// Reads `source` as what its first bytes say: gzip of any number of members, zstd of any number of
/// frames, or a plain stream.
///
/// # Errors
/// [`LayerError::Input`] when reading fails, [`LayerError::Compression`] for bzip2 and xz, which no layer has.
pub fn decompress<R: Read>(mut source: R) -> Result<Decompressed<R>> {
    let mut magic = Vec::with_capacity(MAGIC_BYTES);
    source
        .by_ref()
        .take(MAGIC_BYTES as u64)
        .read_to_end(&mut magic)
        .map_err(LayerError::Input)?;
    let is_gzip = magic.starts_with(GZIP_MAGIC);
    let is_zstd = magic.starts_with(ZSTD_MAGIC)
        || (magic.len() >= 4 && magic[0] & 0xf0 == 0x50 && magic[1..4] == SKIPPABLE_MAGIC);
    if magic.starts_with(BZIP2_MAGIC) || magic.starts_with(XZ_MAGIC) {
        let reason = "bzip2 and xz are no layer compressions";
        return Err(LayerError::Compression { reason });
    }
    let source = BufReader::with_capacity(INPUT_BYTES, io::Cursor::new(magic).chain(source));
    Ok(Decompressed(if is_gzip {
        Kind::Gzip(Box::new(MultiGzDecoder::new(source)))
    } else if is_zstd {
        let mut decoder = Decoder::with_buffer(source).map_err(LayerError::Input)?;
        decoder
            .window_log_max(MAX_WINDOW_LOG)
            .map_err(LayerError::Input)?;
        Kind::Zstd(Box::new(decoder))
    } else {
        Kind::None(source)
    }))
}

impl<R: Read> Decompressed<R> {
    /// How the source is compressed.
    pub fn compression(&self) -> Compression {
        match self.0 {
            Kind::None(_) => Compression::None,
            Kind::Gzip(_) => Compression::Gzip,
            Kind::Zstd(_) => Compression::Zstd,
        }
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::None(source) => source.read(bytes),
            Kind::Gzip(decoder) => decoder.read(bytes),
            Kind::Zstd(decoder) => decoder.read(bytes),
        }
    }
}

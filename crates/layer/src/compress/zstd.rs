//! zstd on several threads.

use std::io::{self, Write};
use std::num::NonZeroUsize;

use zstd::stream::raw::CParameter;
use zstd::stream::write::Encoder;

use super::CompressionLevel;

/// One job of a thread. Fixed, so that the stream is the same however many threads there are; as large
/// as zstd itself takes for its middle levels.
const JOB_BYTES: u32 = 4 * 1024 * 1024;

/// The stream depends on whether there are workers at all, but not on how many.
pub(super) fn encoder<W: Write>(
    sink: W,
    level: CompressionLevel,
    threads: NonZeroUsize,
) -> io::Result<Encoder<'static, W>> {
    let level = match level {
        CompressionLevel::Default => zstd::DEFAULT_COMPRESSION_LEVEL,
        CompressionLevel::Of(level) => level.clamp(1, *zstd::compression_level_range().end()),
    };
    let mut encoder = Encoder::new(sink, level)?;
    encoder.set_parameter(CParameter::NbWorkers(threads.get() as u32))?;
    encoder.set_parameter(CParameter::JobSize(JOB_BYTES))?;
    encoder.include_checksum(true)?;
    Ok(encoder)
}

//! Cutting a stream where its content says (a gear hash, as FastCDC has it).
//!
//! A chunk ends after a byte where the hash of the last 64 bytes has [`CUT_BITS`] zeros. So equal parts of two streams are cut alike
//! after at most one chunk, wherever they stand.

use std::sync::OnceLock;

/// A chunk has at least so many bytes, but for the last.
const MIN_BYTES: usize = 128 << 10;
/// And at most so many.
const MAX_BYTES: usize = 4 << 20;
/// Zeros at a cut: a chunk is 512 KiB longer than the least on average.
const CUT_BITS: u32 = 19;

/// Collects a stream and hands out its chunks. What it does with the same bytes is part of the format: other cuts would send all of
/// a mount again.
#[derive(Default)]
pub(super) struct Cutter {
    pending: Vec<u8>,
    /// So many bytes of `pending` were looked at.
    seen: usize,
    hash: u64,
}

impl Cutter {
    /// Takes more bytes in; `each` gets every chunk that is complete.
    pub(super) fn write<E>(
        &mut self,
        mut bytes: &[u8],
        each: &mut dyn FnMut(Vec<u8>) -> Result<(), E>,
    ) -> Result<(), E> {
        while !bytes.is_empty() {
            let room = bytes.len().min(MAX_BYTES - self.pending.len());
            let (now, later) = bytes.split_at(room);
            self.pending.extend_from_slice(now);
            bytes = later;
            while let Some(end) = self.cut() {
                let rest = self.pending.split_off(end);
                let chunk = std::mem::replace(&mut self.pending, rest);
                (self.seen, self.hash) = (0, 0);
                each(chunk)?;
            }
        }
        Ok(())
    }

    /// The last chunk, if anything is left.
    pub(super) fn finish(self) -> Option<Vec<u8>> {
        (!self.pending.is_empty()).then_some(self.pending)
    }

    /// Where the first chunk of what is pending ends, if it does.
    fn cut(&mut self) -> Option<usize> {
        let gear = gear();
        for (at, byte) in self.pending.iter().enumerate().skip(self.seen) {
            self.hash = (self.hash << 1).wrapping_add(gear[usize::from(*byte)]);
            let length = at + 1;
            let is_cut = self.hash >> (64 - CUT_BITS) == 0;
            if length == MAX_BYTES || (is_cut && length >= MIN_BYTES) {
                return Some(length);
            }
        }
        self.seen = self.pending.len();
        None
    }
}

/// A number for each byte, with no pattern in them.
fn gear() -> &'static [u64; 256] {
    static GEAR: OnceLock<[u64; 256]> = OnceLock::new();
    GEAR.get_or_init(|| {
        std::array::from_fn(|byte| {
            let hash = blake3::hash(format!("rbuild gear {byte}").as_bytes());
            let bytes = hash.as_bytes().first_chunk().expect("a hash has 32 bytes");
            u64::from_le_bytes(*bytes)
        })
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::convert::Infallible;

    use super::*;

    fn noise(bytes: usize) -> Vec<u8> {
        let mut noise = vec![0; bytes];
        blake3::Hasher::new().finalize_xof().fill(&mut noise);
        noise
    }

    fn cut(stream: &[u8], step: usize) -> Vec<Vec<u8>> {
        let mut chunks = Vec::new();
        let mut cutter = Cutter::default();
        for part in stream.chunks(step) {
            let mut keep = |chunk| {
                chunks.push(chunk);
                Ok::<_, Infallible>(())
            };
            let Ok(()) = cutter.write(part, &mut keep);
        }
        chunks.extend(cutter.finish());
        chunks
    }

    #[test]
    fn cuts_are_where_they_always_were() {
        let lengths: Vec<usize> = cut(&noise(4 << 20), 4 << 20).iter().map(Vec::len).collect();
        assert_eq!(lengths, GOLDEN);
        assert_eq!(cut(&vec![0; 9 << 20], 1 << 20)[0].len(), MAX_BYTES);
        assert!(cut(b"", 1).is_empty());
    }

    const GOLDEN: [usize; 6] = [973_774, 249_823, 2_135_045, 163_205, 510_321, 162_136];

    #[test]
    fn however_bytes_come_they_are_cut_alike_and_an_insertion_moves_nothing_far_from_it() {
        let stream = noise(8 << 20);
        let chunks = cut(&stream, 1 << 20);
        assert_eq!(chunks, cut(&stream, 77_777));
        assert_eq!(chunks.concat(), stream);
        let mut longer = stream.clone();
        longer.splice(3_000_000..3_000_000, *b"something new");
        let known: HashSet<_> = chunks.iter().collect();
        let other = cut(&longer, 1 << 20);
        let new = other.iter().filter(|chunk| !known.contains(chunk)).count();
        assert!(new <= 2, "{new} of {}", other.len());
    }
}

//! Sparse members: the archive has only the parts that are not zero.

use std::io::{self, Read};

/// A file of this size or more is refused as sparse: a few bytes of archive would keep us busy for hours.
pub(crate) const MAX_SPARSE_BYTES: u64 = 1 << 40;

/// Offset and length of parts of a file.
pub(crate) type SparseParts = Vec<(u64, u64)>;

/// Where a sparse file's bytes belong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SparseMap {
    /// In order.
    pub(crate) parts: SparseParts,
    /// The file's full size.
    pub(crate) size: u64,
}

impl SparseMap {
    /// The bytes that the archive has, if the map is one: in order, without overlaps, inside the file.
    pub(crate) fn stored(&self) -> Option<u64> {
        let mut end = 0;
        let mut stored = 0_u64;
        for &(offset, length) in &self.parts {
            if offset < end {
                return None;
            }
            end = offset.checked_add(length)?;
            stored += length;
        }
        (end <= self.size && self.size <= MAX_SPARSE_BYTES).then_some(stored)
    }
}

/// The file in full: parts from `source`, zeros between them.
pub(crate) struct Expanded<'a, R> {
    source: R,
    parts: std::slice::Iter<'a, (u64, u64)>,
    part: (u64, u64),
    at: u64,
    size: u64,
}

impl<'a, R: Read> Expanded<'a, R> {
    pub(crate) fn new(source: R, map: &'a SparseMap) -> Self {
        let mut parts = map.parts.iter();
        let part = parts.next().copied().unwrap_or((map.size, 0));
        Self {
            source,
            parts,
            part,
            at: 0,
            size: map.size,
        }
    }
}

impl<R: Read> Read for Expanded<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while self.at >= self.part.0 + self.part.1 && self.at < self.size {
            self.part = self.parts.next().copied().unwrap_or((self.size, 0));
            if self.part.0 > self.at {
                break;
            }
        }
        let (start, length) = self.part;
        let in_hole = self.at < start;
        let until = if in_hole { start } else { start + length };
        let wanted = usize::try_from(until.min(self.size) - self.at).unwrap_or(usize::MAX);
        let count = wanted.min(bytes.len());
        let bytes = &mut bytes[..count];
        if in_hole {
            bytes.fill(0);
        } else {
            self.source.read_exact(bytes)?;
        }
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_stand_where_the_map_says() -> io::Result<()> {
        let map = SparseMap {
            parts: vec![(0, 0), (2, 3), (5, 1), (9, 0)],
            size: 9,
        };
        assert_eq!(map.stored(), Some(4));
        let mut bytes = Vec::new();
        Expanded::new(&b"abcd"[..], &map).read_to_end(&mut bytes)?;
        assert_eq!(bytes, b"\0\0abcd\0\0\0");
        Ok(())
    }

    #[test]
    fn a_map_that_overlaps_or_ends_outside_is_refused() {
        for parts in [vec![(0, 5), (4, 1)], vec![(8, 2)], vec![(u64::MAX, 2)]] {
            assert_eq!(SparseMap { parts, size: 9 }.stored(), None);
        }
    }
}

//! Sparse maps, in the four forms that GNU tar has given them.

use std::io::Read;

use super::BLOCK_BYTES;
use super::header::{Block, old_sparse_extension};
use super::read::TarReader;
use super::records::{Records, lookup, unsigned};
use super::sparse::SparseMap;
use crate::error::{LayerError, Result};

/// The most parts that a sparse map may have: 16 MiB of memory.
const MAX_SPARSE_PARTS: usize = 1024 * 1024;

impl<R: Read> TarReader<R> {
    /// GNU's first form: the map is in the header and in blocks that follow it, outside the data.
    pub(super) fn old_sparse_map(&mut self, header: &Block<'_>) -> Result<SparseMap> {
        let (mut parts, mut more, size) = header
            .old_sparse()
            .ok_or_else(|| self.malformed("a sparse file's map is malformed"))?;
        while more {
            let mut block = [0; BLOCK_BYTES];
            self.read_exact(&mut block)?;
            let (further, again) = old_sparse_extension(&block)
                .ok_or_else(|| self.malformed("a sparse file's map is malformed"))?;
            parts.extend(further);
            more = again;
            if parts.len() > MAX_SPARSE_PARTS {
                return Err(self.malformed("a sparse file's map is too long"));
            }
        }
        Ok(SparseMap { parts, size })
    }

    /// GNU's pax forms 0.0 and 0.1 (the map in records) and 1.0 (the map before the data).
    pub(super) fn pax_sparse_map(&mut self, records: &Records) -> Result<Option<SparseMap>> {
        let find = |key: &[u8]| lookup(records, key);
        let Some(size) = find(b"GNU.sparse.realsize").or_else(|| find(b"GNU.sparse.size")) else {
            return Ok(None);
        };
        let malformed = || LayerError::Archive {
            offset: self.offset,
            reason: "a sparse file's map is malformed",
        };
        let size = unsigned(size).ok_or_else(malformed)?;
        let numbers: Vec<u64> = if find(b"GNU.sparse.major") == Some(b"1") {
            self.leading_map()?
        } else if let Some(map) = find(b"GNU.sparse.map") {
            let numbers: Option<_> = map
                .split(|&byte| byte == b',')
                .filter(|text| !text.is_empty())
                .map(unsigned)
                .collect();
            numbers.ok_or_else(malformed)?
        } else {
            let numbers: Option<_> = records
                .iter()
                .filter(|(key, _)| key == b"GNU.sparse.offset" || key == b"GNU.sparse.numbytes")
                .map(|(_, value)| unsigned(value))
                .collect();
            numbers.ok_or_else(malformed)?
        };
        let parts = numbers
            .chunks_exact(2)
            .map(|pair| (pair[0], pair[1]))
            .collect();
        Ok(Some(SparseMap { parts, size }))
    }

    /// The map of form 1.0: decimal lines, the first their number of pairs, filled up to a block.
    fn leading_map(&mut self) -> Result<Vec<u64>> {
        let mut numbers = Vec::new();
        let mut wanted = 1;
        let mut current: Option<u64> = None;
        while numbers.len() < wanted {
            let mut block = [0; BLOCK_BYTES];
            if self.remaining < BLOCK_BYTES as u64 {
                return Err(self.malformed("a sparse file's map is cut short"));
            }
            self.read_exact(&mut block)?;
            self.remaining -= BLOCK_BYTES as u64;
            for &byte in &block {
                if numbers.len() == wanted {
                    break;
                }
                match byte {
                    b'0'..=b'9' => {
                        let number = current
                            .unwrap_or(0)
                            .checked_mul(10)
                            .and_then(|number| number.checked_add(u64::from(byte - b'0')));
                        if number.is_none() {
                            return Err(self.malformed("a sparse file's map is malformed"));
                        }
                        current = number;
                    }
                    b'\n' if current.is_some() => {
                        let number = current.take().unwrap_or(0);
                        if numbers.is_empty() {
                            if number > MAX_SPARSE_PARTS as u64 {
                                return Err(self.malformed("a sparse file's map is too long"));
                            }
                            wanted = 1 + 2 * number as usize;
                        }
                        numbers.push(number);
                    }
                    _ => return Err(self.malformed("a sparse file's map is malformed")),
                }
            }
        }
        numbers.remove(0);
        Ok(numbers)
    }
}

//! blake3 of a file, on all cores.
//!
//! A large file is cut where blake3's own tree has its inner nodes; the pieces are read and hashed side
//! by side, each into a buffer that stays in its core's cache, and joined as the tree says. The result
//! is the plain blake3 of the bytes.

use std::cell::RefCell;
use std::io;
use std::os::fd::BorrowedFd;

use blake3::hazmat::{
    ChainingValue, HasherExt, Mode, left_subtree_len, merge_subtrees_non_root, merge_subtrees_root,
};
use rustix::io::{Errno, pread};

/// One piece: a power of two of blake3's chunks, small enough for a core's second-level cache.
pub(crate) const PIECE_BYTES: usize = 256 * 1024;

thread_local! {
    static PIECE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// blake3 of the first `size` bytes of `file`, whatever its position is.
///
/// # Errors
/// The kernel's error; `UnexpectedEof` when the file is shorter.
pub fn hash_file(file: BorrowedFd<'_>, size: u64) -> io::Result<[u8; 32]> {
    if size <= PIECE_BYTES as u64 {
        return with_piece(file, 0, size, |bytes| blake3::hash(bytes).into());
    }
    let left = left_subtree_len(size);
    let (left_value, right_value) = rayon::join(
        || subtree(file, 0, left),
        || subtree(file, left, size - left),
    );
    Ok(merge_subtrees_root(&left_value?, &right_value?, Mode::Hash).into())
}

/// The chaining value of `length` bytes at `start`.
fn subtree(file: BorrowedFd<'_>, start: u64, length: u64) -> io::Result<ChainingValue> {
    if length <= PIECE_BYTES as u64 {
        return with_piece(file, start, length, |bytes| {
            blake3::Hasher::new()
                .set_input_offset(start)
                .update(bytes)
                .finalize_non_root()
        });
    }
    let left = left_subtree_len(length);
    let (left_value, right_value) = rayon::join(
        || subtree(file, start, left),
        || subtree(file, start + left, length - left),
    );
    Ok(merge_subtrees_non_root(
        &left_value?,
        &right_value?,
        Mode::Hash,
    ))
}

/// Calls `work` with the bytes of `file` from `start`, in this thread's buffer.
pub(crate) fn with_piece<T>(
    file: BorrowedFd<'_>,
    start: u64,
    length: u64,
    work: impl FnOnce(&[u8]) -> T,
) -> io::Result<T> {
    PIECE.with_borrow_mut(|buffer| {
        if buffer.is_empty() {
            buffer.resize(PIECE_BYTES, 0);
        }
        let bytes = &mut buffer[..length as usize];
        read_exact_at(file, bytes, start)?;
        Ok(work(bytes))
    })
}

/// Fills `bytes` from `offset` of `file`.
pub(crate) fn read_exact_at(
    file: BorrowedFd<'_>,
    bytes: &mut [u8],
    mut offset: u64,
) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        match pread(file, &mut bytes[filled..], offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => {
                filled += count;
                offset += count as u64;
            }
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_file_hashes_like_its_bytes_whatever_its_size() -> io::Result<()> {
        let piece = PIECE_BYTES;
        for size in [
            0,
            1,
            1024,
            piece - 1,
            piece,
            piece + 1,
            2 * piece,
            2 * piece + 7,
            5 * piece - 3,
            8 * piece,
        ] {
            let bytes: Vec<u8> = (0..size).map(|at| (at * 7 + at / 251) as u8).collect();
            let mut file = tempfile::tempfile()?;
            file.write_all(&bytes)?;
            assert_eq!(
                hash_file(file.as_fd(), size as u64)?,
                *blake3::hash(&bytes).as_bytes(),
                "{size}"
            );
        }
        Ok(())
    }

    #[test]
    fn a_file_that_is_too_short_is_an_error() -> io::Result<()> {
        let file = tempfile::tempfile()?;
        assert!(hash_file(file.as_fd(), 1).is_err());
        Ok(())
    }
}

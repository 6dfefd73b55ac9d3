//! Where a sparse file has bytes.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::{SeekFrom, fstat, seek};
use rustix::io::Errno;

/// The ranges of the first `size` bytes of `file` that are not holes, in order; the whole file where it
/// is not sparse or the file system cannot tell. Moves the file's position.
pub(crate) fn data_segments(file: BorrowedFd<'_>, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let status = fstat(file)?;
    if size == 0 {
        return Ok(Vec::new());
    }
    // `st_blocks` counts 512 bytes whatever the file system's blocks are.
    if status.st_blocks.cast_unsigned() * 512 >= size {
        return Ok(vec![(0, size)]);
    }
    let mut segments = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start,
            Err(Errno::NXIO) => break,
            Err(Errno::INVAL | Errno::OPNOTSUPP) => return Ok(vec![(0, size)]),
            Err(error) => return Err(error.into()),
        };
        if start >= size {
            break;
        }
        let end = seek(file, SeekFrom::Hole(start))?.min(size);
        segments.push((start, end));
        at = end;
    }
    Ok(segments)
}

//! Tar: POSIX.1-2024 pax/ustar, and what GNU tar and star add.

pub(crate) mod header;
pub(crate) mod member;
pub(crate) mod pax;
pub(crate) mod read;
pub(crate) mod records;
pub(crate) mod sparse;
mod sparse_map;
pub(crate) mod visit;
pub(crate) mod write;
mod write_header;

/// Everything in a tar comes in blocks of this size.
pub(crate) const BLOCK_BYTES: usize = 512;

/// The bytes that fill `size` up to a whole block.
pub(crate) const fn padding(size: u64) -> usize {
    (size.wrapping_neg() % BLOCK_BYTES as u64) as usize
}

//! SUSE's form of RPM's database: blobs, and a table of where they are.
//!
//! ```text
//! file = "RpmP" version:u32 generation:u32 slot_pages:u32 next:u32 0*12   32 bytes, all little-endian
//!        slot*                                                            up to slot_pages * 4096
//!        blob*
//! slot = "Slot" package:u32 block:u32 blocks:u32                          in blocks of 16 bytes; block 0: it is free
//! blob = "BlbS" package:u32 time:u32 bytes:u32 data … checksum:u32 bytes:u32 "BlbE"
//! ```

use super::number_at;

const MAGIC: &[u8] = b"RpmP";
const SLOT_MAGIC: &[u8] = b"Slot";
const BLOB_MAGIC: &[u8] = b"BlbS";
const VERSION: u32 = 0;
const HEADER_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;
const BLOB_HEAD_BYTES: usize = 16;

/// The blobs. Together they are no larger than the file, or one would lie upon another.
pub(super) fn blobs(file: &[u8]) -> Result<Vec<Vec<u8>>, String> {
    if !file.starts_with(MAGIC) || number_at(file, 4) != Some(VERSION) {
        return Err("it is no NDB database of version 0".to_owned());
    }
    let table = number_at(file, 12)
        .and_then(|pages| usize::try_from(pages).ok()?.checked_mul(PAGE_BYTES))
        .and_then(|end| file.get(HEADER_BYTES..end))
        .ok_or("the file is cut off")?;
    let mut left = file.len();
    let mut found = Vec::new();
    for slot in table.chunks_exact(SLOT_BYTES) {
        if !slot.starts_with(SLOT_MAGIC) {
            return Err("its table is damaged".to_owned());
        }
        if number_at(slot, 8) == Some(0) {
            continue;
        }
        let blob = blob(file, slot).ok_or("a package lies where none can be")?;
        left = left
            .checked_sub(BLOB_HEAD_BYTES + blob.len())
            .ok_or("its packages lie upon each other")?;
        found.push(blob.to_vec());
    }
    Ok(found)
}

fn blob<'a>(file: &'a [u8], slot: &[u8]) -> Option<&'a [u8]> {
    let bytes = |offset| {
        let blocks = usize::try_from(number_at(slot, offset)?).ok()?;
        blocks.checked_mul(BLOCK_BYTES)
    };
    let (start, length) = (bytes(8)?, bytes(12)?);
    let whole = file.get(start..start.checked_add(length)?)?;
    if !whole.starts_with(BLOB_MAGIC) || number_at(whole, 4) != number_at(slot, 4) {
        return None;
    }
    let data = usize::try_from(number_at(whole, 12)?).ok()?;
    whole.get(BLOB_HEAD_BYTES..)?.get(..data)
}

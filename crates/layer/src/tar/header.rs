//! One header block, checked and taken apart.

use tar::Header;

use super::BLOCK_BYTES;
use super::sparse::SparseParts;

/// A header block whose checksum is right.
pub(crate) struct Block<'a>(&'a Header);

impl<'a> Block<'a> {
    /// `None` when the checksum is wrong: these bytes are no header.
    pub(crate) fn parse(bytes: &'a [u8; BLOCK_BYTES]) -> Option<Self> {
        let stated = number(&bytes[148..156])?;
        let (mut unsigned, mut signed) = (0, 0);
        for (at, &byte) in bytes.iter().enumerate() {
            let byte = if (148..156).contains(&at) { b' ' } else { byte };
            unsigned += i64::from(byte);
            // Old tars added up signed characters.
            signed += i64::from(byte.cast_signed());
        }
        (stated == unsigned || stated == signed).then(|| Self(Header::from_byte_slice(bytes)))
    }

    /// The type letter.
    pub(crate) fn kind(&self) -> u8 {
        self.0.as_old().linkflag[0]
    }

    /// The name, with ustar's prefix.
    pub(crate) fn path(&self) -> Vec<u8> {
        self.0.path_bytes().into_owned()
    }

    /// The link's target.
    pub(crate) fn link(&self) -> Vec<u8> {
        until_zero(&self.0.as_old().linkname).to_vec()
    }

    pub(crate) fn mode(&self) -> Option<i64> {
        number(&self.0.as_old().mode)
    }

    pub(crate) fn uid(&self) -> Option<i64> {
        number(&self.0.as_old().uid)
    }

    pub(crate) fn gid(&self) -> Option<i64> {
        number(&self.0.as_old().gid)
    }

    pub(crate) fn size(&self) -> Option<i64> {
        number(&self.0.as_old().size)
    }

    pub(crate) fn mtime(&self) -> Option<i64> {
        number(&self.0.as_old().mtime)
    }

    /// Major and minor number, where the format has them.
    pub(crate) fn device(&self) -> Option<(i64, i64)> {
        let bytes = self.0.as_bytes();
        Some((number(&bytes[329..337])?, number(&bytes[337..345])?))
    }

    /// GNU's old sparse map: its first entries, whether more blocks of it follow, and the file's full size.
    pub(crate) fn old_sparse(&self) -> Option<(SparseParts, bool, u64)> {
        let bytes = self.0.as_bytes();
        let map = sparse_entries(&bytes[386..482])?;
        let full = u64::try_from(number(&bytes[483..495])?).ok()?;
        Some((map, bytes[482] != 0, full))
    }
}

/// The entries of one more block of GNU's old sparse map, and whether another follows.
pub(crate) fn old_sparse_extension(bytes: &[u8; BLOCK_BYTES]) -> Option<(SparseParts, bool)> {
    Some((sparse_entries(&bytes[..504])?, bytes[504] != 0))
}

/// Offsets and lengths in fields of 12 bytes; an empty one ends them.
fn sparse_entries(bytes: &[u8]) -> Option<SparseParts> {
    let mut entries = Vec::new();
    for entry in bytes.chunks_exact(24) {
        if entry[0] == 0 {
            break;
        }
        let offset = u64::try_from(number(&entry[..12])?).ok()?;
        let length = u64::try_from(number(&entry[12..])?).ok()?;
        entries.push((offset, length));
    }
    Some(entries)
}

/// A numeric field: octal digits, or GNU's base 256 when the first bit is set. Empty is zero.
fn number(field: &[u8]) -> Option<i64> {
    if field[0] & 0x80 != 0 {
        return base_256(field);
    }
    let text = until_zero(field).trim_ascii();
    text.iter().try_fold(0_i64, |number, &digit| match digit {
        b'0'..=b'7' => number.checked_mul(8)?.checked_add(i64::from(digit - b'0')),
        _ => None,
    })
}

/// A big-endian two's complement number; the first bit only marks the form.
fn base_256(field: &[u8]) -> Option<i64> {
    let negative = field[0] & 0x40 != 0;
    let first = if negative { field[0] } else { field[0] & 0x7f };
    let start = if negative { -1_i128 } else { 0 };
    let wide = std::iter::once(&first)
        .chain(&field[1..])
        .fold(start, |number, &byte| number << 8 | i128::from(byte));
    i64::try_from(wide).ok()
}

fn until_zero(field: &[u8]) -> &[u8] {
    let end = memchr::memchr(0, field).unwrap_or(field.len());
    &field[..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_octal_or_base_256() {
        assert_eq!(number(b"0000755\0"), Some(0o755));
        assert_eq!(number(b"   755 \0"), Some(0o755));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Some(0));
        assert_eq!(number(b"00009\0\0\0"), None);
        assert_eq!(number(b"\x80\0\0\0\0\x20\0\0"), Some(0x20_0000));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff"), Some(-1));
        assert_eq!(
            number(&[
                0x80, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 1, 1
            ]),
            None
        );
    }
}

//! Archives: tar, plain or compressed with gzip, bzip2, xz or zstd, told by content and never by name.
//!
//! ```text
//! 1f 8b 08           gzip     ┐
//! 42 5a 68           bzip2    │ and what comes out begins with a tar header
//! fd 37 7a 58 5a 00  xz       │
//! 28 b5 2f fd        zstd     ┘
//! a tar header       a block of 512 bytes whose checksum is right
//! ```
//!
//! Unlike a layer, an archive says nothing about what lies below it: a name that begins with `.wh.` is a file
//! like any other.

use std::borrow::Borrow;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;

use rbuild_layer::{
    Attributes, EntryKind, FileContent, LayerError, TreeWriter, pax_time, pax_xattr_name,
};

use crate::SourceError;
use crate::context::is_kept;
use crate::ignore::file::clean;

/// The length of a tar header.
pub(crate) const BLOCK_BYTES: usize = 512;
/// Read from the archive at once.
const BUFFER_BYTES: usize = 256 * 1024;
/// What an xz stream may ask for: `xz -9` needs 65 MiB.
const XZ_MEMORY_KIB: u32 = 256 * 1024;

/// How an archive's bytes are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    Plain,
    /// RFC 1952, any number of members.
    Gzip,
    /// bzip2, any number of streams.
    Bzip2,
    /// xz, any number of streams.
    Xz,
    /// RFC 8878, any number of frames.
    Zstd,
}

/// A tar archive in a file.
#[derive(Debug)]
pub struct Archive {
    file: File,
    packing: Packing,
    name: String,
}

/// Who owns what is unpacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArchiveOwner {
    /// As the archive says.
    Archived,
    /// One owner for all.
    Ids {
        /// User.
        uid: u32,
        /// Group.
        gid: u32,
    },
}

/// Where and how an archive is unpacked.
pub struct UnpackTarget<'a> {
    /// The layer.
    pub writer: &'a TreeWriter,
    /// From a path in the archive (cleaned, relative) to the path in the layer.
    pub place: &'a dyn Fn(&[u8]) -> Vec<u8>,
    /// Owners.
    pub owner: ArchiveOwner,
}

impl Packing {
    /// What the first bytes say: [`Packing::Plain`] if they are no compression's mark.
    pub fn of(first: &[u8]) -> Self {
        let is = |magic: &[u8]| first.starts_with(magic);
        if is(&[0x1F, 0x8B, 0x08]) {
            Self::Gzip
        } else if is(b"BZh") {
            Self::Bzip2
        } else if is(&[0xFD, b'7', b'z', b'X', b'Z', 0]) {
            Self::Xz
        } else if is(&[0x28, 0xB5, 0x2F, 0xFD]) || is_skippable_frame(first) {
            Self::Zstd
        } else {
            Self::Plain
        }
    }

    /// The bytes that `packed` packs.
    pub fn unpack<'a>(
        self,
        packed: impl Read + Send + 'a,
    ) -> io::Result<Box<dyn Read + Send + 'a>> {
        let packed = BufReader::with_capacity(BUFFER_BYTES, packed);
        Ok(match self {
            Self::Plain => Box::new(packed),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(packed)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(packed)),
            Self::Xz => Box::new(lzma_rust2::XzReader::new_mem_limit(
                packed,
                true,
                XZ_MEMORY_KIB,
            )),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::with_buffer(packed)?),
        })
    }
}

/// zstd's skippable frames, which pzstd writes first: 0x184D2A50 to 0x184D2A5F.
fn is_skippable_frame(first: &[u8]) -> bool {
    first.len() >= 4 && first[0] & 0xF0 == 0x50 && first[1..4] == [0x2A, 0x4D, 0x18]
}

impl Archive {
    /// The archive that `file` is; `None` if it is none: not a tar, or something compressed that is no tar, or an
    /// empty one. The file's position is neither used nor moved. `name` stands in messages.
    pub fn detect(file: &File, name: &str) -> Result<Option<Self>, SourceError> {
        let fail = |source| SourceError::ReadArchive {
            name: name.to_owned(),
            source,
        };
        let mut first = [0; BLOCK_BYTES];
        let count = read_full(&mut Positioned::new(file), &mut first).map_err(fail)?;
        let packing = Packing::of(&first[..count]);
        if packing != Packing::Plain {
            // Broken or foreign data behind a compression's mark is not an archive either.
            let unpacked = packing
                .unpack(Positioned::new(file))
                .and_then(|mut stream| read_full(&mut stream, &mut first));
            if !matches!(unpacked, Ok(BLOCK_BYTES)) {
                return Ok(None);
            }
        }
        if count < BLOCK_BYTES && packing == Packing::Plain || !is_tar_header(&first) {
            return Ok(None);
        }
        let file = file.try_clone().map_err(fail)?;
        Ok(Some(Self {
            file,
            packing,
            name: name.to_owned(),
        }))
    }

    /// How it is packed.
    pub fn packing(&self) -> Packing {
        self.packing
    }

    /// The time of its newest regular file, in seconds after 1970.
    pub fn newest_file(&self) -> Result<Option<i64>, SourceError> {
        let broken = |source| SourceError::ReadArchive {
            name: self.name.clone(),
            source,
        };
        let packed = Positioned::new(&self.file);
        let mut archive = tar::Archive::new(self.packing.unpack(packed).map_err(broken)?);
        let mut newest = None;
        for entry in archive.entries().map_err(broken)? {
            let entry = entry.map_err(broken)?;
            if entry.header().entry_type().is_file() {
                let time = entry.header().mtime().map_err(broken)?;
                newest = newest.max(i64::try_from(time).ok());
            }
        }
        Ok(newest)
    }

    /// Unpacks it. Nothing is written outside of the target's layer, whatever the archive says: `..` is clamped, and
    /// links are only followed inside.
    pub fn unpack(&self, target: &UnpackTarget<'_>) -> Result<(), SourceError> {
        let packed = Positioned::new(&self.file);
        unpack_stream(packed, self.packing, &self.name, target)
    }
}

/// Unpacks an archive from a stream.
pub(crate) fn unpack_stream(
    packed: impl Read + Send,
    packing: Packing,
    name: &str,
    target: &UnpackTarget<'_>,
) -> Result<(), SourceError> {
    let broken = |source| SourceError::ReadArchive {
        name: name.to_owned(),
        source,
    };
    let refused = |source| SourceError::Unpack {
        name: name.to_owned(),
        source,
    };
    let mut archive = tar::Archive::new(packing.unpack(packed).map_err(broken)?);
    for entry in archive.entries().map_err(broken)? {
        let mut entry = entry.map_err(broken)?;
        let Some(attributes) = attributes_of(&mut entry, target.owner).map_err(broken)? else {
            continue;
        };
        let path = clamp(&entry.path_bytes());
        if path.is_empty() {
            // The archive's own root: the directory that it is unpacked to has its attributes already.
            continue;
        }
        write_entry(&mut entry, &(target.place)(&path), &attributes, target).map_err(refused)?;
    }
    Ok(())
}

fn write_entry(
    entry: &mut tar::Entry<'_, impl Read>,
    path: &[u8],
    attributes: &Attributes,
    target: &UnpackTarget<'_>,
) -> Result<(), LayerError> {
    let writer = target.writer;
    let kind = entry.header().entry_type();
    if kind.is_dir() || (kind.is_file() && entry.path_bytes().ends_with(b"/")) {
        return writer.directory(path, attributes);
    }
    let link = entry
        .link_name_bytes()
        .map(std::borrow::Cow::into_owned)
        .unwrap_or_default();
    if kind.is_symlink() {
        return writer.symlink(path, &link, attributes);
    }
    if kind.is_hard_link() {
        return writer.hardlink(path, &(target.place)(&clamp(&link)));
    }
    let device = |entry: &tar::Entry<'_, _>| {
        let number = |value: io::Result<Option<u32>>| value.ok().flatten().unwrap_or(0);
        (
            number(entry.header().device_major()),
            number(entry.header().device_minor()),
        )
    };
    if kind.is_character_special() {
        let (major, minor) = device(entry);
        return writer.node(path, &EntryKind::CharDevice { major, minor }, attributes);
    }
    if kind.is_block_special() {
        let (major, minor) = device(entry);
        return writer.node(path, &EntryKind::BlockDevice { major, minor }, attributes);
    }
    if kind.is_fifo() {
        return writer.node(path, &EntryKind::Fifo, attributes);
    }
    let size = entry.size();
    writer.file(path, attributes, FileContent::Reader(entry, size))
}

/// A number of a header; a field that was left blank counts as zero, as GNU tar and Go read it.
fn filled(field: &[u8], value: io::Result<u64>) -> io::Result<u64> {
    if field.iter().all(|byte| matches!(byte, 0 | b' ')) {
        return Ok(0);
    }
    value
}

/// The attributes of an entry; `None` for an entry that is no file of any kind (a global PAX header).
fn attributes_of(
    entry: &mut tar::Entry<'_, impl Read>,
    owner: ArchiveOwner,
) -> io::Result<Option<Attributes>> {
    let kind = entry.header().entry_type();
    if kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
        return Ok(None);
    }
    let header = entry.header();
    let raw = header.as_old();
    let id = |field: &[u8], value: io::Result<u64>| {
        filled(field, value).map(|id| u32::try_from(id).unwrap_or(0))
    };
    let mode = filled(&raw.mode, header.mode().map(u64::from))? as u32;
    let mut attributes = Attributes::with_mode(mode & 0o7777);
    attributes.uid = id(&raw.uid, header.uid())?;
    attributes.gid = id(&raw.gid, header.gid())?;
    attributes.mtime.seconds = filled(&raw.mtime, header.mtime())? as i64;
    if let Some(extensions) = entry.pax_extensions()? {
        for extension in extensions {
            apply_extension(&mut attributes, &extension?);
        }
    }
    attributes.xattrs.sort();
    if let ArchiveOwner::Ids { uid, gid } = owner {
        (attributes.uid, attributes.gid) = (uid, gid);
    }
    Ok(Some(attributes))
}

fn apply_extension(attributes: &mut Attributes, extension: &tar::PaxExtension<'_>) {
    let (key, value) = (extension.key_bytes(), extension.value_bytes());
    let number = || {
        std::str::from_utf8(value)
            .ok()
            .and_then(|text| text.parse().ok())
    };
    match key {
        b"uid" => attributes.uid = number().unwrap_or(attributes.uid),
        b"gid" => attributes.gid = number().unwrap_or(attributes.gid),
        b"mtime" => attributes.mtime = pax_time(value).unwrap_or(attributes.mtime),
        _ => {
            if let Some(name) = pax_xattr_name(key)
                && is_kept(&name)
            {
                attributes.xattrs.retain(|(known, _)| *known != name);
                attributes.xattrs.push((name, value.to_vec()));
            }
        }
    }
}

/// A path of an archive as one below its root.
pub(crate) fn clamp(path: &[u8]) -> Vec<u8> {
    let mut rooted = clean(&[b"/", path].concat());
    rooted.remove(0);
    rooted
}

/// Whether a block is a tar header: its checksum is right, by unsigned or by signed bytes.
pub(crate) fn is_tar_header(block: &[u8]) -> bool {
    let Some(block) = block.first_chunk::<BLOCK_BYTES>() else {
        return false;
    };
    let field = &block[148..156];
    let digits = field
        .split(|byte| *byte == 0 || *byte == b' ')
        .find(|part| !part.is_empty())
        .and_then(|digits| std::str::from_utf8(digits).ok())
        .and_then(|digits| i64::from_str_radix(digits, 8).ok());
    let Some(expected) = digits else { return false };
    let sum = |value: fn(u8) -> i64| -> i64 {
        let all: i64 = block.iter().map(|byte| value(*byte)).sum();
        let own: i64 = field.iter().map(|byte| value(*byte)).sum();
        all - own + 8 * i64::from(b' ')
    };
    expected == sum(i64::from) || expected == sum(|byte| i64::from(byte as i8))
}

/// Reads until `buffer` is full or the stream ends.
pub(crate) fn read_full(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match reader.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Reads a file by position, so that all who share it can.
pub(crate) struct Positioned<F> {
    file: F,
    at: u64,
}

impl<F: Borrow<File>> Positioned<F> {
    pub(crate) fn new(file: F) -> Self {
        Self { file, at: 0 }
    }
}

impl<F: Borrow<File>> Read for Positioned<F> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.borrow().read_at(buffer, self.at)?;
        self.at += count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_archives_stay_below_their_root() {
        assert_eq!(clamp(b"../../etc/passwd"), b"etc/passwd");
        assert_eq!(clamp(b"/abs/./x/"), b"abs/x");
        assert_eq!(clamp(b"./"), b"");
    }
}

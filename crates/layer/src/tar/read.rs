//! A tar stream → its members, one after the other.
//!
//! What stands before a member (pax headers, GNU's long names, sparse maps) is folded into it. The letter of
//! the law where writers differ is Go's `archive/tar`, since that is what container tools read with: links,
//! devices, directories and pipes have no data whatever their size field says, and the stream may end
//! between members without the two zero blocks.

use std::io::Read;

use super::header::Block;
use super::member::{Member, MemberKind};
use super::records::{Records, decimal, lookup, timestamp, unsigned, xattrs};
use super::sparse::{Expanded, SparseMap};
use super::{BLOCK_BYTES, padding, pax};
use crate::error::{LayerError, Result};
use crate::index::entry::Mtime;

/// The most that a pax header or a GNU long name may take; what Go allows.
const MAX_EXTENSION_BYTES: u64 = 1024 * 1024;

/// With which members that part of eStargz begins which stands behind the archive's end.
const ESTARGZ_NAMES: [&[u8]; 3] = [
    b".prefetch.landmark",
    b".no.prefetch.landmark",
    b"stargz.index.json",
];

/// Reads members off a stream.
pub(crate) struct TarReader<R> {
    source: R,
    pub(super) offset: u64,
    /// Bytes of the current member that are still to come, and the padding behind them.
    pub(super) remaining: u64,
    padding: usize,
    /// Records that hold for all members that follow.
    global: Records,
}

/// What was read before a member's own header.
#[derive(Default)]
struct Before {
    records: Records,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(source: R) -> Self {
        Self {
            source,
            offset: 0,
            remaining: 0,
            padding: 0,
            global: Records::new(),
        }
    }

    /// The next member, past what is left of the current one; `None` at the end.
    pub(crate) fn next_member(&mut self) -> Result<Option<Member>> {
        let mut before = Before::default();
        let mut pending = false;
        loop {
            self.skip_rest()?;
            let Some(block) = self.header_block()? else {
                if pending {
                    return Err(self.malformed("it ends between a header and its extension"));
                }
                return Ok(None);
            };
            let header = Block::parse(&block)
                .ok_or_else(|| self.malformed("a header's checksum does not match"))?;
            match header.kind() {
                b'x' | b'X' => {
                    let bytes = self.extension(&header)?;
                    before.records = self.records(&bytes)?;
                }
                b'g' => {
                    let bytes = self.extension(&header)?;
                    let records = self.records(&bytes)?;
                    self.global.extend(records);
                    continue;
                }
                b'L' => before.long_name = Some(c_string(self.extension(&header)?)),
                b'K' => before.long_link = Some(c_string(self.extension(&header)?)),
                b'V' => self.expect(self.size(&header)?),
                _ => return self.member(&header, before).map(Some),
            }
            pending = true;
        }
    }

    /// The current file's bytes in full.
    pub(crate) fn content<'a>(&'a mut self, sparse: Option<&'a SparseMap>) -> Box<dyn Read + 'a> {
        match sparse {
            None => Box::new(Data(self)),
            Some(map) => Box::new(Expanded::new(Data(self), map)),
        }
    }

    /// Reads what is behind the last member: zeros, or the members of eStargz, which the diffID covers and which are none
    /// of the layer's files.
    pub(crate) fn end(&mut self) -> Result<()> {
        let mut block = [0; BLOCK_BYTES];
        loop {
            let filled = self.fill(&mut block)?;
            if block[..filled].iter().any(|&byte| byte != 0) {
                if !is_of_estargz(&block) {
                    return Err(self.malformed("there is something behind its end"));
                }
                return self.drain();
            }
            self.offset += filled as u64;
            if filled < BLOCK_BYTES {
                return Ok(());
            }
        }
    }

    fn drain(&mut self) -> Result<()> {
        std::io::copy(&mut self.source, &mut std::io::sink())
            .map(|_| ())
            .map_err(LayerError::Input)
    }

    /// Where the bytes come from.
    pub(crate) fn source_mut(&mut self) -> &mut R {
        &mut self.source
    }

    /// Folds a header and what came before it into a member.
    fn member(&mut self, header: &Block<'_>, before: Before) -> Result<Member> {
        let mut records = self.global.clone();
        records.extend(before.records);
        let find = |key: &[u8]| lookup(&records, key);

        let letter = header.kind();
        let path = find(b"path")
            .map(<[u8]>::to_vec)
            .or(before.long_name)
            .unwrap_or_else(|| header.path());
        let path = find(b"GNU.sparse.name").map_or(path, <[u8]>::to_vec);
        let link = find(b"linkpath")
            .map(<[u8]>::to_vec)
            .or(before.long_link)
            .unwrap_or_else(|| header.link());
        let number = |key: &[u8], own: Option<i64>| match find(key) {
            Some(text) => decimal(text),
            None => own,
        };
        let bad = self.malformed("a header holds a malformed number");
        let (Some(uid), Some(gid), Some(mode), Some(mtime)) = (
            number(b"uid", header.uid()).and_then(|id| u32::try_from(id).ok()),
            number(b"gid", header.gid()).and_then(|id| u32::try_from(id).ok()),
            header.mode(),
            match find(b"mtime") {
                Some(text) => timestamp(text),
                None => header.mtime().map(|seconds| Mtime {
                    seconds,
                    nanoseconds: 0,
                }),
            },
        ) else {
            return Err(bad);
        };
        let device = || -> Result<(u32, u32)> {
            let (major, minor) = header.device().ok_or(LayerError::Archive {
                offset: self.offset,
                reason: "a header holds a malformed device number",
            })?;
            match (u32::try_from(major), u32::try_from(minor)) {
                (Ok(major), Ok(minor)) => Ok((major, minor)),
                _ => Err(self.malformed("a header holds a malformed device number")),
            }
        };
        let kind = match letter {
            b'1' => MemberKind::Hardlink(link),
            b'2' => MemberKind::Symlink(link),
            b'3' => device().map(|(major, minor)| MemberKind::CharDevice(major, minor))?,
            b'4' => device().map(|(major, minor)| MemberKind::BlockDevice(major, minor))?,
            b'5' => MemberKind::Directory,
            b'6' => MemberKind::Fifo,
            b'D' => {
                self.expect(self.data_size(header, &records)?);
                MemberKind::Directory
            }
            0 | b'0' | b'7' if path.ends_with(b"/") => {
                // Before ustar, a slash at the end was how a directory was told from a file.
                self.expect(self.data_size(header, &records)?);
                MemberKind::Directory
            }
            0 | b'0' | b'7' | b'S' => self.file(header, &records)?,
            b'M' => return Err(self.malformed("it is one volume of several")),
            _ => return Err(self.malformed("a member is of an unknown type")),
        };
        Ok(Member {
            path,
            kind,
            mode: (mode & 0o7777) as u32,
            uid,
            gid,
            mtime,
            xattrs: xattrs(&records),
        })
    }

    fn file(&mut self, header: &Block<'_>, records: &Records) -> Result<MemberKind> {
        let size = self.data_size(header, records)?;
        self.expect(size);
        let sparse = if header.kind() == b'S' {
            Some(self.old_sparse_map(header)?)
        } else {
            self.pax_sparse_map(records)?
        };
        let Some(map) = sparse else {
            return Ok(MemberKind::File { size, sparse: None });
        };
        match map.stored() {
            Some(stored) if stored == self.remaining => Ok(MemberKind::File {
                size: map.size,
                sparse: Some(map),
            }),
            _ => Err(self.malformed("a sparse file's map does not fit its data")),
        }
    }

    /// The bytes of a member in the archive.
    fn data_size(&self, header: &Block<'_>, records: &Records) -> Result<u64> {
        match lookup(records, b"size") {
            Some(text) => {
                unsigned(text).ok_or_else(|| self.malformed("a member's size is malformed"))
            }
            None => self.size(header),
        }
    }

    fn size(&self, header: &Block<'_>) -> Result<u64> {
        header
            .size()
            .and_then(|size| u64::try_from(size).ok())
            .ok_or_else(|| self.malformed("a member's size is malformed"))
    }

    /// Says how many bytes of data follow.
    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = padding(size);
    }

    /// The data of an extension header.
    fn extension(&mut self, header: &Block<'_>) -> Result<Vec<u8>> {
        let size = self.size(header)?;
        if size > MAX_EXTENSION_BYTES {
            return Err(self.malformed("an extension header is too long"));
        }
        let mut bytes = vec![0; size as usize];
        self.read_exact(&mut bytes)?;
        self.padding = padding(size);
        Ok(bytes)
    }

    fn records(&self, bytes: &[u8]) -> Result<Records> {
        let records =
            pax::parse_records(bytes).ok_or_else(|| self.malformed("a pax header is malformed"))?;
        Ok(records
            .into_iter()
            .map(|(key, value)| (key.to_vec(), value.to_vec()))
            .collect())
    }

    /// The next header; `None` at the end mark or the end of the stream.
    fn header_block(&mut self) -> Result<Option<[u8; BLOCK_BYTES]>> {
        let mut block = [0; BLOCK_BYTES];
        if !self.read_block(&mut block)? {
            return Ok(None);
        }
        if block.iter().any(|&byte| byte != 0) {
            return Ok(Some(block));
        }
        // One block of zeros may be all that a sloppy writer left; two are the end.
        if self.read_block(&mut block)? && block.iter().any(|&byte| byte != 0) {
            return Err(self.malformed("a block of zeros stands where a header should"));
        }
        Ok(None)
    }

    /// Fills one block, unless the stream ends before it.
    fn read_block(&mut self, block: &mut [u8; BLOCK_BYTES]) -> Result<bool> {
        match self.fill(block)? {
            0 => Ok(false),
            BLOCK_BYTES => {
                self.offset += BLOCK_BYTES as u64;
                Ok(true)
            }
            _ => Err(self.cut_short()),
        }
    }

    /// Reads a block, or what is left of the stream; gives how many bytes that are.
    fn fill(&mut self, block: &mut [u8; BLOCK_BYTES]) -> Result<usize> {
        let mut filled = 0;
        while filled < BLOCK_BYTES {
            let read = self.source.read(&mut block[filled..]);
            match read.map_err(LayerError::Input)? {
                0 => break,
                count => filled += count,
            }
        }
        Ok(filled)
    }

    pub(super) fn read_exact(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.source.read_exact(bytes).map_err(|error| {
            if error.kind() == std::io::ErrorKind::UnexpectedEof {
                self.cut_short()
            } else {
                LayerError::Input(error)
            }
        })?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Passes over what nobody read of the current member.
    fn skip_rest(&mut self) -> Result<()> {
        let mut bytes = [0; 8192];
        let mut left = self.remaining + self.padding as u64;
        while left > 0 {
            let length = left.min(bytes.len() as u64) as usize;
            self.read_exact(&mut bytes[..length])?;
            left -= length as u64;
        }
        self.remaining = 0;
        self.padding = 0;
        Ok(())
    }

    fn cut_short(&self) -> LayerError {
        self.malformed("it is cut short")
    }

    pub(crate) fn malformed(&self, reason: &'static str) -> LayerError {
        LayerError::Archive {
            offset: self.offset,
            reason,
        }
    }
}

/// The bytes that the archive has of the current member.
struct Data<'a, R>(&'a mut TarReader<R>);

impl<R: Read> Read for Data<'_, R> {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        let wanted = (bytes.len() as u64).min(self.0.remaining) as usize;
        let count = self.0.source.read(&mut bytes[..wanted])?;
        self.0.remaining -= count as u64;
        self.0.offset += count as u64;
        Ok(count)
    }
}

fn c_string(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = memchr::memchr(0, &bytes) {
        bytes.truncate(end);
    }
    bytes
}

fn is_of_estargz(block: &[u8; BLOCK_BYTES]) -> bool {
    Block::parse(block).is_some_and(|header| ESTARGZ_NAMES.contains(&header.path().as_slice()))
}

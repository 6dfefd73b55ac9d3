//! What tar-split keeps of an archive, so that containers/storage can put the same bytes together from extracted files: all that is
//! not files' bytes, and checksums of these.
//!
//! ```text
//! {"type":2,"payload":"<bytes, base64>","position":0}                    headers, padding
//! {"type":1,"name":"etc/hostname","size":5,"payload":"<CRC-64>","position":1}   a member
//! ```

use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;
use zstd::stream::write::Encoder;

use super::crc64::Crc64;
use super::stream::Watcher;
use super::toc::TocMember;
use crate::tar::member::MemberKind;

const MEMBER: u32 = 1;
const SEGMENT: u32 = 2;

/// Written as it comes, compressed.
pub(super) struct TarSplit {
    encoder: Encoder<'static, Vec<u8>>,
    uncompressed: u64,
    position: u64,
    crc: Crc64,
}

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(rename = "type")]
    kind: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name_raw: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    payload: Option<String>,
    position: u64,
}

impl TarSplit {
    pub(super) fn new(level: i32) -> io::Result<Self> {
        Ok(Self {
            encoder: Encoder::new(Vec::new(), level)?,
            uncompressed: 0,
            position: 0,
            crc: Crc64::default(),
        })
    }

    /// The compressed lines, and how many bytes they are without compression.
    pub(super) fn finish(self) -> io::Result<(Vec<u8>, u64)> {
        Ok((self.encoder.finish()?, self.uncompressed))
    }

    fn put(&mut self, mut line: Line<'_>) -> io::Result<()> {
        line.position = self.position;
        self.position += 1;
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        self.uncompressed += bytes.len() as u64;
        self.encoder.write_all(&bytes)
    }
}

impl Watcher for TarSplit {
    fn glue(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.put(Line {
            kind: SEGMENT,
            name: None,
            name_raw: None,
            size: None,
            payload: Some(BASE64.encode(bytes)),
            position: 0,
        })
    }

    fn payload(&mut self, bytes: &[u8]) {
        self.crc.update(bytes);
    }

    fn member(&mut self, listed: &TocMember) -> io::Result<()> {
        let crc = std::mem::take(&mut self.crc);
        let path = &listed.member.path;
        let name = std::str::from_utf8(path).ok();
        let size = match listed.member.kind {
            MemberKind::File { size, .. } if size > 0 => Some(size),
            _ => None,
        };
        self.put(Line {
            kind: MEMBER,
            name,
            name_raw: name.is_none().then(|| BASE64.encode(path)),
            size,
            payload: size.map(|_| BASE64.encode(crc.sum())),
            position: 0,
        })
    }
}

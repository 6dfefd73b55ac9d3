//! The table of contents: an entry for each member of the tar, and one for each further chunk of a large file.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use rbuild_image::Digest;
use serde::Serialize;

use super::pieces::Place;
use crate::index::entry::Mtime;
use crate::tar::member::{Member, MemberKind};

/// A member as the tables tell of it.
#[derive(Debug)]
pub(super) struct TocMember {
    pub(super) member: Member,
    /// Of all its bytes; absent where it has none.
    pub(super) digest: Option<Digest>,
    pub(super) chunks: Vec<TocChunk>,
}

/// A chunk of a file.
#[derive(Debug, Clone, Copy)]
pub(super) struct TocChunk {
    /// Where it begins in the file.
    pub(super) start: u64,
    pub(super) size: u64,
    /// Where it came to lie, once that is known.
    pub(super) place: Option<Place>,
}

/// A table of contents as both formats write it, and the fields that only one has.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Table {
    pub(super) version: u32,
    pub(super) entries: Vec<Entry>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tar_split_digest: Option<String>,
}

/// One entry. What is zero or empty is left out.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Entry {
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(super) link_name: String,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) mode: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) uid: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) gid: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) modtime: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) dev_major: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) dev_minor: u64,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) xattrs: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) digest: Option<String>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) offset: u64,
    /// Only of zstd:chunked.
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) end_offset: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_size: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub(super) chunk_offset: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) chunk_digest: Option<String>,
}

impl Entry {
    /// The entry of a member, without its chunks.
    pub(super) fn of(listed: &TocMember) -> Self {
        let member = &listed.member;
        let (kind, link, device) = match &member.kind {
            MemberKind::File { .. } => ("reg", None, (0, 0)),
            MemberKind::Directory => ("dir", None, (0, 0)),
            MemberKind::Symlink(target) => ("symlink", Some(target), (0, 0)),
            MemberKind::Hardlink(target) => ("hardlink", Some(target), (0, 0)),
            MemberKind::CharDevice(major, minor) => ("char", None, (*major, *minor)),
            MemberKind::BlockDevice(major, minor) => ("block", None, (*major, *minor)),
            MemberKind::Fifo => ("fifo", None, (0, 0)),
        };
        let size = match member.kind {
            MemberKind::File { size, .. } => size,
            _ => 0,
        };
        let xattrs = member.xattrs.iter();
        Self {
            kind,
            name: text(&member.path),
            link_name: link.map_or_else(String::new, |target| text(target)),
            mode: member.mode.into(),
            size,
            uid: member.uid.into(),
            gid: member.gid.into(),
            modtime: time(member.mtime),
            dev_major: device.0.into(),
            dev_minor: device.1.into(),
            xattrs: xattrs
                .map(|(name, value)| (text(name), BASE64.encode(value)))
                .collect(),
            digest: listed.digest.map(|digest| digest.to_string()),
            ..Self::default()
        }
    }

    /// The entry of a chunk after the first.
    pub(super) fn of_chunk(listed: &TocMember, chunk: &TocChunk) -> Self {
        Self {
            kind: "chunk",
            name: text(&listed.member.path),
            chunk_offset: chunk.start,
            ..Self::default()
        }
    }
}

/// `2026-08-20T10:00:00Z`, with a fraction where there is one.
fn time(mtime: Mtime) -> Option<String> {
    let nanoseconds = i32::try_from(mtime.nanoseconds).ok()?;
    let time = Timestamp::new(mtime.seconds, 0).ok()?;
    let time = time.checked_add(jiff::SignedDuration::new(0, nanoseconds));
    Some(time.ok()?.to_string())
}

/// Names are bytes, JSON is not.
fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands out references"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

//! How "gone" and "opaque" are written: by overlayfs on disk, and by name in a tar.
//!
//! | meaning | overlayfs | tar (OCI image-spec, layer.md) |
//! | --- | --- | --- |
//! | `dir/x` is gone | character device 0/0, or the xattr `…overlay.whiteout` | empty file `dir/.wh.x` |
//! | only what is here is in `dir` | xattr `…overlay.opaque` = `y` | empty file `dir/.wh..wh..opq` |

use crate::OverlayFlavor;

/// Before the name of what is gone.
pub(crate) const WHITEOUT_PREFIX: &[u8] = b".wh.";
/// In a directory that hides what is below.
pub(crate) const OPAQUE_NAME: &[u8] = b".wh..wh..opq";
/// Names that aufs kept for itself; they mean nothing to anybody else.
pub(crate) const AUFS_PREFIX: &[u8] = b".wh..wh.";

/// The value that makes a directory opaque.
pub(crate) const OPAQUE_VALUE: &[u8] = b"y";

/// An extended attribute of overlayfs, without its prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OverlayMark {
    /// The directory hides what is below, if the value is `y`.
    Opaque,
    /// The empty file is a whiteout.
    Whiteout,
    /// The entry is not what it seems (renamed directory, file without its bytes): the upper directory
    /// alone does not say what the layer holds.
    Incomplete,
    /// Bookkeeping.
    Other,
}

/// What the attribute `name` says, if it is one that overlayfs uses in `flavor`.
pub(crate) fn overlay_mark(name: &[u8], flavor: OverlayFlavor) -> Option<OverlayMark> {
    let rest = name.strip_prefix(flavor.xattr_prefix().as_bytes())?;
    Some(match rest {
        b"opaque" => OverlayMark::Opaque,
        b"whiteout" => OverlayMark::Whiteout,
        b"redirect" | b"metacopy" => OverlayMark::Incomplete,
        _ => OverlayMark::Other,
    })
}

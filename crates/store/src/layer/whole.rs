//! Whether a layer is still what its index says.

use std::os::fd::AsFd as _;
use std::path::Path;

use rbuild_image::LayerId;
use rbuild_layer::{Change, EntryKind};
use rbuild_sys::OverlayFlavor;

use super::read_index;
use crate::store::open_directory;

/// Reads all of a layer again. Any failure means that it is not what it was.
pub(crate) fn is_whole(id: LayerId, directory: &Path) -> bool {
    let Ok(index) = read_index(id, directory) else {
        return false;
    };
    let Ok(diff) = open_directory(&directory.join("diff")) else {
        return false;
    };
    let flavor = OverlayFlavor::current();
    rbuild_layer::index_upper(diff.as_fd(), flavor).is_ok_and(|found| {
        let differences = index.changes(&found);
        differences
            .iter()
            .all(|change| flavor == OverlayFlavor::User && is_beyond_us(change))
    })
}

/// What a user namespace with a single id cannot put on the disk: other owners, and devices. The index has them.
fn is_beyond_us(change: &Change<'_>) -> bool {
    match change {
        Change::Changed { before, now } => {
            (now.uid, now.gid) == (0, 0)
                && before.kind == now.kind
                && before.mode == now.mode
                && before.xattrs == now.xattrs
        }
        Change::Removed(entry) => matches!(
            entry.kind,
            EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. }
        ),
        Change::Added(_) => false,
    }
}

//! A cache mount as a tar, and back.
//!
//! The tar is a layer's: sorted, without names of users or times of access, whole seconds. The same files give the same bytes. What
//! comes back is unpacked as a layer is, confined to a new directory, and takes the mount's place when it is complete.

use std::fs;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt as _;

use rbuild_layer::{
    ContentIndex, EntryKind, LayerError, Opacity, OverlayFlavor, TreeWriter, extract, index_upper,
    write_tar,
};

use super::{CacheMount, CacheMountGuard, CacheMountSpec, CacheSharing, cache_mount_key};
use crate::Store;
use crate::draft::RootAttributes;
use crate::error::{Result, StoreError};

impl Store {
    /// Writes what the first directory of `mount` holds as a tar that is the same whenever the files are.
    ///
    /// Fails with [`StoreError::CacheMountInUse`] while a step uses it.
    pub fn export_cache_mount(&self, mount: &CacheMount, sink: impl Write) -> Result<()> {
        let held = self.alone_with(&mount.key, &mount.id)?;
        let data = self.paths().mounts().join(&mount.key).join("0/data");
        let directory = crate::store::open_directory(&data)?;
        let failed = in_mount(&mount.id);
        let index = index_upper(directory.as_fd(), OverlayFlavor::detect()).map_err(&failed)?;
        write_tar(directory.as_fd(), &index, sink).map_err(&failed)?;
        drop(held);
        Ok(())
    }

    /// Lets the mount `spec` hold what `tar`, which is not compressed, has, and nothing else. Where the tar does not say who owns the
    /// directory itself, it stays as it was, or begins as `spec` says.
    ///
    /// Fails with [`StoreError::CacheMountInUse`] while a step uses it, and with [`StoreError::CacheMount`] for what is no tar or
    /// holds what a mount cannot. The mount is as it was then.
    pub fn import_cache_mount(
        &self,
        spec: &CacheMountSpec<'_>,
        tar: impl Read + Send,
    ) -> Result<()> {
        let exclusive = CacheMountSpec {
            sharing: CacheSharing::Locked,
            ..*spec
        };
        // It makes the mount if it is new; who comes between finds it empty, as it is.
        let in_use = || StoreError::CacheMountInUse {
            id: spec.id.to_owned(),
        };
        let held = match self.cache_mount(&exclusive, &|| true) {
            Err(StoreError::Cancelled { .. }) => return Err(in_use()),
            other => other?,
        };
        let data = self.first_data(spec);
        let found = fs::metadata(&data).map_err(StoreError::io("look at", &data))?;
        let draft = self.draft(&RootAttributes {
            mode: found.mode() & 0o7777,
            uid: found.uid(),
            gid: found.gid(),
            ..RootAttributes::default()
        })?;
        let failed = in_mount(spec.id);
        let writer = TreeWriter::new(draft.open_diff()?, OverlayFlavor::detect());
        let extracted = extract(tar, writer.map_err(&failed)?).map_err(&failed)?;
        check(&extracted.index).map_err(&failed)?;
        self.throw_away(&data)?;
        fs::rename(draft.diff_path(), &data).map_err(StoreError::io("rename", &data))?;
        drop(held);
        self.note_import(spec)
    }

    /// The mount is what the next step finds, whatever it was to be seeded with.
    fn note_import(&self, spec: &CacheMountSpec<'_>) -> Result<()> {
        let top = self.paths().mounts().join(cache_mount_key(spec));
        let marker = top.join("0/seeded");
        fs::File::create(&marker).map_err(StoreError::io("create", marker))?;
        self.note_mount(&top, spec)
    }
}

impl CacheMountGuard {
    /// Lets a mount that is [`CacheFill::Unseeded`](crate::CacheFill) hold what `tar`, which is not compressed, has. After a failure
    /// the guard is to be dropped: who takes the mount next begins anew.
    pub fn unpack(&self, id: &str, tar: impl Read + Send) -> Result<()> {
        let failed = in_mount(id);
        let directory = crate::store::open_directory(&self.path())?;
        let writer = TreeWriter::new(directory, OverlayFlavor::detect()).map_err(&failed)?;
        let extracted = extract(tar, writer).map_err(&failed)?;
        check(&extracted.index).map_err(&failed)
    }
}

fn in_mount(id: &str) -> impl Fn(LayerError) -> StoreError {
    let id = id.to_owned();
    move |source| StoreError::CacheMount {
        id: id.clone(),
        source,
    }
}

/// Devices and the marks of layers have no business in a mount.
fn check(index: &ContentIndex) -> Result<(), LayerError> {
    for entry in index.entries() {
        let reason = match entry.kind {
            EntryKind::CharDevice { .. } | EntryKind::BlockDevice { .. } => {
                "a cache mount holds no devices"
            }
            EntryKind::Whiteout
            | EntryKind::Directory {
                opaque: Opacity::Opaque,
            } => "a cache mount has no layers below it",
            _ => continue,
        };
        return Err(LayerError::Entry {
            path: entry.path.clone(),
            reason,
        });
    }
    Ok(())
}

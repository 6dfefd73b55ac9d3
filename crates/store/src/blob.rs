//! Blobs: bytes by their sha256, under `blobs/sha256/` as an OCI image layout has them.
//!
//! A blob is written under the lease, hashed on the way, and renamed into place in the transaction that enters its
//! row; nothing ever has a blob's name but not its digest. Collected is what no image and no known layer
//! refers to, and what no living process can just have written or asked for.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;
use std::sync::Arc;

use rbuild_image::{Digest, Digester};
use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::error::{Result, StoreError};
use crate::flock;
use crate::lease::Lease;

/// A blob in the store, open: it can be read to its end even if it is collected meanwhile.
#[derive(Debug)]
pub struct Blob {
    /// Its bytes.
    pub file: File,
    /// How many.
    pub size: u64,
    /// Where it lies.
    pub path: PathBuf,
}

/// A blob in the making. Dropped without [`BlobWriter::commit`], it leaves nothing.
pub struct BlobWriter {
    store: Store,
    path: PathBuf,
    file: File,
    digester: Option<Digester>,
    written: u64,
    committed: bool,
    _lease: Arc<Lease>,
}

impl BlobWriter {
    /// Bytes written so far.
    pub fn written(&self) -> u64 {
        self.written
    }

    /// What is written, for somebody who reads along; it can be read to its end whatever becomes of the blob.
    pub fn reader(&self) -> Result<File> {
        File::open(&self.path).map_err(StoreError::io("open", &self.path))
    }

    /// Puts the blob in its place, and gives its digest.
    ///
    /// Fails with [`StoreError::SizeMismatch`] or [`StoreError::DigestMismatch`] where `size` in bytes or `expected` are given
    /// and something else was written; then nothing is kept.
    pub fn commit(mut self, expected: Option<&Digest>, size: Option<u64>) -> Result<Digest> {
        if let Some(expected) = size.filter(|&size| size != self.written) {
            return Err(StoreError::SizeMismatch {
                expected,
                actual: self.written,
            });
        }
        let digester = self.digester.take().expect("a writer is committed once");
        let actual = digester.finish();
        if let Some(&expected) = expected.filter(|&expected| *expected != actual) {
            return Err(StoreError::DigestMismatch { expected, actual });
        }
        self.store.put_in_row(&actual, self.written, &self.path)?;
        self.committed = true;
        Ok(actual)
    }
}

impl fmt::Debug for BlobWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BlobWriter")
            .field("path", &self.path)
            .field("written", &self.written)
            .finish_non_exhaustive()
    }
}

impl Write for BlobWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        if let Some(digester) = &mut self.digester {
            digester.update(&bytes[..written]);
        }
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Drop for BlobWriter {
    fn drop(&mut self) {
        if !self.committed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Store {
    /// Begins a blob.
    pub fn blob_writer(&self) -> Result<BlobWriter> {
        let lease = self.lease()?;
        let path = lease.fresh("blob");
        let file = File::create_new(&path).map_err(StoreError::io("create", &path))?;
        Ok(BlobWriter {
            store: self.clone(),
            path,
            file,
            digester: Some(Digester::new()),
            written: 0,
            committed: false,
            _lease: lease,
        })
    }

    /// Stores `bytes`, if they are not there yet.
    pub fn put_blob(&self, bytes: &[u8]) -> Result<Digest> {
        let digest = Digest::sha256_of(bytes);
        if self.touch_blob(&digest)? {
            return Ok(digest);
        }
        let mut writer = self.blob_writer()?;
        let path = writer.path.clone();
        writer
            .write_all(bytes)
            .map_err(StoreError::io("write", path))?;
        writer.commit(Some(&digest), None)
    }

    /// Opens the blob `digest`, if the store holds it.
    pub fn blob(&self, digest: &Digest) -> Result<Option<Blob>> {
        let Some((synced, boot)) = self.blob_row(digest)? else {
            return Ok(None);
        };
        let path = self.paths().blob(digest);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if flock::is_missing(&error) => {
                self.drop_blob_row(digest)?;
                return Ok(None);
            }
            Err(error) => return Err(StoreError::io("open", path)(error)),
        };
        if !synced && boot != self.boot() && !self.blob_survived_reboot(digest, &path)? {
            return Ok(None);
        }
        let size = file
            .metadata()
            .map_err(StoreError::io("look at", &path))?
            .len();
        Ok(Some(Blob { file, size, path }))
    }

    /// The bytes of the blob `digest`, checked; for manifests and configs, which are small.
    ///
    /// Fails with [`StoreError::DigestMismatch`] if the file was damaged.
    pub fn read_blob(&self, digest: &Digest) -> Result<Option<Vec<u8>>> {
        let Some(mut blob) = self.blob(digest)? else {
            return Ok(None);
        };
        let mut bytes = Vec::with_capacity(blob.size as usize);
        blob.file
            .read_to_end(&mut bytes)
            .map_err(StoreError::io("read", blob.path))?;
        let actual = Digest::sha256_of(&bytes);
        if actual != *digest {
            return Err(StoreError::DigestMismatch {
                expected: *digest,
                actual,
            });
        }
        Ok(Some(bytes))
    }

    /// Whether the store holds the blob, without opening it. If so, it stays while this handle lives.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool> {
        Ok(self.touch_blob(digest)? && self.paths().blob(digest).exists())
    }

    fn put_in_row(&self, digest: &Digest, size: u64, from: &std::path::Path) -> Result<()> {
        let target = self.paths().blob(digest);
        let now = self.now_millis();
        self.db().write("enter a blob", |db| {
            db.prepare_cached(
                "INSERT INTO blobs (digest, bytes, created, last_used, boot) VALUES (?1, ?2, ?3, ?3, ?4)
                 ON CONFLICT (digest) DO UPDATE SET last_used = ?3, boot = ?4, synced = 0",
            )?
            .execute(params![digest.as_bytes(), size as i64, now, self.boot()])?;
            fs::rename(from, &target).map_err(StoreError::io("rename", from))?;
            Ok(())
        })
    }

    /// Whether there is a row; notes the use if no use was noted since this handle's lease began.
    fn touch_blob(&self, digest: &Digest) -> Result<bool> {
        if self.blob_row(digest)?.is_none() {
            return Ok(false);
        }
        let started = self.lease()?.started();
        let fresh = self.db().read("read a blob's use", |db| {
            let used: Option<i64> = db
                .prepare_cached("SELECT last_used FROM blobs WHERE digest = ?1")?
                .query_row([digest.as_bytes()], |row| row.get(0))
                .optional()?;
            Ok(used.is_some_and(|used| used >= started))
        })?;
        if fresh {
            return Ok(self.paths().blob(digest).exists());
        }
        let now = self.now_millis().max(started);
        let path = self.paths().blob(digest);
        let noted = self.db().write("note a blob's use", |db| {
            if !path.exists() {
                return Ok(false);
            }
            let changed = db
                .prepare_cached("UPDATE blobs SET last_used = ?2 WHERE digest = ?1")?
                .execute(params![digest.as_bytes(), now])?;
            Ok(changed > 0)
        });
        match noted {
            // What is there can be used on a full disk, too. Whoever enters an image of it now fails at that.
            Err(error) if error.is_out_of_space() => Ok(path.exists()),
            other => other,
        }
    }

    fn blob_row(&self, digest: &Digest) -> Result<Option<(bool, String)>> {
        self.db().read("read a blob", |db| {
            let row = db
                .prepare_cached("SELECT synced, boot FROM blobs WHERE digest = ?1")?
                .query_row([digest.as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))
                .optional()?;
            Ok(row)
        })
    }

    fn drop_blob_row(&self, digest: &Digest) -> Result<()> {
        let path = self.paths().blob(digest);
        self.db().write("forget a blob", |db| {
            if !path.exists() {
                db.prepare_cached("DELETE FROM blobs WHERE digest = ?1")?
                    .execute([digest.as_bytes()])?;
            }
            Ok(())
        })
    }

    /// Reads a blob that another boot wrote and nobody synced; drops it unless it is what its name says.
    fn blob_survived_reboot(&self, digest: &Digest, path: &std::path::Path) -> Result<bool> {
        let mut file = File::open(path).map_err(StoreError::io("open", path))?;
        let mut digester = Digester::new();
        io::copy(&mut file, &mut digester).map_err(StoreError::io("read", path))?;
        let whole = digester.finish() == *digest;
        self.db().write("mark a blob as checked", |db| {
            if whole {
                db.prepare_cached("UPDATE blobs SET boot = ?2 WHERE digest = ?1")?
                    .execute(params![digest.as_bytes(), self.boot()])?;
            } else {
                db.prepare_cached("DELETE FROM blobs WHERE digest = ?1 AND boot <> ?2")?
                    .execute(params![digest.as_bytes(), self.boot()])?;
            }
            Ok(())
        })?;
        Ok(whole)
    }

    /// Removes files in `blobs/` that have no row, and rows that have no file: a crash came between the rename, or the
    /// removal, and the commit.
    pub(crate) fn sweep_unknown_blobs(&self) -> Result<()> {
        let known: std::collections::HashSet<[u8; 32]> = self.db().read("list blobs", |db| {
            Ok(db
                .prepare_cached("SELECT digest FROM blobs")?
                .query_map([], |row| row.get(0))?
                .collect::<rusqlite::Result<_>>()?)
        })?;
        for bytes in &known {
            let digest = Digest::from_sha256_bytes(*bytes);
            if !self.paths().blob(&digest).exists() {
                self.drop_blob_row(&digest)?;
            }
        }
        for path in crate::lease::list(&self.paths().blobs())? {
            let name = path.file_name().and_then(|name| name.to_str());
            let digest: Option<Digest> =
                name.and_then(|name| format!("sha256:{name}").parse().ok());
            let Some(digest) = digest.filter(|digest| !known.contains(digest.as_bytes())) else {
                continue;
            };
            // In a transaction, since a commit renames in one.
            self.db().write("remove an unknown blob", |db| {
                let entered: bool = db
                    .prepare_cached("SELECT EXISTS (SELECT 1 FROM blobs WHERE digest = ?1)")?
                    .query_row([digest.as_bytes()], |row| row.get(0))?;
                if !entered {
                    remove_file(&path)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Unlinks a file; what is not there is fine.
pub(crate) fn remove_file(path: &std::path::Path) -> Result<()> {
    match fs::remove_file(path) {
        Err(error) if !flock::is_missing(&error) => Err(StoreError::io("remove", path)(error)),
        _ => Ok(()),
    }
}

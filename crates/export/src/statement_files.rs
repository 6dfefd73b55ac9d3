//! Attestations as files: `type=local` and `type=tar` have no manifest to put them beside.
//!
//! ```text
//! provenance.json   sbom.spdx.json            in the folder of their platform, or beside the files
//! provenance.linux_arm64.json                 where the files of several platforms are in one folder
//! ```

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;
use std::time::SystemTime;

use rayon::prelude::*;
use rbuild_attest::Subject;
use rbuild_image::{Digest, Digester};
use rbuild_layer::{Entry, EntryKind, FileTimes};
use rbuild_store::Store;
use rustix::fs::{AtFlags, Mode, OFlags};

use crate::assemble::BuiltImage;
use crate::error::ExportError;
use crate::files::{InFolder, MergedFiles};

/// The mode of a statement's file.
pub(crate) const STATEMENT_MODE: u32 = 0o600;

/// What the files of statements are called, and how old they are.
#[derive(Debug, Clone, Copy)]
pub struct StatementFiles<'a> {
    /// `attestation-prefix=`
    pub prefix: &'a str,
    /// When they were made.
    pub made: SystemTime,
}

/// A statement as a file.
pub(crate) struct StatementFile {
    pub(crate) name: String,
    pub(crate) bytes: Vec<u8>,
}

impl StatementFiles<'_> {
    /// What is attested of `image`, with its `files` as the subjects. `shared` tells that other images have their files in the
    /// same folder.
    pub(crate) fn of(
        &self,
        image: &BuiltImage,
        files: Option<&MergedFiles>,
        shared: Shared,
    ) -> Result<Vec<StatementFile>, ExportError> {
        if image.attestations.is_empty() {
            return Ok(Vec::new());
        }
        let subjects = files.map_or(Ok(Vec::new()), subjects)?;
        let statements = image.attestations.iter().map(|one| {
            let mut bytes = serde_json::to_vec_pretty(&one.statement(&subjects))
                .map_err(|error| ExportError::Archive(io::Error::other(error)))?;
            bytes.push(b'\n');
            let name = match shared {
                Shared::No => one.file_name.clone(),
                Shared::Yes => with_platform(&one.file_name, &image.platform.to_string()),
            };
            let name = format!("{}{name}", self.prefix);
            Ok(StatementFile { name, bytes })
        });
        statements.collect()
    }
}

/// Writes what is attested of images into the directory that their files were written to.
pub fn write_statements(
    store: &Store,
    images: &[InFolder<'_>],
    statements: &StatementFiles<'_>,
    destination: &Path,
) -> Result<(), ExportError> {
    let shared = Shared::of(images);
    for (folder, image) in images {
        if image.attestations.is_empty() {
            continue;
        }
        let files = MergedFiles::of(store, image, FileTimes::Own)?;
        let directory = destination.join(folder);
        for statement in statements.of(image, files.as_ref(), shared)? {
            write_whole(&directory, &statement)
                .map_err(ExportError::file("write", directory.join(&statement.name)))?;
        }
    }
    Ok(())
}

/// Appears under its name when it is whole.
fn write_whole(directory: &Path, statement: &StatementFile) -> io::Result<()> {
    let directory = File::open(directory)?;
    let partial = format!(".rbuild-{}.partial", std::process::id());
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(STATEMENT_MODE);
    let mut file = File::from(rustix::fs::openat(
        directory.as_fd(),
        &partial,
        flags,
        mode,
    )?);
    let written = file.write_all(&statement.bytes).and_then(|()| {
        rustix::fs::renameat(&directory, &partial, &directory, &statement.name)?;
        Ok(())
    });
    if written.is_err() {
        // Best effort: the error that matters is the one that is returned.
        let _ = rustix::fs::unlinkat(&directory, &partial, AtFlags::empty());
    }
    written
}

/// Whether several images have their files in one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shared {
    No,
    Yes,
}

impl Shared {
    pub(crate) fn of(images: &[InFolder<'_>]) -> Self {
        match images {
            [_, _, ..] if images.iter().any(|(folder, _)| folder.is_empty()) => Self::Yes,
            _ => Self::No,
        }
    }
}

/// `sbom.spdx.json` → `sbom.spdx.linux_amd64.json`
fn with_platform(name: &str, platform: &str) -> String {
    let platform = platform.replace('/', "_");
    match name.rsplit_once('.') {
        Some((stem, extension)) => format!("{stem}.{platform}.{extension}"),
        None => format!("{name}.{platform}"),
    }
}

/// Every file with its digest.
fn subjects(files: &MergedFiles) -> Result<Vec<Subject>, ExportError> {
    let is_file = |entry: &&Entry| matches!(entry.kind, EntryKind::File { .. });
    let entries: Vec<&Entry> = files.index().entries().iter().filter(is_file).collect();
    entries
        .par_iter()
        .map(|entry| {
            let path = String::from_utf8_lossy(&entry.path);
            let digest = digest(files, &entry.path)?;
            Ok(Subject::file(&path, &digest))
        })
        .collect()
}

fn digest(files: &MergedFiles, path: &[u8]) -> Result<Digest, ExportError> {
    let mut file = File::from(files.open_file(path)?);
    let mut digester = Digester::new();
    io::copy(&mut file, &mut digester).map_err(|source| ExportError::File {
        action: "read",
        path: String::from_utf8_lossy(path).into_owned().into(),
        source,
    })?;
    Ok(digester.finish())
}

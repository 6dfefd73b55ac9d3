//! `dest=`: a file, which appears when it is whole, or standard output.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::PathBuf;

use anyhow::{Context as _, bail};

/// Where an archive goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Destination {
    File(PathBuf),
    Stdout,
}

/// An archive that is being written: a file appears under its name only when it is whole.
pub(crate) enum Sink {
    File { path: PathBuf, partial: PathBuf },
    Stdout,
}

pub(crate) fn open(destination: &Destination) -> anyhow::Result<Sink> {
    Ok(match destination {
        Destination::Stdout => Sink::Stdout,
        Destination::File(path) => {
            if path.is_dir() {
                bail!(
                    "destination {} is a directory: give the name of a file",
                    path.display()
                );
            }
            let mut partial = path.clone().into_os_string();
            partial.push(format!(".partial-{}", std::process::id()));
            Sink::File {
                path: path.clone(),
                partial: partial.into(),
            }
        }
    })
}

impl Sink {
    /// Bytes that are collected before they are written.
    const BUFFER_BYTES: usize = 256 << 10;

    pub(crate) fn write<T>(
        &self,
        fill: impl FnOnce(&mut dyn Write) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        match self {
            Self::Stdout => fill(&mut BufWriter::with_capacity(
                Self::BUFFER_BYTES,
                io::stdout().lock(),
            )),
            Self::File { path, partial } => {
                let created = File::create(partial)
                    .with_context(|| format!("failed to create {}", path.display()))?;
                let mut sink = BufWriter::with_capacity(Self::BUFFER_BYTES, created);
                let filled = fill(&mut sink).and_then(|value| {
                    sink.flush()?;
                    std::fs::rename(partial, path)?;
                    Ok(value)
                });
                if filled.is_err() {
                    // Best effort: the error that matters is the one that is returned.
                    let _ = std::fs::remove_file(partial);
                }
                filled.with_context(|| format!("failed to write {}", path.display()))
            }
        }
    }
}

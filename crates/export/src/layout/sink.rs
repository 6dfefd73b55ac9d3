//! Where the files of a layout go: a tar stream, or a directory.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;

use serde_json::Value;

use crate::error::ExportError;

/// Where the files of a layout go.
pub(crate) trait LayoutSink {
    /// What stays of the layout that is there.
    fn before(&self) -> Before;

    /// Makes a directory.
    fn directory(&mut self, path: &str) -> Result<(), ExportError>;
    /// Writes a file of `size` bytes, which `fill` writes to what it is given.
    fn file(
        &mut self,
        path: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError>;
}

/// What was in a place before a layout is written there.
pub(crate) enum Before {
    /// Nothing: a stream has no past.
    Nothing,
    /// A directory, whose index names these images, if any.
    Images(Vec<Value>),
}

/// A tar stream. Nothing in it depends on when or where it is written.
pub(crate) struct TarSink<W> {
    sink: W,
}

impl<W: Write> TarSink<W> {
    pub(crate) fn new(sink: W) -> Self {
        Self { sink }
    }

    pub(crate) fn finish(mut self) -> Result<(), ExportError> {
        /// Two blocks of zeros end a tar (POSIX, pax).
        const END: [u8; 1024] = [0; 1024];
        self.sink.write_all(&END).map_err(ExportError::Archive)?;
        self.sink.flush().map_err(ExportError::Archive)
    }
}

impl<W: Write> LayoutSink for TarSink<W> {
    fn before(&self) -> Before {
        Before::Nothing
    }

    fn directory(&mut self, path: &str) -> Result<(), ExportError> {
        let mut header = header(&format!("{path}/"), tar::EntryType::Directory, 0)?;
        header.set_mode(0o755);
        header.set_cksum();
        self.sink
            .write_all(header.as_bytes())
            .map_err(ExportError::Archive)
    }

    fn file(
        &mut self,
        path: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        const BLOCK_BYTES: u64 = 512;
        let header = header(path, tar::EntryType::Regular, size)?;
        self.sink
            .write_all(header.as_bytes())
            .map_err(ExportError::Archive)?;
        let mut counted = Counted {
            sink: &mut self.sink,
            written: 0,
        };
        fill(&mut counted)?;
        if counted.written != size {
            let message = format!("{path}: {} bytes instead of {size}", counted.written);
            return Err(ExportError::Archive(io::Error::other(message)));
        }
        let padding = (BLOCK_BYTES - size % BLOCK_BYTES) % BLOCK_BYTES;
        let zeros = [0; BLOCK_BYTES as usize];
        self.sink
            .write_all(&zeros[..padding as usize])
            .map_err(ExportError::Archive)
    }
}

/// A header on which nothing depends but its arguments.
fn header(path: &str, kind: tar::EntryType, size: u64) -> Result<tar::Header, ExportError> {
    let mut header = tar::Header::new_ustar();
    header.set_path(path).map_err(ExportError::Archive)?;
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(0o644);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

struct Counted<W> {
    sink: W,
    written: u64,
}

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.sink.write(bytes)?;
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

/// A directory; each file appears whole or not at all.
pub(super) struct DirectorySink {
    pub(super) root: PathBuf,
}

impl LayoutSink for DirectorySink {
    fn before(&self) -> Before {
        let index = fs::read(self.root.join("index.json")).ok();
        let index = index.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let images = index.map(|mut index: Value| index["manifests"].take());
        Before::Images(match images {
            Some(Value::Array(images)) => images,
            _ => Vec::new(),
        })
    }

    fn directory(&mut self, path: &str) -> Result<(), ExportError> {
        let target = self.root.join(path);
        fs::create_dir_all(&target).map_err(ExportError::file("create", &target))
    }

    fn file(
        &mut self,
        path: &str,
        size: u64,
        fill: &mut dyn FnMut(&mut dyn Write) -> Result<(), ExportError>,
    ) -> Result<(), ExportError> {
        let target = self.root.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent).map_err(ExportError::file("create", parent))?;
        }
        let is_blob = path.starts_with("blobs/");
        if is_blob && fs::metadata(&target).is_ok_and(|found| found.len() == size) {
            return Ok(());
        }
        let partial = target.with_extension("partial");
        let created = File::create(&partial).map_err(ExportError::file("create", &partial))?;
        let mut buffered = io::BufWriter::new(created);
        fill(&mut buffered)?;
        buffered
            .flush()
            .map_err(ExportError::file("write", &partial))?;
        fs::rename(&partial, &target).map_err(ExportError::file("rename", &partial))
    }
}

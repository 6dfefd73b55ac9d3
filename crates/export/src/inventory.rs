//! Which packages layers have: `rbuild-sbom` on the files of the store.

use std::fs::File;
use std::io::{self, Read};

use rbuild_image::LayerId;
use rbuild_layer::{EntryKind, FileTimes};
use rbuild_sbom::{Files, Inventory, scan};
use rbuild_store::Store;

use crate::error::ExportError;
use crate::files::MergedFiles;

/// The packages in `layers`, bottom first, which must be in the store.
pub fn inventory(store: &Store, layers: &[LayerId]) -> Result<Inventory, ExportError> {
    if layers.is_empty() {
        return Ok(Inventory::default());
    }
    let files = MergedFiles::open(store, layers, FileTimes::Own)?;
    Ok(scan(&files))
}

/// The regular files of `layer` that are in `directory` itself, by name. One of more than `limit` bytes is an error.
pub fn files_in(
    store: &Store,
    layer: LayerId,
    directory: &str,
    limit: u64,
) -> Result<Vec<(String, Vec<u8>)>, ExportError> {
    let files = MergedFiles::open(store, &[layer], FileTimes::Own)?;
    let mut found = Vec::new();
    for path in files.paths() {
        let Some((above, name)) = path.rsplit_once('/') else {
            continue;
        };
        if above != directory {
            continue;
        }
        let read = files.read(&path, limit);
        match read.map_err(ExportError::file("read", &path))? {
            Some(bytes) => found.push((name.to_owned(), bytes)),
            None => {
                return Err(ExportError::Unsupported(format!(
                    "read /{path}: it has more than {limit} bytes"
                )));
            }
        }
    }
    Ok(found)
}

impl Files for MergedFiles {
    fn paths(&self) -> Vec<String> {
        let entries = self.index().entries().iter();
        // A link has the bytes of the file that it links to, under another name.
        let files = entries.filter(|entry| {
            matches!(
                entry.kind,
                EntryKind::File { .. } | EntryKind::Hardlink { .. }
            )
        });
        // Names of databases are text.
        files
            .filter_map(|entry| String::from_utf8(entry.path.clone()).ok())
            .collect()
    }

    fn read(&self, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
        let file = self.open_file(path.as_bytes()).map_err(io::Error::other)?;
        let mut bytes = Vec::new();
        File::from(file).take(limit + 1).read_to_end(&mut bytes)?;
        Ok((bytes.len() as u64 <= limit).then_some(bytes))
    }
}

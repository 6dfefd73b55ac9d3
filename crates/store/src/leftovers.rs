//! What killed commands left lying about. None of it harms; the next sweep has it.

use std::collections::HashSet;

use rbuild_image::LayerId;

use crate::Store;
use crate::error::Result;
use crate::flock::{self, Attempt, Hold};
use crate::lease::list;

impl Store {
    /// How many directories and files are no one's. What is in the trash is on its way out, which is nothing to tell.
    pub(crate) fn leftovers(&self) -> Result<usize> {
        let mut count = 0;
        for owner in list(&self.paths().tmp())? {
            if owner != self.paths().trash() {
                let attempt = flock::try_directory(&owner, Hold::Exclusive)?;
                count += usize::from(matches!(attempt, Attempt::Got(_)));
            }
        }
        Ok(count + self.unknown_layers()? + self.unknown_blobs()?)
    }

    fn unknown_layers(&self) -> Result<usize> {
        let mut count = 0;
        for directory in list(&self.paths().layers())? {
            let name = directory.file_name().and_then(|name| name.to_str());
            let known = match name.and_then(|name| name.parse::<LayerId>().ok()) {
                Some(id) => self.has_layer_row(&id)?,
                None => false,
            };
            if known {
                continue;
            }
            // Whoever holds it is about to enter it.
            let attempt = flock::try_directory(&directory, Hold::Exclusive)?;
            count += usize::from(matches!(attempt, Attempt::Got(_)));
        }
        Ok(count)
    }

    fn unknown_blobs(&self) -> Result<usize> {
        // The files first: a blob that comes in between has a row, and its file is not looked at.
        let files = list(&self.paths().blobs())?;
        let known: HashSet<String> = self
            .blob_digests()?
            .iter()
            .map(rbuild_image::Digest::hex)
            .collect();
        let name = |path: &std::path::PathBuf| {
            let name = path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        Ok(files
            .iter()
            .filter(|path| !known.contains(&name(path)) && path.exists())
            .count())
    }
}

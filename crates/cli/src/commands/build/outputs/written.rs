//! Which files and directories the outputs are.

use std::path::PathBuf;

use super::{Destination, Form, Kind, Outputs};

impl Outputs {
    /// The files that are written, each as a whole.
    pub(in crate::commands::build) fn archives(&self) -> Vec<PathBuf> {
        let archives = self.0.iter().filter_map(|output| match &output.kind {
            Kind::Oci {
                destination: Destination::File(path),
                form: Form::Archive,
            }
            | Kind::Docker {
                destination: Destination::File(path),
            }
            | Kind::Tar {
                destination: Destination::File(path),
            } => Some(path.clone()),
            _ => None,
        });
        archives.collect()
    }

    /// The directories that files are written to.
    pub(in crate::commands::build) fn directories(&self) -> Vec<PathBuf> {
        let directories = self.0.iter().filter_map(|output| match &output.kind {
            Kind::Oci {
                destination: Destination::File(path),
                form: Form::Directory,
            } => Some(path.clone()),
            Kind::Local { directory } => Some(directory.clone()),
            _ => None,
        });
        directories.collect()
    }
}

//! Which groups a container has, as its supervisor wrote it down: other commands may be in groups of their own.

use std::fs;
use std::io;
use std::path::Path;

use super::{Cgroup, Kind};
use crate::ContainerError;

/// In the container's directory.
const FILE: &str = "cgroup.json";

impl Cgroup {
    /// The groups that the container in `directory` had when it was started last; none if it never was.
    pub(crate) fn recorded(directory: &Path) -> Self {
        let text = fs::read(directory.join(FILE)).ok();
        let kind = text.and_then(|text| serde_json::from_slice(&text).ok());
        Self {
            kind: kind.unwrap_or(Kind::Absent),
        }
    }

    /// Has other commands find these groups.
    pub(crate) fn record(&self, directory: &Path) -> Result<(), ContainerError> {
        let text = serde_json::to_vec(&self.kind).map_err(io::Error::from);
        text.and_then(|text| fs::write(directory.join(FILE), text))
            .map_err(ContainerError::Supervise)
    }
}

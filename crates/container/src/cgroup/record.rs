//! Which groups a container has, as its supervisor wrote it down: other commands may be in groups of their own.

use std::fs;
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Cgroup, Kind};
use crate::ContainerError;
use crate::directories::replace_file;

/// In the container's directory.
const FILE: &str = "cgroup.json";
/// What is written. Who reads another version knows no groups: what a killed supervisor left in them stays there.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Record {
    version: u32,
    groups: Kind,
}

impl Cgroup {
    /// The groups that the container in `directory` had when it was started last; none if it never was.
    pub(crate) fn recorded(directory: &Path) -> Self {
        let text = fs::read(directory.join(FILE)).ok();
        let record: Option<Record> = text.and_then(|text| serde_json::from_slice(&text).ok());
        let known = record.filter(|record| record.version == VERSION);
        Self {
            kind: known.map_or(Kind::Absent, |record| record.groups),
        }
    }

    /// Has other commands find these groups.
    pub(crate) fn record(&self, directory: &Path) -> Result<(), ContainerError> {
        let record = Record {
            version: VERSION,
            groups: self.kind.clone(),
        };
        let text = serde_json::to_vec(&record).map_err(io::Error::from);
        text.and_then(|text| replace_file(directory, FILE, &text))
            .map_err(ContainerError::Supervise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_again_as_they_were_written_down() {
        let place = tempfile::tempdir().expect("a directory");
        let written = || fs::read_to_string(place.path().join(FILE)).expect("it is there");
        assert_eq!(Cgroup::recorded(place.path()).kind, Kind::Absent);
        for (kind, text) in [
            (
                Kind::Unified("/sys/fs/cgroup/rbuild/a".into()),
                r#"{"version":1,"groups":{"unified":"/sys/fs/cgroup/rbuild/a"}}"#,
            ),
            (
                Kind::Separate(vec![("pids".to_owned(), "/c/pids/a".into())]),
                r#"{"version":1,"groups":{"separate":[["pids","/c/pids/a"]]}}"#,
            ),
        ] {
            let cgroup = Cgroup { kind };
            cgroup.record(place.path()).expect("it is ours");
            assert_eq!(written(), text);
            assert_eq!(Cgroup::recorded(place.path()), cgroup);
        }
        fs::write(
            place.path().join(FILE),
            r#"{"version":2,"groups":"absent"}"#,
        )
        .expect("ours");
        assert_eq!(Cgroup::recorded(place.path()).kind, Kind::Absent);
    }
}

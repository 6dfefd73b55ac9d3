//! What others say of the documents of an image: see `documents.py`, run by the Python whose path `RBUILD_TEST_S3` holds.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::require::skip;

const SCRIPT: &str = include_str!("documents.py");

/// Debian's golang-github-opencontainers-image-spec-dev.
const OCI_SCHEMAS: &str = "/usr/share/gocode/src/github.com/opencontainers/image-spec/schema";

/// Checks every document of an OCI layout by the schemas of OCI, in-toto, SLSA and SPDX; gives how many there were of each kind.
/// `None` where those are missing.
#[track_caller]
pub fn checked_documents(layout: &Path) -> Option<Value> {
    let test = "a test of documents by their schemas";
    let Some(python) = std::env::var_os("RBUILD_TEST_S3") else {
        skip(
            test,
            "RBUILD_TEST_S3 does not name a Python that has the checkers",
        );
        return None;
    };
    if !Path::new(OCI_SCHEMAS).exists() {
        skip(
            test,
            "golang-github-opencontainers-image-spec-dev is not installed",
        );
        return None;
    }
    let checked = Command::new(python)
        .args(["-c", SCRIPT])
        .arg(layout)
        .arg(OCI_SCHEMAS)
        .output()
        .expect("the Python of RBUILD_TEST_S3 starts");
    let told = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success(), "{}: {told}", layout.display());
    Some(serde_json::from_slice(&checked.stdout).expect("JSON"))
}

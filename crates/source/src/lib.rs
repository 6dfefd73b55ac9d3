//! Contexts: directory, git, http, tar, OCI layout.
#![forbid(unsafe_code)]

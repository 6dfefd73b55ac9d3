//! The distribution protocol: resolve, pull, push, mount, credentials, mirrors.
#![forbid(unsafe_code)]

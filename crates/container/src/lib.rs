//! Create, start, attach, stop, remove containers.
#![forbid(unsafe_code)]

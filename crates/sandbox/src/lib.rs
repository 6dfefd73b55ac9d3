//! Run one process tree over a root filesystem, isolated.
#![forbid(unsafe_code)]

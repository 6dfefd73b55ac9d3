//! A registry with faults, tiny root filesystems, archive makers, golden helpers.
#![forbid(unsafe_code)]

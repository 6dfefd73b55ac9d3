//! Directory to tar and back, content index, digests, compression.
#![forbid(unsafe_code)]

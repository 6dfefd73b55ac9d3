//! Keys and their preimages, records, explain.
#![forbid(unsafe_code)]

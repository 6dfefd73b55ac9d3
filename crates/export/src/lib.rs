//! Image assembly and outputs.
#![forbid(unsafe_code)]

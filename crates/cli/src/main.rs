//! Arguments to options, wiring, exit codes, error rendering.
#![forbid(unsafe_code)]
fn main() {}

//! What the parser and its lints make of Dockerfiles.

mod common;
mod differential;
mod heredocs;
mod instructions;
mod lines;
mod lint;
mod robustness;

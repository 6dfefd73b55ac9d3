//! Stores of objects: what each kind of them promises.

mod directory;
mod gha;
mod s3;

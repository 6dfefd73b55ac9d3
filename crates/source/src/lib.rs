//! Where the files of a build come from: directories, archives, git repositories, web addresses and OCI layouts.
//!
//! [`Context`] walks a directory into a [`ContextTree`], an index with a digest for every file, and asks a stat cache
//! for those that have not changed. [`IgnoreRules`] are `.dockerignore` and `--exclude`, [`Pattern`] is one
//! of their patterns. [`StreamedContext`] is a context on standard input, [`Archive`] what ADD unpacks.
//! [`DirectoryWatch`] waits for changes. [`HttpClient`] downloads what has changed, [`GitClient`] checks out commits, [`OciLayout`] gives out verified
//! blobs. [`ImageArchive`] is what `docker save` and its like wrote.
//!
//! It does not decide what a build needs, make layers of its own accord, or speak to registries; it reads neither
//! environment nor configuration files.
//!
//! ```
//! use rbuild_source::{Context, IgnoreRules, Needed};
//!
//! # let directory = tempfile::tempdir()?;
//! # let directory = directory.path();
//! # std::fs::write(directory.join("Dockerfile"), "FROM scratch\nCOPY . /")?;
//! let rules = IgnoreRules::load(directory, Some(&directory.join("Dockerfile")))?;
//! let context = Context::open(directory, rules)?;
//! let tree = context.walk(&Needed::Paths(vec![b"Dockerfile".to_vec()]), None)?;
//! let file = tree.open_file(b"Dockerfile")?;
//! assert_eq!(std::io::read_to_string(file.file())?, "FROM scratch\nCOPY . /");
//! file.verify()?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![forbid(unsafe_code)]

mod archive;
mod authorization;
mod context;
mod error;
mod git;
mod http;
mod ignore;
mod image_archive;
mod oci_layout;
mod stdin;
mod watch;

pub use archive::{Archive, ArchiveOwner, Packing, UnpackTarget};
pub use authorization::Authorization;
pub use context::{Context, ContextFile, ContextModes, ContextTree, Needed, Trust};
pub use error::SourceError;
pub use git::{
    GitCheckout, GitClient, GitCommit, GitFiles, GitOptions, GitProtocols, GitTimes, GitUrl,
    SubmodulePolicy,
};
pub use http::{HttpClient, HttpFile, HttpRequest, http_file_name};
pub use ignore::{HidingRule, IgnoreRules, Pattern};
pub use image_archive::{ArchivedImage, ArchivedPlatform, ImageArchive, unpacked};
pub use oci_layout::{LayoutImage, LayoutReference, OciLayout, VerifiedBlob};
pub use rbuild_web::{Proxies, WebError, WebOptions};
pub use stdin::{ArchiveStream, Sniffed, StreamedContext, sniff};
pub use watch::{DirectoryWatch, Grown, Woken};

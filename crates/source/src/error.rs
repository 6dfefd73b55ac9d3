//! What can go wrong between a source and the build.

use std::io;
use std::path::PathBuf;

/// A failure of this crate. Messages follow "failed to".
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// The directory of a context cannot be opened.
    #[error("open build context {}", path.display())]
    OpenContext {
        /// Where it was looked for.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something needed in a context cannot be read.
    #[error("read {path} in the build context")]
    ReadContext {
        /// The path in the context.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// Something in a context changes while the build reads it.
    #[error("read {path} in the build context: it was changed during the build")]
    ChangedContext {
        /// The path in the context.
        path: String,
    },
    /// An ignore file exists but cannot be read.
    #[error("read ignore file {}", path.display())]
    ReadIgnoreFile {
        /// The ignore file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A line of an ignore file is no pattern.
    #[error("parse {file}:{line}")]
    IgnoreRule {
        /// The ignore file.
        file: String,
        /// The line, from 1.
        line: u32,
        /// What is wrong with it: a [`SourceError::Pattern`].
        source: Box<SourceError>,
    },
    /// A pattern has no meaning.
    #[error("understand pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A directory cannot be watched.
    #[error("watch {}{hint}", path.display())]
    Watch {
        /// The directory.
        path: PathBuf,
        /// What can be done about it.
        hint: &'static str,
        /// What the kernel said.
        source: io::Error,
    },
    /// The bytes of an archive cannot be read.
    #[error("read archive {name}")]
    ReadArchive {
        /// The archive.
        name: String,
        /// What the reader said.
        source: io::Error,
    },
    /// An archive cannot be unpacked.
    #[error("unpack archive {name}")]
    Unpack {
        /// The archive.
        name: String,
        /// What went wrong.
        source: rbuild_layer::LayerError,
    },
    /// A context on standard input is neither a Dockerfile nor an archive.
    #[error("read build context from standard input: {reason}")]
    Stdin {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A layer cannot be written.
    #[error("write {what}")]
    WriteLayer {
        /// What was to be written.
        what: String,
        /// What went wrong.
        source: rbuild_layer::LayerError,
    },
    /// A URL has no meaning here.
    #[error("understand URL {url}: {reason}")]
    Url {
        /// The URL, without its password.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The proxy or the certificates that were configured cannot be used.
    #[error(transparent)]
    Web(#[from] rbuild_web::WebError),
    /// A server did not answer, or the connection broke.
    #[error("download {url}: {}", in_short(cause))]
    Http {
        /// The URL, without its password.
        url: String,
        /// What the client said.
        cause: Box<ureq::Error>,
    },
    /// A server answered with an error.
    #[error("download {url}: invalid response status {status}")]
    HttpStatus {
        /// The URL, without its password.
        url: String,
        /// The HTTP status code.
        status: u16,
    },
    /// A download broke off.
    #[error("download {url}: it broke off after {received} bytes")]
    Download {
        /// The URL, without its password.
        url: String,
        /// How far it came.
        received: u64,
        /// Why.
        source: io::Error,
    },
    /// What was found is not what the checksum says.
    #[error("digest mismatch for {url}: {found} (expected: {expected})")]
    Checksum {
        /// The URL, without its password.
        url: String,
        /// As the Dockerfile or the descriptor says.
        expected: String,
        /// As it is.
        found: String,
    },
    /// A git ref does not lead to the commit that the checksum names.
    #[error("verify {remote}: expected checksum to match {expected}, got {found}")]
    GitChecksum {
        /// The remote, without its password.
        remote: String,
        /// As the Dockerfile says, or the URL.
        expected: String,
        /// The commit that was found.
        found: String,
    },
    /// [`crate::GitClient::stop`] ended it.
    #[error("fetch {what}: canceled")]
    Stopped {
        /// The URL, without its password.
        what: String,
    },
    /// A file of a cache or a download's target cannot be used.
    #[error("{action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// On what.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// The `git` program cannot be started.
    #[error("start git: it must be installed and in PATH for git sources")]
    StartGit {
        /// What the kernel said.
        source: io::Error,
    },
    /// `git` failed.
    #[error("{action} {remote} with git: {message}")]
    Git {
        /// What was tried.
        action: &'static str,
        /// The remote, without its password.
        remote: String,
        /// The last lines that git wrote.
        message: String,
    },
    /// A repository does not have what was asked for.
    #[error("fetch {remote}: repository does not contain ref {reference}")]
    GitReference {
        /// The branch, tag or commit.
        reference: String,
        /// The remote, without its password.
        remote: String,
    },
    /// The subdirectory is not in the checkout, or is no directory.
    #[error("find directory {directory} in {remote}")]
    GitSubdirectory {
        /// The subdirectory.
        directory: String,
        /// The remote, without its password.
        remote: String,
    },
    /// An OCI layout is not one, or does not hold what it names.
    #[error("read OCI layout {}: {reason}", path.display())]
    OciLayout {
        /// The layout's directory.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// An archive is not one of images, or is damaged.
    #[error("read the images in {name}: {reason}")]
    ImageArchive {
        /// The archive.
        name: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An OCI layout has no image of this name or platform.
    #[error("find {what} in OCI layout {}", path.display())]
    OciLayoutImage {
        /// The layout's directory.
        path: PathBuf,
        /// What was looked for.
        what: String,
    },
}

/// What the kernel said, or else the client.
fn in_short(cause: &ureq::Error) -> String {
    match cause {
        ureq::Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

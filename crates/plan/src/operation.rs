//! What a vertex of the plan does. Data only: nothing here runs.
//!
//! Every operation's output is a *file tree*: a stack of layers (`Image`, `Exec`, `File`, `Merge`, `Git`,
//! `Http`) or a context's directory (`Context`). An operation names its inputs by [`Input`]: the slot of
//! the edge that leads to it.

mod exec;
mod file;
mod source;

pub use exec::*;
pub use file::*;
pub use source::*;

/// The slot of an input edge: `Input(0)` is the first input of a vertex.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Input(pub u32);

/// One operation. Equal operations on equal inputs are one vertex, whatever stage or platform asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Operation {
    /// The layers of an image. No inputs.
    Image(ImageSource),
    /// A local directory. No inputs.
    Context(ContextSource),
    /// A git checkout. No inputs.
    Git(GitSource),
    /// One file from the web. No inputs.
    Http(HttpSource),
    /// A command over a root file system: one layer on top of input 0.
    Exec(Box<Exec>),
    /// Copies, directories and files: one layer on top of `base`.
    File(FileOperation),
    /// The layers of input 0 and, on top, those of the other inputs: makes no layer of its own. With no
    /// inputs it is the empty tree: what a RUN on `FROM scratch` starts from.
    Merge,
}

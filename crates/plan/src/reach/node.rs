//! What the stage graph is made of.

use std::borrow::Cow;
use std::sync::Arc;

use rbuild_dockerfile::{Instruction, Span};
use rbuild_image::Platform;

use crate::NamedContext;

/// A node's place in [`StageGraph::nodes`].
pub(crate) type StageIndex = usize;

/// What a stage starts from.
#[derive(Debug, Clone)]
pub(crate) enum Base {
    /// Nothing.
    Scratch,
    /// Another stage of the file.
    Stage(StageIndex),
    /// An image, as written.
    Image(String),
    /// `--build-context`: its name and what it is. Never `Target`.
    Context(String, NamedContext),
}

/// Whether a node runs instructions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// A stage of the file.
    Stage,
    /// A stage whose content a named context replaces: its instructions do not count.
    Replaced,
    /// Something that `--from` names and that is no stage.
    Foreign,
}

/// Where an instruction comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trigger {
    /// The stage itself.
    Written,
    /// An ONBUILD of its base.
    OnBuild,
}

/// An instruction and the nodes its `--from`s name: one for COPY, one for each mount of RUN.
#[derive(Debug)]
pub(crate) struct Command<'a> {
    pub(crate) instruction: Cow<'a, Instruction>,
    pub(crate) sources: Vec<Option<StageIndex>>,
    pub(crate) trigger: Trigger,
}

/// A stage, or something that stands for one.
#[derive(Debug)]
pub(crate) struct Node<'a> {
    /// What steps are called by: the name, or `stage-1`; empty if it is the only one.
    pub(crate) label: Arc<str>,
    /// The name after AS, in lower case.
    pub(crate) name: Option<String>,
    pub(crate) base: Base,
    /// Global ARGs that FROM expands.
    pub(crate) used: Vec<String>,
    /// The base as written, for messages and lookups.
    pub(crate) base_text: String,
    /// `--platform=`
    pub(crate) platform: Option<Platform>,
    pub(crate) span: Span,
    pub(crate) role: Role,
    pub(crate) commands: Vec<Command<'a>>,
    /// Needed nodes and where they are named.
    pub(crate) needs: Vec<(StageIndex, Span)>,
    /// How many steps its vertex names count to.
    pub(crate) total: usize,
    /// Whether the base's ONBUILD instructions have been put in.
    pub(crate) triggers: Triggers,
}

/// Whether ONBUILD instructions have been looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Triggers {
    /// Not yet.
    Pending,
    /// They are in `commands`.
    Inserted,
}

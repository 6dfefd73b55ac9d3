//! What can be built from a file: its stages.

use rbuild_dockerfile::{Dockerfile, Span};

use crate::outline::description;

/// A stage, as the file has it: nothing is expanded or resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Its name in lower case; empty if it has none.
    pub name: String,
    /// What the comment above it says.
    pub description: String,
    /// Whether it is built if no target is named.
    pub is_default: bool,
    /// The image or stage that it begins with, as written.
    pub base: String,
    /// `--platform=`, as written; empty if absent.
    pub platform: String,
    /// The FROM.
    pub span: Span,
}

/// The stages of a file, in its order.
pub fn targets(dockerfile: &Dockerfile) -> Vec<Target> {
    let last = dockerfile.stages.len().saturating_sub(1);
    let stages = dockerfile.stages.iter().enumerate();
    stages
        .map(|(index, stage)| {
            let name = stage.from.name.as_ref();
            let name = name.map_or_else(String::new, |name| name.value.to_lowercase());
            Target {
                description: description(&stage.comments, &name),
                name,
                is_default: index == last,
                base: stage.from.base.value.clone(),
                platform: stage
                    .from
                    .platform
                    .as_ref()
                    .map_or_else(String::new, |platform| platform.value.clone()),
                span: stage.span,
            }
        })
        .collect()
}

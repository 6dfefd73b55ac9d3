//! The stage that is built.

use rbuild_dockerfile::{Diagnostic, Span};

use super::{StageGraph, StageIndex};
use crate::go::quote;
use crate::near;

/// So many stages are named in a message.
const MAX_NAMES_SHOWN: usize = 20;

impl StageGraph<'_> {
    /// The stage that `--target` names, or the last one.
    pub(crate) fn target(&self, name: Option<&str>) -> Result<StageIndex, Diagnostic> {
        let Some(name) = name.filter(|name| !name.is_empty()) else {
            return Ok(self.stages.saturating_sub(1));
        };
        self.by_name(name).ok_or_else(|| {
            let message = format!("target stage {} could not be found", quote(name));
            let mistake = Diagnostic::error("unknown-target", message, Span::default());
            let names = self.nodes.iter().filter_map(|node| node.name.as_deref());
            match near::nearest(name, names) {
                Some(label) => mistake.with_help(format!("did you mean {label}?")),
                None => mistake.with_help(self.names_help()),
            }
        })
    }

    /// What stages can be called by.
    fn names_help(&self) -> String {
        let mut names: Vec<&str> = self.by_name.keys().map(String::as_str).collect();
        if names.is_empty() {
            return "no stage of the file has a name: write `FROM … AS name`".to_owned();
        }
        names.sort_unstable();
        names.truncate(MAX_NAMES_SHOWN);
        format!("the file has {}", names.join(", "))
    }
}

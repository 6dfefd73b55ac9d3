//! Stages that wait for themselves.

use rbuild_dockerfile::{Diagnostic, Span};

use super::{StageGraph, StageIndex};
use crate::report::Report;

impl StageGraph<'_> {
    /// Stages that need themselves, by way of others or at once.
    pub(crate) fn report_cycles(&self, report: &mut Report) {
        let mut marks = vec![Mark::Unseen; self.nodes.len()];
        for start in 0..self.nodes.len() {
            if let Some((index, span)) = self.cycle_from(start, &mut marks) {
                let message = format!(
                    "circular dependency detected on stage: {}",
                    self.nodes[index].label
                );
                let mistake = Diagnostic::error("circular-dependency", message, span);
                report.push(mistake.within(span));
                return;
            }
        }
    }

    /// A depth-first walk with its own stack: a file may have as many stages as it likes.
    fn cycle_from(&self, start: StageIndex, marks: &mut [Mark]) -> Option<(StageIndex, Span)> {
        if marks[start] != Mark::Unseen {
            return None;
        }
        marks[start] = Mark::Open;
        let mut path = vec![(start, 0)];
        while let Some((index, next)) = path.last_mut() {
            let index = *index;
            let Some(&(need, span)) = self.nodes[index].needs.get(*next) else {
                marks[index] = Mark::Closed;
                path.pop();
                continue;
            };
            *next += 1;
            match marks[need] {
                Mark::Open => return Some((need, span)),
                Mark::Closed => {}
                Mark::Unseen => {
                    marks[need] = Mark::Open;
                    path.push((need, 0));
                }
            }
        }
        None
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    Unseen,
    Open,
    Closed,
}

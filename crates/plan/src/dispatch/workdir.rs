//! WORKDIR.

use std::sync::Arc;

use rbuild_dockerfile::Word;

use super::{Layer, Outcome, Step, owner};
use crate::lint::rules;
use crate::stage::{Tree, Workdir};
use crate::{CacheUse, FileAction, FileOperation, Input, Operation, Owner, paths};

/// The mode of a working directory that is made.
const DIRECTORY_MODE: u32 = 0o755;

impl Step<'_, '_, '_> {
    /// Makes the directory, which is a layer of its own and belongs to the stage's USER; `/` is there already.
    pub(super) fn workdir(&mut self, word: &Word) -> Outcome<()> {
        let path = self.expand(word)?;
        if self.state().workdir == Workdir::Inherited && !path.starts_with('/') {
            self.warn(rules::relative_workdir(&path, word.span));
        }
        let state = self.state();
        state.workdir = Workdir::Written;
        let cwd: Arc<str> = paths::resolve(&state.cwd, &path).into();
        state.config.working_dir = Arc::clone(&cwd);
        state.cwd = Arc::clone(&cwd);
        let layer = if &*cwd == "/" {
            Layer::None
        } else {
            self.make_directory(&cwd, word)?;
            Layer::Made
        };
        self.commit(format!("WORKDIR {cwd}"), layer);
        Ok(())
    }

    fn make_directory(&mut self, path: &str, word: &Word) -> Outcome<()> {
        let title = self.title();
        let name = self.step_name(&title);
        let base = self.layers();
        let user = &self.stage.state.config.user;
        let owner = if user.is_empty() {
            Owner::Ids { uid: 0, gid: 0 }
        } else {
            owner(user).map_err(|reason| self.mistake("invalid-owner", reason, word.span))?
        };
        let operation = Operation::File(FileOperation {
            base: base.map(|_| Input(0)),
            actions: vec![FileAction::MakeDirectory {
                path: path.to_owned(),
                mode: DIRECTORY_MODE,
                owner,
            }],
        });
        let vertex = self.vertex(operation, name, CacheUse::Allowed);
        let inputs: Vec<_> = base.into_iter().collect();
        let id = self.stage.plan.add(vertex, &inputs);
        self.state().tree = Tree::Layers(id);
        Ok(())
    }
}

//! Instructions that only change the config: MAINTAINER, ONBUILD, SHELL, USER, VOLUME.

use std::sync::Arc;

use rbuild_dockerfile::{Onbuild, Word};

use super::{Layer, Outcome, Step};
use crate::go;

impl Step<'_, '_, '_> {
    pub(super) fn maintainer(&mut self, name: &Word) {
        self.state().config.author = name.value.as_str().into();
        self.commit(format!("MAINTAINER {}", name.value), Layer::None);
    }

    /// Waits for the build that starts from this image. No line of history.
    pub(super) fn onbuild(&mut self, onbuild: &Onbuild) {
        let triggers = &mut self.state().config.on_build;
        triggers.push(onbuild.expression.clone());
    }

    pub(super) fn shell(&mut self, words: &[Word]) {
        let shell: Vec<String> = words.iter().map(|word| word.value.clone()).collect();
        self.commit(format!("SHELL {}", go::list(&shell)), Layer::None);
        let shell = shell.into_iter().map(Arc::from);
        self.state().config.shell = Some(shell.collect());
    }

    pub(super) fn user(&mut self, user: &Word) -> Outcome<()> {
        let user = self.expand(user)?;
        self.commit(format!("USER {user}"), Layer::None);
        self.state().config.user = user.into();
        Ok(())
    }

    /// Only metadata: what later steps write there stays.
    pub(super) fn volume(&mut self, words: &[Word]) -> Outcome<()> {
        let mut volumes = Vec::with_capacity(words.len());
        for word in words {
            let volume = self.expand(word)?;
            if volume.is_empty() {
                let message = "VOLUME specified can not be an empty string";
                return Err(self.mistake("empty-volume", message, word.span));
            }
            volumes.push(volume);
        }
        self.commit(format!("VOLUME {}", go::list(&volumes)), Layer::None);
        self.state().config.volumes.extend(volumes);
        Ok(())
    }
}

//! Instructions that only change the config: MAINTAINER, ONBUILD, SHELL, USER, VOLUME.

use std::collections::BTreeMap;

use rbuild_dockerfile::{Onbuild, Word};

use super::{Layer, Outcome, Step};
use crate::go;

impl Step<'_, '_, '_> {
    pub(super) fn maintainer(&mut self, name: &Word) {
        self.state().config.author.clone_from(&name.value);
        self.commit(format!("MAINTAINER {}", name.value), Layer::None);
    }

    /// Waits for the build that starts from this image. No line of history.
    pub(super) fn onbuild(&mut self, onbuild: &Onbuild) {
        let triggers = self.state().config.config.on_build.get_or_insert_default();
        triggers.push(onbuild.expression.clone());
    }

    pub(super) fn shell(&mut self, words: &[Word]) {
        let shell: Vec<String> = words.iter().map(|word| word.value.clone()).collect();
        self.commit(format!("SHELL {}", go::list(&shell)), Layer::None);
        self.state().config.config.shell = Some(shell);
    }

    pub(super) fn user(&mut self, user: &Word) -> Outcome<()> {
        let user = self.expand(user)?;
        self.commit(format!("USER {user}"), Layer::None);
        self.state().config.config.user = user;
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
        let known = &mut self.state().config.config.volumes;
        known.extend(volumes.into_iter().map(|volume| (volume, BTreeMap::new())));
        Ok(())
    }
}

//! CMD, ENTRYPOINT, and the shell in front of a shell form.

use std::sync::Arc;

use rbuild_dockerfile::{Command, Span};

use super::{Layer, Step};
use crate::go;
use crate::lint::rules;

impl Step<'_, '_, '_> {
    pub(super) fn cmd(&mut self, command: &Command) {
        let earlier = self.state().latest.cmd;
        self.warn_repeated(earlier);
        self.state().latest.cmd = Some(self.origin);
        let args = self.arguments(command);
        self.commit(format!("CMD {}", go::quote_list(&args)), Layer::None);
        let config = &mut self.state().config;
        config.cmd = Some(args.into());
        config.args_escaped = true;
    }

    /// An inherited CMD was meant for another entrypoint: it goes; one of this stage stays.
    pub(super) fn entrypoint(&mut self, command: &Command) {
        let earlier = self.state().latest.entrypoint;
        self.warn_repeated(earlier);
        self.state().latest.entrypoint = Some(self.origin);
        let args = self.arguments(command);
        self.commit(format!("ENTRYPOINT {}", go::quote_list(&args)), Layer::None);
        let has_own_cmd = self.state().latest.cmd.is_some();
        let config = &mut self.state().config;
        config.entrypoint = (!args.is_empty()).then(|| args.into());
        if !has_own_cmd {
            config.cmd = None;
        }
    }

    /// The earlier one is the guilty one; whether to say so is for the comment above this one.
    pub(super) fn warn_repeated(&mut self, earlier: Option<Span>) {
        let Some(earlier) = earlier else {
            return;
        };
        let keyword = &self.command.instruction.keyword.value;
        let warning = rules::multiple_instructions(keyword, earlier).within(earlier);
        if !self.stage.build.checks.skips_at(self.origin, warning.code) {
            self.warn(warning);
        }
    }

    fn arguments(&mut self, command: &Command) -> Vec<String> {
        match command {
            Command::Json(words) => words.iter().map(|word| word.value.clone()).collect(),
            Command::Shell(text) => {
                if self
                    .state()
                    .config
                    .shell
                    .as_deref()
                    .is_none_or(<[_]>::is_empty)
                {
                    let keyword = &self.command.instruction.keyword.value;
                    self.warn(rules::json_args_recommended(keyword, self.origin));
                }
                let shell = self.image_shell();
                let words = shell.iter().map(AsRef::as_ref);
                words
                    .chain([text.value.as_str()])
                    .map(str::to_owned)
                    .collect()
            }
        }
    }

    /// What runs a shell form.
    pub(super) fn image_shell(&self) -> Arc<[Arc<str>]> {
        let config = &self.stage.state.config;
        match &config.shell {
            Some(shell) if !shell.is_empty() => Arc::clone(shell),
            _ if config.os() == "windows" => ["cmd", "/S", "/C"].map(Arc::from).into(),
            _ => Arc::clone(&self.stage.build.shell),
        }
    }
}

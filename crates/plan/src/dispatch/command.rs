//! CMD, ENTRYPOINT, and the shell in front of a shell form.

use rbuild_dockerfile::{Command, Span};
use rbuild_image::ImageConfig;

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
        let runtime = &mut self.state().config.config;
        runtime.cmd = Some(args);
        runtime.args_escaped = true;
    }

    /// An inherited CMD was meant for another entrypoint: it goes; one of this stage stays.
    pub(super) fn entrypoint(&mut self, command: &Command) {
        let earlier = self.state().latest.entrypoint;
        self.warn_repeated(earlier);
        self.state().latest.entrypoint = Some(self.origin);
        let args = self.arguments(command);
        self.commit(format!("ENTRYPOINT {}", go::quote_list(&args)), Layer::None);
        let has_own_cmd = self.state().latest.cmd.is_some();
        let runtime = &mut self.state().config.config;
        runtime.entrypoint = (!args.is_empty()).then_some(args);
        if !has_own_cmd {
            runtime.cmd = None;
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
                let has_shell =
                    matches!(&self.state().config.config.shell, Some(shell) if !shell.is_empty());
                if !has_shell {
                    let keyword = &self.command.instruction.keyword.value;
                    self.warn(rules::json_args_recommended(keyword, self.origin));
                }
                with_shell(&self.state().config, text.value.clone())
            }
        }
    }
}

/// `text` as an argument of the image's shell.
pub(super) fn with_shell(config: &ImageConfig, text: String) -> Vec<String> {
    let mut args = match &config.config.shell {
        Some(shell) if !shell.is_empty() => shell.clone(),
        _ if config.os == "windows" => vec!["cmd".into(), "/S".into(), "/C".into()],
        _ => vec!["/bin/sh".into(), "-c".into()],
    };
    args.push(text);
    args
}

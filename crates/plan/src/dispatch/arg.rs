//! ARG.

use std::sync::Arc;

use rbuild_dockerfile::ArgItem;

use super::{Layer, Outcome, Step};
use crate::environment::Origin;
use crate::lint::{is_secret_name, rules};
use crate::outline::{NotedArg, description};
use crate::platform_args::NEVER_ENV;

impl Step<'_, '_, '_> {
    /// A build arg, else the default (which sees the ARGs before it), else the global value; else nothing changes.
    pub(super) fn arg(&mut self, items: &[ArgItem]) -> Outcome<()> {
        let mut printed = String::from("ARG");
        for item in items {
            let name = &item.name.value;
            if is_secret_name(name) {
                self.warn(rules::secret_in_arg_or_env("ARG", name, item.name.span));
            }
            let build = self.stage.build;
            let value = if let Some(given) = build.args.get(name) {
                Some(given.clone())
            } else if let Some(default) = &item.default {
                Some(self.expand(default)?)
            } else {
                build.globals.env.get(name).map(str::to_owned)
            };
            let text: Arc<str> = match &value {
                Some(value) => [name, "=", value].concat().into(),
                None => name.as_str().into(),
            };
            if value.is_some() && !NEVER_ENV.contains(&name.as_str()) {
                self.state().set_arg(Arc::clone(&text), name.len());
            }
            printed.push(' ');
            printed.push_str(&text);
            let declared = Arc::clone(&text);
            self.state().args.put(declared, name.len(), Origin::Arg);
            self.outline_arg(item, text);
        }
        self.commit(printed, Layer::None);
        Ok(())
    }

    /// An ARG that only repeats a global one is that one.
    fn outline_arg(&mut self, item: &ArgItem, text: Arc<str>) {
        let name = &item.name.value;
        let globals = &self.stage.build.globals;
        let is_own = item.default.is_some() || self.stage.build.args.contains_key(name);
        if !is_own && globals.env.get(name).is_some() {
            self.state().captured.global(name);
            return;
        }
        let arg = NotedArg {
            text,
            name_length: name.len(),
            description: description(&self.command.instruction.comments, name),
            span: self.origin,
        };
        self.state().captured.arg(arg);
    }
}

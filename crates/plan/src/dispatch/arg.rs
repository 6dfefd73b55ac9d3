//! ARG.

use rbuild_dockerfile::ArgItem;

use super::{Layer, Outcome, Step};
use crate::lint::{is_secret_name, rules};
use crate::outline::{OutlineArg, description};
use crate::platform_args::NEVER_ENV;
use crate::stage::DeclaredArg;

impl Step<'_, '_, '_> {
    /// A build arg, else the default (which sees the ARGs before it), else the global value; else nothing changes.
    pub(super) fn arg(&mut self, items: &[ArgItem]) -> Outcome<()> {
        let mut printed = Vec::with_capacity(items.len());
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
            if let Some(value) = &value
                && !NEVER_ENV.contains(&name.as_str())
            {
                self.state().set_argument(name, value);
            }
            printed.push(match &value {
                Some(value) => format!("{name}={value}"),
                None => name.clone(),
            });
            self.outline_arg(item, value.as_deref());
            let name = name.clone();
            self.state().args.push(DeclaredArg { name, value });
        }
        self.commit(format!("ARG {}", printed.join(" ")), Layer::None);
        Ok(())
    }

    /// An ARG that only repeats a global one is that one.
    fn outline_arg(&mut self, item: &ArgItem, value: Option<&str>) {
        let name = &item.name.value;
        let globals = &self.stage.build.globals;
        let is_own = item.default.is_some() || self.stage.build.args.contains_key(name);
        if !is_own && globals.env.get(name).is_some() {
            let captured = &mut self.stage.state.captured;
            captured.global(name, &globals.outline);
            return;
        }
        let arg = OutlineArg {
            name: name.clone(),
            description: description(&self.command.instruction.comments, name),
            value: value.unwrap_or_default().to_owned(),
            span: self.origin,
        };
        self.state().captured.arg(arg);
    }
}

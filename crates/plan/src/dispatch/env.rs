//! ENV and LABEL.

use rbuild_dockerfile::{KeyValueForm, KeyValues, Span};

use super::{Layer, Outcome, Step};
use crate::lint::{is_secret_name, rules};

impl Step<'_, '_, '_> {
    /// Warns of `ENV k v`.
    fn warn_legacy(&mut self, pairs: &KeyValues) {
        let (KeyValueForm::Legacy, [(key, value)]) = (pairs.form, pairs.pairs.as_slice()) else {
            return;
        };
        let keyword = &self.command.instruction.keyword;
        let span = keyword.span.to(value.span);
        let mut warning = rules::legacy_key_value(&keyword.value, span);
        if !value.value.contains([' ', '\t', '"', '\'', '\\', '`']) {
            warning =
                warning.with_patch(format!("{} {}={}", keyword.value, key.value, value.value));
        }
        self.warn(warning);
    }

    /// All pairs are expanded before the first takes effect: `ENV A=1 B=$A` sees the A from before.
    pub(super) fn env(&mut self, pairs: &KeyValues) -> Outcome<()> {
        let pairs = self.pairs(pairs)?;
        let mut printed = String::from("ENV");
        for (name, value, span) in pairs {
            if is_secret_name(&name) {
                self.warn(rules::secret_in_arg_or_env("ENV", &name, span));
            }
            self.state().set_env(&name, &value);
            for part in [" ", &name, "=", &value] {
                printed.push_str(part);
            }
        }
        self.commit(printed, Layer::None);
        Ok(())
    }

    pub(super) fn label(&mut self, pairs: &KeyValues) -> Outcome<()> {
        let mut printed = String::from("LABEL");
        for (name, value, _) in self.pairs(pairs)? {
            for part in [" ", &name, "=", &value] {
                printed.push_str(part);
            }
            self.state().config.labels.push((name, value));
        }
        self.commit(printed, Layer::None);
        Ok(())
    }

    fn pairs(&mut self, pairs: &KeyValues) -> Outcome<Vec<(String, String, Span)>> {
        self.warn_legacy(pairs);
        let expanded = pairs
            .pairs
            .iter()
            .map(|(name, value)| Ok((self.expand(name)?, self.expand(value)?, name.span)));
        expanded.collect()
    }
}

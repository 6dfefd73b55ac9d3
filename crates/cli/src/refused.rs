//! Options of docker's that are refused by name: ignoring them would do something else than was asked for.
//!
//! A verb has its table, and a field `#[command(flatten)] refused: Refused<Table>`; that is all.

use std::marker::PhantomData;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

/// An option that is refused.
pub(crate) struct Refusal {
    long: &'static str,
    short: Option<char>,
    value: Takes,
    why: &'static str,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Takes {
    Nothing,
    Value,
}

/// An option with a value that is refused, and why.
pub(crate) const fn option(long: &'static str, why: &'static str) -> Refusal {
    Refusal {
        long,
        short: None,
        value: Takes::Value,
        why,
    }
}

/// As [`option`], without a value.
pub(crate) const fn flag(long: &'static str, why: &'static str) -> Refusal {
    Refusal {
        long,
        short: None,
        value: Takes::Nothing,
        why,
    }
}

impl Refusal {
    /// With a letter.
    pub(crate) const fn or(self, short: char) -> Self {
        Self {
            short: Some(short),
            ..self
        }
    }
}

/// The options of a verb that are refused.
pub(crate) trait Table {
    /// All of them.
    const REFUSED: &'static [Refusal];
}

/// None of the options of `T` were typed.
pub(crate) struct Refused<T>(PhantomData<T>);

impl<T> std::fmt::Debug for Refused<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Refused")
    }
}

impl<T: Table> clap::Args for Refused<T> {
    fn augment_args(command: Command) -> Command {
        T::REFUSED.iter().fold(command, |command, refused| {
            let action = match refused.value {
                // One that says =false asks for nothing: see `switches`.
                Takes::Nothing => ArgAction::SetTrue,
                Takes::Value => ArgAction::Append,
            };
            let mut arg = Arg::new(refused.long)
                .long(refused.long)
                .action(action)
                .overrides_with_all((refused.value == Takes::Nothing).then_some(refused.long));
            if let Some(short) = refused.short {
                arg = arg.short(short);
            }
            let values = refused.value == Takes::Value;
            command.arg(arg.hide(true).allow_hyphen_values(values))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<T: Table> clap::FromArgMatches for Refused<T> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = T::REFUSED.iter().filter(|refused| match refused.value {
            Takes::Nothing => matches.get_flag(refused.long),
            Takes::Value => matches.contains_id(refused.long),
        });
        let words = typed.map(|refused| format!("--{} is refused: {}", refused.long, refused.why));
        let words: Vec<String> = words.collect();
        if words.is_empty() {
            return Ok(Self(PhantomData));
        }
        let kind = ErrorKind::UnknownArgument;
        Err(clap::Error::raw(kind, format!("{}\n", words.join("; "))))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

// Docker's signatures, which are neither made nor asked for: its default, and the only way here.
#[derive(Debug, clap::Args)]
pub(crate) struct ContentTrust {
    /// Whether signatures are left alone
    #[arg(long, hide = true, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    #[arg(value_parser = no_trust)]
    disable_content_trust: Option<bool>,
}

fn no_trust(text: &str) -> Result<bool, &'static str> {
    match text {
        "true" | "1" | "t" | "T" | "TRUE" | "True" => Ok(true),
        _ => Err("signatures are not verified; pin images by their digests"),
    }
}

#[cfg(test)]
#[path = "refused_tests.rs"]
mod tests;

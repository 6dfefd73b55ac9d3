//! Switches with values, as Go's programs take them: `--rm=false`, `-t=true`, `-it=false`, and the last one counts.
//!
//! clap knows switches that are there or not, so they are put in that form before it sees them, in one place for all
//! verbs. What has a value of its own, and all that belongs to a container's command, stays as it is.

use std::collections::BTreeMap;
use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// `arguments` with each switch of the verb at `at` that is on, without values, and with none that is off.
pub(crate) fn plain(cli: &Command, arguments: Vec<OsString>, at: usize) -> Vec<OsString> {
    if !arguments.iter().skip(at).any(may_have_value) {
        return arguments;
    }
    let Some(verb) = arguments
        .get(at)
        .and_then(|word| built(cli, word.to_str()?))
    else {
        return arguments;
    };
    let mut words = arguments.into_iter();
    let mut done: Vec<OsString> = words.by_ref().take(at + 1).collect();
    Typed::default().read(&verb, &mut words, &mut done);
    done
}

/// Whether a word may be a switch with a value: what has none needs no second look.
fn may_have_value(word: &OsString) -> bool {
    let value = word.to_str().filter(|word| word.starts_with('-'));
    value.is_some_and(|word| word.rsplit('=').next().and_then(boolean).is_some())
}

/// As Go reads it.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

/// The verb with its options, which are made when somebody asks for them.
fn built(command: &Command, name: &str) -> Option<Command> {
    let mut verb = command.find_subcommand(name)?.clone();
    verb.build();
    Some(verb)
}

/// The switches that were typed so far, by their long names.
#[derive(Default)]
struct Typed(BTreeMap<String, bool>);

impl Typed {
    /// Takes the words of `verb`, and puts what is left of them behind `done`.
    fn read(
        mut self,
        verb: &Command,
        words: &mut impl Iterator<Item = OsString>,
        done: &mut Vec<OsString>,
    ) {
        let mut rest = Vec::new();
        while let Some(word) = words.next() {
            match self.meaning(verb, &word) {
                Meaning::Switch => {}
                Meaning::Option => rest.push(word),
                Meaning::OptionWithNext => {
                    rest.push(word);
                    rest.extend(words.next());
                }
                Meaning::Verb(inner) => {
                    rest.push(word);
                    Self::default().read(&inner, words, &mut rest);
                }
                Meaning::End => {
                    rest.push(word);
                    rest.extend(words.by_ref());
                }
            }
        }
        let on = self.0.into_iter().filter(|(_, on)| *on);
        done.extend(on.map(|(long, _)| OsString::from(format!("--{long}"))));
        done.append(&mut rest);
    }

    fn meaning(&mut self, verb: &Command, word: &OsString) -> Meaning {
        let Some(text) = word.to_str() else {
            return Meaning::Option;
        };
        if text == "--" {
            return Meaning::End;
        }
        if let Some(long) = text.strip_prefix("--") {
            return self.long(verb, long);
        }
        match text.strip_prefix('-') {
            Some(letters) if !letters.is_empty() => self.letters(verb, letters),
            _ => operand(verb, text),
        }
    }

    /// `NAME` or `NAME=VALUE`
    fn long(&mut self, verb: &Command, text: &str) -> Meaning {
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        };
        let has = |arg: &&Arg| {
            arg.get_long() == Some(name)
                || arg.get_all_aliases().is_some_and(|all| all.contains(&name))
        };
        match (verb.get_arguments().find(has), value) {
            (Some(arg), None) if is_switch(arg) => self.note(arg, true),
            (Some(arg), Some(value)) if is_switch(arg) => match boolean(value) {
                Some(on) => self.note(arg, on),
                // clap says what is wrong with it.
                None => Meaning::Option,
            },
            (Some(arg), None) if takes_next(arg) => Meaning::OptionWithNext,
            (None, None) if is_global(name) => Meaning::OptionWithNext,
            _ => Meaning::Option,
        }
    }

    /// `it` or `it=VALUE`; what comes behind a letter with a value is the value.
    fn letters(&mut self, verb: &Command, text: &str) -> Meaning {
        let (letters, on) = match text.split_once('=') {
            None => (text, Some(true)),
            Some((letters, value)) => (letters, boolean(value)),
        };
        let mut switches = Vec::new();
        for (at, letter) in letters.char_indices() {
            let known = verb.get_arguments().find(|arg| {
                arg.get_short() == Some(letter)
                    || arg
                        .get_all_short_aliases()
                        .is_some_and(|all| all.contains(&letter))
            });
            match known {
                Some(arg) if is_switch(arg) => switches.push(arg),
                Some(arg) if takes_next(arg) && at + letter.len_utf8() == text.len() => {
                    return Meaning::OptionWithNext;
                }
                _ => return Meaning::Option,
            }
        }
        let (Some(on), Some(last)) = (on, switches.pop()) else {
            return Meaning::Option;
        };
        for arg in switches {
            self.note(arg, true);
        }
        self.note(last, on)
    }

    fn note(&mut self, switch: &Arg, on: bool) -> Meaning {
        let Some(long) = switch.get_long() else {
            return Meaning::Option;
        };
        self.0.insert(long.to_owned(), on);
        Meaning::Switch
    }
}

/// What a word is.
enum Meaning {
    /// A switch, or several, and noted.
    Switch,
    /// An option that has its value with it, or what has nothing to do with switches.
    Option,
    /// An option whose value is the next word.
    OptionWithNext,
    /// A verb of the verb.
    Verb(Box<Command>),
    /// From here on no word is ours.
    End,
}

fn operand(verb: &Command, text: &str) -> Meaning {
    if let Some(inner) = verb.find_subcommand(text) {
        return Meaning::Verb(Box::new(inner.clone()));
    }
    let mut operands = verb.get_positionals();
    if operands.any(Arg::is_trailing_var_arg_set) {
        return Meaning::End;
    }
    Meaning::Option
}

fn is_switch(arg: &Arg) -> bool {
    matches!(arg.get_action(), ArgAction::SetTrue) && arg.get_long().is_some()
}

fn takes_next(arg: &Arg) -> bool {
    let at_least = arg.get_num_args().map_or(1, |range| range.min_values());
    arg.get_action().takes_values() && at_least > 0
}

/// Options of the whole program, which clap makes every verb's when it reads them.
fn is_global(name: &str) -> bool {
    crate::args::GLOBAL_WITH_VALUE
        .iter()
        .any(|global| global.strip_prefix("--") == Some(name))
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;
    use crate::args::Cli;

    fn plainly(line: &str) -> String {
        let words = ["rbuild"].into_iter().chain(line.split(' '));
        let words = words.map(OsString::from).collect();
        let done = plain(&Cli::command(), words, 1);
        let done: Vec<&str> = done
            .iter()
            .skip(1)
            .filter_map(|word| word.to_str())
            .collect();
        done.join(" ")
    }

    #[test]
    fn switches_take_values_in_every_verb() {
        for (typed, meant) in [
            ("run --rm=true busybox", "run --rm busybox"),
            ("run --rm=false busybox", "run busybox"),
            ("run -t=false -i busybox", "run --interactive busybox"),
            ("run -it=false busybox", "run --interactive busybox"),
            (
                "run -dit=1 busybox",
                "run --detach --interactive --tty busybox",
            ),
            ("run --rm --rm=false busybox", "run busybox"),
            ("run --rm=F --rm -d=T busybox", "run --detach --rm busybox"),
            ("ps -a=true --no-trunc=false", "ps --all"),
            ("container ls --all=0 -q=1", "container ls --quiet"),
            ("rm -fv=true one", "rm --force --volumes one"),
            ("system prune -a=true -f", "system prune --all --force"),
            ("volume prune --force=true", "volume prune --force"),
            ("--root /x ps --all=true", "--root /x ps --all=true"),
        ] {
            assert_eq!(plainly(typed), meant, "{typed}");
        }
    }

    #[test]
    fn what_has_values_of_its_own_keeps_them() {
        for line in [
            "run -e=1 --env X=true busybox",
            "run -eA=1 --name=true busybox",
            "run --env --rm=true busybox",
            "run busybox sh --rm=true -t=false",
            "exec one env A=1 --tty=false",
            "run --sig-proxy=false busybox",
            "ps -n=1 --filter exited=1",
            "ps --filter=exited=0",
            "run --rm=perhaps busybox x=1",
            "run --root /x --name=1 busybox",
            "images -- --all=true",
            "run --nope=true busybox",
        ] {
            assert_eq!(plainly(line), line);
        }
    }
}

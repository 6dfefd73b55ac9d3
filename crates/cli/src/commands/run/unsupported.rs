//! Options of `docker run` that are refused by name: ignoring them would run something else than was asked for.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// An option that is refused.
struct Refused {
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

const NOT_YET: &str = "it is not supported yet";
const LIMITS: &str = "this limit is not supported";
const ADDRESSES: &str =
    "private networks have IPv4 addresses, from which those of interfaces follow";
const LINKS: &str = "containers of one network (rbuild network create) know each other by name";

const fn refused(long: &'static str, value: Takes, why: &'static str) -> Refused {
    Refused {
        long,
        short: None,
        value,
        why,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "a constant's parts")]
const fn with_short(short: char, refused: Refused) -> Refused {
    Refused {
        short: Some(short),
        ..refused
    }
}

const REFUSED: &[Refused] = {
    use Takes::{Nothing, Value};
    &[
        with_short('a', refused("attach", Value, "all streams are attached")),
        refused("blkio-weight", Value, LIMITS),
        refused("cgroup-parent", Value, LIMITS),
        refused("gpus", Value, NOT_YET),
        refused("ip6", Value, ADDRESSES),
        refused("link", Value, LINKS),
        refused("log-driver", Value, NOT_YET),
        refused("mac-address", Value, ADDRESSES),
        refused("oom-kill-disable", Nothing, LIMITS),
        refused("runtime", Value, "there is one runtime, and it is rbuild"),
        refused("volume-driver", Value, NOT_YET),
        refused("volumes-from", Value, NOT_YET),
    ]
};

/// Those of the refused options that were typed.
#[derive(Debug, Default)]
pub(crate) struct Unsupported(Vec<String>);

impl Unsupported {
    /// Fails if there are any.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        if self.0.is_empty() {
            return Ok(());
        }
        anyhow::bail!("{}", self.0.join("; "))
    }
}

impl clap::Args for Unsupported {
    fn augment_args(command: Command) -> Command {
        REFUSED.iter().fold(command, |command, refused| {
            let action = match refused.value {
                Takes::Nothing => ArgAction::Count,
                Takes::Value => ArgAction::Append,
            };
            let arg = Arg::new(refused.long).long(refused.long).action(action);
            let arg = match refused.short {
                Some(short) => arg.short(short),
                None => arg,
            };
            command.arg(arg.hide(true))
        })
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for Unsupported {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let typed = REFUSED.iter().filter(|refused| match refused.value {
            Takes::Nothing => matches.get_count(refused.long) > 0,
            Takes::Value => matches.contains_id(refused.long),
        });
        let words = typed.map(|refused| format!("--{} is refused: {}", refused.long, refused.why));
        Ok(Self(words.collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

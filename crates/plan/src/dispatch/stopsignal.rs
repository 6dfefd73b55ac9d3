//! STOPSIGNAL.

use rbuild_dockerfile::Word;

use super::{Layer, Outcome, Step};

/// Linux's signals by name, without `SIG`; the place is the number. Numbers above are real-time signals.
const NAMES: [&str; 32] = [
    "", "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// Other names for some of them.
const ALIASES: [&str; 4] = ["CLD", "IOT", "POLL", "UNUSED"];

impl Step<'_, '_, '_> {
    pub(super) fn stopsignal(&mut self, word: &Word) -> Outcome<()> {
        let signal = self.expand(word)?;
        if !is_signal(&signal) {
            let message = format!("invalid signal: {signal}");
            return Err(self
                .mistake("invalid-signal", message, word.span)
                .with_help("a name like SIGTERM, or a number"));
        }
        self.commit(format!("STOPSIGNAL {signal}"), Layer::None);
        self.state().config.stop_signal = signal.into();
        Ok(())
    }
}

/// Whether `text` names a signal: a number but 0, `SIGTERM`, `TERM`, `RTMIN+3`, in any case.
fn is_signal(text: &str) -> bool {
    if let Ok(number) = text.parse::<i64>() {
        return number != 0;
    }
    let upper = text.to_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if name.is_empty() {
        return false;
    }
    let real_time = |prefix: &str, sign: char, most: u32| {
        name.strip_prefix(prefix).is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix(sign)
                    .and_then(|number| number.parse::<u32>().ok())
                    .is_some_and(|number| (1..=most).contains(&number))
        })
    };
    NAMES.contains(&name)
        || ALIASES.contains(&name)
        || real_time("RTMIN", '+', 15)
        || real_time("RTMAX", '-', 14)
}

#[cfg(test)]
mod tests {
    use super::is_signal;

    #[test]
    fn signals_have_names_and_numbers() {
        for good in [
            "SIGTERM",
            "term",
            "9",
            "SIGRTMIN+3",
            "RTMAX-14",
            "SIGRTMIN",
            "37",
        ] {
            assert!(is_signal(good), "{good}");
        }
        for bad in ["", "SIG", "SIGWHAT", "0", "RTMIN+16", "TERM "] {
            assert!(!is_signal(bad), "{bad}");
        }
    }
}

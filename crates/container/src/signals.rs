//! Signals by name or number, as `--stop-signal` and `kill -s` take them.

use crate::ContainerError;

/// The highest number of a signal.
const LAST: i32 = 64;
/// The C libraries keep two real-time signals for themselves.
const REAL_TIME_MIN: i32 = 34;

/// What stops a container whose image does not say.
pub(crate) const TERM: i32 = 15;
/// What no process can refuse.
pub(crate) const KILL: i32 = 9;

const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2",
    "PIPE", "ALRM", "TERM", "STKFLT", "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG",
    "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];

/// `SIGTERM`, `term`, `15`, `RTMIN+3`.
pub fn signal_number(text: &str) -> Result<i32, ContainerError> {
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let named = NAMES.iter().position(|known| *known == name);
    let number = match (named, name) {
        (Some(index), _) => i32::try_from(index + 1).ok(),
        (None, "IOT") => Some(6),
        (None, "POLL") => Some(29),
        (None, "RTMIN") => Some(REAL_TIME_MIN),
        (None, "RTMAX") => Some(LAST),
        (None, _) => name
            .strip_prefix("RTMIN+")
            .and_then(|plus| Some(REAL_TIME_MIN + plus.parse::<i32>().ok()?))
            .or_else(|| Some(LAST - name.strip_prefix("RTMAX-")?.parse::<i32>().ok()?))
            .or_else(|| name.parse().ok()),
    };
    number
        .filter(|number| (1..=LAST).contains(number))
        .ok_or_else(|| ContainerError::option("the signal", text, "there is no such signal"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_known_by_all_their_names() {
        for (text, number) in [
            ("TERM", 15),
            ("SIGKILL", 9),
            ("sigint", 2),
            ("1", 1),
            ("SIGRTMIN+3", 37),
            ("RTMAX-1", 63),
            ("WINCH", 28),
        ] {
            assert_eq!(signal_number(text).expect("it is one"), number, "{text}");
        }
        for text in ["", "0", "65", "SIGNOPE", "RTMIN+40", "-1"] {
            assert!(signal_number(text).is_err(), "{text}");
        }
    }
}

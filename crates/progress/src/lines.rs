//! A stream of bytes cut into lines, with progress bars that redraw their line by `\r` kept in bounds.
//!
//! ```text
//! "ab" "c\nd"          → "abc", and "d" is pending
//! "10%\r20%\r…100%\n"  → "10%", then at most one redraw in REDRAW_INTERVAL, and always "100%"
//! ```

use std::time::Duration;

/// A line that is redrawn in place counts as a line of its own at most this often.
const REDRAW_INTERVAL: Duration = Duration::from_millis(200);

/// Cuts one stream into lines.
#[derive(Debug, Default)]
pub(crate) struct LineSplitter {
    pending: Vec<u8>,
    pending_since: Duration,
    /// The last byte was `\r`: what follows decides whether it ended a line or redraws one.
    returned: bool,
    redrawn_at: Option<Duration>,
}

impl LineSplitter {
    /// Takes bytes in; `line` gets each finished line without its end.
    pub(crate) fn push(
        &mut self,
        data: &[u8],
        at: Duration,
        mut line: impl FnMut(Duration, &[u8]),
    ) {
        let mut rest = data;
        while let Some(&first) = rest.first() {
            if std::mem::take(&mut self.returned) && first != b'\n' && first != b'\r' {
                self.redraw(&mut line);
            }
            let end = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
            let taken = end.unwrap_or(rest.len());
            if self.pending.is_empty() {
                self.pending_since = at;
            }
            self.pending.extend_from_slice(&rest[..taken]);
            let Some(end) = end else { return };
            match rest[end] {
                b'\n' => {
                    line(self.pending_since, &self.pending);
                    self.pending.clear();
                    self.redrawn_at = None;
                }
                _ => self.returned = true,
            }
            rest = &rest[end + 1..];
        }
    }

    /// The text of the line so far is about to be overwritten.
    fn redraw(&mut self, line: &mut impl FnMut(Duration, &[u8])) {
        let due = self
            .redrawn_at
            .is_none_or(|last| self.pending_since.saturating_sub(last) >= REDRAW_INTERVAL);
        if due && !self.pending.is_empty() {
            line(self.pending_since, &self.pending);
            self.redrawn_at = Some(self.pending_since);
        }
        self.pending.clear();
    }

    /// What came after the last line's end, and when it began to come.
    pub(crate) fn pending(&self) -> Option<(Duration, &[u8])> {
        (!self.pending.is_empty()).then_some((self.pending_since, &self.pending))
    }

    /// Takes what is pending away.
    pub(crate) fn take_pending(&mut self) -> Option<(Duration, Vec<u8>)> {
        self.returned = false;
        (!self.pending.is_empty()).then(|| (self.pending_since, std::mem::take(&mut self.pending)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(chunks: &[(u64, &str)]) -> (Vec<String>, Option<String>) {
        let mut splitter = LineSplitter::default();
        let mut seen = Vec::new();
        for (at, data) in chunks {
            splitter.push(data.as_bytes(), Duration::from_millis(*at), |_, line| {
                seen.push(String::from_utf8_lossy(line).into_owned());
            });
        }
        let rest = splitter.take_pending();
        (
            seen,
            rest.map(|(_, text)| String::from_utf8_lossy(&text).into_owned()),
        )
    }

    #[test]
    fn a_line_that_comes_in_pieces_is_one_line() {
        let (seen, rest) = lines(&[(0, "ab"), (1, "c\n\nd"), (2, "e")]);
        assert_eq!(seen, ["abc", ""]);
        assert_eq!(rest.as_deref(), Some("de"));
    }

    #[test]
    fn carriage_return_before_a_newline_is_part_of_the_line_end() {
        assert_eq!(lines(&[(0, "a\r\nb\r"), (1, "\n")]).0, ["a", "b"]);
    }

    #[test]
    fn a_redrawn_line_is_kept_in_bounds_and_its_last_state_is_shown() {
        let bar = (0..=100).fold(String::new(), |bar, n| bar + &format!("{n}%\r"));
        let (seen, _) = lines(&[(0, &bar), (50, "done\n")]);
        assert_eq!(seen, ["0%", "done"]);
        let slow = [(0, "10%\r"), (300, "20%\r"), (350, "30%\r"), (900, "40%\n")];
        assert_eq!(lines(&slow).0, ["10%", "20%", "40%"]);
    }

    #[test]
    fn a_last_line_without_its_end_is_not_lost() {
        assert_eq!(lines(&[(0, "10%\r20%\r")]).1.as_deref(), Some("20%"));
    }
}

//! Folding what a vertex says in the logs of continuous integrations.
//!
//! ```text
//! GitHub   ::group::#5 [build 2/3] RUN make
//!          #5 0.123 cc -o hello hello.c
//!          #5 DONE 1.0s
//!          ::endgroup::
//! GitLab   section_start:1700000000:rbuild_1700000000_1[collapsed=true]␍␛[0K#5 [build 2/3] RUN make
//!          …
//!          section_end:1700000001:rbuild_1700000000_1␍␛[0K
//! ```

use std::io::Write;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Who shows the log, and folds what is marked so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogViewer {
    /// Nobody in particular: nothing is marked.
    #[default]
    Plain,
    /// GitHub Actions.
    GitHub,
    /// GitLab CI.
    GitLab,
}

/// Writes the marks.
pub(crate) struct Folds {
    viewer: LogViewer,
    started_at: SystemTime,
    /// Sections so far; each has a name of its own.
    sections: u32,
    is_open: bool,
}

impl Folds {
    pub(crate) fn new(viewer: LogViewer, started_at: SystemTime) -> Self {
        Self {
            viewer,
            started_at,
            sections: 0,
            is_open: false,
        }
    }

    /// Writes the line `title`, under which what follows is folded.
    pub(crate) fn open(&mut self, out: &mut Vec<u8>, title: &str, now: Duration) {
        self.sections += 1;
        self.is_open = true;
        // Writing to a Vec cannot fail.
        let _ = match self.viewer {
            LogViewer::Plain => writeln!(out, "{title}"),
            // What a command says is unescaped.
            LogViewer::GitHub => writeln!(out, "::group::{}", title.replace('%', "%25")),
            LogViewer::GitLab => writeln!(
                out,
                "section_start:{}:{}[collapsed=true]\r\x1b[0K{title}",
                self.seconds(now),
                self.section(),
            ),
        };
    }

    /// Ends what is folded, if anything is.
    pub(crate) fn close(&mut self, out: &mut Vec<u8>, now: Duration) {
        if !std::mem::take(&mut self.is_open) {
            return;
        }
        let _ = match self.viewer {
            LogViewer::Plain => Ok(()),
            LogViewer::GitHub => writeln!(out, "::endgroup::"),
            LogViewer::GitLab => writeln!(
                out,
                "section_end:{}:{}\r\x1b[0K",
                self.seconds(now),
                self.section(),
            ),
        };
    }

    fn section(&self) -> String {
        format!("rbuild_{}_{}", self.seconds(Duration::ZERO), self.sections)
    }

    fn seconds(&self, now: Duration) -> u64 {
        let since = (self.started_at + now).duration_since(UNIX_EPOCH);
        since.map_or(0, |since| since.as_secs())
    }
}

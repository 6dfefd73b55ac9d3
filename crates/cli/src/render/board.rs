//! The lines of pulls and pushes, as docker prints them: one for each layer.
//!
//! On a terminal a layer's line changes in place (`3f4ca61aafcd: Downloading [===>   ]  3.15MB/29.1MB`); elsewhere it is
//! printed once, when it says how the layer ended.

use std::io::{self, Write};

use super::bytes_decimal;

/// Cells between a bar's brackets.
const BAR_CELLS: u64 = 50;

/// Where lines go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Voice {
    /// They are what the command gives.
    Stdout,
    /// They are for who watches the command, and for nobody else.
    Terminal,
    /// The command's output is something else.
    Stderr,
    /// Nobody wants them.
    Silent,
}

/// Whether more will be said of a layer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// It goes on.
    Moving,
    /// That was all.
    Last,
}

/// Lines that stay, and a row for each layer.
pub(crate) struct Board {
    sink: Box<dyn Write + Send>,
    /// Columns and rows, if lines can change in place.
    size: Option<(usize, usize)>,
    rows: Vec<Row>,
}

struct Row {
    id: String,
    text: String,
    mark: Mark,
}

impl Board {
    /// An empty board.
    pub(crate) fn new(voice: Voice) -> Self {
        match voice {
            Voice::Stdout => Self::on(Box::new(io::stdout()), size_of(&io::stdout())),
            Voice::Terminal => match size_of(&io::stdout()) {
                Some(size) => Self::on(Box::new(io::stdout()), Some(size)),
                None => Self::on(Box::new(io::sink()), None),
            },
            Voice::Stderr => Self::on(Box::new(io::stderr()), size_of(&io::stderr())),
            Voice::Silent => Self::on(Box::new(io::sink()), None),
        }
    }

    fn on(sink: Box<dyn Write + Send>, size: Option<(usize, usize)>) -> Self {
        Self {
            sink,
            size,
            rows: Vec::new(),
        }
    }

    /// Writes a line below everything.
    pub(crate) fn say(&mut self, line: &str) {
        self.rows.clear();
        self.write(&format!("{line}\n"));
    }

    /// Says where a layer stands.
    pub(crate) fn set(&mut self, id: &str, text: &str, mark: Mark) {
        let known = self.rows.iter().position(|row| row.id == id);
        if known.is_some_and(|at| self.rows[at].mark == Mark::Last) {
            return;
        }
        let row = Row {
            id: id.to_owned(),
            text: text.to_owned(),
            mark,
        };
        let at = known.unwrap_or(self.rows.len());
        if known.is_none() {
            self.rows.push(row);
        } else if self.rows[at].text == text {
            self.rows[at].mark = mark;
            return;
        } else {
            self.rows[at] = row;
        }
        self.draw(at, known.is_none());
    }

    /// Says how much of a layer is done.
    pub(crate) fn progress(&mut self, id: &str, doing: &str, current: u64, total: u64) {
        if self.size.is_some() {
            let text = format!("{doing} {}", bar(current, total));
            self.set(id, &text, Mark::Moving);
        }
    }

    fn draw(&mut self, at: usize, new: bool) {
        let row = &self.rows[at];
        let line = format!("{}: {}", row.id, row.text);
        match self.size {
            Some((columns, rows)) if self.rows.len() < rows => {
                let line: String = line.chars().take(columns.saturating_sub(1)).collect();
                let up = self.rows.len() - at;
                self.write(&if new {
                    format!("{line}\n")
                } else {
                    format!("\x1b[{up}A\r\x1b[2K{line}\x1b[{up}B\r")
                });
            }
            _ if row.mark == Mark::Last => self.write(&format!("{line}\n")),
            _ => {}
        }
    }

    /// A reader that is gone misses nothing that it wanted.
    fn write(&mut self, text: &str) {
        let _ = self
            .sink
            .write_all(text.as_bytes())
            .and_then(|()| self.sink.flush());
    }
}

fn size_of(stream: &(impl io::IsTerminal + std::os::fd::AsFd)) -> Option<(usize, usize)> {
    if !stream.is_terminal() {
        return None;
    }
    let size = rbuild_container::terminal_size(stream.as_fd())?;
    Some((usize::from(size.columns), usize::from(size.rows)))
}

/// `[====>      ]  3.15MB/29.1MB`
fn bar(current: u64, total: u64) -> String {
    let filled = current
        .min(total)
        .saturating_mul(BAR_CELLS)
        .checked_div(total)
        .unwrap_or(BAR_CELLS) as usize;
    let mut cells = "=".repeat(filled.saturating_sub(1));
    cells.push('>');
    let cells_wide = BAR_CELLS as usize;
    format!(
        "[{cells:<cells_wide$}]  {}/{}",
        bytes_decimal(current),
        bytes_decimal(total)
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no panics").extend(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(size: Option<(usize, usize)>, speak: impl FnOnce(&mut Board)) -> String {
        let paper = Paper::default();
        speak(&mut Board::on(Box::new(paper.clone()), size));
        let bytes = paper.0.lock().expect("no panics").clone();
        String::from_utf8(bytes).expect("text")
    }

    fn pull(board: &mut Board) {
        board.say("latest: Pulling from library/app");
        board.set("aaa", "Pulling fs layer", Mark::Moving);
        board.set("bbb", "Already exists", Mark::Last);
        board.progress("aaa", "Downloading", 1000, 2000);
        board.set("aaa", "Pull complete", Mark::Last);
        board.set("aaa", "Pull complete", Mark::Last);
    }

    #[test]
    fn elsewhere_than_on_a_terminal_each_layer_is_told_once() {
        assert_eq!(
            written(None, pull),
            "latest: Pulling from library/app\nbbb: Already exists\naaa: Pull complete\n"
        );
    }

    #[test]
    fn on_a_terminal_a_layer_keeps_its_line() {
        let text = written(Some((80, 24)), pull);
        assert!(
            text.contains("aaa: Pulling fs layer\nbbb: Already exists\n"),
            "{text:?}"
        );
        assert!(
            text.contains("\x1b[2A\r\x1b[2Kaaa: Downloading [===="),
            "{text:?}"
        );
        assert!(
            text.ends_with("\x1b[2A\r\x1b[2Kaaa: Pull complete\x1b[2B\r"),
            "{text:?}"
        );
    }

    #[test]
    fn bars_are_full_at_the_end() {
        assert!(bar(0, 0).starts_with(&format!("[{}>]", "=".repeat(49))));
        assert_eq!(
            bar(1000, 2000),
            format!("[{:<50}]  1kB/2kB", "=".repeat(24) + ">")
        );
    }
}

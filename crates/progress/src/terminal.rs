//! `--progress=tty`: a picture drawn again and again in place, and left as plain lines at the end.
//!
//! indicatif draws; [`crate::frame`] says what. The cursor is never hidden and no mode of the terminal
//! is changed, so that nothing has to be restored when a build dies.

use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle, TermLike};

use crate::Event;
use crate::frame::{self, Style};
use crate::model::Model;
use crate::plain::write_warnings;
use crate::renderer::{Colors, Draw, TerminalSize};

/// Pictures are at least this far apart: more often nobody can read them.
const FRAME_INTERVAL: Duration = Duration::from_millis(80);

/// Draws on a terminal.
pub(crate) struct Terminal {
    screen: Screen,
    size: Box<dyn Fn() -> TerminalSize + Send>,
    style: Style,
    bar: Option<ProgressBar>,
    drawn: Option<Drawn>,
}

/// The last picture.
struct Drawn {
    at: Duration,
    size: TerminalSize,
    lines: usize,
}

impl Terminal {
    pub(crate) fn new(
        writer: Box<dyn Write + Send>,
        size: Box<dyn Fn() -> TerminalSize + Send>,
        colors: Colors,
        log_lines: usize,
    ) -> Self {
        Self {
            screen: Screen::new(writer),
            size,
            style: Style { colors, log_lines },
            bar: None,
            drawn: None,
        }
    }

    fn draw(&mut self, model: &Model) {
        let size = (self.size)();
        self.screen.lock().size = Some(size);
        self.forget_another_size(size);
        let lines = frame::moving(model, size, self.style);
        let bar = self.bar.get_or_insert_with(|| {
            let target = ProgressDrawTarget::term_like_with_hz(Box::new(self.screen.clone()), 255);
            let style = ProgressStyle::with_template("{msg}").expect("the template is constant");
            ProgressBar::with_draw_target(None, target).with_style(style)
        });
        bar.set_message(lines.join("\n"));
        self.drawn = Some(Drawn {
            at: model.now(),
            size,
            lines: lines.len(),
        });
    }

    /// A terminal that changes its width flows the picture anew, over as many rows as its cells need
    /// then. Those are erased here, and the next picture begins afresh.
    fn forget_another_size(&mut self, size: TerminalSize) {
        let Some(drawn) = &self.drawn else { return };
        if drawn.size.columns == size.columns {
            return;
        }
        let cells = drawn.lines * usize::from(drawn.size.columns);
        let rows = cells.div_ceil(usize::from(size.columns.max(1)));
        self.screen.lock().muted = true;
        self.bar = None;
        let mut screen = self.screen.lock();
        screen.muted = false;
        let up = rows.saturating_sub(1).min(usize::from(size.rows));
        if up > 0 {
            screen.write(format_args!("\x1b[{up}A"));
        }
        screen.write(format_args!("\r\x1b[J"));
        drop(screen);
        self.drawn = None;
    }

    fn erase(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
        let mut screen = self.screen.lock();
        if self.drawn.take().is_some() {
            screen.write(format_args!("\r\x1b[J"));
        }
        screen.flush();
    }
}

impl Draw for Terminal {
    fn event(&mut self, _: &Event, _: &Model) {}

    fn tick(&mut self, model: &Model) {
        let due = self
            .drawn
            .as_ref()
            .is_none_or(|drawn| model.now().saturating_sub(drawn.at) >= FRAME_INTERVAL);
        if due && model.vertices().next().is_some() {
            self.draw(model);
        }
    }

    fn end(&mut self, model: &Model) {
        self.erase();
        if model.vertices().next().is_none() {
            return;
        }
        let mut text = frame::last(model, (self.size)(), self.style)
            .join("\n")
            .into_bytes();
        text.push(b'\n');
        write_warnings(&mut text, &model.summary().warnings);
        let mut screen = self.screen.lock();
        screen.write_bytes(&text);
        screen.flush();
    }

    fn abandon(&mut self, _: &Model) {
        self.erase();
    }
}

/// The terminal as indicatif wants it, on a writer that was given to us.
#[derive(Clone)]
struct Screen(Arc<Mutex<ScreenState>>);

struct ScreenState {
    writer: Box<dyn Write + Send>,
    out: Vec<u8>,
    size: Option<TerminalSize>,
    muted: bool,
}

impl Screen {
    fn new(writer: Box<dyn Write + Send>) -> Self {
        Self(Arc::new(Mutex::new(ScreenState {
            writer,
            out: Vec::new(),
            size: None,
            muted: false,
        })))
    }

    fn lock(&self) -> MutexGuard<'_, ScreenState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ScreenState {
    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.write_bytes(text.to_string().as_bytes());
    }

    fn write_bytes(&mut self, bytes: &[u8]) {
        if !self.muted {
            self.out.extend_from_slice(bytes);
        }
    }

    /// A picture reaches the terminal in one piece. A terminal that is gone ends the drawing, not the build.
    fn flush(&mut self) {
        let _ = self.writer.write_all(&self.out);
        let _ = self.writer.flush();
        self.out.clear();
    }
}

impl std::fmt::Debug for Screen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Screen")
    }
}

impl Screen {
    fn move_cursor(&self, count: usize, code: char) {
        if count > 0 {
            self.lock().write(format_args!("\x1b[{count}{code}"));
        }
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        self.lock().size.map_or(80, |size| size.columns)
    }

    fn height(&self) -> u16 {
        self.lock().size.map_or(24, |size| size.rows)
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'A');
        Ok(())
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'B');
        Ok(())
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'C');
        Ok(())
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.move_cursor(n, 'D');
        Ok(())
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.lock().write(format_args!("{text}\n"));
        Ok(())
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.lock().write_bytes(text.as_bytes());
        Ok(())
    }

    fn clear_line(&self) -> io::Result<()> {
        self.lock().write_bytes(b"\r\x1b[2K");
        Ok(())
    }

    fn flush(&self) -> io::Result<()> {
        self.lock().flush();
        Ok(())
    }
}

#[cfg(test)]
#[path = "terminal_tests.rs"]
mod tests;

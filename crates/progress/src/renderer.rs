//! The thread that draws, and how it is started and ended.

use std::io::Write;
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use crate::folds::Folds;
use crate::model::Model;
use crate::plain::Plain;
use crate::rawjson::RawJson;
use crate::reporter::Message;
use crate::terminal::Terminal;
use crate::{Event, LogViewer, Mode, Reporter, Summary};

/// Events that may wait to be drawn before workers have to wait: a few thousand chunks of output.
const CHANNEL_EVENTS: usize = 4096;

/// How often time is drawn where nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// Events taken in at most before what they gave is written out.
const BURST_EVENTS: usize = 1024;

/// A terminal's size in cells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TerminalSize {
    /// Cells in a line.
    pub columns: u16,
    /// Lines.
    pub rows: u16,
}

/// Whether a terminal is given colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Colors {
    /// Yes.
    #[default]
    Ansi,
    /// No, as `NO_COLOR` asks.
    None,
}

/// How a build is drawn.
pub struct RenderOptions {
    /// What `--progress` says.
    pub mode: Mode,
    /// Asks for the size of the terminal behind the writer, before each picture; `None` where the writer
    /// is no terminal.
    pub terminal: Option<Box<dyn Fn() -> TerminalSize + Send>>,
    /// Whether the terminal is given colours.
    pub colors: Colors,
    /// Who shows the lines of [`Mode::Plain`].
    pub viewer: LogViewer,
    /// Moving lines of output below a running step.
    pub log_lines: usize,
    /// The wall clock at the build's zero, which [`Mode::RawJson`] and folds write their times by.
    pub started_at: SystemTime,
}

impl Default for RenderOptions {
    fn default() -> Self {
        Self {
            mode: Mode::Auto,
            terminal: None,
            colors: Colors::Ansi,
            viewer: LogViewer::Plain,
            log_lines: 6,
            started_at: SystemTime::UNIX_EPOCH,
        }
    }
}

/// Draws a build's events on a thread of its own until [`Renderer::finish`].
///
/// Dropped without it, it erases what moves and leaves the terminal clean.
#[derive(Debug)]
pub struct Renderer {
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    sender: Sender<Message>,
    start: Instant,
    thread: JoinHandle<Summary>,
}

impl Renderer {
    /// Starts to draw on `writer`; the build's zero is now.
    pub fn start(options: RenderOptions, writer: Box<dyn Write + Send>) -> (Reporter, Self) {
        let start = Instant::now();
        let (sender, receiver) = bounded(CHANNEL_EVENTS);
        let draw = drawing(options, writer);
        let thread = std::thread::Builder::new()
            .name("progress".to_owned())
            .spawn(move || run(&receiver, start, draw))
            .expect("a thread can be started at the beginning of a build");
        let reporter = Reporter::new(sender.clone(), start);
        let running = Some(Running {
            sender,
            start,
            thread,
        });
        (reporter, Self { running })
    }

    /// Draws the end and tells what it all came to. Events sent after this vanish.
    pub fn finish(mut self) -> Summary {
        let Some(running) = self.running.take() else {
            return Summary::default();
        };
        // A thread that is gone has panicked, which the join tells.
        let _ = running
            .sender
            .send(Message::Finish(running.start.elapsed()));
        match running.thread.join() {
            Ok(summary) => summary,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }
}

impl Drop for Renderer {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            let _ = running.sender.send(Message::Abandon);
            let _ = running.thread.join();
        }
    }
}

/// One way to draw. The model already knows an event when it is drawn.
pub(crate) trait Draw {
    /// Something happened.
    fn event(&mut self, event: &Event, model: &Model);
    /// Some events happened, or time passed: write out what there is.
    fn tick(&mut self, model: &Model);
    /// The build ended.
    fn end(&mut self, model: &Model);
    /// Nobody waits for the end: leave the output clean.
    fn abandon(&mut self, model: &Model);
}

fn drawing(options: RenderOptions, writer: Box<dyn Write + Send>) -> Box<dyn Draw + Send> {
    let RenderOptions {
        mode,
        terminal,
        colors,
        viewer,
        log_lines,
        started_at,
    } = options;
    match (mode, terminal) {
        (Mode::Auto | Mode::Tty, Some(size)) => {
            Box::new(Terminal::new(writer, size, colors, log_lines))
        }
        (Mode::Tty, None) => {
            let size = || TerminalSize {
                columns: 80,
                rows: 24,
            };
            Box::new(Terminal::new(writer, Box::new(size), colors, log_lines))
        }
        (Mode::Auto | Mode::Plain, _) => {
            Box::new(Plain::new(writer, Folds::new(viewer, started_at)))
        }
        (Mode::RawJson, _) => Box::new(RawJson::new(writer, started_at)),
        (Mode::Quiet, _) => Box::new(Quiet),
    }
}

fn run(receiver: &Receiver<Message>, start: Instant, mut draw: Box<dyn Draw + Send>) -> Summary {
    let mut model = Model::default();
    loop {
        let first = match receiver.recv_timeout(TICK) {
            Ok(message) => Some(message),
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => Some(Message::Abandon),
        };
        // What has come in the meantime is drawn with it, so that a flood of output is written in large pieces.
        let more = receiver.try_iter().take(BURST_EVENTS);
        for message in first.into_iter().chain(more) {
            match message {
                Message::Event(event) => {
                    model.apply(&event);
                    draw.event(&event, &model);
                }
                Message::Finish(at) => {
                    model.pass(at);
                    draw.end(&model);
                    return model.summary();
                }
                Message::Abandon => {
                    draw.abandon(&model);
                    return model.summary();
                }
            }
        }
        model.pass(start.elapsed());
        draw.tick(&model);
    }
}

/// Draws nothing.
struct Quiet;

impl Draw for Quiet {
    fn event(&mut self, _: &Event, _: &Model) {}
    fn tick(&mut self, _: &Model) {}
    fn end(&mut self, _: &Model) {}
    fn abandon(&mut self, _: &Model) {}
}

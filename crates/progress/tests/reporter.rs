//! What workers rely on: many threads may tell, nothing is lost, nothing hangs.

use std::io::Write;
use std::sync::{Arc, Mutex};

use rbuild_progress::{
    EventKind, EventVertex, Mode, Outcome, RenderOptions, Renderer, Reporter, Stream,
};

#[derive(Clone, Default)]
struct Sink(Arc<Mutex<Vec<u8>>>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no writer panics").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

struct Broken;

impl Write for Broken {
    fn write(&mut self, _: &[u8]) -> std::io::Result<usize> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Err(std::io::ErrorKind::BrokenPipe.into())
    }
}

fn run_step(reporter: &Reporter, number: u32, lines: u32) {
    let vertex = EventVertex(number);
    reporter.send(EventKind::Planned {
        vertex,
        name: format!("[s{number} 1/1] RUN work"),
        inputs: Vec::new(),
    });
    reporter.send(EventKind::Started { vertex });
    for line in 0..lines {
        reporter.send(EventKind::Output {
            vertex,
            stream: Stream::Stdout,
            data: format!("s{number} line {line}\n").into_bytes(),
        });
    }
    let outcome = match number {
        3 => Outcome::Failed {
            message: "exit code: 1".to_owned(),
        },
        _ => Outcome::Completed,
    };
    reporter.send(EventKind::Done { vertex, outcome });
}

fn options(mode: Mode) -> RenderOptions {
    RenderOptions {
        mode,
        ..RenderOptions::default()
    }
}

#[test]
fn eight_workers_lose_no_line_and_the_failed_one_is_reported_with_its_last_words() {
    let sink = Sink::default();
    let (reporter, renderer) = Renderer::start(options(Mode::Plain), Box::new(sink.clone()));
    std::thread::scope(|scope| {
        for number in 0..8 {
            let reporter = reporter.clone();
            scope.spawn(move || run_step(&reporter, number, 5_000));
        }
    });
    let summary = renderer.finish();
    let text = String::from_utf8(sink.0.lock().expect("no writer panics").clone()).expect("text");
    for number in 0..8 {
        let own = text
            .lines()
            .filter(|line| line.contains(&format!(" s{number} line ")));
        assert_eq!(own.count(), 5_000);
    }
    assert_eq!((summary.steps, summary.completed), (8, 7));
    let failed = summary.failed.expect("step 3 failed");
    assert_eq!(failed.name, "[s3 1/1] RUN work");
    assert_eq!(failed.last_lines.len(), 20);
    assert_eq!(failed.last_lines[19].1, "s3 line 4999");
    assert!(
        failed
            .to_string()
            .starts_with("------\n > [s3 1/1] RUN work:\n")
    );
}

#[test]
fn a_reader_that_is_gone_stops_no_build() {
    for mode in [Mode::Plain, Mode::Tty, Mode::RawJson, Mode::Quiet] {
        let (reporter, renderer) = Renderer::start(options(mode), Box::new(Broken));
        run_step(&reporter, 1, 20_000);
        assert_eq!(renderer.finish().completed, 1);
        // Later words vanish.
        run_step(&reporter, 2, 20_000);
    }
}

#[test]
fn a_dropped_renderer_waits_for_nobody() {
    let (reporter, renderer) = Renderer::start(options(Mode::Tty), Box::new(Sink::default()));
    run_step(&reporter, 1, 1);
    drop(renderer);
    run_step(&reporter, 2, 20_000);
}

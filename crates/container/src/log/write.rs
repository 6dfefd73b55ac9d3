//! Writing a log.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::{Entry, LogLimits, path};
use crate::link::Stream;

/// A line that is longer is written in pieces, as Docker does.
const LINE_BYTES: usize = 16 << 10;

/// Appends to a container's log.
pub(crate) struct LogWriter {
    directory: PathBuf,
    limits: LogLimits,
    file: File,
    bytes: u64,
    /// Beginnings of lines, one for each stream.
    begun: [Vec<u8>; 2],
}

impl LogWriter {
    /// Goes on where an earlier run stopped.
    pub(crate) fn open(directory: &Path, limits: LogLimits) -> io::Result<Self> {
        let file = open(directory)?;
        Ok(Self {
            directory: directory.to_owned(),
            limits,
            bytes: file.metadata()?.len(),
            file,
            begun: [Vec::new(), Vec::new()],
        })
    }

    /// Takes what was written to a stream, and writes all complete lines.
    pub(crate) fn write(
        &mut self,
        stream: Stream,
        bytes: &[u8],
        now: SystemTime,
    ) -> io::Result<()> {
        let mut begun = std::mem::take(&mut self.begun[index(stream)]);
        let mut text = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            begun.extend_from_slice(piece);
            while begun.last() == Some(&b'\n') || begun.len() >= LINE_BYTES {
                let rest = begun.split_off(cut(&begun));
                entry(&mut text, stream, &begun, now)?;
                begun = rest;
                if begun.is_empty() {
                    break;
                }
            }
        }
        self.begun[index(stream)] = begun;
        self.append(&text)
    }

    /// Writes what no line end came for.
    pub(crate) fn finish(&mut self, now: SystemTime) -> io::Result<()> {
        let mut text = Vec::new();
        for stream in [Stream::Stdout, Stream::Stderr] {
            let begun = std::mem::take(&mut self.begun[index(stream)]);
            if !begun.is_empty() {
                entry(&mut text, stream, &begun, now)?;
            }
        }
        self.append(&text)
    }

    fn append(&mut self, text: &[u8]) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        if self.bytes > 0 && self.bytes + text.len() as u64 > self.limits.max_bytes {
            self.rotate()?;
        }
        self.file.write_all(text)?;
        self.bytes += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        for age in (0..self.limits.max_files.saturating_sub(1)).rev() {
            match fs::rename(path(&self.directory, age), path(&self.directory, age + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        if self.limits.max_files <= 1 {
            fs::remove_file(path(&self.directory, 0))?;
        }
        self.file = open(&self.directory)?;
        self.bytes = 0;
        Ok(())
    }
}

fn open(directory: &Path) -> io::Result<File> {
    let mut options = File::options();
    options.append(true).create(true).mode(0o600);
    options.open(path(directory, 0))
}

fn index(stream: Stream) -> usize {
    usize::from(stream == Stream::Stderr)
}

/// How much of `begun` makes an entry: all, or as much as fits without tearing a character.
fn cut(begun: &[u8]) -> usize {
    if begun.len() <= LINE_BYTES {
        return begun.len();
    }
    let continues = |at: usize| begun[at] & 0b1100_0000 == 0b1000_0000;
    (LINE_BYTES - 3..=LINE_BYTES)
        .rev()
        .find(|at| !continues(*at))
        .unwrap_or(LINE_BYTES)
}

fn entry(text: &mut Vec<u8>, stream: Stream, line: &[u8], now: SystemTime) -> io::Result<()> {
    let time = jiff::Timestamp::try_from(now).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let entry = Entry {
        log: String::from_utf8_lossy(line),
        stream,
        time: format!("{time:.9}").into(),
    };
    serde_json::to_writer(&mut *text, &entry)?;
    text.push(b'\n');
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + std::time::Duration::from_millis(1500)
    }

    fn read(directory: &Path, age: u32) -> String {
        fs::read_to_string(path(directory, age)).unwrap_or_default()
    }

    #[test]
    fn a_line_is_an_object_with_its_stream_and_time() {
        let place = tempfile::tempdir().expect("a directory");
        let mut log = LogWriter::open(place.path(), LogLimits::default()).expect("a new file");
        let mut write = |stream, text: &str| log.write(stream, text.as_bytes(), now());
        write(Stream::Stdout, "one\ntw").expect("written");
        write(Stream::Stderr, "\"oops\"\n").expect("written");
        write(Stream::Stdout, "o\nrest").expect("written");
        log.finish(now()).expect("written");
        assert_eq!(
            read(place.path(), 0),
            "{\"log\":\"one\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.500000000Z\"}\n\
             {\"log\":\"\\\"oops\\\"\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:01.500000000Z\"}\n\
             {\"log\":\"two\\n\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.500000000Z\"}\n\
             {\"log\":\"rest\",\"stream\":\"stdout\",\"time\":\"1970-01-01T00:00:01.500000000Z\"}\n"
        );
    }

    #[test]
    fn an_endless_line_is_cut_between_characters() {
        let place = tempfile::tempdir().expect("a directory");
        let mut log = LogWriter::open(place.path(), LogLimits::default()).expect("a new file");
        let text = format!("x{}", "é".repeat(LINE_BYTES));
        log.write(Stream::Stdout, text.as_bytes(), now())
            .expect("written");
        log.finish(now()).expect("written");
        let all = read(place.path(), 0);
        assert!(!all.contains('\u{fffd}') && all.lines().count() == 3);
    }

    #[test]
    fn a_long_log_makes_room_for_the_new_end() {
        let place = tempfile::tempdir().expect("a directory");
        let limits = LogLimits {
            max_bytes: 200,
            max_files: 2,
        };
        let mut log = LogWriter::open(place.path(), limits).expect("a new file");
        for number in 0..9 {
            let line = format!("{number}\n");
            log.write(Stream::Stdout, line.as_bytes(), now())
                .expect("written");
        }
        let kept = read(place.path(), 1) + &read(place.path(), 0);
        assert!(
            kept.lines().count() < 9 && kept.contains("\"8\\n\""),
            "{kept}"
        );
        assert!(!path(place.path(), 2).exists());
    }
}

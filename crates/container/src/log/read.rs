//! Reading a log, and waiting for more of it.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::fd::AsFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rbuild_store::{Container, Store};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

use super::{Entry, path};
use crate::ContainerError;
use crate::link::{Link, Message, Stream};

/// More files than any container keeps.
const MAX_AGE: u32 = 1000;

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// With its end, if it had one.
    pub text: String,
    /// Where it was written to.
    pub stream: Stream,
    /// When, as RFC 3339 has it.
    pub time: String,
}

/// Which lines are asked for.
#[derive(Debug, Clone, Copy, Default)]
pub struct LogQuery {
    /// Only so many at the end.
    pub tail: Option<usize>,
    /// Only those from then on.
    pub since: Option<SystemTime>,
    /// Only those until then.
    pub until: Option<SystemTime>,
    /// Wait for more as long as the container runs.
    pub follow: bool,
}

/// Gives the lines of a container's log to `show`, as far as `query` asks for them; ends early when `show` fails.
pub fn follow_log(
    store: &Store,
    container: &Container,
    query: LogQuery,
    show: &mut dyn FnMut(LogLine) -> io::Result<()>,
) -> Result<(), ContainerError> {
    let directory = store.container_path(&container.id);
    let mut run = || -> io::Result<()> {
        let mut bell = query.follow.then(|| Bell::new(&directory)).transpose()?;
        let mut tail = Tail::open(&directory)?;
        let mut last: VecDeque<LogLine> = VecDeque::new();
        tail.read(&mut |line| match query.tail {
            _ if !fits(&line, query) => Ok(()),
            None => show(line),
            Some(count) => {
                last.push_back(line);
                if last.len() > count {
                    last.pop_front();
                }
                Ok(())
            }
        })?;
        last.into_iter().try_for_each(&mut *show)?;
        while let Some(ring) = bell.as_mut().map(Bell::wait).transpose()? {
            tail.read(&mut |line| {
                if fits(&line, query) {
                    show(line)
                } else {
                    Ok(())
                }
            })?;
            if ring == Ring::Last {
                break;
            }
        }
        Ok(())
    };
    run().map_err(ContainerError::Log)
}

fn fits(line: &LogLine, query: LogQuery) -> bool {
    let Ok(time) = line.time.parse::<jiff::Timestamp>() else {
        return true;
    };
    let time = SystemTime::from(time);
    query.since.is_none_or(|since| time >= since) && query.until.is_none_or(|until| time <= until)
}

/// A place in a log.
struct Tail {
    directory: PathBuf,
    file: Option<BufReader<File>>,
    /// The beginning of a line whose end is not written yet.
    begun: Vec<u8>,
    /// Older files that were not read yet, the oldest first.
    older: Vec<File>,
}

impl Tail {
    fn open(directory: &Path) -> io::Result<Self> {
        // Newest first: a rotation meanwhile shows a file twice, never none.
        let file = open(directory, 0)?;
        let mut older = Vec::new();
        for age in 1..MAX_AGE {
            match open(directory, age)? {
                Some(file) => older.push(file),
                None => break,
            }
        }
        let newest = file.as_ref().map(inode).transpose()?;
        let mut all = Vec::new();
        for file in older.into_iter().rev() {
            if Some(inode(&file)?) != newest {
                all.push(file);
            }
        }
        Ok(Self {
            directory: directory.to_owned(),
            file: file.map(BufReader::new),
            begun: Vec::new(),
            older: all,
        })
    }

    /// Reads to the present end.
    fn read(&mut self, show: &mut dyn FnMut(LogLine) -> io::Result<()>) -> io::Result<()> {
        for file in std::mem::take(&mut self.older) {
            lines(&mut BufReader::new(file), &mut self.begun, show)?;
        }
        loop {
            let Some(file) = &mut self.file else {
                self.file = open(&self.directory, 0)?.map(BufReader::new);
                if self.file.is_none() {
                    return Ok(());
                }
                continue;
            };
            lines(file, &mut self.begun, show)?;
            match open(&self.directory, 0)? {
                Some(newer) if inode(&newer)? != inode(file.get_ref())? => {
                    // What was written before the next file was begun.
                    lines(file, &mut self.begun, show)?;
                    self.file = Some(BufReader::new(newer));
                }
                _ => return Ok(()),
            }
        }
    }
}

fn inode(file: &File) -> io::Result<u64> {
    Ok(file.metadata()?.ino())
}

fn open(directory: &Path, age: u32) -> io::Result<Option<File>> {
    match File::open(path(directory, age)) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn lines(
    file: &mut BufReader<File>,
    begun: &mut Vec<u8>,
    show: &mut dyn FnMut(LogLine) -> io::Result<()>,
) -> io::Result<()> {
    while file.read_until(b'\n', begun)? > 0 {
        if begun.last() != Some(&b'\n') {
            return Ok(());
        }
        // A line that a crash has torn is left out.
        if let Ok(entry) = serde_json::from_slice::<Entry<'_>>(begun) {
            show(LogLine {
                text: entry.log.into_owned(),
                stream: entry.stream,
                time: entry.time.into_owned(),
            })?;
        }
        begun.clear();
    }
    Ok(())
}

/// Rings when there may be more to read.
struct Bell {
    watch: std::os::fd::OwnedFd,
    supervisor: Option<Link>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ring {
    Again,
    Last,
}

impl Bell {
    fn new(directory: &Path) -> io::Result<Self> {
        let supervisor = Link::connect(directory)?.filter(|link| {
            // One that ends just now has written all.
            link.tell(&Message::Watch).is_ok() && matches!(link.hear(), Ok(Some(Message::Done)))
        });
        let watch = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        inotify::add_watch(&watch, directory, WatchFlags::MODIFY | WatchFlags::CREATE)?;
        Ok(Self { watch, supervisor })
    }

    fn wait(&mut self) -> io::Result<Ring> {
        let Some(supervisor) = &self.supervisor else {
            return Ok(Ring::Last);
        };
        let mut watched = [
            PollFd::new(&self.watch, PollFlags::IN),
            PollFd::new(supervisor, PollFlags::IN),
        ];
        rustix::io::retry_on_intr(|| poll(&mut watched, None))?;
        // The link ends, or tells the end, when all is written.
        if !watched[1].revents().is_empty() {
            return Ok(Ring::Last);
        }
        let mut events = [0; 4096];
        // Which events they are does not matter.
        while rustix::io::read(self.watch.as_fd(), &mut events).is_ok_and(|read| read > 0) {}
        Ok(Ring::Again)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{LogLimits, LogWriter};
    use super::*;

    #[test]
    fn a_reader_keeps_up_with_a_log_that_begins_anew() {
        let place = tempfile::tempdir().expect("a directory");
        let limits = LogLimits {
            max_bytes: 200,
            max_files: 3,
        };
        let mut log = LogWriter::open(place.path(), limits).expect("a new file");
        let mut tail = Tail::open(place.path()).expect("a reader");
        let mut seen = String::new();
        for number in 0..7 {
            log.write(
                Stream::Stdout,
                format!("{number}\n").as_bytes(),
                SystemTime::UNIX_EPOCH,
            )
            .expect("written");
            tail.read(&mut |line| {
                seen.push_str(line.text.trim());
                Ok(())
            })
            .expect("read");
        }
        assert_eq!(seen, "0123456");
        let mut again = String::new();
        let mut tail = Tail::open(place.path()).expect("a reader");
        tail.read(&mut |line| {
            again.push_str(line.text.trim());
            Ok(())
        })
        .expect("read");
        assert!("0123456".ends_with(&again) && again.len() > 1, "{again}");
    }
}

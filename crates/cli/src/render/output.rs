//! Standard output: results, and nothing else. Standard error: what is said besides.

use std::io::{self, Write};

/// Writes `text`. That nobody reads it any more (`rbuild images | head -1`) is not an error.
pub(crate) fn out(text: &str) -> io::Result<()> {
    write(io::stdout().lock(), text)
}

/// Writes `text` to standard error.
pub(crate) fn note(text: &str) -> io::Result<()> {
    write(io::stderr().lock(), text)
}

fn write(mut to: impl Write, text: &str) -> io::Result<()> {
    match to.write_all(text.as_bytes()).and_then(|()| to.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

//! Standard output: results, and nothing else.

use std::io::{self, Write as _};

/// Writes `text`. That nobody reads it any more (`rbuild images | head -1`) is not an error.
pub(crate) fn out(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

//! `--load`: streams an image to a Docker engine's socket (`POST /images/load`, Docker Engine API).
//!
//! The request is a dozen lines of HTTP/1.1 with a chunked body; the engine's answer is a line of JSON for each event.

use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::blobs::{Blobs, LayerForm};
use crate::error::ExportError;
use crate::images::{BuiltImages, Exported};
use crate::layout::{ArchiveKind, Labels, write_archive};

/// Bytes sent in one chunk.
const CHUNK_BYTES: usize = 64 << 10;
/// The most that is read of an engine's answer, in bytes.
const MAX_ANSWER_BYTES: u64 = 1 << 20;

/// Hands the one image of `images` to the engine that listens at `socket`.
pub fn load(
    blobs: &Blobs<'_>,
    images: &BuiltImages,
    labels: Labels<'_>,
    form: LayerForm,
    socket: &Path,
) -> Result<Exported, ExportError> {
    let fail = |reason: String| ExportError::Engine {
        socket: socket.display().to_string(),
        reason,
    };
    let connection = UnixStream::connect(socket).map_err(|error| {
        fail(format!(
            "{error}; is the engine running? (without it, use -o type=docker)"
        ))
    })?;
    let head = "POST /images/load?quiet=1 HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\
                Content-Type: application/x-tar\r\nTransfer-Encoding: chunked\r\n\r\n";
    let mut body = BufWriter::with_capacity(
        CHUNK_BYTES,
        Chunked {
            stream: &connection,
        },
    );
    (&connection)
        .write_all(head.as_bytes())
        .map_err(|error| fail(error.to_string()))?;
    let exported = write_archive(blobs, images, labels, ArchiveKind::Docker, form, &mut body)?;
    body.flush().map_err(|error| fail(error.to_string()))?;
    drop(body);
    (&connection)
        .write_all(b"0\r\n\r\n")
        .map_err(|error| fail(error.to_string()))?;
    match read_answer(&connection) {
        Ok(None) => Ok(exported),
        Ok(Some(refusal)) => Err(fail(refusal)),
        Err(error) => Err(fail(error.to_string())),
    }
}

/// The body of a chunked request: each write is a chunk.
struct Chunked<'a> {
    stream: &'a UnixStream,
}

impl Write for Chunked<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0); // an empty chunk would end the body
        }
        let mut stream = self.stream;
        write!(stream, "{:x}\r\n", bytes.len())?;
        stream.write_all(bytes)?;
        stream.write_all(b"\r\n")?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What the engine says against the image, if anything.
fn read_answer(connection: &UnixStream) -> io::Result<Option<String>> {
    let mut answer = BufReader::new(connection.take(MAX_ANSWER_BYTES));
    let mut status = String::new();
    answer.read_line(&mut status)?;
    let mut body = String::new();
    answer.read_to_string(&mut body)?;
    if !status.contains(" 200 ") {
        let reason = body.lines().last().unwrap_or("").trim();
        return Ok(Some(format!("it answered {}: {reason}", status.trim())));
    }
    let refusal = body.lines().find_map(|line| {
        let event: serde_json::Value = serde_json::from_str(line).ok()?;
        event.get("error")?.as_str().map(str::to_owned)
    });
    Ok(refusal)
}

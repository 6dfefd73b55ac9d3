//! A blob of Azure Blob Storage at a URL that lets whoever knows it read or write.

use std::fmt::Write;
use std::io::{self, Read};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;

use super::exchange::{Answer, Exchange, Failure, Outgoing};
use crate::source::Source;
use crate::{Object, ObjectsError};

/// Blobs up to this size are sent at once; larger ones in blocks of at least it.
const BLOCK_BYTES: u64 = 8 << 20;
/// Azure takes 50,000 blocks.
const MAX_BLOCKS: u64 = 50_000;
/// How many blocks are sent side by side.
const SENDERS: usize = 4;
/// Blocks of this length can be that large.
const API_VERSION: (&str, &str) = ("x-ms-version", "2020-10-02");
/// How often a broken download is taken up again without a byte of progress.
const ATTEMPTS: u32 = 5;

/// Sends `size` bytes of `source`.
pub(super) fn upload(
    exchange: &Exchange,
    url: &str,
    size: u64,
    mut source: Source<'_>,
) -> Result<(), ObjectsError> {
    if size > BLOCK_BYTES {
        return upload_blocks(exchange, url, size, source);
    }
    let bytes = source.part(BLOCK_BYTES)?;
    source.end()?;
    let headers = [
        API_VERSION,
        ("x-ms-blob-type", "BlockBlob"),
        ("Content-Type", "application/octet-stream"),
    ];
    let sent = put(exchange, url, &headers, &bytes);
    sent.map_err(|error| error.at("write", source.object().to_owned()))
}

/// Sends blocks side by side while the next ones are read, then the list that makes a blob of them.
fn upload_blocks(
    exchange: &Exchange,
    url: &str,
    size: u64,
    mut source: Source<'_>,
) -> Result<(), ObjectsError> {
    let block_bytes = BLOCK_BYTES.max(size.div_ceil(MAX_BLOCKS));
    let object = source.object().to_owned();
    let mut names = Vec::new();
    let failure = Mutex::new(None);
    let read = std::thread::scope(|scope| {
        let (blocks, waiting) = sync_channel(0);
        let waiting = Arc::new(Mutex::new(waiting));
        for _ in 0..SENDERS {
            let (waiting, failure) = (Arc::clone(&waiting), &failure);
            scope.spawn(move || send_blocks(exchange, url, &waiting, failure));
        }
        // When all senders have given up, handing on fails.
        drop(waiting);
        while source.left() > 0 {
            let name = BASE64_STANDARD.encode(format!("{:08}", names.len()));
            names.push(name.clone());
            if blocks.send((name, source.part(block_bytes)?)).is_err() {
                return Ok(());
            }
        }
        source.end()
    });
    let failure = failure.into_inner().unwrap_or_else(PoisonError::into_inner);
    if let Some(failure) = failure {
        return Err(Failure::at(failure, "write", object));
    }
    read?;
    let sent = put_list(exchange, url, &names);
    sent.map_err(|error| error.at("write", object))
}

/// Sends what is waiting, until there is no more or somebody failed.
fn send_blocks(
    exchange: &Exchange,
    url: &str,
    waiting: &Mutex<Receiver<(String, Bytes)>>,
    failure: &Mutex<Option<Failure>>,
) {
    let next = || {
        let waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.recv().ok()
    };
    while let Some((name, bytes)) = next() {
        let url = with_query(url, &format!("comp=block&blockid={}", in_query(&name)));
        let sent = put(exchange, &url, &[API_VERSION], &bytes);
        let mut failure = failure.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = sent {
            failure.get_or_insert(error);
        }
        if failure.is_some() {
            return;
        }
    }
}

fn put_list(exchange: &Exchange, url: &str, names: &[String]) -> Result<(), Failure> {
    let mut list = "<?xml version=\"1.0\" encoding=\"utf-8\"?><BlockList>".to_owned();
    for name in names {
        write!(list, "<Latest>{name}</Latest>").expect("a text takes all");
    }
    list.push_str("</BlockList>");
    let headers = [
        API_VERSION,
        ("x-ms-blob-content-type", "application/octet-stream"),
        ("Content-Type", "application/xml"),
    ];
    put(
        exchange,
        &with_query(url, "comp=blocklist"),
        &headers,
        list.as_bytes(),
    )
}

fn put(
    exchange: &Exchange,
    url: &str,
    headers: &[(&'static str, &str)],
    body: &[u8],
) -> Result<(), Failure> {
    let request = Outgoing {
        method: "PUT",
        url,
        headers,
        body,
    };
    exchange.send(&request).map(drop)
}

/// How many bytes there are at `url`; `None` if it leads nowhere.
pub(super) fn size(exchange: &Exchange, url: &str) -> Result<Option<u64>, Failure> {
    let answer = match ask(exchange, "HEAD", url, 0) {
        Err(Failure::Status { status: 404, .. }) => return Ok(None),
        // Not every store that hands out URLs lets them be asked.
        Err(Failure::Status { .. }) => match ask(exchange, "GET", url, 0) {
            Err(Failure::Status { status: 404, .. }) => return Ok(None),
            other => other?,
        },
        other => other?,
    };
    let length = answer.header("content-length");
    let size = length.and_then(|length| length.parse().ok());
    size.map(Some)
        .ok_or_else(|| Failure::Protocol("the blob's size is not told".to_owned()))
}

/// What is at `url`; `None` if it leads nowhere.
pub(super) fn download(exchange: &Exchange, url: &str) -> Result<Option<Object>, Failure> {
    let answer = match ask(exchange, "GET", url, 0) {
        Err(Failure::Status { status: 404, .. }) => return Ok(None),
        other => other?,
    };
    let size = answer
        .header("content-length")
        .and_then(|length| length.parse().ok());
    let reader: Box<dyn Read + Send> = match size {
        // Where it ends is told by the end of a chunked body, of which only a part cannot be asked for.
        None => Box::new(answer.reader()),
        Some(size) => Box::new(Download {
            exchange: exchange.clone(),
            url: url.to_owned(),
            size,
            taken: 0,
            body: Some(Box::new(answer.reader())),
            failures: 0,
        }),
    };
    Ok(Some(Object { size, reader }))
}

fn ask(exchange: &Exchange, method: &'static str, url: &str, from: u64) -> Result<Answer, Failure> {
    let range = format!("bytes={from}-");
    let mut headers = vec![API_VERSION];
    if from > 0 {
        headers.push(("Range", range.as_str()));
    }
    exchange.send(&Outgoing {
        method,
        url,
        headers: &headers,
        body: &[],
    })
}

/// A download that is taken up again where it broke.
struct Download {
    exchange: Exchange,
    url: String,
    size: u64,
    taken: u64,
    body: Option<Box<dyn Read + Send>>,
    /// Since the last byte.
    failures: u32,
}

impl Download {
    fn body(&mut self) -> io::Result<&mut Box<dyn Read + Send>> {
        if self.body.is_none() {
            let answer = ask(&self.exchange, "GET", &self.url, self.taken);
            let answer = answer.map_err(io::Error::other)?;
            if self.taken > 0 && answer.status() != 206 {
                return Err(io::Error::other(
                    "the service cannot send the rest of a blob",
                ));
            }
            self.body = Some(Box::new(answer.reader()));
        }
        Ok(self.body.as_mut().expect("it was just opened"))
    }
}

impl Read for Download {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken >= self.size || buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let broken = match self.body()?.read(buffer) {
                Ok(0) => io::ErrorKind::UnexpectedEof.into(),
                Ok(count) => {
                    self.taken += count as u64;
                    self.failures = 0;
                    return Ok(count);
                }
                Err(error) => error,
            };
            self.body = None;
            self.failures += 1;
            if self.failures > ATTEMPTS {
                return Err(broken);
            }
        }
    }
}

/// A URL with one more question: those that we are given have a query already, as a rule.
fn with_query(url: &str, query: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{query}")
}

/// Base64's characters as a query takes them.
fn in_query(text: &str) -> String {
    text.replace('+', "%2B")
        .replace('/', "%2F")
        .replace('=', "%3D")
}

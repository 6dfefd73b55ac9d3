//! A web server for the files of a directory, which remembers what it was asked.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::UNIX_EPOCH;

/// Serves until it is dropped.
pub(crate) struct WebServer {
    pub(crate) url: String,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// A request's first line and headers, these in lower case.
struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
}

impl WebServer {
    pub(crate) fn start(directory: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (log, over, directory) = (
            Arc::clone(&requests),
            Arc::clone(&stopped),
            directory.to_owned(),
        );
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if over.load(Ordering::SeqCst) {
                    return;
                }
                serve(&directory, stream, &log);
            }
        });
        Self {
            url,
            requests,
            stopped,
            thread: Some(thread),
        }
    }

    /// The methods by which `path` was asked for, in order.
    pub(crate) fn methods(&self, path: &str) -> Vec<String> {
        let requests = self.requests.lock().expect("no test panics with it");
        let fitting = requests.iter().filter(|request| request.path == path);
        fitting.map(|request| request.method.clone()).collect()
    }

    /// A header of the first request for `path`.
    pub(crate) fn header(&self, path: &str, name: &str) -> Option<String> {
        let requests = self.requests.lock().expect("no test panics with it");
        let request = requests.iter().find(|request| request.path == path)?;
        let mut headers = request.headers.iter();
        let (_, value) = headers.find(|(known, _)| known == name)?;
        Some(value.clone())
    }
}

impl Drop for WebServer {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        let address = self.url.trim_start_matches("http://");
        drop(TcpStream::connect(address));
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn serve(directory: &Path, mut stream: TcpStream, log: &Mutex<Vec<Request>>) {
    let mut lines = BufReader::new(stream.try_clone().expect("a descriptor")).lines();
    let Some(Ok(first)) = lines.next() else {
        return;
    };
    let headers: Vec<(String, String)> = lines
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.to_lowercase(), value.trim().to_owned()))
        })
        .collect();
    let mut words = first.split(' ').map(str::to_owned);
    let method = words.next().unwrap_or_default();
    let path = words.next().unwrap_or_default();
    let file = directory.join(path.split('?').next().unwrap_or("").trim_start_matches('/'));
    let answer = answer(&file, &method, &headers);
    log.lock().expect("no test panics with it").push(Request {
        method,
        path,
        headers,
    });
    // Who asked may have gone.
    drop(stream.write_all(&answer));
}

fn answer(file: &Path, method: &str, headers: &[(String, String)]) -> Vec<u8> {
    let Ok(body) = std::fs::read(file) else {
        return b"HTTP/1.1 404 Not Found\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
            .to_vec();
    };
    let changed = std::fs::metadata(file).and_then(|found| found.modified());
    let since = changed.map_or(0, |at| {
        at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    });
    let etag = format!("\"{since}-{}\"", body.len());
    let known = headers
        .iter()
        .any(|(name, value)| name == "if-none-match" && *value == etag);
    let (status, body) = if known {
        ("304 Not Modified", Vec::new())
    } else {
        ("200 OK", body)
    };
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nETag: {etag}\r\nLast-Modified: {}\r\nContent-Length: {}\r\n\r\n",
        date(since),
        body.len()
    )
    .into_bytes();
    if method != "HEAD" {
        answer.extend(body);
    }
    answer
}

/// Seconds since 1970 as HTTP has dates.
fn date(seconds: u64) -> String {
    let format = "+%a, %d %b %Y %H:%M:%S GMT";
    let at = format!("@{seconds}");
    super::run("env", &["LC_ALL=C", "date", "-u", "-d", &at, format])
        .success()
        .stdout
        .trim()
        .to_owned()
}

//! A proxy in front of a real registry that breaks what passes through it, as told.
//!
//! ```text
//! client ──► FaultProxy ──► docker-registry
//!               │ rules: the n-th GET of a path … is truncated, corrupted, answered with 429 …
//!               │ tokens: requests need one, and /token gives them
//!               │ referrers: manifests with a subject are listed
//!               └ every request is recorded
//! ```
//!
//! Each connection carries one request. `CONNECT` is answered too, so that it serves as an HTTP proxy.

use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::fault::{Fault, Rule};
use crate::http::{Head, Recorded, answer};
use crate::referrers::{Referrers, pass_manifest, puts_manifest};
use crate::token::{TokenRules, Tokens};

/// A running proxy; it ends when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Shared {
    host: String,
    upstream: String,
    rules: Mutex<Vec<Arc<Rule>>>,
    requests: Mutex<Vec<Recorded>>,
    tokens: Mutex<Tokens>,
    referrers: Mutex<Option<Referrers>>,
    ended: AtomicBool,
}

impl FaultProxy {
    /// Starts a proxy on a port of its own, in front of `upstream` (`127.0.0.1:PORT`).
    pub fn in_front_of(upstream: &str) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            host: address.to_string(),
            upstream: upstream.to_owned(),
            rules: Mutex::default(),
            requests: Mutex::default(),
            tokens: Mutex::default(),
            referrers: Mutex::default(),
            ended: AtomicBool::new(false),
        });
        let acceptor = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || accept(&listener, &shared))
        };
        Ok(Self {
            address,
            shared,
            acceptor: Some(acceptor),
        })
    }

    /// `127.0.0.1:PORT`, as image names have it.
    pub fn host(&self) -> String {
        self.shared.host.clone()
    }

    /// Adds a rule. Of several that fit a request, the first that has strikes left is used.
    pub fn inject(&self, rule: Rule) {
        lock(&self.shared.rules).push(Arc::new(rule));
    }

    /// From now on requests need tokens.
    pub fn require_tokens(&self, rules: TokenRules) {
        lock(&self.shared.tokens).rules = Some(rules);
    }

    /// From now on it has the API for referrers, whose answers have this many entries at most.
    pub fn list_referrers(&self, page: Option<usize>) {
        *lock(&self.shared.referrers) = Some(Referrers::in_pages(page));
    }

    /// Makes all tokens invalid that were given so far.
    pub fn revoke_tokens(&self) {
        lock(&self.shared.tokens).revoke_all();
    }

    /// How many tokens were given.
    pub fn tokens_given(&self) -> u32 {
        lock(&self.shared.tokens).count()
    }

    /// All requests so far.
    pub fn requests(&self) -> Vec<Recorded> {
        lock(&self.shared.requests).clone()
    }

    /// How many requests with this method had this text in their path.
    pub fn count(&self, method: &str, path: &str) -> usize {
        let requests = lock(&self.shared.requests);
        let fits = |request: &&Recorded| request.method == method && request.path.contains(path);
        requests.iter().filter(fits).count()
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A broken connection is what tests are about.
            let _ = serve(&connection, &shared);
            let _ = connection.shutdown(Shutdown::Both);
        });
    }
}

fn serve(client: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let Some(mut head) = Head::read(&mut reader)? else {
        return Ok(());
    };
    let request = head.request();
    lock(&shared.requests).push(request.clone());
    if request.method == "CONNECT" {
        return tunnel(client, &mut reader, &TcpStream::connect(&shared.upstream)?);
    }
    let form = if request.path.starts_with("/token") {
        let mut form = Vec::new();
        (&mut reader)
            .take(head.content_length().unwrap_or(0))
            .read_to_end(&mut form)?;
        form
    } else {
        Vec::new()
    };
    let refused = lock(&shared.tokens).intercept(&shared.host, &request, &form);
    if let Some(bytes) = refused {
        return reply(client, &mut reader, &head, &bytes);
    }
    let rule = {
        let rules = lock(&shared.rules);
        let mut all = rules.iter();
        all.find(|rule| rule.strikes(&request.method, &request.path))
            .cloned()
    };
    let fault = rule.map(|rule| rule.fault.clone());
    match &fault {
        Some(Fault::Reply {
            status,
            headers,
            body,
        }) => return reply(client, &mut reader, &head, &answer(*status, headers, body)),
        Some(Fault::Drop) => return Ok(()),
        Some(Fault::Delay(time)) => std::thread::sleep(*time),
        Some(Fault::HideRequestHeader(name)) => head.remove(name),
        _ => {}
    }
    if let Some(referrers) = &mut *lock(&shared.referrers) {
        if let Some(bytes) = referrers.listed(&request) {
            return reply(client, &mut reader, &head, &bytes);
        }
        if puts_manifest(&request) {
            let mut body = vec![0; head.content_length().unwrap_or(0) as usize];
            reader.read_exact(&mut body)?;
            let mut client = client;
            return client.write_all(&pass_manifest(&shared.upstream, referrers, head, &body)?);
        }
    }
    let upstream = TcpStream::connect(&shared.upstream)?;
    if pass_request(&upstream, &mut reader, head.clone(), fault.as_ref())? == Passed::Broken {
        // What came so far is to arrive before the end does.
        std::thread::sleep(Duration::from_millis(50));
        return upstream.shutdown(Shutdown::Both);
    }
    pass_answer(client, &upstream, request.method == "HEAD", fault.as_ref())
}

/// As an HTTP proxy: whatever host is wanted, the registry is what is reached.
fn tunnel(
    mut client: &TcpStream,
    reader: &mut (impl Read + Send),
    mut upstream: &TcpStream,
) -> io::Result<()> {
    client.write_all(b"HTTP/1.1 200 Connected\r\n\r\n")?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let _ = io::copy(reader, &mut upstream);
            let _ = upstream.shutdown(Shutdown::Write);
        });
        let copied = io::copy(&mut upstream, &mut client).map(drop);
        let _ = client.shutdown(Shutdown::Both);
        copied
    })
}

/// Answers without the registry. What the client sends is read, so that it sees the answer.
fn reply(
    mut client: &TcpStream,
    reader: &mut impl Read,
    head: &Head,
    bytes: &[u8],
) -> io::Result<()> {
    client.write_all(bytes)?;
    client.shutdown(Shutdown::Write)?;
    let unread = head.content_length().unwrap_or(0);
    client.set_read_timeout(Some(Duration::from_secs(5)))?;
    io::copy(&mut reader.take(unread), &mut io::sink())?;
    Ok(())
}

#[derive(PartialEq, Eq)]
enum Passed {
    Whole,
    Broken,
}

fn pass_request(
    mut upstream: &TcpStream,
    reader: &mut impl Read,
    mut head: Head,
    fault: Option<&Fault>,
) -> io::Result<Passed> {
    let length = head.content_length().unwrap_or(0);
    head.set("Connection", "close");
    upstream.write_all(&head.bytes())?;
    if head.get("transfer-encoding").is_some() {
        let limit = match fault {
            Some(Fault::DropUploadAfter(limit)) => *limit,
            _ => u64::MAX,
        };
        return pass_chunks(upstream, reader, limit);
    }
    let (limit, passed) = match fault {
        Some(Fault::DropUploadAfter(limit)) if *limit < length => (*limit, Passed::Broken),
        _ => (length, Passed::Whole),
    };
    let mut body = reader.take(limit);
    if let Some(Fault::CorruptUpload(at)) = fault {
        io::copy(&mut (&mut body).take(*at), &mut upstream)?;
        let mut byte = [0];
        body.read_exact(&mut byte)?;
        upstream.write_all(&[byte[0] ^ 0x20])?;
    }
    io::copy(&mut body, &mut upstream)?;
    Ok(passed)
}

/// Passes a body of unknown length on, chunk by chunk, until `limit` bytes of it.
fn pass_chunks(mut upstream: &TcpStream, reader: &mut impl Read, limit: u64) -> io::Result<Passed> {
    let mut passed = 0;
    loop {
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") {
            let mut byte = [0];
            reader.read_exact(&mut byte)?;
            line.push(byte[0]);
        }
        let text = String::from_utf8_lossy(&line);
        let size = u64::from_str_radix(text.trim(), 16).map_err(io::Error::other)?;
        passed += size;
        if passed > limit {
            return Ok(Passed::Broken);
        }
        upstream.write_all(&line)?;
        // The chunk and the end of its line; the last one has none of its own.
        io::copy(&mut reader.take(size + 2), &mut upstream)?;
        if size == 0 {
            return Ok(Passed::Whole);
        }
    }
}

fn pass_answer(
    mut client: &TcpStream,
    upstream: &TcpStream,
    is_head: bool,
    fault: Option<&Fault>,
) -> io::Result<()> {
    let mut reader = BufReader::new(upstream);
    let mut head = Head::read(&mut reader)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    head.set("Connection", "close");
    match fault {
        Some(Fault::SetHeader(name, value)) => head.set(name, value),
        Some(Fault::RemoveHeader(name)) => head.remove(name),
        Some(Fault::Append(_)) => head.remove("content-length"),
        _ => {}
    }
    client.write_all(&head.bytes())?;
    if is_head {
        return Ok(());
    }
    match fault {
        Some(Fault::TruncateAfter(limit)) => {
            io::copy(&mut reader.take(*limit), &mut client).map(drop)
        }
        Some(Fault::StallAfter(limit, time)) => {
            io::copy(&mut reader.take(*limit), &mut client)?;
            std::thread::sleep(*time);
            Ok(())
        }
        Some(Fault::Corrupt(at)) => {
            io::copy(&mut (&mut reader).take(*at), &mut client)?;
            let mut byte = [0];
            reader.read_exact(&mut byte)?;
            client.write_all(&[byte[0] ^ 0x20])?;
            io::copy(&mut reader, &mut client).map(drop)
        }
        Some(Fault::Append(more)) => {
            io::copy(&mut reader, &mut client)?;
            client.write_all(more)
        }
        _ => io::copy(&mut reader, &mut client).map(drop),
    }
}

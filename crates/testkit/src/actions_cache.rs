//! A stand-in for GitHub's Actions cache, version 2 of its service, and the blob storage behind it.
//!
//! ```text
//! POST /twirp/…/CreateCacheEntry           bearer token; 409 once a key is taken, filled or not
//! PUT  /blobs/N?sig=…                      no token, but the signature; BlockBlob, or blocks and their list
//! POST /twirp/…/FinalizeCacheEntryUpload   the size must be that of the blob
//! POST /twirp/…/GetCacheEntryDownloadURL   the very key, else the newest that begins with a restore key
//! GET  /blobs/N?sig=…                      with ranges
//! ```
//!
//! What the real one does and a client may stumble over is done here: URLs work one way only, a blob does not take a
//! bearer token, keys have limits, and entries of another version are not found. Throttling is left to a
//! [`FaultProxy`](crate::FaultProxy) in front: URLs lead where the request for them went.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use serde_json::{Value, json};

use crate::http::{Head, Recorded, answer};

/// Where the service's methods are.
const SERVICE: &str = "/twirp/github.actions.results.api.v1.CacheService/";
/// The longest key.
const MAX_KEY_BYTES: usize = 512;

/// A running cache; it ends when dropped.
#[derive(Debug)]
pub struct ActionsCache {
    address: SocketAddr,
    shared: Arc<Shared>,
    acceptor: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    entries: Mutex<Vec<Entry>>,
    ended: AtomicBool,
}

/// What was asked for, in this order.
#[derive(Debug, Default)]
struct Entry {
    key: String,
    version: String,
    blocks: BTreeMap<String, Vec<u8>>,
    blob: Option<Vec<u8>>,
    is_final: bool,
}

/// A status and a body: JSON or bytes.
struct Reply(u16, Vec<(String, String)>, Vec<u8>);

impl ActionsCache {
    /// The token that it wants.
    pub const TOKEN: &str = "a-runtime-token";

    /// Starts a cache without entries.
    pub fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0))?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared::default());
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

    /// `127.0.0.1:PORT`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// What `ACTIONS_RESULTS_URL` is in a workflow.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// The keys that can be found, the oldest first.
    pub fn keys(&self) -> Vec<String> {
        let entries = self.shared.lock();
        let filled = entries.iter().filter(|entry| entry.is_final);
        filled.map(|entry| entry.key.clone()).collect()
    }

    /// Forgets what `key` holds, but not that it is taken: as if its writer had been killed.
    pub fn abandon(&self, key: &str) {
        for entry in self.shared.lock().iter_mut() {
            if entry.key == key {
                (entry.blob, entry.is_final) = (None, false);
            }
        }
    }
}

impl Drop for ActionsCache {
    fn drop(&mut self) {
        self.shared.ended.store(true, Ordering::SeqCst);
        // Wakes the acceptor.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>) {
    for connection in listener.incoming() {
        if shared.ended.load(Ordering::SeqCst) {
            return;
        }
        let Ok(connection) = connection else { continue };
        let shared = Arc::clone(shared);
        std::thread::spawn(move || {
            // A client may hang up at any time.
            let _ = serve(&connection, &shared);
            let _ = connection.shutdown(Shutdown::Write);
        });
    }
}

fn serve(mut client: &TcpStream, shared: &Shared) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    let Some(head) = Head::read(&mut reader)? else {
        return Ok(());
    };
    let length = head.content_length().unwrap_or(0);
    let mut body = Vec::new();
    (&mut reader).take(length).read_to_end(&mut body)?;
    if (body.len() as u64) < length {
        return Ok(());
    }
    let request = head.request();
    let Reply(status, headers, bytes) = match request.path.strip_prefix(SERVICE) {
        Some(method) => shared.call(method, &request, &body),
        None => shared.storage(&request, body),
    };
    let mut text = answer(status, &headers, &bytes);
    if request.method == "HEAD" {
        text.truncate(text.len() - bytes.len());
    }
    client.write_all(&text)
}

impl Shared {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Entry>> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, method: &str, request: &Recorded, body: &[u8]) -> Reply {
        let token = format!("Bearer {}", ActionsCache::TOKEN);
        if request.header("authorization") != Some(token.as_str()) {
            return refuse(401, "unauthenticated", "the token is not valid");
        }
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return refuse(400, "malformed", "the body is not JSON");
        };
        let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (key, version) = (text("key"), text("version"));
        if key.is_empty() || key.len() > MAX_KEY_BYTES || key.contains(',') || version.is_empty() {
            return refuse(400, "invalid_argument", "a key or version is not valid");
        }
        let host = request.header("host").unwrap_or_default();
        match method {
            "CreateCacheEntry" => self.create(host, key, version),
            "FinalizeCacheEntryUpload" => self.finalize(&key, &version, &body["size_bytes"]),
            "GetCacheEntryDownloadURL" => {
                let restore = body["restore_keys"].as_array().cloned().unwrap_or_default();
                let restore: Vec<&str> = restore.iter().filter_map(Value::as_str).collect();
                self.find(host, &key, &version, &restore)
            }
            _ => refuse(404, "bad_route", "there is no such method"),
        }
    }

    fn create(&self, host: &str, key: String, version: String) -> Reply {
        let mut entries = self.lock();
        if entries.iter().any(|e| e.key == key && e.version == version) {
            let said = "cache entry with the same key, version, and scope already exists";
            return refuse(409, "already_exists", said);
        }
        entries.push(Entry {
            key,
            version,
            ..Entry::default()
        });
        let url = format!(
            "http://{host}/blobs/{}?sp=w&sig=up%2Fload",
            entries.len() - 1
        );
        accept_with(&json!({"ok": true, "signed_upload_url": url}))
    }

    fn finalize(&self, key: &str, version: &str, size: &Value) -> Reply {
        let size = size.as_str().and_then(|s| s.parse().ok()).or(size.as_u64());
        let mut entries = self.lock();
        let found = entries
            .iter_mut()
            .enumerate()
            .find(|(_, e)| e.key == key && e.version == version && !e.is_final);
        let Some((index, entry)) = found else {
            return refuse(404, "not_found", "cache entry not found");
        };
        let stored = entry.blob.as_ref().map(|blob| blob.len() as u64);
        if stored.is_none() || stored != size {
            return refuse(400, "invalid_argument", "the size is not that of the blob");
        }
        entry.is_final = true;
        accept_with(&json!({"ok": true, "entry_id": index.to_string()}))
    }

    fn find(&self, host: &str, key: &str, version: &str, restore: &[&str]) -> Reply {
        let entries = self.lock();
        let all = || {
            let numbered = entries.iter().enumerate().rev();
            numbered.filter(|(_, entry)| entry.is_final && entry.version == version)
        };
        let exact = all().find(|(_, entry)| entry.key == key);
        let begins = |start: &str| all().find(|(_, entry)| entry.key.starts_with(start));
        let found = exact.or_else(|| restore.iter().find_map(|start| begins(start)));
        let Some((index, entry)) = found else {
            return accept_with(&json!({"ok": false}));
        };
        let url = format!("http://{host}/blobs/{index}?sp=r&sig=down%2Fload");
        accept_with(&json!({"ok": true, "signed_download_url": url, "matched_key": entry.key}))
    }

    /// Azure Blob Storage, as far as a URL with a signature goes.
    fn storage(&self, request: &Recorded, body: Vec<u8>) -> Reply {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let index = path.strip_prefix("/blobs/").and_then(|n| n.parse().ok());
        let mut entries = self.lock();
        let Some(entry) = index.and_then(|index: usize| entries.get_mut(index)) else {
            return markup(404, "BlobNotFound");
        };
        let writing = request.method == "PUT";
        let signed = if writing {
            "sp=w&sig=up%2Fload"
        } else {
            "sp=r&sig=down%2Fload"
        };
        if !query.starts_with(signed) || request.header("authorization").is_some() {
            return markup(403, "AuthenticationFailed");
        }
        if !writing {
            return match &entry.blob {
                Some(blob) => read_blob(blob, request.header("range")),
                None => markup(404, "BlobNotFound"),
            };
        }
        write_blob(entry, request, query, body)
    }
}

fn write_blob(entry: &mut Entry, request: &Recorded, query: &str, body: Vec<u8>) -> Reply {
    let asked = |name: &str| {
        let mut parts = query.split('&').filter_map(|part| part.split_once('='));
        parts
            .find(|(found, _)| *found == name)
            .map(|(_, value)| value)
    };
    match asked("comp") {
        None if request.header("x-ms-blob-type") != Some("BlockBlob") => {
            return markup(400, "MissingRequiredHeader");
        }
        None => entry.blob = Some(body),
        Some("block") => {
            let name = asked("blockid").unwrap_or_default();
            let name = name
                .replace("%3D", "=")
                .replace("%2B", "+")
                .replace("%2F", "/");
            entry.blocks.insert(name, body);
        }
        Some("blocklist") => {
            let list = String::from_utf8_lossy(&body);
            let names = list.split("<Latest>").skip(1);
            let names = names.filter_map(|rest| rest.split_once("</Latest>"));
            let blocks: Option<Vec<_>> = names.map(|(name, _)| entry.blocks.get(name)).collect();
            let Some(blocks) = blocks.filter(|blocks| !blocks.is_empty()) else {
                return markup(400, "InvalidBlockList");
            };
            entry.blob = Some(blocks.into_iter().flatten().copied().collect());
        }
        Some(_) => return markup(400, "UnsupportedQueryParameter"),
    }
    Reply(201, Vec::new(), Vec::new())
}

fn read_blob(blob: &[u8], range: Option<&str>) -> Reply {
    let Some(range) = range else {
        return Reply(200, Vec::new(), blob.to_vec());
    };
    let from = range
        .strip_prefix("bytes=")
        .and_then(|r| r.strip_suffix('-'));
    let from: Option<usize> = from.and_then(|from| from.parse().ok());
    match from.filter(|from| *from < blob.len()) {
        None => markup(416, "InvalidRange"),
        Some(from) => {
            let told = format!("bytes {from}-{}/{}", blob.len() - 1, blob.len());
            let headers = vec![("Content-Range".to_owned(), told)];
            Reply(206, headers, blob[from..].to_vec())
        }
    }
}

fn accept_with(body: &Value) -> Reply {
    Reply(200, json_header(), body.to_string().into_bytes())
}

fn refuse(status: u16, code: &str, said: &str) -> Reply {
    let body = json!({"code": code, "msg": said}).to_string();
    Reply(status, json_header(), body.into_bytes())
}

fn json_header() -> Vec<(String, String)> {
    vec![("Content-Type".to_owned(), "application/json".to_owned())]
}

fn markup(status: u16, code: &str) -> Reply {
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{code}</Code><Message>Refused by the test.\nRequestId:0</Message></Error>"
    );
    Reply(status, Vec::new(), body.into_bytes())
}

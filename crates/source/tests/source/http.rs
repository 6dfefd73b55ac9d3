//! Downloads from a server of a few lines.
#![allow(
    clippy::unwrap_used,
    reason = "a test fails by panicking, and says what it skips"
)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rbuild_image::Digest;
use rbuild_layer::{EntryKind, OverlayFlavor, TreeWriter};
use rbuild_source::{
    Authorization, HttpClient, HttpFile, HttpRequest, Proxies, SourceError, StreamedContext,
    WebOptions,
};

type Handler = dyn Fn(usize, &str) -> Vec<u8> + Send + Sync;

/// Answers each connection by what `handler` says to its number and head.
struct Server {
    url: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(handler: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let handler: Box<Handler> = Box::new(handler);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let heads = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&heads);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = String::new();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                while reader.read_line(&mut head).unwrap_or(0) > 2 {}
                let number = log.lock().unwrap().len();
                log.lock().unwrap().push(head.clone());
                let _ = stream.write_all(&handler(number, &head));
            }
        });
        Self { url, heads }
    }

    fn methods(&self) -> Vec<String> {
        let heads = self.heads.lock().unwrap();
        let methods = heads.iter().map(|head| head.split(' ').next().unwrap());
        methods.map(str::to_owned).collect()
    }

    fn requests(&self) -> usize {
        self.heads.lock().unwrap().len()
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let mut answer = format!(
        "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
        body.len()
    )
    .into_bytes();
    answer.extend_from_slice(body);
    answer
}

fn options() -> WebOptions {
    WebOptions {
        user_agent: "test".to_owned(),
        ..WebOptions::default()
    }
}

fn fetch(client: &HttpClient, url: &str) -> Result<HttpFile, SourceError> {
    client.fetch(
        &HttpRequest {
            url,
            ..HttpRequest::default()
        },
        &|_, _| ControlFlow::Continue(()),
    )
}

fn text(file: &HttpFile) -> String {
    let mut text = String::new();
    file.file().read_to_string(&mut text).unwrap();
    text
}

#[test]
fn an_unchanged_file_is_not_downloaded_again() {
    let server = Server::start(|_, head| {
        if head.to_lowercase().contains("if-none-match: \"v1\"") {
            return answer("304 Not Modified", "", b"");
        }
        answer(
            "200 OK",
            "ETag: \"v1\"\r\nLast-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\n",
            b"hello",
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().join("http"), options());
    let url = format!("{}/dir/file.txt?q", server.url);
    for _ in 0..3 {
        let file = fetch(&client, &url).unwrap();
        assert_eq!(text(&file), "hello");
        assert_eq!((file.name().as_str(), file.size()), ("file.txt", 5));
        assert_eq!(file.mtime().seconds, 784_903_526);
        assert_eq!(file.digest(), Digest::sha256_of(b"hello"));
    }
    assert_eq!(server.methods(), ["GET", "HEAD", "HEAD"]);
    // With its checksum nobody is asked.
    let request = HttpRequest {
        url: &url,
        checksum: Some(Digest::sha256_of(b"hello")),
        ..HttpRequest::default()
    };
    client
        .fetch(&request, &|_, _| ControlFlow::Continue(()))
        .unwrap();
    assert_eq!(server.requests(), 3);
}

#[test]
fn a_changed_file_replaces_the_kept_one() {
    let changes = AtomicUsize::new(0);
    let server = Server::start(move |_, head| {
        let is_asked_for = head.starts_with("GET");
        let version = changes.fetch_add(usize::from(is_asked_for), Ordering::SeqCst);
        answer(
            "200 OK",
            &format!("ETag: \"{version}\"\r\n"),
            version.to_string().as_bytes(),
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    let first = fetch(&client, &server.url).unwrap();
    assert_eq!(text(&fetch(&client, &server.url).unwrap()), "1");
    assert_eq!(text(&first), "0");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_wrong_checksum_is_refused() {
    let server = Server::start(|_, _| answer("200 OK", "", b"hello"));
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    let request = HttpRequest {
        url: &server.url,
        checksum: Some(Digest::sha256_of(b"other")),
        ..HttpRequest::default()
    };
    let error = client
        .fetch(&request, &|_, _| ControlFlow::Continue(()))
        .unwrap_err();
    assert!(matches!(error, SourceError::Checksum { .. }), "{error}");
}

#[test]
fn passing_failures_are_tried_again_and_lasting_ones_are_not() {
    let server = Server::start(|number, head| match number {
        _ if head.contains("/gone") => answer("404 Not Found", "", b""),
        0 => answer("503 Service Unavailable", "", b""),
        1 => b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort".to_vec(),
        _ => answer("200 OK", "", b"whole"),
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    let seen = Mutex::new(Vec::new());
    let request = HttpRequest {
        url: &server.url,
        ..HttpRequest::default()
    };
    let file = client
        .fetch(&request, &|done, total| {
            seen.lock().unwrap().push((done, total));
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(text(&file), "whole");
    assert_eq!(seen.lock().unwrap().last(), Some(&(5, Some(5))));
    let before = server.requests();
    let error = fetch(&client, &format!("{}/gone", server.url)).unwrap_err();
    assert!(matches!(error, SourceError::HttpStatus { status: 404, .. }));
    assert_eq!(server.requests(), before + 1);
}

#[test]
fn redirects_are_followed_but_tokens_stay_at_home() {
    let elsewhere = Server::start(|_, head| answer("200 OK", "", head.as_bytes()));
    let target = elsewhere.url.replace("127.0.0.1", "localhost");
    let server =
        Server::start(move |_, _| answer("302 Found", &format!("Location: {target}/x\r\n"), b""));
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    let request = HttpRequest {
        url: &server.url,
        authorization: Authorization::Token("sesame".to_owned()),
        ..HttpRequest::default()
    };
    let file = client
        .fetch(&request, &|_, _| ControlFlow::Continue(()))
        .unwrap();
    assert!(!text(&file).to_lowercase().contains("authorization"));
    let heads = server.heads.lock().unwrap().concat();
    assert!(heads.contains("Bearer sesame"), "{heads}");
}

#[test]
fn a_file_becomes_a_layer_of_one_entry() {
    let server = Server::start(|_, _| {
        answer(
            "200 OK",
            "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT\r\n",
            b"hello",
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().join("http"), options());
    let file = fetch(&client, &server.url).unwrap();
    let layer = dir.path().join("layer");
    fs::create_dir(&layer).unwrap();
    let writer = TreeWriter::new(
        fs::File::open(&layer).unwrap().into(),
        OverlayFlavor::current(),
    )
    .unwrap();
    file.write_to(&writer, b"__unnamed__").unwrap();
    let index = writer.finish().unwrap();
    let entry = index.get(b"__unnamed__").unwrap();
    assert_eq!((entry.mode, entry.mtime.seconds), (0o600, 784_903_526));
    assert!(matches!(entry.kind, EntryKind::File { size: 5, .. }));
}

#[test]
fn a_remote_dockerfile_is_told_from_a_remote_archive() {
    let server = Server::start(|_, head| {
        if head.contains("/tar") {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            header.set_size(1);
            header.set_mode(0o644);
            tar.append_data(&mut header, "a", &b"x"[..]).unwrap();
            return answer("200 OK", "", &tar.into_inner().unwrap());
        }
        answer("200 OK", "", b"FROM scratch\n")
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().join("http"), options());
    let file = fetch(&client, &server.url).unwrap();
    for _ in 0..2 {
        match StreamedContext::from_http(&file).unwrap() {
            StreamedContext::Dockerfile(text) => assert_eq!(text, b"FROM scratch\n"),
            StreamedContext::Archive(_) => panic!("it is a Dockerfile"),
        }
    }
    let file = fetch(&client, &format!("{}/tar", server.url)).unwrap();
    assert!(matches!(
        StreamedContext::from_http(&file).unwrap(),
        StreamedContext::Archive(_)
    ));
}

#[test]
fn a_body_that_breaks_off_is_continued() {
    let server = Server::start(|_, head| {
        let head = head.to_lowercase();
        if head.contains("range: bytes=5-") && head.contains("if-range: \"v1\"") {
            return answer(
                "206 Partial Content",
                "Content-Range: bytes 5-10/11\r\n",
                b" world",
            );
        }
        let mut whole = answer("200 OK", "ETag: \"v1\"\r\n", b"hello world");
        whole.truncate(whole.len() - " world".len());
        whole
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    assert_eq!(text(&fetch(&client, &server.url).unwrap()), "hello world");
    assert_eq!(server.requests(), 2);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_body_that_changed_meanwhile_is_fetched_from_its_start() {
    let server = Server::start(|number, _| {
        let mut whole = answer("200 OK", &format!("ETag: \"{number}\"\r\n"), b"hello world");
        if number == 0 {
            whole.truncate(whole.len() - " world".len());
        }
        whole
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    assert_eq!(text(&fetch(&client, &server.url).unwrap()), "hello world");
}

#[test]
fn a_date_counts_only_if_the_file_was_settled_when_it_was_sent() {
    let asked_with_date = |date: &'static str| {
        let server = Server::start(move |_, _| {
            let changed = "Last-Modified: Tue, 15 Nov 1994 12:45:26 GMT";
            answer(
                "200 OK",
                &format!("{changed}\r\nDate: {date}\r\n"),
                b"hello",
            )
        });
        let dir = tempfile::tempdir().unwrap();
        let client = HttpClient::new(dir.path().to_owned(), options());
        fetch(&client, &server.url).unwrap();
        fetch(&client, &server.url).unwrap();
        let heads = server.heads.lock().unwrap();
        heads[1].to_lowercase().contains("if-modified-since")
    };
    assert!(asked_with_date("Tue, 15 Nov 1994 12:46:26 GMT"));
    assert!(!asked_with_date("Tue, 15 Nov 1994 12:45:26 GMT"));
}

#[test]
fn a_download_that_nobody_wants_any_more_stops() {
    let server = Server::start(|_, _| answer("200 OK", "", &vec![0; 1 << 20]));
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), options());
    let request = HttpRequest {
        url: &server.url,
        ..HttpRequest::default()
    };
    let error = client
        .fetch(&request, &|_, _| ControlFlow::Break(()))
        .unwrap_err();
    assert!(matches!(error, SourceError::Stopped { .. }), "{error}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_proxy_is_asked_for_hosts_that_are_not_excepted() {
    let proxy = Server::start(|_, _| answer("403 Forbidden", "", b""));
    let dir = tempfile::tempdir().unwrap();
    let through = WebOptions {
        proxies: Proxies {
            http: Some(proxy.url.clone()),
            no_proxy: Some("direct.invalid".to_owned()),
            ..Proxies::default()
        },
        ..options()
    };
    let client = HttpClient::new(dir.path().to_owned(), through);
    assert!(fetch(&client, "http://far.invalid/x").is_err());
    assert!(proxy.heads.lock().unwrap()[0].contains("far.invalid"));
    assert!(fetch(&client, "http://direct.invalid/x").is_err());
    assert_eq!(proxy.requests(), 1);
}

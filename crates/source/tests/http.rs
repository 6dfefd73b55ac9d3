//! Downloads from a server of a few lines.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};

use rbuild_image::Digest;
use rbuild_layer::{EntryKind, OverlayFlavor, TreeWriter};
use rbuild_source::{
    Authorization, HttpClient, HttpFile, HttpRequest, SourceError, StreamedContext,
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

fn fetch(client: &HttpClient, url: &str) -> Result<HttpFile, SourceError> {
    client.fetch(
        &HttpRequest {
            url,
            ..HttpRequest::default()
        },
        &|_, _| {},
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
    let client = HttpClient::new(dir.path().join("http"), "test");
    let url = format!("{}/dir/file.txt?q", server.url);
    for _ in 0..3 {
        let file = fetch(&client, &url).unwrap();
        assert_eq!(text(&file), "hello");
        assert_eq!((file.name().as_str(), file.size()), ("file.txt", 5));
        assert_eq!(file.mtime().seconds, 784_903_526);
        assert_eq!(file.digest(), Digest::sha256_of(b"hello"));
    }
    assert_eq!(server.requests(), 3);
    // With its checksum nobody is asked.
    let request = HttpRequest {
        url: &url,
        checksum: Some(Digest::sha256_of(b"hello")),
        ..HttpRequest::default()
    };
    client.fetch(&request, &|_, _| {}).unwrap();
    assert_eq!(server.requests(), 3);
}

#[test]
fn a_changed_file_replaces_the_kept_one() {
    let server = Server::start(|number, _| {
        answer(
            "200 OK",
            &format!("ETag: \"{number}\"\r\n"),
            number.to_string().as_bytes(),
        )
    });
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), "test");
    let first = fetch(&client, &server.url).unwrap();
    assert_eq!(text(&fetch(&client, &server.url).unwrap()), "1");
    assert_eq!(text(&first), "0");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
}

#[test]
fn a_wrong_checksum_is_refused() {
    let server = Server::start(|_, _| answer("200 OK", "", b"hello"));
    let dir = tempfile::tempdir().unwrap();
    let client = HttpClient::new(dir.path().to_owned(), "test");
    let request = HttpRequest {
        url: &server.url,
        checksum: Some(Digest::sha256_of(b"other")),
        ..HttpRequest::default()
    };
    let error = client.fetch(&request, &|_, _| {}).unwrap_err();
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
    let client = HttpClient::new(dir.path().to_owned(), "test");
    let seen = Mutex::new(Vec::new());
    let request = HttpRequest {
        url: &server.url,
        ..HttpRequest::default()
    };
    let file = client
        .fetch(&request, &|done, total| {
            seen.lock().unwrap().push((done, total));
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
    let client = HttpClient::new(dir.path().to_owned(), "test");
    let request = HttpRequest {
        url: &server.url,
        authorization: Authorization::Token("sesame".to_owned()),
        ..HttpRequest::default()
    };
    let file = client.fetch(&request, &|_, _| {}).unwrap();
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
    let client = HttpClient::new(dir.path().join("http"), "test");
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
    let client = HttpClient::new(dir.path().join("http"), "test");
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

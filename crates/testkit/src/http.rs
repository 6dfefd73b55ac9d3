//! As much HTTP/1.1 as a test proxy needs: heads of requests and answers.

use std::io::{self, BufRead};

/// The longest head that is read, in bytes.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// A request that the proxy has seen.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    headers: Vec<(String, String)>,
}

impl Recorded {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut fitting = self.headers.iter();
        fitting
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// A first line and headers.
#[derive(Debug, Clone)]
pub(crate) struct Head {
    pub(crate) first_line: String,
    pub(crate) headers: Vec<(String, String)>,
}

impl Head {
    /// Reads a head; `None` at the end of the connection.
    pub(crate) fn read(reader: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut lines = Vec::new();
        let mut total = 0;
        loop {
            let mut line = String::new();
            let count = reader.read_line(&mut line)?;
            total += count;
            if total > MAX_HEAD_BYTES {
                return Err(io::ErrorKind::InvalidData.into());
            }
            let line = line.trim_end().to_owned();
            match (count, line.is_empty(), lines.is_empty()) {
                (0, _, true) => return Ok(None),
                (0, _, false) => return Err(io::ErrorKind::UnexpectedEof.into()),
                (_, true, false) => break,
                (_, true, true) => {}
                _ => lines.push(line),
            }
        }
        let headers = lines[1..].iter().filter_map(|line| {
            let (name, value) = line.split_once(':')?;
            Some((name.trim().to_owned(), value.trim().to_owned()))
        });
        Ok(Some(Self {
            first_line: lines[0].clone(),
            headers: headers.collect(),
        }))
    }

    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        let mut fitting = self.headers.iter();
        fitting
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub(crate) fn remove(&mut self, name: &str) {
        self.headers
            .retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.remove(name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    pub(crate) fn content_length(&self) -> Option<u64> {
        self.get("content-length")?.parse().ok()
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut text = format!("{}\r\n", self.first_line);
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        text.into_bytes()
    }

    /// A request's method and path.
    pub(crate) fn request(&self) -> Recorded {
        let mut words = self.first_line.split(' ');
        let mut word = || words.next().unwrap_or_default().to_owned();
        Recorded {
            method: word(),
            path: word(),
            headers: self.headers.clone(),
        }
    }
}

/// A whole answer.
pub(crate) fn answer(status: u16, headers: &[(String, String)], body: &[u8]) -> Vec<u8> {
    let mut head = Head {
        first_line: format!("HTTP/1.1 {status} Test"),
        headers: headers.to_vec(),
    };
    head.set("Content-Length", &body.len().to_string());
    head.set("Connection", "close");
    let mut bytes = head.bytes();
    bytes.extend_from_slice(body);
    bytes
}

/// Percent-decoding.
pub(crate) fn decoded(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits: String = rest.by_ref().take(2).map(char::from).collect();
                bytes.push(u8::from_str_radix(&digits, 16).unwrap_or(b'?'));
            }
            _ => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

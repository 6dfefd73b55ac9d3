//! Bytes that are checked while they are read.

use std::io::{self, Read};

use rbuild_image::{Digest, Digester};

use crate::RemoteError;

/// Reads `size` bytes and fails at their end unless they have the digest `expected`.
pub(crate) struct Verified<R> {
    source: R,
    expected: Digest,
    size: u64,
    digester: Option<Digester>,
    place: String,
}

impl<R: Read> Verified<R> {
    pub(crate) fn new(source: R, expected: Digest, size: u64, place: String) -> Self {
        Self {
            source,
            expected,
            size,
            digester: Some(Digester::new()),
            place,
        }
    }

    fn corrupt(&self) -> io::Error {
        io::Error::other(RemoteError::Corrupt {
            digest: self.expected.to_string(),
            place: self.place.clone(),
        })
    }
}

impl<R: Read> Read for Verified<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Some(digester) = &mut self.digester else {
            return Ok(0);
        };
        if buffer.is_empty() {
            return Ok(0);
        }
        let read = self.source.read(buffer)?;
        digester.update(&buffer[..read]);
        let written = digester.written();
        if written > self.size || (read == 0 && written < self.size) {
            return Err(self.corrupt());
        }
        // The last bytes are handed out only if all of them are right.
        if written == self.size {
            let whole = self.digester.take().map(Digester::finish);
            if whole != Some(self.expected) || self.source.read(&mut [0])? > 0 {
                return Err(self.corrupt());
            }
        }
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], of: &[u8]) -> io::Result<Vec<u8>> {
        let digest = Digest::sha256_of(of);
        let mut reader = Verified::new(bytes, digest, of.len() as u64, "a test".into());
        let mut read = Vec::new();
        reader.read_to_end(&mut read)?;
        Ok(read)
    }

    #[test]
    fn only_the_right_bytes_come_through() {
        assert_eq!(read(b"right", b"right").expect("right"), b"right");
        assert_eq!(read(b"", b"").expect("nothing"), b"");
        for wrong in [&b"wrong"[..], b"righ", b"right and more", b""] {
            assert!(read(wrong, b"right").is_err(), "{wrong:?}");
        }
    }
}

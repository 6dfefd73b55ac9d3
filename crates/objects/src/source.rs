//! What is to be written: a known number of bytes, taken in parts, with its own failures told from the store's.

use std::io::{self, Read};

use bytes::Bytes;

use crate::ObjectsError;

/// Bytes on their way to an object.
pub(crate) struct Source<'a> {
    object: String,
    size: u64,
    taken: u64,
    reader: &'a mut dyn Read,
}

impl<'a> Source<'a> {
    /// `size` bytes of `reader`, meant for `object`.
    pub(crate) fn new(object: String, size: u64, reader: &'a mut dyn Read) -> Self {
        Self {
            object,
            size,
            taken: 0,
            reader,
        }
    }

    /// What it is meant for.
    pub(crate) fn object(&self) -> &str {
        &self.object
    }

    /// How many bytes have not been taken yet.
    pub(crate) fn left(&self) -> u64 {
        self.size - self.taken
    }

    /// The next `most` bytes; fewer only at the end.
    pub(crate) fn part(&mut self, most: u64) -> Result<Bytes, ObjectsError> {
        let wanted = most.min(self.left());
        let mut part = Vec::with_capacity(wanted as usize);
        let read = (&mut self.reader).take(wanted).read_to_end(&mut part);
        read.map_err(|source| self.failed(source))?;
        self.taken += part.len() as u64;
        if (part.len() as u64) < wanted {
            return Err(self.wrong_size(self.taken));
        }
        Ok(part.into())
    }

    /// Fails if there is more than there should be.
    pub(crate) fn end(&mut self) -> Result<(), ObjectsError> {
        let more = io::copy(&mut (&mut self.reader).take(1), &mut io::sink())
            .map_err(|source| self.failed(source))?;
        match more {
            0 => Ok(()),
            more => Err(self.wrong_size(self.taken + more)),
        }
    }

    fn failed(&self, source: io::Error) -> ObjectsError {
        ObjectsError::Source {
            object: self.object.clone(),
            source,
        }
    }

    fn wrong_size(&self, actual: u64) -> ObjectsError {
        ObjectsError::Size {
            object: self.object.clone(),
            expected: self.size,
            actual,
        }
    }
}

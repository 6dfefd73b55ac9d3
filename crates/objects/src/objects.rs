//! The face that all stores have.

use std::fmt;
use std::io::Read;

use crate::{ObjectName, ObjectsError};

/// The largest object that [`Objects::read`] takes into memory: far above any entry, far below any machine's memory.
pub const MAX_READ_BYTES: u64 = 64 << 20;

/// A store of named objects.
pub trait Objects: Send + Sync + fmt::Debug {
    /// A small object, whole; `None` if it is not there.
    ///
    /// Fails with [`ObjectsError::TooLarge`] on one of more than [`MAX_READ_BYTES`].
    fn read(&self, name: &ObjectName) -> Result<Option<Vec<u8>>, ObjectsError>;

    /// An object as a stream; `None` if it is not there.
    fn open(&self, name: &ObjectName) -> Result<Option<Object>, ObjectsError>;

    /// How many bytes an object has; `None` if it is not there.
    fn size(&self, name: &ObjectName) -> Result<Option<u64>, ObjectsError>;

    /// Writes an object whose name says its contents: if it is there already with that many bytes, `source` may stay
    /// unread. Nobody ever sees a part of it.
    fn write(
        &self,
        name: &ObjectName,
        size: u64,
        source: &mut dyn Read,
    ) -> Result<(), ObjectsError>;

    /// Writes an object in the place of the one that may be there: of several writers, the last wins.
    fn replace(&self, name: &ObjectName, bytes: &[u8]) -> Result<(), ObjectsError>;

    /// Where the objects are, as a person would write it: `s3://bucket/prefix`.
    fn address(&self) -> String;
}

/// An object, open.
pub struct Object {
    /// How many bytes it has, if the store says so.
    pub size: Option<u64>,
    /// Its bytes. A stream that breaks ends with an error, never too early without one.
    pub reader: Box<dyn Read + Send>,
}

impl fmt::Debug for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Object")
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

//! Bytes that are part of a buffer which others hold too.

use std::fmt;
use std::ops::{Deref, Range};
use std::sync::Arc;

/// A piece of an immutable buffer: cheap to clone and to cut, `Send` and `Sync`.
///
/// A chart's files are pieces of its inflated archive, and its templates' trees point into them: nothing is copied.
///
/// ```
/// use pintle_gotemplate::Bytes;
///
/// let whole = Bytes::from(b"hello, world".to_vec());
/// assert_eq!(&*whole.slice(7..12), b"world");
/// ```
#[derive(Clone, Default)]
pub struct Bytes {
    buffer: Arc<Vec<u8>>,
    start: usize,
    end: usize,
}

impl Bytes {
    /// A part of it, which shares the buffer; nothing where the range lies outside.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        if self.get(range.clone()).is_none() {
            return Self::default();
        }
        Self { buffer: self.buffer.clone(), start: self.start + range.start, end: self.start + range.end }
    }
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.buffer.get(self.start..self.end).unwrap_or_default()
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

impl From<Vec<u8>> for Bytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self { start: 0, end: bytes.len(), buffer: Arc::new(bytes) }
    }
}

impl From<&[u8]> for Bytes {
    fn from(bytes: &[u8]) -> Self {
        Self::from(bytes.to_vec())
    }
}

impl PartialEq for Bytes {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl Eq for Bytes {}

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

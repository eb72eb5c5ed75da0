//! A body on its way in: kept on disk where that works, and digested as it comes.
//!
//! An index may have fifty megabytes of which nobody needs more than a line at a time, so it is never in memory as a
//! whole unless the disk fails.

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, Write};
use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tempfile::NamedTempFile;

use super::digest::Digest;
use super::http::Sink;
use super::index::{self, Index};

/// Bytes that came, and their digest so far.
pub(super) struct Spool {
    place: Place,
    hash: Sha256,
    length: u64,
}

/// Where the bytes are.
enum Place {
    File(NamedTempFile),
    Memory(Vec<u8>),
}

/// A body that came to its end.
pub(super) struct Spooled {
    place: Place,
    pub(super) digest: Digest,
    pub(super) length: u64,
}

impl Spool {
    /// Keeps what comes in `file`, or in memory.
    pub(super) fn new(file: Option<NamedTempFile>) -> Self {
        let place = file.map_or_else(|| Place::Memory(Vec::new()), Place::File);
        Self { place, hash: Sha256::new(), length: 0 }
    }

    /// Adds bytes. Blocks. A full disk is no failure while there is memory.
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hash.update(bytes);
        if let Place::File(file) = &mut self.place
            && let Err(error) = file.write_all(bytes)
        {
            tracing::debug!(%error, "the cache on disk failed; going on in memory");
            let mut kept = Vec::new();
            file.rewind()?;
            file.as_file().take(self.length).read_to_end(&mut kept)?;
            self.place = Place::Memory(kept);
        }
        if let Place::Memory(kept) = &mut self.place {
            kept.extend_from_slice(bytes);
        }
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Ends the body.
    pub(super) fn end(self) -> Spooled {
        let digest = Digest::from_bytes(self.hash.finalize().into());
        Spooled { place: self.place, digest, length: self.length }
    }
}

impl Sink for Spool {
    async fn take(mut self, bytes: Vec<u8>) -> io::Result<Self> {
        let write = move || self.write(&bytes).map(|()| self);
        tokio::task::spawn_blocking(write).await.map_err(io::Error::other)?
    }
}

impl Spooled {
    /// Reads it as an index. Blocks.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn index(&self) -> Result<Index, index::Error> {
        match &self.place {
            Place::File(file) => Index::read(&mut file.as_file()),
            Place::Memory(bytes) => Index::read(&mut Cursor::new(bytes)),
        }
    }

    /// The file, when the bytes are in one.
    ///
    /// # Errors
    /// The bytes, when they are in memory.
    pub(super) fn into_file(self) -> Result<NamedTempFile, Vec<u8>> {
        match self.place {
            Place::File(file) => Ok(file),
            Place::Memory(bytes) => Err(bytes),
        }
    }
}

/// Reads an index from `file` if that has the digest `digest`. Blocks.
///
/// # Errors
/// The file is damaged or no index.
pub(super) fn index_of(mut file: &File, digest: Digest) -> Result<Index, index::Error> {
    let read = |error| index::Error::Read(Arc::new(error));
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 << 10];
    loop {
        match file.read(&mut buffer).map_err(read)? {
            0 => break,
            length => hash.update(buffer.get(..length).unwrap_or_default()),
        }
    }
    if Digest::from_bytes(hash.finalize().into()) != digest {
        return Err(read(io::Error::new(io::ErrorKind::InvalidData, format!("{digest} is damaged"))));
    }
    Index::read(&mut file)
}

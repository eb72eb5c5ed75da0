//! Inflates a whole archive at once: its files are then pieces of one buffer.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::bufread::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::Bytes;

/// What deflate can make of a byte at most.
const MAX_RATIO: usize = 1032;

/// How much is inflated at a time where not all can be inflated at once.
const STEP: usize = 64 << 10;

/// The largest window of deflate, as zlib counts it.
const WINDOW_BITS: u8 = 15;

/// An inflated stream, which is read as if it were inflated on the way: what is wrong with it shows only to who reads as
/// far as that. As in Go, nothing is read after the end of a tar, the checksum of gzip included.
pub(super) struct Inflated {
    /// What came before the failure, or all of it.
    pub(super) data: Bytes,
    position: usize,
    failure: Option<io::Error>,
}

impl Inflated {
    /// Inflates `bytes`; a stream of more than `limit` bytes fails there, and does not end: it must not pass for a whole
    /// one.
    pub(super) fn new(bytes: &[u8], limit: usize) -> Self {
        let (data, failure) = match at_once(bytes, limit) {
            Some(data) => (data, None),
            None => in_pieces(bytes, limit),
        };
        Self { data: data.into(), position: 0, failure }
    }
}

/// Inflates what is whole, is one member, and is as long as it says.
fn at_once(bytes: &[u8], limit: usize) -> Option<Vec<u8>> {
    let length = promised(bytes);
    if length > limit.min(bytes.len().saturating_mul(MAX_RATIO)) {
        return None;
    }
    // Memory that need not be cleared, and that is the inflater's window too.
    let mut data = Vec::with_capacity(length.saturating_add(1));
    let mut inflater = Decompress::new_gzip(WINDOW_BITS);
    let status = inflater.decompress_vec(bytes, &mut data, FlushDecompress::Finish).ok()?;
    (status == Status::StreamEnd && inflater.total_in() == bytes.len() as u64).then_some(data)
}

/// Inflates up to what is wrong.
fn in_pieces(bytes: &[u8], limit: usize) -> (Vec<u8>, Option<io::Error>) {
    let mut decoder = MultiGzDecoder::new(bytes);
    let mut data = Vec::new();
    let failure = loop {
        let filled = data.len();
        data.resize(filled.saturating_add(STEP), 0);
        let read = decoder.read(data.get_mut(filled..).unwrap_or_default());
        data.truncate(filled + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => break None,
            Ok(_) if data.len() > limit => break Some(io::ErrorKind::FileTooLarge.into()),
            Err(error) if error.kind() != io::ErrorKind::Interrupted => break Some(error),
            _ => {}
        }
    };
    data.truncate(limit);
    (data, failure)
}

/// How long the stream says it is; it may lie.
fn promised(bytes: &[u8]) -> usize {
    let last = bytes.last_chunk().map_or(0, |last| u32::from_le_bytes(*last));
    usize::try_from(last).unwrap_or(usize::MAX)
}

impl Read for Inflated {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.data.get(self.position..).unwrap_or_default();
        if rest.is_empty()
            && let Some(failure) = self.failure.take()
        {
            return Err(failure);
        }
        let mut rest = rest;
        let read = rest.read(buffer)?;
        self.position += read;
        Ok(read)
    }
}

impl Seek for Inflated {
    /// Goes forward; not beyond the end, where there is nothing to be read.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let SeekFrom::Current(by) = to else { return Err(io::ErrorKind::Unsupported.into()) };
        let target = usize::try_from(by).ok().and_then(|by| self.position.checked_add(by));
        match target.filter(|target| *target <= self.data.len()) {
            Some(target) => {
                self.position = target;
                Ok(target as u64)
            }
            None => {
                let cut = || io::Error::other("unexpected EOF during skip");
                Err(self.failure.take().unwrap_or_else(cut))
            }
        }
    }
}

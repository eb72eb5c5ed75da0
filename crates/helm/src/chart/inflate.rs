//! Inflates a whole archive at once: its files are then pieces of one buffer.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::bufread::MultiGzDecoder;

use super::Bytes;

/// What deflate can make of a byte at most.
const MAX_RATIO: usize = 1032;

/// How much is inflated at a time where the stream is broken.
const SMALL_STEP: usize = 64 << 10;

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
        match inflate(bytes, limit, usize::MAX) {
            (data, None) => Self { data: data.into(), position: 0, failure: None },
            // The inflater forgets what it made of a piece in which it fails.
            (_, Some(_)) => {
                let (data, failure) = inflate(bytes, limit, SMALL_STEP);
                Self { data: data.into(), position: 0, failure }
            }
        }
    }
}

/// Inflates in pieces of at most `step` bytes.
fn inflate(bytes: &[u8], limit: usize, step: usize) -> (Vec<u8>, Option<io::Error>) {
    let mut decoder = MultiGzDecoder::new(bytes);
    let most = limit.saturating_add(1);
    // One byte more than there should be, so that the end shows.
    let expected = promised(bytes).min(bytes.len().saturating_mul(MAX_RATIO)).saturating_add(1);
    let mut data = vec![0; expected.min(most)];
    let mut filled = 0;
    let failure = loop {
        if filled == data.len() {
            data.resize(data.len().saturating_mul(2).max(SMALL_STEP).min(most), 0);
        }
        let end = filled.saturating_add(step).min(data.len());
        match decoder.read(data.get_mut(filled..end).unwrap_or_default()) {
            Ok(0) => break None,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => break Some(error),
        }
        if filled > limit {
            break Some(io::ErrorKind::FileTooLarge.into());
        }
    };
    data.truncate(filled.min(limit));
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

//! Where the command line's charts and values come from: this machine's files, and what the caller adds to them.

use std::fs;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::Error;
use crate::chart::{self, Chart, Limits};

/// Gives what an argument names.
pub trait Sources {
    /// The bytes of a file with values, of `-` or of an address.
    ///
    /// # Errors
    /// It is not to be had.
    fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        read(path)
    }

    /// Finds the chart that is meant; `out` gets what is to be said about the search.
    ///
    /// # Errors
    /// It is not to be had.
    fn locate(&self, reference: &str, out: &mut dyn Write) -> Result<Located, Error> {
        let _ = out;
        local(reference).ok_or_else(|| Error::ChartNotFound { path: reference.to_owned() })
    }
}

/// The files of this machine, and nothing else.
#[derive(Clone, Copy, Debug, Default)]
pub struct Disk;

impl Sources for Disk {}

/// A chart that was found, but not read yet.
#[derive(Clone, Debug)]
pub enum Located {
    /// A directory or an archive.
    Path(PathBuf),
    /// The bytes of an archive.
    Archive(Vec<u8>),
}

impl Located {
    /// Reads it.
    ///
    /// # Errors
    /// It is no chart.
    pub fn load(&self) -> Result<Chart, chart::Error> {
        match self {
            Self::Path(path) => chart::load_path(path, &Limits::default()),
            Self::Archive(bytes) => chart::load_archive(bytes, &Limits::default()),
        }
    }
}

/// The chart at a path, if something is there.
///
/// # Compatibility
/// As the first lines of Helm v4 `pkg/action/install.go:LocateChart`.
pub fn local(reference: &str) -> Option<Located> {
    let path = Path::new(reference.trim());
    path.exists().then(|| Located::Path(std::path::absolute(path).unwrap_or_else(|_| path.to_owned())))
}

fn read(path: &str) -> Result<Vec<u8>, Error> {
    if path.trim() == "-" {
        let mut text = Vec::new();
        io::stdin().read_to_end(&mut text).map_err(|source| go_io("read", "/dev/stdin", &source))?;
        return Ok(text);
    }
    fs::read(path).map_err(|source| go_io("open", path, &source))
}

/// An error of the file system in Go's words.
pub(super) fn go_io(doing: &str, path: &str, source: &io::Error) -> Error {
    let text = source.to_string();
    let reason = text.split_once(" (os error").map_or(text.as_str(), |(reason, _)| reason).to_lowercase();
    Error::Io { text: format!("{doing} {path}: {reason}") }
}

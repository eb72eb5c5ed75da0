//! The index of a repository: which charts it has, in which versions, and where they are.
//!
//! An index.yaml may have a hundred thousand versions of which a release looks at one, so only what resolving needs
//! is kept, in one compact [`Table`] that all releases share. One bad entry does not spoil the others: it is skipped
//! and counted.
//!
//! ```text
//! block style, as every known tool writes it ─ lines  ─╮
//! JSON ─────────────────────────────────────── fields ─┼─► Table      one entry in memory at a time
//! all other YAML, up to a limit ── goyaml ──── fields ─╯              the whole text in memory
//! ```

mod fields;
mod lines;
mod syntax;
mod table;
#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read, Seek};
use std::sync::Arc;

use pintle_sprig::semver::{Constraint, Version};

use super::digest::Digest;
use fields::File;
use table::Table;

/// How many versions or names a message lists.
const LISTED: usize = 5;
/// Largest text that is read as a whole: the full parser takes some six times of it.
const MAX_WHOLE: u64 = 8 << 20;
/// What is read from the text at a time.
const BUFFER: usize = 64 << 10;

/// The table of a repository.
#[derive(Debug, Default)]
pub struct Index {
    table: Table,
}

/// One version of a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChartVersion {
    /// Its version, as it is written.
    pub version: Box<str>,
    /// The version of what is inside.
    pub app_version: Option<Box<str>>,
    /// The digest of the archive, when the index names one.
    pub digest: Option<Digest>,
    /// Where the archive is: addresses, or paths below the repository.
    pub urls: Box<[Box<str>]>,
}

impl Index {
    /// Parses an index.yaml or index.json.
    ///
    /// # Errors
    /// See [`Index::read`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        Self::read(&mut io::Cursor::new(bytes))
    }

    /// Reads an index.yaml or index.json, from its start, in little memory.
    ///
    /// # Errors
    /// The text as a whole is no index.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/repo/v1/index.go:loadIndex`, except that an entry that breaks a rule is skipped where Helm
    /// refuses the whole file, and that what is neither JSON nor YAML in block style must not be larger than 8 MiB.
    pub fn read(text: &mut (impl Read + Seek)) -> Result<Self, Error> {
        let file = match first_byte(text)? {
            None => return Err(Error::Empty),
            // Helm: whatever is valid JSON is read as JSON; a flow mapping of YAML begins with a brace too.
            Some(b'{') => match serde_json::from_reader(BufReader::with_capacity(BUFFER, &mut *text)) {
                Ok(file) => file,
                Err(error) if error.is_io() => return Err(Error::Read(Arc::new(error.into()))),
                Err(error) => whole(text, error.line())?,
            },
            Some(_) => match lines::read(BufReader::with_capacity(BUFFER, &mut *text))? {
                Ok(file) => file,
                Err(odd) => whole(text, odd.line)?,
            },
        };
        if file.api_version.0.is_none_or(|version| version.is_empty()) {
            return Err(Error::NoApiVersion);
        }
        Ok(Self { table: file.entries.0 })
    }

    /// Number of charts.
    pub fn count(&self) -> usize {
        self.table.count()
    }

    /// Entries that are empty or break a rule.
    pub fn skipped(&self) -> usize {
        self.table.skipped()
    }

    /// Versions that a chart lists more than once; the first one counts.
    pub fn duplicates(&self) -> usize {
        self.table.duplicates()
    }

    /// The names of the charts, in no order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.table.names()
    }

    /// The versions of a chart, newest first.
    pub fn versions(&self, name: &str) -> Option<impl Iterator<Item = ChartVersion>> {
        self.table.versions(name)
    }

    /// Chooses the version of `name` that `constraint` asks for.
    ///
    /// # Errors
    /// There is none; see [`Miss`].
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/repo/v1/index.go:Get`: the exact text first, then the newest version that satisfies the
    /// constraint; pre-releases only where the constraint has one.
    pub fn choose(&self, name: &str, constraint: Option<&str>) -> Result<ChartVersion, Miss> {
        let versions = || self.table.versions(name);
        if versions().is_none() {
            return Err(Miss::Chart { near: self.near(name) });
        }
        let text = constraint.filter(|text| !text.is_empty()).unwrap_or("*");
        let constraint = Constraint::parse(text).map_err(|error| Miss::Constraint(error.to_string()))?;
        let satisfies = |version: &ChartVersion| {
            Version::parse(&version.version).is_ok_and(|version| constraint.check(&version))
        };
        let exact = versions().into_iter().flatten().find(|version| &*version.version == text);
        exact.or_else(|| versions().into_iter().flatten().find(satisfies)).ok_or_else(|| Miss::Version {
            newest: versions()
                .into_iter()
                .flatten()
                .take(LISTED)
                .map(|version| version.version.into())
                .collect(),
        })
    }

    /// The names that somebody who wrote `name` may have meant.
    fn near(&self, name: &str) -> Vec<String> {
        let mut near: Vec<(usize, &str)> = self
            .names()
            .filter(|known| known.len() <= 128 && known.chars().all(|c| c.is_ascii_graphic()))
            .filter_map(|known| Some((distance(name, known)?, known)))
            .collect();
        near.sort_unstable();
        near.into_iter().take(LISTED).map(|(_, known)| known.to_owned()).collect()
    }
}

/// The first byte that is no white space.
fn first_byte(text: &mut (impl Read + Seek)) -> Result<Option<u8>, Error> {
    text.rewind().map_err(read)?;
    let first =
        BufReader::new(&mut *text).bytes().find(|byte| !matches!(byte, Ok(b) if b.is_ascii_whitespace()));
    text.rewind().map_err(read)?;
    first.transpose().map_err(read)
}

/// Reads a text that cannot be read as a stream, as its line `line` shows.
fn whole(text: &mut (impl Read + Seek), line: usize) -> Result<File, Error> {
    text.rewind().map_err(read)?;
    let mut bytes = Vec::new();
    text.take(MAX_WHOLE + 1).read_to_end(&mut bytes).map_err(read)?;
    if bytes.len() as u64 > MAX_WHOLE {
        return Err(Error::Irregular { line, limit: MAX_WHOLE });
    }
    pintle_goyaml::from_str(&bytes).map_err(Error::Parse)
}

fn read(error: io::Error) -> Error {
    Error::Read(Arc::new(error))
}

/// How far apart two names are; `None` when nobody would take one for the other.
fn distance(wanted: &str, known: &str) -> Option<usize> {
    let shorter = wanted.len().min(known.len());
    if shorter >= 3 && (known.contains(wanted) || wanted.contains(known)) {
        return Some(0);
    }
    if wanted.len() > 128 || wanted.len().abs_diff(known.len()) > 3 {
        return None;
    }
    let (wanted, known) = (wanted.as_bytes(), known.as_bytes());
    // Levenshtein, one row at a time.
    let mut row: Vec<usize> = (0..=known.len()).collect();
    for (i, a) in wanted.iter().enumerate() {
        let mut diagonal = i;
        let mut left = i + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (cell, b) in row.iter_mut().skip(1).zip(known) {
            let next = (diagonal + usize::from(a != b)).min(*cell + 1).min(left + 1);
            diagonal = *cell;
            *cell = next;
            left = next;
        }
    }
    row.last().copied().filter(|steps| *steps <= 1 + shorter / 4 && *steps < shorter)
}

/// Why an index has not what is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Miss {
    /// No chart of that name.
    Chart {
        /// Names like it.
        near: Vec<String>,
    },
    /// The chart, but in no version that the constraint admits.
    Version {
        /// Its newest versions.
        newest: Vec<String>,
    },
    /// The constraint is none; what the parser says.
    Constraint(String),
}

/// Why a text is no index.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// Nothing in it.
    #[error("empty index.yaml file")]
    Empty,
    /// It does not say what it is, so it is probably something else.
    #[error("no API version specified")]
    NoApiVersion,
    /// Too large for what it is.
    #[error(
        "line {line} is neither JSON nor YAML in block style, and such a file must not be larger than {limit} bytes"
    )]
    Irregular {
        /// The first such line.
        line: usize,
        /// The limit.
        limit: u64,
    },
    /// The text could not be read.
    #[error("failed to read the text")]
    Read(#[source] Arc<io::Error>),
    /// It is neither YAML nor JSON, or no table.
    #[error(transparent)]
    Parse(pintle_goyaml::Error),
}

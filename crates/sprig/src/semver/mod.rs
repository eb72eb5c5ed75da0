//! Semantic versions and constraints as `Masterminds/semver` v3.5 has them.
//!
//! It is the library behind Helm's choice of chart versions as well as behind `semver` and `semverCompare`, so
//! [`Version`] and [`Constraint`] are public. Versions are read loosely (`v1.2` is 1.2.0) unless asked strictly;
//! constraints skip pre-releases unless they name one.
//!
//! ```
//! use pintle_sprig::semver::{Constraint, Version};
//!
//! let constraint = Constraint::parse("^1.2 || >=3.0.0-0")?;
//! assert!(constraint.check(&Version::parse("v1.9")?));
//! assert!(constraint.check(&Version::parse("3.0.0-rc.1")?));
//! assert!(!constraint.check(&Version::parse("1.9.0-rc.1")?));
//! # Ok::<(), pintle_sprig::semver::Error>(())
//! ```

mod constraint;
mod object;

use std::cmp::Ordering;
use std::fmt;

use pintle_gotemplate::Value;

use crate::args::Args;
use crate::go::{Outcome, failure};

pub use constraint::Constraint;

/// Why a version or a constraint cannot be read; shown with Go's text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

fn error(text: impl Into<String>) -> Error {
    Error(text.into())
}

/// The longest text that is read as a version.
const MAX_VERSION: usize = 256;

/// A semantic version. Ordered by precedence: build metadata does not count.
#[derive(Clone, Debug)]
pub struct Version {
    major: u64,
    minor: u64,
    patch: u64,
    pre: String,
    metadata: String,
    original: String,
}

impl Version {
    /// Reads a version loosely: a leading `v`, missing parts and leading zeros are fine.
    ///
    /// # Errors
    ///
    /// Go's `NewVersion` error text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_VERSION {
            return Err(error("version string is too long (max 256 bytes)"));
        }
        let invalid = || error("invalid semantic version");
        let rest = text.strip_prefix('v').unwrap_or(text);
        let (rest, metadata) = match rest.split_once('+') {
            Some((rest, metadata)) => (rest, Some(metadata)),
            None => (rest, None),
        };
        let (numbers, pre) = match rest.split_once('-') {
            Some((numbers, pre)) => (numbers, Some(pre)),
            None => (rest, None),
        };
        let numbers: Vec<&str> = numbers.split('.').collect();
        let well_formed = numbers.len() <= 3
            && numbers.iter().all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
            && [pre, metadata].into_iter().flatten().flat_map(|text| text.split('.')).all(is_identifier);
        if !well_formed {
            return Err(invalid());
        }
        let segment =
            |i: usize| number(numbers.get(i).copied().unwrap_or("0"), "error parsing version segment: ");
        let version = Self {
            major: segment(0)?,
            minor: segment(1)?,
            patch: segment(2)?,
            pre: pre.unwrap_or_default().to_owned(),
            metadata: metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        };
        if pre.is_some() {
            check_pre(&version.pre)?;
        }
        Ok(version)
    }

    /// Reads a version as the specification has it.
    ///
    /// # Errors
    ///
    /// Go's `StrictNewVersion` error text.
    pub fn parse_strict(text: &str) -> Result<Self, Error> {
        if text.is_empty() {
            return Err(error("version string empty"));
        }
        if text.len() > MAX_VERSION {
            return Err(error("version string is too long (max 256 bytes)"));
        }
        let mut parts = text.splitn(3, '.');
        let (Some(major), Some(minor), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(error("invalid semantic version"));
        };
        let (rest, metadata) = rest.split_once('+').map_or((rest, None), |(rest, text)| (rest, Some(text)));
        if metadata.is_some_and(|text| !text.split('.').all(is_identifier)) {
            return Err(error("invalid metadata string"));
        }
        let (patch, pre) = rest.split_once('-').map_or((rest, None), |(rest, text)| (rest, Some(text)));
        if let Some(pre) = pre {
            check_pre(pre)?;
        }
        for part in [major, minor, patch] {
            if !part.bytes().all(|b| b.is_ascii_digit()) {
                return Err(error("invalid characters in version"));
            }
            if part.len() > 1 && part.starts_with('0') {
                return Err(error("version segment starts with 0"));
            }
        }
        Ok(Self {
            major: number(major, "")?,
            minor: number(minor, "")?,
            patch: number(patch, "")?,
            pre: pre.unwrap_or_default().to_owned(),
            metadata: metadata.unwrap_or_default().to_owned(),
            original: text.to_owned(),
        })
    }

    /// The major version.
    pub fn major(&self) -> u64 {
        self.major
    }

    /// The minor version.
    pub fn minor(&self) -> u64 {
        self.minor
    }

    /// The patch version.
    pub fn patch(&self) -> u64 {
        self.patch
    }

    /// The pre-release without its hyphen, or "".
    pub fn pre(&self) -> &str {
        &self.pre
    }

    /// The build metadata without its plus sign, or "".
    pub fn metadata(&self) -> &str {
        &self.metadata
    }

    /// The text that was read.
    pub fn original(&self) -> &str {
        &self.original
    }

    /// The same version as a bare `major.minor.patch`.
    #[must_use]
    pub fn core(&self) -> Self {
        self.derived(|version| (version.pre, version.metadata) = (String::new(), String::new()))
    }

    /// A changed copy, whose original text is its canonical one with the `v` of this one.
    fn derived(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut next = self.clone();
        change(&mut next);
        let v = if self.original.starts_with('v') { "v" } else { "" };
        next.original = format!("{v}{next}");
        next
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)?;
        if !self.pre.is_empty() {
            write!(f, "-{}", self.pre)?;
        }
        if !self.metadata.is_empty() {
            write!(f, "+{}", self.metadata)?;
        }
        Ok(())
    }
}

impl Ord for Version {
    fn cmp(&self, other: &Self) -> Ordering {
        let numbers = |v: &Self| (v.major, v.minor, v.patch);
        numbers(self).cmp(&numbers(other)).then_with(|| match (self.pre.is_empty(), other.pre.is_empty()) {
            (true, true) => Ordering::Equal,
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => compare_pre(&self.pre, &other.pre),
        })
    }
}

impl PartialOrd for Version {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Version {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Version {}

fn compare_pre(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let (a, b) = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => return Ordering::Less,
            (Some(_), None) => return Ordering::Greater,
            (Some(a), Some(b)) => (a, b),
        };
        // Numbers come before words; what does not fit 64 bits is a word.
        let order = match (a.parse::<u64>().ok(), b.parse::<u64>().ok()) {
            (Some(a), Some(b)) => a.cmp(&b),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => a.cmp(b),
        };
        if order.is_ne() {
            return order;
        }
    }
}

fn is_identifier(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn check_pre(pre: &str) -> Result<(), Error> {
    for part in pre.split('.') {
        if !is_identifier(part) {
            return Err(error("invalid prerelease string"));
        }
        if part.len() > 1 && part.starts_with('0') && part.bytes().all(|b| b.is_ascii_digit()) {
            return Err(error("version segment starts with 0"));
        }
    }
    Ok(())
}

fn number(digits: &str, context: &str) -> Result<u64, Error> {
    digits.parse().map_err(|_| {
        let reason = if digits.is_empty() { "invalid syntax" } else { "value out of range" };
        error(format!("{context}strconv.ParseUint: parsing \"{digits}\": {reason}"))
    })
}

/// `semver TEXT`.
pub(crate) fn semver(args: &[Value]) -> Outcome {
    let version = Version::parse(&args.text(0)).map_err(|error| failure(error.0))?;
    Ok(object::pointer(version))
}

/// `semverCompare CONSTRAINT VERSION`.
pub(crate) fn semver_compare(args: &[Value]) -> Outcome {
    let constraint = Constraint::parse(&args.text(0)).map_err(|error| failure(error.0))?;
    let version = Version::parse(&args.text(1)).map_err(|error| failure(error.0))?;
    Ok(constraint.check(&version).into())
}

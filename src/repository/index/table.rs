//! What is kept of an index: one block of bytes for each chart, with its versions newest first.
//!
//! A version takes some sixty bytes: its digest, and what of its address differs from that of its neighbour. Nothing
//! is decoded until somebody asks for the chart.

use std::collections::{HashMap, HashSet};

use pintle_sprig::semver::Version;

use super::super::digest::Digest;
use super::ChartVersion;

/// The charts by name.
#[derive(Debug, Default)]
pub(super) struct Table {
    charts: HashMap<Box<str>, Chart>,
    /// Entries below a key that is no name.
    pub(super) nameless: usize,
}

#[derive(Debug)]
struct Chart {
    skipped: usize,
    duplicates: usize,
    versions: Box<[u8]>,
}

/// The versions of one chart, as they are being read.
#[derive(Debug, Default)]
pub(super) struct Versions {
    kept: Vec<(Version, ChartVersion)>,
    skipped: usize,
}

impl Versions {
    /// Adds an entry, or counts it as skipped.
    pub(super) fn add(&mut self, entry: Option<(Version, ChartVersion)>) {
        match entry {
            Some(entry) => self.kept.push(entry),
            None => self.skipped += 1,
        }
    }

    /// Number of entries so far.
    pub(super) fn listed(&self) -> usize {
        self.kept.len() + self.skipped
    }
}

impl Table {
    /// Adds a chart. Of two with the same name the last one counts, as in a map of Go.
    pub(super) fn add(&mut self, name: Box<str>, versions: Versions) {
        let Versions { mut kept, skipped } = versions;
        // Stable, so that of equal versions the one that is listed first comes first.
        kept.sort_by(|(a, _), (b, _)| b.cmp(a));
        let mut seen = HashSet::new();
        let duplicates = kept.iter().filter(|(_, version)| !seen.insert(&version.version)).count();
        drop(seen);
        let mut bytes = Vec::new();
        let mut last = "";
        for (_, version) in &kept {
            last = encode(&mut bytes, version, last);
        }
        // Helm: a chart whose entries are all bad is still known, in no version.
        self.charts.insert(name, Chart { skipped, duplicates, versions: bytes.into() });
    }

    /// Number of charts.
    pub(super) fn count(&self) -> usize {
        self.charts.len()
    }

    /// The names, in no order.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.charts.keys().map(|name| &**name)
    }

    /// The versions of a chart, newest first.
    pub(super) fn versions(&self, name: &str) -> Option<Decoded<'_>> {
        self.charts.get(name).map(|chart| Decoded { rest: &chart.versions, last: String::new() })
    }

    /// Entries that were skipped.
    pub(super) fn skipped(&self) -> usize {
        self.nameless + self.charts.values().map(|chart| chart.skipped).sum::<usize>()
    }

    /// Versions that a chart lists more than once.
    pub(super) fn duplicates(&self) -> usize {
        self.charts.values().map(|chart| chart.duplicates).sum()
    }
}

/// Appends a version; gives back the address that the next one is compared with.
fn encode<'a>(bytes: &mut Vec<u8>, version: &'a ChartVersion, last: &'a str) -> &'a str {
    text(bytes, &version.version);
    number(bytes, usize::from(version.app_version.is_some()) | usize::from(version.digest.is_some()) << 1);
    if let Some(app_version) = &version.app_version {
        text(bytes, app_version);
    }
    if let Some(digest) = &version.digest {
        bytes.extend_from_slice(digest.as_bytes());
    }
    number(bytes, version.urls.len());
    let mut last = last;
    for url in &version.urls {
        let mut shared = url.bytes().zip(last.bytes()).take_while(|(a, b)| a == b).count();
        while !url.is_char_boundary(shared) {
            shared -= 1;
        }
        number(bytes, shared);
        text(bytes, url.get(shared..).unwrap_or_default());
        last = url;
    }
    last
}

fn text(bytes: &mut Vec<u8>, text: &str) {
    number(bytes, text.len());
    bytes.extend_from_slice(text.as_bytes());
}

/// Seven bits a byte, the lowest first.
fn number(bytes: &mut Vec<u8>, mut number: usize) {
    while number > 0x7F {
        bytes.push(u8::try_from(number & 0x7F).unwrap_or_default() | 0x80);
        number >>= 7;
    }
    bytes.push(u8::try_from(number).unwrap_or_default());
}

/// The versions of a chart, decoded one by one.
#[derive(Debug)]
pub(super) struct Decoded<'a> {
    rest: &'a [u8],
    last: String,
}

impl Decoded<'_> {
    fn number(&mut self) -> Option<usize> {
        let mut number = 0;
        for shift in (0..usize::BITS).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            number |= usize::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                break;
            }
        }
        Some(number)
    }

    fn bytes(&mut self, length: usize) -> Option<&[u8]> {
        let (bytes, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(bytes)
    }

    fn text(&mut self) -> Option<&str> {
        let length = self.number()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }
}

impl Iterator for Decoded<'_> {
    type Item = ChartVersion;

    fn next(&mut self) -> Option<ChartVersion> {
        let version = self.text()?.into();
        let flags = self.number()?;
        let app_version = if flags & 1 == 0 { None } else { Some(self.text()?.into()) };
        let digest =
            if flags & 2 == 0 { None } else { Some(Digest::from_bytes(self.bytes(32)?.try_into().ok()?)) };
        let mut urls: Vec<Box<str>> = Vec::new();
        for _ in 0..self.number()? {
            let shared = self.number()?;
            let mut url = self.last.get(..shared)?.to_owned();
            url.push_str(self.text()?);
            urls.push(url.as_str().into());
            self.last = url;
        }
        Some(ChartVersion { version, app_version, digest, urls: urls.into() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_back_as_they_were_added() {
        let version = |version: &str, urls: &[&str], digest: Option<&[u8]>| ChartVersion {
            version: version.into(),
            app_version: digest.map(|_| "ä".repeat(100).into()),
            digest: digest.map(Digest::of),
            urls: urls.iter().map(|url| Box::from(*url)).collect(),
        };
        let mut expected = vec![
            version("1.0.0", &["https://host/a-1.0.0.tgz", "b"], Some(b"x")),
            version("1.2.0", &["https://host/a-1.2.0.tgz"], None),
            version("1.1.0", &["https://höst/a.tgz"], None),
            version("1.3.0", &["https://hüst/a.tgz", "", "https://hüst/a.tgz"], None),
            version("0.1.0", &[], Some(b"")),
        ];
        let mut table = Table::default();
        let mut versions = Versions::default();
        for version in &expected {
            versions.add(Some((Version::parse(&version.version).unwrap(), version.clone())));
        }
        table.add("a".into(), versions);
        expected.sort_by(|a, b| b.version.cmp(&a.version));
        assert_eq!(table.versions("a").unwrap().collect::<Vec<_>>(), expected);
        assert!(table.versions("b").is_none());
    }
}

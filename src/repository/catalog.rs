//! The charts in a folder, as a repository would list them.
//!
//! Looked at anew for each request: what has the times and sizes of the last look is not read again.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, Metadata as FileMetadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use hyper::body::Bytes;
use k8s_openapi::jiff::Timestamp;
use pintle_helm::chart::{Limits, Metadata, load_archive};
use pintle_sprig::semver::Version;
use serde::Serialize;

use super::digest::Digest;
use super::lock;
use super::package::{file_name, package_dir};

/// Files of a chart folder that are looked at; as many as an archive may have.
const MAX_FILES: usize = 10_000;
/// Levels of a chart folder.
const MAX_DEPTH: usize = 32;

/// A folder with archives (`*.tgz`) and chart folders.
#[derive(Debug)]
pub(super) struct Catalog {
    dir: PathBuf,
    /// The address that the index puts before the names of archives; none leaves them relative.
    url: Option<String>,
    limits: Limits,
    seen: Mutex<Seen>,
}

/// What the last look found.
#[derive(Debug, Default)]
struct Seen {
    items: BTreeMap<PathBuf, Item>,
    listing: Option<Arc<Listing>>,
}

/// A file or folder, and the chart that it holds, if it does.
#[derive(Clone, Debug)]
struct Item {
    stamp: Stamp,
    chart: Option<Arc<Listed>>,
}

/// Changes when anything below a path does.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Stamp {
    newest: SystemTime,
    files: Vec<(PathBuf, SystemTime, u64)>,
}

/// A chart that is served.
#[derive(Debug)]
struct Listed {
    file: String,
    metadata: Metadata,
    digest: Digest,
    created: SystemTime,
    archive: Archive,
}

/// Where the bytes of an archive are.
#[derive(Clone, Debug)]
pub(super) enum Archive {
    /// On disk.
    File(PathBuf),
    /// In memory: packaged from a folder.
    Packaged(Bytes),
}

/// What is served: fixed names, nothing else.
#[derive(Debug)]
pub(super) struct Listing {
    /// index.yaml.
    pub(super) index: Bytes,
    /// Its digest.
    pub(super) digest: Digest,
    archives: HashMap<String, Arc<Listed>>,
}

impl Listing {
    /// The archive of that name, with its digest.
    pub(super) fn archive(&self, name: &str) -> Option<(&Archive, Digest)> {
        self.archives.get(name).map(|listed| (&listed.archive, listed.digest))
    }

    /// Number of archives.
    pub(super) fn count(&self) -> usize {
        self.archives.len()
    }
}

/// index.yaml.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct IndexFile<'a> {
    api_version: &'static str,
    entries: BTreeMap<&'a str, Vec<IndexEntry<'a>>>,
    generated: String,
}

#[derive(Serialize)]
struct IndexEntry<'a> {
    #[serde(flatten)]
    metadata: &'a Metadata,
    created: String,
    digest: String,
    urls: [String; 1],
}

impl Catalog {
    pub(super) fn new(dir: PathBuf, url: Option<String>) -> Self {
        Self { dir, url, limits: Limits::default(), seen: Mutex::default() }
    }

    /// Looks at the folder. Blocks.
    ///
    /// # Errors
    /// The folder cannot be read, or the index not be written.
    pub(super) fn listing(&self) -> io::Result<Arc<Listing>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(&self.dir)? {
            let path = entry?.path();
            // What vanished in between, or cannot be looked at, is not there.
            let Ok(meta) = fs::metadata(&path) else { continue };
            if let Some(stamp) = stamp(&path, &meta) {
                found.insert(path, stamp);
            }
        }
        let mut seen = lock(&self.seen);
        let same = seen.items.len() == found.len()
            && seen.items.iter().zip(&found).all(|((a, item), (b, stamp))| a == b && item.stamp == *stamp);
        if let Some(listing) = seen.listing.as_ref().filter(|_| same) {
            return Ok(listing.clone());
        }
        let mut items = BTreeMap::new();
        for (path, stamp) in found {
            let item = match seen.items.remove(&path) {
                Some(item) if item.stamp == stamp => item,
                _ => Item { chart: self.read(&path, &stamp).map(Arc::new), stamp },
            };
            items.insert(path, item);
        }
        let listing = Arc::new(self.list(&items)?);
        *seen = Seen { items, listing: Some(listing.clone()) };
        Ok(listing)
    }

    /// Reads one archive or folder; what holds no chart is left out.
    fn read(&self, path: &Path, stamp: &Stamp) -> Option<Listed> {
        let created = stamp.newest;
        let result = if path.is_dir() {
            package_dir(path, &self.limits).map_err(|error| error.to_string()).map(|package| Listed {
                file: package.file_name(),
                digest: Digest::of(&package.bytes),
                created,
                metadata: package.metadata,
                archive: Archive::Packaged(package.bytes.into()),
            })
        } else {
            let load = |bytes: Vec<u8>| {
                let chart = load_archive(&bytes, &self.limits).map_err(|error| error.to_string())?;
                let file = path.file_name().and_then(|name| name.to_str());
                Ok(Listed {
                    file: file.map_or_else(|| file_name(&chart.metadata), str::to_owned),
                    metadata: chart.metadata,
                    digest: Digest::of(&bytes),
                    created,
                    archive: Archive::File(path.to_owned()),
                })
            };
            fs::read(path).map_err(|error| error.to_string()).and_then(load)
        };
        result
            .map_err(|error| tracing::warn!(path = %path.display(), error, "not served: this is no chart"))
            .ok()
    }

    fn list(&self, items: &BTreeMap<PathBuf, Item>) -> io::Result<Listing> {
        let mut archives: HashMap<String, Arc<Listed>> = HashMap::new();
        for chart in items.values().filter_map(|item| item.chart.as_ref()) {
            let taken = archives.get(&chart.file).map(|other| &other.archive);
            // An archive is what somebody published; the folder of the same version may have moved on.
            if !matches!(taken, Some(Archive::File(_))) {
                archives.insert(chart.file.clone(), chart.clone());
            }
        }
        let mut charts: Vec<(&Listed, Option<Version>)> =
            archives.values().map(|chart| (&**chart, Version::parse(&chart.metadata.version).ok())).collect();
        charts.sort_by(|(a, a_version), (b, b_version)| {
            b_version.cmp(a_version).then_with(|| a.file.cmp(&b.file))
        });
        let mut entries: BTreeMap<&str, Vec<IndexEntry<'_>>> = BTreeMap::new();
        let mut newest = SystemTime::UNIX_EPOCH;
        for (chart, _) in charts {
            newest = newest.max(chart.created);
            entries.entry(&chart.metadata.name).or_default().push(IndexEntry {
                metadata: &chart.metadata,
                created: written(chart.created),
                digest: chart.digest.hex(),
                urls: [self.address(&chart.file)],
            });
        }
        // Not the time of the request: the same charts have the same index, so that its ETag holds.
        let file = IndexFile { api_version: "v1", entries, generated: written(newest) };
        let index = Bytes::from(pintle_goyaml::to_string(&file).map_err(io::Error::other)?);
        Ok(Listing { digest: Digest::of(&index), index, archives })
    }

    fn address(&self, file: &str) -> String {
        match &self.url {
            Some(url) => format!("{}/{file}", url.trim_end_matches('/')),
            None => file.to_owned(),
        }
    }
}

fn written(time: SystemTime) -> String {
    Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

/// The stamp of an archive or a chart folder; `None` for everything else.
fn stamp(path: &Path, meta: &FileMetadata) -> Option<Stamp> {
    let mut stamp = Stamp { newest: SystemTime::UNIX_EPOCH, files: Vec::new() };
    if meta.is_dir() {
        if !path.join("Chart.yaml").is_file() {
            return None;
        }
        stamp.folder(path, 0);
        stamp.files.sort_unstable();
    } else if meta.is_file() && path.extension().is_some_and(|extension| extension == "tgz") {
        stamp.file(path, meta);
    } else {
        return None;
    }
    Some(stamp)
}

impl Stamp {
    fn file(&mut self, path: &Path, meta: &FileMetadata) {
        let modified = meta.modified().unwrap_or(SystemTime::UNIX_EPOCH);
        self.newest = self.newest.max(modified);
        self.files.push((path.to_owned(), modified, meta.len()));
    }

    fn folder(&mut self, path: &Path, depth: usize) {
        if depth > MAX_DEPTH {
            return;
        }
        for entry in fs::read_dir(path).into_iter().flatten().flatten() {
            if self.files.len() >= MAX_FILES {
                return;
            }
            let path = entry.path();
            match fs::metadata(&path) {
                Ok(meta) if meta.is_dir() => self.folder(&path, depth + 1),
                Ok(meta) => self.file(&path, &meta),
                Err(_) => {}
            }
        }
    }
}

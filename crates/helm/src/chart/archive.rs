//! Chart archives: gzip over tar, read in memory under a budget, with Helm's rules on paths.
//!
//! Nothing is ever written to disk, and links are read as empty files, so an archive can reach nothing outside itself.

use std::borrow::Cow;
use std::io::{self, Read};

use super::inflate::Inflated;
use super::{Bytes, Error, Limits, load};

/// The files of an archive, or of a directory, before they are sorted into a chart.
#[derive(Clone, Debug)]
pub(super) struct RawFile {
    /// Path below the chart's folder, with `/`.
    pub(super) name: String,
    /// Content without a byte order mark, as a chart keeps it.
    pub(super) data: Bytes,
}

/// What is left of the limits; one budget for an archive and the archives inside it.
#[derive(Clone, Debug)]
pub(super) struct Budget {
    limits: Limits,
    bytes: u64,
    files: usize,
    depth: usize,
}

impl Budget {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            limits: limits.clone(),
            bytes: limits.decompressed_bytes,
            files: limits.files,
            depth: limits.nesting,
        }
    }

    /// The error of having used all bytes up.
    pub(super) fn too_large(&self) -> Error {
        Error::TooLarge { limit: self.limits.decompressed_bytes }
    }

    /// Bytes that may still be read.
    pub(super) fn bytes_left(&self) -> u64 {
        self.bytes
    }

    /// Takes one file of `bytes` from the budget.
    pub(super) fn take(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| self.too_large())?;
        self.files = self.files.checked_sub(1).ok_or(Error::TooManyFiles { limit: self.limits.files })?;
        Ok(())
    }

    /// Goes into a chart inside a chart.
    pub(super) fn descend(&mut self) -> Result<(), Error> {
        self.depth = self.depth.checked_sub(1).ok_or(Error::TooDeep { limit: self.limits.nesting })?;
        Ok(())
    }

    /// Comes back from [`Budget::descend`].
    pub(super) fn ascend(&mut self) {
        self.depth += 1;
    }
}

/// Reads the files of a gzipped tar.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/loader/archive/archive.go:LoadArchiveFiles`: same order of checks, same texts.
pub(super) fn read(bytes: &[u8], budget: &mut Budget) -> Result<Vec<RawFile>, Error> {
    if bytes.len() as u64 > budget.limits.compressed_bytes {
        return Err(Error::CompressedTooLarge { limit: budget.limits.compressed_bytes });
    }
    if !bytes.starts_with(&[0x1f, 0x8b]) {
        return Err(Error::NotGzip);
    }
    // The whole stream is bounded, headers and skipped entries included: a bomb of directories has no file bytes.
    // Tar adds at most two blocks a file, long names a few more.
    let limit = budget.bytes_left().saturating_add(budget.files as u64 * 4096).saturating_add(1 << 20);
    let inflated = Inflated::new(bytes, usize::try_from(limit).unwrap_or(usize::MAX));
    let whole = inflated.data.clone();
    let mut archive = tar::Archive::new(inflated);
    let mut files = Vec::new();
    for entry in archive.entries_with_seek().map_err(|source| broken(source, budget))? {
        let mut entry = entry.map_err(|source| broken(source, budget))?;
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() || kind.is_pax_local_extensions() {
            continue;
        }
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if path.ends_with('/') {
            continue;
        }
        let name = inner_path(&path)?;
        let left = budget.bytes_left();
        let has_content = kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse();
        if has_content && entry.size() > left {
            return Err(budget.too_large());
        }
        let data = if kind.is_gnu_sparse() {
            let mut data = Vec::new();
            (&mut entry).take(left).read_to_end(&mut data).map_err(|source| broken(source, budget))?;
            Bytes::from(data)
        } else if has_content {
            // Where less is left than the header promises, going on to the next entry fails.
            let within = |at: u64| usize::try_from(at).unwrap_or(usize::MAX).min(whole.len());
            let start = entry.raw_file_position();
            whole.slice(within(start)..within(start.saturating_add(entry.size())))
        } else {
            Bytes::default()
        };
        budget.take(data.len() as u64)?;
        files.push(RawFile { name, data: without_bom(&data) });
    }
    if files.is_empty() {
        return Err(Error::EmptyArchive);
    }
    Ok(files)
}

/// Loads a chart, with the charts in its `charts/`, from an archive's bytes.
pub(super) fn load(bytes: &[u8], budget: &mut Budget) -> Result<super::Chart, Error> {
    let files = read(bytes, budget)?;
    load::from_files(files, budget)
}

/// The path below the archive's top folder.
fn inner_path(path: &str) -> Result<String, Error> {
    // An archive made on Windows may hold `\`.
    let delimiter = if path.contains('\\') { '\\' } else { '/' };
    let (top, inner) = path.split_once(delimiter).unwrap_or((path, ""));
    let inner = if delimiter == '/' { inner.into() } else { Cow::from(inner.replace(delimiter, "/")) };
    if inner.starts_with('/') {
        return Err(Error::AbsolutePath);
    }
    let inner = clean(&inner);
    if inner == "." {
        return Err(Error::OutsideBase { path: path.to_owned() });
    }
    if inner.starts_with("..") {
        return Err(Error::ParentDirectory);
    }
    let bytes = inner.as_bytes();
    if bytes.first().is_some_and(u8::is_ascii_alphabetic) && bytes.get(1..3) == Some(b":/") {
        return Err(Error::IllegalName);
    }
    if top == "Chart.yaml" {
        return Err(Error::ChartYamlOutsideBase);
    }
    Ok(inner)
}

/// Go's `path.Clean` of a relative path.
pub(super) fn clean(path: &str) -> String {
    // Most are.
    if path.as_bytes().split(|byte| *byte == b'/').all(|part| !matches!(part, b"" | b"." | b"..")) {
        return path.to_owned();
    }
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// The bytes after a byte order mark.
pub(super) fn without_bom(data: &Bytes) -> Bytes {
    let mark = if data.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    data.slice(mark..data.len())
}

fn broken(source: io::Error, budget: &Budget) -> Error {
    if source.kind() == io::ErrorKind::FileTooLarge {
        budget.too_large()
    } else {
        Error::ReadArchive { source }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;
    use crate::chart::load_archive;

    fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, data) in files {
            let mut header = tar::Header::new_gnu();
            // `set_path` refuses the paths that this test is about.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(data.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, *data).unwrap();
        }
        gzip(&tar.into_inner().unwrap())
    }

    fn gzip(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    const CHART: &[u8] = b"apiVersion: v2\nname: a\nversion: 0.1.0\n";

    #[test]
    fn paths_are_checked_as_helm_checks_them() {
        for (path, message) in [
            ("a//etc/passwd", "chart illegally contains absolute paths"),
            ("a/../../x", "chart illegally references parent directory"),
            ("a/c:/x", "chart contains illegally named files"),
            ("a\\c:\\x", "chart contains illegally named files"),
            ("x", "chart illegally contains content outside the base directory: \"x\""),
            ("a/b/..", "chart illegally contains content outside the base directory: \"a/b/..\""),
            ("Chart.yaml/x", "chart yaml not in base directory"),
        ] {
            let bytes = archive(&[("a/Chart.yaml", CHART), (path, b"x")]);
            let error = load_archive(&bytes, &Limits::default()).unwrap_err();
            assert_eq!(error.to_string(), message, "{path}");
        }
        assert_eq!(inner_path("a\\templates\\x.yaml").unwrap(), "templates/x.yaml");
    }

    #[test]
    fn limits_hold() {
        let zeros = vec![0; 64 << 10];
        let bytes = archive(&[("a/Chart.yaml", CHART), ("a/x", &zeros)]);
        for (limits, message) in [
            (
                Limits { decompressed_bytes: 1000, ..Limits::default() },
                "decompressed chart is larger than the maximum size 1000",
            ),
            (Limits { files: 1, ..Limits::default() }, "chart holds more than 1 files"),
            (
                Limits { compressed_bytes: 10, ..Limits::default() },
                "chart archive is larger than the maximum size 10",
            ),
        ] {
            assert_eq!(load_archive(&bytes, &limits).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn a_bomb_without_file_bytes_is_stopped_too() {
        let mut tar = tar::Builder::new(Vec::new());
        for _ in 0..5_000 {
            let mut header = tar::Header::new_gnu();
            header.set_path("a/d/").unwrap();
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            header.set_cksum();
            tar.append(&header, io::empty()).unwrap();
        }
        let bytes = gzip(&tar.into_inner().unwrap());
        let limits = Limits { decompressed_bytes: 1000, files: 10, ..Limits::default() };
        assert!(matches!(load_archive(&bytes, &limits), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn garbage_is_an_error() {
        assert!(matches!(load_archive(b"PK", &Limits::default()), Err(Error::NotGzip)));
        assert!(matches!(load_archive(&gzip(b"hello"), &Limits::default()), Err(Error::ReadArchive { .. })));
        assert!(matches!(load_archive(&gzip(&[0; 1024]), &Limits::default()), Err(Error::EmptyArchive)));
        let whole = archive(&[("a/Chart.yaml", CHART)]);
        // Not to the last byte: as in Go, nothing is read after the end of the tar, the checksum of gzip included.
        for end in 0..whole.len() / 2 {
            assert!(load_archive(&whole[..end], &Limits::default()).is_err());
        }
    }
}

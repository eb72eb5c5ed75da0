//! Charts on disk, for the command line: symbolic links are followed, `.helmignore` is obeyed.

use std::fs;
use std::io::Read;
use std::path::Path;

use super::archive::{self, Budget, RawFile, without_bom};
use super::ignore::Rules;
use super::{Chart, Error, Limits, load};

/// Deeper than any chart, shallower than a loop of links.
const MAX_DEPTH: usize = 64;

/// Loads the directory or archive at `path`.
pub(super) fn load_path(path: &Path, limits: &Limits) -> Result<Chart, Error> {
    let meta = fs::metadata(path).map_err(|source| read_error(path, source))?;
    if meta.is_dir() { load_dir(path, limits) } else { load_file(path, limits) }
}

fn load_file(path: &Path, limits: &Limits) -> Result<Chart, Error> {
    let bytes = read(path, limits.compressed_bytes)?;
    let name = path.to_string_lossy();
    if !bytes.starts_with(b"\x1f\x8b\x08") {
        if name.ends_with(".yml") || name.ends_with(".yaml") {
            return Err(Error::YamlInsteadOfArchive { path: name.into_owned() });
        }
        return Err(Error::NotArchive { path: name.into_owned(), content_type: content_type(&bytes) });
    }
    archive::load(&bytes, &mut Budget::new(limits))
}

/// The two answers of Go's `http.DetectContentType` that matter here.
fn content_type(bytes: &[u8]) -> &'static str {
    let head = bytes.get(..512).unwrap_or(bytes);
    let binary = head.iter().any(|b| matches!(b, 0..=8 | 0x0b | 0x0e..=0x1a | 0x1c..=0x1f));
    if head.starts_with(b"PK\x03\x04") {
        "application/zip"
    } else if binary {
        "application/octet-stream"
    } else {
        "text/plain; charset=utf-8"
    }
}

fn load_dir(path: &Path, limits: &Limits) -> Result<Chart, Error> {
    let chart_yaml = path.join("Chart.yaml");
    let text = fs::read(&chart_yaml)
        .map_err(|source| Error::UndetectedChart { path: path.to_string_lossy().into_owned(), source })?;
    load::check_api_version(&without_bom(&text.into()))?;
    let ignore_file = path.join(".helmignore");
    let rules = match fs::read(&ignore_file) {
        Ok(text) => Rules::parse(&String::from_utf8_lossy(&text))?,
        Err(_) => Rules::default(),
    };
    let mut walk = Walk { rules: rules.with_defaults(), budget: Budget::new(limits), files: Vec::new() };
    walk.directory(path, "", 0)?;
    load::from_files(walk.files, &mut walk.budget)
}

struct Walk {
    rules: Rules,
    budget: Budget,
    files: Vec<RawFile>,
}

impl Walk {
    /// Visits `path`, whose name below the chart is `prefix`, in the order of names.
    fn directory(&mut self, path: &Path, prefix: &str, depth: usize) -> Result<(), Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { limit: MAX_DEPTH });
        }
        let entries = fs::read_dir(path).map_err(|source| read_error(path, source))?;
        let mut names = Vec::new();
        for entry in entries {
            names.push(entry.map_err(|source| read_error(path, source))?.file_name());
        }
        names.sort();
        for name in names {
            let child = path.join(&name);
            let name = format!("{prefix}{}", name.to_string_lossy());
            let meta = fs::metadata(&child).map_err(|source| read_error(&child, source))?;
            if self.rules.ignores(&name, meta.is_dir()) {
                continue;
            }
            if meta.is_dir() {
                self.directory(&child, &format!("{name}/"), depth + 1)?;
            } else if meta.is_file() {
                let data = read(&child, self.budget.bytes_left())?;
                self.budget.take(data.len() as u64)?;
                self.files.push(RawFile { name, data: without_bom(&data.into()) });
            } else {
                return Err(Error::IrregularFile { path: child.to_string_lossy().into_owned() });
            }
        }
        Ok(())
    }
}

/// The bytes of a file, and one more than allowed if there are more, so that the caller can tell.
fn read(path: &Path, limit: u64) -> Result<Vec<u8>, Error> {
    let all = limit.saturating_add(1);
    let mut data = Vec::new();
    let mut read = || {
        let file = fs::File::open(path)?;
        // A reader that is bounded does not know how much is coming: without room for it there are eight reads a file.
        let size = file.metadata()?.len().min(all);
        data.reserve_exact(usize::try_from(size).unwrap_or_default());
        file.take(all).read_to_end(&mut data)
    };
    read().map_err(|source| read_error(path, source))?;
    Ok(data)
}

fn read_error(path: &Path, source: std::io::Error) -> Error {
    Error::ReadFile { path: path.to_owned(), source }
}

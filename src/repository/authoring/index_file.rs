//! An index with all that stands in it: for searching, and for making and merging indexes.
//!
//! [`Index`](crate::repository::Index) is what resolving a version needs, and much smaller.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use k8s_openapi::jiff::Timestamp;
use pintle_goyaml::Value;
use pintle_helm::chart::{Limits, load_path};
use pintle_sprig::semver::Version;
use serde::Serialize;

use super::super::Digest;
use super::{Error, write};

/// `index.yaml`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct IndexFile {
    api_version: &'static str,
    generated: String,
    entries: BTreeMap<String, Vec<Listed>>,
}

/// One version of a chart, with every field that somebody gave it.
#[derive(Clone, Debug, Serialize)]
#[serde(transparent)]
pub(super) struct Listed(BTreeMap<String, Value>);

impl Listed {
    /// A field that is a text; numbers are read as Go reads them into one.
    pub(super) fn text(&self, field: &str) -> String {
        match self.0.get(field) {
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Int(value)) => value.to_string(),
            Some(Value::Uint(value)) => value.to_string(),
            Some(Value::Float(value)) => value.to_string(),
            _ => String::new(),
        }
    }

    /// A field that is a list of texts.
    pub(super) fn texts(&self, field: &str) -> Vec<&str> {
        let Some(Value::Array(items)) = self.0.get(field) else { return Vec::new() };
        items
            .iter()
            .filter_map(|item| if let Value::String(text) = item { Some(&**text) } else { None })
            .collect()
    }

    fn version(&self) -> Option<Version> {
        Version::parse(&self.text("version")).ok()
    }
}

impl Default for IndexFile {
    fn default() -> Self {
        Self { api_version: "v1", generated: Timestamp::now().to_string(), entries: BTreeMap::new() }
    }
}

impl IndexFile {
    /// Reads an index; entries that are no versions of charts are left out.
    ///
    /// # Errors
    /// It cannot be read, or is no index.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let text = fs::read(path).map_err(|source| Error::ReadFile { path: path.to_owned(), source })?;
        Self::parse(&text).map_err(|why| Error::Parse { path: path.to_owned(), why })
    }

    fn parse(text: &[u8]) -> Result<Self, String> {
        if text.trim_ascii().is_empty() {
            return Err("empty index.yaml file".to_owned());
        }
        // Helm: whatever is valid JSON is read as JSON.
        let json =
            text.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(text).ok()).flatten();
        let value = match json {
            Some(value) => value,
            None => pintle_goyaml::parse(text).map_err(|error| error.to_string())?,
        };
        let field = |name: &str| if let Value::Object(fields) = &value { fields.get(name) } else { None };
        if !matches!(field("apiVersion"), Some(Value::String(version)) if !version.is_empty()) {
            return Err("no API version specified".to_owned());
        }
        let mut index = Self::default();
        if let Some(Value::Object(entries)) = field("entries") {
            for (name, versions) in entries {
                let Value::Array(versions) = versions else { continue };
                let versions = versions.iter().filter_map(|version| match version {
                    Value::Object(fields) => Some(Listed(fields.clone())),
                    _ => None,
                });
                let versions =
                    versions.filter(|listed| listed.version().is_some() && !listed.text("name").is_empty());
                index.entries.insert(name.clone(), versions.collect());
            }
        }
        index.sort();
        Ok(index)
    }

    /// Makes an index of the archives in `dir`, and in the folders in it.
    ///
    /// # Errors
    /// The folder cannot be read. An archive that holds no chart is left out.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/repo/v1/index.go:IndexDirectory`.
    pub fn of_directory(dir: &Path, url: &str) -> Result<Self, Error> {
        let mut index = Self::default();
        let created = index.generated.clone();
        for (folder, path) in archives(dir)? {
            let Ok(chart) = load_path(&path, &Limits::default()) else { continue };
            let bytes = fs::read(&path).map_err(|source| Error::ReadFile { path: path.clone(), source })?;
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let parts = [url.trim_end_matches('/'), &folder, &name];
            let url = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
            let mut metadata = chart.metadata;
            if metadata.api_version.is_empty() {
                "v1".clone_into(&mut metadata.api_version);
            }
            // Through text: the only form in which all fields are what helm writes.
            let text = pintle_goyaml::to_string(&metadata).map_err(|error| unwritable(&path, &error))?;
            let parsed = pintle_goyaml::parse(text.as_bytes()).map_err(|error| unwritable(&path, &error))?;
            let Value::Object(fields) = &parsed else { continue };
            let mut fields = fields.clone();
            fields.insert("created".to_owned(), Value::String(created.clone()));
            fields.insert("digest".to_owned(), Value::String(Digest::of(&bytes).hex()));
            fields.insert("urls".to_owned(), Value::Array(vec![Value::String(url)]));
            index.entries.entry(metadata.name).or_default().push(Listed(fields));
        }
        index.sort();
        Ok(index)
    }

    /// Adds what `other` lists and this index does not.
    pub fn merge(&mut self, other: Self) {
        for listed in other.entries.into_values().flatten() {
            let known = self.entries.entry(listed.text("name")).or_default();
            if !known.iter().any(|one| one.version() == listed.version()) {
                known.push(listed);
            }
        }
        self.sort();
    }

    /// Writes the index.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path, json: bool) -> Result<(), Error> {
        let text = if json {
            serde_json::to_string_pretty(self).map_err(|error| unwritable(path, &error))?
        } else {
            pintle_goyaml::to_string(self).map_err(|error| unwritable(path, &error))?
        };
        write(path, text.as_bytes(), 0o644)
    }

    /// The charts, by name, newest versions first.
    pub(super) fn entries(&self) -> impl Iterator<Item = (&String, &Listed)> {
        self.entries.iter().flat_map(|(name, versions)| versions.iter().map(move |version| (name, version)))
    }

    fn sort(&mut self) {
        for versions in self.entries.values_mut() {
            versions.sort_by_cached_key(|listed| std::cmp::Reverse(listed.version()));
        }
    }
}

fn unwritable(path: &Path, error: &dyn std::fmt::Display) -> Error {
    Error::Parse { path: path.to_owned(), why: error.to_string() }
}

/// The archives in `dir` and one level below, sorted, each with the name of its folder.
fn archives(dir: &Path) -> Result<Vec<(String, PathBuf)>, Error> {
    let list = |dir: &Path| -> Result<Vec<PathBuf>, Error> {
        let failed = |source| Error::ReadFile { path: dir.to_owned(), source };
        let entries = fs::read_dir(dir).map_err(failed)?;
        let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        Ok(paths)
    };
    let is_archive = |path: &PathBuf| path.extension().is_some_and(|extension| extension == "tgz");
    let mut found = Vec::new();
    let top = list(dir)?;
    found.extend(top.iter().filter(|path| is_archive(path)).map(|path| (String::new(), path.clone())));
    for folder in top.iter().filter(|path| path.is_dir()) {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let below = list(folder).unwrap_or_default();
        found.extend(below.into_iter().filter(is_archive).map(|path| (name.to_string(), path)));
    }
    Ok(found)
}

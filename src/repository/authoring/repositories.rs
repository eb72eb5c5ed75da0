//! `repositories.yaml`: the repositories that a user knows by name.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Error, Home, write};

/// What the file says. Field names are Helm's.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RepositoriesFile {
    api_version: String,
    generated: String,
    /// The repositories, in the order of the file.
    #[serde(deserialize_with = "entries")]
    pub repositories: Vec<Entry>,
}

impl Default for RepositoriesFile {
    fn default() -> Self {
        // Helm: a file that `helm repo add` makes has the zero time.
        Self {
            api_version: String::new(),
            generated: "0001-01-01T00:00:00Z".to_owned(),
            repositories: Vec::new(),
        }
    }
}

/// A repository.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Entry {
    /// What the user calls it.
    pub name: String,
    /// Its address.
    pub url: String,
    /// Who asks.
    pub username: String,
    /// With which password.
    pub password: String,
    /// A client certificate in PEM.
    #[serde(rename = "certFile")]
    pub cert_file: String,
    /// Its key.
    #[serde(rename = "keyFile")]
    pub key_file: String,
    /// Certificates that are trusted.
    #[serde(rename = "caFile")]
    pub ca_file: String,
    /// Whether any certificate is.
    pub insecure_skip_tls_verify: bool,
    /// Whether other hosts get the credentials too.
    pub pass_credentials_all: bool,
}

impl std::fmt::Debug for Entry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entry").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Go writes an empty list as `null`, and takes empty entries.
fn entries<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Entry>, D::Error> {
    let entries = Option::<Vec<Option<Entry>>>::deserialize(deserializer)?;
    Ok(entries.into_iter().flatten().flatten().collect())
}

impl RepositoriesFile {
    /// Reads the file; `None` when there is none.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn load(path: &Path) -> Result<Option<Self>, Error> {
        let text = match fs::read(path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::ReadFile { path: path.to_owned(), source }),
        };
        let file: Option<Self> = pintle_goyaml::from_str(&text)
            .map_err(|error| Error::Parse { path: path.to_owned(), why: error.to_string() })?;
        Ok(Some(file.unwrap_or_default()))
    }

    /// The repository of that name.
    pub fn get(&self, name: &str) -> Option<&Entry> {
        self.repositories.iter().find(|entry| entry.name == name)
    }

    /// The repository at that address.
    pub fn at(&self, url: &str) -> Option<&Entry> {
        let trimmed = |url: &str| url.trim_end_matches('/').to_owned();
        self.repositories.iter().find(|entry| trimmed(&entry.url) == trimmed(url))
    }

    /// Adds a repository, or replaces the one of its name.
    pub fn put(&mut self, entry: Entry) {
        match self.repositories.iter_mut().find(|known| known.name == entry.name) {
            Some(known) => *known = entry,
            None => self.repositories.push(entry),
        }
    }

    /// Forgets a repository; says whether there was one.
    pub fn remove(&mut self, name: &str) -> bool {
        let before = self.repositories.len();
        self.repositories.retain(|entry| entry.name != name);
        self.repositories.len() < before
    }

    /// Writes the file, for nobody else to read: it may hold passwords.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), Error> {
        let text = pintle_goyaml::to_string(self)
            .map_err(|error| Error::Parse { path: path.to_owned(), why: error.to_string() })?;
        write(path, text.as_bytes(), 0o600)
    }
}

impl Home {
    /// The user's repositories; none when there is no file.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn repositories(&self) -> Result<RepositoriesFile, Error> {
        Ok(RepositoriesFile::load(&self.repository_config)?.unwrap_or_default())
    }

    /// Keeps other processes, helm's too, from changing the repositories until the file is dropped.
    ///
    /// # Errors
    /// The lock cannot be taken.
    pub fn lock(&self) -> Result<File, Error> {
        // Helm: repositories.lock beside repositories.yaml.
        let path = self.repository_config.with_extension("lock");
        let failed = |source| Error::WriteFile { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        file.lock().map_err(failed)?;
        Ok(file)
    }

    /// Forgets the cached index of a repository.
    ///
    /// # Errors
    /// It cannot be removed.
    pub fn forget(&self, repository: &str) -> Result<(), Error> {
        for path in [self.charts(repository), self.index(repository)] {
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::WriteFile { path, source });
                }
                _ => {}
            }
        }
        Ok(())
    }
}

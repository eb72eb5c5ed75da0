//! The chart authors' side: what the command line does with charts before there is a release.
//!
//! It reads and writes helm's own files, at helm's places ([`Home`]), so that both tools can be used side by side:
//! `repositories.yaml` with the repositories of a user, and the cache of their indexes. Texts of errors are Helm's
//! where Helm has one. Nothing is written through a symbolic link: files are made beside their place and moved there.

mod archive;
mod dependency;
mod error;
mod fetch;
mod home;
mod index_file;
mod login;
mod push;
mod repositories;
mod search;
mod signature;

use std::io::Write;
use std::path::{Path, PathBuf};

pub use archive::unpack;
pub use dependency::{Dependencies, Listing};
pub use error::Error;
pub use fetch::{Fetched, Fetcher, Login, Pulled, Wanted};
pub use home::Home;
pub use index_file::IndexFile;
pub use push::Pushed;
pub use repositories::{Entry, RepositoriesFile};
pub use search::{Hit, Query, search};
pub use signature::{Signature, verify_file};

/// Writes a file as a whole: who reads it sees the old text or the new one. A link in its place is replaced.
pub(super) fn write(path: &Path, bytes: &[u8], mode: u32) -> Result<(), Error> {
    use std::os::unix::fs::PermissionsExt;
    let failed = |source| Error::WriteFile { path: path.to_owned(), source };
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    std::fs::create_dir_all(folder).map_err(failed)?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(bytes).map_err(failed)?;
    file.as_file().set_permissions(std::fs::Permissions::from_mode(mode)).map_err(failed)?;
    file.persist(path).map_err(|error| failed(error.error))?;
    Ok(())
}

/// JSON as Go's `encoding/json` writes it: digests of what helm wrote must be found again.
pub(super) fn go_json(value: &impl serde::Serialize) -> serde_json::Result<String> {
    // Go escapes these so that JSON can stand in HTML; they only occur inside of texts.
    const ESCAPED: [(char, &str); 5] = [
        ('<', "\\u003c"),
        ('>', "\\u003e"),
        ('&', "\\u0026"),
        ('\u{2028}', "\\u2028"),
        ('\u{2029}', "\\u2029"),
    ];
    let json = serde_json::to_string(value)?;
    Ok(ESCAPED.iter().fold(json, |json, (from, to)| json.replace(*from, to)))
}

/// Writes an archive, or what belongs to it, into `folder`; gives back where it is.
///
/// # Errors
/// The file cannot be written.
pub fn save(folder: &Path, name: &str, bytes: &[u8]) -> Result<PathBuf, Error> {
    let path = folder.join(name);
    write(&path, bytes, 0o644)?;
    Ok(path)
}

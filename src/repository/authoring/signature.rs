//! Provenance files beside archives on disk, as `helm verify` checks them.

use std::fmt;
use std::fs;
use std::path::Path;

use k8s_openapi::jiff::Timestamp;
use pintle_helm::chart::{Limits, load_archive};

use super::super::Digest;
use super::super::verify::pgp::Keyring;
use super::Error;

/// Who vouches for an archive; shown as helm shows it.
#[derive(Clone, Debug)]
pub struct Signature {
    names: Vec<String>,
    fingerprint: String,
    digest: Digest,
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for name in &self.names {
            writeln!(f, "Signed by: {name}")?;
        }
        writeln!(f, "Using Key With Fingerprint: {}", self.fingerprint)?;
        writeln!(f, "Chart Hash Verified: {}", self.digest)
    }
}

impl Signature {
    /// Checks that `provenance` vouches for the archive `bytes`, by a key of the file `keyring`.
    ///
    /// # Errors
    /// It does not, or the keys cannot be read.
    pub fn check(bytes: &[u8], provenance: &[u8], keyring: &Path) -> Result<Self, Error> {
        let keys =
            fs::read(keyring).map_err(|source| Error::ReadFile { path: keyring.to_owned(), source })?;
        let keys = Keyring::parse(&[("keyring".to_owned(), keys)].into())
            .map_err(|error| Error::Parse { path: keyring.to_owned(), why: error.to_string() })?;
        let chart = load_archive(bytes, &Limits::default())
            .map_err(|source| Error::Load { chart: "the archive".to_owned(), source })?;
        let label = format!("{}-{}", chart.metadata.name, chart.metadata.version);
        let now = u32::try_from(Timestamp::now().as_second()).unwrap_or(u32::MAX);
        let verified = keys
            .verify(provenance, &label, Digest::of(bytes), now)
            .map_err(|source| Error::Verify { chart: label, source })?;
        let (names, fingerprint) = keys.owner(&verified.signer).unwrap_or((Vec::new(), verified.signer));
        Ok(Self { names, fingerprint, digest: verified.digest })
    }
}

/// Checks the archive at `path` by the provenance file beside it.
///
/// # Errors
/// As [`Signature::check`], and what the file system says.
pub fn verify_file(path: &Path, keyring: &Path) -> Result<Signature, Error> {
    let read =
        |path: &Path| fs::read(path).map_err(|source| Error::ReadFile { path: path.to_owned(), source });
    if path.is_dir() {
        return Err(Error::refused("unpacked charts cannot be verified"));
    }
    let mut beside = path.as_os_str().to_owned();
    beside.push(".prov");
    Signature::check(&read(path)?, &read(Path::new(&beside))?, keyring)
}

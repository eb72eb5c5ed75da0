//! Pushing an archive to a registry, as `helm push` does: the same bytes under the same names, so that the manifest has
//! the same digest.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use hyper::body::Bytes;
use jiff::{Timestamp, tz::TimeZone};
use pintle_helm::chart::{Limits, Metadata, load_archive};
use serde::Serialize;

use super::super::oci::{self, ARCHIVE, CONFIG, PROVENANCE, Reference, Registry};
use super::super::{Digest, is_registry};
use super::{Error, Fetcher, Login, go_json};

const ANNOTATION: &str = "org.opencontainers.image.";

/// Where an archive went.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// Host, path and tag.
    pub reference: String,
    /// The digest of the manifest.
    pub digest: Digest,
}

/// A manifest, in the order in which Go writes it.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest {
    schema_version: u8,
    config: Descriptor,
    layers: Vec<Descriptor>,
    annotations: BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
}

impl Descriptor {
    fn of(media_type: &'static str, bytes: &[u8]) -> Self {
        Self { media_type, digest: Digest::of(bytes).to_string(), size: bytes.len() }
    }
}

impl Fetcher {
    /// Pushes the archive at `path`, and the provenance file beside it if there is one, below `remote`.
    ///
    /// # Errors
    /// It is no chart, or the registry does not take it.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/pusher/ocipusher.go` and `pkg/registry/client.go:Push`.
    pub async fn push(&self, path: &Path, remote: &str, login: &Login) -> Result<Pushed, Error> {
        if !is_registry(remote) {
            return Err(Error::refused(match remote.split_once("://") {
                None => "scheme prefix missing from remote (e.g. \"oci://\")".to_owned(),
                Some((scheme, _)) => format!("scheme {scheme:?} not supported"),
            }));
        }
        let (archive, created) = read(path)?;
        let chart = load_archive(&archive, &Limits::default())
            .map_err(|source| Error::Load { chart: path.display().to_string(), source })?;
        let mut beside = path.as_os_str().to_owned();
        beside.push(".prov");
        let provenance = match fs::read(&beside) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::ReadFile { path: PathBuf::from(beside), source }),
        };
        self.send(&chart.metadata, remote, login, archive, provenance, created).await
    }

    async fn send(
        &self,
        metadata: &Metadata,
        remote: &str,
        login: &Login,
        archive: Vec<u8>,
        provenance: Option<Vec<u8>>,
        created: SystemTime,
    ) -> Result<Pushed, Error> {
        let what = format!("{}/{}", remote.trim_end_matches('/'), metadata.name);
        let failed = |source| Error::Push { what: what.clone(), source: Box::new(source) };
        let place = Reference::parse(&what).map_err(failed)?;
        let tag = oci::tag_of(&metadata.version).ok_or_else(|| {
            Error::refused(format!("version {:?} cannot be a tag of a registry", metadata.version))
        })?;
        let unwritable = |error| Error::refused(format!("failed to write the manifest of {what}: {error}"));
        let config = go_json(metadata).map_err(unwritable)?.into_bytes();
        let mut layers = vec![Descriptor::of(ARCHIVE, &archive)];
        layers.extend(provenance.iter().map(|bytes| Descriptor::of(PROVENANCE, bytes)));
        layers.sort_by(|a, b| a.digest.cmp(&b.digest));
        let manifest = Manifest {
            schema_version: 2,
            config: Descriptor::of(CONFIG, &config),
            layers,
            annotations: annotations(metadata, &local(created)),
        };
        let manifest = Bytes::from(go_json(&manifest).map_err(unwritable)?);
        let digest = Digest::of(&manifest);
        let blobs: Vec<Bytes> =
            [Some(archive), Some(config), provenance].into_iter().flatten().map(Bytes::from).collect();
        let keychain = self.keychain(login)?;
        let registry = Registry::new(place, login.plain_http, keychain, login.tls()?, self.timeout);
        let registry = registry.map_err(failed)?;
        let name = registry.name(None).map_err(failed)?;
        let pushed = self.registries.push(&self.http, &registry, &name, &tag, &blobs, manifest).await;
        pushed.map_err(failed)?;
        Ok(Pushed { reference: format!("{}:{tag}", registry.full_name(&name)), digest })
    }
}

/// An archive, and when it was last written.
fn read(path: &Path) -> Result<(Vec<u8>, SystemTime), Error> {
    let failed = |source| Error::ReadFile { path: path.to_owned(), source };
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::refused(format!("{}: no such file", path.display())));
        }
        Err(source) => return Err(failed(source)),
    };
    if meta.is_dir() {
        return Err(Error::refused("cannot push directory, must provide chart archive (.tgz)"));
    }
    Ok((fs::read(path).map_err(failed)?, meta.modified().map_err(failed)?))
}

/// A time as Go writes it in RFC 3339: in the zone of this machine.
fn local(time: SystemTime) -> String {
    let time = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(TimeZone::system());
    let zone = if time.offset().is_zero() { "Z" } else { "%:z" };
    time.strftime(&format!("%Y-%m-%dT%H:%M:%S{zone}")).to_string()
}

/// What a manifest says of its chart.
///
/// # Compatibility
/// As Helm v4 `pkg/registry/chart.go:generateOCIAnnotations`: annotations of the chart win, but for name and version.
fn annotations(metadata: &Metadata, created: &str) -> BTreeMap<String, String> {
    let last = metadata.maintainers.len().saturating_sub(1);
    let authors: String = metadata
        .maintainers
        .iter()
        .enumerate()
        .map(|(number, maintainer)| {
            let email =
                if maintainer.email.is_empty() { String::new() } else { format!(" ({})", maintainer.email) };
            format!("{}{email}{}", maintainer.name, if number < last { ", " } else { "" })
        })
        .collect();
    let own = [
        ("description", metadata.description.as_str()),
        ("title", &metadata.name),
        ("version", &metadata.version),
        ("url", &metadata.home),
        ("created", created),
        ("source", metadata.sources.first().map_or("", String::as_str)),
        ("authors", &authors),
    ];
    let own = own.into_iter().filter(|(_, text)| !text.trim().is_empty());
    let mut all: BTreeMap<String, String> =
        own.map(|(key, text)| (format!("{ANNOTATION}{key}"), text.to_owned())).collect();
    let fixed = ["title", "version"].map(|key| format!("{ANNOTATION}{key}"));
    for (key, text) in metadata.annotations.iter().filter(|(key, _)| !fixed.contains(key)) {
        all.insert(key.clone(), text.clone());
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_helms() {
        let metadata: Metadata = serde_json::from_value(serde_json::json!({
            "apiVersion": "v2",
            "name": "web",
            "version": "1.0.0+b",
            "description": " ",
            "sources": ["https://a", "https://b"],
            "maintainers": [{"name": "Ann", "email": "a@x"}, {"email": "b@x"}, {"name": "Cy"}],
            "annotations": {
                (format!("{ANNOTATION}title")): "other",
                (format!("{ANNOTATION}url")): "https://c",
            },
        }))
        .unwrap();
        let found = annotations(&metadata, "2026-01-02T03:04:05Z");
        let found: Vec<(&str, &str)> =
            found.iter().map(|(key, text)| (key.strip_prefix(ANNOTATION).unwrap(), text.as_str())).collect();
        assert_eq!(
            found,
            [
                ("authors", "Ann (a@x),  (b@x), Cy"),
                ("created", "2026-01-02T03:04:05Z"),
                ("source", "https://a"),
                ("title", "web"),
                ("url", "https://c"),
                ("version", "1.0.0+b"),
            ]
        );
    }
}

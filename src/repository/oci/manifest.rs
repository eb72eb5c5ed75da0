//! The manifest of a chart: which of its blobs is the archive, and which one the provenance.

use serde::{Deserialize, Serialize};

use super::error::Error;
use crate::repository::digest::Digest;

/// What is accepted as the answer to a request for a manifest. Indexes too: the refusal of one must be ours, with a
/// reason, not the registry's 404.
pub const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json";
/// What a chart's Chart.yaml is, as JSON.
pub const CONFIG: &str = "application/vnd.cncf.helm.config.v1+json";
/// What a chart's archive is.
pub const ARCHIVE: &str = "application/vnd.cncf.helm.chart.content.v1.tar+gzip";
/// What helm pushed before version 3.5.
const OLD_ARCHIVE: &str = "application/tar+gzip";
/// What its provenance file is.
pub const PROVENANCE: &str = "application/vnd.cncf.helm.chart.provenance.v1.prov";
/// Longest media type that a message shows.
const SHOWN: usize = 100;

/// Some bytes by their digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Blob {
    /// Their digest.
    pub digest: Digest,
    /// How many.
    pub size: u64,
}

/// The blobs of a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartBlobs {
    /// The archive.
    pub archive: Blob,
    /// The provenance file, when it was pushed along.
    pub provenance: Option<Blob>,
}

/// What is read of a manifest or an index.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Manifest {
    /// Its media type.
    media_type: Option<String>,
    /// What it is.
    config: Descriptor,
    /// Its blobs.
    pub layers: Vec<Descriptor>,
    /// The manifests of an index.
    pub manifests: Option<Vec<Descriptor>>,
}

/// How a manifest names something else.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// What kind of artifact a manifest is.
    pub artifact_type: Option<String>,
    digest: String,
    size: u64,
    /// What else is said of it.
    pub annotations: std::collections::BTreeMap<String, String>,
}

impl Descriptor {
    /// The bytes that it names; `None` for a digest of another kind.
    pub fn blob(&self) -> Option<Blob> {
        let digest = Some(&self.digest).filter(|text| text.starts_with("sha256:"))?;
        Some(Blob { digest: Digest::parse(digest)?, size: self.size })
    }
}

impl Manifest {
    /// Parses a manifest or an index.
    ///
    /// # Errors
    /// [`Error::Manifest`].
    pub fn parse(reference: &str, bytes: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(bytes)
            .map_err(|error| Error::Manifest { reference: reference.to_owned(), why: error.to_string() })
    }

    /// Whether it lists manifests instead of blobs.
    pub fn is_index(&self) -> bool {
        self.manifests.is_some()
            || self
                .media_type
                .as_deref()
                .is_some_and(|kind| kind.contains("index") || kind.contains("manifest.list"))
    }

    /// The blobs of the chart that it is.
    ///
    /// # Errors
    /// It is no chart, or one without an archive that can be named.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/registry/client.go:processChartPull`, except that Helm takes the last of several archives.
    pub fn chart(&self, reference: &str) -> Result<ChartBlobs, Error> {
        let reference = reference.to_owned();
        if self.is_index() {
            return Err(Error::Index { reference });
        }
        if self.config.media_type != CONFIG {
            let found = self.config.media_type.chars().filter(|c| c.is_ascii_graphic()).take(SHOWN).collect();
            return Err(Error::NotAChart { reference, found });
        }
        let archives: Vec<&Descriptor> = self
            .layers
            .iter()
            .filter(|layer| layer.media_type == ARCHIVE || layer.media_type == OLD_ARCHIVE)
            .collect();
        let &[archive] = archives.as_slice() else {
            return Err(Error::Layers { reference, count: archives.len() });
        };
        let archive = archive.blob().ok_or_else(|| Error::Manifest {
            reference,
            why: "the archive has no sha256 digest".to_owned(),
        })?;
        let provenance =
            self.layers.iter().find(|layer| layer.media_type == PROVENANCE).and_then(Descriptor::blob);
        Ok(ChartBlobs { archive, provenance })
    }
}

//! Where the chart and its values come from.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

/// What the spec asks for, before it is resolved to an archive.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartReference {
    /// The ChartRepository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<RepositoryReference>,
    /// Name of the chart in the repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 250))]
    pub name: Option<String>,
    /// A version or a range of versions (`>=1.30 <2`); the newest stable one when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub version: Option<String>,
    /// Address of a chart, in place of a repository: of an archive, or `oci://host/path/chart:1.2.3[@sha256:…]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^(https?|oci)://.+$"))]
    pub url: Option<String>,
    /// Pins the bytes: `sha256:` and 64 hex digits, of the archive, or of the manifest in a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// What to do when the version that runs comes with other bytes.
    #[serde(default)]
    pub on_digest_change: OnDigestChange,
    /// Files inside the chart, merged in order, in place of its values.yaml.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub values_files: Vec<String>,
}

/// What becomes of a version whose bytes have changed.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnDigestChange {
    /// What runs stays, and the status tells.
    #[default]
    Warn,
    /// A new revision is made.
    Upgrade,
    /// The release is not ready until somebody decides.
    Fail,
}

/// A ChartRepository of the same namespace.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// Values in a Secret or ConfigMap of the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ValuesReference {
    /// Secret or ConfigMap.
    pub kind: ValuesKind,
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// The key that holds the values.
    #[serde(default = "values_yaml")]
    #[schemars(length(max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub values_key: String,
    /// Where the content goes, as in `--set`; the whole content is YAML when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 250))]
    pub target_path: Option<String>,
    /// Whether a missing object or key is ignored.
    #[serde(default)]
    pub optional: bool,
}

fn values_yaml() -> String {
    "values.yaml".to_owned()
}

/// Where values may come from.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ValuesKind {
    /// A Secret.
    Secret,
    /// A ConfigMap.
    ConfigMap,
}

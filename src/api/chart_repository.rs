//! `ChartRepository`: a place where charts come from.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::GoDuration;

/// A Helm chart repository: a web server with an index.yaml, or an OCI registry.
#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(
    group = "pintle.dev",
    version = "v1alpha1",
    kind = "ChartRepository",
    plural = "chartrepositories",
    shortname = "chartrepo",
    category = "pintle",
    namespaced,
    status = "ChartRepositoryStatus",
    doc = "A place where charts come from: a web server with an index.yaml, or an OCI registry.",
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(name = "Charts", type_ = "integer", json_path = ".status.charts"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message"
    )
)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "printer columns look alike to the lint")]
pub struct ChartRepositorySpec {
    /// Address of the repository, without the trailing index.yaml; `oci://host/path` for a part of a registry.
    #[schemars(length(min = 1, max = 2048), regex(pattern = r"^(https?|oci)://.+$"))]
    pub url: String,
    /// How often the index is asked for again, or the registry whether it is there.
    #[serde(default = "five_minutes")]
    pub interval: GoDuration,
    /// How long one download may take in all.
    #[serde(default = "one_minute")]
    pub timeout: GoDuration,
    /// Stops fetching; charts that are known already stay available.
    #[serde(default)]
    pub suspend: bool,
    /// Credentials: the keys `username` and `password`, or `bearerToken`; for a registry `.dockerconfigjson`, too.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<LocalSecretReference>,
    /// TLS material: the keys `ca.crt`, and `tls.crt` with `tls.key` for a client certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cert_secret_ref: Option<LocalSecretReference>,
    /// Sends the credentials to other hosts too, when the index leads there.
    #[serde(default)]
    pub pass_credentials: bool,
    /// Accepts a server certificate that cannot be verified; talks to a registry without TLS.
    #[serde(default)]
    pub insecure: bool,
    /// Signatures that a chart must have. One that has them not is never used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[x_kube(
        validation = Rule::new("has(self.pgp) || has(self.cosign)")
            .message("verify names at least one of pgp and cosign")
    )]
    pub verify: Option<Verify>,
}

fn five_minutes() -> GoDuration {
    GoDuration::from_secs(300)
}

fn one_minute() -> GoDuration {
    GoDuration::from_secs(60)
}

/// How the charts of a repository are verified. What is named here is required.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verify {
    /// The provenance file of helm, signed by one of the keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pgp: Option<VerifyKeys>,
    /// A signature of cosign, made with one of the keys; registries only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cosign: Option<VerifyKeys>,
}

impl Verify {
    /// Whether the keys are in the Secret of that name.
    pub fn refers_to(&self, name: &str) -> bool {
        [&self.pgp, &self.cosign].into_iter().flatten().any(|keys| keys.secret_ref.name == name)
    }
}

/// Public keys that are trusted.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VerifyKeys {
    /// The Secret whose every value holds keys: OpenPGP keys, armored or not, or public keys in PEM.
    pub secret_ref: LocalSecretReference,
}

/// A Secret in the same namespace.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LocalSecretReference {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// What was last seen of the repository.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChartRepositoryStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling and Stalled, as kstatus defines them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last good index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact: Option<Artifact>,
    /// Number of charts in the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub charts: Option<i64>,
    /// The address that the index came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// The last `pintle.dev/requestedAt` that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
}

/// An index as it was fetched.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Artifact {
    /// `sha256:` and the digest of its bytes.
    pub digest: String,
    /// Its size in bytes.
    pub size: i64,
    /// When these bytes came.
    pub fetched_at: Time,
    /// The server's ETag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
}

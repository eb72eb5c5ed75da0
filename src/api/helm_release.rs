//! `HelmRelease`: a chart, its values, and what became of them.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::GoDuration;

/// A release of a chart.
#[derive(CustomResource, KubeSchema, Clone, Debug, Serialize, Deserialize)]
#[kube(
    group = "pintle.dev",
    version = "v1alpha1",
    kind = "HelmRelease",
    plural = "helmreleases",
    shortname = "hr",
    category = "pintle",
    namespaced,
    status = "HelmReleaseStatus",
    doc = "A release of a Helm chart: installed, upgraded and rolled back by editing this object.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].status"
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].reason"
    ),
    printcolumn(name = "Rev", type_ = "integer", json_path = ".status.lastAppliedRevision"),
    printcolumn(name = "Chart", type_ = "string", json_path = ".status.history[0].chart"),
    printcolumn(name = "Version", type_ = "string", json_path = ".status.history[0].chartVersion"),
    printcolumn(name = "Age", type_ = "date", json_path = ".metadata.creationTimestamp"),
    printcolumn(
        name = "Message",
        type_ = "string",
        json_path = ".status.conditions[?(@.type=='Ready')].message"
    )
)]
#[serde(rename_all = "camelCase")]
#[allow(clippy::duplicated_attributes, reason = "printer columns look alike to the lint")]
pub struct HelmReleaseSpec {
    /// Where the chart comes from.
    #[x_kube(
        validation = Rule::new("has(self.url) != (has(self.repository) && has(self.name))")
            .message("exactly one of url, or repository with name, says where the chart comes from")
    )]
    pub chart: ChartReference,
    /// Values from Secrets and ConfigMaps, merged in order below `values`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub values_from: Vec<ValuesReference>,
    /// Values; they win over everything else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(schema_with = "any_object")]
    pub values: Option<serde_json::Value>,
    /// Holds the release at the content of this revision of its history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub rollback_to: Option<i64>,
    /// Name of the release; `metadata.name` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 53))]
    pub release_name: Option<String>,
    /// Namespace of the objects; `metadata.namespace` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub target_namespace: Option<String>,
    /// Namespace of the release's record; `metadata.namespace` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub storage_namespace: Option<String>,
    /// How often the source is asked for a newer chart.
    #[serde(default = "ten_minutes")]
    pub interval: GoDuration,
    /// How long each wait may take: for readiness, for a hook.
    #[serde(default = "five_minutes")]
    pub timeout: GoDuration,
    /// Stops all work on the release; deleting a suspended HelmRelease leaves its objects in place.
    #[serde(default)]
    pub suspend: bool,
    /// Number of revisions that are kept; 0 keeps all.
    #[serde(default = "ten")]
    #[schemars(range(min = 0))]
    pub max_history: i64,
    /// HelmReleases of this namespace that must be ready first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub depends_on: Vec<Dependency>,
    /// ServiceAccount of this namespace under which everything that touches the release's objects is done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub service_account_name: Option<String>,
    /// How the first revision is made.
    #[serde(default)]
    pub install: Install,
    /// How further revisions are made.
    #[serde(default)]
    pub upgrade: Upgrade,
    /// How `rollbackTo` is carried out.
    #[serde(default)]
    pub rollback: Rollback,
    /// How the release is removed.
    #[serde(default)]
    pub uninstall: Uninstall,
    /// What happens when another manager owns a field that the chart sets.
    #[serde(default)]
    pub conflicts: Conflicts,
    /// What deleting the HelmRelease does.
    #[serde(default)]
    pub deletion_policy: DeletionPolicy,
    /// What happens when releaseName, targetNamespace or storageNamespace change after the first deploy.
    #[serde(default)]
    pub on_target_change: OnTargetChange,
    /// Which Helm to be like, where two of them differ.
    #[serde(default)]
    pub helm_compat: HelmCompat,
    /// What functions that draw from clock and chance (rand*, gen*, uuidv4, now …) give in a further revision.
    #[serde(default)]
    pub impure: Impure,
}

fn five_minutes() -> GoDuration {
    GoDuration::from_secs(300)
}

fn ten_minutes() -> GoDuration {
    GoDuration::from_secs(600)
}

fn ten() -> i64 {
    10
}

fn yes() -> bool {
    true
}

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

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
    /// Address of a chart archive, in place of a repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 2048), regex(pattern = r"^https?://.+$"))]
    pub url: Option<String>,
    /// Pins the bytes of the archive: `sha256:` and 64 hex digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 71), regex(pattern = r"^sha256:[0-9a-f]{64}$"))]
    pub digest: Option<String>,
    /// Files inside the chart, merged in order, in place of its values.yaml.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub values_files: Vec<String>,
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

/// A HelmRelease that must be ready first.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
}

/// How CRDs of the chart's `crds/` are treated.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum CrdPolicy {
    /// Missing ones are created, existing ones never replaced.
    #[default]
    Create,
    /// Missing ones are created, existing ones replaced.
    CreateReplace,
    /// None is touched.
    Skip,
}

/// How the first revision is made.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Install {
    /// Creates the target namespace when it is missing.
    #[serde(default)]
    pub create_namespace: bool,
    /// What to do with the chart's CRDs.
    #[serde(default)]
    pub crds: CrdPolicy,
    /// Runs no hooks.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Does not wait for the objects to become ready.
    #[serde(default)]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default = "yes")]
    pub disable_wait_for_jobs: bool,
    /// Does not check the values against the chart's schema.
    #[serde(default)]
    pub disable_schema_validation: bool,
}

impl Default for Install {
    fn default() -> Self {
        Self {
            create_namespace: false,
            crds: CrdPolicy::default(),
            disable_hooks: false,
            disable_wait: false,
            disable_wait_for_jobs: true,
            disable_schema_validation: false,
        }
    }
}

/// How further revisions are made.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Upgrade {
    /// What to do with the chart's CRDs.
    #[serde(default)]
    pub crds: CrdPolicy,
    /// Runs no hooks.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Does not wait for the objects to become ready.
    #[serde(default)]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default = "yes")]
    pub disable_wait_for_jobs: bool,
    /// Does not check the values against the chart's schema.
    #[serde(default)]
    pub disable_schema_validation: bool,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self {
            crds: CrdPolicy::default(),
            disable_hooks: false,
            disable_wait: false,
            disable_wait_for_jobs: true,
            disable_schema_validation: false,
        }
    }
}

/// How `rollbackTo` is carried out.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Rollback {
    /// Runs no hooks.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Does not wait for the objects to become ready.
    #[serde(default)]
    pub disable_wait: bool,
    /// Does not wait for Jobs to complete.
    #[serde(default = "yes")]
    pub disable_wait_for_jobs: bool,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { disable_hooks: false, disable_wait: false, disable_wait_for_jobs: true }
    }
}

/// How the release is removed.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Uninstall {
    /// Keeps the record of the release, as `helm uninstall --keep-history`.
    #[serde(default)]
    pub keep_history: bool,
    /// Runs no hooks.
    #[serde(default)]
    pub disable_hooks: bool,
    /// Does not wait until the objects are gone.
    #[serde(default)]
    pub disable_wait: bool,
    /// How dependents are deleted.
    #[serde(default)]
    pub deletion_propagation: DeletionPropagation,
    /// How long the removal may take; `spec.timeout` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}

/// Kubernetes' propagation policies, in Flux's spelling.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeletionPropagation {
    /// The object goes at once, its dependents later.
    #[default]
    Background,
    /// The object goes after its dependents.
    Foreground,
    /// The dependents stay.
    Orphan,
}

/// What happens when another manager owns a field that the chart sets.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Conflicts {
    /// The chart wins.
    #[default]
    Force,
    /// The action fails.
    Fail,
}

/// What deleting the HelmRelease does.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum DeletionPolicy {
    /// Uninstalls the release.
    #[default]
    Uninstall,
    /// Leaves objects and record in place.
    Orphan,
    /// Holds the HelmRelease until the policy is changed.
    Deny,
}

/// Which Helm to be like, where two of them differ.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HelmCompat {
    /// Helm 4.
    #[default]
    V4,
    /// Helm 3.
    V3,
}

impl From<HelmCompat> for pintle_helm::Compat {
    fn from(compat: HelmCompat) -> Self {
        match compat {
            HelmCompat::V4 => Self::V4,
            HelmCompat::V3 => Self::V3,
        }
    }
}

/// What functions that draw from clock and chance give in a further revision.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Impure {
    /// Something new, as in Helm.
    #[default]
    Allow,
    /// What they gave in the previous revision, so that passwords and certificates do not rotate.
    Freeze,
}

/// What happens when the release's name or namespaces change.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnTargetChange {
    /// The change is refused.
    #[default]
    Deny,
    /// The old release is uninstalled, the new one installed.
    Reinstall,
}

/// What became of the release: a view of its storage, written after it.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HelmReleaseStatus {
    /// The generation that the conditions speak of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready, Reconciling, Stalled, Released, Held.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["type"]))]
    pub conditions: Vec<Condition>,
    /// The last revisions, newest first; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<RevisionStatus>,
    /// The objects that the release owns now.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub inventory: Vec<InventoryEntry>,
    /// The newest revision that was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_applied_revision: Option<i64>,
    /// install, upgrade or rollback.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_action: Option<String>,
    /// Version of the chart that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_chart_version: Option<String>,
    /// Digest of the chart that was tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_chart_digest: Option<String>,
    /// HMAC of the values that were tried last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_attempted_values_digest: Option<String>,
    /// Failures in a row for these inputs.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub failures: i64,
    /// The last `pintle.dev/requestedAt` that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_reconcile_at: Option<String>,
    /// The last `pintle.dev/forceAt` that was acted upon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_handled_force_at: Option<String>,
    /// Where the release is: fixed by its first revision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(n: &i64) -> bool {
    *n == 0
}

/// Name and namespaces of a release.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Target {
    /// Name of the release.
    pub release_name: String,
    /// Namespace of the objects.
    pub target_namespace: String,
    /// Namespace of the record.
    pub storage_namespace: String,
}

/// One revision, as the status shows it.
#[derive(KubeSchema, Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RevisionStatus {
    /// Its number.
    pub revision: i64,
    /// What made it: install, upgrade, rollback.
    pub action: String,
    /// The revision whose content it has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<i64>,
    /// Helm's status: deployed, superseded, failed, pending-upgrade, …
    pub status: String,
    /// Name of the chart.
    pub chart: String,
    /// Version of the chart.
    pub chart_version: String,
    /// Version of the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
    /// Digest of the archive.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chart_digest: Option<String>,
    /// HMAC of the values, under a key that is kept with the record.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub values_digest: Option<String>,
    /// Digest of the rendered objects.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest_digest: Option<String>,
    /// What it changed in the cluster.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changes: Option<Changes>,
    /// When it was begun.
    pub started_at: Time,
    /// When it was deployed or failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Time>,
    /// How it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Numbers of objects.
#[derive(KubeSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Changes {
    /// New ones.
    pub created: i64,
    /// Changed ones.
    pub updated: i64,
    /// Removed ones.
    pub deleted: i64,
    /// Ones that were as they should be.
    pub unchanged: i64,
}

/// An object of the release.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InventoryEntry {
    /// `namespace_name_group_kind`; the namespace is empty for cluster-scoped objects.
    pub id: String,
    /// Version of its API.
    pub v: String,
}

impl HelmRelease {
    /// Name and namespaces of the release that the spec asks for.
    ///
    /// A name over 53 characters is cut as Flux does: 40 characters, `-`, 12 hex digits of its SHA-256.
    pub fn target(&self) -> Target {
        let namespace = self.metadata.namespace.clone().unwrap_or_default();
        let name = self.metadata.name.clone().unwrap_or_default();
        let full = match (&self.spec.release_name, &self.spec.target_namespace) {
            (Some(name), _) => name.clone(),
            (None, Some(target)) if *target != namespace => format!("{target}-{name}"),
            (None, _) => name,
        };
        Target {
            release_name: shorten(&full),
            target_namespace: self.spec.target_namespace.clone().unwrap_or_else(|| namespace.clone()),
            storage_namespace: self.spec.storage_namespace.clone().unwrap_or(namespace),
        }
    }

    /// The annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations: &BTreeMap<String, String> = self.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }
}

/// Flux's rule for release names over 53 characters (helm-controller `internal/release/name.go`).
fn shorten(name: &str) -> String {
    use sha2::{Digest, Sha256};
    use std::fmt::Write;
    if name.len() <= 53 {
        return name.to_owned();
    }
    let digest = Sha256::digest(name.as_bytes());
    let mut short = name.get(..40).unwrap_or(name).to_owned();
    short.push('-');
    for byte in digest.iter().take(6) {
        let _ = write!(short, "{byte:02x}");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn release(spec: serde_json::Value) -> HelmRelease {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "pintle.dev/v1alpha1",
            "kind": "HelmRelease",
            "metadata": {"name": "web", "namespace": "apps"},
            "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn an_empty_spec_has_the_documented_defaults() {
        let spec = release(serde_json::json!({"chart": {"url": "https://h/c-1.tgz"}})).spec;
        assert_eq!(spec.interval, GoDuration::from_secs(600));
        assert_eq!(spec.timeout, GoDuration::from_secs(300));
        assert_eq!(spec.max_history, 10);
        assert_eq!(spec.conflicts, Conflicts::Force);
        assert!(spec.install.disable_wait_for_jobs);
    }

    #[test]
    fn the_target_follows_flux_rules() {
        for (spec, name, target, storage) in [
            (serde_json::json!({"chart": {}}), "web", "apps", "apps"),
            (serde_json::json!({"chart": {}, "targetNamespace": "prod"}), "prod-web", "prod", "apps"),
            (serde_json::json!({"chart": {}, "targetNamespace": "apps"}), "web", "apps", "apps"),
            (serde_json::json!({"chart": {}, "releaseName": "w", "storageNamespace": "s"}), "w", "apps", "s"),
        ] {
            let got = release(spec.clone()).target();
            let want = Target {
                release_name: name.into(),
                target_namespace: target.into(),
                storage_namespace: storage.into(),
            };
            assert_eq!(got, want, "{spec}");
        }
    }

    #[test]
    fn long_names_are_cut_with_a_digest() {
        let name = "a".repeat(54);
        let short = shorten(&name);
        assert_eq!(short.len(), 53);
        assert!(short.starts_with(&"a".repeat(40)));
        assert_eq!(shorten(&"b".repeat(53)), "b".repeat(53));
    }
}

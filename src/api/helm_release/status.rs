//! What became of a release.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use super::Target;

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
    /// The plan of the newest revision, or the one that waits for its approval.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
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
    /// The last `pintle.dev/forceAt` whose revision has come to an end.
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
    /// The first objects that it changed; at most 5, each with at most 5 fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectChange>,
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
    /// Ones that were deleted and made anew, because a field of theirs cannot be changed.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub recreated: i64,
    /// Removed ones.
    pub deleted: i64,
    /// Ones that were as they should be.
    pub unchanged: i64,
}

/// What an action does, before it is done.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanStatus {
    /// `sha256:` and hex, of the inputs, the manifest and the revision that the plan begins at.
    pub digest: String,
    /// install, upgrade or rollback.
    pub action: String,
    /// The revision that the plan makes.
    pub revision: i64,
    /// The deployed revision that it begins at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<i64>,
    /// What it changes in the cluster.
    pub changes: Changes,
    /// The first objects that it changes; at most 5, each with at most 5 fields.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectChange>,
    /// The first hooks that it runs, each as `event Kind name`; at most 10.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<String>,
}

/// What happens to one object. Nothing in it is a Secret's value.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ObjectChange {
    /// `Kind namespace/name`.
    pub object: String,
    /// create, update, recreate, delete or keep.
    pub change: String,
    /// The fields, each with its old and new value as far as they may be shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<String>,
    /// How many fields more there are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub further_paths: i64,
    /// Why it is kept, or made anew.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Fields that another manager owned, each with its name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub taken_over: Vec<String>,
}

/// An object of the release.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct InventoryEntry {
    /// `namespace_name_group_kind`; the namespace is empty for cluster-scoped objects.
    pub id: String,
    /// Version of its API.
    pub v: String,
}

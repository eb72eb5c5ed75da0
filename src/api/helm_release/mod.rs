//! `HelmRelease`: a chart, its values, and what became of them.

mod actions;
mod chart;
mod health;
mod status;
mod target;

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use serde::{Deserialize, Serialize};

use super::GoDuration;
pub use actions::{
    CrdPolicy, DeletionPropagation, Install, InstallRemediation, RemediationStrategy, Rollback, Test,
    TestFilter, Uninstall, Upgrade, UpgradeRemediation,
};
pub use chart::{ChartReference, OnDigestChange, RepositoryReference, ValuesKind, ValuesReference};
pub use health::HealthCheckExpr;
pub use status::{
    Changes, HelmReleaseStatus, InventoryEntry, ObjectChange, PlanStatus, RevisionStatus, TestStatus,
};
pub use target::Target;

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
    /// How `rollbackTo`, and the rollback of a failed upgrade, are carried out.
    #[serde(default)]
    pub rollback: Rollback,
    /// Whether and how the chart's tests are run.
    #[serde(default)]
    pub test: Test,
    /// How the release is removed.
    #[serde(default)]
    pub uninstall: Uninstall,
    /// How objects tell whether they are ready, where their kinds have no rule or another one is wanted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 32))]
    pub health_check_exprs: Vec<HealthCheckExpr>,
    /// What happens when another manager owns a field that the chart sets.
    #[serde(default)]
    pub conflicts: Conflicts,
    /// Whether the server is asked what it would say to what changes, before the first write.
    #[serde(default)]
    pub preflight: Preflight,
    /// Whether a plan waits for its digest in the annotation `pintle.dev/approve` before it is carried out.
    #[serde(default)]
    pub approval: Approval,
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

fn any_object(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
    schemars::json_schema!({"type": "object", "x-kubernetes-preserve-unknown-fields": true})
}

/// A HelmRelease that must be ready first.
#[derive(KubeSchema, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependency {
    /// Its name.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
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

/// When what changes is tried as a dry run before the first write.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Preflight {
    /// Before upgrades and rollbacks, and installs over what a failed one left behind.
    #[default]
    Upgrade,
    /// Before installs too.
    Always,
    /// Not at all: what the server refuses is found out in the middle of the action.
    Never,
}

/// Whether a plan has to be approved.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Approval {
    /// It is carried out at once.
    #[default]
    Automatic,
    /// It is published in the status, and carried out when the annotation `pintle.dev/approve` has its digest.
    Manual,
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

/// What functions that draw from clock and chance give in a further revision.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Impure {
    /// Something new, as in Helm.
    #[default]
    Allow,
    /// What they gave in the previous revision, so that passwords and certificates do not rotate.
    Freeze,
}

impl From<HelmCompat> for pintle_helm::Compat {
    fn from(compat: HelmCompat) -> Self {
        match compat {
            HelmCompat::V4 => Self::V4,
            HelmCompat::V3 => Self::V3,
        }
    }
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

impl HelmRelease {
    /// The annotation `key`.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        let annotations: &BTreeMap<String, String> = self.metadata.annotations.as_ref()?;
        annotations.get(key).map(String::as_str)
    }
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
        assert_eq!((spec.preflight, spec.approval), (Preflight::Upgrade, Approval::Automatic));
        assert!(!spec.upgrade.force && !spec.rollback.force);
    }
}

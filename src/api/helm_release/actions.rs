//! How each action is carried out.

use kube::KubeSchema;
use serde::{Deserialize, Serialize};

use crate::api::GoDuration;

fn yes() -> bool {
    true
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
    /// Deletes and makes anew an object with a changed field that cannot be changed. Never a PersistentVolumeClaim, a
    /// PersistentVolume, a Namespace, a CustomResourceDefinition, or what `helm.sh/resource-policy: keep` keeps. Counts
    /// for an install over what a failed one left behind, too.
    #[serde(default)]
    pub force: bool,
}

impl Default for Upgrade {
    fn default() -> Self {
        Self {
            crds: CrdPolicy::default(),
            disable_hooks: false,
            disable_wait: false,
            disable_wait_for_jobs: true,
            disable_schema_validation: false,
            force: false,
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
    /// Deletes and makes anew an object with a changed field that cannot be changed. Never a PersistentVolumeClaim, a
    /// PersistentVolume, a Namespace, a CustomResourceDefinition, or what `helm.sh/resource-policy: keep` keeps.
    #[serde(default)]
    pub force: bool,
}

impl Default for Rollback {
    fn default() -> Self {
        Self { disable_hooks: false, disable_wait: false, disable_wait_for_jobs: true, force: false }
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

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
    /// Goes on from the record of an uninstalled release of that name, as `helm install --replace`.
    #[serde(default)]
    pub replace: bool,
    /// What follows a failure; without it the install is tried for ever, each time over what the last one left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<InstallRemediation>,
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
            replace: false,
            remediation: None,
        }
    }
}

/// What follows a failed install: it is uninstalled, and tried again.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InstallRemediation {
    /// How often a failed install is tried again; -1 for ever.
    #[serde(default)]
    #[schemars(range(min = -1, max = 1000))]
    pub retries: i64,
    /// Whether the last failure is uninstalled too; false when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
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
    /// Deletes the objects that a failed upgrade has created.
    #[serde(default)]
    pub cleanup_on_fail: bool,
    /// Merges the values over those of the last good revision, as `helm upgrade --reuse-values`.
    #[serde(default)]
    pub preserve_values: bool,
    /// What follows a failure; without it the upgrade is tried for ever, each time over what the last one left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediation: Option<UpgradeRemediation>,
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
            cleanup_on_fail: false,
            preserve_values: false,
            remediation: None,
        }
    }
}

/// What follows a failed upgrade: the release is brought back to a good state, and the upgrade is tried again.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct UpgradeRemediation {
    /// How often a failed upgrade is tried again; -1 for ever.
    #[serde(default)]
    #[schemars(range(min = -1, max = 1000))]
    pub retries: i64,
    /// What is done about a failure.
    #[serde(default)]
    pub strategy: RemediationStrategy,
    /// Whether something is done about the last failure too; when absent, if there are retries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remediate_last_failure: Option<bool>,
}

/// What is done about a failed upgrade.
#[derive(schemars::JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RemediationStrategy {
    /// A new revision with the content of the last good one.
    #[default]
    Rollback,
    /// The release is uninstalled; the next try installs it.
    Uninstall,
}

/// How `rollbackTo`, and the rollback of a failed upgrade, are carried out.
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
    /// Deletes the objects that a failed rollback has created.
    #[serde(default)]
    pub cleanup_on_fail: bool,
}

impl Default for Rollback {
    fn default() -> Self {
        Self {
            disable_hooks: false,
            disable_wait: false,
            disable_wait_for_jobs: true,
            force: false,
            cleanup_on_fail: false,
        }
    }
}

/// Whether and how the chart's tests are run, once for each revision.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Test {
    /// Runs them after each install and upgrade, and after a rollback that `rollbackTo` asks for.
    #[serde(default)]
    pub enable: bool,
    /// A failed test is shown, and the release is ready all the same.
    #[serde(default)]
    pub ignore_failures: bool,
    /// Which tests are run; all when empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 64))]
    pub filters: Vec<TestFilter>,
    /// How long each test may take; `spec.timeout` when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<GoDuration>,
}

/// A test that is run, or is not.
#[derive(KubeSchema, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct TestFilter {
    /// Name of the test's object.
    #[schemars(length(min = 1, max = 253))]
    pub name: String,
    /// All but this one.
    #[serde(default)]
    pub exclude: bool,
}

impl Test {
    /// Whether the test of that name is to be run.
    ///
    /// # Compatibility
    /// As Helm's `pkg/action/release_testing.go`: what is excluded is left out first; of the rest only what is named,
    /// when any is.
    pub fn selects(&self, name: &str) -> bool {
        let named = |exclude: bool| self.filters.iter().filter(move |f| f.exclude == exclude);
        !named(true).any(|f| f.name == name)
            && (named(false).next().is_none() || named(false).any(|f| f.name == name))
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

#[cfg(test)]
mod tests {
    //! Unit: which tests are run.

    use super::*;

    #[test]
    fn filters_name_what_is_run_and_what_is_not() {
        let filter = |name: &str, exclude| TestFilter { name: name.to_owned(), exclude };
        for (filters, want) in [
            (vec![], [true, true]),
            (vec![filter("a", false)], [true, false]),
            (vec![filter("a", true)], [false, true]),
            (vec![filter("a", false), filter("a", true)], [false, false]),
            (vec![filter("b", false), filter("a", true)], [false, true]),
        ] {
            let test = Test { filters, ..Test::default() };
            assert_eq!([test.selects("a"), test.selects("b")], want, "{:?}", test.filters);
        }
    }
}

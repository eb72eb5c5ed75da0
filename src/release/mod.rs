//! The release engine: from what a HelmRelease asks for to what runs in the cluster.
//!
//! One reconcile goes through the modules in this order; what lies between two of them is plain data:
//! [`observe`](observe()) → [`assess`] → [`decide`](decide()) → [`prepare`] (targets, live objects, [`plan`](plan())) →
//! [`preflight`](preflight()) → [`History::begin`] → [`execute`](execute()) → [`conclude`].
//! Deciding is pure and tested by tables; effects are requests of the tenant's client. Every write is a call of
//! its own, in the order of the write protocol, so that a process that ends between two of them leaves
//! something that the next one understands.
//!
//! Rendering, watching and publishing are not done here.

mod apply;
mod approval;
mod cleanup;
mod conclude;
mod contest;
mod decide;
mod diff;
mod draft;
mod error;
mod execute;
mod facts;
mod health;
mod history;
mod hook;
mod inquiry;
mod live;
mod migrate;
mod observe;
mod ownership;
mod plan;
mod preflight;
mod prune;
mod recreate;
mod remediation;
mod revision;
mod seen;
mod spill;
mod state;
mod status;
mod targets;
mod test;
mod uninstall;
mod wait;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};

use crate::api::{Conflicts, CrdPolicy, DeletionPropagation, HelmReleaseSpec, Preflight, Target};
use crate::cluster::masking::Redactions;
use crate::cluster::{Discovery, TenantClient};

pub use approval::{Standing, standing};
pub use cleanup::clean_up;
pub use conclude::{conclude, give_up, tidy};
pub use decide::{Decision, Remedial, backoff, decide};
pub use diff::{PathChange, diff_objects};
pub use draft::Draft;
pub use error::Error;
pub use execute::{Outcome, execute, resume_hooks, resume_wait};
pub use facts::{
    Action, Attempt, ChartFacts, Facts, Failure, HookFacts, Remedy, RetryFact, RunningHook, Tested,
};
pub use health::HealthChecks;
pub use history::History;
pub use hook::{HOOK_LABEL, SeenHooks};
pub use live::{Live, LiveObject, live};
pub use observe::{Observation, observe};
pub use ownership::HOOK_OWNER;
pub use plan::{Change, Plan, Planned, Step, plan, prepare};
pub use preflight::preflight;
pub use remediation::{Remediation, Remedies};
pub use revision::Revision;
pub use seen::{Noticed, SeenObjects};
pub use spill::RELEASE_LABEL as PART_OF;
pub use state::{Desired, Failed, ReleaseState, Tests, assess};
pub use status::{failures, history_status, inventory, is_heeded, last_attempt, recorded_inventory};
pub use targets::{Earlier, TargetObject, Targets};
pub use test::{conclude_tests, end_tests, test};
pub use uninstall::uninstall;
pub use wait::is_ready_at_once;

/// The field manager under which objects are applied, unless the operator is told another one: Helm's, so that the
/// real helm can go on with a release.
pub const FIELD_MANAGER: &str = "helm";

/// Requests of one step that run at the same time.
const CONCURRENCY: usize = 8;

/// Which release, and where.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ReleaseKey {
    /// Name of the release.
    pub name: String,
    /// Namespace of the objects.
    pub namespace: String,
    /// Namespace of the record.
    pub storage_namespace: String,
}

impl From<&Target> for ReleaseKey {
    fn from(target: &Target) -> Self {
        Self {
            name: target.release_name.clone(),
            namespace: target.target_namespace.clone(),
            storage_namespace: target.storage_namespace.clone(),
        }
    }
}

impl fmt::Display for ReleaseKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// What the spec says about how an action is carried out.
#[allow(clippy::struct_excessive_bools, reason = "each is a switch of the spec")]
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// How long each wait may take: for readiness, for a hook, for a removal.
    pub timeout: Duration,
    /// Number of revisions that are kept; 0 keeps all.
    pub max_history: u32,
    /// Whether fields of other managers are taken over.
    pub conflicts: Conflicts,
    /// When the server is asked before the first write.
    pub preflight: Preflight,
    /// Whether objects whose fields cannot be changed are deleted and made anew.
    pub force: bool,
    /// What to do with the chart's CRDs.
    pub crds: CrdPolicy,
    /// Runs no hooks.
    pub disable_hooks: bool,
    /// Does not wait for readiness, or for the end of a removal.
    pub disable_wait: bool,
    /// Waits for Jobs to complete.
    pub wait_for_jobs: bool,
    /// Creates the target namespace when it is missing.
    pub create_namespace: bool,
    /// How dependents of a deleted object are deleted.
    pub deletion_propagation: DeletionPropagation,
    /// Keeps the record of an uninstalled release.
    pub keep_history: bool,
    /// Deletes what a failed action has created.
    pub cleanup_on_fail: bool,
}

impl Policy {
    /// What `spec` says about `action`.
    pub fn new(spec: &HelmReleaseSpec, action: Action) -> Self {
        let mut policy = Self {
            timeout: spec.timeout.0,
            max_history: u32::try_from(spec.max_history).unwrap_or(0),
            conflicts: spec.conflicts,
            preflight: spec.preflight,
            force: false,
            crds: CrdPolicy::Skip,
            disable_hooks: false,
            disable_wait: false,
            wait_for_jobs: false,
            create_namespace: spec.install.create_namespace,
            // What leaves the manifest goes with its dependents, whatever an uninstall does.
            deletion_propagation: DeletionPropagation::Background,
            keep_history: spec.uninstall.keep_history,
            cleanup_on_fail: false,
        };
        match action {
            Action::Install => {
                policy.crds = spec.install.crds;
                // An install over what a failed one left behind meets objects that exist.
                policy.force = spec.upgrade.force;
                policy.disable_hooks = spec.install.disable_hooks;
                policy.disable_wait = spec.install.disable_wait;
                policy.wait_for_jobs = !spec.install.disable_wait_for_jobs;
            }
            Action::Upgrade => {
                policy.crds = spec.upgrade.crds;
                policy.force = spec.upgrade.force;
                policy.disable_hooks = spec.upgrade.disable_hooks;
                policy.disable_wait = spec.upgrade.disable_wait;
                policy.wait_for_jobs = !spec.upgrade.disable_wait_for_jobs;
                policy.cleanup_on_fail = spec.upgrade.cleanup_on_fail;
            }
            Action::Rollback => {
                policy.force = spec.rollback.force;
                policy.disable_hooks = spec.rollback.disable_hooks;
                policy.disable_wait = spec.rollback.disable_wait;
                policy.wait_for_jobs = !spec.rollback.disable_wait_for_jobs;
                policy.cleanup_on_fail = spec.rollback.cleanup_on_fail;
            }
            Action::Uninstall => {
                policy.disable_hooks = spec.uninstall.disable_hooks;
                policy.disable_wait = spec.uninstall.disable_wait;
                policy.deletion_propagation = spec.uninstall.deletion_propagation;
                policy.timeout = spec.uninstall.timeout.map_or(spec.timeout.0, |t| t.0);
            }
        }
        policy
    }

    /// What `spec` says about tests.
    pub fn of_tests(spec: &HelmReleaseSpec) -> Self {
        let mut policy = Self::new(spec, Action::Upgrade);
        policy.timeout = spec.test.timeout.map_or(spec.timeout.0, |t| t.0);
        policy
    }
}

/// Who asks for a release: its HelmRelease, and the process that works on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// UID of the HelmRelease.
    pub uid: String,
    /// `namespace/name` of the HelmRelease.
    pub name: String,
    /// The process: the identity under which it holds the lease.
    pub holder: String,
}

/// Everything that the steps of one action share.
#[derive(Clone, Copy)]
pub struct Release<'a> {
    /// Reaches the objects and the storage.
    pub tenant: &'a TenantClient,
    /// Knows the kinds.
    pub discovery: &'a Discovery,
    /// Which release.
    pub key: &'a ReleaseKey,
    /// How.
    pub policy: &'a Policy,
    /// For whom.
    pub owner: &'a Owner,
    /// Which objects are ready, where the spec says so.
    pub health: &'a Arc<HealthChecks>,
    /// How hooks ended.
    pub hooks: &'a SeenHooks,
    /// The field manager under which objects are applied.
    pub field_manager: &'a str,
    /// Whether Secrets with parts of its records may lie about: they were seen, or nobody can tell.
    pub may_have_parts: bool,
    /// Whether somebody asked for this very action (`forceAt`): what watches tell of objects is not believed then.
    pub is_forced: bool,
    /// The objects of releases, as the watches tell of them.
    pub objects: &'a SeenObjects,
    /// The Secrets among the release's values: nothing of them is told.
    pub redactions: &'a Redactions,
}

/// Runs requests a few at a time; the results are in the order of the requests.
///
/// The futures are made before: a closure that makes them from references would not be general enough for a task.
async fn bounded<F: Future>(requests: Vec<F>) -> Vec<F::Output> {
    stream::iter(requests).buffered(CONCURRENCY).collect().await
}

/// As [`bounded`], but no further request is begun after the first refusal, which is given back.
async fn bounded_until_refused<F, T>(requests: Vec<F>) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    stream::iter(requests).buffered(CONCURRENCY).try_collect().await
}

#[cfg(test)]
mod tests;

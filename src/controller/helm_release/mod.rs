//! Reconciles a HelmRelease: one decision, carried out as far as it goes without waiting.
//!
//! The way of one reconcile is drawn in the crate's documentation; `forward` reads like it, and
//! each module below is a part of it. What waits (for a dependency, a chart, readiness) is woken by a watch and comes
//! through here again.

mod adopt;
mod identity;
mod inputs;
mod remedy;
mod removal;
mod render;
mod report;
mod rest;
mod revision;
mod rivals;
mod source;
mod suspend;

use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use pintle_helm::record::Status;
use tracing::debug;

use self::inputs::Inputs;
pub use self::source::Notice;
use super::publish::HELM_RELEASE;
use super::records::Stored;
use super::store::{Key, Seen};
use super::verdict::{self, Failure, Verdict};
use super::{Operator, Requeue, dereference};
use crate::api::condition::{self, READY};
use crate::api::{FORCE_AT, HelmRelease, InventoryEntry, OnTargetChange, RESET_AT, Reason, Target};
use crate::cluster::masking::Redactions;
use crate::cluster::{Retry, TenantClient};
use crate::release::{
    self, Action, Decision, Desired, HealthChecks, History, Observation, Owner, Policy, Release, ReleaseKey,
    ReleaseState, Remedies,
};
use crate::repository::Verified;

/// Whether the release is as its current generation asks.
pub fn is_ready(release: &HelmRelease) -> bool {
    release.status.as_ref().is_some_and(|status| {
        status.observed_generation == release.metadata.generation
            && condition::is_true(&status.conditions, READY)
    })
}

/// Looks at one HelmRelease.
pub async fn reconcile(operator: &Operator, key: &Key) -> Requeue {
    let object = match operator.helm_releases.see(key) {
        Some(Seen::Valid(object)) => object,
        Some(Seen::Invalid(object, problem)) => {
            operator.first_look.seen(key);
            return super::invalid::refuse(operator, HELM_RELEASE, key, &object, &problem).await;
        }
        None => {
            operator.forget_release(key);
            return Requeue::OnChange;
        }
    };
    let work = Work::new(operator, key, &object);
    if object.metadata.deletion_timestamp.is_some() {
        let requeue = work.delete().await;
        // Also when it was not ours to end.
        operator.first_look.seen(key);
        return requeue;
    }
    if object.spec.suspend {
        let requeue = work.rest_suspended().await;
        operator.first_look.seen(key);
        return requeue;
    }
    work.reconcile().await
}

/// Says that the last look at a HelmRelease panicked; it is tried again with growing pauses.
pub async fn broke(operator: &Operator, key: &Key, place: &str) -> Requeue {
    operator.first_look.seen(key);
    let Some(object) = operator.helm_releases.get(key) else { return Requeue::OnChange };
    let failure = Failure::defect(&format!("the reconcile panicked at {place}"));
    Work::new(operator, key, &object).publish(Account::failed(failure, None)).await
}

/// One look at one HelmRelease.
pub(super) struct Work<'a> {
    pub(super) operator: &'a Operator,
    pub(super) key: &'a Key,
    pub(super) object: &'a HelmRelease,
    pub(super) target: Target,
    redactions: Redactions,
    /// Which objects are ready, where the spec says so.
    health: Arc<HealthChecks>,
    /// The signatures of the chart, once it is resolved.
    verified: Option<Vec<Verified>>,
    /// That the source does not offer what runs and is kept.
    notice: Option<Notice>,
}

/// What a reconcile came to: the verdict, and the history as it is now, when it could be read.
pub(super) struct Account {
    verdict: Verdict,
    history: Option<History>,
    /// The objects of the deployed revision, when a failure has to tell them and the status does not know them.
    inventory: Option<Vec<InventoryEntry>>,
}

impl Account {
    pub(super) fn failed(failure: impl Into<Failure>, history: Option<History>) -> Self {
        Self { verdict: Verdict::Failed(failure.into()), history, inventory: None }
    }
}

impl<'a> Work<'a> {
    /// A look at `object`, which is the one of `key`.
    pub(super) fn new(operator: &'a Operator, key: &'a Key, object: &'a HelmRelease) -> Self {
        let (target, redactions, health) = (object.target(), Redactions::default(), Arc::default());
        Self { operator, key, object, target, redactions, health, verified: None, notice: None }
    }
}

impl Work<'_> {
    async fn reconcile(mut self) -> Requeue {
        let account = match self.prepare().await {
            Ok(client) => self.forward(&client).await,
            Err(failure) => Account::failed(failure, None),
        };
        self.publish(account).await
    }

    /// What must hold before anything is done: the finalizer, the identity, the target.
    async fn prepare(&self) -> Result<TenantClient, Failure> {
        self.ensure_finalizer().await?;
        let client = self.tenant()?;
        let Some(old) = self.last_status().and_then(|s| s.target).filter(|old| *old != self.target) else {
            return Ok(client);
        };
        match self.object.spec.on_target_change {
            OnTargetChange::Deny => Err(Failure::new(
                Reason::TargetChanged,
                Retry::OnChange,
                format!(
                    "the release was deployed as {}/{} (record in {}); releaseName, targetNamespace and storageNamespace \
                     cannot change any more: set them back, or set onTargetChange: Reinstall",
                    old.target_namespace, old.release_name, old.storage_namespace
                ),
            )),
            OnTargetChange::Reinstall => {
                self.uninstall(&client, &ReleaseKey::from(&old), None).await?;
                Ok(client)
            }
        }
    }

    /// The pipeline: resolve → dereference → observe → assess → decide, and then what was decided.
    async fn forward(&mut self, client: &TenantClient) -> Account {
        let (key, owner) = (ReleaseKey::from(&self.target), self.owner());
        if let Err(failure) = self.learn_health().await {
            return self.without_inputs(client, &key, &owner, Verdict::Failed(failure)).await;
        }
        let inputs = match self.held() {
            Some(_) => None,
            None => match self.inputs(client).await {
                Ok(inputs) => Some(inputs),
                Err(verdict) => return self.without_inputs(client, &key, &owner, verdict).await,
            },
        };
        if inputs.as_ref().is_some_and(|inputs| self.is_at_rest(inputs)) {
            return Account { verdict: Verdict::Settled { inventory: None }, history: None, inventory: None };
        }
        let observed = match self.observe(client, &key).await {
            Ok(observed) => observed,
            Err(error) => return Account::failed(self.explain(error).await, None),
        };
        let desired = self.desired(&observed.history, &owner, inputs.as_ref());
        let (desired, decision) = match self.weigh(&observed, desired, inputs.as_ref()).await {
            Ok(decided) => decided,
            Err(failure) => return self.without_inputs(client, &key, &owner, Verdict::Failed(failure)).await,
        };
        if inputs.is_none() && decision != Decision::Nothing {
            self.learn_secrets(client).await;
        }
        // Without the texts of old failures: those are redacted where they are published.
        debug!(release = %self.key, action = ?decision.action(), "decided");
        let action = decision.action().unwrap_or(Action::Upgrade);
        let policy = Policy::new(&self.object.spec, action);
        let cx = self.release(client, &key, &policy, &owner);
        let mut history = observed.history;
        let (remedy, before) = (remedy::asked_for(&history, &decision), remedy::mark(&history));
        let done = self.carry_out(&cx, &mut history, &desired, inputs, decision, action).await;
        let verdict = match done {
            Ok(verdict) => verdict,
            Err(failure) => {
                let failure = self.explain_failure(failure).await;
                Verdict::Failed(self.after_failure(failure, &history, &desired, remedy, before))
            }
        };
        // What runs after a failure was put right, or while its tests failed, is told with the failure.
        let runs = history.latest().is_some_and(|r| r.status == Status::Deployed && r.facts.is_some());
        let inventory = match verdict {
            Verdict::Failed(_) if runs => self.missed_inventory(&cx, &history).await,
            _ => None,
        };
        // Who is entered here is asked, when the process ends, to write down that it was interrupted.
        let is_busy = matches!(verdict, Verdict::Waiting { .. });
        if !is_busy && !history.latest().is_some_and(|r| r.status.is_pending()) {
            self.operator.parking.leave(&key, self.key);
        }
        Account { verdict, history: Some(history), inventory }
    }

    /// What there is of the release. A HelmRelease that has never begun a revision, of a release that nobody has a record
    /// of, is not asked about: whether there is one after all is looked at when the first revision is begun. Nobody is told
    /// of the records of other namespaces without being asked for, either.
    async fn observe(&self, client: &TenantClient, key: &ReleaseKey) -> Result<Observation, release::Error> {
        let uid = self.object.metadata.uid.as_ref();
        let is_new = self.last_status().is_none_or(|s| s.history.is_empty() && s.target.is_none())
            && self.held().is_none()
            && key.storage_namespace == self.key.namespace
            && !self.operator.remember(self.key, uid, |memory| memory.begun);
        let stored = self.operator.records.of(&key.storage_namespace, &key.name);
        if is_new && stored.as_ref().is_some_and(Stored::is_empty) {
            return Ok(Observation::default());
        }
        let remembered = self.operator.remember(self.key, uid, |memory| memory.history.take());
        if let (Some(history), Some(stored)) = (remembered, stored)
            && history.is_as_told(&stored.into())
        {
            return Ok(Observation { history });
        }
        release::observe(client, key).await
    }

    /// The inputs cannot be had now; what is pending goes on all the same, from its record.
    async fn without_inputs(
        &mut self,
        client: &TenantClient,
        key: &ReleaseKey,
        owner: &Owner,
        verdict: Verdict,
    ) -> Account {
        let stored = self.operator.records.of(&key.storage_namespace, &key.name);
        if stored.is_some_and(|stored| !stored.is_pending()) && !self.operator.parking.has(self.key) {
            return Account { verdict, history: None, inventory: None };
        }
        let mut history = match release::observe(client, key).await {
            Ok(observed) => observed.history,
            Err(_) => return Account { verdict, history: None, inventory: None },
        };
        let pending = history.latest().filter(|r| {
            r.status.is_pending() && r.facts.as_ref().is_some_and(|f| f.owner_name == owner.name)
        });
        let Some(number) = pending.map(|r| r.number) else {
            return Account { verdict, history: None, inventory: None };
        };
        self.learn_secrets(client).await;
        let policy = Policy::new(&self.object.spec, Action::Upgrade);
        let cx = self.release(client, key, &policy, owner);
        let verdict = self.resume(&cx, &mut history, number).await.unwrap_or_else(Verdict::Failed);
        Account { verdict, history: Some(history), inventory: None }
    }

    /// What is asked for: the inputs, or without them the content of the revision that the release is held at.
    fn desired(&self, history: &History, owner: &Owner, inputs: Option<&Inputs>) -> Desired {
        let desired = match (inputs, self.held()) {
            (Some(inputs), _) => {
                let spec =
                    pintle_helm::manifest::digest_object(&dereference::relevant_spec(&self.object.spec));
                Desired::forward(history, owner, &inputs.chart.digest, &inputs.values, &spec)
            }
            (None, to) => Desired::held(owner, to.unwrap_or_default()),
        };
        // The status may be behind its storage.
        let forced = self.force_at().is_some_and(|asked| !release::is_heeded(history, asked));
        let tests = &self.object.spec.test;
        let tests = tests.enable.then_some(release::Tests { ignore_failures: tests.ignore_failures });
        desired
            .forced(forced)
            .settled(self.is_settled())
            .asked_by(self.object.metadata.generation, self.object.annotation(RESET_AT))
            .tested(tests)
    }

    /// assess and decide, with what is known of the other HelmReleases.
    fn decide(&self, observed: &Observation, desired: &Desired) -> Decision {
        let mut state = release::assess(observed, desired);
        if let ReleaseState::Claimed { owner, .. } = &state
            && self.operator.is_gone(owner)
        {
            // A HelmRelease that was removed without its release (deletionPolicy Orphan) has no claim any more.
            state = release::assess(observed, &desired.clone().taking_over(true));
        }
        if matches!(state, ReleaseState::Unmanaged { .. })
            && let Some(rival) = self.rival()
        {
            state = ReleaseState::Claimed { owner: rival.to_string(), holder: "helm".to_owned() };
        }
        if let Some(rival) = self.rival_elsewhere() {
            state = ReleaseState::Claimed { owner: rival.to_string(), holder: "the operator".to_owned() };
        }
        release::decide(&state, desired, &Remedies::new(&self.object.spec), Timestamp::now())
    }

    /// Does what was decided.
    async fn carry_out(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
        inputs: Option<Inputs>,
        decision: Decision,
        action: Action,
    ) -> Result<Verdict, Failure> {
        let missing = || Failure::defect("new content was decided for a release that is held");
        // What an earlier process may have left of a failure.
        if let Some(failed) = history.latest().filter(|r| r.status == Status::Failed).map(|r| r.number) {
            release::clean_up(cx, history, failed).boxed().await?;
        }
        match decision {
            Decision::Nothing => self.rest(cx, history, desired).await,
            Decision::Install | Decision::Upgrade => {
                self.advance(cx, history, desired, inputs.ok_or_else(missing)?, action).await
            }
            Decision::Adopt { revision } => {
                let inputs = inputs.ok_or_else(missing)?;
                match self.adopt(cx, history, desired, &inputs, revision).await? {
                    Some(verdict) => Ok(verdict),
                    None => self.advance(cx, history, desired, inputs, action).await,
                }
            }
            Decision::Rollback { to } => self.roll_back(cx, history, desired, to, None).await,
            Decision::Remediate { revision, how } => {
                self.remediate(cx, history, desired, revision, how).await
            }
            Decision::Test { revision } => self.test(cx, history, revision).await,
            Decision::Resume { revision } => self.resume(cx, history, revision).await,
            Decision::Supersede { revision, reason, message } => {
                let error = release::Error::new(reason, Retry::Soon, message);
                release::give_up(cx, history, revision, &error).boxed().await?;
                self.event(reason == Reason::Superseded, reason, &error.message).await;
                Ok(Verdict::Again(Duration::ZERO))
            }
            Decision::Uninstall => {
                // One that was begun to put a failure right goes on as that.
                let remedy = history.latest().and_then(|r| r.facts.as_ref()?.remedy.clone());
                self.uninstall(cx.tenant, cx.key, remedy.as_ref()).await?;
                Ok(Verdict::Again(Duration::ZERO))
            }
            Decision::Stall { reason, message } => {
                self.finish(cx, history, desired).await?;
                Err(Failure::new(reason, Retry::OnChange, message))
            }
            Decision::Later { after, reason, message } => {
                self.finish(cx, history, desired).await?;
                Err(Failure::new(reason, Retry::Soon, message).again_after(after))
            }
        }
    }

    /// Ends what a process left that ended right after it had deployed a revision, when more than that revision decides
    /// about the release: it put a failure right, or its tests failed.
    async fn finish(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
    ) -> Result<(), Failure> {
        let facts = history.latest().filter(|r| r.status == Status::Deployed).and_then(|r| r.facts.as_ref());
        if desired.rollback_to.is_none() && facts.is_some_and(|facts| desired.owns(facts)) {
            release::tidy(cx, history, None).boxed().await?;
        }
        Ok(())
    }

    /// Nothing is to be done but what an earlier process may have left over.
    async fn rest(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
    ) -> Result<Verdict, Failure> {
        release::tidy(cx, history, desired.rollback_to).boxed().await?;
        let inventory = self.missed_inventory(cx, history).await;
        match self.untold(history) {
            Some((action, revision, summary)) => {
                let known = || self.last_status().map(|status| status.inventory);
                let inventory = inventory.or_else(known).unwrap_or_default();
                Ok(Verdict::Done { action, revision, summary, inventory })
            }
            None => Ok(Verdict::Settled { inventory }),
        }
    }

    /// The deployed revision, when the status does not know it: the process that made it ended before it could tell.
    fn untold(&self, history: &History) -> Option<(Action, u32, String)> {
        let deployed = history.deployed()?;
        let facts = deployed.facts.as_ref().filter(|facts| facts.owner_name == self.key.to_string())?;
        let told = self.last_status().and_then(|status| status.last_applied_revision);
        let is_told = told == Some(i64::from(deployed.number));
        (!is_told).then(|| (facts.action, deployed.number, facts.summary.clone()))
    }

    /// The inventory, when the status does not have that of the deployed revision: the process that deployed it ended
    /// before it could tell, or somebody else did.
    async fn missed_inventory(&self, cx: &Release<'_>, history: &History) -> Option<Vec<InventoryEntry>> {
        let deployed = history.deployed()?;
        let is_known = self.last_status().is_some_and(|status| {
            status.last_applied_revision == Some(i64::from(deployed.number)) && !status.inventory.is_empty()
        });
        if is_known {
            return None;
        }
        let number = deployed.number;
        history.complete(cx.tenant, cx.key, &[number]).boxed().await.ok()?;
        // What cannot be read any more, such as a kind that is gone, must not keep a release from being ready.
        release::recorded_inventory(cx, deployed).boxed().await.ok()
    }

    pub(super) fn owner(&self) -> Owner {
        Owner {
            uid: self.object.metadata.uid.clone().unwrap_or_default(),
            name: self.key.to_string(),
            holder: self.operator.settings.identity.clone(),
        }
    }

    /// What all steps of an action share.
    pub(super) fn release<'r>(
        &'r self,
        tenant: &'r TenantClient,
        key: &'r ReleaseKey,
        policy: &'r Policy,
        owner: &'r Owner,
    ) -> Release<'r> {
        let Operator { discovery, hooks, objects, records, settings, .. } = self.operator;
        let stored = records.of(&key.storage_namespace, &key.name);
        let may_have_parts = stored.is_none_or(|stored| stored.has_parts());
        let (field_manager, redactions) = (&settings.field_manager, &self.redactions);
        Release {
            tenant,
            discovery,
            key,
            policy,
            owner,
            health: &self.health,
            hooks,
            field_manager,
            may_have_parts,
            is_forced: self.force_at().is_some(),
            objects,
            redactions,
        }
    }

    fn is_settled(&self) -> bool {
        verdict::is_settled(self.last_status().as_ref(), self.object.metadata.generation)
    }

    /// The revision that `rollbackTo` names.
    fn held(&self) -> Option<u32> {
        self.object.spec.rollback_to.and_then(|to| u32::try_from(to).ok())
    }

    /// The value of the annotation that asks for a new revision, until the status says that it was heeded.
    fn force_at(&self) -> Option<&str> {
        let handled = self.last_status().and_then(|s| s.last_handled_force_at);
        self.object.annotation(FORCE_AT).filter(|asked| handled.as_deref() != Some(*asked))
    }
}

//! plan → begin → execute → conclude: the way of one revision.

use std::collections::BTreeSet;
use std::time::Duration;

use futures::FutureExt;
use pintle_helm::manifest::digest_object;
use serde_json::json;
use tracing::info;

use super::{Inputs, Work, is_ready};
use crate::api::{APPROVE, Approval, Reason, ValuesKind, condition};
use crate::cluster::{Kind, ObjectRef, Retry};
use crate::controller::dependencies;
use crate::controller::store::Key;
use crate::controller::verdict::{Failure, Verdict};
use crate::controller::watches;
use crate::release::{
    self, Action, Desired, Draft, History, Outcome, Plan, Policy, Release, ReleaseKey, Remedy, Revision,
    Standing,
};
use crate::telemetry::failpoint::Failpoint;

/// A pending revision that met a fault of the moment is resumed after this.
const RESUME_PAUSE: Duration = Duration::from_secs(2);
/// The watch on records has so long to tell of a first revision; then the records are listed.
const TOLD_WITHIN: Duration = Duration::from_secs(1);
/// Fields of other managers that an event names.
const TAKEOVERS: usize = 5;

impl Work<'_> {
    /// coalesce → render → plan → preflight → begin → execute: a new revision with new content.
    pub(super) async fn advance(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
        inputs: Inputs,
        action: Action,
    ) -> Result<Verdict, Failure> {
        self.check_dependencies()?;
        let values = json!({"values": self.object.spec.values, "valuesFrom": inputs.sources});
        let (coalesced, manifest) = self.render(cx, history, history.next_number(), inputs, action).await?;
        let secrets = self.object.spec.values_from.iter().any(|r| r.kind == ValuesKind::Secret);
        let draft = Draft::forward(
            history,
            cx.key,
            cx.owner,
            action,
            &coalesced.chart,
            coalesced.config,
            &manifest,
            desired,
        )?;
        let draft = draft
            .with_secret_values(secrets)
            .of_values(digest_object(&values))
            .of_attempt(desired.attempt(history, false));
        let mut plan = release::prepare(cx, history, draft.number(), action, &manifest).boxed().await?;
        release::preflight(cx, &mut plan).boxed().await?;
        match self.approve(history, self.planned(cx, history, draft, &plan)) {
            Ok(draft) => self.begin(cx, history, draft, &plan).await,
            Err(awaiting) => Ok(awaiting),
        }
    }

    /// A new revision with the content of revision `to`: because the spec says so, or to put a failure right.
    pub(super) async fn roll_back(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
        to: u32,
        remedy: Option<Remedy>,
    ) -> Result<Verdict, Failure> {
        history.complete(cx.tenant, cx.key, &[to]).boxed().await?;
        let attempt = desired.attempt(history, remedy.is_some());
        // That a failure is put right by itself was said with the plan that failed.
        let is_approved = remedy.is_some();
        let draft = Draft::rollback(history, cx.key, cx.owner, to)?.of_attempt(attempt).to_remedy(remedy);
        let manifest = draft.manifest()?;
        let number = draft.number();
        let mut plan = release::prepare(cx, history, number, Action::Rollback, &manifest).boxed().await?;
        release::preflight(cx, &mut plan).boxed().await?;
        let draft = self.planned(cx, history, draft, &plan);
        if is_approved {
            return self.begin(cx, history, draft, &plan).await;
        }
        match self.approve(history, draft) {
            Ok(draft) => self.begin(cx, history, draft, &plan).await,
            Err(awaiting) => Ok(awaiting),
        }
    }

    /// A draft with what its plan says, as it may be shown.
    pub(super) fn planned(&self, cx: &Release<'_>, history: &History, draft: Draft, plan: &Plan) -> Draft {
        draft.with_plan(history, plan, cx.policy).redacted(&|text| self.redactions.apply(text))
    }

    /// The draft, when its plan may be carried out; else what its approval waits for.
    fn approve(&self, history: &History, draft: Draft) -> Result<Draft, Verdict> {
        let facts = draft.facts();
        let Some(plan) = facts.plan.as_ref().filter(|_| self.object.spec.approval == Approval::Manual) else {
            return Ok(draft);
        };
        let approved = self.object.annotation(APPROVE);
        let standing = release::standing(history, &plan.digest, approved);
        if standing == Standing::Approved {
            return Ok(draft);
        }
        let mut message = match standing {
            Standing::Outdated => {
                let approved = approved.unwrap_or_default();
                format!(
                    "the approved plan {} is void, because the inputs, the manifest or the deployed revision changed; ",
                    condition::truncate(approved, 80)
                )
            }
            _ => String::new(),
        };
        message.push_str(&format!(
            "the {} to revision {} waits for approval: {}; to approve it, annotate the HelmRelease with {APPROVE}={}",
            plan.action, plan.revision, facts.summary, plan.digest
        ));
        let reason = match standing {
            Standing::Outdated => Reason::PlanOutdated,
            _ => Reason::AwaitingApproval,
        };
        Err(Verdict::Awaiting { reason, message, plan: Box::new(plan.clone()) })
    }

    /// Writes the intent and carries the plan out. The draft has its [`planned`](Self::planned) facts.
    pub(super) async fn begin(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        draft: Draft,
        plan: &Plan,
    ) -> Result<Verdict, Failure> {
        self.wait_for(cx.key, draft.number(), plan);
        let action = plan.action;
        let draft = draft.forced_at(self.force_at());
        let summary = draft.facts().summary.clone();
        info!(release = %self.key, revision = draft.number(), action = action.as_str(), plan = %summary, "begins");
        Failpoint::Planned.reach();
        let uid = self.object.metadata.uid.as_ref();
        self.operator.remember(self.key, uid, |memory| memory.begun = true);
        let is_first = history.latest().is_none();
        release::end_tests(cx, history).boxed().await;
        let number = history.begin(cx, draft).await?;
        Failpoint::Begun.reach();
        if is_first && self.meets_others(cx, history, number).await? {
            return Ok(Verdict::Again(Duration::ZERO));
        }
        self.tell_of_takeovers(number, plan).await;
        let outcome = release::execute(cx, history, number, plan).boxed().await;
        self.conclude(cx, history, number, outcome, plan).await
    }

    /// Whether the first revision has others beside it: the watch that told of none was behind, and the number was free,
    /// because its revision was pruned. It is given up then, before anything is applied.
    async fn meets_others(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        number: u32,
    ) -> Result<bool, Failure> {
        if let Some(revision) = history.find(number) {
            let (namespace, name) = (&cx.key.storage_namespace, &cx.key.name);
            let written = (number, revision.version());
            if self.operator.records.is_only(namespace, name, written, TOLD_WITHIN).await {
                return Ok(false);
            }
        }
        let there = release::observe(cx.tenant, cx.key).await?.history;
        let Some(other) = there.revisions().iter().map(|r| r.number).find(|other| *other != number) else {
            return Ok(false);
        };
        let message = format!("revision {number} was given up, because there is revision {other}");
        let error = release::Error::new(Reason::Superseded, Retry::Soon, message);
        *history = there;
        release::give_up(cx, history, number, &error).boxed().await?;
        Ok(true)
    }

    /// Goes on with a revision from its record: after a wait, or after another process ended in the middle.
    pub(super) async fn resume(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        number: u32,
    ) -> Result<Verdict, Failure> {
        history.complete(cx.tenant, cx.key, &[number]).boxed().await?;
        let revision = history.find(number).ok_or_else(|| Failure::defect("the pending revision is gone"))?;
        let facts = revision.facts.clone().unwrap_or_default();
        let manifest = revision.manifest()?;
        let action = facts.action;
        let policy = Policy::new(&self.object.spec, action);
        let cx = &Release { policy: &policy, ..*cx };
        let ready = self.operator.parking.enter(cx.key, self.key, number, &self.health);
        match release::resume_hooks(cx, history, number, &manifest).boxed().await {
            Some(Outcome::Parked { waiting, deadline, .. }) => {
                self.park(cx.key, ready, &waiting);
                return Ok(Verdict::Waiting { waiting, deadline, begun: facts.started_at, inventory: None });
            }
            Some(ended) => return self.conclude(cx, history, number, ended, &Plan::default()).await,
            None => {}
        }
        let plan = match release::prepare(cx, history, number, action, &manifest).boxed().await {
            Ok(plan) => plan,
            Err(error) if error.transient => return Err(error.into()),
            // What cannot be planned will never be carried out: the revision must not stay pending.
            Err(error) => {
                let outcome = Outcome::Failed { error: error.clone() };
                release::conclude(cx, history, number, &outcome).boxed().await?;
                return Err(error.into());
            }
        };
        self.watch(&plan);
        let outcome = if facts.applied {
            release::resume_wait(cx, history, number, &plan, ready).boxed().await
        } else {
            release::execute(cx, history, number, &plan).boxed().await
        };
        self.conclude(cx, history, number, outcome, &plan).await
    }

    pub(super) async fn conclude(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        number: u32,
        outcome: Outcome,
        plan: &Plan,
    ) -> Result<Verdict, Failure> {
        let outcome = match outcome {
            // Before it is stored: the status shows the record's message as it is.
            Outcome::Failed { mut error } => {
                error.message = self.redactions.apply(&error.message);
                Outcome::Failed { error }
            }
            other => other,
        };
        release::conclude(cx, history, number, &outcome).boxed().await?;
        let inventory = release::inventory(plan);
        match outcome {
            Outcome::Parked { waiting, deadline, ready, warnings } => {
                self.park(cx.key, ready, &waiting);
                self.warn_of(&warnings).await;
                let begun = history.find(number).and_then(|r| r.facts.as_ref()?.started_at);
                Ok(Verdict::Waiting { waiting, deadline, begun, inventory: Some(inventory) })
            }
            // The revision stays pending, and turns into a failed one by itself when its deadline is over.
            Outcome::Retry { error } => {
                let pause = error.retry_after.unwrap_or_default().max(RESUME_PAUSE);
                Err(Failure::from(error).again_after(pause))
            }
            Outcome::Failed { error } => Err(error.into()),
            Outcome::Done { warnings, .. } => {
                self.warn_of(&warnings).await;
                release::tidy(cx, history, self.held()).boxed().await?;
                // Neither is the end of it: a failure was put right, or the tests come next.
                let is_remedy = history.find(number).is_some_and(Revision::is_remedy);
                if is_remedy || self.object.spec.test.enable {
                    return Ok(Verdict::Again(Duration::ZERO));
                }
                let recorded = history.find(number).and_then(|r| Some(r.facts.as_ref()?.summary.clone()));
                let summary = recorded.filter(|s| !s.is_empty()).unwrap_or_else(|| plan.outline());
                Ok(Verdict::Done { action: plan.action, revision: number, summary, inventory })
            }
        }
    }

    /// What is taken over from other managers, who may have meant it.
    async fn tell_of_takeovers(&self, number: u32, plan: &Plan) {
        let taken = plan.takeovers();
        if taken.is_empty() {
            return;
        }
        let mut note = format!("revision {number} takes over ");
        note.push_str(&taken.iter().take(TAKEOVERS).cloned().collect::<Vec<_>>().join(", "));
        if taken.len() > TAKEOVERS {
            note.push_str(&format!(" and {} fields more", taken.len() - TAKEOVERS));
        }
        note.push_str("; set spec.conflicts: Fail to leave such fields to their managers");
        self.event(false, Reason::ApplyConflict, &note).await;
    }

    /// The server's warnings, such as those of Pod Security, become an event.
    pub(super) async fn warn_of(&self, warnings: &[String]) {
        if !warnings.is_empty() {
            self.event(false, Reason::AdmissionWarning, &warnings.join("; ")).await;
        }
    }

    /// Changes of the release's objects wake it from here on.
    pub(super) fn wait_for(&self, key: &ReleaseKey, revision: u32, plan: &Plan) {
        self.operator.parking.enter(key, self.key, revision, &self.health);
        self.watch(plan);
    }

    /// Changes of these objects are looked at from here on, and those that came during the look that found them as they are.
    pub(super) fn park(&self, key: &ReleaseKey, ready: BTreeSet<ObjectRef>, waiting: &[(ObjectRef, String)]) {
        let waits_for: BTreeSet<ObjectRef> = waiting.iter().map(|(object, _)| object.clone()).collect();
        // A definition that a hook makes is no object of the plan. The first list of its kind wakes who waits for one.
        let waits_for_definition = waits_for.iter().any(|o| watches::is_definition(&o.group, &o.kind));
        if self.operator.parking.found(key, ready, waits_for) {
            self.operator.release_queue.add(self.key.clone());
        }
        if waits_for_definition {
            self.operator.kinds.ensure(&Kind::definition());
        }
    }

    /// The kinds of the plan's objects are watched from here on.
    fn watch(&self, plan: &Plan) {
        for kind in plan.kinds() {
            self.operator.kinds.ensure(kind);
        }
    }

    /// The releases of `dependsOn` are ready, and do not wait for this one in turn.
    pub(super) fn check_dependencies(&self) -> Result<(), Failure> {
        let releases = &self.operator.helm_releases;
        if let Some(cycle) = dependencies::cycle(self.key, |key| releases.get(key)) {
            let path: Vec<&str> = cycle.iter().map(|key| key.name.as_str()).collect();
            let message = format!(
                "spec.dependsOn leads in a circle: {}; remove one of these references",
                path.join(" → ")
            );
            return Err(Failure::new(Reason::DependencyCycle, Retry::OnChange, message));
        }
        for dependency in &self.object.spec.depends_on {
            let key = Key::new(&self.key.namespace, &dependency.name);
            let problem = match releases.get(&key) {
                None => "does not exist; create it, or take it out of spec.dependsOn",
                Some(release) if !is_ready(&release) => "is not ready; this one goes on when it is",
                Some(_) => continue,
            };
            let message = format!("HelmRelease {key}, on which this one depends, {problem}");
            return Err(Failure::new(Reason::DependencyNotReady, Retry::Later, message));
        }
        Ok(())
    }
}

//! plan → begin → execute → conclude: the way of one revision.

use std::time::Duration;

use futures::FutureExt;
use tracing::info;

use super::{Inputs, Work, is_ready};
use crate::api::{Reason, ValuesKind};
use crate::cluster::Retry;
use crate::controller::dependencies;
use crate::controller::store::Key;
use crate::controller::verdict::{Failure, Verdict};
use crate::release::{
    self, Action, Desired, Draft, History, Outcome, Plan, Policy, Release, ReleaseKey, Remedy, Revision,
};
use crate::telemetry::failpoint::Failpoint;

/// A pending revision that met a fault of the moment is resumed after this.
const RESUME_PAUSE: Duration = Duration::from_secs(2);

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
        let (coalesced, manifest) = self.render(cx, history, history.next_number(), inputs, action).await?;
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
        let plan = release::prepare(cx, history, draft.number(), action, &manifest).boxed().await?;
        if action == Action::Upgrade {
            release::preflight(cx, &plan).boxed().await?;
        }
        self.begin(cx, history, draft.of_attempt(desired.attempt(history, false)), &plan).await
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
        let draft = Draft::rollback(history, cx.key, cx.owner, to)?.of_attempt(attempt).to_remedy(remedy);
        let manifest = draft.manifest()?;
        let plan = release::prepare(cx, history, draft.number(), Action::Rollback, &manifest).boxed().await?;
        release::preflight(cx, &plan).boxed().await?;
        self.begin(cx, history, draft, &plan).await
    }

    pub(super) async fn begin(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        draft: Draft,
        plan: &Plan,
    ) -> Result<Verdict, Failure> {
        self.wait_for(cx.key, draft.number(), plan);
        let action = plan.action;
        let summary = self.summary(plan);
        let draft = draft.with_plan(plan, summary.clone(), cx.policy).forced_at(self.force_at());
        info!(release = %self.key, revision = draft.number(), action = action.as_str(), plan = %summary, "begins");
        Failpoint::Planned.reach();
        release::end_tests(cx, history).boxed().await;
        let number = history.begin(cx, draft).await?;
        Failpoint::Begun.reach();
        let outcome = release::execute(cx, history, number, plan).boxed().await;
        self.conclude(cx, history, number, outcome, plan).await
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
        let ready = self.operator.parking.enter(cx.key, self.key, number);
        match release::resume_hooks(cx, history, number, &manifest).boxed().await {
            Some(Outcome::Parked { waiting, deadline, .. }) => {
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
                self.operator.parking.found_ready(cx.key, ready);
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
                let summary = recorded.filter(|s| !s.is_empty()).unwrap_or_else(|| self.summary(plan));
                Ok(Verdict::Done { action: plan.action, revision: number, summary, inventory })
            }
        }
    }

    /// What a plan changes. With Secrets among its values no value is shown: a chart may copy them anywhere, and the
    /// old ones are known to nobody here.
    pub(super) fn summary(&self, plan: &Plan) -> String {
        let secret = self.object.spec.values_from.iter().any(|r| r.kind == ValuesKind::Secret);
        if secret { plan.outline() } else { plan.summary() }
    }

    /// The server's warnings, such as those of Pod Security, become an event.
    pub(super) async fn warn_of(&self, warnings: &[String]) {
        if !warnings.is_empty() {
            self.event(false, Reason::AdmissionWarning, &warnings.join("; ")).await;
        }
    }

    /// Changes of the release's objects wake it from here on.
    pub(super) fn wait_for(&self, key: &ReleaseKey, revision: u32, plan: &Plan) {
        self.operator.parking.enter(key, self.key, revision);
        self.watch(plan);
    }

    /// The kinds of the plan's objects are watched from here on.
    fn watch(&self, plan: &Plan) {
        for (kind, _) in plan.inventory() {
            self.operator.kinds.ensure(&kind);
        }
    }

    /// The releases of `dependsOn` are ready, and do not wait for this one in turn.
    pub(super) fn check_dependencies(&self) -> Result<(), Failure> {
        let releases = &self.operator.helm_releases;
        if let Some(cycle) = dependencies::cycle(self.key, |key| releases.get(key)) {
            let path: Vec<&str> = cycle.iter().map(|key| key.name.as_str()).collect();
            let message =
                format!("dependsOn leads in a circle: {}; remove one of these references", path.join(" → "));
            return Err(Failure::new(Reason::DependencyCycle, Retry::OnChange, message));
        }
        for dependency in &self.object.spec.depends_on {
            let key = Key::new(&self.key.namespace, &dependency.name);
            let problem = match releases.get(&key) {
                None => "does not exist",
                Some(release) if !is_ready(&release) => "is not ready",
                Some(_) => continue,
            };
            let message = format!("HelmRelease {key}, on which this one depends, {problem}");
            return Err(Failure::new(Reason::DependencyNotReady, Retry::Later, message));
        }
        Ok(())
    }
}

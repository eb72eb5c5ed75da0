//! What follows a failure, and the tests by which one may be found.

use std::time::Duration;

use futures::FutureExt;
use k8s_openapi::jiff::Timestamp;
use pintle_helm::record::Status;
use tracing::info;

use super::Work;
use crate::api::Reason;
use crate::controller::verdict::{Failure, Verdict};
use crate::release::{
    self, Decision, Desired, History, Observation, Outcome, Policy, Release, ReleaseState, Remedial,
    Remedies, Remedy,
};

/// Tests that met a fault of the moment are gone on with after this.
const RESUME_PAUSE: Duration = Duration::from_secs(2);

/// The failure that is to be put right.
pub(super) fn asked_for(history: &History, decision: &Decision) -> Option<Remedy> {
    let Decision::Remediate { revision, .. } = decision else { return None };
    Some(history.find(*revision)?.facts.as_ref()?.to_remedy(*revision))
}

impl Work<'_> {
    /// Puts a failure right.
    pub(super) async fn remediate(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        desired: &Desired,
        revision: u32,
        how: Remedial,
    ) -> Result<Verdict, Failure> {
        let facts = history.find(revision).and_then(|r| r.facts.as_ref());
        let remedy = facts.map(|facts| facts.to_remedy(revision));
        let remedy = remedy.ok_or_else(|| Failure::defect("the revision that failed is gone"))?;
        info!(release = %self.key, revision, ?how, failures = remedy.failures, "a failure is put right");
        match how {
            Remedial::Rollback { to } => self.roll_back(cx, history, desired, to, Some(remedy)).await,
            Remedial::Uninstall => {
                self.uninstall(cx.tenant, cx.key, Some(&remedy)).await?;
                Ok(Verdict::Again(Duration::ZERO))
            }
        }
    }

    /// Runs the tests of the deployed revision `number`, or goes on with them.
    pub(super) async fn test(
        &self,
        cx: &Release<'_>,
        history: &mut History,
        number: u32,
    ) -> Result<Verdict, Failure> {
        let policy = Policy::of_tests(&self.object.spec);
        let cx = &Release { policy: &policy, ..*cx };
        self.operator.parking.enter(cx.key, self.key, number, &self.health);
        let outcome = match release::test(cx, history, number, &self.object.spec.test).boxed().await {
            // Before it is stored: the status shows the record's message as it is.
            Outcome::Failed { mut error } => {
                error.message = self.redactions.apply(&error.message);
                Outcome::Failed { error }
            }
            other => other,
        };
        release::conclude_tests(cx, history, number, &outcome).boxed().await?;
        match outcome {
            Outcome::Parked { waiting, deadline, ready, .. } => {
                self.park(cx.key, ready, &waiting);
                let facts = history.find(number).and_then(|r| r.facts.as_ref());
                let begun = facts.and_then(|f| Some(f.running.as_ref()?.started_at));
                let inventory = self.missed_inventory(cx, history).await;
                Ok(Verdict::Waiting { waiting, deadline, begun, inventory })
            }
            Outcome::Retry { error } => {
                let pause = error.retry_after.unwrap_or_default().max(RESUME_PAUSE);
                Err(Failure::from(error).again_after(pause))
            }
            Outcome::Failed { error } if self.object.spec.test.ignore_failures => {
                self.event(false, Reason::TestFailed, &format!("{}; it is ignored", error.message)).await;
                Ok(Verdict::Again(Duration::ZERO))
            }
            Outcome::Failed { error } => Err(error.into()),
            Outcome::Done { .. } => {
                let note = format!("the tests of revision {number} succeeded");
                info!(release = %self.key, revision = number, "tested");
                self.event(true, Reason::TestSucceeded, &note).await;
                Ok(Verdict::Again(Duration::ZERO))
            }
        }
    }

    /// Says with a failure what it was about, and makes sure that what follows from it follows at once. `before` is
    /// the mark of the history before it was worked on.
    pub(super) fn after_failure(
        &self,
        failure: Failure,
        history: &History,
        desired: &Desired,
        asked_for: Option<Remedy>,
        before: Option<Mark>,
    ) -> Failure {
        let latest = history.latest();
        let is_done = latest.is_some_and(|r| matches!(r.status, Status::Deployed | Status::Uninstalled));
        let recorded = latest.filter(|_| !is_done).and_then(|r| r.facts.as_ref()?.remedy.clone());
        let failure = match recorded.or(asked_for) {
            Some(remedy) => failure.of_remedy(&remedy),
            None => failure,
        };
        let is_new = mark(history) != before;
        if is_new && self.is_more_due(history, desired) {
            failure.again_after(Duration::ZERO)
        } else {
            failure
        }
    }

    /// Whether the failure that was just recorded is followed by something else than a pause.
    fn is_more_due(&self, history: &History, desired: &Desired) -> bool {
        let observed = Observation { history: history.clone() };
        let state = release::assess(&observed, desired);
        if !matches!(state, ReleaseState::Failed { .. }) {
            return false;
        }
        let remedies = Remedies::new(&self.object.spec);
        match release::decide(&state, desired, &remedies, Timestamp::now()) {
            Decision::Remediate { .. } => true,
            Decision::Stall { reason, .. } => {
                matches!(reason, Reason::RetriesExceeded | Reason::MissingRollbackTarget)
            }
            _ => false,
        }
    }
}

/// What tells whether a failure was recorded: number and status of the newest revision, and whether it was tested.
pub(super) type Mark = (u32, Status, bool);

pub(super) fn mark(history: &History) -> Option<Mark> {
    let latest = history.latest()?;
    let tested = latest.facts.as_ref().is_some_and(|facts| facts.tested.is_some());
    Some((latest.number, latest.status, tested))
}

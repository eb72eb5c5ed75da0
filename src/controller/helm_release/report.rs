//! publish: what became of a release, as status and events, and when to look again.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tracing::{info, warn};

use super::{Account, Work};
use crate::api::condition::{self, READY};
use crate::api::{HelmReleaseStatus, Reason};
use crate::cluster::chain;
use crate::controller::publish::{HELM_RELEASE, reference};
use crate::controller::verdict::{Verdict, View, status};
use crate::controller::{Requeue, jitter};
use crate::release::{Action, History, Revision};
use crate::telemetry::failpoint::Failpoint;

/// An action that takes longer than this is told of before it ends.
const PROGRESS_AFTER: Duration = Duration::from_secs(2);
/// What is waited for is looked at so often while no watch tells of it, because the operator may not have one.
const BLIND_PAUSE: Duration = Duration::from_secs(10);

impl Work<'_> {
    pub(super) async fn event(&self, good: bool, reason: Reason, note: &str) {
        let regarding = reference(HELM_RELEASE, self.object);
        let note = self.redactions.apply(note);
        self.operator.publisher.event(&regarding, good, reason, "Reconcile", &note).await;
    }

    pub(super) fn last_status(&self) -> Option<HelmReleaseStatus> {
        let uid = self.object.metadata.uid.as_ref();
        let written = self.operator.remember(self.key, uid, |memory| Some(memory.status.as_ref()?.0.clone()));
        // The watch may have brought back what was written since this look began, and newer than the look's own object.
        let present = || self.operator.helm_releases.get(self.key).filter(|o| o.metadata.uid.as_ref() == uid);
        written.or_else(|| match present() {
            Some(object) => object.status.clone(),
            None => self.object.status.clone(),
        })
    }

    /// publish: status, events, and when to look again.
    pub(in crate::controller) async fn publish(self, account: Account) -> Requeue {
        let Account { verdict, history, inventory } = account;
        let verdict = match verdict {
            Verdict::Failed(failure) => Verdict::Failed(failure.redacted(&self.redactions)),
            other => other,
        };
        let old = self.last_status();
        let now = Timestamp::now();
        let failures = self.operator.count_failure(self.key, self.object, &verdict);
        let requeue = self.requeue(&verdict, failures);
        if let Verdict::Again(after) = verdict {
            return Requeue::After(after);
        }
        self.operator.first_look.seen(self.key);
        if let Verdict::Waiting { begun, .. } = &verdict {
            let remembered = history.as_ref().and_then(History::to_remember);
            self.operator.remember(self.key, self.object.metadata.uid.as_ref(), |m| m.history = remembered);
            let elapsed = begun.map_or(Duration::ZERO, |b| {
                Duration::try_from(now.duration_since(b)).unwrap_or(Duration::ZERO)
            });
            if elapsed < PROGRESS_AFTER {
                return Requeue::After((PROGRESS_AFTER - elapsed).min(Duration::from_secs(2)));
            }
        }
        let view = View {
            target: &self.target,
            old: old.as_ref(),
            history: history.as_ref(),
            verdict: &verdict,
            inventory: inventory.as_ref(),
            failures,
            verified: self.verified.as_deref(),
            notice: self.notice.as_ref(),
            now,
        };
        let new = status(self.object, &view);
        self.tell(&verdict, history.as_ref(), old.as_ref()).await;
        Failpoint::Publishing.reach();
        let is_written = self.write_status(old.as_ref(), new).await;
        if is_written { requeue } else { Requeue::After(Duration::from_secs(5)) }
    }

    /// Writes the status, when it differs, and remembers it. False when it could not be written.
    pub(super) async fn write_status(&self, old: Option<&HelmReleaseStatus>, new: HelmReleaseStatus) -> bool {
        match self.operator.publisher.status(HELM_RELEASE, self.key, old, &new).await {
            Ok(Some(version)) => {
                self.operator.remember_status(self.key, self.object.metadata.uid.as_ref(), new, version);
                true
            }
            Ok(None) => true,
            Err(error) => {
                warn!(release = %self.key, error = chain(&error), "the status could not be written");
                false
            }
        }
    }

    pub(super) fn requeue(&self, verdict: &Verdict, failures: u32) -> Requeue {
        let interval = self.object.spec.interval.0;
        match verdict {
            Verdict::Settled { .. } | Verdict::Done { .. } => Requeue::After(jitter(interval)),
            Verdict::Again(after) => Requeue::After(*after),
            Verdict::Waiting { waiting, deadline, .. } => {
                let is_blind = waiting.iter().any(|(object, _)| self.operator.objects.is_blind_to(object));
                Requeue::After(if is_blind { until(*deadline).min(BLIND_PAUSE) } else { until(*deadline) })
            }
            Verdict::Awaiting { .. } => Requeue::After(jitter(interval)),
            Verdict::Failed(failure) => failure.requeue(failures, interval),
        }
    }

    /// Events: one for each end of an action, one for each new failure.
    pub(super) async fn tell(
        &self,
        verdict: &Verdict,
        history: Option<&History>,
        old: Option<&HelmReleaseStatus>,
    ) {
        let untold = || history.and_then(|history| self.untold(history));
        match verdict {
            Verdict::Done { action, revision, summary, .. } => {
                self.tell_success(history, *action, *revision, summary).await;
            }
            // A rollback that put a failure right, or an action whose tests go on or failed.
            Verdict::Failed(_) | Verdict::Waiting { .. } => {
                if let Some((action, revision, summary)) = untold() {
                    self.tell_success(history, action, revision, &summary).await;
                }
            }
            Verdict::Awaiting { reason, message, plan } => {
                let known = old.and_then(|status| status.plan.as_ref());
                let ready = old.and_then(|status| condition::find(&status.conditions, READY));
                let is_told = known.is_some_and(|known| known.digest == plan.digest)
                    && ready.is_some_and(|ready| ready.reason == reason.as_str());
                if !is_told {
                    info!(release = %self.key, digest = plan.digest, "a plan waits for its approval");
                    self.event(*reason == Reason::AwaitingApproval, *reason, message).await;
                }
            }
            Verdict::Settled { .. } | Verdict::Again(_) => {}
        }
        if let Verdict::Failed(failure) = verdict
            && failure.is_news(old)
        {
            self.tell_of_hooks(history.and_then(History::latest)).await;
            warn!(release = %self.key, reason = %failure.reason, error = failure.message, "failed");
            self.event(false, failure.reason, &failure.message).await;
        }
    }

    async fn tell_success(&self, history: Option<&History>, action: Action, revision: u32, summary: &str) {
        self.tell_of_hooks(history.and_then(|h| h.find(revision))).await;
        let note = format!("{} of revision {revision} succeeded: {summary}", action.as_str());
        info!(release = %self.key, revision, action = action.as_str(), "succeeded");
        let begun = history.and_then(|h| h.find(revision)?.facts.as_ref()?.started_at).unwrap_or_default();
        let name = event_name(&self.key.name, revision, action, begun);
        let regarding = reference(HELM_RELEASE, self.object);
        let note = self.redactions.apply(&note);
        let publisher = &self.operator.publisher;
        publisher.event_once(&name, &regarding, action.succeeded(), "Reconcile", &note).await;
    }
}

impl Work<'_> {
    /// What the hooks of a revision printed, those that ask for it, once each.
    async fn tell_of_hooks(&self, revision: Option<&Revision>) {
        let Some((revision, facts)) = revision.and_then(|r| Some((r, r.facts.as_ref()?))) else { return };
        let regarding = reference(HELM_RELEASE, self.object);
        for hook in facts.hooks.iter().filter(|hook| !hook.output.is_empty()) {
            let ended = hook.completed_at.as_microsecond();
            let release = self.key.name.get(..180).unwrap_or(&self.key.name);
            let name = format!("{release}.v{}-{}-{ended:x}", revision.number, hook.event);
            let note = format!("{} hook {} {} printed:\n{}", hook.event, hook.kind, hook.name, hook.output);
            let note = self.redactions.apply(&note);
            let publisher = &self.operator.publisher;
            publisher.event_once(&name, &regarding, Reason::HookSucceeded, "Reconcile", &note).await;
        }
    }
}

/// The name of the event that a revision was made: always the same for the same revision.
fn event_name(release: &str, revision: u32, action: Action, begun: Timestamp) -> String {
    // Numbers begin again with a new release of the name. Names of objects are ASCII.
    let release = release.get(..180).unwrap_or(release);
    format!("{release}.v{revision}-{}-{:x}", action.as_str(), begun.as_microsecond())
}

/// How long until `moment`; a short while when it has passed.
fn until(moment: Timestamp) -> Duration {
    let left = moment.duration_since(Timestamp::now());
    Duration::try_from(left).unwrap_or(Duration::ZERO).max(Duration::from_millis(100))
}

//! What a reconcile came to, and how the status says it. Pure.

use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use kube::ResourceExt;
use pintle_helm::record;
use pintle_helm::render::RenderError;

use super::helm_release::Notice;
use super::{Requeue, jitter};
use crate::api::condition::{
    self, HELD, READY, RECONCILING, RELEASED, REMEDIATED, SOURCE_VERIFIED, STALLED, Status, TEST_SUCCESS,
};
use crate::api::{
    FORCE_AT, HelmRelease, HelmReleaseStatus, InventoryEntry, PlanStatus, REQUESTED_AT, RESET_AT, Reason,
    Target,
};
use crate::cluster::masking::Redactions;
use crate::cluster::{ObjectRef, Retry, chain};
use crate::release::{self, Action, History, Remedy, Revision, backoff};
use crate::repository::Verified;

/// The pause before a retry that waits for somebody to do something in the cluster.
const SLOW: Duration = Duration::from_secs(60);
/// Unready objects that a message names.
const NAMED: usize = 5;

/// How a condition says that an older revision is there all the same.
const STILL_RUNS: &str = " still runs";

/// What a reconcile came to.
#[derive(Debug)]
pub enum Verdict {
    /// The release is as its spec asks, and was before.
    Settled {
        /// The objects of the release, when the status does not know them.
        inventory: Option<Vec<InventoryEntry>>,
    },
    /// An action has ended well.
    Done {
        /// The action.
        action: Action,
        /// The revision that it made.
        revision: u32,
        /// What it changed.
        summary: String,
        /// What the release owns now.
        inventory: Vec<InventoryEntry>,
    },
    /// Objects are on their way.
    Waiting {
        /// Which, and what is missing.
        waiting: Vec<(ObjectRef, String)>,
        /// When the wait is over.
        deadline: Timestamp,
        /// When the action was begun.
        begun: Option<Timestamp>,
        /// What the release owns now, when that was looked at.
        inventory: Option<Vec<InventoryEntry>>,
    },
    /// A plan is made, and waits for its approval.
    Awaiting {
        /// Whether none is approved, or another one.
        reason: Reason,
        /// What the plan does, and how it is approved.
        message: String,
        /// The plan.
        plan: Box<PlanStatus>,
    },
    /// There is more to do right away, or soon; nothing to tell.
    Again(Duration),
    /// Something failed, or cannot go on.
    Failed(Failure),
}

/// Why a release is not as its spec asks.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The condition's reason.
    pub reason: Reason,
    /// When trying again can help.
    pub retry: Retry,
    /// What failed, on which object, in whose words, and what to do.
    pub message: String,
    /// When to look again, if that is known.
    after: Option<Duration>,
    /// How long whoever refused asked to be left alone.
    pause: Duration,
}

impl Failure {
    /// A failure.
    pub fn new(reason: Reason, retry: Retry, message: impl Into<String>) -> Self {
        Self { reason, retry, message: message.into(), after: None, pause: Duration::ZERO }
    }

    /// Something that cannot happen did.
    pub fn defect(message: &str) -> Self {
        Self::new(Reason::InternalError, Retry::Soon, format!("{message}; please report this defect"))
    }

    /// An uninstall that waits for objects to go.
    pub fn waiting(reason: Reason, waiting: &[(ObjectRef, String)], deadline: Timestamp) -> Self {
        let left = Duration::try_from(deadline.duration_since(Timestamp::now())).unwrap_or(Duration::ZERO);
        let message = format!("waiting for the end of {}", list(waiting));
        Self::new(reason, Retry::Soon, message).again_after(left.max(Duration::from_millis(100)))
    }

    /// What is wrong with the values.
    pub fn of_values(error: &pintle_helm::values::Error) -> Self {
        let reason = match error {
            pintle_helm::values::Error::Schema { .. } => Reason::SchemaViolation,
            _ => Reason::ValuesInvalid,
        };
        Self::new(reason, Retry::OnChange, chain(error))
    }

    /// What is wrong with the templates.
    pub fn of_render(error: &RenderError) -> Self {
        let reason = match error {
            RenderError::LimitExceeded { .. } | RenderError::TooMuchToFreeze { .. } => {
                Reason::RenderLimitExceeded
            }
            RenderError::Manifest { .. } => Reason::InvalidManifest,
            RenderError::Thread { .. } | RenderError::Panicked { .. } => Reason::InternalError,
            _ => Reason::RenderFailed,
        };
        let retry = if reason == Reason::InternalError { Retry::Soon } else { Retry::OnChange };
        Self::new(reason, retry, chain(error))
    }

    /// The same, to be looked at again after `pause`.
    #[must_use]
    pub fn again_after(mut self, pause: Duration) -> Self {
        self.after = Some(pause);
        self
    }

    /// The same, not to be tried again before `pause` is over.
    #[must_use]
    pub fn no_sooner_than(mut self, pause: Option<Duration>) -> Self {
        self.pause = pause.unwrap_or_default();
        self
    }

    /// The same, without the secrets that the release's values came with.
    #[must_use]
    pub fn redacted(mut self, redactions: &Redactions) -> Self {
        self.message = redactions.apply(&self.message);
        self
    }

    /// The same as a failure to put another one right: that one counts, and what it is about comes first.
    #[must_use]
    pub fn of_remedy(mut self, remedy: &Remedy) -> Self {
        let Remedy { of, action, message, .. } = remedy;
        self.message = if self.is_wait() {
            self.reason = remedy.reason();
            format!("{message}; {}", self.message)
        } else {
            format!(
                "{}; it was to put right the {} to revision {of}, which failed: {message}",
                self.message,
                action.as_str()
            )
        };
        self
    }

    /// Whether it is a wait whose end is known: no failure to count, or to warn of.
    pub fn is_wait(&self) -> bool {
        self.after.is_some()
    }

    /// When to look again. `failures` in a row make the pause longer.
    pub fn requeue(&self, failures: u32, interval: Duration) -> Requeue {
        match (self.after, self.retry) {
            (Some(after), _) => Requeue::After(after),
            (None, Retry::Soon) => Requeue::After(backoff(failures, seed(&self.message)).max(self.pause)),
            (None, Retry::Later) => Requeue::After(jitter(SLOW.min(interval))),
            // The spec has to change, but so may the chart.
            (None, Retry::OnChange) => Requeue::After(jitter(interval)),
        }
    }

    /// Whether the status did not say this already.
    pub fn is_news(&self, old: Option<&HelmReleaseStatus>) -> bool {
        let ready = old.and_then(|status| condition::find(&status.conditions, READY));
        !ready.is_some_and(|c| {
            c.status == "False" && c.reason == self.reason.as_str() && self.message_is(&c.message)
        })
    }

    fn message_is(&self, shown: &str) -> bool {
        // Without what a condition adds to it.
        let (first, rest) = shown.split_at(shown.find('\n').unwrap_or(shown.len()));
        let added = first.rsplit_once("; revision ").filter(|(_, added)| added.ends_with(STILL_RUNS));
        let shown = format!("{}{rest}", added.map_or(first, |(said, _)| said));
        shown.starts_with(condition::truncate(&self.message, 256).split(" … ").next().unwrap_or_default())
    }
}

fn seed(text: &str) -> u64 {
    text.bytes().fold(0, |seed, byte| seed.wrapping_mul(31).wrapping_add(u64::from(byte)))
}

impl From<release::Error> for Failure {
    fn from(error: release::Error) -> Self {
        Self { after: error.retry_after, ..Self::new(error.reason, error.retry, error.message) }
    }
}

fn list(waiting: &[(ObjectRef, String)]) -> String {
    let mut named: Vec<String> = waiting.iter().take(NAMED).map(|(o, m)| format!("{o} ({m})")).collect();
    if waiting.len() > NAMED {
        named.push(format!("{} more", waiting.len() - NAMED));
    }
    named.join(", ")
}

/// Everything that a status is made of besides its object.
pub struct View<'a> {
    /// The release's name and namespaces.
    pub target: &'a Target,
    /// The status as it was.
    pub old: Option<&'a HelmReleaseStatus>,
    /// The history as it is, when it could be read.
    pub history: Option<&'a History>,
    /// What the reconcile came to.
    pub verdict: &'a Verdict,
    /// The objects of the deployed revision, when a failure tells them.
    pub inventory: Option<&'a Vec<InventoryEntry>>,
    /// The signatures of the chart, when it was resolved.
    pub verified: Option<&'a [Verified]>,
    /// That the source does not offer what runs.
    pub notice: Option<&'a Notice>,
    /// Failures in a row.
    pub failures: u32,
    /// Now.
    pub now: Timestamp,
}

/// The status that says it.
pub fn status(object: &HelmRelease, view: &View<'_>) -> HelmReleaseStatus {
    let mut status = view.old.cloned().unwrap_or_default();
    let deployed_before = status.observed_generation == object.metadata.generation
        && condition::is_true(&status.conditions, READY);
    status.observed_generation = object.metadata.generation;
    if let Some(requested) = object.annotation(REQUESTED_AT) {
        status.last_handled_reconcile_at = Some(requested.to_owned());
    }
    // What failed before a revision was made is still asked for.
    if let Some(forced) = object.annotation(FORCE_AT)
        && view.history.is_some_and(|history| release::is_heeded(history, forced))
    {
        status.last_handled_force_at = Some(forced.to_owned());
    }
    if let Some(reset) = object.annotation(RESET_AT) {
        status.last_handled_reset_at = Some(reset.to_owned());
    }
    let recorded = match view.verdict {
        Verdict::Failed(_) | Verdict::Waiting { .. } => view.history.map_or(0, release::failures),
        _ => 0,
    };
    // What failed before a revision was made is counted in memory alone.
    status.failures = i64::from(if recorded > 0 { recorded } else { view.failures });
    let applied_before = status.last_applied_revision;
    if let Some(history) = view.history {
        recorded_by(&mut status, history);
        // A history that belongs to another HelmRelease fixes nothing for this one.
        let name = format!("{}/{}", object.namespace().unwrap_or_default(), object.name_any());
        if history.revisions().iter().any(|r| r.facts.as_ref().is_some_and(|f| f.owner_name == name)) {
            status.target = Some(view.target.clone());
        }
    }
    match view.verdict {
        Verdict::Done { inventory, .. }
        | Verdict::Waiting { inventory: Some(inventory), .. }
        | Verdict::Settled { inventory: Some(inventory) } => status.inventory.clone_from(inventory),
        Verdict::Failed(_) if view.inventory.is_some() => {
            status.inventory = view.inventory.cloned().unwrap_or_default();
        }
        // That of an older revision would be taken for this one's; the next look brings the right one.
        Verdict::Failed(_) if status.last_applied_revision != applied_before => status.inventory.clear(),
        Verdict::Waiting { inventory: None, .. }
        | Verdict::Settled { inventory: None }
        | Verdict::Awaiting { .. }
        | Verdict::Failed(_)
        | Verdict::Again(_) => {}
    }
    if let Verdict::Awaiting { plan, .. } = view.verdict {
        status.plan = Some(PlanStatus::clone(plan));
    }
    let mut set = Conditions { status: &mut status, generation: object.metadata.generation, now: view.now };
    set.verified(view.verified, view.verdict);
    match view.verdict {
        Verdict::Settled { .. } | Verdict::Done { .. } => set.settled(object, view.history, view.notice),
        Verdict::Waiting { waiting, .. } => set.waiting(waiting, view.history, deployed_before),
        Verdict::Awaiting { reason, message, .. } => set.awaiting(*reason, message, deployed_before),
        Verdict::Failed(failure) => set.failed(failure, view.history),
        Verdict::Again(_) => {}
    }
    status
}

/// Whether a revision was made for a generation already, as the status tells. The record cannot: helm drops Pintle's
/// facts from the revision that it supersedes.
pub fn is_settled(status: Option<&HelmReleaseStatus>, generation: Option<i64>) -> bool {
    let released = status.and_then(|status| condition::find(&status.conditions, RELEASED));
    generation.is_some() && released.is_some_and(|released| released.observed_generation == generation)
}

/// What the storage says of the release.
fn recorded_by(status: &mut HelmReleaseStatus, history: &History) {
    status.history = release::history_status(history);
    status.last_applied_revision = history.deployed().map(|r| i64::from(r.number));
    status.plan = release::last_attempt(history).and_then(|facts| facts.plan.clone());
    if let Some(facts) = release::last_attempt(history) {
        let text = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        status.last_attempted_action = Some(facts.action.as_str().to_owned());
        status.last_attempted_chart_version = text(&facts.chart.version);
        status.last_attempted_chart_digest = text(&facts.chart_digest);
        status.last_attempted_values_digest = text(&facts.values_digest);
    }
}

struct Conditions<'a> {
    status: &'a mut HelmReleaseStatus,
    generation: Option<i64>,
    now: Timestamp,
}

impl Conditions<'_> {
    fn set(&mut self, type_: &str, status: Status, reason: Reason, message: &str) {
        condition::set(
            &mut self.status.conditions,
            type_,
            status,
            reason,
            message,
            self.generation,
            self.now,
        );
    }

    fn remove(&mut self, type_: &str) {
        condition::remove(&mut self.status.conditions, type_);
    }

    /// Who vouches for the chart, or that nobody does who is trusted.
    fn verified(&mut self, verified: Option<&[Verified]>, verdict: &Verdict) {
        match (verified, verdict) {
            (Some([]), _) => self.remove(SOURCE_VERIFIED),
            (Some(signatures), _) => {
                let texts: Vec<String> = signatures.iter().map(Verified::to_string).collect();
                self.set(SOURCE_VERIFIED, Status::True, Reason::Succeeded, &texts.join("; "));
            }
            (None, Verdict::Failed(failure)) if failure.reason == Reason::VerificationFailed => {
                self.set(SOURCE_VERIFIED, Status::False, failure.reason, &failure.message);
            }
            (None, _) => {}
        }
    }

    /// That the deployed revision was made as it should be; its content in words.
    fn released(&mut self, revision: &Revision) -> String {
        let facts = revision.facts.clone().unwrap_or_default();
        let chart = format!("{}-{}", facts.chart.name, facts.chart.version);
        let content = match facts.rollback_of {
            Some(of) => format!("revision {} with the content of revision {of}, {chart}", revision.number),
            None => format!("revision {}, {chart}", revision.number),
        };
        self.set(RELEASED, Status::True, facts.action.succeeded(), &content);
        content
    }

    fn settled(&mut self, object: &HelmRelease, history: Option<&History>, notice: Option<&Notice>) {
        self.remove(RECONCILING);
        self.remove(STALLED);
        self.remove(REMEDIATED);
        let Some(revision) = history.and_then(History::deployed) else { return };
        let mut content = self.released(revision);
        let mut reason = revision.facts.clone().unwrap_or_default().action.succeeded();
        let tested = revision.facts.as_ref().and_then(|f| f.tested.as_ref());
        match tested.filter(|_| object.spec.test.enable).map(|tested| tested.failure.as_ref()) {
            Some(None) => {
                reason = Reason::TestSucceeded;
                content.push_str("; its tests succeeded");
                self.set(TEST_SUCCESS, Status::True, reason, &content);
            }
            Some(Some(failure)) => {
                self.set(TEST_SUCCESS, Status::False, Reason::TestFailed, failure);
                content.push_str("; a test failed, which is ignored");
            }
            None => self.remove(TEST_SUCCESS),
        }
        match object.spec.rollback_to {
            Some(to) => {
                let message = format!("held at revision {to}; changes of the spec are pending");
                self.set(READY, Status::True, Reason::RollbackSucceeded, &message);
                self.set(HELD, Status::True, Reason::RollbackSucceeded, &message);
            }
            None => {
                let content = match notice {
                    Some(notice) => format!("{content}; {}", notice.text()),
                    None => content,
                };
                self.set(READY, Status::True, reason, &content);
                self.remove(HELD);
            }
        }
    }

    fn waiting(&mut self, waiting: &[(ObjectRef, String)], history: Option<&History>, deployed_before: bool) {
        let message = format!("waiting for {}", list(waiting));
        self.set(RECONCILING, Status::True, Reason::Progressing, &message);
        self.remove(STALLED);
        let latest = history.and_then(History::latest);
        if let Some(remedy) = latest.and_then(|r| r.facts.as_ref()?.remedy.as_ref()) {
            let told = format!("{}; it is rolled back: {message}", remedy.message);
            self.set(READY, Status::False, remedy.reason(), &told);
            self.set(REMEDIATED, Status::Unknown, Reason::Progressing, &message);
            return;
        }
        self.remove(REMEDIATED);
        match latest.filter(|r| r.status == record::Status::Deployed) {
            Some(tested) => {
                self.released(tested);
                self.set(TEST_SUCCESS, Status::Unknown, Reason::AwaitingTests, &message);
            }
            None => self.remove(TEST_SUCCESS),
        }
        // A retry of what is deployed already keeps its Ready.
        if !deployed_before {
            self.set(READY, Status::Unknown, Reason::Progressing, &message);
        }
    }

    /// Nothing goes on until somebody approves, which is no failure. What is deployed for this generation stays ready: a
    /// newer chart or other values of a reference have come, and nobody has changed the spec.
    fn awaiting(&mut self, reason: Reason, message: &str, deployed_before: bool) {
        let ready = if deployed_before { Status::True } else { Status::False };
        self.set(READY, ready, reason, message);
        self.set(RECONCILING, Status::True, reason, message);
        self.remove(STALLED);
    }

    fn failed(&mut self, failure: &Failure, history: Option<&History>) {
        let mut message = failure.message.clone();
        let latest = history.and_then(History::latest);
        if let Some(running) =
            history.and_then(History::deployed).filter(|r| latest.is_some_and(|l| l.number > r.number))
        {
            // At the end of the first line: what follows are details, and perhaps a log.
            let at = message.find('\n').unwrap_or(message.len());
            message.insert_str(at, &format!("; revision {}{STILL_RUNS}", running.number));
        }
        self.set(READY, Status::False, failure.reason, &message);
        // What helm left is none of this generation's ends, unless it was found to be beside one.
        let left_a_revision =
            latest.is_some_and(|r| r.facts.is_some() && r.status == record::Status::Failed || r.is_remedy());
        if left_a_revision || failure.reason == Reason::ExternalRelease {
            self.set(RELEASED, Status::False, failure.reason, &message);
        }
        self.followed(failure, latest);
        if failure.retry == Retry::OnChange {
            self.set(STALLED, Status::True, failure.reason, &message);
            self.remove(RECONCILING);
        } else {
            self.set(RECONCILING, Status::True, Reason::ProgressingWithRetry, &message);
            self.remove(STALLED);
        }
    }

    /// What was done about a failure, and which tests were the failure.
    fn followed(&mut self, failure: &Failure, latest: Option<&Revision>) {
        let Some((latest, facts)) = latest.and_then(|r| Some((r, r.facts.as_ref()?))) else { return };
        if let Some(remedy) = &facts.remedy {
            let why = format!("because the {} to revision {} failed", remedy.action.as_str(), remedy.of);
            match latest.status {
                record::Status::Deployed => {
                    let (number, of) = (latest.number, facts.rollback_of.unwrap_or_default());
                    let done = format!("revision {number} has the content of revision {of} again, {why}");
                    self.set(REMEDIATED, Status::True, Reason::RollbackSucceeded, &done);
                }
                record::Status::Uninstalled => {
                    let done = format!("the release was uninstalled, {why}");
                    self.set(REMEDIATED, Status::True, Reason::UninstallSucceeded, &done);
                }
                record::Status::Failed => {
                    self.set(REMEDIATED, Status::False, Reason::RollbackFailed, &facts.message);
                }
                record::Status::Uninstalling if failure.is_wait() => {
                    self.set(REMEDIATED, Status::Unknown, Reason::Progressing, &failure.message);
                }
                record::Status::Uninstalling => {
                    self.set(REMEDIATED, Status::False, Reason::UninstallFailed, &failure.message);
                }
                _ => {}
            }
            match remedy.reason() {
                Reason::TestFailed => {
                    self.set(TEST_SUCCESS, Status::False, Reason::TestFailed, &remedy.message);
                }
                _ => self.remove(TEST_SUCCESS),
            }
            return;
        }
        let tests = facts.tested.as_ref().and_then(|tested| tested.failure.as_ref());
        match (latest.status, tests) {
            (record::Status::Deployed, Some(text)) => {
                self.released(latest);
                self.remove(REMEDIATED);
                self.set(TEST_SUCCESS, Status::False, Reason::TestFailed, text);
            }
            (record::Status::Failed, _) => {
                self.remove(REMEDIATED);
                self.remove(TEST_SUCCESS);
            }
            // It failed before anything was begun: what is told of the last revision stays.
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    //! Unit: what a status remembers.

    use super::*;

    #[test]
    fn a_failure_is_news_once_whatever_its_condition_adds() {
        let was = |message: &str| {
            let mut status = HelmReleaseStatus::default();
            let (now, reason) = (Timestamp::UNIX_EPOCH, Reason::WaitTimeout);
            condition::set(&mut status.conditions, READY, Status::False, reason, message, Some(1), now);
            status
        };
        let failure =
            Failure::new(Reason::WaitTimeout, Retry::Soon, "1 object not ready\nDeployment a/b: no pods");
        for (name, shown, news) in [
            ("the same", "1 object not ready\nDeployment a/b: no pods", false),
            ("with what runs", "1 object not ready; revision 2 still runs\nDeployment a/b: no pods", false),
            ("another object", "1 object not ready; revision 2 still runs\nDeployment a/c: no pods", true),
        ] {
            assert_eq!(failure.is_news(Some(&was(shown))), news, "{name}");
        }
        let failure = Failure::new(Reason::WaitTimeout, Retry::Soon, "one line");
        assert!(!failure.is_news(Some(&was("one line; revision 2 still runs"))));
    }

    #[test]
    fn a_generation_is_settled_when_a_revision_was_made_for_it() {
        let status = |type_: &str, generation| {
            let mut status = HelmReleaseStatus::default();
            let now = Timestamp::UNIX_EPOCH;
            let (conditions, reason) = (&mut status.conditions, Reason::UpgradeSucceeded);
            condition::set(conditions, type_, Status::True, reason, "", Some(generation), now);
            Some(status)
        };
        for (name, status, want) in [
            ("nothing was told yet", None, false),
            ("this generation", status(RELEASED, 2), true),
            ("an older generation", status(RELEASED, 1), false),
            ("it failed before a revision was made", status(READY, 2), false),
        ] {
            assert_eq!(is_settled(status.as_ref(), Some(2)), want, "{name}");
        }
    }
}

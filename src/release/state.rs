//! What the observation amounts to.
//!
//! Sync is judged by digests of the inputs, never by rendering again: a chart may use random numbers or the time.

use jiff::Timestamp;

use pintle_helm::manifest::digest_object;
use pintle_helm::record::Status;
use pintle_helm::values::Values;

use super::facts::{Action, Attempt, Facts, Failure, fresh_key, keyed_digest};
use super::{Error, History, Observation, Owner, Revision};
use crate::api::Reason;
use crate::cluster::Retry;

/// helm's own unfinished actions are left alone for this long after their last sign of life.
const HELM_PATIENCE: i64 = 600;

/// What is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Desired {
    /// Digest of the chart's archive.
    pub chart_digest: String,
    /// HMAC of the coalesced user values.
    pub values_digest: String,
    /// Its key, in base64.
    pub hmac_key: String,
    /// Digest of what else of the spec decides about the manifest.
    pub spec_digest: String,
    /// The revision at whose content the release is held.
    pub rollback_to: Option<u32>,
    /// Whether a new revision is asked for even if nothing changed.
    pub force: bool,
    /// UID of the HelmRelease.
    pub owner: String,
    /// `namespace/name` of the HelmRelease.
    pub owner_name: String,
    /// Whether a revision was made for the present generation already: what helm makes after it is left alone.
    pub settled: bool,
    /// Whether the HelmRelease that the record names is known to be gone, so that this one takes over.
    pub take_over: bool,
    /// Generation of the HelmRelease.
    pub generation: Option<i64>,
    /// The value of the annotation that lets failures before it count no more.
    pub reset_at: Option<String>,
    /// Whether each revision is tested.
    pub tests: Option<Tests>,
}

/// What is made of the tests of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tests {
    /// A failed test is shown, and that is all.
    pub ignore_failures: bool,
}

impl Desired {
    /// The release goes forward to this chart and these values (the user's layers, merged).
    pub fn forward(
        history: &History,
        owner: &Owner,
        chart_digest: &str,
        values: &Values,
        spec_digest: &str,
    ) -> Self {
        let known = history.latest().and_then(|r| r.facts.as_ref()).map(|f| f.hmac_key.clone());
        let hmac_key = known.filter(|key| !key.is_empty()).unwrap_or_else(fresh_key);
        Self {
            chart_digest: chart_digest.to_owned(),
            values_digest: keyed_digest(&hmac_key, &digest_object(&values.to_json())),
            hmac_key,
            spec_digest: spec_digest.to_owned(),
            owner: owner.uid.clone(),
            owner_name: owner.name.clone(),
            ..Self::default()
        }
    }

    /// The release is held at the content of revision `to`: neither chart nor values are looked at.
    pub fn held(owner: &Owner, to: u32) -> Self {
        Self {
            rollback_to: Some(to),
            owner: owner.uid.clone(),
            owner_name: owner.name.clone(),
            ..Self::default()
        }
    }

    /// Asks for a new revision even if nothing changed.
    #[must_use]
    pub fn forced(mut self, force: bool) -> Self {
        self.force = force;
        self
    }

    /// Says whether a revision was made for the present generation already.
    #[must_use]
    pub fn settled(mut self, settled: bool) -> Self {
        self.settled = settled;
        self
    }

    /// Takes the release over from a HelmRelease that is gone.
    #[must_use]
    pub fn taking_over(mut self, take_over: bool) -> Self {
        self.take_over = take_over;
        self
    }

    /// Says which attempt it would be: of which generation, and after which reset of the failures.
    #[must_use]
    pub fn asked_by(mut self, generation: Option<i64>, reset_at: Option<&str>) -> Self {
        self.generation = generation;
        self.reset_at = reset_at.map(str::to_owned);
        self
    }

    /// Says whether revisions are tested.
    #[must_use]
    pub fn tested(mut self, tests: Option<Tests>) -> Self {
        self.tests = tests;
        self
    }

    /// What of the inputs differs from those that a revision was made for; none when they are the same. One that puts
    /// a failure right was made for what failed.
    fn difference(&self, facts: &Facts) -> Option<&'static str> {
        match (self.rollback_to, &facts.remedy) {
            (Some(to), _) if facts.rollback_of == Some(to) => None,
            (Some(_), _) => Some("rollbackTo changed"),
            (None, None) => self.other_content(facts),
            (None, Some(tried)) => {
                self.other_inputs(&tried.chart_digest, &tried.values_digest, &tried.spec_digest)
            }
        }
    }

    /// What of the inputs differs from those of a revision's content. A held release that is let go counts by the
    /// content that it was held at.
    fn other_content(&self, facts: &Facts) -> Option<&'static str> {
        self.other_inputs(&facts.chart_digest, &facts.values_digest, &facts.spec_digest)
    }

    fn other_inputs(&self, chart: &str, values: &str, spec: &str) -> Option<&'static str> {
        match () {
            () if self.chart_digest != chart => Some("the chart changed"),
            () if self.values_digest != values => Some("the values changed"),
            () if self.spec_digest != spec => Some("the spec changed"),
            () => None,
        }
    }

    /// Whether somebody has asked since the revision with these facts was begun: its failure does not count then.
    fn is_asked_anew(&self, facts: &Facts) -> bool {
        self.force
            || self.generation != facts.attempt.generation
            || (self.reset_at.is_some() && self.reset_at != facts.attempt.reset_at)
    }

    /// The attempt that is begun now. One that puts a failure right counts its own failures only.
    pub fn attempt(&self, history: &History, is_remedy: bool) -> Attempt {
        let latest = history.latest();
        let facts = latest.and_then(|r| r.facts.as_ref());
        let reset_at = self.reset_at.clone().or_else(|| facts?.attempt.reset_at.clone());
        let same = facts.filter(|f| !self.is_asked_anew(f) && self.difference(f).is_none());
        let failed = latest.is_some_and(|r| r.status == Status::Failed);
        let failures = same.map_or(0, |facts| match &facts.remedy {
            Some(_) if is_remedy && failed => facts.failures(),
            Some(remedy) if !is_remedy => remedy.failures,
            None if !is_remedy && (failed || facts.tested.as_ref().is_some_and(|t| t.failure.is_some())) => {
                facts.failures()
            }
            _ => 0,
        });
        Attempt { generation: self.generation, reset_at, failures }
    }

    /// Whether the revision with these facts is this HelmRelease's.
    pub fn owns(&self, facts: &Facts) -> bool {
        self.take_over || facts.owner == self.owner || facts.owner_name == self.owner_name
    }
}

/// What a release amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseState {
    /// There is none, or what there was is uninstalled and of no consequence.
    Absent,
    /// It was uninstalled, and its record was kept.
    Uninstalled {
        /// The revision.
        revision: u32,
    },
    /// The latest revision belongs to another HelmRelease.
    Claimed {
        /// `namespace/name` of that HelmRelease.
        owner: String,
        /// The process that holds it.
        holder: String,
    },
    /// An action on the latest revision has not ended.
    Pending {
        /// The revision.
        revision: u32,
        /// Whether it is Pintle's.
        ours: bool,
        /// Whether it is what is wanted now.
        same_inputs: bool,
        /// When nobody can still be working on it.
        until: Option<Timestamp>,
        /// What helm says of it, when it is helm's and nothing is asked of Pintle since: it is reported then, and left
        /// alone even if it never ends.
        beside: Option<String>,
    },
    /// An uninstall has not ended.
    Uninstalling {
        /// The revision.
        revision: u32,
    },
    /// helm made the latest revision.
    Unmanaged {
        /// The revision.
        revision: u32,
        /// Whether it is deployed, so that it may be what is wanted.
        deployed: bool,
    },
    /// helm made the latest revision, beside Pintle.
    External {
        /// The revision.
        revision: u32,
        /// What helm says of it.
        what: String,
    },
    /// The inputs are not those of the latest revision.
    OutOfSync {
        /// What differs.
        why: String,
        /// Whether any revision was ever deployed.
        installed: bool,
    },
    /// The latest revision failed, or its tests did, with the inputs that are wanted now.
    Failed {
        /// The revision.
        revision: u32,
        /// What failed.
        failed: Failed,
        /// Whether any revision was ever deployed.
        installed: bool,
        /// Whether it was itself made to put another failure right.
        is_remedy: bool,
        /// The revision to go back to.
        good: Option<u32>,
    },
    /// The latest revision put right, or removed, what failed with the inputs that are wanted now.
    Remediated {
        /// The revision.
        revision: u32,
        /// What failed.
        failed: Failed,
        /// The revision whose content runs again; none when the release was uninstalled.
        back_at: Option<u32>,
    },
    /// What is wanted is deployed, and its tests have not ended.
    Untested {
        /// The revision.
        revision: u32,
    },
    /// What is wanted is deployed.
    InSync {
        /// The revision.
        revision: u32,
    },
    /// The release is at the content of the revision that it is held at.
    Held {
        /// The deployed revision.
        revision: u32,
        /// The revision that `rollbackTo` names.
        of: u32,
    },
    /// `rollbackTo` names a revision that cannot be gone back to.
    MissingRevision {
        /// Says which, and which there are.
        message: String,
    },
}

/// An action that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Which.
    pub action: Action,
    /// Failures in a row with these inputs, this one included.
    pub failures: u32,
    /// Why, as a condition's reason.
    pub reason: String,
    /// When trying again can help.
    pub retry: Retry,
    /// When it failed, or when that was put right.
    pub at: Option<Timestamp>,
    /// Its message.
    pub message: String,
}

/// Says what the observation amounts to: pure.
pub fn assess(observed: &Observation, desired: &Desired) -> ReleaseState {
    let history = &observed.history;
    let Some(latest) = history.latest() else {
        return match desired.rollback_to {
            Some(to) => missing(history, to),
            None => ReleaseState::Absent,
        };
    };
    if let Some(facts) = latest.facts.as_ref().filter(|facts| !desired.owns(facts))
        && latest.status != Status::Uninstalled
    {
        return ReleaseState::Claimed { owner: facts.owner_name.clone(), holder: facts.holder.clone() };
    }
    let unfinished = latest.status.is_pending() || latest.status == Status::Uninstalling;
    if latest.status.is_pending() || unfinished && latest.facts.is_none() {
        return pending(latest, desired);
    }
    if latest.status == Status::Uninstalling {
        return ReleaseState::Uninstalling { revision: latest.number };
    }
    if desired.settled && !desired.force && latest.is_external() && desired.rollback_to != Some(latest.number)
    {
        return ReleaseState::External { revision: latest.number, what: what_helm_says(latest) };
    }
    if let Some(to) = desired.rollback_to {
        return assess_held(history, latest, desired, to);
    }
    if latest.status == Status::Uninstalled {
        return assess_uninstalled(latest, desired);
    }
    let installed = history.last_good().is_some();
    let Some(facts) = &latest.facts else {
        let deployed = latest.status == Status::Deployed;
        return ReleaseState::Unmanaged { revision: latest.number, deployed };
    };
    let is_same_attempt = !desired.is_asked_anew(facts) && desired.difference(facts).is_none();
    match (&facts.remedy, latest.status) {
        (Some(remedy), Status::Deployed) if is_same_attempt => return remediated(latest, facts, remedy),
        // What was put right counts by its content from then on.
        (Some(_), Status::Deployed) => {
            if let Some(why) = desired.other_content(facts) {
                return ReleaseState::OutOfSync { why: why.to_owned(), installed };
            }
        }
        _ => {
            if let Some(why) = desired.difference(facts) {
                return ReleaseState::OutOfSync { why: why.to_owned(), installed };
            }
        }
    }
    if desired.force {
        return ReleaseState::OutOfSync { why: "a new revision is asked for".to_owned(), installed };
    }
    match latest.status {
        Status::Deployed => {
            let in_sync = ReleaseState::InSync { revision: latest.number };
            tested(history, latest, desired, facts).unwrap_or(in_sync)
        }
        Status::Failed if !is_same_attempt => {
            ReleaseState::OutOfSync { why: "it is asked for anew".to_owned(), installed }
        }
        Status::Failed => failed(history, latest, desired, facts),
        _ => ReleaseState::OutOfSync { why: format!("the latest revision is {}", latest.status), installed },
    }
}

fn assess_held(history: &History, latest: &Revision, desired: &Desired, to: u32) -> ReleaseState {
    let facts = latest.facts.as_ref();
    let rolled_back = facts.is_some_and(|f| f.rollback_of == Some(to));
    if latest.status == Status::Deployed && (latest.number == to || rolled_back) && !desired.force {
        let held = ReleaseState::Held { revision: latest.number, of: to };
        // What is held was tested when it was made, if it is no revision of its own.
        let tests = facts.filter(|_| rolled_back).and_then(|f| tested(history, latest, desired, f));
        return tests.unwrap_or(held);
    }
    if !history.find(to).is_some_and(Revision::was_good) {
        return missing(history, to);
    }
    match facts {
        Some(facts) if latest.status == Status::Failed && rolled_back && !desired.is_asked_anew(facts) => {
            failed(history, latest, desired, facts)
        }
        _ => ReleaseState::OutOfSync { why: format!("rollbackTo asks for revision {to}"), installed: true },
    }
}

/// What was uninstalled to put a failure right makes way for the next try; another record was kept on purpose.
fn assess_uninstalled(latest: &Revision, desired: &Desired) -> ReleaseState {
    let facts = latest.facts.as_ref();
    let Some((facts, remedy)) = facts.and_then(|facts| Some((facts, facts.remedy.as_ref()?))) else {
        return ReleaseState::Uninstalled { revision: latest.number };
    };
    if desired.is_asked_anew(facts) || desired.difference(facts).is_some() || !desired.owns(facts) {
        return ReleaseState::Absent;
    }
    remediated(latest, facts, remedy)
}

fn remediated(latest: &Revision, facts: &Facts, remedy: &super::Remedy) -> ReleaseState {
    let (reason, retry) = how(remedy.failure.as_ref(), remedy.action);
    let failed = Failed {
        action: remedy.action,
        failures: remedy.failures,
        reason,
        retry,
        at: facts.completed_at,
        message: remedy.message.clone(),
    };
    ReleaseState::Remediated { revision: latest.number, failed, back_at: facts.rollback_of }
}

/// What the tests of a deployed revision come to; none when there is nothing to run and nothing to act on.
fn tested(history: &History, latest: &Revision, desired: &Desired, facts: &Facts) -> Option<ReleaseState> {
    let tests = desired.tests?;
    let revision = latest.number;
    let Some(tested) = &facts.tested else { return Some(ReleaseState::Untested { revision }) };
    let message = tested.failure.clone().filter(|_| !tests.ignore_failures)?;
    if desired.is_asked_anew(facts) {
        return Some(ReleaseState::OutOfSync { why: "it is asked for anew".to_owned(), installed: true });
    }
    let failed = Failed {
        action: facts.action,
        failures: facts.failures(),
        reason: Reason::TestFailed.as_str().to_owned(),
        retry: Retry::Soon,
        at: Some(tested.at),
        message,
    };
    let good = good_before(history, revision, desired);
    Some(ReleaseState::Failed { revision, failed, installed: true, is_remedy: false, good })
}

/// The newest revision below `number` that can be gone back to: it was deployed, its tests did not fail, and the
/// release was not uninstalled since.
fn good_before(history: &History, number: u32, desired: &Desired) -> Option<u32> {
    let failed_tests = |r: &Revision| {
        let tested = r.facts.as_ref().and_then(|f| f.tested.as_ref());
        let is_heeded = desired.tests.is_some_and(|tests| !tests.ignore_failures);
        is_heeded && tested.is_some_and(|tested| tested.failure.is_some())
    };
    let older = history.revisions().iter().rev().filter(|r| r.number < number);
    let mut since = older.take_while(|r| r.status != Status::Uninstalled);
    since.find(|r| r.was_good() && !failed_tests(r)).map(|r| r.number)
}

/// Chart and description of a revision of helm's.
fn what_helm_says(latest: &Revision) -> String {
    let Ok(record) = latest.head() else { return latest.status.to_string() };
    let chart = &record.chart.metadata;
    format!("{}-{}, {}: {}", chart.name, chart.version, latest.status, record.info.description)
}

/// When helm cannot be working any more on what it has not ended; none when it is not helm's, or ended.
pub(super) fn helm_until(latest: &Revision) -> Option<Timestamp> {
    let unfinished = latest.status.is_pending() || latest.status == Status::Uninstalling;
    if !unfinished || latest.facts.is_some() {
        return None;
    }
    // An uninstall begins on a revision that is as old as it may be; helm notes the change in a label.
    let changed =
        latest.labels.get("modifiedAt").and_then(|at| Timestamp::from_second(at.parse().ok()?).ok());
    let alive = latest.created_at.max(changed)?;
    alive.checked_add(jiff::SignedDuration::from_secs(HELM_PATIENCE)).ok()
}

fn pending(latest: &Revision, desired: &Desired) -> ReleaseState {
    let ours = latest.facts.as_ref();
    let until = helm_until(latest);
    ReleaseState::Pending {
        revision: latest.number,
        ours: ours.is_some(),
        same_inputs: ours.is_some_and(|facts| desired.difference(facts).is_none()),
        until,
        beside: (ours.is_none() && desired.settled && !desired.force).then(|| what_helm_says(latest)),
    }
}

fn failed(history: &History, latest: &Revision, desired: &Desired, facts: &Facts) -> ReleaseState {
    let (reason, retry) = how(facts.failure.as_ref(), facts.action);
    ReleaseState::Failed {
        revision: latest.number,
        failed: Failed {
            action: facts.action,
            failures: facts.failures().max(1),
            reason,
            retry,
            at: facts.completed_at,
            message: facts.message.clone(),
        },
        installed: history.last_good().is_some(),
        is_remedy: facts.remedy.is_some(),
        good: good_before(history, facts.remedy.as_ref().map_or(latest.number, |remedy| remedy.of), desired),
    }
}

/// Reason and hope of a recorded failure.
fn how(failure: Option<&Failure>, action: Action) -> (String, Retry) {
    match failure {
        Some(failure) => (failure.reason.clone(), failure.retry.into()),
        None => (action.failed().as_str().to_owned(), Retry::Soon),
    }
}

fn missing(history: &History, to: u32) -> ReleaseState {
    ReleaseState::MissingRevision { message: revision_not_found(history, to).message }
}

/// The refusal of a revision that cannot be gone back to.
pub(super) fn revision_not_found(history: &History, to: u32) -> Error {
    let good: Vec<String> =
        history.revisions().iter().filter(|r| r.was_good()).map(|r| r.number.to_string()).collect();
    let what = match history.find(to) {
        Some(revision) => format!("revision {to} is {} and was never deployed", revision.status),
        None => format!("the history has no revision {to}"),
    };
    let there = if good.is_empty() {
        "there is none to go back to".to_owned()
    } else {
        format!("revisions that can be rolled back to: {}", good.join(", "))
    };
    let message = format!("{what}; {there}; set spec.rollbackTo to one of them, or remove it");
    Error::new(Reason::RevisionNotFound, Retry::OnChange, message)
}

impl ReleaseState {
    /// The action that goes forward from here.
    pub(super) fn forward(installed: bool) -> Action {
        if installed { Action::Upgrade } else { Action::Install }
    }
}

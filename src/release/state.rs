//! What the observation amounts to.
//!
//! Sync is judged by digests of the inputs, never by rendering again: a chart may use random numbers or the time.

use jiff::Timestamp;

use pintle_helm::manifest::digest_object;
use pintle_helm::record::Status;
use pintle_helm::values::Values;

use super::facts::{Action, Facts, RetryFact, fresh_key, keyed_digest};
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

    /// What of the inputs differs from those of a revision; none when they are the same.
    fn difference(&self, facts: &Facts) -> Option<&'static str> {
        match self.rollback_to {
            Some(to) if facts.rollback_of == Some(to) => None,
            Some(_) => Some("rollbackTo changed"),
            // A held release that is let go counts by the content that it was held at.
            None if self.chart_digest != facts.chart_digest => Some("the chart changed"),
            None if self.values_digest != facts.values_digest => Some("the values changed"),
            None if self.spec_digest != facts.spec_digest => Some("the spec changed"),
            None => None,
        }
    }

    /// Whether the revision with these facts is this HelmRelease's.
    pub fn owns(&self, facts: &Facts) -> bool {
        self.take_over || facts.owner == self.owner || facts.owner_name == self.owner_name
    }
}

/// What a release amounts to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReleaseState {
    /// There is none, or it was uninstalled.
    Absent,
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
    /// The latest revision failed.
    Failed {
        /// The revision.
        revision: u32,
        /// Whether its inputs are those that are wanted now.
        same_inputs: bool,
        /// Whether any revision was ever deployed.
        installed: bool,
        /// Failures in a row with these inputs, this one included.
        failures: u32,
        /// Why, as a condition's reason.
        reason: String,
        /// When trying again can help.
        retry: Retry,
        /// When it failed.
        at: Option<Timestamp>,
        /// Its message.
        message: String,
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
        return ReleaseState::Absent;
    }
    let installed = history.last_good().is_some();
    let Some(facts) = &latest.facts else {
        let deployed = latest.status == Status::Deployed;
        return ReleaseState::Unmanaged { revision: latest.number, deployed };
    };
    if let Some(why) = desired.difference(facts) {
        return ReleaseState::OutOfSync { why: why.to_owned(), installed };
    }
    if desired.force {
        return ReleaseState::OutOfSync { why: "a new revision is asked for".to_owned(), installed };
    }
    match latest.status {
        Status::Deployed => ReleaseState::InSync { revision: latest.number },
        Status::Failed => failed(history, latest, desired, facts),
        _ => ReleaseState::OutOfSync { why: format!("the latest revision is {}", latest.status), installed },
    }
}

fn assess_held(history: &History, latest: &Revision, desired: &Desired, to: u32) -> ReleaseState {
    let rolled_back = latest.facts.as_ref().is_some_and(|f| f.rollback_of == Some(to));
    if latest.status == Status::Deployed && (latest.number == to || rolled_back) && !desired.force {
        return ReleaseState::Held { revision: latest.number, of: to };
    }
    if !history.find(to).is_some_and(Revision::was_good) {
        return missing(history, to);
    }
    match &latest.facts {
        Some(facts) if latest.status == Status::Failed && rolled_back && !desired.force => {
            failed(history, latest, desired, facts)
        }
        _ => ReleaseState::OutOfSync { why: format!("rollbackTo asks for revision {to}"), installed: true },
    }
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
    let same = |r: &&Revision| {
        r.status == Status::Failed && r.facts.as_ref().is_some_and(|f| desired.difference(f).is_none())
    };
    // One that was interrupted says nothing about the next try.
    let counts = |r: &&Revision| {
        let failure = r.facts.as_ref().and_then(|f| f.failure.as_ref());
        failure.is_none_or(|f| f.reason != Reason::Interrupted.as_str())
    };
    let failures = history.revisions().iter().rev().take_while(same).filter(counts).count();
    let retry = match facts.failure.as_ref().map(|f| f.retry) {
        Some(RetryFact::OnChange) => Retry::OnChange,
        Some(RetryFact::Later) => Retry::Later,
        Some(RetryFact::Soon) | None => Retry::Soon,
    };
    let fallback = facts.action.failed().as_str().to_owned();
    ReleaseState::Failed {
        revision: latest.number,
        same_inputs: true,
        installed: history.last_good().is_some(),
        failures: u32::try_from(failures).unwrap_or(u32::MAX).max(1),
        reason: facts.failure.as_ref().map_or(fallback, |f| f.reason.clone()),
        retry,
        at: facts.completed_at,
        message: facts.message.clone(),
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

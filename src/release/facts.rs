//! What only Pintle knows of a revision: kept in a second data key of Helm's Secret.
//!
//! helm reads the first key only, and drops the second when it rewrites the Secret. A revision without facts is
//! therefore one that helm made or changed last.

use std::time::Duration;

use aws_lc_rs::{hmac, rand};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use pintle_helm::manifest::HookEvent;
use pintle_helm::record::Status;
use pintle_helm::render::Use;

use crate::api::{Changes, PlanStatus, Reason};
use crate::cluster::{ObjectRef, Retry};

/// The data key of the Secret.
pub const DATA_KEY: &str = "pintle";

/// Bytes of what hooks printed that are kept with a revision.
const OUTPUT_LIMIT: usize = 8 << 10;

/// What is done with a release.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The first revision.
    #[default]
    Install,
    /// A further one.
    Upgrade,
    /// A further one with the content of an older one.
    Rollback,
    /// The end.
    Uninstall,
}

impl Action {
    /// The word of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Install => "install",
            Self::Upgrade => "upgrade",
            Self::Rollback => "rollback",
            Self::Uninstall => "uninstall",
        }
    }

    /// The status of a revision while the action goes on.
    pub fn pending(self) -> Status {
        match self {
            Self::Install => Status::PendingInstall,
            Self::Upgrade => Status::PendingUpgrade,
            Self::Rollback => Status::PendingRollback,
            Self::Uninstall => Status::Uninstalling,
        }
    }

    /// The hook events around it.
    pub fn events(self) -> (HookEvent, HookEvent) {
        match self {
            Self::Install => (HookEvent::PreInstall, HookEvent::PostInstall),
            Self::Upgrade => (HookEvent::PreUpgrade, HookEvent::PostUpgrade),
            Self::Rollback => (HookEvent::PreRollback, HookEvent::PostRollback),
            Self::Uninstall => (HookEvent::PreDelete, HookEvent::PostDelete),
        }
    }

    /// The reason of a success.
    pub fn succeeded(self) -> Reason {
        match self {
            Self::Install => Reason::InstallSucceeded,
            Self::Upgrade => Reason::UpgradeSucceeded,
            Self::Rollback => Reason::RollbackSucceeded,
            Self::Uninstall => Reason::UninstallSucceeded,
        }
    }

    /// The reason of a failure that has no better one.
    pub fn failed(self) -> Reason {
        match self {
            Self::Install => Reason::InstallFailed,
            Self::Upgrade => Reason::UpgradeFailed,
            Self::Rollback => Reason::RollbackFailed,
            Self::Uninstall => Reason::UninstallFailed,
        }
    }

    /// The action that left a revision in `status`, for revisions that helm made.
    pub fn of(status: Status, number: u32) -> Self {
        match status {
            Status::PendingRollback => Self::Rollback,
            Status::Uninstalling | Status::Uninstalled => Self::Uninstall,
            Status::PendingInstall => Self::Install,
            _ if number <= 1 => Self::Install,
            _ => Self::Upgrade,
        }
    }
}

/// Name and versions of a chart, so that the status needs no decoded record.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ChartFacts {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Version of the application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub app_version: Option<String>,
}

/// A hook that ran to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct HookFacts {
    /// The event, in Helm's words.
    pub event: String,
    /// Kind of the hook.
    pub kind: String,
    /// Name of the hook.
    pub name: String,
    /// When it was created.
    pub started_at: Timestamp,
    /// When it was seen to be done.
    pub completed_at: Timestamp,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// The end of what it printed, without secrets, when its template asks for that (`hook-output-log-policy`).
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub output: String,
}

/// A hook that was made, and has not been seen to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RunningHook {
    /// The event, in Helm's words.
    pub event: String,
    /// Kind of the hook.
    pub kind: String,
    /// Name of the hook.
    pub name: String,
    /// The object that runs.
    pub object: ObjectRef,
    /// Its UID.
    pub uid: String,
    /// When it was made.
    pub started_at: Timestamp,
    /// When it has to be done.
    pub deadline: Timestamp,
}

impl RunningHook {
    /// Whether it is this hook, at this event.
    pub fn is(&self, event: HookEvent, kind: &str, name: &str) -> bool {
        self.event == event.as_str() && self.kind == kind && self.name == name
    }
}

/// A record that stands in Secrets beside that of its revision.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Parts {
    /// How many there are.
    pub count: usize,
    /// SHA-256 of the payload that they are the parts of, in hex.
    pub digest: String,
}

/// How a failed action ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// The condition's reason.
    pub reason: String,
    /// When trying again can help.
    pub retry: RetryFact,
}

/// [`Retry`] as it is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RetryFact {
    /// Soon, with backoff.
    Soon,
    /// Slowly.
    Later,
    /// Only after the inputs changed.
    OnChange,
}

impl From<Retry> for RetryFact {
    fn from(retry: Retry) -> Self {
        match retry {
            Retry::Soon => Self::Soon,
            Retry::Later => Self::Later,
            Retry::OnChange => Self::OnChange,
        }
    }
}

/// What only Pintle knows of a revision.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    /// The process that works, or worked, on the revision.
    pub holder: String,
    /// UID of the HelmRelease.
    pub owner: String,
    /// `namespace/name` of the HelmRelease: it stays when the object is restored under a new UID.
    pub owner_name: String,
    /// What makes the revision.
    pub action: Action,
    /// The revision whose content it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollback_of: Option<u32>,
    /// The chart.
    pub chart: ChartFacts,
    /// Digest of the chart's archive.
    pub chart_digest: String,
    /// HMAC-SHA256 of the values, in hex.
    pub values_digest: String,
    /// The key of that HMAC, in base64.
    pub hmac_key: String,
    /// Digest of what else of the spec decides about the manifest.
    pub spec_digest: String,
    /// Digest of the rendered objects.
    pub manifest_digest: String,
    /// The value of the annotation that asked for the revision even if nothing changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forced_at: Option<String>,
    /// When the revision was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When it was deployed or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub completed_at: Option<Timestamp>,
    /// When the wait that is going on ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<Timestamp>,
    /// Whether everything up to the wait is done, so that a resumed action goes on from there.
    pub applied: bool,
    /// What the revision changes.
    pub changes: Changes,
    /// The same in words, with the first objects and fields: an action that is resumed sees only what is left.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// The plan that makes it, as it was published.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<PlanStatus>,
    /// Whether Secrets are among its values: then none of them is shown.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secret_values: bool,
    /// The hook that runs now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub running: Option<RunningHook>,
    /// Hooks that ran to their end.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hooks: Vec<HookFacts>,
    /// Where its record is, when one Secret is too small for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
    /// What its templates drew from clock and chance, for `spec.impure: Freeze`. As secret as the manifest.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drawn: Vec<Use>,
    /// How it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
    /// How it ended, or stands.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
}

impl Facts {
    /// Whether `hook` ran to a good end at `event`.
    pub fn hook_done(&self, event: HookEvent, kind: &str, name: &str) -> bool {
        self.hooks
            .iter()
            .any(|h| h.succeeded && h.event == event.as_str() && h.kind == kind && h.name == name)
    }

    /// Whether `hook` ran to a bad end at `event`.
    pub fn hook_failed(&self, event: HookEvent, kind: &str, name: &str) -> bool {
        self.hooks
            .iter()
            .any(|h| !h.succeeded && h.event == event.as_str() && h.kind == kind && h.name == name)
    }

    /// Whether a hook of `event` was begun.
    pub fn has_begun(&self, event: HookEvent) -> bool {
        let at = |text: &str| text == event.as_str();
        self.running.as_ref().is_some_and(|r| at(&r.event)) || self.hooks.iter().any(|h| at(&h.event))
    }

    /// When the action has to be done: each hook has a time of its own, and the action's begins again after it.
    pub fn over_at(&self, timeout: Duration) -> Option<Timestamp> {
        let hooks = self.hooks.iter().filter_map(|h| h.completed_at.checked_add(timeout).ok());
        hooks.chain(self.running.as_ref().map(|r| r.deadline)).chain(self.deadline).max()
    }

    /// Takes down that a hook runs. After the wait, what lies before it is done.
    pub(super) fn note_running(&mut self, running: RunningHook) {
        self.applied |= running.event == self.action.events().1.as_str();
        self.running = Some(running);
    }

    /// Takes down how a hook ended, in place of an earlier run.
    pub(super) fn note_hook(&mut self, done: HookFacts) {
        self.running = None;
        self.hooks.retain(|h| (&h.event, &h.kind, &h.name) != (&done.event, &done.kind, &done.name));
        self.hooks.push(done);
        // What hooks printed must not crowd out the record.
        let mut bytes: usize = self.hooks.iter().map(|h| h.output.len()).sum();
        for hook in &mut self.hooks {
            if bytes > OUTPUT_LIMIT {
                bytes -= hook.output.len();
                hook.output.clear();
            }
        }
    }

    /// Reads the data key; `None` when it is not what Pintle writes.
    pub(super) fn decode(data: &str) -> Option<Self> {
        serde_json::from_slice(&STANDARD.decode(data).ok()?).ok()
    }
}

/// A fresh key for the HMAC of values, in base64.
pub(super) fn fresh_key() -> String {
    let mut key = [0_u8; 32];
    // Without entropy TLS would not work either; an empty key still makes a digest that changes with the values.
    let _ = rand::fill(&mut key);
    STANDARD.encode(key)
}

/// HMAC-SHA256 of `text` in hex, under a key in base64.
pub(super) fn keyed_digest(key: &str, text: &str) -> String {
    let key = STANDARD.decode(key).unwrap_or_default();
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), text.as_bytes());
    tag.as_ref().iter().fold(String::with_capacity(64), |mut hex, byte| {
        for nibble in [byte >> 4, byte & 15] {
            hex.push(char::from_digit(u32::from(nibble), 16).unwrap_or('0'));
        }
        hex
    })
}

#[cfg(test)]
mod tests {
    //! Unit: what the facts say of an action that goes on.

    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn running(event: HookEvent) -> RunningHook {
        RunningHook {
            event: event.as_str().to_owned(),
            kind: "Job".to_owned(),
            name: "j".to_owned(),
            object: ObjectRef {
                group: "batch".into(),
                version: "v1".into(),
                kind: "Job".into(),
                namespace: "ns".into(),
                name: "j".into(),
            },
            uid: "u".to_owned(),
            started_at: at(0),
            deadline: at(200),
        }
    }

    fn done(event: HookEvent) -> HookFacts {
        HookFacts {
            event: event.as_str().to_owned(),
            kind: "Job".to_owned(),
            name: "j".to_owned(),
            started_at: at(0),
            completed_at: at(100),
            succeeded: true,
            output: String::new(),
        }
    }

    #[test]
    fn a_hook_that_runs_is_noted_until_it_ends() {
        let mut facts = Facts { action: Action::Upgrade, deadline: Some(at(60)), ..Facts::default() };
        facts.note_running(running(HookEvent::PreUpgrade));
        assert!(facts.has_begun(HookEvent::PreUpgrade) && !facts.has_begun(HookEvent::PostUpgrade));
        assert!(!facts.applied, "the changes come after it");
        assert_eq!(facts.over_at(Duration::from_secs(60)), Some(at(200)), "its own time counts");
        // As the next process reads it.
        let stored = STANDARD.encode(serde_json::to_vec(&facts).unwrap());
        assert_eq!(Facts::decode(&stored), Some(facts.clone()));
        facts.note_hook(done(HookEvent::PreUpgrade));
        assert_eq!(facts.running, None);
        assert!(facts.hook_done(HookEvent::PreUpgrade, "Job", "j"));
        assert_eq!(facts.over_at(Duration::from_secs(60)), Some(at(160)), "the action's time begins again");
        facts.note_running(running(HookEvent::PostUpgrade));
        assert!(facts.applied && facts.has_begun(HookEvent::PostUpgrade), "it comes after the changes");
    }

    #[test]
    fn what_hooks_printed_is_bounded() {
        let mut facts = Facts::default();
        for name in ["a", "b", "c"] {
            let output = "x".repeat(OUTPUT_LIMIT / 2);
            facts.note_hook(HookFacts { name: name.to_owned(), output, ..done(HookEvent::PreInstall) });
        }
        let kept: Vec<_> = facts.hooks.iter().map(|h| (h.name.as_str(), !h.output.is_empty())).collect();
        assert_eq!(kept, [("a", false), ("b", true), ("c", true)]);
    }
}

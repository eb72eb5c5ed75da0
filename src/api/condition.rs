//! Conditions: the only place that spells their types and reasons.
//!
//! `Ready`, `Reconciling` and `Stalled` follow kstatus; the last two are present only while `True`.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;

/// The object is as its spec asks.
pub const READY: &str = "Ready";
/// Work is going on.
pub const RECONCILING: &str = "Reconciling";
/// Nothing will change until the inputs do.
pub const STALLED: &str = "Stalled";
/// How the last action on the release ended.
pub const RELEASED: &str = "Released";
/// How the chart's tests ended on the deployed revision.
pub const TEST_SUCCESS: &str = "TestSuccess";
/// What was done about a failure, and how that ended.
pub const REMEDIATED: &str = "Remediated";
/// The chart has the signatures that its repository requires.
pub const SOURCE_VERIFIED: &str = "SourceVerified";
/// `spec.rollbackTo` holds the release at an older revision.
pub const HELD: &str = "Held";

/// Longest message of a condition, in bytes.
const MESSAGE_LIMIT: usize = 2048;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Why a condition has its status. The strings are API: additive only.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)* }

        impl Reason {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The CamelCase text of the API.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)* }
            }
        }
    };
}

reasons! {
    /// The install is done and its objects are current.
    InstallSucceeded,
    /// The install failed.
    InstallFailed,
    /// The upgrade is done and its objects are current.
    UpgradeSucceeded,
    /// The upgrade failed.
    UpgradeFailed,
    /// The rollback is done and its objects are current.
    RollbackSucceeded,
    /// The rollback failed.
    RollbackFailed,
    /// The uninstall is done.
    UninstallSucceeded,
    /// The uninstall failed.
    UninstallFailed,
    /// All tests of the revision are done, and none failed.
    TestSucceeded,
    /// A test failed, or did not end in time.
    TestFailed,
    /// The tests of the revision have not ended.
    AwaitingTests,
    /// The action failed as often as its remediation allows.
    RetriesExceeded,
    /// A failed upgrade is to be rolled back, and there is no good revision to go back to.
    MissingRollbackTarget,
    /// An action or a fetch is going on.
    Progressing,
    /// The last attempt failed and another one follows.
    ProgressingWithRetry,
    /// A release named in `dependsOn` is missing or not ready.
    DependencyNotReady,
    /// The `dependsOn` references lead back to where they began.
    DependencyCycle,
    /// The source could not be reached or answered with an error.
    ChartUnavailable,
    /// The source has no chart of that name.
    ChartNotFound,
    /// The source has the chart, in no version that is asked for.
    VersionNotFound,
    /// The archive is not what the index or the spec says, or cannot be read.
    ChartCorrupt,
    /// The source has other bytes under the version that runs.
    DigestChanged,
    /// The source does not have the version any more that runs, only lower ones.
    VersionDisappeared,
    /// Nobody who is trusted vouches for the chart.
    VerificationFailed,
    /// The source refused the credentials.
    AuthenticationFailed,
    /// A Secret or ConfigMap of the source's spec is missing or malformed.
    SecretNotFound,
    /// The reference leads to something that this namespace may not use.
    AccessDenied,
    /// `valuesFrom` or `values` could not be read.
    ValuesInvalid,
    /// The values break the chart's values.schema.json.
    SchemaViolation,
    /// A template failed.
    RenderFailed,
    /// Rendering went over a limit.
    RenderLimitExceeded,
    /// The rendered text is not a list of Kubernetes objects.
    InvalidManifest,
    /// The spec asks for what cannot be.
    InvalidSpec,
    /// The server knows no such kind.
    KindNotFound,
    /// An object belongs to another release, or to none.
    OwnershipConflict,
    /// Another field manager owns a field that the chart sets.
    ApplyConflict,
    /// Another HelmRelease holds the release of that name.
    ReleaseClaimed,
    /// helm made a revision beside Pintle.
    ExternalRelease,
    /// A field of an existing object cannot be changed.
    ImmutableField,
    /// An admission policy or webhook said no.
    AdmissionDenied,
    /// The server warned of an object that it took.
    AdmissionWarning,
    /// The identity lacks a right.
    Forbidden,
    /// The ServiceAccount of the spec does not exist.
    ServiceAccountNotFound,
    /// A ResourceQuota is exhausted.
    QuotaExceeded,
    /// The namespace is being deleted.
    NamespaceTerminating,
    /// The record of the revision does not fit into storage.
    ReleaseTooLarge,
    /// A hook whose log is asked for succeeded.
    HookSucceeded,
    /// A hook failed.
    HookFailed,
    /// A hook did not end in time.
    HookTimeout,
    /// The objects did not become ready in time.
    WaitTimeout,
    /// `spec.rollbackTo` names a revision that the history does not have.
    RevisionNotFound,
    /// `releaseName`, `targetNamespace` or `storageNamespace` changed after the first deploy.
    TargetChanged,
    /// The plan waits for its approval.
    AwaitingApproval,
    /// A plan was approved that is not the present one.
    PlanOutdated,
    /// The work was cut short by the end of its process.
    Interrupted,
    /// A newer spec took over.
    Superseded,
    /// `spec.suspend` is set.
    Suspended,
    /// The objects were left in place when the HelmRelease went.
    UninstallSkipped,
    /// The index was fetched, the signature is good.
    Succeeded,
    /// A defect of Pintle.
    InternalError,
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether a condition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It does.
    True,
    /// It does not.
    False,
    /// Not known yet.
    Unknown,
}

impl Status {
    fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

/// Sets condition `type_`; its transition time moves only when its status does.
pub fn set(
    conditions: &mut Vec<Condition>,
    type_: &str,
    status: Status,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    now: Timestamp,
) {
    let message = truncate(message, MESSAGE_LIMIT);
    let mut next = Condition {
        type_: type_.to_owned(),
        status: status.as_str().to_owned(),
        reason: reason.as_str().to_owned(),
        message,
        observed_generation: generation,
        last_transition_time: Time(now),
    };
    match conditions.iter_mut().find(|c| c.type_ == type_) {
        Some(old) => {
            if old.status == next.status {
                next.last_transition_time = old.last_transition_time.clone();
            }
            *old = next;
        }
        None => conditions.push(next),
    }
}

/// Removes condition `type_`.
pub fn remove(conditions: &mut Vec<Condition>, type_: &str) {
    conditions.retain(|c| c.type_ != type_);
}

/// The condition `type_`.
pub fn find<'a>(conditions: &'a [Condition], type_: &str) -> Option<&'a Condition> {
    conditions.iter().find(|c| c.type_ == type_)
}

/// Whether condition `type_` is `True`.
pub fn is_true(conditions: &[Condition], type_: &str) -> bool {
    find(conditions, type_).is_some_and(|c| c.status == "True")
}

/// Cuts a text to at most `limit` bytes at a character, keeping its head and its tail: the place of an error
/// stands at its beginning, the cause at its end.
pub fn truncate(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let half = limit.saturating_sub(5) / 2;
    let head = (0..=half).rev().find_map(|at| text.get(..at)).unwrap_or_default();
    let tail = (text.len() - half..text.len()).find_map(|at| text.get(at..)).unwrap_or_default();
    format!("{head} … {tail}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_transition_time_moves_with_the_status_only() {
        let mut conditions = Vec::new();
        let at = |s| Timestamp::from_second(s).unwrap();
        set(&mut conditions, READY, Status::Unknown, Reason::Progressing, "a", Some(1), at(1));
        set(&mut conditions, READY, Status::True, Reason::InstallSucceeded, "b", Some(1), at(2));
        set(&mut conditions, READY, Status::True, Reason::UpgradeSucceeded, "c", Some(2), at(3));
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].reason, "UpgradeSucceeded");
        assert_eq!(conditions[0].last_transition_time.0, at(2));
        assert!(is_true(&conditions, READY));
        remove(&mut conditions, READY);
        assert!(find(&conditions, READY).is_none());
    }

    #[test]
    fn long_messages_keep_head_and_tail() {
        let text = format!("head {} tail", "ü".repeat(3000));
        let cut = truncate(&text, MESSAGE_LIMIT);
        assert!(cut.len() <= MESSAGE_LIMIT, "{}", cut.len());
        assert!(cut.starts_with("head ") && cut.ends_with(" tail"));
        assert_eq!(truncate("short", 10), "short");
    }
}

//! Decides what to do about a release, from what was observed of it.
//!
//! Pure: the same state, wish and time always yield the same [`Decision`], so the whole table is tested without
//! a cluster. Acting on the decision is the concern of [`execute`](super::execute()).

use std::time::Duration;

use jiff::Timestamp;

use super::remediation::Remedies;
use super::state::{Failed, ReleaseState};
use super::{Action, Desired};
use crate::api::{Reason, RemediationStrategy};
use crate::cluster::Retry;

/// The first pause after a failure.
const SHORTEST: Duration = Duration::from_secs(5);
/// The longest pause after a failure.
const LONGEST: Duration = Duration::from_secs(300);
/// The shortest pause when somebody has to do something in the cluster first.
const SLOW: Duration = Duration::from_secs(60);

/// The one next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// All is well.
    Nothing,
    /// Render, and make the first revision.
    Install,
    /// Render, and make another revision.
    Upgrade,
    /// Take helm's revision over as it is, when it is what would be rendered; else as an upgrade.
    Adopt {
        /// The revision.
        revision: u32,
    },
    /// Make a revision with the content of an older one.
    Rollback {
        /// The older one.
        to: u32,
    },
    /// Put a failure right.
    Remediate {
        /// The revision that failed.
        revision: u32,
        /// How.
        how: Remedial,
    },
    /// Run the tests of a deployed revision, or go on with them.
    Test {
        /// The revision.
        revision: u32,
    },
    /// Go on with a pending revision, from its record.
    Resume {
        /// The revision.
        revision: u32,
    },
    /// Give up a pending revision, as failed: what it was for is no longer wanted, or its writer is gone.
    Supersede {
        /// The revision.
        revision: u32,
        /// Why.
        reason: Reason,
        /// Why, in words.
        message: String,
    },
    /// End an uninstall that has begun.
    Uninstall,
    /// Do nothing until the inputs change.
    Stall {
        /// The condition's reason.
        reason: Reason,
        /// The condition's message.
        message: String,
    },
    /// Look again later.
    Later {
        /// When.
        after: Duration,
        /// The condition's reason.
        reason: Reason,
        /// The condition's message.
        message: String,
    },
}

/// How a failure is put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedial {
    /// By a revision with the content of this one.
    Rollback {
        /// The good one.
        to: u32,
    },
    /// By an uninstall.
    Uninstall,
}

impl Decision {
    /// The action that a new revision is made for.
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Install => Some(Action::Install),
            Self::Upgrade => Some(Action::Upgrade),
            Self::Rollback { .. } | Self::Remediate { how: Remedial::Rollback { .. }, .. } => {
                Some(Action::Rollback)
            }
            Self::Uninstall | Self::Remediate { how: Remedial::Uninstall, .. } => Some(Action::Uninstall),
            _ => None,
        }
    }
}

/// Picks the one next step.
///
/// Failures count only if they left a revision behind; what fails before that is the controller's to count, with
/// the same [`backoff`].
pub fn decide(state: &ReleaseState, desired: &Desired, remedies: &Remedies, now: Timestamp) -> Decision {
    match state {
        ReleaseState::Absent => Decision::Install,
        ReleaseState::Uninstalled { .. } if remedies.replace => Decision::Install,
        ReleaseState::Uninstalled { revision } => kept_record(*revision),
        ReleaseState::Claimed { owner, holder } => {
            let error = super::history::claimed(owner, holder);
            Decision::Stall { reason: error.reason, message: error.message }
        }
        ReleaseState::Pending { revision, same_inputs, ours: true, .. } => resume(*revision, *same_inputs),
        ReleaseState::Pending { revision, until, beside, .. } => {
            wait_for_helm(*revision, *until, beside.as_deref(), now)
        }
        ReleaseState::Uninstalling { .. } => Decision::Uninstall,
        ReleaseState::Unmanaged { revision, deployed: true } if !desired.force => {
            Decision::Adopt { revision: *revision }
        }
        ReleaseState::Unmanaged { .. } => Decision::Upgrade,
        ReleaseState::External { revision, what } => external(*revision, what),
        ReleaseState::OutOfSync { installed, .. } => go(desired, *installed),
        ReleaseState::Failed { revision, failed, installed, is_remedy, good } => {
            let again =
                if *is_remedy { put_right_by_rollback(*revision, *good) } else { go(desired, *installed) };
            match remedies.of(failed.action).filter(|_| !is_remedy) {
                Some(remediation) => remediate(*revision, failed, remediation, *good, again),
                None => retry(*revision, failed, again, now),
            }
        }
        ReleaseState::Remediated { revision, failed, back_at } => {
            remediated(*revision, failed, *back_at, remedies, go(desired, back_at.is_some()), now)
        }
        ReleaseState::Untested { revision } => Decision::Test { revision: *revision },
        ReleaseState::InSync { .. } | ReleaseState::Held { .. } => Decision::Nothing,
        ReleaseState::MissingRevision { message } => {
            Decision::Stall { reason: Reason::RevisionNotFound, message: message.clone() }
        }
    }
}

/// The action towards what is wanted.
fn go(desired: &Desired, installed: bool) -> Decision {
    match desired.rollback_to {
        Some(to) => Decision::Rollback { to },
        // A chart whose install failed half-way needs its install hooks again: nothing of it ever ran.
        None if ReleaseState::forward(installed) == Action::Install => Decision::Install,
        None => Decision::Upgrade,
    }
}

fn external(revision: u32, what: &str) -> Decision {
    Decision::Stall {
        reason: Reason::ExternalRelease,
        message: format!(
            "helm made revision {revision} ({what}) beside Pintle; it is left alone until the spec changes, or the \
             annotation pintle.dev/forceAt asks for a new revision"
        ),
    }
}

/// Goes on with a revision of Pintle's, if it is still wanted.
fn resume(revision: u32, same_inputs: bool) -> Decision {
    if same_inputs {
        return Decision::Resume { revision };
    }
    let message = format!("revision {revision} was given up for a newer spec");
    Decision::Supersede { revision, reason: Reason::Superseded, message }
}

/// helm is at work, or was: what is fresh is never taken from it, whatever the spec asks for. What it left unfinished
/// is reported like anything that helm does beside Pintle, and given up only when a new revision has to be made.
fn wait_for_helm(revision: u32, until: Option<Timestamp>, beside: Option<&str>, now: Timestamp) -> Decision {
    let left = until.and_then(|until| Duration::try_from(until.duration_since(now)).ok());
    if let Some(left) = left.filter(|left| !left.is_zero()) {
        return Decision::Later {
            after: left.min(Duration::from_secs(30)),
            reason: Reason::Progressing,
            message: format!("helm is working on revision {revision}; it is left alone until that ends"),
        };
    }
    match beside {
        Some(what) => external(revision, &format!("{what}; it was never finished")),
        None => Decision::Supersede {
            revision,
            reason: Reason::Interrupted,
            message: format!("helm left revision {revision} unfinished"),
        },
    }
}

/// helm refuses the name as well, unless it is told to replace the release.
fn kept_record(revision: u32) -> Decision {
    Decision::Stall {
        reason: Reason::InstallFailed,
        message: format!(
            "the release was uninstalled, and its record is kept up to revision {revision}; set spec.install.replace to \
             go on from it, or delete its Secrets"
        ),
    }
}

/// Whether it was cut short: nothing was wrong with it.
fn is_cut_short(failed: &Failed) -> bool {
    known_reason(&failed.reason) == Reason::Interrupted
}

/// What follows a failure that the spec says how to put right.
fn remediate(
    revision: u32,
    failed: &Failed,
    remediation: super::Remediation,
    good: Option<u32>,
    again: Decision,
) -> Decision {
    if is_cut_short(failed) {
        return again;
    }
    let is_last = failed.retry == Retry::OnChange || remediation.is_exhausted(failed.failures);
    if is_last && !remediation.last {
        return stop(failed, &failed.message);
    }
    match remediation.strategy {
        RemediationStrategy::Uninstall => Decision::Remediate { revision, how: Remedial::Uninstall },
        RemediationStrategy::Rollback if good.is_none() => Decision::Stall {
            reason: Reason::MissingRollbackTarget,
            message: format!(
                "the {} failed, and there is no good revision to go back to: {}; change the spec, or set \
                 spec.upgrade.remediation.strategy to uninstall",
                failed.action.as_str(),
                failed.message
            ),
        },
        RemediationStrategy::Rollback => put_right_by_rollback(revision, good),
    }
}

fn put_right_by_rollback(revision: u32, good: Option<u32>) -> Decision {
    match good {
        Some(to) => Decision::Remediate { revision, how: Remedial::Rollback { to } },
        None => Decision::Stall {
            reason: Reason::MissingRollbackTarget,
            message: format!(
                "revision {revision} was to go back to a revision that is not in the history any more"
            ),
        },
    }
}

/// What follows when a failure was put right: the next try, after a pause, or the end.
fn remediated(
    revision: u32,
    failed: &Failed,
    back_at: Option<u32>,
    remedies: &Remedies,
    again: Decision,
    now: Timestamp,
) -> Decision {
    let done = match back_at {
        Some(to) => format!("revision {revision} has the content of revision {to} again"),
        None => "the release was uninstalled".to_owned(),
    };
    let failed = Failed { message: format!("{}; {done}", failed.message), ..failed.clone() };
    let remediation = remedies.of(failed.action);
    if failed.retry == Retry::OnChange || remediation.is_some_and(|r| r.is_exhausted(failed.failures)) {
        return stop(&failed, &failed.message);
    }
    retry(revision, &failed, again, now)
}

/// Nothing more is tried. What only a change of the inputs can mend says so by its own reason.
fn stop(failed: &Failed, message: &str) -> Decision {
    if failed.retry == Retry::OnChange {
        return Decision::Stall { reason: known_reason(&failed.reason), message: message.to_owned() };
    }
    let times = if failed.failures == 1 { "once".to_owned() } else { format!("{} times", failed.failures) };
    let action = failed.action.as_str();
    Decision::Stall {
        reason: Reason::RetriesExceeded,
        message: format!(
            "the {action} failed {times}, which is all that spec.{action}.remediation.retries allows; the last time with \
             {}: {message}; change the spec, or set the annotation pintle.dev/resetAt",
            failed.reason
        ),
    }
}

/// Tries again when the pause after a failure is over.
fn retry(revision: u32, failed: &Failed, again: Decision, now: Timestamp) -> Decision {
    let Failed { failures, reason, retry, at, message, .. } = failed;
    let known = known_reason(reason);
    if *retry == Retry::OnChange {
        return Decision::Stall { reason: known, message: message.clone() };
    }
    if is_cut_short(failed) {
        return again;
    }
    let mut pause = backoff(*failures, u64::from(revision));
    if *retry == Retry::Later {
        pause = pause.max(SLOW);
    }
    // A clock that went back must not stretch the pause.
    let passed = at.map_or(pause, |at| Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO));
    match pause.checked_sub(passed) {
        Some(left) if !left.is_zero() => {
            Decision::Later { after: left, reason: known, message: message.clone() }
        }
        _ => again,
    }
}

/// How long to wait after `failures` failures in a row: 5 s, doubled each time, at most 5 min, spread by a tenth
/// either way so that releases that failed together do not try together. `seed` makes the spread repeatable.
pub fn backoff(failures: u32, seed: u64) -> Duration {
    let doubled = SHORTEST.saturating_mul(1_u32 << failures.saturating_sub(1).min(16));
    let pause = doubled.min(LONGEST);
    // SplitMix64: neighbouring seeds must not give neighbouring pauses.
    let mut mixed = seed.wrapping_add(u64::from(failures)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let spread = u32::try_from((mixed >> 32) % 201).unwrap_or(100);
    pause.saturating_mul(900 + spread) / 1000
}

/// The reason behind a recorded text.
pub(super) fn known_reason(text: &str) -> Reason {
    const KNOWN: [Reason; 23] = [
        Reason::InstallFailed,
        Reason::TestFailed,
        Reason::UpgradeFailed,
        Reason::RollbackFailed,
        Reason::UninstallFailed,
        Reason::InvalidManifest,
        Reason::KindNotFound,
        Reason::OwnershipConflict,
        Reason::ApplyConflict,
        Reason::ReleaseClaimed,
        Reason::ImmutableField,
        Reason::AdmissionDenied,
        Reason::Forbidden,
        Reason::QuotaExceeded,
        Reason::NamespaceTerminating,
        Reason::ReleaseTooLarge,
        Reason::HookFailed,
        Reason::HookTimeout,
        Reason::WaitTimeout,
        Reason::RevisionNotFound,
        Reason::Interrupted,
        Reason::Superseded,
        Reason::ProgressingWithRetry,
    ];
    KNOWN.into_iter().find(|r| r.as_str() == text).unwrap_or(Reason::InternalError)
}

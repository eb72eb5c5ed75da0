//! Decides what to do about a release, from what was observed of it.
//!
//! Pure: the same state, wish and time always yield the same [`Decision`], so the whole table is tested without
//! a cluster. Acting on the decision is the concern of [`execute`](super::execute()).

use std::time::Duration;

use jiff::Timestamp;

use super::state::ReleaseState;
use super::{Action, Desired};
use crate::api::Reason;
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

impl Decision {
    /// The action that a new revision is made for.
    pub fn action(&self) -> Option<Action> {
        match self {
            Self::Install => Some(Action::Install),
            Self::Upgrade => Some(Action::Upgrade),
            Self::Rollback { .. } => Some(Action::Rollback),
            Self::Uninstall => Some(Action::Uninstall),
            _ => None,
        }
    }
}

/// Picks the one next step.
///
/// Failures count only if they left a revision behind; what fails before that is the controller's to count, with
/// the same [`backoff`].
pub fn decide(state: &ReleaseState, desired: &Desired, now: Timestamp) -> Decision {
    match state {
        ReleaseState::Absent => Decision::Install,
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
        ReleaseState::Failed { .. } => failed(state, desired, now),
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

fn failed(state: &ReleaseState, desired: &Desired, now: Timestamp) -> Decision {
    let ReleaseState::Failed { revision, same_inputs, installed, failures, reason, retry, at, message } =
        state
    else {
        return Decision::Nothing;
    };
    if !same_inputs {
        return go(desired, *installed);
    }
    let known = known_reason(reason);
    if *retry == Retry::OnChange {
        return Decision::Stall { reason: known, message: message.clone() };
    }
    // Nothing was wrong with it: its process was told to end.
    if known == Reason::Interrupted {
        return go(desired, *installed);
    }
    let mut pause = backoff(*failures, u64::from(*revision));
    if *retry == Retry::Later {
        pause = pause.max(SLOW);
    }
    // A clock that went back must not stretch the pause.
    let passed = at.map_or(pause, |at| Duration::try_from(now.duration_since(at)).unwrap_or(Duration::ZERO));
    match pause.checked_sub(passed) {
        Some(left) if !left.is_zero() => {
            Decision::Later { after: left, reason: known, message: message.clone() }
        }
        _ => go(desired, *installed),
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
fn known_reason(text: &str) -> Reason {
    const KNOWN: [Reason; 22] = [
        Reason::InstallFailed,
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

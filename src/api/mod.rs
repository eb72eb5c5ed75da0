//! The Kubernetes API of Pintle: types, defaults and validation rules. No I/O.
//!
//! The schemas in `crds/` are generated from these types by `pintle crds`. Field names equal Flux's where the
//! meaning is equal.

mod chart_repository;
pub mod condition;
mod duration;
mod helm_release;
#[cfg(test)]
mod stories;

pub use chart_repository::{
    Artifact, ChartRepository, ChartRepositorySpec, ChartRepositoryStatus, LocalSecretReference, Verify,
    VerifyKeys,
};
pub use condition::Reason;
pub use duration::GoDuration;
pub use helm_release::*;

/// The API group.
pub const GROUP: &str = "pintle.dev";
/// Asks for a reconcile now; its value is echoed in `status.lastHandledReconcileAt`.
pub const REQUESTED_AT: &str = "pintle.dev/requestedAt";
/// Asks for a new revision even when nothing changed; echoed in `status.lastHandledForceAt` when that has ended.
pub const FORCE_AT: &str = "pintle.dev/forceAt";
/// Approves the plan whose digest it has, under `spec.approval: Manual`.
pub const APPROVE: &str = "pintle.dev/approve";
/// Lets failures before it count no more, so that retries begin anew; echoed in `status.lastHandledResetAt`.
pub const RESET_AT: &str = "pintle.dev/resetAt";
/// Holds a `HelmRelease` until its objects are uninstalled.
pub const FINALIZER: &str = "pintle.dev/release";

//! Deletes objects that left the manifest.

use super::{Change, Error, Planned, Release, bounded};
use crate::cluster::{Class, Deletion};
use crate::telemetry::failpoint::Failpoint;

/// Deletes what the plan says.
///
/// All are tried before the first refusal is given back, as Helm does.
///
/// # Errors
/// The first refusal.
pub(super) async fn prune(cx: &Release<'_>, leftovers: &[Planned]) -> Result<(), Error> {
    let due: Vec<&Planned> = leftovers.iter().filter(|p| p.change == Change::Delete).collect();
    if !due.is_empty() {
        Failpoint::Pruning.reach();
    }
    bounded(due.into_iter().map(|planned| delete(cx, planned)).collect()).await.into_iter().collect()
}

/// Deletes one object, if it is still the one that was planned for.
///
/// # Errors
/// The server's refusal.
pub(super) async fn delete(cx: &Release<'_>, planned: &Planned) -> Result<(), Error> {
    let Some(live) = planned.live.as_ref().filter(|live| !live.is_terminating()) else { return Ok(()) };
    let propagation = cx.policy.deletion_propagation;
    match cx.tenant.delete(&planned.kind, &planned.object, live.uid(), propagation).await {
        Ok(Deletion::Accepted | Deletion::Absent) => Ok(()),
        Ok(Deletion::OtherObject) => {
            tracing::info!(object = %planned.object, "left alone: it is not the object that the release made");
            Ok(())
        }
        Err(error) if error.class == Class::KindNotFound => Ok(()),
        Err(error) => Err(error.into()),
    }
}

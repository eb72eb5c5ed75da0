//! Deletes objects that left the manifest.
//!
//! Hooks and whole ranks lie between the plan and the delete: time enough for somebody to take an object over, or to
//! mark it as kept. The delete therefore carries the version that was judged, and what changed is judged again.

use std::time::Duration;

use super::live::read;
use super::ownership::{self, Ownership};
use super::{Change, Error, LiveObject, Planned, Release, ReleaseKey, bounded};
use crate::api::Reason;
use crate::cluster::{Class, Deletion, Retry};
use crate::telemetry::failpoint::Failpoint;

/// What is known of the kinds may be this old when the server says that it has no such path.
const REFRESH_PAUSE: Duration = Duration::from_secs(1);
/// Tries of one delete while the object keeps changing.
const TRIES: usize = 5;

/// Deletes what the plan says; the objects that are not gone with that, because something holds them.
///
/// All are tried before the first refusal is given back, as Helm does.
///
/// # Errors
/// The first refusal.
pub(super) async fn prune<'p>(cx: &Release<'_>, leftovers: &'p [Planned]) -> Result<Vec<&'p Planned>, Error> {
    let due: Vec<&Planned> = leftovers.iter().filter(|p| p.change == Change::Delete).collect();
    if !due.is_empty() {
        Failpoint::Pruning.reach();
    }
    let ends: Result<Vec<bool>, Error> =
        bounded(due.iter().map(|planned| delete(cx, planned)).collect()).await.into_iter().collect();
    Ok(due.into_iter().zip(ends?).filter(|(_, gone)| !gone).map(|(planned, _)| planned).collect())
}

/// What happens to a live object that the release does not want any more.
pub(super) fn removal(key: &ReleaseKey, live: &LiveObject) -> Change {
    let why = match ownership::ownership(live, key) {
        _ if ownership::is_kept(live.value()) => "its resource policy says so".to_owned(),
        Ownership::Ours => return Change::Delete,
        Ownership::Nobody => "its ownership marks were removed".to_owned(),
        Ownership::Other { name, namespace } => format!("it belongs to release {namespace}/{name} now"),
    };
    Change::Keep { why }
}

/// Deletes one object, if it is still the one that was planned for, and still to be deleted. Whether nothing of it is
/// waited for any more.
async fn delete(cx: &Release<'_>, planned: &Planned) -> Result<bool, Error> {
    let uid = planned.live.as_ref().and_then(LiveObject::uid);
    let mut live = planned.live.clone();
    let (mut kind, mut object) = (planned.kind.clone(), planned.object.clone());
    for _ in 0..TRIES {
        let Some(found) = live else { return Ok(true) };
        if found.is_terminating() {
            return Ok(false);
        }
        let change = if found.uid() == uid {
            removal(cx.key, &found)
        } else {
            Change::Keep { why: "it is not the object that the release made".to_owned() }
        };
        if let Change::Keep { why } = change {
            tracing::info!(object = %planned.object, why, "left alone");
            // What is another object by now is not waited for.
            return Ok(found.uid() != uid);
        }
        let propagation = cx.policy.deletion_propagation;
        match cx.tenant.delete(&kind, &object, found.as_read(), propagation).await {
            Ok(Deletion::Gone | Deletion::Absent) => return Ok(true),
            Ok(Deletion::Accepted) => return Ok(false),
            Ok(Deletion::OtherObject) => {}
            Err(error) if error.class == Class::KindNotFound => {
                // The object may be there under another version; with its kind it would be gone.
                let served = cx.discovery.refresh(REFRESH_PAUSE).await?;
                let Some(other) = served.in_any_version(&object) else { return Ok(true) };
                object.version.clone_from(&other.version);
                kind = other.clone();
            }
            Err(error) => return Err(error.into()),
        }
        live = match read(cx, &kind, &object).await {
            // With its kind went the object.
            Err(error) if error.reason == Reason::KindNotFound && !error.transient => return Ok(true),
            read => read?,
        };
    }
    let message = format!("{} changes all the time; its removal is tried again", planned.object);
    let mut error = Error::new(Reason::ProgressingWithRetry, Retry::Soon, message).about(&planned.object);
    error.transient = true;
    Err(error)
}

#[cfg(test)]
mod tests {
    //! Unit: what a removal is allowed to take.

    use serde_json::json;

    use super::*;
    use crate::cluster::Precondition;

    #[test]
    fn only_what_is_ours_and_not_kept_is_removed() {
        let key = ReleaseKey { name: "r".into(), namespace: "ns".into(), storage_namespace: "ns".into() };
        let live = |managed: &str, name: &str, policy: &str| {
            LiveObject::new(json!({"metadata": {
                "uid": "u", "resourceVersion": "7",
                "labels": {"app.kubernetes.io/managed-by": managed},
                "annotations": {
                    "meta.helm.sh/release-name": name,
                    "meta.helm.sh/release-namespace": "ns",
                    "helm.sh/resource-policy": policy,
                },
            }}))
        };
        let keep = |why: &str| Change::Keep { why: why.to_owned() };
        for (name, live, want) in [
            ("ours", live("Helm", "r", ""), Change::Delete),
            ("ours, and kept", live("Helm", "r", "keep"), keep("its resource policy says so")),
            ("taken over", live("Helm", "s", ""), keep("it belongs to release ns/s now")),
            ("unmarked", live("me", "r", ""), keep("its ownership marks were removed")),
        ] {
            assert_eq!(removal(&key, &live), want, "{name}");
        }
        let read = live("Helm", "r", "");
        assert_eq!(read.as_read(), Precondition::Version { uid: "u", version: "7" });
        assert_eq!(LiveObject::new(json!({})).as_read(), Precondition::None);
    }
}

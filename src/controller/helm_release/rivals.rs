//! Other HelmReleases that name the same release.
//!
//! The record tells whose a release is, as far as it is read: not when helm wrote it last, and not when the other
//! HelmRelease keeps its record in another namespace. Both would mark the same objects with the same name. What is
//! known of all HelmReleases tells it then, without a mark of our own on any object.

use std::cmp::Reverse;

use kube::ResourceExt;

use super::Work;
use crate::api::condition::{self, READY};
use crate::api::{HelmRelease, Reason, Target};
use crate::controller::store::{Key, Place};

impl Work<'_> {
    /// Another HelmRelease that has this one's release, though helm wrote the record last.
    pub(super) fn rival(&self) -> Option<Key> {
        let others = self.operator.helm_releases.keys(|other| {
            let status = other.status.as_ref().filter(|status| !status.history.is_empty());
            let ready = status.and_then(|status| condition::find(&status.conditions, READY));
            other.metadata.deletion_timestamp.is_none()
                && other.target() == self.target
                && ready.is_some_and(|ready| ready.reason != Reason::ReleaseClaimed.as_str())
        });
        others.into_iter().find(|key| key != self.key)
    }

    /// The HelmRelease whose objects this one's release would take, since only their records lie apart.
    pub(super) fn rival_elsewhere(&self) -> Option<Key> {
        let releases = &self.operator.helm_releases;
        let place = Place::Release(&self.target.target_namespace, &self.target.release_name);
        let others =
            releases.keys_at(&place, |other| is_same_but_stored_apart(&other.target(), &self.target));
        let others = others.into_iter().filter_map(|key| Some((claim(&*releases.get(&key)?), key)));
        let (strongest, key) = others.max()?;
        (strongest > claim(self.object)).then_some(key)
    }
}

fn is_same_but_stored_apart(one: &Target, other: &Target) -> bool {
    one.release_name == other.release_name
        && one.target_namespace == other.target_namespace
        && one.storage_namespace != other.storage_namespace
}

/// How strong a claim is: who has made a revision has more than who has not, the older one more than the younger.
fn claim(release: &HelmRelease) -> impl Ord + use<> {
    let has_record = release.status.as_ref().is_some_and(|status| status.target.is_some());
    let created = release.metadata.creation_timestamp.as_ref().map(|time| time.0);
    (has_record, Reverse(created), Reverse((release.namespace(), release.name_any())))
}

#[cfg(test)]
mod tests {
    //! Unit: whose release it is.

    use serde_json::json;

    use super::*;

    fn release(namespace: &str, second: u32, has_record: bool) -> HelmRelease {
        let target = json!({"releaseName": "r", "targetNamespace": "apps", "storageNamespace": namespace});
        serde_json::from_value(json!({
            "apiVersion": "pintle.dev/v1alpha1",
            "kind": "HelmRelease",
            "metadata": {
                "name": "web", "namespace": namespace, "creationTimestamp": format!("2026-01-01T00:00:0{second}Z"),
            },
            "spec": {"chart": {"url": "https://h/c-1.tgz"}, "releaseName": "r", "targetNamespace": "apps"},
            "status": if has_record { json!({"target": target}) } else { json!({}) },
        }))
        .unwrap()
    }

    #[test]
    fn the_record_counts_first_then_age_then_the_name() {
        let (a, b) = (release("a", 1, false), release("b", 2, false));
        assert!(is_same_but_stored_apart(&a.target(), &b.target()));
        assert!(!is_same_but_stored_apart(&a.target(), &a.target()), "the record itself tells");
        for (name, winner, loser) in [
            ("the older one", &a, &b),
            ("the one with a record", &release("b", 2, true), &a),
            ("the first by name", &release("a", 2, false), &b),
        ] {
            assert!(claim(winner) > claim(loser), "{name}");
            assert!(claim(loser) < claim(winner), "{name}");
        }
    }
}

//! The records of all releases, as the watch on their metadata tells of them: whether a release has any, and how its
//! revisions stand, is known without a request.
//!
//! The watch may be behind. So it never says that something may be written; it only spares a look when nothing is to be
//! done, or when there is nothing to look at. The first write of an action fails when it was wrong.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::pin::pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kube::ResourceExt;
use kube_runtime::watcher::Event;
use pintle_helm::record::{self, Status};
use tokio::sync::Notify;

use super::watches::Metadata;
use crate::cluster::is_as_new;
use crate::release::PART_OF;

/// What is known of all records.
#[derive(Default)]
pub struct Records {
    known: Mutex<Known>,
    /// Told whenever something was taken in.
    changed: Notify,
}

#[derive(Default)]
struct Known {
    /// Whether the list is whole: not before the first one, nor while it is made anew.
    is_listed: bool,
    releases: HashMap<(String, String), Stored>,
}

/// What there is of one release.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stored {
    /// Each with the version of its Secret.
    revisions: BTreeMap<u32, (Status, String)>,
    parts: BTreeSet<String>,
}

impl Stored {
    /// Whether nothing is stored.
    pub fn is_empty(&self) -> bool {
        self.revisions.is_empty() && self.parts.is_empty()
    }

    /// Whether Secrets hold parts of records.
    pub fn has_parts(&self) -> bool {
        !self.parts.is_empty()
    }

    /// Whether the newest revision has not come to its end.
    pub fn is_pending(&self) -> bool {
        self.revisions.last_key_value().is_some_and(|(_, (status, _))| status.is_pending())
    }

    /// Whether revision `number` is told of in this version or a newer one, and no other revision is.
    fn is_only(&self, number: u32, version: &str) -> bool {
        let told = self.revisions.get(&number);
        self.revisions.len() == 1 && told.is_some_and(|(_, told)| is_as_new(told, version))
    }

    /// Whether `deployed` is the newest revision and the only one that is deployed, and none is to be pruned (`max` of
    /// them may stay; 0: all).
    pub fn is_settled_at(&self, deployed: u32, max: usize) -> bool {
        let all_deployed = self.revisions.values().filter(|(status, _)| *status == Status::Deployed);
        let newest = self.revisions.last_key_value();
        newest.is_some_and(|(number, (status, _))| *number == deployed && *status == Status::Deployed)
            && all_deployed.count() == 1
            && (max == 0 || self.revisions.len() <= max)
    }
}

impl From<Stored> for BTreeMap<u32, String> {
    fn from(stored: Stored) -> Self {
        stored.revisions.into_iter().map(|(number, (_, version))| (number, version)).collect()
    }
}

impl Records {
    /// Takes in what the watch tells.
    pub fn take(&self, event: &Event<Metadata>) {
        let mut known = self.lock();
        match event {
            Event::Init => *known = Known::default(),
            Event::InitApply(secret) | Event::Apply(secret) => known.put(secret),
            Event::InitDone => known.is_listed = true,
            Event::Delete(secret) => known.remove(secret),
        }
        drop(known);
        self.changed.notify_waiters();
    }

    /// Whether revision `number` of a release, written in `version`, is the only one: once the watch tells of it, all that
    /// was there before it was told, too. False when that does not happen `within` that time.
    pub async fn is_only(
        &self,
        namespace: &str,
        name: &str,
        (number, version): (u32, &str),
        within: Duration,
    ) -> bool {
        let told = async {
            loop {
                let mut changed = pin!(self.changed.notified());
                // From here on no change is missed.
                changed.as_mut().enable();
                if self.of(namespace, name).is_some_and(|stored| stored.is_only(number, version)) {
                    return;
                }
                changed.await;
            }
        };
        tokio::time::timeout(within, told).await.is_ok()
    }

    /// What is stored of the release `name` in `namespace`; none when that cannot be told.
    pub fn of(&self, namespace: &str, name: &str) -> Option<Stored> {
        let known = self.lock();
        let place = (namespace.to_owned(), name.to_owned());
        known.is_listed.then(|| known.releases.get(&place).cloned().unwrap_or_default())
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn put(&mut self, secret: &Metadata) {
        let Some(place) = place(secret) else { return };
        let stored = self.releases.entry(place).or_default();
        match revision(secret) {
            Some((number, status)) => {
                let version = secret.metadata.resource_version.clone().unwrap_or_default();
                stored.revisions.insert(number, (status, version));
            }
            None => drop(stored.parts.insert(secret.name_any())),
        }
    }

    fn remove(&mut self, secret: &Metadata) {
        let Some(place) = place(secret) else { return };
        let Some(stored) = self.releases.get_mut(&place) else { return };
        match revision(secret) {
            Some((number, _)) => drop(stored.revisions.remove(&number)),
            None => drop(stored.parts.remove(&secret.name_any())),
        }
        if stored.is_empty() {
            self.releases.remove(&place);
        }
    }
}

/// Namespace and name of the release that a Secret is of.
fn place(secret: &Metadata) -> Option<(String, String)> {
    let labels = secret.labels();
    let name = labels.get("name").or_else(|| labels.get(PART_OF))?;
    Some((secret.namespace().unwrap_or_default(), name.clone()))
}

/// Number and status of a revision; none of what is no revision's own Secret.
fn revision(secret: &Metadata) -> Option<(u32, Status)> {
    let name = secret.name_any();
    let (_, number) = record::parse_secret_name(&name)?;
    let status = secret.labels().get("status").cloned().unwrap_or_default();
    Some((number, serde_json::from_value(status.into()).unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    //! Unit: what the watch tells of records.

    use serde_json::json;

    use super::*;

    fn head(number: u32, status: &str) -> Metadata {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {
                "namespace": "apps", "name": format!("sh.helm.release.v1.web.v{number}"),
                "labels": {"name": "web", "owner": "helm", "status": status},
            },
        }))
        .unwrap()
    }

    fn part(name: &str) -> Metadata {
        serde_json::from_value(json!({
            "apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata",
            "metadata": {"namespace": "apps", "name": name, "labels": {"owner": "pintle", "pintle.dev/release": "web"}},
        }))
        .unwrap()
    }

    #[test]
    fn nothing_is_told_before_the_list_is_whole() {
        let records = Records::default();
        assert_eq!(records.of("apps", "web"), None);
        records.take(&Event::Init);
        records.take(&Event::InitApply(head(1, "deployed")));
        assert_eq!(records.of("apps", "web"), None);
        records.take(&Event::InitDone);
        assert!(records.of("apps", "web").is_some_and(|stored| !stored.is_empty()));
        assert_eq!(records.of("other", "web"), Some(Stored::default()));
        records.take(&Event::Init);
        assert_eq!(records.of("apps", "web"), None, "the list is made anew");
        records.take(&Event::InitDone);
        assert_eq!(records.of("apps", "web"), Some(Stored::default()), "it has gone meanwhile");
    }

    #[test]
    fn a_release_rests_at_its_newest_revision() {
        for (name, revisions, deployed, max, want) in [
            ("one revision", vec![(1, "deployed")], 1, 10, true),
            ("a newer one", vec![(1, "superseded"), (2, "deployed")], 2, 10, true),
            ("the status is behind", vec![(1, "superseded"), (2, "deployed")], 1, 10, false),
            ("the status is ahead", vec![(1, "deployed")], 2, 10, false),
            ("two are deployed", vec![(1, "deployed"), (2, "deployed")], 2, 10, false),
            ("one is pending", vec![(1, "deployed"), (2, "pending-upgrade")], 1, 10, false),
            ("one is to be pruned", vec![(1, "superseded"), (2, "deployed")], 2, 1, false),
            ("none is ever pruned", vec![(1, "superseded"), (2, "deployed")], 2, 0, true),
            ("nothing is stored", vec![], 1, 10, false),
        ] {
            let records = Records::default();
            records.take(&Event::InitDone);
            for (number, status) in revisions {
                records.take(&Event::Apply(head(number, status)));
            }
            let stored = records.of("apps", "web").unwrap();
            assert_eq!(stored.is_settled_at(deployed, max), want, "{name}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_revision_is_the_only_one_when_the_watch_tells_of_it_and_of_no_other() {
        let at = |number, version: &str| {
            let mut secret = head(number, "pending-install");
            secret.metadata.resource_version = Some(version.to_owned());
            secret
        };
        for (name, told, want) in [
            ("the watch tells of it", vec![at(1, "7")], true),
            ("in a newer version", vec![at(1, "8")], true),
            ("the watch is behind", vec![], false),
            ("an older one of that number", vec![at(1, "3")], false),
            ("there is another one", vec![at(4, "5"), at(1, "7")], false),
            ("the other one comes later", vec![at(1, "6"), at(4, "7"), at(1, "8")], false),
        ] {
            let records = Records::default();
            let is_only = records.is_only("apps", "web", (1, "7"), Duration::from_secs(1));
            let tell = async {
                tokio::task::yield_now().await;
                records.take(&Event::InitDone);
                for secret in told {
                    records.take(&Event::Apply(secret));
                }
            };
            assert_eq!(tokio::join!(is_only, tell).0, want, "{name}");
        }
    }

    #[test]
    fn parts_come_and_go() {
        let records = Records::default();
        records.take(&Event::InitDone);
        records.take(&Event::Apply(part("pintle.release.v1.web.v1.ab.1")));
        let stored = records.of("apps", "web").unwrap();
        assert!(stored.has_parts() && !stored.is_empty());
        records.take(&Event::Delete(part("pintle.release.v1.web.v1.ab.1")));
        assert_eq!(records.of("apps", "web"), Some(Stored::default()));
        assert!(records.lock().releases.is_empty(), "nothing is left over");
    }
}

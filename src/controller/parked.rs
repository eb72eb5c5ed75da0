//! Releases whose objects are on their way: they wait for a change, without a worker.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::store::Key;
use crate::cluster::{Kind, ObjectRef};
use crate::release::{HealthChecks, ReleaseKey};

/// Which release is being worked on for which HelmRelease.
///
/// A release is entered before its first write, so that no change of an object is missed between the look at it
/// and the wait for it.
#[derive(Default)]
pub struct Parking(Mutex<HashMap<(String, String), Parked>>);

/// A release that is worked on, or waits.
struct Parked {
    key: Key,
    /// The revision that the rest is about.
    revision: u32,
    /// By which expressions objects are judged.
    health: Arc<HealthChecks>,
    /// Objects that were ready, and did not change since.
    ready: BTreeSet<ObjectRef>,
    /// Objects that were not, at the last look.
    waits_for: BTreeSet<ObjectRef>,
    /// Objects that changed since the look that goes on began.
    touched: BTreeSet<ObjectRef>,
}

impl Parking {
    /// Changes of the release's objects wake `key` from now on. Gives back the objects of `revision` that were ready
    /// at the last look, by the same expressions, and did not change since.
    pub fn enter(
        &self,
        release: &ReleaseKey,
        key: &Key,
        revision: u32,
        health: &Arc<HealthChecks>,
    ) -> BTreeSet<ObjectRef> {
        let mut all = self.lock();
        let parked = all.entry(place(release)).or_insert_with(|| Parked::new(key, revision, health));
        if parked.key != *key || parked.revision != revision || parked.health != *health {
            *parked = Parked::new(key, revision, health);
        }
        parked.touched.clear();
        parked.ready.clone()
    }

    /// The look that [`enter`](Self::enter) began has found some objects ready, and waits for others. Whether one of these
    /// changed meanwhile.
    pub fn found(
        &self,
        release: &ReleaseKey,
        ready: BTreeSet<ObjectRef>,
        waits_for: BTreeSet<ObjectRef>,
    ) -> bool {
        let mut all = self.lock();
        let Some(parked) = all.get_mut(&place(release)) else { return false };
        parked.ready = ready.difference(&parked.touched).cloned().collect();
        parked.waits_for = waits_for;
        !parked.waits_for.is_disjoint(&parked.touched)
    }

    /// `key` does not wait for the release any more; another HelmRelease that does goes on waiting.
    pub fn leave(&self, release: &ReleaseKey, key: &Key) {
        let mut parked = self.lock();
        if parked.get(&place(release)).is_some_and(|parked| parked.key == *key) {
            parked.remove(&place(release));
        }
    }

    /// Everybody who works on a release, or waits for one.
    pub fn keys(&self) -> Vec<Key> {
        self.lock().values().map(|parked| parked.key.clone()).collect()
    }

    /// Whether a release is worked on, or waited for, for `key`.
    pub fn has(&self, key: &Key) -> bool {
        self.lock().values().any(|parked| parked.key == *key)
    }

    /// The HelmRelease is gone.
    pub fn leave_all(&self, key: &Key) {
        self.lock().retain(|_, parked| parked.key != *key);
    }

    /// Who waits for objects of the release `name` in `namespace`.
    pub fn waiting_for(&self, namespace: &str, name: &str) -> Option<Key> {
        self.lock().get(&(namespace.to_owned(), name.to_owned())).map(|parked| parked.key.clone())
    }

    /// Whether the object is judged by an expression for the release `name` in `namespace`: then every change of it may
    /// mean something.
    pub fn judges(&self, namespace: &str, name: &str, object: &ObjectRef) -> bool {
        let all = self.lock();
        let parked = all.get(&(namespace.to_owned(), name.to_owned()));
        parked.is_some_and(|parked| parked.health.judges(&object.group, &object.kind))
    }

    /// An object of the release `name` in `namespace` changed; who waits for it.
    pub fn touch(&self, namespace: &str, name: &str, object: ObjectRef) -> Option<Key> {
        let mut all = self.lock();
        let parked = all.get_mut(&(namespace.to_owned(), name.to_owned()))?;
        parked.ready.remove(&object);
        parked.touched.insert(object);
        Some(parked.key.clone())
    }

    /// An object changed that does not say which release it belongs to; who waits for it.
    pub fn touch_anywhere(&self, object: &ObjectRef) -> Vec<Key> {
        let mut all = self.lock();
        let waiting = all.values_mut().filter_map(|parked| {
            parked.touched.insert(object.clone());
            parked.waits_for.contains(object).then(|| parked.key.clone())
        });
        waiting.collect()
    }

    /// Who waits for objects of that kind.
    pub fn waiting_for_kind(&self, kind: &Kind) -> Vec<Key> {
        let is_one = |object: &ObjectRef| object.group == kind.group && object.kind == kind.kind;
        let all = self.lock();
        let waiting = all.values().filter(|parked| parked.waits_for.iter().any(is_one));
        waiting.map(|parked| parked.key.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<(String, String), Parked>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Parked {
    fn new(key: &Key, revision: u32, health: &Arc<HealthChecks>) -> Self {
        Self {
            key: key.clone(),
            revision,
            health: Arc::clone(health),
            ready: BTreeSet::new(),
            waits_for: BTreeSet::new(),
            touched: BTreeSet::new(),
        }
    }
}

fn place(release: &ReleaseKey) -> (String, String) {
    (release.namespace.clone(), release.name.clone())
}

#[cfg(test)]
mod tests {
    //! Unit: which objects need no further look.

    use super::*;
    use crate::api::HealthCheckExpr;

    #[test]
    fn what_changed_is_looked_at_again() {
        let release = ReleaseKey { name: "r".into(), namespace: "ns".into(), storage_namespace: "ns".into() };
        let object = |name: &str| ObjectRef {
            group: "apps".into(),
            version: "v1".into(),
            kind: "Deployment".into(),
            namespace: "ns".into(),
            name: name.into(),
        };
        let set = |names: &[&str]| names.iter().map(|name| object(name)).collect::<BTreeSet<_>>();
        let (parking, key, none) = (Parking::default(), Key::new("ns", "hr"), Arc::default());
        assert_eq!(parking.touch("ns", "r", object("a")), None, "nobody waits");
        assert!(parking.enter(&release, &key, 1, &none).is_empty());
        assert_eq!(parking.touch("ns", "r", object("b")).as_ref(), Some(&key));
        parking.found(&release, set(&["a", "b", "c"]), set(&[]));
        assert_eq!(
            parking.enter(&release, &key, 1, &none),
            set(&["a", "c"]),
            "b changed while it was looked at"
        );
        parking.found(&release, set(&["a", "b", "c"]), set(&[]));
        parking.touch("ns", "r", object("c"));
        assert_eq!(parking.enter(&release, &key, 1, &none), set(&["a", "b"]), "c changed after that");
        assert!(parking.enter(&release, &key, 2, &none).is_empty(), "another revision has other objects");
        assert!(parking.touch_anywhere(&object("d")).is_empty(), "nobody waits for it yet");
        assert!(parking.found(&release, set(&[]), set(&["d"])), "it changed during the look");
        assert_eq!(parking.touch_anywhere(&object("d")), std::slice::from_ref(&key));
        parking.leave(&release, &Key::new("ns", "other"));
        assert_eq!(parking.waiting_for("ns", "r"), Some(key));
    }

    #[tokio::test]
    async fn what_an_expression_judges_is_looked_at_whatever_changes() {
        let release = ReleaseKey { name: "r".into(), namespace: "ns".into(), storage_namespace: "ns".into() };
        let object = |group: &str, kind: &str| ObjectRef {
            group: group.into(),
            version: "v1".into(),
            kind: kind.into(),
            namespace: "ns".into(),
            name: "a".into(),
        };
        let checks = async |current: &str| {
            let kind = Some("ConfigMap".to_owned());
            let expr = HealthCheckExpr {
                api_version: "v1".into(),
                kind,
                current: current.into(),
                ..HealthCheckExpr::default()
            };
            Arc::new(HealthChecks::new(&[expr]).await)
        };
        let (parking, key, map) = (Parking::default(), Key::new("ns", "hr"), object("", "ConfigMap"));
        assert!(!parking.judges("ns", "r", &map), "nobody waits");
        parking.enter(&release, &key, 1, &checks("true").await);
        assert!(parking.judges("ns", "r", &map));
        assert!(!parking.judges("ns", "r", &object("apps", "Deployment")), "it has no expression");
        assert!(!parking.judges("ns", "other", &map), "that release has no expressions");
        let ready = BTreeSet::from([map.clone()]);
        parking.found(&release, ready.clone(), BTreeSet::new());
        assert_eq!(parking.enter(&release, &key, 1, &checks("true").await), ready);
        assert!(parking.enter(&release, &key, 1, &checks("false").await).is_empty(), "by another expression");
    }
}

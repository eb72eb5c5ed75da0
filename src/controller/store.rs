//! The custom resources as the watches last saw them.
//!
//! Each object is parsed on its own: one that does not fit its type is set aside with the reason, and the
//! others of its kind go on (one bad object must never stop the kind).

use std::collections::HashMap;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, PoisonError, RwLock};

use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

use crate::api::{ChartRepository, HelmRelease, ValuesKind};

/// Namespace and name of a custom resource.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl Key {
    /// A key.
    pub fn new(namespace: &str, name: &str) -> Self {
        Self { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    /// The key of an object.
    pub fn of(object: &DynamicObject) -> Self {
        Self::new(
            object.metadata.namespace.as_deref().unwrap_or_default(),
            object.metadata.name.as_deref().unwrap_or_default(),
        )
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object, or why it is none.
pub enum Seen<K> {
    /// It fits its type.
    Valid(Arc<K>),
    /// It does not, for this reason; its generation and conditions can still be written.
    Invalid(Arc<DynamicObject>, String),
}

impl<K> Clone for Seen<K> {
    fn clone(&self) -> Self {
        match self {
            Self::Valid(object) => Self::Valid(Arc::clone(object)),
            Self::Invalid(object, reason) => Self::Invalid(Arc::clone(object), reason.clone()),
        }
    }
}

/// Something that objects have to do with, by which they are found.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place<'a> {
    /// The record of a release: its namespace and the release's name.
    Record(&'a str, &'a str),
    /// The objects of a release: their namespace and the release's name.
    Release(&'a str, &'a str),
    /// A Secret or ConfigMap with values: kind, namespace and name.
    Values(&'a str, &'a str, &'a str),
    /// A HelmRelease that is depended on: namespace and name.
    Dependency(&'a str, &'a str),
    /// A ChartRepository: namespace and name.
    Repository(&'a str, &'a str),
}

impl Place<'_> {
    fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }
}

/// A kind whose objects are found by what they have to do with.
pub trait Placed {
    /// Calls `found` with every such place.
    fn places(&self, found: &mut dyn FnMut(Place<'_>));
}

/// All objects of one kind.
pub struct Store<K>(RwLock<Objects<K>>);

struct Objects<K> {
    all: HashMap<Key, Seen<K>>,
    /// The objects of a place, by its digest: two places may share one.
    places: HashMap<u64, Vec<Key>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self(RwLock::new(Objects { all: HashMap::new(), places: HashMap::new() }))
    }
}

impl<K: Placed> Objects<K> {
    fn put(&mut self, key: &Key, seen: Seen<K>) {
        self.remove(key);
        if let Seen::Valid(object) = &seen {
            object.places(&mut |place| {
                let keys = self.places.entry(place.digest()).or_default();
                if !keys.contains(key) {
                    keys.push(key.clone());
                }
            });
        }
        self.all.insert(key.clone(), seen);
    }

    fn remove(&mut self, key: &Key) {
        let Some(Seen::Valid(old)) = self.all.remove(key) else { return };
        old.places(&mut |place| {
            let digest = place.digest();
            if let Some(keys) = self.places.get_mut(&digest) {
                keys.retain(|k| k != key);
                if keys.is_empty() {
                    self.places.remove(&digest);
                }
            }
        });
    }
}

impl<K: DeserializeOwned + Placed> Store<K> {
    /// Takes in an object as the server sent it.
    pub fn apply(&self, mut object: DynamicObject) -> Key {
        // Who wrote which field is more text than all the rest, and nobody's business here.
        object.metadata.managed_fields = None;
        let key = Key::of(&object);
        let seen = match parse::<K>(&object) {
            Ok(parsed) => Seen::Valid(Arc::new(parsed)),
            Err(reason) => Seen::Invalid(Arc::new(object), reason),
        };
        self.write(|objects| objects.put(&key, seen));
        key
    }

    /// Drops an object.
    pub fn delete(&self, object: &DynamicObject) -> Key {
        let key = Key::of(object);
        self.write(|objects| objects.remove(&key));
        key
    }

    /// Drops all objects that are not in `keys`, and says which they were.
    pub fn retain(&self, keys: &std::collections::HashSet<Key>) -> Vec<Key> {
        self.write(|objects| {
            let gone: Vec<Key> = objects.all.keys().filter(|k| !keys.contains(k)).cloned().collect();
            gone.iter().for_each(|key| objects.remove(key));
            gone
        })
    }

    /// The object, valid or not.
    pub fn see(&self, key: &Key) -> Option<Seen<K>> {
        self.read(|objects| objects.all.get(key).cloned())
    }

    /// The keys of the valid objects of a place for which `test` holds.
    pub fn keys_at(&self, place: &Place<'_>, test: impl Fn(&K) -> bool) -> Vec<Key> {
        self.read(|objects| {
            let found = objects.places.get(&place.digest()).into_iter().flatten();
            let is_meant =
                |key: &&Key| matches!(objects.all.get(*key), Some(Seen::Valid(object)) if test(object));
            found.filter(is_meant).cloned().collect()
        })
    }

    /// The keys of all objects, valid or not.
    pub fn all_keys(&self) -> Vec<Key> {
        self.read(|objects| objects.all.keys().cloned().collect())
    }

    /// The object, if it is valid.
    pub fn get(&self, key: &Key) -> Option<Arc<K>> {
        match self.see(key)? {
            Seen::Valid(object) => Some(object),
            Seen::Invalid(..) => None,
        }
    }

    /// The keys of all valid objects for which `test` holds.
    pub fn keys(&self, test: impl Fn(&K) -> bool) -> Vec<Key> {
        self.read(|objects| {
            let matching =
                objects.all.iter().filter(|(_, seen)| matches!(seen, Seen::Valid(object) if test(object)));
            matching.map(|(key, _)| key.clone()).collect()
        })
    }

    fn read<T>(&self, f: impl FnOnce(&Objects<K>) -> T) -> T {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, f: impl FnOnce(&mut Objects<K>) -> T) -> T {
        f(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Placed for HelmRelease {
    fn places(&self, found: &mut dyn FnMut(Place<'_>)) {
        let (target, own) = (self.target(), self.metadata.namespace.as_deref().unwrap_or_default());
        found(Place::Record(&target.storage_namespace, &target.release_name));
        found(Place::Release(&target.target_namespace, &target.release_name));
        for reference in &self.spec.values_from {
            let kind = match reference.kind {
                ValuesKind::Secret => "Secret",
                ValuesKind::ConfigMap => "ConfigMap",
            };
            found(Place::Values(kind, own, &reference.name));
        }
        for dependency in &self.spec.depends_on {
            found(Place::Dependency(own, &dependency.name));
        }
        if let Some(repository) = &self.spec.chart.repository {
            found(Place::Repository(own, &repository.name));
        }
    }
}

/// There are few of them.
impl Placed for ChartRepository {
    fn places(&self, _: &mut dyn FnMut(Place<'_>)) {}
}

fn parse<K: DeserializeOwned>(object: &DynamicObject) -> Result<K, String> {
    let value = serde_json::to_value(object).map_err(|e| e.to_string())?;
    serde_json::from_value(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(name: &str, spec: serde_json::Value) -> DynamicObject {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "pintle.dev/v1alpha1", "kind": "HelmRelease",
            "metadata": {"namespace": "apps", "name": name}, "spec": spec,
        }))
        .unwrap()
    }

    #[test]
    fn one_bad_object_does_not_hide_the_others() {
        let store = Store::<HelmRelease>::default();
        let good = store.apply(object("good", serde_json::json!({"chart": {"url": "https://h/c.tgz"}})));
        let bad = store.apply(object("bad", serde_json::json!({"chart": {}, "interval": "soon"})));
        assert!(store.get(&good).is_some());
        assert!(store.get(&bad).is_none());
        assert!(matches!(store.see(&bad), Some(Seen::Invalid(_, reason)) if reason.contains("soon")));
        assert_eq!(store.keys(|_| true), std::slice::from_ref(&good));
        assert_eq!(store.retain(&std::iter::once(good).collect()), [bad]);
    }

    #[test]
    fn objects_are_found_by_what_they_have_to_do_with() {
        let store = Store::<HelmRelease>::default();
        let spec = |release: &str| {
            serde_json::json!({
                "chart": {"repository": {"name": "charts"}, "name": "c"}, "releaseName": release,
                "dependsOn": [{"name": "db"}], "valuesFrom": [{"kind": "Secret", "name": "s"}],
            })
        };
        let web = store.apply(object("web", spec("one")));
        let places = [
            Place::Record("apps", "one"),
            Place::Release("apps", "one"),
            Place::Values("Secret", "apps", "s"),
            Place::Dependency("apps", "db"),
            Place::Repository("apps", "charts"),
        ];
        for place in &places {
            assert_eq!(store.keys_at(place, |_| true), std::slice::from_ref(&web), "{place:?}");
            assert!(store.keys_at(place, |_| false).is_empty(), "{place:?}");
        }
        assert!(store.keys_at(&Place::Values("ConfigMap", "apps", "s"), |_| true).is_empty());
        store.apply(object("web", spec("two")));
        assert!(store.keys_at(&places[0], |_| true).is_empty(), "it has moved away");
        assert_eq!(store.keys_at(&Place::Record("apps", "two"), |_| true).len(), 1);
        store.delete(&object("web", serde_json::json!({})));
        assert!(store.0.read().unwrap().places.is_empty(), "nothing is left over");
    }
}

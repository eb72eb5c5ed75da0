//! The custom resources as the watches last saw them.
//!
//! Each object is parsed on its own: one that does not fit its type is set aside with the reason, and the
//! others of its kind go on (one bad object must never stop the kind).

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use kube::core::DynamicObject;
use serde::de::DeserializeOwned;

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

impl super::lanes::Lane for Key {
    /// The namespace: what one tenant does is to cost the others nothing.
    fn lane(&self) -> &str {
        &self.namespace
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

/// All objects of one kind.
pub struct Store<K>(RwLock<HashMap<Key, Seen<K>>>);

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self(RwLock::default())
    }
}

impl<K: DeserializeOwned> Store<K> {
    /// Takes in an object as the server sent it.
    pub fn apply(&self, object: DynamicObject) -> Key {
        let key = Key::of(&object);
        let seen = match parse::<K>(&object) {
            Ok(parsed) => Seen::Valid(Arc::new(parsed)),
            Err(reason) => Seen::Invalid(Arc::new(object), reason),
        };
        self.write(|map| map.insert(key.clone(), seen));
        key
    }

    /// Drops an object.
    pub fn delete(&self, object: &DynamicObject) -> Key {
        let key = Key::of(object);
        self.write(|map| map.remove(&key));
        key
    }

    /// Drops all objects that are not in `keys`, and says which they were.
    pub fn retain(&self, keys: &std::collections::HashSet<Key>) -> Vec<Key> {
        self.write(|map| {
            let gone: Vec<Key> = map.keys().filter(|k| !keys.contains(k)).cloned().collect();
            map.retain(|k, _| keys.contains(k));
            gone
        })
    }

    /// The object, valid or not.
    pub fn see(&self, key: &Key) -> Option<Seen<K>> {
        self.read(|map| map.get(key).cloned())
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
        self.read(|map| {
            let matching = map.iter().filter(|(_, seen)| matches!(seen, Seen::Valid(object) if test(object)));
            matching.map(|(key, _)| key.clone()).collect()
        })
    }

    fn read<T>(&self, f: impl FnOnce(&HashMap<Key, Seen<K>>) -> T) -> T {
        f(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn write<T>(&self, f: impl FnOnce(&mut HashMap<Key, Seen<K>>) -> T) -> T {
        f(&mut self.0.write().unwrap_or_else(PoisonError::into_inner))
    }
}

fn parse<K: DeserializeOwned>(object: &DynamicObject) -> Result<K, String> {
    let value = serde_json::to_value(object).map_err(|e| e.to_string())?;
    serde_json::from_value(value).map_err(|e| e.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::HelmRelease;

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
}

//! Maps.

use std::cell::RefCell;
use std::rc::Rc;

use super::{Entries, Method, Str, Value, drop_deep};

/// The type of a Go map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapType {
    /// `map[string]interface {}`.
    Any,
    /// `map[string]string` (sprig's `split`).
    String,
    /// A named map type with methods, like Helm's `common.Values`; see [`NamedMap`].
    Named(&'static NamedMap),
}

/// A named Go map type: its name and the methods that templates may call, which hide keys of those names.
#[derive(Debug)]
pub struct NamedMap {
    /// `common.Values`.
    pub name: &'static str,
    /// Looks up a method; `None` means a plain key.
    pub method: fn(&Map, &[u8]) -> Option<Method>,
}

impl MapType {
    /// Go's name of it: `map[string]interface {}`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "map[string]interface {}",
            Self::String => "map[string]string",
            Self::Named(named) => named.name,
        }
    }
}

impl PartialEq for NamedMap {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for NamedMap {}

/// A Go map: shared, mutable, compared by identity.
#[derive(Clone)]
pub struct Map {
    /// Its Go type.
    pub ty: MapType,
    /// The entries that all holders share.
    pub entries: Rc<RefCell<Entries>>,
}

impl Map {
    /// A new `map[string]interface {}`.
    pub fn new(entries: Entries) -> Self {
        Self { ty: MapType::Any, entries: Rc::new(RefCell::new(entries)) }
    }

    /// A new map of type `ty`.
    pub fn typed(ty: MapType, entries: Entries) -> Self {
        Self { ty, entries: Rc::new(RefCell::new(entries)) }
    }

    /// The value at `key`, if there is one.
    pub fn get(&self, key: &[u8]) -> Option<Value> {
        RefCell::borrow(&self.entries).get(key).cloned()
    }

    /// Puts `value` at `key`; every holder of this map sees it.
    pub fn insert(&self, key: impl Into<Str>, value: Value) {
        // The old value is dropped after the borrow has ended.
        let _old = self.entries.borrow_mut().insert(key.into(), value);
    }

    /// Takes the value at `key` out.
    pub fn remove(&self, key: &[u8]) -> Option<Value> {
        self.entries.borrow_mut().remove(key)
    }

    /// Whether there is a value at `key`.
    pub fn contains(&self, key: &[u8]) -> bool {
        RefCell::borrow(&self.entries).contains_key(key)
    }

    /// How many entries it has.
    pub fn len(&self) -> usize {
        RefCell::borrow(&self.entries).len()
    }

    /// Whether it has no entries.
    pub fn is_empty(&self) -> bool {
        RefCell::borrow(&self.entries).is_empty()
    }

    /// The entries at this moment, in Go's printing order: safe to go through while the map changes.
    pub fn snapshot(&self) -> Vec<(Str, Value)> {
        RefCell::borrow(&self.entries).iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The keys at this moment, sorted.
    pub fn keys(&self) -> Vec<Str> {
        RefCell::borrow(&self.entries).keys().cloned().collect()
    }

    /// Whether it is the same map, not only an equal one.
    pub fn is_same(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.entries, &other.entries)
    }

    /// The same map as a `map[string]interface {}`: Go's conversion of a named map type.
    #[must_use]
    pub fn as_any(&self) -> Self {
        Self { ty: MapType::Any, entries: Rc::clone(&self.entries) }
    }
}

impl Drop for Map {
    fn drop(&mut self) {
        if Rc::strong_count(&self.entries) != 1 {
            return;
        }
        let Ok(mut entries) = self.entries.try_borrow_mut() else { return };
        if entries.values().any(Value::is_container) {
            drop_deep(std::mem::take(&mut *entries).into_values().collect());
        }
    }
}

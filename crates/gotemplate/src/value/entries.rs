//! The entries of a map, as a sorted list: maps of charts are small, looked up often, and printed in order.

use std::cmp::Ordering;
use std::mem;

use super::{Str, Value};

/// The entries of a map, sorted by key: Go's printing order.
///
/// To put a key between others moves those behind it; many at once are sorted once by [`FromIterator`].
#[derive(Clone, Default)]
pub struct Entries(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    /// How the key begins: looking for one mostly touches none of the others.
    head: u64,
    key: Str,
    value: Value,
}

impl Entry {
    fn new(key: Str, value: Value) -> Self {
        Self { head: head(key.as_bytes()), key, value }
    }

    /// Where the entry is from a key.
    fn compare(&self, head: u64, key: &[u8]) -> Ordering {
        self.head.cmp(&head).then_with(|| {
            if self.key.len() <= HEAD && key.len() <= HEAD {
                return self.key.len().cmp(&key.len());
            }
            self.key.as_bytes().cmp(key)
        })
    }
}

/// How many bytes of a key are its head.
const HEAD: usize = 8;

/// The first bytes of a key, as a number of the same order.
fn head(key: &[u8]) -> u64 {
    u64::from_be_bytes(key.first_chunk().copied().unwrap_or_else(|| {
        let mut padded = [0; HEAD];
        padded.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        padded
    }))
}

impl Entries {
    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|entry| &entry.value)
    }

    /// Whether there is a value at `key`.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.find(key).is_ok()
    }

    /// Puts `value` at `key`, and gives the one that was there.
    pub fn insert(&mut self, key: Str, value: Value) -> Option<Value> {
        match self.find(key.as_bytes()) {
            Ok(at) => self.0.get_mut(at).map(|entry| mem::replace(&mut entry.value, value)),
            Err(at) => {
                self.0.insert(at, Entry::new(key, value));
                None
            }
        }
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Value> {
        self.find(key).ok().map(|at| self.0.remove(at).value)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&Str, &Value)> {
        self.0.iter().map(|entry| (&entry.key, &entry.value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Str> {
        self.0.iter().map(|entry| &entry.key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.iter().map(|entry| &entry.value)
    }

    /// The values in the order of their keys.
    pub(crate) fn into_values(self) -> impl ExactSizeIterator<Item = Value> {
        self.0.into_iter().map(|entry| entry.value)
    }

    /// Where `key` is, or where it belongs.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        let head = head(key);
        match self.0.last() {
            // Keys often come in order.
            Some(last) if last.compare(head, key) == Ordering::Less => Err(self.0.len()),
            _ => self.0.binary_search_by(|entry| entry.compare(head, key)),
        }
    }
}

impl FromIterator<(Str, Value)> for Entries {
    /// Of entries with the same key the last one stays.
    fn from_iter<I: IntoIterator<Item = (Str, Value)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().map(|(key, value)| Entry::new(key, value)).collect();
        let order = |left: &Entry, right: &Entry| left.compare(right.head, right.key.as_bytes());
        if !entries.is_sorted_by(|left, right| order(left, right) == Ordering::Less) {
            entries.sort_by(order);
            entries.dedup_by(|later, earlier| {
                let is_same = later.key == earlier.key;
                if is_same {
                    mem::swap(later, earlier);
                }
                is_same
            });
        }
        Self(entries)
    }
}

impl<const N: usize> From<[(Str, Value); N]> for Entries {
    fn from(entries: [(Str, Value); N]) -> Self {
        entries.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(entries: &Entries) -> String {
        entries.iter().map(|(key, value)| format!("{key:?}={value:?} ")).collect()
    }

    #[test]
    fn the_last_of_equal_keys_stays_in_the_order_of_bytes() {
        let pairs =
            ["b", "aaaaaaaaab", "", "a", "aaaaaaaaaa", "b", "ä", "a", "a\0", "aaaaaaaa", "aaaaaaaa\0", "b"];
        let collected: Entries = (0..).zip(pairs).map(|(i, key)| (Str::from(key), Value::int(i))).collect();
        let sorted = std::collections::BTreeMap::from_iter(pairs.iter().zip(0..));
        let expected: String =
            sorted.iter().map(|(key, i)| format!("{key:?}={:?} ", Value::int(*i))).collect();
        assert_eq!(shown(&collected), expected);
        let mut inserted = Entries::new();
        for (i, key) in (0..).zip(pairs) {
            inserted.insert(key.into(), Value::int(i));
        }
        assert_eq!(shown(&inserted), shown(&collected));
    }

    #[test]
    fn entries_come_and_go() {
        let mut entries = Entries::from([("b".into(), Value::int(1)), ("a".into(), Value::int(2))]);
        assert!(entries.insert("c".into(), Value::int(3)).is_none());
        assert_eq!(entries.insert("b".into(), Value::int(4)).and_then(|old| old.as_int()), Some(1));
        assert_eq!(entries.remove(b"a").and_then(|old| old.as_int()), Some(2));
        assert!(entries.remove(b"a").is_none() && !entries.contains_key(b"a"));
        assert_eq!(entries.get(b"c").and_then(Value::as_int), Some(3));
        assert_eq!((entries.len(), entries.is_empty()), (2, false));
    }
}

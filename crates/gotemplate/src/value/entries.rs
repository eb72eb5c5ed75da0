//! The entries of a map, as a sorted list: maps of charts are small, looked up often, and printed in order.

use std::cmp::Ordering;
use std::mem;

use super::{Str, Value};

/// The entries of a map, sorted by key: Go's printing order.
///
/// To put a key between others moves those behind it; many at once are sorted once by [`FromIterator`].
#[derive(Clone, Default)]
pub struct Entries(Vec<(Str, Value)>);

impl Entries {
    /// No entries.
    pub fn new() -> Self {
        Self::default()
    }

    /// The value at `key`.
    pub fn get(&self, key: &[u8]) -> Option<&Value> {
        let at = self.find(key).ok()?;
        self.0.get(at).map(|(_, value)| value)
    }

    /// Whether there is a value at `key`.
    pub fn contains_key(&self, key: &[u8]) -> bool {
        self.find(key).is_ok()
    }

    /// Puts `value` at `key`, and gives the one that was there.
    pub fn insert(&mut self, key: Str, value: Value) -> Option<Value> {
        match self.find(key.as_bytes()) {
            Ok(at) => self.0.get_mut(at).map(|(_, old)| mem::replace(old, value)),
            Err(at) => {
                self.0.insert(at, (key, value));
                None
            }
        }
    }

    /// Takes the value at `key` out.
    pub fn remove(&mut self, key: &[u8]) -> Option<Value> {
        self.find(key).ok().map(|at| self.0.remove(at).1)
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
        self.0.iter().map(|(key, value)| (key, value))
    }

    /// The keys in order.
    pub fn keys(&self) -> impl ExactSizeIterator<Item = &Str> {
        self.0.iter().map(|(key, _)| key)
    }

    /// The values in the order of their keys.
    pub fn values(&self) -> impl ExactSizeIterator<Item = &Value> {
        self.0.iter().map(|(_, value)| value)
    }

    /// Where `key` is, or where it belongs.
    fn find(&self, key: &[u8]) -> Result<usize, usize> {
        match self.0.last() {
            Some((last, _)) if compare(last.as_bytes(), key) == Ordering::Less => Err(self.0.len()),
            _ => self.0.binary_search_by(|(known, _)| compare(known.as_bytes(), key)),
        }
    }
}

/// Compares keys by what mostly differs first, without a call.
#[inline]
fn compare(left: &[u8], right: &[u8]) -> Ordering {
    match (left.first_chunk::<8>(), right.first_chunk::<8>()) {
        (Some(a), Some(b)) if a != b => u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)),
        _ => match left.first().cmp(&right.first()) {
            Ordering::Equal => left.cmp(right),
            unequal => unequal,
        },
    }
}

impl FromIterator<(Str, Value)> for Entries {
    /// Of entries with the same key the last one stays.
    fn from_iter<I: IntoIterator<Item = (Str, Value)>>(entries: I) -> Self {
        let mut entries: Vec<_> = entries.into_iter().collect();
        let order =
            |(left, _): &(Str, Value), (right, _): &(Str, Value)| compare(left.as_bytes(), right.as_bytes());
        if !entries.is_sorted_by(|left, right| order(left, right) == Ordering::Less) {
            entries.sort_by(order);
            entries.dedup_by(|later, earlier| {
                let is_same = later.0 == earlier.0;
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

impl IntoIterator for Entries {
    type Item = (Str, Value);
    type IntoIter = std::vec::IntoIter<(Str, Value)>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
        let pairs = ["b", "aaaaaaaaab", "", "a", "aaaaaaaaaa", "b", "ä", "a"];
        let collected: Entries = (0..).zip(pairs).map(|(i, key)| (Str::from(key), Value::int(i))).collect();
        assert_eq!(shown(&collected), r#"""=2 "a"=7 "aaaaaaaaaa"=4 "aaaaaaaaab"=1 "b"=5 "ä"=6 "#);
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

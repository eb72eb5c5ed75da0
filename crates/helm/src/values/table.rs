//! Values as Go has them while it merges: maps that several holders share.
//!
//! Helm's coalescing copies `global` one level deep only, so what a subchart's defaults add below that level shows
//! up in the parent too. Shared tables give the same result without anybody having to think of it. What is no table
//! stays where it is, in the chart or in the user's values, until the end.

use std::cell::{RefCell, RefMut};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use pintle_goyaml::Value;

use super::{Error, MAX_DEPTH, MAX_ENTRIES, Values};
use crate::Compat;

/// What [`Node::NULL`] points at.
static NULL: Value = Value::Null;

/// A Go map: shared, mutable.
#[derive(Clone, Debug, Default)]
pub(super) struct Table<'v>(Rc<RefCell<Level<'v>>>);

type Entries<'v> = BTreeMap<&'v str, Node<'v>>;

/// What a table holds: most of a chart's values are never merged with anything, and stay as they are.
#[derive(Debug, Default)]
struct Level<'v> {
    /// The entries, until somebody asks for a table among them, or changes them.
    plain: Option<&'v BTreeMap<String, Value>>,
    entries: Entries<'v>,
}

impl<'v> Level<'v> {
    /// Makes tables of the maps, which from now on are the same for everybody.
    fn open(&mut self) -> &mut Entries<'v> {
        if let Some(plain) = self.plain.take() {
            self.entries = plain.iter().map(|(key, value)| (key.as_str(), Node::from_value(value))).collect();
        }
        &mut self.entries
    }

    /// The entries, if there is no map among them that would have to become a table.
    fn leaves(&self) -> Option<&'v BTreeMap<String, Value>> {
        self.plain.filter(|plain| !plain.values().any(|value| matches!(value, Value::Object(_))))
    }
}

/// A value that may be a shared map.
#[derive(Clone, Debug)]
pub(super) enum Node<'v> {
    /// A map.
    Table(Table<'v>),
    /// Anything else; lists are never merged, so they stay plain.
    Leaf(&'v Value),
}

impl<'v> Node<'v> {
    const NULL: Self = Self::Leaf(&NULL);

    pub(super) fn is_null(&self) -> bool {
        matches!(self, Self::Leaf(Value::Null))
    }

    fn from_value(value: &'v Value) -> Self {
        match value {
            Value::Object(entries) => Self::Table(Table::from_entries(entries)),
            other => Self::Leaf(other),
        }
    }
}

impl<'v> Table<'v> {
    pub(super) fn from_values(values: &'v Values) -> Self {
        Self::from_entries(&values.0)
    }

    fn from_entries(entries: &'v BTreeMap<String, Value>) -> Self {
        Self(Rc::new(RefCell::new(Level { plain: Some(entries), entries: Entries::new() })))
    }

    fn open(&self) -> RefMut<'_, Entries<'v>> {
        RefMut::map(self.0.borrow_mut(), Level::open)
    }

    /// A copy of this level; what is below stays shared.
    pub(super) fn shallow_copy(&self) -> Self {
        let entries = self.open().clone();
        Self(Rc::new(RefCell::new(Level { plain: None, entries })))
    }

    pub(super) fn is_empty(&self) -> bool {
        let level = self.0.borrow();
        level.plain.map_or(level.entries.is_empty(), BTreeMap::is_empty)
    }

    pub(super) fn get(&self, key: &str) -> Option<Node<'v>> {
        let plain = self.0.borrow().plain;
        match plain.map(|plain| plain.get(key)) {
            Some(None) => None,
            Some(Some(leaf)) if !matches!(leaf, Value::Object(_)) => Some(Node::Leaf(leaf)),
            _ => self.open().get(key).cloned(),
        }
    }

    pub(super) fn insert(&self, key: &'v str, node: Node<'v>) {
        self.open().insert(key, node);
    }

    pub(super) fn remove(&self, key: &str) {
        self.open().remove(key);
    }

    /// The entries as they are now; the table may change while they are walked over.
    pub(super) fn entries(&self) -> Vec<(&'v str, Node<'v>)> {
        if let Some(leaves) = self.0.borrow().leaves() {
            return leaves.iter().map(|(key, value)| (key.as_str(), Node::Leaf(value))).collect();
        }
        self.open().iter().map(|(key, node)| (*key, node.clone())).collect()
    }

    /// The table at a dotted path.
    pub(super) fn table(&self, path: &str) -> Option<Self> {
        path.split('.').try_fold(self.clone(), |table, key| match table.get(key)? {
            Node::Table(table) => Some(table),
            Node::Leaf(_) => None,
        })
    }

    /// The value at a dotted path that is no table.
    pub(super) fn path_value(&self, path: &str) -> Option<&'v Value> {
        let (table, key) = match path.rsplit_once('.') {
            Some((tables, key)) => (self.table(tables)?, key),
            None => (self.clone(), path),
        };
        match table.get(key)? {
            Node::Leaf(value) => Some(value),
            Node::Table(_) => None,
        }
    }

    /// Removes nulls, at every level.
    pub(super) fn remove_nulls(&self) {
        if self.0.borrow().plain.is_some_and(|plain| !has_nulls(plain)) {
            return;
        }
        for (key, node) in self.entries() {
            match node {
                Node::Table(table) => table.remove_nulls(),
                leaf if leaf.is_null() => self.remove(key),
                Node::Leaf(_) => {}
            }
        }
    }

    /// A plain tree of what the table holds.
    ///
    /// # Errors
    /// The tables refer to themselves, or expand to more than is sane.
    pub(super) fn to_values(&self) -> Result<Values, Error> {
        let mut entries_left = MAX_ENTRIES;
        self.expand(0, &mut entries_left).map(Values)
    }

    fn expand(&self, depth: usize, entries_left: &mut usize) -> Result<BTreeMap<String, Value>, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep { limit: MAX_DEPTH });
        }
        let level = self.0.borrow();
        if let Some(plain) = level.plain {
            measure(plain, depth, entries_left)?;
            return Ok(plain.clone());
        }
        let expanded = level.entries.iter().map(|(key, node)| {
            *entries_left = entries_left.checked_sub(1).ok_or(Error::TooLarge { limit: MAX_ENTRIES })?;
            let value = match node {
                Node::Table(table) => Value::Object(table.expand(depth + 1, entries_left)?),
                Node::Leaf(value) => (*value).clone(),
            };
            Ok(((*key).to_owned(), value))
        });
        expanded.collect()
    }
}

/// Whether there is a null in a map, or in one of the maps in it.
fn has_nulls(entries: &BTreeMap<String, Value>) -> bool {
    entries.values().any(|value| match value {
        Value::Null => true,
        Value::Object(inner) => has_nulls(inner),
        _ => false,
    })
}

/// Counts what a map would expand to, without doing it.
fn measure(entries: &BTreeMap<String, Value>, depth: usize, entries_left: &mut usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { limit: MAX_DEPTH });
    }
    *entries_left = entries_left.checked_sub(entries.len()).ok_or(Error::TooLarge { limit: MAX_ENTRIES })?;
    entries.values().try_for_each(|value| match value {
        Value::Object(inner) => measure(inner, depth + 1, entries_left),
        _ => Ok(()),
    })
}

/// How nulls are treated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    /// They are kept, to meet other defaults later.
    pub(super) merge: bool,
    /// Which Helm decides on those of a chart's defaults.
    pub(super) compat: Compat,
}

impl Rules {
    /// Helm: `MergeTables`, where nulls are kept.
    pub(super) fn merging(self) -> Self {
        Self { merge: true, ..self }
    }
}

/// Merges `source` into `target`, which wins.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/common/util/coalesce.go:coalesceTablesFullKey`.
pub(super) fn coalesce_tables<'v>(
    target: &Table<'v>,
    source: &Table<'v>,
    prefix: &str,
    rules: Rules,
    warnings: &mut Vec<String>,
    depth: usize,
) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { limit: MAX_DEPTH });
    }
    if Rc::ptr_eq(&target.0, &source.0) {
        return Ok(());
    }
    let mut set_in_source = BTreeSet::new();
    for (key, node) in source.entries() {
        if !node.is_null() {
            set_in_source.insert(key);
        }
    }
    for (key, node) in target.entries() {
        if node.is_null() {
            source.insert(key, Node::NULL);
        }
    }
    for (key, node) in source.entries() {
        let full_key = || concat(prefix, key);
        match (target.get(key), &node) {
            // The user nulls a default of the chart.
            (Some(own), _) if !rules.merge && own.is_null() && set_in_source.contains(key) => {
                target.remove(key)
            }
            (None, _) => target.insert(key, node),
            (Some(Node::Table(own)), Node::Table(other)) => {
                coalesce_tables(&own, other, &full_key(), rules, warnings, depth + 1)?;
            }
            (Some(Node::Leaf(_)), Node::Table(_)) => {
                warnings.push(format!("cannot overwrite table with non table for {}", full_key()));
            }
            (Some(Node::Table(_)), Node::Leaf(_)) if !node.is_null() => {
                warnings.push(format!("destination for {} is a table. Ignoring non-table value", full_key()));
            }
            _ => {}
        }
    }
    Ok(())
}

pub(super) fn concat(prefix: &str, key: &str) -> String {
    if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") }
}

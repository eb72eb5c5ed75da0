//! Reads arguments that the executor has checked against the signature already.

use std::borrow::Cow;

use pintle_gotemplate::{Map, MapType, Value};

/// Typed access to arguments; a missing one reads as Go's zero value.
pub(crate) trait Args {
    /// The argument at `i`, of any type.
    fn value(&self, i: usize) -> &Value;
    /// The arguments from `i` on.
    fn rest(&self, i: usize) -> &[Value];

    /// A `string` as bytes.
    fn bytes(&self, i: usize) -> &[u8] {
        match self.value(i) {
            Value::String(text) => text.as_bytes(),
            _ => b"",
        }
    }

    /// A `string` as text; invalid UTF-8 is replaced.
    fn text(&self, i: usize) -> Cow<'_, str> {
        String::from_utf8_lossy(self.bytes(i))
    }

    /// An `int` or `int64`.
    fn int(&self, i: usize) -> i64 {
        match self.value(i) {
            Value::Int(n, _) => *n,
            _ => 0,
        }
    }

    /// A `float64`.
    fn float(&self, i: usize) -> f64 {
        match self.value(i) {
            Value::Float(n) => *n,
            _ => 0.0,
        }
    }

    /// A `bool`.
    fn boolean(&self, i: usize) -> bool {
        matches!(self.value(i), Value::Bool(true))
    }

    /// A `map[string]interface {}`; `None` is Go's nil map.
    fn map(&self, i: usize) -> Option<Map> {
        as_map(self.value(i))
    }
}

impl Args for [Value] {
    fn value(&self, i: usize) -> &Value {
        self.get(i).unwrap_or(&Value::Nil)
    }

    fn rest(&self, i: usize) -> &[Value] {
        self.get(i..).unwrap_or_default()
    }
}

/// The map that a parameter of type `map[string]interface {}` receives.
pub(crate) fn as_map(value: &Value) -> Option<Map> {
    match value {
        // Go: a named map type is assigned to the plain one; the entries stay shared.
        Value::Map(map) => Some(Map { ty: MapType::Any, entries: map.entries.clone() }),
        _ => None,
    }
}

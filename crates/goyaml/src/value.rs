//! A plain tree of what JSON can say.
//!
//! Nesting is bounded by the input, not by the stack, so dropping a tree must not recurse without a bound.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A value as `encoding/json` knows it, with integers kept apart from floats.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer that fits `i64`.
    Int(i64),
    /// An integer above the range of `i64`.
    Uint(u64),
    /// Any other number.
    Float(f64),
    /// A text.
    String(String),
    /// A list.
    Array(Vec<Value>),
    /// A map, by key.
    Object(BTreeMap<String, Value>),
}

impl Value {
    /// Gives the word of Go's JSON errors for this kind of value.
    ///
    /// ```
    /// assert_eq!(pintle_goyaml::parse(b"[1]")?.kind_name(), "array");
    /// # Ok::<(), pintle_goyaml::Error>(())
    /// ```
    pub fn kind_name(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "bool",
            Self::Int(_) | Self::Uint(_) | Self::Float(_) => "number",
            Self::String(_) => "string",
            Self::Array(_) => "array",
            Self::Object(_) => "object",
        }
    }

    /// Moves the children of a container onto `pile`.
    fn unload(&mut self, pile: &mut Vec<Self>) {
        match self {
            Self::Array(items) => pile.append(items),
            Self::Object(entries) => pile.extend(std::mem::take(entries).into_values()),
            _ => {}
        }
    }
}

/// How deep values are dropped within each other; beyond that one after the other.
const MAX_DROP_DEPTH: usize = 64;

thread_local! {
    /// How deep the value is that is being dropped.
    static DROP_DEPTH: Cell<usize> = const { Cell::new(0) };
}

impl Drop for Value {
    fn drop(&mut self) {
        match self {
            Self::Array(items) if !items.is_empty() => {}
            Self::Object(entries) if !entries.is_empty() => {}
            _ => return,
        }
        DROP_DEPTH.with(|depth| {
            let here = depth.get();
            depth.set(here + 1);
            if here < MAX_DROP_DEPTH {
                match self {
                    Self::Array(items) => drop(std::mem::take(items)),
                    Self::Object(entries) => drop(std::mem::take(entries)),
                    _ => {}
                }
            } else {
                let mut pile = Vec::new();
                self.unload(&mut pile);
                while let Some(mut value) = pile.pop() {
                    value.unload(&mut pile);
                }
            }
            depth.set(here);
        });
    }
}

impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(value) => serializer.serialize_i64(*value),
            Self::Uint(value) => serializer.serialize_u64(*value),
            Self::Float(value) => serializer.serialize_f64(*value),
            Self::String(value) => serializer.serialize_str(value),
            Self::Array(items) => serializer.collect_seq(items),
            Self::Object(entries) => serializer.collect_map(entries),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Builder;

        impl<'de> Visitor<'de> for Builder {
            type Value = Value;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("interface {}")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
                Ok(Value::Bool(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
                Ok(Value::Int(value))
            }

            fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
                Ok(i64::try_from(value).map_or(Value::Uint(value), Value::Int))
            }

            fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
                Ok(Value::Float(value))
            }

            fn visit_str<E>(self, value: &str) -> Result<Value, E> {
                Ok(Value::String(value.to_owned()))
            }

            fn visit_string<E>(self, value: String) -> Result<Value, E> {
                Ok(Value::String(value))
            }

            fn visit_unit<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_none<E>(self) -> Result<Value, E> {
                Ok(Value::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
                deserializer.deserialize_any(self)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
                let mut list = Vec::with_capacity(items.size_hint().unwrap_or(0).min(4096));
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Value::Array(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
                let mut map = BTreeMap::new();
                while let Some((key, value)) = entries.next_entry()? {
                    map.insert(key, value);
                }
                Ok(Value::Object(map))
            }
        }

        deserializer.deserialize_any(Builder)
    }
}

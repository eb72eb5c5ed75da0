//! Hands a decoded document to serde, with the leniency of `encoding/json`.
//!
//! Go: `null` is the zero value of whatever is wanted, and a text field takes numbers and booleans as text.
//! Visitors recurse; nesting is bounded by Go's limit of 10 000, and the stack grows with it.

use serde::de::{self, DeserializeSeed, IntoDeserializer, MapAccess, SeqAccess, Visitor};
use serde::forward_to_deserialize_any;

use crate::decode::{Document, Entry, Item, float_text};
use crate::{Error, Value};

/// Runs `f` on a stack with room for one more level of a visitor.
pub(crate) fn grow<R>(f: impl FnOnce() -> R) -> R {
    stacker::maybe_grow(128 * 1024, 4 * 1024 * 1024, f)
}

/// A deserializer of one item.
#[derive(Clone, Copy)]
pub(crate) struct Deserializer<'d, 'a> {
    document: &'d Document<'a>,
    item: usize,
}

impl<'d, 'a> Deserializer<'d, 'a> {
    /// A deserializer of the root.
    pub(crate) fn new(document: &'d Document<'a>) -> Self {
        Self { document, item: document.root }
    }

    fn get(&self) -> &'d Item<'a> {
        self.document.items.get(self.item).unwrap_or(&Item::Null)
    }

    /// Gives the text that a text field takes for the item.
    fn text(&self) -> Option<String> {
        match self.get() {
            Item::Null => Some(String::new()),
            Item::Bool(value) => Some(value.to_string()),
            Item::Int(value) => Some(value.to_string()),
            Item::Uint(value) => Some(value.to_string()),
            Item::Float(value) => Some(float_text(*value)),
            Item::String(_) | Item::Array(_) | Item::Object(_) => None,
        }
    }

    fn entries(&self, range: &std::ops::Range<usize>) -> Entries<'d, 'a> {
        let entries = self.document.entries.get(range.clone()).unwrap_or_default();
        Entries { document: self.document, entries: entries.iter(), value: None }
    }

    fn deserialize_integer<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_u64(0),
            // JSON writes an integral float without a point, so it passes for an integer.
            Item::Float(value) if value.fract() == 0.0 && value.abs() < 9e18 => {
                visitor.visit_i64(*value as i64)
            }
            _ => de::Deserializer::deserialize_any(self, visitor),
        }
    }
}

/// Forwards the integer types.
macro_rules! integers {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.deserialize_integer(visitor)
        }
    )*};
}

impl<'de> de::Deserializer<'de> for Deserializer<'_, '_> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_unit(),
            Item::Bool(value) => visitor.visit_bool(*value),
            Item::Int(value) => visitor.visit_i64(*value),
            Item::Uint(value) => visitor.visit_u64(*value),
            Item::Float(value) => visitor.visit_f64(*value),
            Item::String(value) => visitor.visit_str(value),
            Item::Array(range) => grow(|| visitor.visit_seq(self.entries(range))),
            Item::Object(range) => grow(|| visitor.visit_map(self.entries(range))),
        }
    }

    integers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_bool(false),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.text() {
            Some(text) => visitor.visit_string(text),
            None => self.deserialize_any(visitor),
        }
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_byte_buf(visitor)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_bytes(&[]),
            Item::String(text) => match crate::base64::decode(text.as_bytes()) {
                Some(bytes) => visitor.visit_byte_buf(bytes),
                None => Err(de::Error::custom("illegal base64 data")),
            },
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_seq(self.entries(&(0..0))),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.get() {
            Item::Null => visitor.visit_map(self.entries(&(0..0))),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.get() {
            Item::Object(range) => {
                visitor.visit_enum(de::value::MapAccessDeserializer::new(self.entries(range)))
            }
            Item::String(name) => visitor.visit_enum(name.as_ref().into_deserializer()),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! { unit unit_struct identifier }
}

/// The entries of a container, one after the other.
struct Entries<'d, 'a> {
    document: &'d Document<'a>,
    entries: std::slice::Iter<'d, Entry>,
    value: Option<usize>,
}

impl<'de> SeqAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, Error> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        seed.deserialize(Deserializer { document: self.document, item: entry.item }).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

impl<'de> MapAccess<'de> for Entries<'_, '_> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some(entry) = self.entries.next() else {
            return Ok(None);
        };
        self.value = Some(entry.item);
        seed.deserialize(Deserializer { document: self.document, item: entry.key }).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let item = self.value.take().unwrap_or(usize::MAX);
        seed.deserialize(Deserializer { document: self.document, item })
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.entries.len())
    }
}

/// Builds the plain tree; containers come after what they hold, so nothing recurses.
pub(crate) fn tree(document: Document<'_>) -> Value {
    build(document, |_| true)
}

/// As [`tree`], but of a map only the entries whose keys are wanted.
pub(crate) fn partial_tree(mut document: Document<'_>, wanted: impl Fn(&str) -> bool) -> Value {
    let Some(Item::Object(range)) = document.items.get(document.root).cloned() else { return tree(document) };
    let key = |entry: &Entry| match document.items.get(entry.key) {
        Some(Item::String(key)) => &**key,
        _ => "",
    };
    let entries = document.entries.get(range).unwrap_or_default();
    let kept: Vec<Entry> = entries.iter().filter(|entry| wanted(key(entry))).copied().collect();
    let mut needed = vec![false; document.items.len()];
    let mut pending: Vec<usize> = kept.iter().flat_map(|entry| [entry.key, entry.item]).collect();
    pending.push(document.root);
    let first = document.entries.len();
    document.entries.extend(kept);
    if let Some(root) = document.items.get_mut(document.root) {
        *root = Item::Object(first..document.entries.len());
    }
    while let Some(index) = pending.pop() {
        let Some(mark) = needed.get_mut(index).filter(|mark| !**mark) else { continue };
        *mark = true;
        if let Some(Item::Array(range) | Item::Object(range)) = document.items.get(index) {
            let entries = document.entries.get(range.clone()).unwrap_or_default();
            pending.extend(entries.iter().flat_map(|entry| [entry.key, entry.item]));
        }
    }
    build(document, |index| needed.get(index).is_some_and(|needed| *needed))
}

/// Builds the items that are needed.
fn build(document: Document<'_>, needed: impl Fn(usize) -> bool) -> Value {
    let Document { items, entries, root, .. } = document;
    let mut values: Vec<Value> = Vec::with_capacity(items.len());
    let take =
        |values: &mut Vec<Value>, index: usize| values.get_mut(index).map(std::mem::take).unwrap_or_default();
    for (index, item) in items.into_iter().enumerate() {
        if !needed(index) {
            values.push(Value::Null);
            continue;
        }
        let value = match item {
            Item::Null => Value::Null,
            Item::Bool(value) => Value::Bool(value),
            Item::Int(value) => Value::Int(value),
            Item::Uint(value) => Value::Uint(value),
            Item::Float(value) => Value::Float(value),
            Item::String(value) => Value::String(value.into_owned()),
            Item::Array(range) => {
                let entries = entries.get(range).unwrap_or_default();
                Value::Array(entries.iter().map(|entry| take(&mut values, entry.item)).collect())
            }
            Item::Object(range) => {
                let entries = entries.get(range).unwrap_or_default();
                let key = |values: &mut Vec<Value>, index: usize| match values.get_mut(index) {
                    Some(Value::String(key)) => std::mem::take(key),
                    _ => String::new(),
                };
                Value::Object(
                    entries
                        .iter()
                        .map(|entry| (key(&mut values, entry.key), take(&mut values, entry.item)))
                        .collect(),
                )
            }
        };
        values.push(value);
    }
    take(&mut values, root)
}

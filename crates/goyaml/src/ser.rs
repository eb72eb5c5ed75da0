//! Takes a value apart into a flat tree that the emitter can walk.
//!
//! For `to_string` this is where Go's detour through JSON shows: numbers become what their JSON text reads
//! as. Strings survive the detour unchanged, but for a few characters; [`Tree::is_odd`] tells when the
//! detour has to be taken for real.

use serde::ser::{self, Serialize};

use crate::Error;
use crate::de::grow;
use crate::decode::{Document, Item as Decoded};
use crate::number::{format_float_json, parse_int};

/// An item of the tree, before its descendants.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Item {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// The text between two offsets.
    Text {
        start: usize,
        end: usize,
    },
    /// As [`Item::Text`], but of another type than strings: it never needs quotes.
    Plain {
        start: usize,
        end: usize,
    },
    /// A list, and the index after its last descendant.
    Seq {
        end: usize,
    },
    /// A map whose keys and values alternate.
    Map {
        end: usize,
    },
    /// As [`Item::Map`], but the keys stay in their order, and are all different.
    Struct {
        end: usize,
    },
}

/// A value, taken apart.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    pub(crate) items: Vec<Item>,
    text: Vec<u8>,
    odd: bool,
    deepest: usize,
}

/// The text of a Go `time.Time`, which [`to_string_pretty`](crate::to_string_pretty) writes without quotes.
#[derive(Debug, Clone, Copy)]
pub struct Timestamp<'t>(pub &'t str);

impl Timestamp<'_> {
    const NAME: &'static str = "time.Time";
}

impl Serialize for Timestamp<'_> {
    fn serialize<S: ser::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_newtype_struct(Self::NAME, self.0)
    }
}

/// What the tree is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// Everything passes through JSON.
    Json,
    /// Values are written as they are.
    Plain,
}

impl Tree {
    /// Takes a value apart.
    pub(crate) fn new<T: Serialize + ?Sized>(value: &T, form: Form) -> Result<Self, Error> {
        let mut builder = Builder { tree: Self::default(), form, depth: 0 };
        value.serialize(&mut builder)?;
        Ok(builder.tree)
    }

    /// Gives the bytes of a text; not UTF-8 if the value was bytes.
    pub(crate) fn text(&self, item: Item) -> &[u8] {
        match item {
            Item::Text { start, end } | Item::Plain { start, end } => {
                self.text.get(start..end).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// Gives the index after an item and its descendants.
    pub(crate) fn after(&self, index: usize) -> usize {
        match self.items.get(index) {
            Some(&(Item::Seq { end } | Item::Map { end } | Item::Struct { end })) => end.max(index + 1),
            _ => index + 1,
        }
    }

    /// Whether reading the JSON form as YAML may give something else than the tree, or fail.
    ///
    /// Go: JSON leaves DEL, C1 controls and non-characters as they are, and YAML forbids all of them but
    /// NEL, which it takes for a line break. It also limits nesting, and the length of keys.
    pub(crate) fn is_odd(&self) -> bool {
        self.odd || self.deepest >= 10_000
    }

    /// Writes the tree as `encoding/json` would, apart from the order of keys.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        struct Open {
            end: usize,
            map: bool,
            count: usize,
        }

        let mut out = Vec::with_capacity(self.text.len() + self.items.len() * 4);
        let mut open: Vec<Open> = Vec::new();
        for (index, &item) in self.items.iter().enumerate() {
            while open.last().is_some_and(|container| container.end <= index) {
                if let Some(container) = open.pop() {
                    out.push(if container.map { b'}' } else { b']' });
                }
            }
            if let Some(container) = open.last_mut() {
                if container.map && container.count % 2 == 1 {
                    out.push(b':');
                } else if container.count > 0 {
                    out.push(b',');
                }
                container.count += 1;
            }
            match item {
                Item::Null => out.extend_from_slice(b"null"),
                Item::Bool(value) => out.extend_from_slice(value.to_string().as_bytes()),
                Item::Int(value) => out.extend_from_slice(value.to_string().as_bytes()),
                Item::Uint(value) => out.extend_from_slice(value.to_string().as_bytes()),
                Item::Float(value) => out.extend_from_slice(format_float_json(value).as_bytes()),
                Item::Text { .. } | Item::Plain { .. } => json_string(&mut out, self.text(item)),
                Item::Seq { end } => {
                    out.push(b'[');
                    open.push(Open { end, map: false, count: 0 });
                }
                Item::Map { end } | Item::Struct { end } => {
                    out.push(b'{');
                    open.push(Open { end, map: true, count: 0 });
                }
            }
        }
        while let Some(container) = open.pop() {
            out.push(if container.map { b'}' } else { b']' });
        }
        out
    }

    /// Makes a tree of a document that was read.
    pub(crate) fn from_document(document: &Document<'_>) -> Self {
        enum Step {
            Item(usize),
            Close(usize),
        }

        let mut tree = Self::default();
        let mut steps = vec![Step::Item(document.root)];
        while let Some(step) = steps.pop() {
            let index = match step {
                Step::Close(index) => {
                    tree.close(index);
                    continue;
                }
                Step::Item(index) => index,
            };
            let item = match document.items.get(index) {
                None | Some(Decoded::Null) => Item::Null,
                Some(Decoded::Bool(value)) => Item::Bool(*value),
                Some(Decoded::Int(value)) => Item::Int(*value),
                Some(Decoded::Uint(value)) => Item::Uint(*value),
                Some(Decoded::Float(value)) => Item::Float(*value),
                Some(Decoded::String(value)) => tree.push_text(value.as_bytes()),
                Some(Decoded::Array(range)) => {
                    steps.push(Step::Close(tree.items.len()));
                    let entries = document.entries.get(range.clone()).unwrap_or_default();
                    steps.extend(entries.iter().rev().map(|entry| Step::Item(entry.item)));
                    Item::Seq { end: 0 }
                }
                Some(Decoded::Object(range)) => {
                    steps.push(Step::Close(tree.items.len()));
                    let entries = document.entries.get(range.clone()).unwrap_or_default();
                    for entry in entries.iter().rev() {
                        steps.push(Step::Item(entry.item));
                        steps.push(Step::Item(entry.key));
                    }
                    Item::Map { end: 0 }
                }
            };
            tree.items.push(item);
        }
        tree
    }

    /// Ends the list or map at `index`.
    fn close(&mut self, index: usize) {
        let end = self.items.len();
        if let Some(Item::Seq { end: slot } | Item::Map { end: slot } | Item::Struct { end: slot }) =
            self.items.get_mut(index)
        {
            *slot = end;
        }
    }

    /// Stores a text.
    fn push_text(&mut self, text: &[u8]) -> Item {
        let start = self.text.len();
        self.text.extend_from_slice(text);
        Item::Text { start, end: self.text.len() }
    }
}

/// Writes a string as `encoding/json` does.
fn json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let text = String::from_utf8_lossy(text);
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\x08' => out.extend_from_slice(b"\\b"),
            '\x0C' => out.extend_from_slice(b"\\f"),
            '\0'..='\x1F' | '<' | '>' | '&' | '\u{2028}' | '\u{2029}' => {
                out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes());
            }
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Whether YAML may read the JSON form of a text as something else.
fn is_odd(text: &str) -> bool {
    text.bytes().fold(false, |odd, b| odd | matches!(b, 0x7F | 0xC2 | 0xEF))
        && text.chars().any(|c| matches!(c, '\u{7F}'..='\u{9F}' | '\u{FEFF}' | '\u{FFFE}' | '\u{FFFF}'))
}

/// Builds a tree from serde's calls.
struct Builder {
    tree: Tree,
    form: Form,
    depth: usize,
}

impl Builder {
    fn push(&mut self, item: Item) -> Result<(), Error> {
        self.tree.items.push(item);
        Ok(())
    }

    fn push_str(&mut self, text: &str) -> Result<(), Error> {
        if self.form == Form::Json && is_odd(text) {
            self.tree.odd = true;
        }
        let item = self.tree.push_text(text.as_bytes());
        self.push(item)
    }

    /// Pushes a key; YAML gives up on keys above 1024 characters of JSON, six of which may be one escape.
    fn push_key(&mut self, key: &str) -> Result<(), Error> {
        if key.len() >= 160 {
            self.tree.odd = true;
        }
        self.push_str(key)
    }

    fn push_float(&mut self, value: f64) -> Result<(), Error> {
        if self.form == Form::Plain {
            return self.push(Item::Float(value));
        }
        if !value.is_finite() {
            return Err(Error::Marshal(format!("json: unsupported value: {}", format_float_json(value))));
        }
        if value.fract() != 0.0 {
            return self.push(Item::Float(value));
        }
        // Exactly an integer, so its digits need no detour.
        if value.abs() < 9_007_199_254_740_992.0 {
            return self.push(Item::Int(value as i64));
        }
        let item = match parse_int(format_float_json(value).as_bytes()) {
            Some(crate::number::Int::Signed(value)) => Item::Int(value),
            Some(crate::number::Int::Unsigned(value)) => Item::Uint(value),
            None => Item::Float(value),
        };
        self.push(item)
    }

    /// Opens a container.
    fn open(&mut self, item: Item) -> Container<'_> {
        let index = self.tree.items.len();
        self.tree.items.push(item);
        self.depth += 1;
        self.tree.deepest = self.tree.deepest.max(self.depth);
        Container { builder: self, index, wrapped: None }
    }

    /// Opens the value of a variant: a map of one entry.
    fn open_variant(&mut self, variant: &str, item: Item) -> Result<Container<'_>, Error> {
        let wrapped = self.tree.items.len();
        self.push(Item::Map { end: 0 })?;
        self.push_key(variant)?;
        self.depth += 1;
        let mut container = self.open(item);
        container.wrapped = Some(wrapped);
        Ok(container)
    }

    /// Closes a container.
    fn close(&mut self, index: usize) {
        self.depth -= 1;
        self.tree.close(index);
    }
}

impl<'b> ser::Serializer for &'b mut Builder {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Container<'b>;
    type SerializeTuple = Container<'b>;
    type SerializeTupleStruct = Container<'b>;
    type SerializeTupleVariant = Container<'b>;
    type SerializeMap = Container<'b>;
    type SerializeStruct = Container<'b>;
    type SerializeStructVariant = Container<'b>;

    fn serialize_bool(self, value: bool) -> Result<(), Error> {
        self.push(Item::Bool(value))
    }

    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i32(self, value: i32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.push(Item::Int(value))
    }

    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.serialize_i64(value.into())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.push(i64::try_from(value).map_or(Item::Uint(value), Item::Int))
    }

    fn serialize_f32(self, value: f32) -> Result<(), Error> {
        // The shortest digits of 32 bits, which is what Go prints for a float32.
        self.push_float(value.to_string().parse().unwrap_or(f64::from(value)))
    }

    fn serialize_f64(self, value: f64) -> Result<(), Error> {
        self.push_float(value)
    }

    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.push_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Error> {
        self.push_str(value)
    }

    /// Takes bytes for a Go string that need not be UTF-8.
    fn serialize_bytes(self, value: &[u8]) -> Result<(), Error> {
        match std::str::from_utf8(value) {
            Ok(text) => self.push_str(text),
            Err(_) if self.form == Form::Json => self.push_str(&crate::decode::json_text(value)),
            Err(_) => {
                let item = self.tree.push_text(value);
                self.push(item)
            }
        }
    }

    fn serialize_none(self) -> Result<(), Error> {
        self.push(Item::Null)
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Error> {
        self.push(Item::Null)
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.push(Item::Null)
    }

    fn serialize_unit_variant(self, _: &'static str, _: u32, variant: &'static str) -> Result<(), Error> {
        self.push_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(&mut *self)?;
        if name == Timestamp::NAME
            && self.form == Form::Plain
            && let Some(item) = self.tree.items.last_mut()
            && let Item::Text { start, end } = *item
        {
            *item = Item::Plain { start, end };
        }
        Ok(())
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        let mut map = self.open(Item::Map { end: 0 });
        map.key(variant)?;
        map.value(value)?;
        map.finish()
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Container<'b>, Error> {
        Ok(self.open(Item::Seq { end: 0 }))
    }

    fn serialize_tuple(self, _: usize) -> Result<Container<'b>, Error> {
        Ok(self.open(Item::Seq { end: 0 }))
    }

    fn serialize_tuple_struct(self, _: &'static str, _: usize) -> Result<Container<'b>, Error> {
        Ok(self.open(Item::Seq { end: 0 }))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Container<'b>, Error> {
        self.open_variant(variant, Item::Seq { end: 0 })
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Container<'b>, Error> {
        Ok(self.open(Item::Map { end: 0 }))
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Container<'b>, Error> {
        Ok(self.open(match self.form {
            // Go: what is read back from JSON is a map.
            Form::Json => Item::Map { end: 0 },
            Form::Plain => Item::Struct { end: 0 },
        }))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        _: usize,
    ) -> Result<Container<'b>, Error> {
        self.open_variant(variant, Item::Map { end: 0 })
    }
}

/// An open list or map.
pub(crate) struct Container<'b> {
    builder: &'b mut Builder,
    index: usize,
    /// The map of one entry around it.
    wrapped: Option<usize>,
}

impl Container<'_> {
    fn key(&mut self, key: &str) -> Result<(), Error> {
        self.builder.push_key(key)
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        grow(|| value.serialize(&mut *self.builder))
    }

    fn finish(self) -> Result<(), Error> {
        self.builder.close(self.index);
        if let Some(wrapped) = self.wrapped {
            self.builder.close(wrapped);
        }
        Ok(())
    }
}

impl ser::SerializeSeq for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTuple for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleStruct for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeTupleVariant for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeMap for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let index = self.builder.tree.items.len();
        key.serialize(&mut *self.builder)?;
        let text = match self.builder.tree.items.get(index).copied() {
            Some(Item::Text { start, end }) => {
                self.builder.tree.odd |= end - start >= 160;
                return Ok(());
            }
            Some(Item::Bool(value)) => value.to_string(),
            Some(Item::Int(value)) => value.to_string(),
            Some(Item::Uint(value)) => value.to_string(),
            _ => return Err(Error::Marshal("json: unsupported type of a map key".to_owned())),
        };
        self.builder.tree.items.truncate(index);
        self.builder.push_key(&text)
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeStruct for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl ser::SerializeStructVariant for Container<'_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        self.key(key)?;
        self.value(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

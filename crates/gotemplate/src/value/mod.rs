//! The values that templates compute with: Go's, as far as a template can see them.
//!
//! Strings are bytes, maps are shared and mutable (sprig's `set` changes the map that everybody holds),
//! lists are immutable once made, numbers keep their Go kind (`eq 1 1.0` is an error in Go), and anything
//! with methods is an [`Object`]. See `docs/design/0001-value-model.md`.

mod entries;
mod equal;
mod list;
mod map;
mod object;
mod str;

use std::borrow::Cow;
use std::fmt;
use std::rc::Rc;

pub use self::entries::Entries;
pub use self::equal::deep_equal;
pub use self::list::{ElemType, List};
pub use self::map::{Map, MapType, NamedMap};
pub use self::object::{Method, Object, YamlForm};
pub use self::str::Str;
use crate::printf;

/// Go's integer kinds that a template can meet. The number itself is kept as `i64` (`u64` bits for `Uint64`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IntKind {
    /// `int`: literals, `len`, `until`.
    Int,
    /// `int64`: sprig's arithmetic, `--set` integers.
    Int64,
    /// `int32`: runes (`'a'` is an untyped constant, a rune value from a function is this).
    Int32,
    /// `uint8`: a byte of a string or of a `[]byte`.
    Uint8,
    /// `uint`.
    Uint,
    /// `uint32`.
    Uint32,
    /// `uint64`: the numbers of a semver.
    Uint64,
}

impl IntKind {
    /// Go's name of it: `int`, `uint8`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Int32 => "int32",
            Self::Uint8 => "uint8",
            Self::Uint => "uint",
            Self::Uint32 => "uint32",
            Self::Uint64 => "uint64",
        }
    }

    /// Whether it has no sign.
    pub fn is_unsigned(self) -> bool {
        matches!(self, Self::Uint8 | Self::Uint | Self::Uint32 | Self::Uint64)
    }
}

/// Any value of a template.
#[derive(Clone)]
pub enum Value {
    /// `nil`: an untyped nil or a nil interface.
    Nil,
    /// `bool`.
    Bool(bool),
    /// Any integer kind.
    Int(i64, IntKind),
    /// `float64`.
    Float(f64),
    /// `complex128`.
    Complex(f64, f64),
    /// `string`.
    String(Str),
    /// A slice.
    List(List),
    /// A map.
    Map(Map),
    /// Anything else.
    Object(Rc<dyn Object>),
}

impl Value {
    /// Go's `int`.
    pub fn int(n: i64) -> Self {
        Self::Int(n, IntKind::Int)
    }

    /// Go's `int64`.
    pub fn int64(n: i64) -> Self {
        Self::Int(n, IntKind::Int64)
    }

    /// A string.
    pub fn string(text: impl Into<Str>) -> Self {
        Self::String(text.into())
    }

    /// A `[]interface {}`.
    pub fn list(items: Vec<Value>) -> Self {
        Self::List(List { elem: ElemType::Any, items: Rc::new(items) })
    }

    /// A `[]string`.
    pub fn strings<S: Into<Str>>(items: impl IntoIterator<Item = S>) -> Self {
        let items = items.into_iter().map(|s| Self::String(s.into())).collect();
        Self::List(List { elem: ElemType::String, items: Rc::new(items) })
    }

    /// A `map[string]interface {}`.
    pub fn map(entries: Entries) -> Self {
        Self::Map(Map::new(entries))
    }

    /// A `[]byte`.
    pub fn bytes(bytes: &[u8]) -> Self {
        let items = bytes.iter().map(|&byte| Self::Int(i64::from(byte), IntKind::Uint8)).collect();
        Self::List(List::new(ElemType::Byte, items))
    }

    /// Whether it is nil of whatever type: [`Value::Nil`], or a nil map or slice.
    pub fn is_null(&self) -> bool {
        match self {
            Self::Nil => true,
            Self::Object(object) => object.nil_of().is_some(),
            _ => false,
        }
    }

    /// Whether it is nil.
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    fn is_container(&self) -> bool {
        matches!(self, Self::List(_) | Self::Map(_))
    }

    /// The string in it.
    pub fn as_str(&self) -> Option<&Str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The list in it.
    pub fn as_list(&self) -> Option<&List> {
        match self {
            Self::List(list) => Some(list),
            _ => None,
        }
    }

    /// The map in it.
    pub fn as_map(&self) -> Option<&Map> {
        match self {
            Self::Map(map) => Some(map),
            _ => None,
        }
    }

    /// The bool in it.
    pub fn as_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(truth) => Some(*truth),
            _ => None,
        }
    }

    /// The integer in it, of whatever kind; a `uint64` keeps its bits.
    pub fn as_int(&self) -> Option<i64> {
        match self {
            Self::Int(n, _) => Some(*n),
            _ => None,
        }
    }

    /// The float in it.
    pub fn as_float(&self) -> Option<f64> {
        match self {
            Self::Float(f) => Some(*f),
            _ => None,
        }
    }

    /// The object in it, if it is a `T`.
    pub fn as_object<T: Object>(&self) -> Option<&T> {
        match self {
            Self::Object(object) => object.as_any().downcast_ref(),
            _ => None,
        }
    }

    /// Go's truth: not the zero of its type, not empty.
    pub fn truth(&self) -> bool {
        match self {
            Self::Nil => false,
            Self::Bool(truth) => *truth,
            Self::Int(n, _) => *n != 0,
            Self::Float(f) => *f != 0.0,
            Self::Complex(re, im) => *re != 0.0 || *im != 0.0,
            Self::String(text) => !text.is_empty(),
            Self::List(list) => !list.items.is_empty(),
            Self::Map(map) => !map.is_empty(),
            Self::Object(object) => object.truth(),
        }
    }

    /// Its Go type, as sprig's `typeOf` and `%T` show it.
    pub fn type_name(&self) -> Cow<'_, str> {
        Cow::Borrowed(match self {
            Self::Nil => "<nil>",
            Self::Bool(_) => "bool",
            Self::Int(_, kind) => kind.name(),
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::String(_) => "string",
            Self::List(list) => list.elem.slice_name(),
            Self::Map(map) => map.ty.name(),
            Self::Object(object) => object.type_name(),
        })
    }

    /// Its Go kind, as sprig's `kindOf` shows it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Nil => "invalid",
            Self::Bool(_) => "bool",
            Self::Int(_, kind) => kind.name(),
            Self::Float(_) => "float64",
            Self::Complex(..) => "complex128",
            Self::String(_) => "string",
            Self::List(_) => "slice",
            Self::Map(_) => "map",
            Self::Object(object) => object.kind(),
        }
    }
}

impl Default for Value {
    /// Nil.
    fn default() -> Self {
        Self::Nil
    }
}

impl From<bool> for Value {
    fn from(truth: bool) -> Self {
        Self::Bool(truth)
    }
}

impl From<f64> for Value {
    fn from(f: f64) -> Self {
        Self::Float(f)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::string(text)
    }
}

impl From<String> for Value {
    fn from(text: String) -> Self {
        Self::string(text)
    }
}

impl From<Str> for Value {
    fn from(text: Str) -> Self {
        Self::String(text)
    }
}

impl From<Vec<u8>> for Value {
    fn from(text: Vec<u8>) -> Self {
        Self::string(text)
    }
}

impl From<Map> for Value {
    fn from(map: Map) -> Self {
        Self::Map(map)
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&printf::sprintf(b"%#v", std::slice::from_ref(self))))
    }
}

/// Drops values one after the other: a template can nest them deeper than the stack could unwind.
fn drop_deep(mut pending: Vec<Value>) {
    while let Some(value) = pending.pop() {
        match value {
            Value::List(mut list) => {
                if let Some(items) = Rc::get_mut(&mut list.items) {
                    pending.append(items);
                }
            }
            Value::Map(map) if Rc::strong_count(&map.entries) == 1 => {
                if let Ok(mut entries) = map.entries.try_borrow_mut() {
                    pending.extend(std::mem::take(&mut *entries).into_values());
                }
            }
            _ => {}
        }
    }
}

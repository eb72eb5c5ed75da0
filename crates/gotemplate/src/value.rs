//! The values that templates compute with: Go's, as far as a template can see them.
//!
//! Strings are bytes, maps are shared and mutable (sprig's `set` changes the map that everybody holds),
//! lists are immutable once made, numbers keep their Go kind (`eq 1 1.0` is an error in Go), and anything
//! with methods is an [`Object`]. See `docs/design/0001-value-model.md`.

use std::any::Any;
use std::borrow::{Borrow, Cow};
use std::cell::RefCell;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;
use std::rc::Rc;

use crate::error::FuncError;
use crate::exec::State;
use crate::printf;

/// A Go string: immutable bytes, usually UTF-8, cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Str(Rc<[u8]>);

impl Str {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The text, with invalid UTF-8 replaced by U+FFFD.
    pub fn to_string_lossy(&self) -> std::borrow::Cow<'_, str> {
        // The library's function takes bytes one by one even where all of them are good.
        self.to_str().map_or_else(|| String::from_utf8_lossy(&self.0), Cow::Borrowed)
    }

    /// Length in bytes, as Go's `len`.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<&str> for Str {
    fn from(text: &str) -> Self {
        Self(text.as_bytes().into())
    }
}

impl From<String> for Str {
    fn from(text: String) -> Self {
        Self(text.into_bytes().into())
    }
}

impl From<Vec<u8>> for Str {
    fn from(bytes: Vec<u8>) -> Self {
        Self(bytes.into())
    }
}

impl From<&[u8]> for Str {
    fn from(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }
}

impl Borrow<[u8]> for Str {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

/// A key that is looked up: compared with what mostly differs first, without a call.
trait Key {
    fn bytes(&self) -> &[u8];
}

impl Key for Str {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Key for &[u8] {
    fn bytes(&self) -> &[u8] {
        self
    }
}

impl<'k> Borrow<dyn Key + 'k> for Str {
    fn borrow(&self) -> &(dyn Key + 'k) {
        self
    }
}

impl Ord for dyn Key + '_ {
    #[inline]
    fn cmp(&self, other: &Self) -> Ordering {
        let (left, right) = (self.bytes(), other.bytes());
        match (left.first_chunk::<8>(), right.first_chunk::<8>()) {
            (Some(a), Some(b)) if a != b => u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b)),
            _ => match left.first().cmp(&right.first()) {
                Ordering::Equal => left.cmp(right),
                unequal => unequal,
            },
        }
    }
}

impl PartialOrd for dyn Key + '_ {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for dyn Key + '_ {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for dyn Key + '_ {}

impl Str {
    /// The text, if it is valid UTF-8.
    pub fn to_str(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok()
    }
}

impl AsRef<[u8]> for Str {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Default for Str {
    fn default() -> Self {
        Self::from("")
    }
}

impl From<&String> for Str {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<std::borrow::Cow<'_, str>> for Str {
    fn from(text: std::borrow::Cow<'_, str>) -> Self {
        Self::from(&*text)
    }
}

impl PartialEq<str> for Str {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other.as_bytes()
    }
}

impl fmt::Debug for Str {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.to_string_lossy(), f)
    }
}

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

/// The element type of a Go slice, for `typeOf`, `%#v` and argument checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElemType {
    /// `[]interface {}`.
    Any,
    /// `[]string`.
    String,
    /// `[]int`.
    Int,
    /// `[]uint8`; printed as numbers, written by `%s` as text.
    Byte,
    /// `[]map[string]interface {}` (arrays of tables of `fromToml`).
    Map,
    /// `[][]interface {}` (`chunk`).
    AnyList,
}

impl ElemType {
    /// The slice's name in Go: `[]interface {}`.
    pub fn slice_name(self) -> &'static str {
        match self {
            Self::Any => "[]interface {}",
            Self::String => "[]string",
            Self::Int => "[]int",
            Self::Byte => "[]uint8",
            Self::Map => "[]map[string]interface {}",
            Self::AnyList => "[][]interface {}",
        }
    }
}

/// A Go slice. Never changed in place: sprig's list functions copy.
#[derive(Clone)]
pub struct List {
    /// What `typeOf` says of it.
    pub elem: ElemType,
    /// The elements.
    pub items: Rc<Vec<Value>>,
}

impl List {
    /// A new slice.
    pub fn new(elem: ElemType, items: Vec<Value>) -> Self {
        Self { elem, items: Rc::new(items) }
    }

    /// The bytes of a `[]byte`.
    pub fn to_bytes(&self) -> Vec<u8> {
        let byte = |item: &Value| match item {
            Value::Int(n, _) => n.to_le_bytes()[0],
            _ => 0,
        };
        self.items.iter().map(byte).collect()
    }
}

impl Drop for List {
    fn drop(&mut self) {
        if Rc::strong_count(&self.items) == 1
            && self.items.iter().any(Value::is_container)
            && let Some(items) = Rc::get_mut(&mut self.items)
        {
            drop_deep(std::mem::take(items));
        }
    }
}

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
    pub method: fn(&Map, &str) -> Option<Method>,
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

/// The entries of a map, in Go's printing order.
pub type Entries = BTreeMap<Str, Value>;

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
        RefCell::borrow(&self.entries).get(&key as &dyn Key).cloned()
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

/// A method bound to its receiver, ready to be called with the template's arguments.
pub struct Method {
    /// Its parameters.
    pub signature: crate::funcs::Signature,
    /// Does it.
    #[allow(clippy::type_complexity, reason = "the one place that spells it")]
    pub call: Box<dyn Fn(&[Value]) -> Result<Value, FuncError>>,
}

/// A Go value with fields or methods that is neither map nor list: a time, a semver, `.Capabilities`, `.Files`.
#[allow(clippy::len_without_is_empty, reason = "templates ask for the length only")]
pub trait Object: Any {
    /// `typeOf`: `time.Time`, `*semver.Version`.
    fn type_name(&self) -> &str;

    /// `kindOf`: `struct`, `ptr`, `map`, `slice`.
    fn kind(&self) -> &'static str;

    /// What a pointer points to, which a template prints in its place; `None` for what is no pointer, or has a text of
    /// its own.
    fn pointee(&self) -> Option<Rc<dyn Object>> {
        None
    }

    /// An exported field of that name.
    fn field(&self, _name: &str) -> Option<Value> {
        None
    }

    /// A method of that name.
    fn method(self: Rc<Self>, _name: &str) -> Option<Method> {
        None
    }

    /// A template has taken it out of a map by its name, as in `.Capabilities`: whoever must know that learns it here.
    fn taken(&self, _state: &State<'_, '_>) {}

    /// What `%v` prints (Go's `String()` or `Error()`, else the struct dump).
    fn print(&self) -> Vec<u8>;

    /// What a function gets in place of this: Go copies structs, and what has no address prints without the `String()`
    /// that only its pointer has.
    fn copied(self: Rc<Self>) -> Option<Rc<dyn Object>> {
        None
    }

    /// What sprig's `deepCopy` makes of it, where that is not the same: fields that are not exported stay empty.
    fn deep_copied(&self) -> Option<Rc<dyn Object>> {
        None
    }

    /// The empty map or slice that a nil one is like, except in JSON and when compared; `None` if this is not nil.
    fn nil_of(&self) -> Option<Value> {
        None
    }

    /// Go's truth: structs and non-nil pointers are true, an empty map or slice is not.
    fn truth(&self) -> bool {
        true
    }

    /// The plain value behind it for JSON and YAML, as Go's `encoding/json` would see it; `None` cannot be marshalled.
    fn to_plain(&self) -> Option<Value> {
        None
    }

    /// The plain value behind it as go-yaml would see it, which does not go by way of JSON.
    fn to_yaml(&self) -> Option<Value> {
        self.to_plain()
    }

    /// Its JSON as Go's `encoding/json` writes it, where that is another than [`Object::to_plain`]'s: a struct's fields
    /// keep their order.
    fn to_json(&self) -> Option<String> {
        None
    }

    /// The elements in `range` order (key, value) when it can be ranged over.
    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        None
    }

    /// For `len`.
    fn len(&self) -> Option<usize> {
        None
    }

    /// Go's `reflect.DeepEqual` with another object of the same type.
    fn equals(&self, _other: &dyn Object) -> bool {
        false
    }

    /// To get the concrete type back.
    fn as_any(&self) -> &dyn Any;
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

/// How deep values are compared; deeper ones count as different.
const MAX_EQUAL_DEPTH: usize = 1000;

/// Go's `reflect.DeepEqual`.
pub fn deep_equal(left: &Value, right: &Value) -> bool {
    equal_at(left, right, 0)
}

fn equal_at(left: &Value, right: &Value, depth: usize) -> bool {
    if depth > MAX_EQUAL_DEPTH {
        return false;
    }
    match (left, right) {
        (Value::Nil, Value::Nil) => true,
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Int(a, ak), Value::Int(b, bk)) => a == b && ak == bk,
        (Value::Float(a), Value::Float(b)) => a == b,
        (Value::Complex(a, ai), Value::Complex(b, bi)) => a == b && ai == bi,
        (Value::String(a), Value::String(b)) => a == b,
        (Value::List(a), Value::List(b)) => {
            a.elem == b.elem
                && a.items.len() == b.items.len()
                && (Rc::ptr_eq(&a.items, &b.items)
                    || a.items.iter().zip(b.items.iter()).all(|(a, b)| equal_at(a, b, depth + 1)))
        }
        (Value::Map(a), Value::Map(b)) => a.ty == b.ty && (a.is_same(b) || maps_equal(a, b, depth)),
        (Value::Object(a), Value::Object(b)) => {
            Rc::ptr_eq(a, b) || (a.type_name() == b.type_name() && a.equals(&**b))
        }
        _ => false,
    }
}

fn maps_equal(left: &Map, right: &Map, depth: usize) -> bool {
    let (left, right) = (RefCell::borrow(&left.entries), RefCell::borrow(&right.entries));
    left.len() == right.len()
        && left.iter().zip(right.iter()).all(|((ak, a), (bk, b))| ak == bk && equal_at(a, b, depth + 1))
}

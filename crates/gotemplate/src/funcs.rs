//! The function table, and Go's builtin functions.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use crate::error::FuncError;
use crate::exec::State;
use crate::printf;
use crate::unicode;
use crate::value::{IntKind, List, MapType, Str, Value};

/// A parameter's Go type; the executor checks and converts arguments by it, with Go's error texts.
///
/// A nil argument is accepted where Go's type can be nil and arrives as [`Value::Nil`]: for `Any`, `Map`, `List`,
/// `Strings`, `Reflect`, and pointers (`Object("*…")`). A named map (`common.Values`) arrives at `Map` as a plain
/// `map[string]interface {}` that shares its entries, as Go's conversion does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Type {
    /// `interface {}`: anything, also nil.
    Any,
    /// `string`.
    String,
    /// `bool`.
    Bool,
    /// `int`.
    Int,
    /// `int64`.
    Int64,
    /// `uint32`.
    Uint32,
    /// `float64`.
    Float64,
    /// `map[string]interface {}`.
    Map,
    /// `[]interface {}`.
    List,
    /// `[]string`.
    Strings,
    /// `reflect.Value`, as Go's own `index` and `slice` take it.
    Reflect,
    /// A Go type that only an [`Object`](crate::Object) of that `type_name` satisfies (`time.Time`).
    Object(&'static str),
}

impl Type {
    /// Go's name of it, as error texts show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Any => "interface {}",
            Self::String => "string",
            Self::Bool => "bool",
            Self::Int => "int",
            Self::Int64 => "int64",
            Self::Uint32 => "uint32",
            Self::Float64 => "float64",
            Self::Map => "map[string]interface {}",
            Self::List => "[]interface {}",
            Self::Strings => "[]string",
            Self::Reflect => "reflect.Value",
            Self::Object(name) => name,
        }
    }
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// What a function accepts.
#[derive(Clone, Copy, Debug)]
pub struct Signature {
    /// The parameters; the last one repeats when `variadic`.
    pub params: &'static [Type],
    /// Whether the last parameter takes any number of arguments.
    pub variadic: bool,
}

/// What a function does: the arguments have been checked against the signature already.
pub type Call = fn(&mut State<'_, '_>, &[Value]) -> Result<Value, FuncError>;

/// A function of the table.
#[derive(Clone, Copy)]
pub struct Func {
    /// What it accepts.
    pub signature: Signature,
    /// What it does.
    pub call: Call,
    pub(crate) special: Special,
}

/// The builtins that the executor must know: their arguments are not evaluated like those of other functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    None,
    And,
    Or,
    Call,
    /// `len` tells an untyped nil from a nil interface.
    Len,
}

/// A function and its name.
#[derive(Clone, Copy)]
pub(crate) struct NamedFunc {
    pub(crate) name: &'static str,
    pub(crate) func: Func,
}

/// Name → function.
#[derive(Clone, Default)]
pub struct Funcs {
    /// Where each is in the table.
    names: HashMap<&'static [u8], u32, BuildHasherDefault<Fnv>>,
    /// What parsed templates hold; it may have functions that were removed later.
    table: Arc<Vec<NamedFunc>>,
}

/// FNV-1a: every call in a template looks its function up, and nobody from outside puts names into the table.
#[derive(Clone)]
struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }
}

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn write_usize(&mut self, length: usize) {
        self.0 = (self.0 ^ length as u64).wrapping_mul(0x0100_0000_01b3);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl Funcs {
    /// Adds or replaces a function.
    pub fn insert(&mut self, name: &'static str, params: &'static [Type], call: Call) {
        self.add(name, Signature { params, variadic: false }, call, Special::None);
    }

    /// Adds or replaces a function whose last parameter repeats.
    pub fn insert_variadic(&mut self, name: &'static str, params: &'static [Type], call: Call) {
        self.add(name, Signature { params, variadic: true }, call, Special::None);
    }

    fn add(&mut self, name: &'static str, signature: Signature, call: Call, special: Special) {
        let table = Arc::make_mut(&mut self.table);
        self.names.insert(name.as_bytes(), table.len() as u32);
        table.push(NamedFunc { name, func: Func { signature, call, special } });
    }

    /// Removes a function, as Helm does with `env`.
    pub fn remove(&mut self, name: &str) {
        self.names.remove(name.as_bytes());
    }

    /// Looks a function up.
    pub fn get(&self, name: &str) -> Option<&Func> {
        self.table.get(self.find(name.as_bytes())? as usize).map(|named| &named.func)
    }

    /// Where a function is in [`Funcs::table`].
    pub(crate) fn find(&self, name: &[u8]) -> Option<u32> {
        self.names.get(name).copied()
    }

    /// The functions, for trees to hold.
    pub(crate) fn table(&self) -> &Arc<Vec<NamedFunc>> {
        &self.table
    }

    /// All names.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.names.values().filter_map(|index| Some(self.table.get(*index as usize)?.name))
    }

    /// Go's own functions: `and or not len index slice print printf println html js urlquery call` and the comparisons.
    pub fn builtins() -> Self {
        const ANY: &[Type] = &[Type::Any];
        const ONE: &[Type] = &[Type::Reflect];
        const TWO: &[Type] = &[Type::Reflect, Type::Reflect];
        let mut funcs = Self::default();
        let variadic = Signature { params: TWO, variadic: true };
        funcs.add("and", variadic, never, Special::And);
        funcs.add("or", variadic, never, Special::Or);
        funcs.add("call", variadic, never, Special::Call);
        funcs.add("len", Signature { params: ONE, variadic: false }, never, Special::Len);
        funcs.insert("not", ONE, |_, args| Ok(Value::Bool(!arg(args, 0).truth())));
        funcs.insert_variadic("index", TWO, |_, args| index(args));
        funcs.insert_variadic("slice", TWO, |_, args| slice(args));
        funcs.insert_variadic("eq", TWO, |_, args| equal_any(args).map(Value::Bool));
        funcs.insert("ne", TWO, |_, args| Ok(Value::Bool(!equal_any(args)?)));
        funcs.insert("lt", TWO, |_, args| less(arg(args, 0), arg(args, 1)).map(Value::Bool));
        funcs.insert("le", TWO, |_, args| less_or_equal(args).map(Value::Bool));
        funcs.insert("gt", TWO, |_, args| Ok(Value::Bool(!less_or_equal(args)?)));
        funcs.insert("ge", TWO, |_, args| Ok(Value::Bool(!less(arg(args, 0), arg(args, 1))?)));
        funcs.insert_variadic("print", ANY, |state, args| {
            Ok(Value::string(printf::try_sprint(args, state.room())?))
        });
        funcs.insert_variadic("println", ANY, |state, args| {
            Ok(Value::string(printf::try_sprintln(args, state.room())?))
        });
        funcs.insert_variadic("printf", &[Type::String, Type::Any], |state, args| {
            let (format, args) = args.split_first().unwrap_or((&Value::Nil, &[]));
            let format = format.as_str().map(Str::as_bytes).unwrap_or_default();
            let text = printf::try_sprintf(format, args, state.room())?;
            state.charge(text.len())?;
            Ok(Value::string(text))
        });
        funcs.insert_variadic("html", ANY, |state, args| escape(state, args, escape_html));
        funcs.insert_variadic("js", ANY, |state, args| escape(state, args, escape_js));
        funcs.insert_variadic("urlquery", ANY, |state, args| escape(state, args, escape_query));
        funcs
    }
}

/// Stands in the table for what the executor does itself.
fn never(_: &mut State<'_, '_>, _: &[Value]) -> Result<Value, FuncError> {
    Ok(Value::Nil)
}

fn arg(args: &[Value], i: usize) -> &Value {
    args.get(i).unwrap_or(&Value::Nil)
}

/// An index as a position, at most `len`.
fn position(index: &Value, len: usize) -> Result<usize, FuncError> {
    match index {
        Value::Int(n, _) => match usize::try_from(*n) {
            Ok(position) if position <= len => Ok(position),
            _ => Err(format!("index out of range: {n}").into()),
        },
        Value::Nil => Err("cannot index slice/array with nil".into()),
        other => Err(format!("cannot index slice/array with type {}", other.type_name()).into()),
    }
}

/// `index x 1 "a"` is `x[1]["a"]`.
fn index(args: &[Value]) -> Result<Value, FuncError> {
    let (item, indexes) = args.split_first().unwrap_or((&Value::Nil, &[]));
    if item.is_nil() {
        return Err("index of untyped nil".into());
    }
    let mut item = item.clone();
    for index in indexes {
        item = match &item {
            Value::Nil => return Err("index of nil pointer".into()),
            Value::String(text) => {
                // Go: the length itself passes the check, and reflect panics.
                let byte = text.as_bytes().get(position(index, text.len())?);
                let byte = byte.ok_or("reflect: string index out of range")?;
                Value::Int(i64::from(*byte), IntKind::Uint8)
            }
            Value::List(list) => {
                let item = list.items.get(position(index, list.items.len())?);
                item.cloned().ok_or("reflect: slice index out of range")?
            }
            Value::Map(map) => {
                let value = map.get(key(index)?.as_bytes());
                let zero = if map.ty == MapType::String { Value::string("") } else { Value::Nil };
                value.unwrap_or(zero)
            }
            Value::Object(object) => index_object(&**object, index)?,
            other => return Err(cannot("index", other)),
        };
    }
    Ok(item)
}

fn index_object(object: &dyn crate::value::Object, index: &Value) -> Result<Value, FuncError> {
    let entries = object.entries();
    match (object.kind(), entries) {
        ("map", entries) => {
            let key = key(index)?;
            let mut entries = entries.unwrap_or_default().into_iter();
            let found = entries.find(|(known, _)| known.as_str() == Some(key));
            Ok(found
                .map(|(_, value)| value)
                .or_else(|| object.field(&key.to_string_lossy()))
                .unwrap_or_default())
        }
        ("slice", Some(entries)) => {
            let position = position(index, entries.len())?;
            let found = entries.into_iter().nth(position);
            Ok(found.map(|(_, value)| value).ok_or("reflect: slice index out of range")?)
        }
        _ => Err(format!("can't index item of type {}", object.type_name()).into()),
    }
}

/// An index as the key of a map whose keys are strings.
fn key(index: &Value) -> Result<&Str, FuncError> {
    match index {
        Value::String(key) => Ok(key),
        Value::Nil => Err("value is nil; should be of type string".into()),
        other => Err(format!("value has type {}; should be string", other.type_name()).into()),
    }
}

fn cannot(verb: &str, item: &Value) -> FuncError {
    format!("can't {verb} item of type {}", item.type_name()).into()
}

/// `slice x 1 2` is `x[1:2]`.
fn slice(args: &[Value]) -> Result<Value, FuncError> {
    let (item, indexes) = args.split_first().unwrap_or((&Value::Nil, &[]));
    if item.is_nil() {
        return Err("slice of untyped nil".into());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()).into());
    }
    let len = match item {
        Value::String(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Value::String(text) => text.len(),
        Value::List(list) => list.items.len(),
        other => return Err(cannot("slice", other)),
    };
    let mut bounds = [0, len, len];
    for (bound, index) in bounds.iter_mut().zip(indexes) {
        *bound = position(index, len)?;
    }
    let [from, to, cap] = bounds;
    if from > to {
        return Err(format!("invalid slice index: {from} > {to}").into());
    }
    if to > cap {
        return Err(format!("invalid slice index: {to} > {cap}").into());
    }
    Ok(match item {
        Value::String(text) => Value::string(text.as_bytes().get(from..to).unwrap_or_default()),
        Value::List(list) => {
            Value::List(List::new(list.elem, list.items.get(from..to).unwrap_or_default().to_vec()))
        }
        _ => Value::Nil,
    })
}

const BAD_COMPARISON: &str = "invalid type for comparison";

fn incompatible(left: &Value, right: &Value) -> FuncError {
    format!("incompatible types for comparison: {} and {}", left.type_name(), right.type_name()).into()
}

/// An integer of any kind, so that all of them can be compared.
fn wide(n: i64, kind: IntKind) -> i128 {
    if kind.is_unsigned() { i128::from(n as u64) } else { i128::from(n) }
}

/// `eq a b c`: whether the first equals any of the others.
fn equal_any(args: &[Value]) -> Result<bool, FuncError> {
    let (first, others) = args.split_first().unwrap_or((&Value::Nil, &[]));
    if others.is_empty() {
        return Err("missing argument for comparison".into());
    }
    for other in others {
        if equal(first, other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(left: &Value, right: &Value) -> Result<bool, FuncError> {
    Ok(match (left, right) {
        (Value::Nil, other) | (other, Value::Nil) => other.is_null(),
        (Value::Bool(a), Value::Bool(b)) => a == b,
        (Value::Complex(a, ai), Value::Complex(b, bi)) => a == b && ai == bi,
        (Value::Float(a), Value::Float(b)) => a == b,
        // Go: integers of different signedness can be compared, integers and floats cannot.
        (Value::Int(a, ak), Value::Int(b, bk)) => wide(*a, *ak) == wide(*b, *bk),
        (Value::String(a), Value::String(b)) => a == b,
        (
            Value::List(_) | Value::Map(_) | Value::Object(_),
            Value::List(_) | Value::Map(_) | Value::Object(_),
        ) => return equal_composite(left, right),
        _ => return Err(incompatible(left, right)),
    })
}

fn equal_composite(left: &Value, right: &Value) -> Result<bool, FuncError> {
    let shown = |verb: &[u8], value: &Value| {
        String::from_utf8_lossy(&printf::sprintf(verb, std::slice::from_ref(value))).into_owned()
    };
    if left.kind() != right.kind() {
        return Err(format!(
            "non-comparable types {}: {}, {}: {}",
            shown(b"%s", left),
            left.type_name(),
            right.type_name(),
            shown(b"%v", right)
        )
        .into());
    }
    if left.is_null() || right.is_null() {
        return Ok(left.is_null() && right.is_null());
    }
    match (left, right) {
        (Value::Object(a), Value::Object(b)) if matches!(b.kind(), "struct" | "ptr") => {
            let same = std::rc::Rc::ptr_eq(a, b);
            Ok(same || (b.kind() == "struct" && a.type_name() == b.type_name() && a.equals(&**b)))
        }
        _ => Err(format!("non-comparable type {}: {}", shown(b"%s", right), right.type_name()).into()),
    }
}

fn less(left: &Value, right: &Value) -> Result<bool, FuncError> {
    let basic = |value: &Value| {
        matches!(
            value,
            Value::Bool(_) | Value::Int(..) | Value::Float(_) | Value::Complex(..) | Value::String(_)
        )
    };
    if !basic(left) || !basic(right) {
        return Err(BAD_COMPARISON.into());
    }
    match (left, right) {
        (Value::Int(a, ak), Value::Int(b, bk)) => Ok(wide(*a, *ak) < wide(*b, *bk)),
        (Value::Float(a), Value::Float(b)) => Ok(a < b),
        (Value::String(a), Value::String(b)) => Ok(a < b),
        (Value::Bool(_), Value::Bool(_)) | (Value::Complex(..), Value::Complex(..)) => {
            Err(BAD_COMPARISON.into())
        }
        _ => Err(incompatible(left, right)),
    }
}

fn less_or_equal(args: &[Value]) -> Result<bool, FuncError> {
    Ok(less(arg(args, 0), arg(args, 1))? || equal(arg(args, 0), arg(args, 1))?)
}

/// Prints the arguments as an action would, and escapes the text.
fn escape(
    state: &mut State<'_, '_>,
    args: &[Value],
    escape: fn(&[u8]) -> Vec<u8>,
) -> Result<Value, FuncError> {
    let text = match args {
        [Value::String(text)] => text.as_bytes().to_vec(),
        args => {
            let or_no_value = |value: &Value| match value {
                Value::Nil => Value::string("<no value>"),
                Value::Object(object) => object.pointee().map_or_else(|| value.clone(), Value::Object),
                value => value.clone(),
            };
            let args: Vec<_> = args.iter().map(or_no_value).collect();
            printf::try_sprint(&args, state.room())?
        }
    };
    let escaped = escape(&text);
    state.charge(escaped.len())?;
    Ok(Value::string(escaped))
}

fn escape_html(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            0 => out.extend_from_slice("\u{fffd}".as_bytes()),
            b'"' => out.extend_from_slice(b"&#34;"),
            b'\'' => out.extend_from_slice(b"&#39;"),
            b'&' => out.extend_from_slice(b"&amp;"),
            b'<' => out.extend_from_slice(b"&lt;"),
            b'>' => out.extend_from_slice(b"&gt;"),
            _ => out.push(byte),
        }
    }
    out
}

fn escape_js(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    loop {
        let (rune, width) = unicode::decode(rest);
        let Some((char, tail)) = rest.split_at_checked(width).filter(|_| width > 0) else { return out };
        match rune {
            0x5c | 0x27 | 0x22 => {
                out.push(b'\\');
                out.extend_from_slice(char);
            }
            0x3c | 0x3e | 0x26 | 0x3d | 0..0x20 => out.extend_from_slice(format!("\\u{rune:04X}").as_bytes()),
            0x20..0x80 => out.extend_from_slice(char),
            _ if unicode::is_print(rune) => out.extend_from_slice(char),
            _ => out.extend_from_slice(format!("\\u{rune:04X}").as_bytes()),
        }
        rest = tail;
    }
}

fn escape_query(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for &byte in text {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => out.push(byte),
            b' ' => out.push(b'+'),
            _ => out.extend_from_slice(format!("%{byte:02X}").as_bytes()),
        }
    }
    out
}

//! Between the engine's values, plain trees, JSON and YAML.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_gotemplate::{ElemType, Entries, IntKind, Map, Value, YamlForm};
use pintle_goyaml::{Timestamp, Value as Plain};
use serde::ser::{Error as _, SerializeStruct as _};
use serde::{Serialize, Serializer};

/// Deeper values than these are taken for maps within themselves.
const MAX_DEPTH: usize = 1_000;

/// A plain tree as a template's value; integers are Go's `int64`.
pub(super) fn value(plain: &Plain) -> Value {
    match plain {
        Plain::Null => Value::Nil,
        Plain::Bool(value) => Value::Bool(*value),
        Plain::Int(number) => Value::int64(*number),
        Plain::Uint(number) => Value::Int(number.cast_signed(), IntKind::Uint64),
        Plain::Float(number) => Value::Float(*number),
        Plain::String(text) => Value::string(text),
        Plain::Array(items) => Value::list(items.iter().map(value).collect()),
        Plain::Object(object) => Value::Map(entries(object)),
    }
}

/// The map of a tree's top.
pub(super) fn entries(object: &BTreeMap<String, Plain>) -> Map {
    Map::new(object.iter().map(|(key, plain)| (key.into(), value(plain))).collect())
}

/// What YAML or JSON says, as `encoding/json` puts it into an interface: every number a float.
pub(super) fn decoded(plain: &Plain) -> Value {
    match plain {
        #[allow(clippy::cast_precision_loss, reason = "Go: every number is a float64")]
        Plain::Int(number) => Value::Float(*number as f64),
        #[allow(clippy::cast_precision_loss, reason = "Go: every number is a float64")]
        Plain::Uint(number) => Value::Float(*number as f64),
        Plain::Array(items) => Value::list(items.iter().map(decoded).collect()),
        Plain::Object(object) => decoded_map(object),
        other => value(other),
    }
}

/// As [`decoded`], of a map.
pub(super) fn decoded_map(object: &BTreeMap<String, Plain>) -> Value {
    Value::map(object.iter().map(|(key, plain)| (key.into(), decoded(plain))).collect())
}

/// An object that the cluster returned: integers stay integers, as in Kubernetes' unstructured objects.
pub(super) fn object(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Nil,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match number.as_i64() {
            Some(number) => Value::int64(number),
            None => Value::Float(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::string(text),
        serde_json::Value::Array(items) => Value::list(items.iter().map(object).collect()),
        serde_json::Value::Object(fields) => {
            Value::map(fields.iter().map(|(key, value)| (key.into(), object(value))).collect::<Entries>())
        }
    }
}

/// Helm's `toYaml` before a last newline is cut off.
pub(super) fn to_yaml(value: &Value) -> Result<String, String> {
    pintle_goyaml::to_string(&Form { value, json: true, depth: 0 }).map_err(|error| error.to_string())
}

/// Helm's `toYamlPretty` before a last newline is cut off.
pub(super) fn to_yaml_pretty(value: &Value) -> Result<String, String> {
    pintle_goyaml::to_string_pretty(&Form { value, json: false, depth: 0 }).map_err(|error| error.to_string())
}

/// A value on its way to YAML.
struct Form<'v> {
    value: &'v Value,
    /// By way of JSON, where bytes are base64.
    json: bool,
    depth: usize,
}

impl Serialize for Form<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.depth > MAX_DEPTH {
            return Err(S::Error::custom("json: unsupported value: encountered a cycle"));
        }
        let inner = |value| Form { value, json: self.json, depth: self.depth + 1 };
        match self.value {
            Value::Nil => serializer.serialize_unit(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(number, kind) if kind.is_unsigned() => {
                serializer.serialize_u64(number.cast_unsigned())
            }
            Value::Int(number, _) => serializer.serialize_i64(*number),
            Value::Float(number) => serializer.serialize_f64(*number),
            Value::Complex(..) => Err(S::Error::custom("json: unsupported type: complex128")),
            Value::String(text) => match text.to_str() {
                Some(text) => serializer.serialize_str(text),
                None => serializer.serialize_bytes(text.as_bytes()),
            },
            Value::List(list) if self.json && list.elem == ElemType::Byte => {
                serializer.serialize_str(&STANDARD.encode(list.to_bytes()))
            }
            Value::List(list) => serializer.collect_seq(list.items.iter().map(inner)),
            Value::Map(map) => {
                // A copy: a map within itself must not be borrowed twice.
                let entries = map.snapshot();
                serializer
                    .collect_map(entries.iter().map(|(key, value)| (key.to_string_lossy(), inner(value))))
            }
            Value::Object(object) => {
                let form = if self.json { object.to_plain().map(YamlForm::Value) } else { object.to_yaml() };
                match form {
                    Some(YamlForm::Value(plain)) => inner(&plain).serialize(serializer),
                    Some(YamlForm::Timestamp(text)) => Timestamp(&text).serialize(serializer),
                    Some(YamlForm::Struct(fields)) => {
                        let mut map = serializer.serialize_struct("", fields.len())?;
                        for (name, value) in &fields {
                            map.serialize_field(name, &inner(value))?;
                        }
                        map.end()
                    }
                    None => Err(S::Error::custom(format!("json: unsupported type: {}", object.type_name()))),
                }
            }
        }
    }
}

//! Values: what users and charts set, and how they become what templates see.
//!
//! [`Values`] is a plain tree, `Send` and `Sync`. Layers of user values are merged in order by [`merge_layers`];
//! [`coalesce`] puts the result over a chart's defaults, decides the chart's dependencies and checks the schemas.
//! Numbers keep Go's two kinds: `float64` from YAML and JSON, `int64` from `--set`.

mod coalesce;
mod dependencies;
mod schema;
pub mod strvals;
mod table;

use std::collections::BTreeMap;

use pintle_goyaml::Value;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::Compat;

pub(crate) use dependencies::compatible;

pub use coalesce::{CoalesceOptions, Coalesced, coalesce, reuse};

/// Deeper nesting than any chart has; it bounds every recursion over a tree of values.
const MAX_DEPTH: usize = 1_000;

/// More entries than any chart's values have.
const MAX_ENTRIES: usize = 2_000_000;

/// A tree of values: a map at the top.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Values(pub(crate) BTreeMap<String, Value>);

impl Values {
    /// Reads a values file; several documents are merged in order.
    ///
    /// # Errors
    /// The text is no YAML, or a document is no map.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/chart/v2/loader/load.go:LoadValues`: YAML 1.1, every number a float.
    ///
    /// # Examples
    /// ```
    /// use pintle_helm::values::Values;
    /// let values = Values::from_yaml(b"a: {b: on}")?;
    /// assert_eq!(values.to_json().to_string(), r#"{"a":{"b":true}}"#);
    /// # Ok::<(), pintle_helm::values::Error>(())
    /// ```
    pub fn from_yaml(text: &[u8]) -> Result<Self, Error> {
        let documents = pintle_goyaml::parse_all(text).map_err(|source| match source {
            pintle_goyaml::Error::Separator(_) => Error::ReadDocument { message: source.to_string() },
            source => Error::ParseDocument { message: source.to_string() },
        })?;
        let mut merged = Self::default();
        for document in documents {
            merge_into(&mut merged.0, Self::from_value(document)?.0);
        }
        Ok(merged)
    }

    /// As [`Values::from_yaml`], after the Helm that is asked for: Helm 3 reads the first document only.
    ///
    /// # Errors
    /// As there.
    pub(crate) fn from_yaml_as(text: &[u8], compat: Compat) -> Result<Self, Error> {
        match compat {
            Compat::V3 => {
                let document = pintle_goyaml::parse(text)
                    .map_err(|source| Error::ParseDocument { message: source.to_string() })?;
                Self::from_value(document)
            }
            Compat::V4 => Self::from_yaml(text),
        }
    }

    /// Takes a parsed document; null is no values.
    ///
    /// # Errors
    /// The document is no map, or nested too deep.
    pub fn from_value(mut value: Value) -> Result<Self, Error> {
        normalise(&mut value, 0)?;
        match &mut value {
            Value::Null => Ok(Self::default()),
            Value::Object(entries) => Ok(Self(std::mem::take(entries))),
            other => Err(Error::ParseDocument {
                message: format!(
                    "error unmarshaling JSON: while decoding JSON: json: cannot unmarshal {} into Go value of type map[string]interface {{}}",
                    other.kind_name()
                ),
            }),
        }
    }

    /// Takes JSON, such as the `values` of an object's spec; null is no values.
    ///
    /// # Errors
    /// As [`Values::from_value`].
    pub fn from_json(json: &serde_json::Value) -> Result<Self, Error> {
        Self::from_value(from_json(json))
    }

    /// The tree as JSON, with integral numbers written as integers, as Go writes them.
    pub fn to_json(&self) -> serde_json::Value {
        object_to_json(&self.0)
    }

    /// Whether nothing is set.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks that there are not more values in it, items of lists included, than any chart has.
    ///
    /// # Errors
    /// [`Error::TooLarge`].
    pub fn check_size(&self) -> Result<(), Error> {
        fn count(value: &Value, left: &mut usize) -> Option<()> {
            *left = left.checked_sub(1)?;
            match value {
                Value::Array(items) => items.iter().try_for_each(|item| count(item, left)),
                Value::Object(entries) => entries.values().try_for_each(|item| count(item, left)),
                _ => Some(()),
            }
        }
        let mut left = MAX_ENTRIES;
        let counted = self.0.values().try_for_each(|value| count(value, &mut left));
        counted.ok_or(Error::TooLarge { limit: MAX_ENTRIES })
    }

    /// The entries at the top.
    pub fn entries(&self) -> &BTreeMap<String, Value> {
        &self.0
    }

    /// The entries at the top, to be changed.
    pub fn entries_mut(&mut self) -> &mut BTreeMap<String, Value> {
        &mut self.0
    }

    /// The values as templates get them: a `common.Values` whose maps are ordinary Go maps.
    pub fn to_gotemplate(&self) -> pintle_gotemplate::Value {
        crate::render::to_template_values(&self.0)
    }
}

impl Serialize for Values {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Values {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = serde_json::Value::deserialize(deserializer)?;
        Self::from_json(&json).map_err(serde::de::Error::custom)
    }
}

/// Merges layers of user values, later ones over earlier ones: maps key by key, everything else whole.
///
/// Nulls are kept, because they delete defaults of the chart later.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/v2/loader/load.go:MergeMaps`.
pub fn merge_layers(layers: impl IntoIterator<Item = Values>) -> Values {
    let mut merged = Values::default();
    for layer in layers {
        merge_into(&mut merged.0, layer.0);
    }
    merged
}

/// Merges `from` over `into`.
pub(crate) fn merge_into(into: &mut BTreeMap<String, Value>, from: BTreeMap<String, Value>) {
    for (key, mut value) in from {
        match (into.get_mut(&key), &mut value) {
            (Some(Value::Object(into)), Value::Object(from)) => merge_into(into, std::mem::take(from)),
            _ => {
                into.insert(key, value);
            }
        }
    }
}

/// Makes every number a float, as `encoding/json` does, and checks the depth.
fn normalise(value: &mut Value, depth: usize) -> Result<(), Error> {
    if depth > MAX_DEPTH {
        return Err(Error::TooDeep { limit: MAX_DEPTH });
    }
    match value {
        #[allow(clippy::cast_precision_loss, reason = "Go: every number of YAML is a float64")]
        Value::Int(number) => *value = Value::Float(*number as f64),
        #[allow(clippy::cast_precision_loss, reason = "Go: every number of YAML is a float64")]
        Value::Uint(number) => *value = Value::Float(*number as f64),
        Value::Array(items) => {
            for item in items {
                normalise(item, depth + 1)?;
            }
        }
        Value::Object(entries) => {
            for item in entries.values_mut() {
                normalise(item, depth + 1)?;
            }
        }
        _ => {}
    }
    Ok(())
}

/// Whether a value is nested deeper than any recursion here should go.
pub(crate) fn is_too_deep(value: &Value) -> bool {
    fn deeper(value: &Value, depth: usize) -> bool {
        depth > MAX_DEPTH
            || match value {
                Value::Array(items) => items.iter().any(|item| deeper(item, depth + 1)),
                Value::Object(entries) => entries.values().any(|item| deeper(item, depth + 1)),
                _ => false,
            }
    }
    deeper(value, 0)
}

/// JSON into the tree; numbers keep their kind.
pub(crate) fn from_json(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(value) => Value::Bool(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::Int(number),
            (None, Some(number)) => Value::Uint(number),
            (None, None) => Value::Float(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::String(text.clone()),
        serde_json::Value::Array(items) => Value::Array(items.iter().map(from_json).collect()),
        serde_json::Value::Object(entries) => {
            Value::Object(entries.iter().map(|(key, value)| (key.clone(), from_json(value))).collect())
        }
    }
}

/// The tree as JSON, as Go's `encoding/json` would write it.
pub(crate) fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::Int(number) => (*number).into(),
        Value::Uint(number) => (*number).into(),
        Value::Float(number) => float_to_json(*number),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Object(entries) => object_to_json(entries),
    }
}

/// As [`to_json`], of a map.
pub(crate) fn object_to_json(entries: &BTreeMap<String, Value>) -> serde_json::Value {
    serde_json::Value::Object(entries.iter().map(|(key, value)| (key.clone(), to_json(value))).collect())
}

/// Go writes `1.0` as `1`.
fn float_to_json(number: f64) -> serde_json::Value {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT && !(number == 0.0 && number.is_sign_negative()) {
        #[allow(clippy::cast_possible_truncation, reason = "integral and within 2^53")]
        return (number as i64).into();
    }
    // Neither infinity nor NaN can come out of YAML or JSON.
    serde_json::Number::from_f64(number).map_or(serde_json::Value::Null, serde_json::Value::Number)
}

/// Why values could not be read or put together. Texts are Helm's where Helm has one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A line starts with `---` but is no separator.
    #[error("error reading yaml document: {message}")]
    ReadDocument {
        /// What the line says.
        message: String,
    },
    /// A document is no YAML, or no map.
    #[error("cannot unmarshal yaml document: {message}")]
    ParseDocument {
        /// What the parser says, in Go's words.
        message: String,
    },
    /// A `--set` argument is malformed.
    #[error("{0}")]
    Strvals(String),
    /// The values are nested too deep, or refer to themselves through `import-values`.
    #[error("values are nested more than {limit} deep")]
    TooDeep {
        /// Levels.
        limit: usize,
    },
    /// `import-values` made the values grow beyond all measure.
    #[error("values have more than {limit} entries")]
    TooLarge {
        /// Entries.
        limit: usize,
    },
    /// The section of a subchart is no map.
    #[error("type mismatch on {chart}: {value}")]
    SubchartSection {
        /// The subchart.
        chart: String,
        /// What stands there, as Go's `%t` prints it.
        value: String,
    },
    /// The dependencies could not be decided.
    #[error("chart dependencies processing failed: {0}")]
    Dependencies(Box<Error>),
    /// The values break a `values.schema.json`.
    #[error("values don't meet the specifications of the schema(s) in the following chart(s):\n{0}")]
    Schema(String),
}

impl Error {
    /// The text, in the words of the Helm that is asked for: Helm 3 does not say that it reads documents.
    pub(crate) fn as_helm(&self, compat: Compat) -> String {
        match (self, compat) {
            (Self::ParseDocument { message }, Compat::V3) => message.clone(),
            _ => self.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn yaml(text: &str) -> Values {
        Values::from_yaml(text.as_bytes()).unwrap()
    }

    #[test]
    fn layers_merge_map_by_map_and_keep_nulls() {
        let merged = merge_layers([
            yaml("a: {x: 1, l: [1, 2]}\nb: 1"),
            yaml("a: {l: [3], z: null}\nb: null"),
            yaml("---\nc: 1\n---\nc: {d: 2}\n"),
        ]);
        assert_eq!(merged.to_json().to_string(), r#"{"a":{"l":[3],"x":1,"z":null},"b":null,"c":{"d":2}}"#);
    }

    /// Texts printed by helm v4.3.1 for `values.yaml.37` and `.35`.
    #[test]
    fn what_is_no_map_is_refused_in_helms_words() {
        for (text, message) in [
            (
                "- a",
                "cannot unmarshal yaml document: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of type map[string]interface {}",
            ),
            (
                "a: .inf",
                "cannot unmarshal yaml document: error converting YAML to JSON: json: unsupported value: +Inf",
            ),
        ] {
            assert_eq!(Values::from_yaml(text.as_bytes()).unwrap_err().to_string(), message);
        }
        assert!(yaml("").is_empty() && yaml("# only a comment\n").is_empty());
    }

    #[test]
    fn numbers_are_written_as_go_writes_them() {
        assert_eq!(yaml("a: [1, 1.0, 1.5, 0755, 1e3]").to_json().to_string(), r#"{"a":[1,1,1.5,493,1000]}"#);
    }

    #[test]
    fn deep_nesting_is_an_error() {
        let text = format!("a: {}{}", "[".repeat(2_000), "]".repeat(2_000));
        assert!(matches!(Values::from_yaml(text.as_bytes()), Err(Error::TooDeep { .. })));
    }
}

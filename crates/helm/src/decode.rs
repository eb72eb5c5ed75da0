//! YAML into structs, with Go's conversions and Go's words for what does not fit.
//!
//! sigs.k8s.io/yaml turns a number or a boolean into text where the Go field is a string, so `version: 1.0` is
//! `"1"`; keys match without regard to case when no key matches exactly; `null` is the zero value. The first
//! mismatch is reported, after everything else has been read, as `encoding/json` does.

use std::collections::BTreeMap;

use pintle_goyaml::Value;

/// Reads the fields of one struct and remembers the first mismatch.
pub(crate) struct Decoder {
    /// What Go calls the struct.
    name: &'static str,
    /// The fields on the way to it, each with a dot after it.
    path: String,
    error: Option<String>,
}

impl Decoder {
    /// Begins the outermost struct, known to Go as `package.name`.
    pub(crate) fn new(name: &'static str) -> Self {
        Self { name, path: String::new(), error: None }
    }

    /// The first mismatch, in the words of sigs.k8s.io/yaml.
    pub(crate) fn finish(self) -> Result<(), String> {
        match self.error {
            None => Ok(()),
            Some(error) => Err(format!("error unmarshaling JSON: while decoding JSON: {error}")),
        }
    }

    /// Remembers that the whole value was no object.
    pub(crate) fn not_object(&mut self, value: &Value, go_type: &str) {
        self.error.get_or_insert_with(|| {
            format!("json: cannot unmarshal {} into Go value of type {go_type}", value.kind_name())
        });
    }

    pub(crate) fn mismatch(&mut self, value: &Value, field: &str, go_type: &str) {
        self.error.get_or_insert_with(|| {
            format!(
                "json: cannot unmarshal {} into Go struct field {}.{}{field} of type {go_type}",
                value.kind_name(),
                self.name,
                self.path
            )
        });
    }

    /// Reads a `string`; leaves `into` alone when the key is absent or null.
    pub(crate) fn string(&mut self, object: &BTreeMap<String, Value>, field: &str, into: &mut String) {
        if let Some(value) = lookup(object, field) {
            match text(value) {
                Some(text) => *into = text,
                None => self.mismatch(value, field, "string"),
            }
        }
    }

    /// Reads a `bool`.
    pub(crate) fn boolean(&mut self, object: &BTreeMap<String, Value>, field: &str, into: &mut bool) {
        match lookup(object, field) {
            None => {}
            Some(Value::Bool(value)) => *into = *value,
            Some(value) => self.mismatch(value, field, "bool"),
        }
    }

    /// Reads a `[]string`.
    pub(crate) fn strings(&mut self, object: &BTreeMap<String, Value>, field: &str, into: &mut Vec<String>) {
        match lookup(object, field) {
            None => {}
            Some(Value::Array(items)) => {
                *into = items
                    .iter()
                    .map(|item| match (item, text(item)) {
                        (_, Some(text)) => text,
                        (Value::Null, None) => String::new(),
                        (item, None) => {
                            self.mismatch(item, field, "string");
                            String::new()
                        }
                    })
                    .collect();
            }
            Some(value) => self.mismatch(value, field, "[]string"),
        }
    }

    /// Reads a `map[string]string`.
    pub(crate) fn string_map(
        &mut self,
        object: &BTreeMap<String, Value>,
        field: &str,
        into: &mut BTreeMap<String, String>,
    ) {
        match lookup(object, field) {
            None => {}
            Some(Value::Object(entries)) => {
                for (key, item) in entries {
                    let value = match (item, text(item)) {
                        (_, Some(text)) => text,
                        (Value::Null, None) => String::new(),
                        (item, None) => {
                            self.mismatch(item, field, "string");
                            continue;
                        }
                    };
                    into.insert(key.clone(), value);
                }
            }
            Some(value) => self.mismatch(value, field, "map[string]string"),
        }
    }

    /// Reads a list of pointers to structs; `None` stands for null.
    pub(crate) fn structs<T>(
        &mut self,
        object: &BTreeMap<String, Value>,
        field: &str,
        (name, go_type): (&'static str, &str),
        mut read: impl FnMut(&mut Self, &BTreeMap<String, Value>) -> T,
    ) -> Option<Vec<Option<T>>> {
        match lookup(object, field)? {
            Value::Array(items) => {
                let outer = std::mem::replace(&mut self.name, name);
                let path = self.path.clone();
                self.path.push_str(field);
                self.path.push('.');
                let list = items
                    .iter()
                    .map(|item| match item {
                        Value::Null => None,
                        Value::Object(entries) => Some(read(self, entries)),
                        other => {
                            let place = self.path.trim_end_matches('.').to_owned();
                            let kind = other.kind_name();
                            self.error.get_or_insert_with(|| {
                                format!(
                                    "json: cannot unmarshal {kind} into Go struct field {outer}.{place} of type {go_type}"
                                )
                            });
                            None
                        }
                    })
                    .collect();
                self.name = outer;
                self.path = path;
                Some(list)
            }
            value => {
                let go_type = format!("[]*{go_type}");
                self.mismatch(value, field, &go_type);
                None
            }
        }
    }

    /// Reads a nested struct.
    pub(crate) fn nested(
        &mut self,
        object: &BTreeMap<String, Value>,
        field: &str,
        (name, go_type): (&'static str, &str),
        read: impl FnOnce(&mut Self, &BTreeMap<String, Value>),
    ) {
        match lookup(object, field) {
            None => {}
            Some(Value::Object(entries)) => {
                let outer = std::mem::replace(&mut self.name, name);
                let path = self.path.clone();
                self.path.push_str(field);
                self.path.push('.');
                read(self, entries);
                self.name = outer;
                self.path = path;
            }
            Some(value) => self.mismatch(value, field, go_type),
        }
    }
}

/// The value of a field; null counts as absent.
pub(crate) fn lookup<'o>(object: &'o BTreeMap<String, Value>, field: &str) -> Option<&'o Value> {
    object
        .get(field)
        .or_else(|| object.iter().find(|(key, _)| key.eq_ignore_ascii_case(field)).map(|(_, value)| value))
        .filter(|value| !matches!(value, Value::Null))
}

/// The text of a scalar.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Int(value) => Some(value.to_string()),
        Value::Uint(value) => Some(value.to_string()),
        Value::Float(value) => Some(go_float(*value)),
        _ => None,
    }
}

/// Go's `strconv.FormatFloat(value, 'g', -1, 64)`.
pub(crate) fn go_float(value: f64) -> String {
    let scientific = format!("{value:e}");
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    // Go: with the shortest digits, six decides between the notations, whatever the number of digits.
    if !value.is_finite() || (-4..6).contains(&exponent) {
        return value.to_string();
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, expected) in [
            (1.0, "1"),
            (1.10, "1.1"),
            (1e6, "1e+06"),
            (123456.5, "123456.5"),
            (1e-5, "1e-05"),
            (0.0001, "0.0001"),
            (1e21, "1e+21"),
        ] {
            assert_eq!(go_float(value), expected);
        }
    }
}

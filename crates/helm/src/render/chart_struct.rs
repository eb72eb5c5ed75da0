//! `.Chart` of Helm 3: a struct where Helm 4 has a map.

use std::any::Any;
use std::rc::Rc;

use pintle_gotemplate::{Object, Value, printf};

use super::convert;
use crate::chart::Metadata;

/// `struct { chart.Metadata; IsRoot bool }`.
pub(super) struct ChartStruct {
    metadata: Metadata,
    /// The fields by their Go names, as Helm 4 has them.
    fields: Value,
    is_root: bool,
}

/// The fields in the order in which Go prints them.
const FIELDS: [&str; 17] = [
    "Name",
    "Home",
    "Sources",
    "Version",
    "Description",
    "Keywords",
    "Maintainers",
    "Icon",
    "APIVersion",
    "Condition",
    "Tags",
    "AppVersion",
    "Deprecated",
    "Annotations",
    "KubeVersion",
    "Dependencies",
    "Type",
];

impl ChartStruct {
    /// `fields` is the map that Helm 4 shows.
    pub(super) fn value(metadata: &Metadata, fields: Value, is_root: bool) -> Value {
        Value::Object(Rc::new(Self { metadata: metadata.clone(), fields, is_root }))
    }
}

impl Object for ChartStruct {
    fn type_name(&self) -> &str {
        "struct { chart.Metadata; IsRoot bool }"
    }

    fn kind(&self) -> &'static str {
        "struct"
    }

    fn field(&self, name: &str) -> Option<Value> {
        match &self.fields {
            Value::Map(fields) => fields.get(name.as_bytes()),
            _ => None,
        }
    }

    fn print(&self) -> Vec<u8> {
        let mut text = b"{{".to_vec();
        for (at, name) in FIELDS.iter().enumerate() {
            if at > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(&printf::sprint(&[self.field(name).unwrap_or(Value::Nil)]));
        }
        text.extend_from_slice(format!("}} {}}}", self.is_root).as_bytes());
        text
    }

    /// By the names that `Chart.yaml` uses, without what is empty.
    fn to_plain(&self) -> Option<Value> {
        let plain = convert::object(&serde_json::to_value(&self.metadata).ok()?);
        if let Value::Map(plain) = &plain {
            plain.insert("IsRoot", Value::Bool(self.is_root));
        }
        Some(plain)
    }

    fn to_json(&self) -> Option<String> {
        let mut text = serde_json::to_string(&self.metadata).ok()?;
        text.pop();
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&format!("\"IsRoot\":{}}}", self.is_root));
        Some(text)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

//! `.Files`: the chart's files that are neither templates nor metadata.

use std::any::Any;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_gotemplate::{ElemType, Entries, Method, Object, Str, Value};
use pintle_sprig::NilSlice;

use super::capabilities::{no_args, one_string};
use super::convert;
use super::glob::Glob;
use crate::chart::{Bytes, Chart};

/// `engine.files`.
///
/// # Compatibility
/// As Helm v4 `pkg/engine/files.go`.
#[derive(Clone, Default)]
pub(super) struct Files(BTreeMap<Arc<str>, Bytes>);

impl Files {
    pub(super) fn of(chart: &Chart) -> Self {
        Self(chart.files.iter().map(|file| (file.name.clone(), file.data.clone())).collect())
    }

    pub(super) fn into_value(self) -> Value {
        Value::Object(Rc::new(self))
    }

    fn get(&self, name: &Str) -> &[u8] {
        name.to_str().map(|name| self.bytes(name)).unwrap_or_default()
    }

    /// The paths.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    /// The bytes of a file; none when it is not there.
    pub(super) fn bytes(&self, name: &str) -> &[u8] {
        self.0.get(name).map(|data| &**data).unwrap_or_default()
    }

    /// A file as text.
    pub(super) fn text(&self, name: &str) -> String {
        String::from_utf8_lossy(self.bytes(name)).into_owned()
    }

    /// How long all files are together.
    pub(super) fn size(&self) -> usize {
        self.0.values().map(|data| data.len()).sum()
    }

    /// The files whose paths match.
    pub(super) fn matching(&self, pattern: &str) -> Self {
        // Helm: a pattern that cannot be read matches everything.
        let glob = Glob::parse(pattern);
        let matches = |name: &str| glob.as_ref().is_none_or(|glob| glob.matches(name));
        let files = self.0.iter().filter(|(name, _)| matches(name));
        Self(files.map(|(name, data)| (name.clone(), data.clone())).collect())
    }

    fn lines(&self, name: &Str) -> Value {
        let data = self.get(name);
        if data.is_empty() {
            return Value::strings(Vec::<Str>::new());
        }
        Value::strings(data.strip_suffix(b"\n").unwrap_or(data).split(|byte| *byte == b'\n').map(Str::from))
    }

    /// A YAML map from base names to texts.
    fn to_yaml(&self, text: impl Fn(&[u8]) -> Str) -> String {
        let entries: Entries = self
            .0
            .iter()
            .map(|(name, data)| (name.rsplit('/').next().unwrap_or(name).into(), Value::String(text(data))))
            .collect();
        let yaml = convert::to_yaml(&Value::map(entries)).unwrap_or_default();
        yaml.strip_suffix('\n').unwrap_or(&yaml).to_owned()
    }

    /// A YAML map from base names to texts.
    pub(super) fn as_config(&self) -> String {
        self.to_yaml(|data| data.into())
    }

    /// A YAML map from base names to base64.
    pub(super) fn as_secrets(&self) -> String {
        self.to_yaml(|data| STANDARD.encode(data).into())
    }
}

impl Object for Files {
    fn type_name(&self) -> &str {
        "engine.files"
    }

    fn kind(&self) -> &'static str {
        "map"
    }

    fn field(&self, name: &str) -> Option<Value> {
        // Go: the zero value of a map of byte slices is a nil slice.
        Some(self.0.get(name).map_or_else(|| NilSlice::value(ElemType::Byte), |data| Value::bytes(data)))
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        Some(match name {
            "Get" => one_string(move |name| Ok(Value::string(self.get(name)))),
            "GetBytes" => one_string(move |name| Ok(Value::bytes(self.get(name)))),
            "Glob" => one_string(move |pattern| Ok(self.matching(&pattern.to_string_lossy()).into_value())),
            "Lines" => one_string(move |name| Ok(self.lines(name))),
            "AsConfig" => no_args(move || Ok(Value::string(self.as_config()))),
            "AsSecrets" => no_args(move || Ok(Value::string(self.as_secrets()))),
            _ => return None,
        })
    }

    fn print(&self) -> Vec<u8> {
        let mut text = b"map[".to_vec();
        for (i, (name, data)) in self.0.iter().enumerate() {
            if i > 0 {
                text.push(b' ');
            }
            text.extend_from_slice(name.as_bytes());
            text.push(b':');
            text.extend_from_slice(&pintle_gotemplate::printf::to_text(&Value::bytes(data)));
        }
        text.push(b']');
        text
    }

    fn truth(&self) -> bool {
        !self.0.is_empty()
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::map(self.0.iter().map(|(name, data)| ((&**name).into(), Value::bytes(data))).collect()))
    }

    fn entries(&self) -> Option<Vec<(Value, Value)>> {
        Some(self.0.iter().map(|(name, data)| (Value::string(&**name), Value::bytes(data))).collect())
    }

    fn len(&self) -> Option<usize> {
        Some(self.0.len())
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>().is_some_and(|other| self.0 == other.0)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

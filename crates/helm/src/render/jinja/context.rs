//! What Jinja templates see, under the names that Go templates know.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, from_args};
use minijinja::{Error, ErrorKind, State, Value};
use pintle_gotemplate::{IntKind, Limit, Value as GoValue};
use pintle_goyaml::Value as Plain;

use super::super::capabilities::{self, Capabilities};
use super::super::files::Files;
use super::super::{ReleaseFacts, context};
use super::error::exhausted;
use super::{CAPABILITIES, Host};
use crate::Compat;
use crate::chart::Chart;

/// Deeper values than these are not converted.
const MAX_DEPTH: usize = 1_000;

/// What all charts of a render have in common.
pub(super) fn shared(
    facts: &ReleaseFacts,
    capabilities: &Capabilities,
    compat: Compat,
    host: &Arc<Host>,
) -> BTreeMap<&'static str, Value> {
    let release = [
        ("Name", Value::from(&facts.name)),
        ("Namespace", Value::from(&facts.namespace)),
        ("IsUpgrade", Value::from(facts.is_upgrade)),
        ("IsInstall", Value::from(!facts.is_upgrade)),
        ("Revision", Value::from(facts.revision)),
        ("Service", Value::from("Helm")),
    ];
    let version = &capabilities.kube_version;
    let kube_version = [
        ("Version", Value::from(&version.version)),
        ("GitVersion", Value::from(&version.version)),
        ("Major", Value::from(&version.major)),
        ("Minor", Value::from(&version.minor)),
    ];
    let helm_version = [
        ("Version", Value::from(capabilities::helm_version(compat))),
        ("GoVersion", Value::from(capabilities::GO_VERSION)),
        ("KubeClientVersion", Value::from(capabilities::KUBE_CLIENT_VERSION)),
    ];
    let capabilities = BTreeMap::from([
        ("KubeVersion", Value::from_pairs(kube_version)),
        ("APIVersions", Value::from_object(ApiVersions(capabilities.api_versions.clone()))),
        ("HelmVersion", Value::from_pairs(helm_version)),
    ]);
    let capabilities = Noted { fields: capabilities, host: host.clone() };
    BTreeMap::from([
        ("Release", Value::from_pairs(release)),
        (CAPABILITIES, Value::from_object(capabilities)),
    ])
}

/// What a chart of its own has.
pub(super) fn of_chart(
    chart: &Chart,
    values: &BTreeMap<String, Plain>,
    is_root: bool,
) -> [(&'static str, Value); 3] {
    [
        ("Values", Value::from_pairs(values.iter().map(|(key, value)| (key.clone(), plain(value))))),
        ("Chart", of_go(&context::chart_map(&chart.metadata, is_root))),
        ("Files", Value::from_object(ChartFiles(Files::of(chart)))),
    ]
}

/// `Template`.
pub(super) fn of_template(name: &str, base_path: &str) -> Value {
    Value::from_pairs([("Name", name), ("BasePath", base_path)])
}

/// A plain tree.
pub(super) fn plain(value: &Plain) -> Value {
    match value {
        Plain::Null => Value::from(()),
        Plain::Bool(value) => Value::from(*value),
        Plain::Int(number) => Value::from(*number),
        Plain::Uint(number) => Value::from(*number),
        Plain::Float(number) => whole(*number).map_or_else(|| Value::from(*number), Value::from),
        Plain::String(text) => Value::from(text),
        Plain::Array(items) => items.iter().map(plain).collect(),
        Plain::Object(object) => {
            Value::from_pairs(object.iter().map(|(key, value)| (key.clone(), plain(value))))
        }
    }
}

/// A number without a fraction: Helm reads every number of a values file as a float, but `replicas: 3` must not be
/// printed as `3.0`.
fn whole(number: f64) -> Option<i64> {
    // Up to here a float counts exactly.
    const MAX: f64 = 9_007_199_254_740_992.0;
    #[allow(clippy::cast_possible_truncation, reason = "it has no fraction and is in range")]
    (number.fract() == 0.0 && number.abs() <= MAX).then_some(number as i64)
}

/// An object of the cluster.
pub(super) fn object(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Value::from(number),
            (None, Some(number)) => Value::from(number),
            (None, None) => Value::from(number.as_f64().unwrap_or_default()),
        },
        serde_json::Value::String(text) => Value::from(text),
        serde_json::Value::Array(items) => items.iter().map(object).collect(),
        serde_json::Value::Object(fields) => {
            Value::from_pairs(fields.iter().map(|(key, value)| (key.clone(), object(value))))
        }
    }
}

/// A value of the other engine; only plain ones come here.
fn of_go(value: &GoValue) -> Value {
    match value {
        GoValue::Bool(value) => Value::from(*value),
        GoValue::Int(number, _) => Value::from(*number),
        GoValue::Float(number) => Value::from(*number),
        GoValue::String(text) => Value::from(text.to_string_lossy()),
        GoValue::List(list) => list.items.iter().map(of_go).collect(),
        GoValue::Map(map) => {
            let entries = map.snapshot();
            let entries =
                entries.iter().map(|(key, value)| (key.to_string_lossy().into_owned(), of_go(value)));
            Value::from_pairs(entries)
        }
        GoValue::Nil | GoValue::Complex(..) | GoValue::Object(_) => Value::from(()),
    }
}

/// A value for the functions that both engines share: how they write YAML and JSON.
///
/// Values may share parts, so that writing one can take more than making it took: each node costs fuel.
pub(super) fn to_go(state: &State<'_, '_>, value: &Value) -> Result<GoValue, Error> {
    to_go_at(state, value, 0)
}

fn to_go_at(state: &State<'_, '_>, value: &Value, depth: usize) -> Result<GoValue, Error> {
    use minijinja::value::ValueKind as Kind;

    if depth > MAX_DEPTH {
        return Err(exhausted(Limit::Depth));
    }
    state.consume_fuel(1)?;
    Ok(match value.kind() {
        Kind::None => GoValue::Nil,
        Kind::Bool => GoValue::Bool(value.is_true()),
        Kind::Number => match (value.as_i64(), u64::try_from(value.clone())) {
            (Some(number), _) => GoValue::int64(number),
            (None, Ok(number)) => GoValue::Int(number.cast_signed(), IntKind::Uint64),
            (None, Err(_)) => GoValue::Float(f64::try_from(value.clone())?),
        },
        Kind::String => {
            let text = value.as_str().unwrap_or_default();
            state.consume_fuel(text.len() as u64 / super::BYTES_PER_FUEL)?;
            GoValue::string(text)
        }
        Kind::Bytes => GoValue::bytes(value.as_bytes().unwrap_or_default()),
        Kind::Seq | Kind::Iterable => {
            let items = value.try_iter()?.map(|item| to_go_at(state, &item, depth + 1));
            GoValue::list(items.collect::<Result<_, _>>()?)
        }
        Kind::Map => {
            let entries = value.try_iter()?.map(|key| {
                let item = to_go_at(state, &value.get_item(&key)?, depth + 1)?;
                Ok((key.to_string().into(), item))
            });
            GoValue::map(entries.collect::<Result<_, Error>>()?)
        }
        Kind::Undefined => return Err(Error::from(ErrorKind::UndefinedError)),
        other => {
            return Err(Error::new(
                ErrorKind::InvalidOperation,
                format!("a {other} has no YAML or JSON form"),
            ));
        }
    })
}

/// `Capabilities`: who looks at them is noted.
struct Noted {
    fields: BTreeMap<&'static str, Value>,
    host: Arc<Host>,
}

impl fmt::Debug for Noted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fields.fmt(f)
    }
}

impl Object for Noted {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.host.note_capabilities();
        self.fields.get(key.as_str()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        self.host.note_capabilities();
        Enumerator::Values(self.fields.keys().map(|key| Value::from(*key)).collect())
    }
}

/// `Capabilities.APIVersions`: a list that answers `Has`.
#[derive(Debug)]
struct ApiVersions(Arc<[String]>);

impl Object for ApiVersions {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(key.as_usize()?).map(Value::from)
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn call_method(
        self: &Arc<Self>,
        _: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        if method != "Has" {
            return Err(Error::from(ErrorKind::UnknownMethod));
        }
        let (wanted,): (&str,) = from_args(args)?;
        Ok(Value::from(self.0.iter().any(|version| version == wanted)))
    }
}

/// `Files`.
struct ChartFiles(Files);

impl fmt::Debug for ChartFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.names()).finish()
    }
}

impl Object for ChartFiles {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let name = key.as_str()?;
        self.0.names().any(|known| known == name).then(|| Value::from(self.0.text(name)))
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.names().map(Value::from).collect())
    }

    fn call_method(
        self: &Arc<Self>,
        state: &mut State<'_, '_>,
        method: &str,
        args: &[Value],
    ) -> Result<Value, Error> {
        let name = |args| from_args::<(&str,)>(args).map(|(name,)| name);
        // What is read is copied, each time.
        let copied = |bytes: usize| state.consume_fuel(bytes as u64 / super::BYTES_PER_FUEL);
        Ok(match method {
            "Get" => {
                let text = self.0.text(name(args)?);
                copied(text.len())?;
                Value::from(text)
            }
            "GetBytes" => {
                let bytes = self.0.bytes(name(args)?);
                copied(bytes.len())?;
                Value::from_bytes(bytes.to_vec())
            }
            "Glob" => Value::from_object(ChartFiles(self.0.matching(name(args)?))),
            "Lines" => {
                let text = self.0.text(name(args)?);
                copied(text.len())?;
                text.strip_suffix('\n').unwrap_or(&text).lines().map(Value::from).collect()
            }
            "AsConfig" | "AsSecrets" => {
                copied(self.0.size())?;
                Value::from(if method == "AsConfig" { self.0.as_config() } else { self.0.as_secrets() })
            }
            _ => return Err(Error::from(ErrorKind::UnknownMethod)),
        })
    }
}

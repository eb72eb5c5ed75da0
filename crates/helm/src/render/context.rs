//! What templates see: `.Values`, `.Chart`, `.Release`, `.Files`, `.Capabilities`, `.Subcharts` and `.Template`.
//!
//! One context a chart, shared by its templates: what a template changes with `set`, templates that are executed
//! later see. A subchart's `.Values` is the same map as the section of its parent's.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pintle_gotemplate::{Entries, FuncError, Map, MapType, Method, NamedMap, Value};
use pintle_goyaml::Value as Plain;
use pintle_sprig::NilMap;

use super::capabilities::{CapabilitiesObject, no_args, one_string};
use super::chart_struct::ChartStruct;
use super::convert;
use super::files::Files;
use super::{Capabilities, Engine, ReleaseFacts};
use crate::Compat;
use crate::chart::{Bytes, Chart, ImportValue, Metadata};
use crate::values::Values;

/// A template file, ready to be parsed and executed.
pub(super) struct Template {
    /// `lab/charts/kid/templates/x.yaml`.
    pub(super) name: String,
    /// Its text.
    pub(super) text: Bytes,
    /// The context of its chart.
    pub(super) dot: Value,
    /// What renders it.
    pub(super) engine: Engine,
    /// `lab/charts/kid/templates`.
    pub(super) base_path: String,
    context: Map,
    compat: Compat,
}

impl Template {
    /// Whether it is only there to be included.
    pub(super) fn is_partial(&self) -> bool {
        self.name.rsplit('/').next().unwrap_or_default().starts_with('_')
    }

    /// Puts `.Template` into the context; it stays there, for `.Subcharts` to show.
    pub(super) fn enter(&self) {
        let template = Entries::from([
            ("Name".into(), Value::string(&self.name)),
            ("BasePath".into(), Value::string(&self.base_path)),
        ]);
        self.context.insert("Template", Value::Map(Map::typed(values_type(self.compat), template)));
    }
}

/// The templates of a chart and of the charts below it, in the order in which they are parsed and executed: deepest
/// first, names backwards, so that of two definitions the one nearer to the root wins.
///
/// # Compatibility
/// As Helm v4 `pkg/engine/engine.go:allTemplates` and `sortTemplates`.
pub(super) fn templates(
    chart: &Chart,
    values: &Values,
    facts: &ReleaseFacts,
    capabilities: &Capabilities,
    compat: Compat,
) -> Vec<Template> {
    let release = Value::map(Entries::from([
        ("Name".into(), Value::string(&facts.name)),
        ("Namespace".into(), Value::string(&facts.namespace)),
        ("IsUpgrade".into(), Value::Bool(facts.is_upgrade)),
        ("IsInstall".into(), Value::Bool(!facts.is_upgrade)),
        ("Revision".into(), Value::int(i64::from(facts.revision))),
        ("Service".into(), Value::string("Helm")),
    ]));
    let shared = Shared { release, capabilities: CapabilitiesObject::value(capabilities, compat), compat };
    let mut templates = BTreeMap::new();
    let values = named(&convert::entries(&values.0), compat);
    collect(chart, &shared, values, true, chart.name(), &mut templates);
    let depth = |template: &Template| template.name.bytes().filter(|byte| *byte == b'/').count();
    // They are sorted by name already.
    let mut templates: Vec<Template> = templates.into_values().rev().collect();
    templates.sort_by_cached_key(|template| Reverse(depth(template)));
    templates
}

/// What all contexts have in common.
struct Shared {
    release: Value,
    capabilities: Value,
    compat: Compat,
}

fn collect(
    chart: &Chart,
    shared: &Shared,
    values: Map,
    is_root: bool,
    path: &str,
    templates: &mut BTreeMap<String, Template>,
) -> Map {
    let subcharts = Map::new(Entries::new());
    for child in &chart.dependencies {
        // Go: `Table`, so a section that is no map leaves the child without values.
        let section = match values.get(child.name().as_bytes()) {
            Some(Value::Map(section)) => named(&section, shared.compat),
            _ => named(&Map::new(Entries::new()), shared.compat),
        };
        let path = format!("{path}/charts/{}", child.name());
        let context = collect(child, shared, section, false, &path, templates);
        subcharts.insert(child.name(), Value::Map(context.as_any()));
    }
    let context = Map::new(Entries::from([
        ("Chart".into(), chart_value(&chart.metadata, is_root, shared.compat)),
        ("Files".into(), Files::of(chart).into_value()),
        ("Release".into(), shared.release.clone()),
        ("Capabilities".into(), shared.capabilities.clone()),
        ("Values".into(), Value::Map(values)),
        ("Subcharts".into(), Value::Map(subcharts)),
    ]));
    let engine = Engine::of(chart).unwrap_or_default();
    let library = chart.metadata.kind.eq_ignore_ascii_case("library");
    for file in &chart.templates {
        let partial = file.name.rsplit('/').next().unwrap_or_default().starts_with('_');
        if library && !partial {
            continue;
        }
        let name = format!("{path}/{}", file.name);
        let template = Template {
            name: name.clone(),
            text: file.data.clone(),
            dot: Value::Map(named(&context, shared.compat)),
            engine,
            compat: shared.compat,
            context: context.clone(),
            base_path: format!("{path}/templates"),
        };
        templates.insert(name, template);
    }
    context
}

fn chart_value(metadata: &Metadata, is_root: bool, compat: Compat) -> Value {
    match compat {
        Compat::V3 => ChartStruct::value(metadata, chart_map(metadata, is_root), is_root),
        Compat::V4 => chart_map(metadata, is_root),
    }
}

/// `.Chart` of Helm 4: the struct's Go names as keys, empty fields included.
pub(super) fn chart_map(metadata: &Metadata, is_root: bool) -> Value {
    let list = |texts: &[String]| Value::list(texts.iter().map(Value::string).collect());
    let maintainers = metadata.maintainers.iter().map(|maintainer| {
        Value::map(Entries::from([
            ("Name".into(), Value::string(&maintainer.name)),
            ("Email".into(), Value::string(&maintainer.email)),
            ("URL".into(), Value::string(&maintainer.url)),
        ]))
    });
    let dependencies = metadata.dependencies.iter().map(|dependency| {
        let imports = dependency.import_values.iter().map(|import| match import {
            ImportValue::Export(name) => Value::string(name),
            // Helm: what is left after the imports is a `map[string]string`.
            ImportValue::Table(table) => Value::Map(Map::typed(
                MapType::String,
                table.iter().map(|(key, value)| (key.into(), convert::value(value))).collect(),
            )),
            ImportValue::Other(other) => convert::value(other),
        });
        Value::map(Entries::from([
            ("Name".into(), Value::string(&dependency.name)),
            ("Version".into(), Value::string(&dependency.version)),
            ("Repository".into(), Value::string(&dependency.repository)),
            ("Condition".into(), Value::string(&dependency.condition)),
            ("Tags".into(), list(&dependency.tags)),
            ("Enabled".into(), Value::Bool(dependency.enabled)),
            ("ImportValues".into(), Value::list(imports.collect())),
            ("Alias".into(), Value::string(&dependency.alias)),
        ]))
    });
    let annotations = if metadata.annotations.is_empty() {
        // Lists that are absent Helm makes empty ones of, but not maps.
        NilMap::typed(MapType::String)
    } else {
        let entries = metadata.annotations.iter().map(|(key, value)| (key.into(), Value::string(value)));
        Value::Map(Map::typed(MapType::String, entries.collect()))
    };
    Value::map(Entries::from([
        ("Name".into(), Value::string(&metadata.name)),
        ("Home".into(), Value::string(&metadata.home)),
        ("Sources".into(), list(&metadata.sources)),
        ("Version".into(), Value::string(&metadata.version)),
        ("Description".into(), Value::string(&metadata.description)),
        ("Keywords".into(), list(&metadata.keywords)),
        ("Maintainers".into(), Value::list(maintainers.collect())),
        ("Icon".into(), Value::string(&metadata.icon)),
        ("APIVersion".into(), Value::string(&metadata.api_version)),
        ("Condition".into(), Value::string(&metadata.condition)),
        ("Tags".into(), Value::string(&metadata.tags)),
        ("AppVersion".into(), Value::string(&metadata.app_version)),
        ("Deprecated".into(), Value::Bool(metadata.deprecated)),
        ("Annotations".into(), annotations),
        ("KubeVersion".into(), Value::string(&metadata.kube_version)),
        ("Dependencies".into(), Value::list(dependencies.collect())),
        ("Type".into(), Value::string(&metadata.kind)),
        ("IsRoot".into(), Value::Bool(is_root)),
    ]))
}

/// Values as a template's `.Values`.
pub(crate) fn to_template_values(values: &BTreeMap<String, Plain>) -> Value {
    Value::Map(named(&convert::entries(values), Compat::default()))
}

/// The type of `.` and `.Values`.
fn values_type(compat: Compat) -> MapType {
    MapType::Named(match compat {
        Compat::V3 => &NAMED_V3,
        Compat::V4 => &NAMED,
    })
}

static NAMED: NamedMap = NamedMap { name: "common.Values", method };
static NAMED_V3: NamedMap = NamedMap { name: "chartutil.Values", method };

/// The same map as Helm's `Values`.
fn named(map: &Map, compat: Compat) -> Map {
    Map { ty: values_type(compat), entries: map.entries.clone() }
}

/// Helm v4 `pkg/chart/common/values.go`: the methods hide keys of their names.
fn method(map: &Map, name: &[u8]) -> Option<Method> {
    if !matches!(name, b"AsMap" | b"YAML" | b"Table" | b"PathValue") {
        return None;
    }
    let map = map.clone();
    match name {
        b"AsMap" => Some(no_args(move || Ok(Value::Map(map.as_any())))),
        b"YAML" => Some(no_args(move || {
            let text = convert::to_yaml(&Value::Map(map.as_any())).map_err(FuncError::Message)?;
            Ok(Value::string(text))
        })),
        b"Table" => Some(one_string(move |path| table(&map, &path.to_string_lossy()).map(Value::Map))),
        b"PathValue" => Some(one_string(move |path| path_value(&map, &path.to_string_lossy()))),
        _ => None,
    }
}

fn table(map: &Map, path: &str) -> Result<Map, FuncError> {
    let mut table = map.clone();
    for key in path.split('.') {
        table = match table.get(key.as_bytes()) {
            Some(Value::Map(inner)) => Map { ty: map.ty, entries: inner.entries.clone() },
            _ => return Err(FuncError::Message(format!("{key:?} is not a table"))),
        };
    }
    Ok(table)
}

fn path_value(map: &Map, path: &str) -> Result<Value, FuncError> {
    if path.is_empty() {
        return Err("YAML path cannot be empty".into());
    }
    let (tables, key) = path.rsplit_once('.').map_or((None, path), |(tables, key)| (Some(tables), key));
    let none = || FuncError::Message(format!("{key:?} is not a value"));
    let table = match tables {
        Some(tables) => table(map, tables).map_err(|_| none())?,
        None => map.clone(),
    };
    match table.get(key.as_bytes()) {
        None | Some(Value::Map(_)) => Err(none()),
        Some(value) => Ok(value),
    }
}

//! `Chart.yaml` and `Chart.lock`.

use std::collections::BTreeMap;

use pintle_goyaml::Value;
use pintle_sprig::semver;
use serde::{Deserialize, Serialize};

use super::Error;
use crate::decode::{Decoder, lookup};

/// What `Chart.yaml` says. Field names on the wire, and their order, are Helm's.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Metadata {
    /// The name; inside a parent, its alias.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// The project's page.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub home: String,
    /// Where the source code is.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub sources: Vec<String>,
    /// The version, a semver.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// One sentence.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// For searching.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub keywords: Vec<String>,
    /// Who keeps it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub maintainers: Vec<Maintainer>,
    /// A picture's address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub icon: String,
    /// `v1` or `v2`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub api_version: String,
    /// Unused by Helm.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Unused by Helm.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub tags: String,
    /// The version of what is inside.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub app_version: String,
    /// Whether it is deprecated.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub deprecated: bool,
    /// Free key-value pairs.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "null_default")]
    pub annotations: BTreeMap<String, String>,
    /// A semver constraint on the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kube_version: String,
    /// The charts it depends on.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub dependencies: Vec<Dependency>,
    /// `application`, `library` or empty.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty")]
    pub kind: String,
    /// What was left out while reading, for [`Metadata::validate`] to refuse.
    #[serde(skip)]
    pub(crate) nulls: Nulls,
}

/// Whether there are null entries in a list that must have none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Nulls {
    maintainer: bool,
    dependency: bool,
}

/// Who keeps a chart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Maintainer {
    /// Name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Mail address.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub email: String,
    /// Page.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub url: String,
}

/// A chart that another depends on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dependency {
    /// The chart's name; its alias once the dependencies have been decided.
    pub name: String,
    /// A semver constraint.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub version: String,
    /// Where it comes from; empty for a chart in `charts/`.
    pub repository: String,
    /// Paths of values that switch it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub condition: String,
    /// Tags that switch it.
    #[serde(skip_serializing_if = "Vec::is_empty", deserialize_with = "null_default")]
    pub tags: Vec<String>,
    /// Whether it is switched on: an output, never an input.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub enabled: bool,
    /// Values of the child that become the parent's.
    #[serde(
        rename = "import-values",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "null_default"
    )]
    pub import_values: Vec<ImportValue>,
    /// The name it has inside the parent.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub alias: String,
}

/// One entry of `import-values`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum ImportValue {
    /// The table `exports.NAME` of the child.
    Export(String),
    /// One table to another: `child` and `parent`, as they were written. The digest of a lock and a package are made
    /// of that, not of what it means.
    Table(BTreeMap<String, Value>),
    /// What Helm skips.
    Other(Value),
}

impl ImportValue {
    /// The path in the child, and the one in the parent, where `.` is the root; none for what Helm skips.
    ///
    /// # Compatibility
    /// As Helm v4 `pkg/chart/v2/util/dependencies.go:processImportValues`: Go's `fmt.Sprintf("%v", …)` of what stands
    /// there, so that a side that is missing is `<nil>`.
    pub(crate) fn paths(&self) -> Option<(String, String)> {
        let text = |value: Option<&Value>| match value {
            None | Some(Value::Null) => "<nil>".to_owned(),
            Some(Value::String(text)) => text.clone(),
            Some(Value::Bool(value)) => value.to_string(),
            Some(Value::Int(value)) => value.to_string(),
            Some(Value::Float(value)) => crate::decode::go_float(*value),
            Some(_) => String::new(),
        };
        match self {
            Self::Export(name) => Some((format!("exports.{name}"), ".".to_owned())),
            Self::Table(table) => Some((text(table.get("child")), text(table.get("parent")))),
            Self::Other(_) => None,
        }
    }

    /// The import of these two paths.
    pub(crate) fn of_paths(child: &str, parent: &str) -> Self {
        let text = |text: &str| Value::String(text.to_owned());
        Self::Table([("child".to_owned(), text(child)), ("parent".to_owned(), text(parent))].into())
    }
}

/// `Chart.lock`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Lock {
    /// When it was written, RFC 3339.
    pub generated: String,
    /// The digest of the dependencies that it locks.
    pub digest: String,
    /// The exact versions.
    #[serde(deserialize_with = "null_default")]
    pub dependencies: Vec<Dependency>,
}

/// Go writes nil slices and maps as `null`.
fn null_default<'de, D: serde::Deserializer<'de>, T: Default + Deserialize<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

impl Metadata {
    /// Reads `Chart.yaml`, or `requirements.yaml` over what is there already.
    pub(super) fn merge(&mut self, text: &[u8]) -> Result<(), String> {
        let document = pintle_goyaml::parse(text).map_err(|error| error.to_string())?;
        let mut decoder = Decoder::new("Metadata");
        match &document {
            Value::Null => {}
            Value::Object(object) => self.read(&mut decoder, object),
            other => decoder.not_object(other, "v2.Metadata"),
        }
        decoder.finish()
    }

    fn read(&mut self, decoder: &mut Decoder, object: &BTreeMap<String, Value>) {
        decoder.string(object, "name", &mut self.name);
        decoder.string(object, "home", &mut self.home);
        decoder.strings(object, "sources", &mut self.sources);
        decoder.string(object, "version", &mut self.version);
        decoder.string(object, "description", &mut self.description);
        decoder.strings(object, "keywords", &mut self.keywords);
        decoder.string(object, "icon", &mut self.icon);
        decoder.string(object, "apiVersion", &mut self.api_version);
        decoder.string(object, "condition", &mut self.condition);
        decoder.string(object, "tags", &mut self.tags);
        decoder.string(object, "appVersion", &mut self.app_version);
        decoder.boolean(object, "deprecated", &mut self.deprecated);
        decoder.string_map(object, "annotations", &mut self.annotations);
        decoder.string(object, "kubeVersion", &mut self.kube_version);
        decoder.string(object, "type", &mut self.kind);
        let maintainers =
            decoder.structs(object, "maintainers", ("Maintainer", "v2.Maintainer"), |decoder, object| {
                let mut maintainer = Maintainer::default();
                decoder.string(object, "name", &mut maintainer.name);
                decoder.string(object, "email", &mut maintainer.email);
                decoder.string(object, "url", &mut maintainer.url);
                maintainer
            });
        if let Some(maintainers) = maintainers {
            self.nulls.maintainer = maintainers.contains(&None);
            self.maintainers = maintainers.into_iter().flatten().collect();
        }
        if let Some(dependencies) = read_dependencies(decoder, object) {
            self.nulls.dependency = dependencies.contains(&None);
            self.dependencies = dependencies.into_iter().flatten().collect();
        }
    }

    /// Checks the rules of Helm v4 `pkg/chart/v2/metadata.go:Validate`, in its order, after cleaning the texts.
    pub(super) fn validate(&mut self) -> Result<(), Error> {
        for text in [
            &mut self.name,
            &mut self.description,
            &mut self.home,
            &mut self.icon,
            &mut self.condition,
            &mut self.tags,
            &mut self.app_version,
            &mut self.kube_version,
        ] {
            sanitize(text);
        }
        self.sources.iter_mut().chain(&mut self.keywords).for_each(sanitize);
        let invalid = |text: String| Err(Error::Invalid(text));
        if self.name.is_empty() {
            return invalid("chart.metadata.name is required".to_owned());
        }
        if matches!(self.name.as_str(), "." | "..") {
            return invalid(format!("chart.metadata.name {:?} is not allowed", self.name));
        }
        if self.name.contains('/') {
            return invalid(format!("chart.metadata.name {:?} is invalid", self.name));
        }
        if self.version.is_empty() {
            return invalid("chart.metadata.version is required".to_owned());
        }
        if semver::Version::parse(&self.version).is_err() {
            return invalid(format!("chart.metadata.version {:?} is invalid", self.version));
        }
        if !matches!(self.kind.as_str(), "" | "application" | "library") {
            return invalid("chart.metadata.type must be application or library".to_owned());
        }
        if self.nulls.maintainer {
            return invalid("maintainers must not contain empty or null nodes".to_owned());
        }
        for maintainer in &mut self.maintainers {
            [&mut maintainer.name, &mut maintainer.email, &mut maintainer.url].into_iter().for_each(sanitize);
        }
        if self.nulls.dependency {
            return invalid("dependencies must not contain empty or null nodes".to_owned());
        }
        let mut names = Vec::new();
        for dependency in &mut self.dependencies {
            [
                &mut dependency.name,
                &mut dependency.version,
                &mut dependency.repository,
                &mut dependency.condition,
            ]
            .into_iter()
            .chain(&mut dependency.tags)
            .for_each(sanitize);
            let alias = &dependency.alias;
            if !alias.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
                return invalid(format!(
                    "dependency {:?} has disallowed characters in the alias",
                    dependency.name
                ));
            }
            let key = if alias.is_empty() { &dependency.name } else { alias };
            if names.contains(key) {
                return invalid(format!("more than one dependency with name or alias {key:?}"));
            }
            names.push(key.clone());
        }
        Ok(())
    }
}

impl Lock {
    /// Reads `Chart.lock`.
    pub(super) fn parse(text: &[u8]) -> Result<Option<Self>, String> {
        let document = pintle_goyaml::parse(text).map_err(|error| error.to_string())?;
        let mut decoder = Decoder::new("Lock");
        let mut lock = Self::default();
        match &document {
            Value::Null => return Ok(None),
            Value::Object(object) => {
                decoder.string(object, "generated", &mut lock.generated);
                decoder.string(object, "digest", &mut lock.digest);
                let dependencies = read_dependencies(&mut decoder, object).unwrap_or_default();
                lock.dependencies = dependencies.into_iter().flatten().collect();
            }
            other => decoder.not_object(other, "v2.Lock"),
        }
        decoder.finish()?;
        if lock.generated.is_empty() {
            // Go: the zero time, which the release record needs because helm parses it there.
            "0001-01-01T00:00:00Z".clone_into(&mut lock.generated);
        }
        Ok(Some(lock))
    }
}

fn read_dependencies(
    decoder: &mut Decoder,
    object: &BTreeMap<String, Value>,
) -> Option<Vec<Option<Dependency>>> {
    decoder.structs(object, "dependencies", ("Dependency", "v2.Dependency"), |decoder, object| {
        let mut dependency = Dependency::default();
        decoder.string(object, "name", &mut dependency.name);
        decoder.string(object, "version", &mut dependency.version);
        decoder.string(object, "repository", &mut dependency.repository);
        decoder.string(object, "condition", &mut dependency.condition);
        decoder.strings(object, "tags", &mut dependency.tags);
        decoder.boolean(object, "enabled", &mut dependency.enabled);
        decoder.string(object, "alias", &mut dependency.alias);
        match lookup(object, "import-values") {
            Some(Value::Array(items)) => dependency.import_values = items.iter().map(import_value).collect(),
            Some(other) => decoder.mismatch(other, "import-values", "[]interface {}"),
            None => {}
        }
        dependency
    })
}

fn import_value(value: &Value) -> ImportValue {
    match value {
        Value::String(name) => ImportValue::Export(name.clone()),
        Value::Object(table) => ImportValue::Table(table.clone()),
        other => ImportValue::Other(other.clone()),
    }
}

/// White space becomes a blank, what cannot be printed goes.
fn sanitize(text: &mut String) {
    let clean = |c: char| match c {
        c if c.is_whitespace() => Some(' '),
        c if c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{ad}') =>
        {
            None
        }
        c => Some(c),
    };
    if text.chars().any(|c| clean(c) != Some(c)) {
        *text = text.chars().filter_map(clean).collect();
    }
}

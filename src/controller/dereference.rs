//! Reads what `valuesFrom` refers to.

use pintle_helm::values::{Values, merge_layers, strvals};
use serde_json::Value;

use crate::api::{HelmCompat, HelmReleaseSpec, Reason, ValuesKind, ValuesReference};
use crate::cluster::masking::{Masked, Redactions};
use crate::cluster::{self, Kind, ObjectRef, Retry, TenantClient};

/// Why the values could not be put together.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A reference could not be read.
    #[error("valuesFrom[{index}]: {source}")]
    Read {
        /// Its place in the list.
        index: usize,
        /// The refusal.
        source: cluster::Error,
    },
    /// The object is missing, and not optional.
    #[error("valuesFrom[{index}]: {object} does not exist; create it, or set optional: true")]
    NoObject {
        /// Its place in the list.
        index: usize,
        /// The object.
        object: ObjectRef,
    },
    /// The object has no such key, and that is not optional.
    #[error("valuesFrom[{index}]: {object} has no key `{key}`; add it, or set optional: true")]
    NoKey {
        /// Its place in the list.
        index: usize,
        /// The object.
        object: ObjectRef,
        /// The key.
        key: String,
    },
    /// The content is not what the reference says.
    #[error("valuesFrom[{index}]: key `{key}` of {object} cannot be read as values: {problem}; mend it")]
    Content {
        /// Its place in the list.
        index: usize,
        /// The object.
        object: ObjectRef,
        /// The key.
        key: String,
        /// What is wrong with it; never its text, when it is a Secret's.
        problem: String,
    },
    /// The inline values are no map.
    #[error("spec.values: {0}")]
    Inline(String),
}

impl Error {
    /// The condition's reason.
    pub fn reason(&self) -> Reason {
        match self {
            Self::Read { source, .. } => source.reason(),
            Self::NoObject { .. } | Self::NoKey { .. } | Self::Content { .. } | Self::Inline(_) => {
                Reason::ValuesInvalid
            }
        }
    }

    /// When trying again can help: a change of the object wakes the release by itself.
    pub fn retry(&self) -> Retry {
        match self {
            Self::Read { source, .. } => source.retry(),
            Self::NoObject { .. } | Self::NoKey { .. } | Self::Content { .. } => Retry::Later,
            Self::Inline(_) => Retry::OnChange,
        }
    }
}

/// What the references came to.
#[derive(Default)]
pub struct Dereferenced {
    /// The user's values.
    pub values: Values,
    /// What must not be shown of them.
    pub redactions: Redactions,
    /// The objects that they come from, each with the version that was read: tells that they changed, and nothing of what
    /// is in them.
    pub sources: Vec<String>,
}

/// The user's values: `valuesFrom` in order, a `targetPath` in its place in that order, `values` last.
///
/// # Errors
/// When a reference that is not optional cannot be read or parsed.
pub async fn dereference(
    client: &TenantClient,
    namespace: &str,
    spec: &HelmReleaseSpec,
) -> Result<Dereferenced, Error> {
    let mut merged = Values::default();
    let mut redactions = Redactions::default();
    let mut sources = Vec::new();
    for (index, reference) in spec.values_from.iter().enumerate() {
        let object = object_of(reference, namespace);
        let found = read(client, reference, &object).await.map_err(|source| Error::Read { index, source })?;
        let version = if let Found::Content(_, version) = &found { version.as_str() } else { "" };
        sources.push(format!("{object} {} {:?} {version}", reference.values_key, reference.target_path));
        let content = match found {
            Found::Content(content, _) => content,
            Found::NoKey | Found::NoObject if reference.optional => continue,
            Found::NoKey => return Err(Error::NoKey { index, object, key: reference.values_key.clone() }),
            Found::NoObject => return Err(Error::NoObject { index, object }),
        };
        let secret = reference.kind == ValuesKind::Secret;
        if secret {
            redactions.add(content.expose());
        }
        merged = put(merged, reference, content.expose()).map_err(|problem| Error::Content {
            index,
            object,
            key: reference.values_key.clone(),
            problem: if secret { "its text is withheld".to_owned() } else { problem },
        })?;
    }
    let inline = match &spec.values {
        Some(values) => Values::from_json(values).map_err(|e| Error::Inline(e.to_string()))?,
        None => Values::default(),
    };
    Ok(Dereferenced { values: merge_layers([merged, inline]), redactions, sources })
}

/// What the Secrets among the references hold, without the values that they are a part of.
///
/// # Errors
/// One of them cannot be read. One that is gone keeps no secret any more that is known here.
pub async fn secrets(
    client: &TenantClient,
    namespace: &str,
    spec: &HelmReleaseSpec,
) -> Result<Redactions, cluster::Error> {
    let mut redactions = Redactions::default();
    for reference in spec.values_from.iter().filter(|r| r.kind == ValuesKind::Secret) {
        if let Found::Content(content, _) = read(client, reference, &object_of(reference, namespace)).await? {
            redactions.add(content.expose());
        }
    }
    Ok(redactions)
}

fn object_of(reference: &ValuesReference, namespace: &str) -> ObjectRef {
    let kind = match reference.kind {
        ValuesKind::Secret => "Secret",
        ValuesKind::ConfigMap => "ConfigMap",
    };
    ObjectRef {
        group: String::new(),
        version: "v1".to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: reference.name.clone(),
    }
}

/// What a reference leads to.
enum Found {
    NoObject,
    NoKey,
    /// The bytes of the key, and which object that was.
    Content(Masked<Vec<u8>>, String),
}

async fn read(
    client: &TenantClient,
    reference: &ValuesReference,
    object: &ObjectRef,
) -> Result<Found, cluster::Error> {
    let kind = match reference.kind {
        ValuesKind::Secret => Kind::secret(),
        ValuesKind::ConfigMap => Kind::core("ConfigMap", "configmaps", true),
    };
    let Some(found) = client.get(&kind, object).await? else { return Ok(Found::NoObject) };
    let text = |pointer: &str| found.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let version = format!("{} {}", text("/metadata/uid"), text("/metadata/resourceVersion"));
    let key = &reference.values_key;
    let content = match reference.kind {
        ValuesKind::Secret => cluster::secret_data(&found).remove(key),
        ValuesKind::ConfigMap => {
            let text = found.pointer("/data").and_then(|data| data.get(key)?.as_str());
            text.map(|text| Masked::new(text.as_bytes().to_vec()))
        }
    };
    Ok(content.map_or(Found::NoKey, |content| Found::Content(content, version)))
}

/// Puts a content over the values so far.
///
/// # Compatibility
/// As Flux's `chartutil/values.go`: with a target path the content is the right-hand side of a `--set`, and a
/// string when it stands in quotes.
fn put(mut values: Values, reference: &ValuesReference, content: &[u8]) -> Result<Values, String> {
    let Some(path) = &reference.target_path else {
        let layer = Values::from_yaml(content).map_err(|e| e.to_string())?;
        return Ok(merge_layers([values, layer]));
    };
    let text = std::str::from_utf8(content).map_err(|_| "it is not UTF-8 text".to_owned())?;
    let unquoted = ['"', '\''].iter().find_map(|q| text.strip_prefix(*q)?.strip_suffix(*q));
    let done = match unquoted {
        Some(text) => strvals::set_string(&mut values, &format!("{path}={text}")),
        None => strvals::set(&mut values, &format!("{path}={text}")),
    };
    // A few characters of an index can ask for thousands of items.
    done.and_then(|()| values.check_size()).map_err(|e| e.to_string())?;
    Ok(values)
}

/// Whether a release reads this object for its values.
pub fn refers_to(spec: &HelmReleaseSpec, kind: &str, name: &str) -> bool {
    spec.values_from.iter().any(|r| {
        r.name == name
            && match r.kind {
                ValuesKind::Secret => kind == "Secret",
                ValuesKind::ConfigMap => kind == "ConfigMap",
            }
    })
}

/// The spec's parts that decide what is rendered and applied, in a fixed form: two specs with the same text
/// need no new revision.
pub fn relevant_spec(spec: &HelmReleaseSpec) -> Value {
    let mut relevant = serde_json::json!({
        "valuesFiles": spec.chart.values_files,
    });
    // The default is left out, so that a release from before the field existed is the same release.
    if spec.helm_compat != HelmCompat::default() {
        relevant["helmCompat"] = serde_json::json!(spec.helm_compat);
    }
    relevant
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reference(path: Option<&str>) -> ValuesReference {
        ValuesReference {
            kind: ValuesKind::ConfigMap,
            name: "c".into(),
            values_key: "values.yaml".into(),
            target_path: path.map(str::to_owned),
            optional: false,
        }
    }

    #[test]
    fn contents_are_merged_in_order_and_target_paths_are_set() {
        let mut values = Values::default();
        for (path, content) in [
            (None, "a: {x: 1, y: 2}\nb: [1]"),
            (Some("a.x"), "9"),
            (Some("c"), "\"10\""),
            (None, "a: {y: 3}"),
        ] {
            values = put(values, &reference(path), content.as_bytes()).unwrap();
        }
        // The key y is a boolean of YAML 1.1.
        assert_eq!(values.to_json().to_string(), r#"{"a":{"true":3,"x":9},"b":[1],"c":"10"}"#);
        assert!(put(Values::default(), &reference(None), b"a: b: c").is_err());
    }

    #[test]
    fn indices_of_a_content_cannot_ask_for_all_memory() {
        let mut values = Values::default();
        let problem = (0..64).find_map(|i| {
            let content = format!("0,b{i}[65536]=1,c{i}[65536]=1,d{i}[65536]=1");
            match put(std::mem::take(&mut values), &reference(Some("a")), content.as_bytes()) {
                Ok(more) => values = more,
                Err(problem) => return Some((i, problem)),
            }
            None
        });
        assert_eq!(problem, Some((10, "values have more than 2000000 entries".to_owned())));
        let nested = format!("0,b{}=1", "[0]".repeat(300_000));
        assert!(put(Values::default(), &reference(Some("a")), nested.as_bytes()).is_err());
    }
}

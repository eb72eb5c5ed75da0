//! `values.schema.json`: the values of a chart, and the sections of its subcharts, against JSON schemas.
//!
//! References inside the schema are followed, references to files or servers never: a chart must not make its
//! renderer read or fetch anything (CVE-2025-55199).

mod violations;

use jsonschema::{Draft, Retrieve, Uri};
use pintle_goyaml::Value;
use serde_json::Value as Json;

use super::{Error, Values};
use crate::chart::Chart;

/// Checks `values` against the schemas of `chart` and of the charts below it.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/common/util/jsonschema.go:ValidateAgainstSchema`.
pub(super) fn check(chart: &Chart, values: &Values) -> Result<(), Error> {
    let mut text = String::new();
    check_section(chart, &Value::Object(values.0.clone()), &mut text);
    if text.is_empty() { Ok(()) } else { Err(Error::Schema(text.trim_end().to_owned())) }
}

fn check_section(chart: &Chart, section: &Value, text: &mut String) {
    if let Some(schema) = &chart.schema
        && let Err(violations) = check_one(schema, &super::to_json(section))
    {
        text.push_str(chart.name());
        text.push_str(":\n");
        text.push_str(&violations);
        text.push('\n');
    }
    let Value::Object(section) = section else { return };
    for dependency in &chart.dependencies {
        match section.get(dependency.name()) {
            None | Some(Value::Null) => {}
            Some(inner @ Value::Object(_)) => check_section(dependency, inner, text),
            Some(other) => {
                let found = match other {
                    Value::Bool(_) => "bool",
                    Value::String(_) => "string",
                    Value::Array(_) => "[]interface {}",
                    Value::Int(_) => "int64",
                    _ => "float64",
                };
                text.push_str(&format!(
                    "{}:\ninvalid type for values: expected object (map), got {found}\n",
                    dependency.name()
                ));
            }
        }
    }
}

/// Nothing outside the schema is ever read; Helm takes a name that it cannot resolve for a schema that allows all.
struct NoRetrieval;

impl Retrieve for NoRetrieval {
    fn retrieve(&self, uri: &Uri<String>) -> Result<Json, Box<dyn std::error::Error + Send + Sync>> {
        if uri.scheme().as_str() == "urn" {
            return Ok(Json::Bool(true));
        }
        Err(format!("failing loading {:?}: a schema may refer to itself only", uri.as_str()).into())
    }
}

/// Checks one chart's view; the lines say what is wrong.
fn check_one(schema: &[u8], values: &Json) -> Result<(), String> {
    let schema: Json = serde_json::from_slice(schema).map_err(|error| error.to_string())?;
    if refers_to_itself(&schema) {
        return Err("the schema refers to itself without end".to_owned());
    }
    let draft = Draft::default().detect(&schema);
    // The library that Helm uses asserts formats in the old drafts only.
    let formats = matches!(draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7);
    let validator = jsonschema::options()
        .with_retriever(NoRetrieval)
        .should_validate_formats(formats)
        .build(&schema)
        .map_err(|error| format!("{:?} is not valid against metaschema: {error}", "file:///values.schema.json#"))?;
    let errors: Vec<_> = validator.iter_errors(values).map(|error| error.to_owned()).collect();
    if errors.is_empty() { Ok(()) } else { Err(violations::describe(&errors)) }
}

/// Whether a schema is nothing but a reference that leads back to it.
///
/// A loop through `$ref` and `allOf` alone, which never goes deeper into the values, would never end.
fn refers_to_itself(root: &Json) -> bool {
    fn follow<'s>(root: &'s Json, schema: &'s Json, seen: &mut Vec<*const Json>) -> bool {
        let Json::Object(keywords) = schema else { return false };
        if seen.contains(&std::ptr::from_ref(schema)) {
            return true;
        }
        seen.push(std::ptr::from_ref(schema));
        let mut next: Vec<&Json> = Vec::new();
        if let Some(Json::String(reference)) = keywords.get("$ref")
            && let Some(pointer) = reference.strip_prefix('#')
            && let Some(target) = root.pointer(pointer)
        {
            next.push(target);
        }
        for keyword in ["allOf", "anyOf", "oneOf"] {
            if let Some(Json::Array(inner)) = keywords.get(keyword) {
                next.extend(inner);
            }
        }
        for keyword in ["not", "if", "then", "else"] {
            next.extend(keywords.get(keyword));
        }
        let found = next.into_iter().any(|next| follow(root, next, seen));
        seen.pop();
        found
    }
    fn anywhere(root: &Json, schema: &Json) -> bool {
        match schema {
            Json::Object(keywords) => {
                (keywords.contains_key("$ref") && follow(root, schema, &mut Vec::new()))
                    || keywords.values().any(|inner| anywhere(root, inner))
            }
            Json::Array(items) => items.iter().any(|inner| anywhere(root, inner)),
            _ => false,
        }
    }
    anywhere(root, root)
}

//! `values.schema.json`: the values of a chart, and the sections of its subcharts, against JSON schemas.
//!
//! References inside the schema are followed, references to files or servers never: a chart must not make its
//! renderer read or fetch anything (CVE-2025-55199).

mod violations;

use std::collections::{BTreeMap, HashSet};

use jsonschema::error::ValidationErrorKind;
use jsonschema::{Draft, ReferencingError, Retrieve, Uri, ValidationError};
use pintle_goyaml::Value;
use pintle_sprig::json;
use serde_json::Value as Json;

use super::{Error, Values};
use crate::chart::Chart;

/// Checks `values` against the schemas of `chart` and of the charts below it.
///
/// # Compatibility
/// As Helm v4 `pkg/chart/common/util/jsonschema.go:ValidateAgainstSchema`.
pub(super) fn check(chart: &Chart, values: &Values) -> Result<(), Error> {
    let mut text = String::new();
    check_section(chart, &values.0, &mut text);
    if text.is_empty() { Ok(()) } else { Err(Error::Schema(text.trim_end().to_owned())) }
}

fn check_section(chart: &Chart, section: &BTreeMap<String, Value>, text: &mut String) {
    if let Some(schema) = &chart.schema
        && let Err(violations) = check_one(schema, &super::object_to_json(section))
    {
        text.push_str(chart.name());
        text.push_str(":\n");
        text.push_str(&violations);
    }
    for dependency in &chart.dependencies {
        match section.get(dependency.name()) {
            None | Some(Value::Null) => {}
            Some(Value::Object(inner)) => check_section(dependency, inner, text),
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

/// What Helm calls the schema of a chart.
const URL: &str = "file:///values.schema.json";

/// Checks one chart's view; the lines say what is wrong.
fn check_one(schema: &[u8], values: &Json) -> Result<(), String> {
    let schema = read(schema)?;
    if refers_to_itself(&schema) {
        return Err("the schema refers to itself without end".to_owned());
    }
    let draft = Draft::default().detect(&schema);
    check_schema(&schema, draft)?;
    // The library that Helm uses asserts formats in the old drafts only.
    let formats = matches!(draft, Draft::Draft4 | Draft::Draft6 | Draft::Draft7);
    let validator = jsonschema::options()
        .with_base_uri(URL)
        .with_retriever(NoRetrieval)
        .should_validate_formats(formats)
        .build(&schema)
        .map_err(|error| unusable(&error))?;
    let errors: Vec<_> = validator.iter_errors(values).map(|error| error.to_owned()).collect();
    if errors.is_empty() { Ok(()) } else { Err(violations::describe(&errors, &schema) + "\n") }
}

/// Reads the schema; errors are those of Go's `json.Decoder`.
fn read(text: &[u8]) -> Result<Json, String> {
    serde_json::from_slice(text).map_err(|error| {
        let (_, in_go) = json::decode(text, json::Target::Any);
        match in_go.as_deref() {
            Some("unexpected end of JSON input") if text.trim_ascii().is_empty() => "EOF".to_owned(),
            Some("unexpected end of JSON input") => "unexpected EOF".to_owned(),
            Some(message) if message.ends_with(" after top-level value") => {
                "invalid character after top-level value".to_owned()
            }
            Some(message) => message.to_owned(),
            // Only ours has a limit, on nesting.
            None => error.to_string(),
        }
    })
}

/// Checks the schema itself against the schema of schemas.
fn check_schema(schema: &Json, draft: Draft) -> Result<(), String> {
    let url = match draft {
        Draft::Draft4 => "http://json-schema.org/draft-04/schema#",
        Draft::Draft6 => "http://json-schema.org/draft-06/schema#",
        Draft::Draft7 => "http://json-schema.org/draft-07/schema#",
        Draft::Draft201909 => "https://json-schema.org/draft/2019-09/schema#",
        _ => "https://json-schema.org/draft/2020-12/schema#",
    };
    // Of an unknown draft nothing can be fetched; building the validator says so.
    let Ok(metaschema) = jsonschema::meta::validator_for(schema) else { return Ok(()) };
    let errors: Vec<_> = metaschema.iter_errors(schema).map(|error| error.to_owned()).collect();
    if errors.is_empty() {
        return Ok(());
    }
    let lines = violations::describe(&errors, &Json::Null);
    Err(format!(
        "\"{URL}#\" is not valid against metaschema: jsonschema validation failed with '{url}'\n{lines}"
    ))
}

/// Why a schema that is valid by itself cannot be used.
fn unusable(error: &ValidationError<'_>) -> String {
    match error.kind() {
        ValidationErrorKind::Referencing(ReferencingError::PointerToNowhere { pointer }) => {
            format!("json-pointer in \"{URL}#{pointer}\" not found")
        }
        ValidationErrorKind::Referencing(ReferencingError::NoSuchAnchor { anchor }) => {
            format!("anchor in \"{URL}#{anchor}\" not found in schema \"{URL}\"")
        }
        _ => format!("\"{URL}#\" is not valid against metaschema: {error}"),
    }
}

/// Whether a schema is nothing but a reference that leads back to it.
///
/// A loop through keywords that look at the same value, which never goes deeper into it, would never end.
fn refers_to_itself(root: &Json) -> bool {
    let mut harmless = HashSet::new();
    anywhere(root, root, &mut harmless)
}

fn anywhere<'s>(root: &'s Json, schema: &'s Json, harmless: &mut HashSet<*const Json>) -> bool {
    match schema {
        Json::Object(keywords) => {
            (keywords.contains_key("$ref") && follow(root, schema, &mut Vec::new(), harmless))
                || keywords.values().any(|inner| anywhere(root, inner, harmless))
        }
        Json::Array(items) => items.iter().any(|inner| anywhere(root, inner, harmless)),
        _ => false,
    }
}

/// Whether the schemas that look at the same value as `schema` lead back to one of `above`.
fn follow<'s>(
    root: &'s Json,
    schema: &'s Json,
    above: &mut Vec<*const Json>,
    harmless: &mut HashSet<*const Json>,
) -> bool {
    let Json::Object(keywords) = schema else { return false };
    let here = std::ptr::from_ref(schema);
    if above.contains(&here) {
        return true;
    }
    if harmless.contains(&here) {
        return false;
    }
    let reference =
        keywords.get("$ref").and_then(Json::as_str).and_then(|reference| reference.strip_prefix('#'));
    let target = reference.and_then(|pointer| root.pointer(pointer));
    let lists =
        ["allOf", "anyOf", "oneOf"].into_iter().filter_map(|keyword| keywords.get(keyword)?.as_array());
    let single = ["not", "if", "then", "else"].into_iter().filter_map(|keyword| keywords.get(keyword));
    let next: Vec<&Json> = target.into_iter().chain(lists.flatten()).chain(single).collect();
    above.push(here);
    let found = next.into_iter().any(|next| follow(root, next, above, harmless));
    above.pop();
    if !found {
        harmless.insert(here);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn violations(schema: &str, values: &str) -> String {
        let values = Values::from_yaml(values.as_bytes()).unwrap().to_json();
        check_one(schema.as_bytes(), &values).err().unwrap_or_default().trim_end().to_owned()
    }

    /// Texts printed by helm v4.3.1; the first two are the conformance cases `schema.13` and `schema.17`.
    #[test]
    fn broken_schemas_are_refused_in_helms_words() {
        let metaschema = |draft: &str, lines: &str| {
            format!(
                "\"file:///values.schema.json#\" is not valid against metaschema: jsonschema validation failed with '{draft}#'\n{lines}"
            )
        };
        let (new, old) =
            ("https://json-schema.org/draft/2020-12/schema", "http://json-schema.org/draft-07/schema");
        let types =
            "value must be one of 'array', 'boolean', 'integer', 'null', 'number', 'object', 'string'";
        for (schema, expected) in [
            (
                r#"{"type":"nonsense"}"#,
                metaschema(
                    new,
                    &format!(
                        "- at '': 'allOf' failed\n  - at '/type': 'anyOf' failed\n    - at '/type': {types}\n    - at '/type': got string, want array"
                    ),
                ),
            ),
            (
                r##"{"properties":{"a":{"$ref":"#/definitions/nope"}}}"##,
                r#"json-pointer in "file:///values.schema.json#/definitions/nope" not found"#.to_owned(),
            ),
            (
                r#"{"properties":{"a":5}}"#,
                metaschema(
                    new,
                    "- at '': 'allOf' failed\n  - at '/properties/a': got number, want boolean or object",
                ),
            ),
            (
                r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":3}"#,
                metaschema(
                    old,
                    &format!(
                        "- at '/type': 'anyOf' failed\n  - at '/type': {types}\n  - at '/type': got number, want array"
                    ),
                ),
            ),
            (
                r##"{"$ref":"#nope"}"##,
                r#"anchor in "file:///values.schema.json#nope" not found in schema "file:///values.schema.json""#
                    .to_owned(),
            ),
            ("", "EOF".to_owned()),
            ("{", "unexpected EOF".to_owned()),
            ("{} x", "invalid character after top-level value".to_owned()),
            (r#"{"a":}"#, "invalid character '}' looking for beginning of value".to_owned()),
            (r##"{"definitions":{"u":{"$ref":"#/no"}}}"##, String::new()),
        ] {
            assert_eq!(violations(schema, "a: 1"), expected, "{schema}");
        }
    }

    /// Texts printed by helm v4.3.1 for the conformance cases `schema.*`.
    #[test]
    fn violations_are_worded_as_in_helm() {
        let schema = r#"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","required":["a"],"properties":{"a":{"type":"integer","minimum":2},"b":{"enum":["x","y"]},"c":{"type":"array","items":{"type":"string"},"uniqueItems":true}}}"#;
        for (values, expected) in [
            ("a: 2", ""),
            ("a: x", "- at '/a': got string, want integer"),
            ("a: 1.5", "- at '/a': got number, want integer"),
            ("a: 1", "- at '/a': minimum: got 1, want 2"),
            ("b: x", "- at '': missing property 'a'"),
            ("{a: 2, c: [q, q]}", "- at '/c': items at 0 and 1 are equal"),
            (
                "{a: 2, b: z, c: [1, 1]}",
                "- at '/b': value must be one of 'x', 'y'\n- at '/c': validation failed\n  - at '/c': items at 0 and 1 are equal\n  - at '/c/0': got number, want string\n  - at '/c/1': got number, want string",
            ),
        ] {
            assert_eq!(violations(schema, values), expected, "{values}");
        }
        assert_eq!(
            violations(
                r#"{"anyOf":[{"required":["p"]},{"required":["q"]}],"not":{"required":["a"]}}"#,
                "a: 1"
            ),
            "- at '': 'not' failed\n- at '': 'anyOf' failed\n  - at '': missing property 'p'\n  - at '': missing property 'q'"
        );
        assert_eq!(violations("false", "a: 1"), "- at '': false schema");
    }

    #[test]
    fn schemas_reach_nothing_outside_themselves() {
        for reference in ["file:///etc/passwd", "http://127.0.0.1:1/x", "other.json"] {
            let schema = format!(r#"{{"properties":{{"a":{{"$ref":"{reference}"}}}}}}"#);
            assert!(violations(&schema, "a: 1").contains("a schema may refer to itself only"), "{reference}");
        }
        assert_eq!(violations(r#"{"properties":{"a":{"$ref":"urn:x:y"}}}"#, "a: 1"), "");
    }

    /// Found by the fuzz target `schema`: time grew with the square of the violations.
    #[test]
    fn many_violations_are_grouped_in_one_pass() {
        let items = vec!["1"; 20_000].join(",");
        let text =
            violations(r#"{"properties":{"a":{"items":{"type":"string"}}}}"#, &format!("a: [{items}]"));
        assert_eq!(text.lines().count(), 20_001);
        let required: Vec<String> = (0..20_000).map(|n| format!("\"p{n}\"")).collect();
        let text = violations(&format!(r#"{{"required":[{}]}}"#, required.join(",")), "a: 1");
        assert!(
            text.starts_with("- at '': missing properties 'p0', 'p1', "),
            "{}",
            text.get(..60).unwrap_or(&text)
        );
        assert!(text.ends_with(", 'p19999'"));
    }

    #[test]
    fn schemas_that_refer_to_themselves_end() {
        let endless = "the schema refers to itself without end";
        for (schema, expected) in [
            (r##"{"$ref":"#"}"##, endless),
            (r##"{"allOf":[{"$ref":"#"}]}"##, endless),
            (r##"{"$ref":"#/d/a","d":{"a":{"$ref":"#/d/b"},"b":{"$ref":"#/d/a"}}}"##, endless),
            (r##"{"properties":{"a":{"$ref":"#"}}}"##, ""),
            (r##"{"$anchor":"q","$ref":"#q"}"##, ""),
        ] {
            assert_eq!(violations(schema, "a: {a: {}}"), expected, "{schema}");
        }
    }
}

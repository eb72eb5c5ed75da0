//! Violations of a schema, worded and grouped as `github.com/santhosh-tekuri/jsonschema` does.
//!
//! That library stops at the first of `type`, `const`, `enum` and `format` that a value breaks, reports the other
//! keywords of a schema in a fixed order, and puts several violations of one schema under one heading. Ours reports a
//! flat list with the keyword's path, from which the same tree is made.

use std::collections::HashMap;

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value as Json;

type Violation = ValidationError<'static>;

/// The lines of all violations.
pub(super) fn describe(errors: &[Violation], schema: &Json) -> String {
    let errors: Vec<&Violation> = errors.iter().collect();
    let mut lines = Vec::new();
    for node in assemble(&errors, 0, 0, schema) {
        node.print(0, &mut lines);
    }
    lines.join("\n")
}

/// A violation, or a heading over several.
struct Node {
    place: String,
    text: String,
    causes: Vec<Node>,
}

impl Node {
    fn print(&self, indent: usize, lines: &mut Vec<String>) {
        lines.push(format!("{}- at '{}': {}", "  ".repeat(indent), self.place, self.text));
        for cause in &self.causes {
            cause.print(indent + 1, lines);
        }
    }
}

/// Keywords that end the check of a value, in their order.
const FIRST: [&str; 4] = ["type", "const", "enum", "format"];

/// The order of the other keywords; one that is not here comes where `properties` stands.
const ORDER: [&str; 37] = [
    "$ref",
    "minProperties",
    "maxProperties",
    "required",
    "dependencies",
    "minItems",
    "maxItems",
    "uniqueItems",
    "minLength",
    "maxLength",
    "pattern",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "prefixItems",
    "items",
    "properties",
    "patternProperties",
    "additionalProperties",
    "additionalItems",
    "contains",
    "minContains",
    "maxContains",
    "propertyNames",
    "dependentSchemas",
    "dependentRequired",
    "$dynamicRef",
    "not",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
];

/// Keywords whose schemas look at the same value.
const IN_PLACE: [&str; 12] = [
    "$ref",
    "$dynamicRef",
    "$recursiveRef",
    "allOf",
    "anyOf",
    "oneOf",
    "if",
    "then",
    "else",
    "not",
    "dependencies",
    "dependentSchemas",
];

/// Keywords whose schemas have names or numbers.
const NAMED: [&str; 8] = [
    "properties",
    "patternProperties",
    "dependentSchemas",
    "dependencies",
    "allOf",
    "anyOf",
    "oneOf",
    "prefixItems",
];

/// The violations of one schema on one value: `path` and `place` say how many parts of the keyword's and of the
/// value's location lead there.
fn assemble(errors: &[&Violation], path: usize, place: usize, schema: &Json) -> Vec<Node> {
    let keyword =
        |error: &Violation| parts(error.evaluation_path().as_str()).get(path).cloned().unwrap_or_default();
    for first in FIRST {
        if let Some(error) = errors.iter().find(|error| keyword(error) == first) {
            return vec![leaf(error, schema)];
        }
    }
    let rank = |word: &str| ORDER.iter().position(|known| *known == word).unwrap_or(18);
    let mut sorted: Vec<(String, &Violation)> = errors.iter().map(|error| (keyword(error), *error)).collect();
    sorted.sort_by_key(|(word, _)| rank(word));
    let mut groups: HashMap<Key, Vec<&Violation>> = HashMap::new();
    for (word, error) in &sorted {
        if let Some(key) = Key::new(word, error, path, place) {
            groups.entry(key).or_default().push(error);
        }
    }
    let mut nodes: Vec<Node> = Vec::new();
    let mut missing = 0_usize;
    for (word, error) in &sorted {
        let Some(key) = Key::new(word, error, path, place) else {
            match error.kind() {
                ValidationErrorKind::Required { property } if word == "required" => {
                    missing += 1;
                    let property = quote_json(property);
                    match nodes.last_mut().filter(|_| missing > 1) {
                        Some(last) if missing == 2 => {
                            last.text =
                                format!("{}, {property}", last.text.replacen("property", "properties", 1));
                        }
                        Some(last) => last.text.extend([", ", &property]),
                        None => {
                            let text = format!("missing property {property}");
                            nodes.push(Node { text, ..leaf(error, schema) });
                        }
                    }
                }
                _ => nodes.push(leaf(error, schema)),
            }
            continue;
        };
        // The first of a group stands for all of it.
        let Some(same) = groups.remove(&key) else { continue };
        let value = parts(error.instance_path().as_str());
        let (deeper, inner_place) = (key.deeper, key.place);
        let inner = group(assemble(&same, deeper, inner_place, schema), &value, inner_place);
        if word == "allOf" {
            match nodes.last_mut().filter(|last| last.text == "'allOf' failed") {
                Some(all) => all.causes.extend(inner),
                None => nodes.push(Node {
                    place: pointer(&value, place),
                    text: "'allOf' failed".to_owned(),
                    causes: inner.into_iter().collect(),
                }),
            }
        } else {
            nodes.extend(inner);
        }
    }
    nodes
}

/// What the violations of one schema below another, on one value, have in common.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    /// How many parts of the keyword's location lead to that schema, and they.
    deeper: usize,
    location: String,
    /// How many parts of the value's location lead to that value, and they.
    place: usize,
    value: String,
}

impl Key {
    /// None if the violation is of the schema itself.
    fn new(word: &str, error: &Violation, path: usize, place: usize) -> Option<Self> {
        let location = parts(error.evaluation_path().as_str());
        let next = location.get(path + 1)?;
        let named = NAMED.contains(&word) || (word == "items" && next.parse::<usize>().is_ok());
        let deeper = path + if named { 2 } else { 1 };
        let place = if IN_PLACE.contains(&word) { place } else { place + 1 };
        let value = parts(error.instance_path().as_str());
        Some(Self {
            deeper,
            location: location.get(..deeper).unwrap_or_default().join("/"),
            place,
            value: value.get(..place).unwrap_or(&value).join("/"),
        })
    }
}

/// One node for the violations of one schema.
fn group(mut nodes: Vec<Node>, value: &[String], place: usize) -> Option<Node> {
    if nodes.len() < 2 {
        return nodes.pop();
    }
    Some(Node { place: pointer(value, place), text: "validation failed".to_owned(), causes: nodes })
}

/// A violation with the causes that it carries itself.
fn leaf(error: &Violation, schema: &Json) -> Node {
    use ValidationErrorKind as Kind;
    let value = parts(error.instance_path().as_str());
    let deeper = parts(error.evaluation_path().as_str()).len() + 1;
    let causes = match error.kind() {
        Kind::AnyOf { context } | Kind::OneOfNotValid { context } => context
            .iter()
            .filter_map(|errors| {
                let errors: Vec<&Violation> = errors.iter().collect();
                group(assemble(&errors, deeper, value.len(), schema), &value, value.len())
            })
            .collect(),
        Kind::PropertyNames { error } => vec![Node { place: String::new(), ..leaf(error, schema) }],
        _ => Vec::new(),
    };
    let text = dependency(error, schema).unwrap_or_else(|| word(error));
    Node { place: error.instance_path().as_str().to_owned(), text, causes }
}

/// The text for a property that another one needs: the keyword's path does not say which other one.
fn dependency(error: &Violation, schema: &Json) -> Option<String> {
    let ValidationErrorKind::Required { property } = error.kind() else { return None };
    let needs = schema.pointer(error.schema_path().as_str())?.as_object()?;
    let needed_by = |(name, list): &(&String, &Json)| {
        error.instance().get(name).is_some() && list.as_array().is_some_and(|list| list.contains(property))
    };
    let (name, _) = needs.iter().find(needed_by)?;
    Some(format!("properties {} required, if {} exists", quote_json(property), quote(name)))
}

fn parts(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(str::to_owned).collect()
}

fn pointer(value: &[String], place: usize) -> String {
    value.iter().take(place).map(|part| format!("/{part}")).collect()
}

fn word(error: &ValidationError<'_>) -> String {
    use ValidationErrorKind as Kind;
    let instance: &Json = error.instance();
    match error.kind() {
        Kind::AnyOf { .. } => "'anyOf' failed".to_owned(),
        Kind::OneOfNotValid { .. } => "'oneOf' failed, none matched".to_owned(),
        Kind::OneOfMultipleValid { context } => {
            let matched: Vec<String> = context
                .iter()
                .enumerate()
                .filter(|(_, errors)| errors.is_empty())
                .take(2)
                .map(|(i, _)| i.to_string())
                .collect();
            format!("'oneOf' failed, subschemas {} matched", matched.join(", "))
        }
        Kind::PropertyNames { error } => format!("invalid propertyName {}", quote_json(error.instance())),
        Kind::Not { .. } => "'not' failed".to_owned(),
        Kind::FalseSchema => "false schema".to_owned(),
        Kind::Type { kind } => format!("got {}, want {}", type_of(instance), wanted(kind)),
        Kind::Required { property } => format!("missing property {}", quote_json(property)),
        Kind::AdditionalProperties { unexpected } => {
            format!("additional properties {} not allowed", quote_all(unexpected))
        }
        Kind::UnevaluatedProperties { unexpected } => {
            format!("unevaluated properties {} not allowed", quote_all(unexpected))
        }
        Kind::AdditionalItems { limit } => {
            format!("last {} additionalItem(s) not allowed", length(instance).saturating_sub(*limit))
        }
        Kind::Enum { options } => match options.as_array() {
            Some(options) if options.iter().all(|option| !option.is_array() && !option.is_object()) => {
                let shown: Vec<String> = options.iter().map(show).collect();
                let one_of = if shown.len() == 1 { "" } else { "one of " };
                format!("value must be {one_of}{}", shown.join(", "))
            }
            _ => "'enum' failed".to_owned(),
        },
        Kind::Constant { expected_value } if expected_value.is_array() || expected_value.is_object() => {
            "'const' failed".to_owned()
        }
        Kind::Constant { expected_value } => format!("value must be {}", show(expected_value)),
        Kind::Pattern { pattern } => format!("{} does not match pattern {}", show(instance), quote(pattern)),
        Kind::Format { format } => format!("{} is not valid {format}: invalid {format}", show(instance)),
        Kind::Minimum { limit } => format!("minimum: got {}, want {}", bound(instance), bound(limit)),
        Kind::Maximum { limit } => format!("maximum: got {}, want {}", bound(instance), bound(limit)),
        Kind::ExclusiveMinimum { limit } => {
            format!("exclusiveMinimum: got {}, want {}", bound(instance), bound(limit))
        }
        Kind::ExclusiveMaximum { limit } => {
            format!("exclusiveMaximum: got {}, want {}", bound(instance), bound(limit))
        }
        Kind::MultipleOf { multiple_of } => {
            format!("multipleOf: got {}, want {}", bound(instance), english(*multiple_of))
        }
        Kind::MinLength { limit } => sizes("minLength", instance, *limit),
        Kind::MaxLength { limit } => sizes("maxLength", instance, *limit),
        Kind::MinItems { limit } => sizes("minItems", instance, *limit),
        Kind::MaxItems { limit } => sizes("maxItems", instance, *limit),
        Kind::MinProperties { limit } => sizes("minProperties", instance, *limit),
        Kind::MaxProperties { limit } => sizes("maxProperties", instance, *limit),
        Kind::UniqueItems => duplicates(instance),
        Kind::Contains => "no items match contains schema".to_owned(),
        _ => error.to_string(),
    }
}

fn type_of(value: &Json) -> &'static str {
    match value {
        Json::Null => "null",
        Json::Bool(_) => "boolean",
        Json::Number(_) => "number",
        Json::String(_) => "string",
        Json::Array(_) => "array",
        Json::Object(_) => "object",
    }
}

fn wanted(kind: &TypeKind) -> String {
    match kind {
        TypeKind::Single(one) => one.to_string(),
        TypeKind::Multiple(set) => set.iter().map(|one| one.to_string()).collect::<Vec<_>>().join(" or "),
    }
}

fn length(value: &Json) -> usize {
    match value {
        Json::String(text) => text.chars().count(),
        Json::Array(items) => items.len(),
        Json::Object(fields) => fields.len(),
        _ => 0,
    }
}

fn duplicates(value: &Json) -> String {
    let items = value.as_array().map(Vec::as_slice).unwrap_or_default();
    for (i, a) in items.iter().enumerate() {
        if let Some(j) = items.iter().skip(i + 1).position(|b| a == b) {
            return format!("items at {i} and {} are equal", i + 1 + j);
        }
    }
    "items are equal".to_owned()
}

fn show(value: &Json) -> String {
    match value {
        Json::String(text) => quote(text),
        Json::Array(_) | Json::Object(_) => "value".to_owned(),
        Json::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => crate::decode::go_float(float),
            _ => number.to_string(),
        },
        other => other.to_string(),
    }
}

/// A number of a message; Helm's validator prints them for English readers: `65,535`, `1,000.5`, `2.5×10⁰⁶`.
fn bound(value: &Json) -> String {
    value.as_f64().map_or_else(|| show(value), english)
}

/// As `golang.org/x/text/message` prints `%v` of a float in English.
fn english(number: f64) -> String {
    const SUPERSCRIPTS: [char; 10] = ['⁰', '¹', '²', '³', '⁴', '⁵', '⁶', '⁷', '⁸', '⁹'];
    let text = crate::decode::go_float(number);
    match text.split_once('e') {
        Some((mantissa, exponent)) => {
            let raised = exponent.chars().filter_map(|c| match c {
                '-' => Some('⁻'),
                c => c.to_digit(10).and_then(|digit| SUPERSCRIPTS.get(digit as usize).copied()),
            });
            format!("{mantissa}×10{}", raised.collect::<String>())
        }
        None => match text.split_once('.') {
            Some((whole, fraction)) => format!("{}.{fraction}", grouped(whole)),
            None => grouped(&text),
        },
    }
}

/// The message of a keyword that bounds a length.
fn sizes(keyword: &str, instance: &Json, limit: u64) -> String {
    let length = grouped(&length(instance).to_string());
    format!("{keyword}: got {length}, want {}", grouped(&limit.to_string()))
}

/// The digits of an integer in groups of three.
fn grouped(number: &str) -> String {
    let (sign, digits) = number.strip_prefix('-').map_or(("", number), |digits| ("-", digits));
    let mut text = sign.to_owned();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn quote_json(value: &Json) -> String {
    value.as_str().map_or_else(|| value.to_string(), quote)
}

fn quote_all(texts: &[String]) -> String {
    texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", ")
}

/// Go's `%q` with the quotes turned round.
fn quote(text: &str) -> String {
    let quoted = format!("{text:?}").replace("\\\"", "\"").replace('\'', "\\'");
    format!("'{}'", quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(&quoted))
}

#[cfg(test)]
mod tests {
    use super::english;

    /// Numbers of messages that helm v4.3.1 printed.
    #[test]
    fn numbers_are_printed_as_in_english() {
        for (number, expected) in [
            (5.0, "5"),
            (999_999.0, "999,999"),
            (1_000.5, "1,000.5"),
            (-123_456.5, "-123,456.5"),
            (1_000_000.0, "1×10⁰⁶"),
            (1_234_567.25, "1.23456725×10⁰⁶"),
            (-25_000_001.0, "-2.5000001×10⁰⁷"),
            (1e30, "1×10³⁰"),
            (0.25, "0.25"),
            (0.000_015, "1.5×10⁻⁰⁵"),
        ] {
            assert_eq!(english(number), expected);
        }
    }
}

//! Unit: every reason and every field of a spec is in a story under `e2e/stories`. What counts is what a story does or
//! expects: a text of its code that is the reason, a field in the YAML that it applies or in the JSON that it patches.
//! A comment is neither.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kube::CustomResourceExt;
use serde_json::Value;

use super::{ChartRepository, HelmRelease, Reason};

/// Reasons that no code gives, because the feature is not there yet.
const NOT_YET: &[(Reason, &str)] = &[(Reason::AccessDenied, "references to other namespaces")];

/// A part of a Rust program; words and numbers are left out.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Text(String),
    Mark(char),
}

/// The tokens of a Rust program, without its comments.
fn tokens(source: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let after = &rest[next.len_utf8()..];
        if rest.starts_with("//") {
            rest = rest.find('\n').map_or("", |end| &rest[end..]);
        } else if rest.starts_with("/*") {
            rest = rest.find("*/").map_or("", |end| &rest[end + 2..]);
        } else if let Some((text, left)) = raw_text(rest) {
            tokens.push(Token::Text(text.to_owned()));
            rest = left;
        } else if next == '"' {
            let (text, left) = escaped_text(after);
            tokens.push(Token::Text(text));
            rest = left;
        } else if next == '\'' {
            // A character, else a lifetime.
            let end = match after.strip_prefix('\\') {
                Some(escaped) => escaped[1..].find('\'').map(|end| end + 3),
                None => after
                    .chars()
                    .next()
                    .map(char::len_utf8)
                    .filter(|end| after[*end..].starts_with('\''))
                    .map(|end| end + 1),
            };
            rest = &after[end.unwrap_or(0)..];
        } else if is_word(next) {
            rest = rest.trim_start_matches(is_word);
        } else {
            if !next.is_whitespace() {
                tokens.push(Token::Mark(next));
            }
            rest = after;
        }
    }
    tokens
}

/// A raw text at the beginning of a program, and what follows it.
fn raw_text(source: &str) -> Option<(&str, &str)> {
    let rest = source.strip_prefix('r')?;
    let text = rest.trim_start_matches('#');
    let end = format!("\"{}", &rest[..rest.len() - text.len()]);
    text.strip_prefix('"')?.split_once(end.as_str())
}

/// A text behind its opening quote, and what follows it.
fn escaped_text(source: &str) -> (String, &str) {
    let mut text = String::new();
    let mut rest = source;
    while let Some(next) = rest.chars().next() {
        rest = &rest[next.len_utf8()..];
        match next {
            '"' => break,
            '\\' => {
                let escaped = rest.chars().next().unwrap_or_default();
                rest = &rest[escaped.len_utf8()..];
                match escaped {
                    'n' => text.push('\n'),
                    '\n' => rest = rest.trim_start(),
                    other => text.push(other),
                }
            }
            other => text.push(other),
        }
    }
    (text, rest)
}

/// What stories mention.
#[derive(Default)]
struct Mentioned {
    texts: BTreeSet<String>,
    /// Fields of a HelmRelease's spec, or of a part of a spec of which the kind is not told.
    fields: BTreeSet<String>,
    /// Fields of a ChartRepository's spec.
    repository_fields: BTreeSet<String>,
}

impl Mentioned {
    fn read(&mut self, source: &str) {
        let tokens = tokens(source);
        self.read_json(&tokens);
        for token in tokens {
            if let Token::Text(text) = token {
                self.read_yaml(&text);
                // What is given to `format!` has its braces doubled, and places that stand for lines.
                let formatted = text.replace("{{", "{").replace("}}", "}");
                let is_place = |line: &str| line.starts_with('{') && line.ends_with('}');
                let lines: Vec<&str> = formatted.lines().filter(|line| !is_place(line)).collect();
                self.read_yaml(&lines.join("\n"));
                self.texts.insert(text);
            }
        }
    }

    /// The keys of `json!({"a": {"b": 1}})`.
    fn read_json(&mut self, tokens: &[Token]) {
        let mut way: Vec<Option<&str>> = Vec::new();
        for (index, token) in tokens.iter().enumerate() {
            match token {
                Token::Mark('{') => way.push(None),
                Token::Mark('}') => {
                    way.pop();
                }
                Token::Text(key) if tokens.get(index + 1) == Some(&Token::Mark(':')) => {
                    if let Some(last) = way.last_mut() {
                        *last = Some(key);
                    }
                    let path = way.iter().copied().flatten().collect::<Vec<_>>().join(".");
                    self.fields.insert(path.strip_prefix("spec.").unwrap_or(&path).to_owned());
                }
                _ => {}
            }
        }
    }

    /// Whole objects, or further fields of a spec, each indented by two.
    fn read_yaml(&mut self, text: &str) {
        for document in text.split("---\n") {
            let Ok(object) = serde_yaml::from_str::<Value>(document) else { continue };
            let mut paths = BTreeSet::new();
            if document.trim_start_matches('\n').starts_with("  ") {
                collect(&object, "", &mut paths);
                self.fields.append(&mut paths);
            } else if object["apiVersion"] == "pintle.dev/v1alpha1" {
                collect(&object["spec"], "", &mut paths);
                let is_repository = object["kind"] == "ChartRepository";
                let fields = if is_repository { &mut self.repository_fields } else { &mut self.fields };
                fields.append(&mut paths);
            }
        }
    }
}

fn collect(value: &Value, path: &str, paths: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                collect(value, &path, paths);
                paths.insert(path);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, path, paths)),
        _ => {}
    }
}

/// The fields of a schema that have none themselves.
fn leaves(schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    let schema = if schema["items"].is_object() { &schema["items"] } else { schema };
    match schema["properties"].as_object() {
        Some(fields) => {
            for (name, field) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                leaves(field, &path, found);
            }
        }
        None => {
            found.insert(path.to_owned());
        }
    }
}

fn fields_of<K: CustomResourceExt>() -> BTreeSet<String> {
    let crd = serde_json::to_value(K::crd()).unwrap();
    let mut found = BTreeSet::new();
    leaves(&crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"], "", &mut found);
    found
}

fn told() -> Mentioned {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("e2e");
    let stories = std::fs::read_dir(folder.join("stories")).unwrap();
    let stories: Vec<PathBuf> = stories.map(|entry| entry.unwrap().path()).collect();
    let mut mentioned = Mentioned::default();
    // What all stories are written with is theirs.
    for path in stories.iter().chain([&folder.join("release.rs")]) {
        mentioned.read(&std::fs::read_to_string(path).unwrap());
    }
    mentioned
}

#[test]
fn every_reason_is_in_a_story() {
    let mentioned = told();
    let is_told = |reason: &Reason| mentioned.texts.contains(reason.as_str());
    let missing: Vec<&Reason> = Reason::ALL
        .iter()
        .filter(|reason| !is_told(reason) && !NOT_YET.iter().any(|(other, _)| other == *reason))
        .collect();
    assert!(missing.is_empty(), "no story tells of {missing:?}");
    let there: Vec<_> = NOT_YET.iter().filter(|(reason, _)| is_told(reason)).collect();
    assert!(there.is_empty(), "these are there: {there:?}");
}

#[test]
fn every_field_is_in_a_story() {
    let mentioned = told();
    let (of_release, of_repository) = (fields_of::<HelmRelease>(), fields_of::<ChartRepository>());
    let missing: Vec<&String> = of_release.difference(&mentioned.fields).collect();
    assert!(missing.is_empty(), "no story sets these fields of a HelmRelease: {missing:?}");
    let is_set = |field: &String| {
        // A part of a spec counts for this kind when it cannot be the other one's.
        mentioned.repository_fields.contains(field)
            || mentioned.fields.contains(field) && !of_release.contains(field)
    };
    let missing: Vec<&String> = of_repository.iter().filter(|field| !is_set(field)).collect();
    assert!(missing.is_empty(), "no story sets these fields of a ChartRepository: {missing:?}");
}

#[test]
fn comments_and_other_paths_do_not_count() {
    let mut mentioned = Mentioned::default();
    mentioned.read(
        r##"
        // "Forbidden" json!({"suspend": true})
        /* "  interval: 1m\n" */
        const QUOTE: char = '"';
        fn f<'a>() {
            patch(json!({"spec": {"upgrade": {"force": true}}, "values": {"timeout": 1}}));
            yaml("  install: {crds: Skip}\n  \
                  maxHistory: 2\n");
            format!("apiVersion: pintle.dev/v1alpha1\nkind: ChartRepository\nspec: {{url: \"{url}\"}}\n{rest}");
            chart("timeout: 5\n", r#"{{ if .Values.test }}"{{ end }}"#, "HookFailed");
        }"##,
    );
    let fields: Vec<&str> = mentioned.fields.iter().map(String::as_str).collect();
    assert_eq!(
        fields,
        [
            "install",
            "install.crds",
            "maxHistory",
            "spec",
            "upgrade",
            "upgrade.force",
            "values",
            "values.timeout"
        ]
    );
    assert_eq!(mentioned.repository_fields.iter().collect::<Vec<_>>(), ["url"]);
    assert!(mentioned.texts.contains("HookFailed") && !mentioned.texts.contains("Forbidden"));
}

//! YAML as sigs.k8s.io/yaml reads and writes it.
//!
//! Kubernetes and Helm read YAML by way of JSON, with a fork of go-yaml 2: YAML 1.1 with its `yes` and
//! `0777`, keys that are always strings, and error texts that templates can see. This crate is a port of
//! that whole way, byte for byte, and of the go-yaml 3 encoder behind Helm's `toYamlPretty`.
//!
//! ```text
//! bytes ─ reader ─ scanner ─ parser ─ nodes ─ decode ─ de ─> T
//!                                                ╲
//! T ─ ser ─ emitter ─> text                       ─> Value
//! ```
//!
//! Nothing but serde itself recurses into nested values: every stage works on flat lists, and every limit
//! of Go's (depth, aliases) is kept.
//!
//! ```
//! let value: std::collections::BTreeMap<String, u32> = pintle_goyaml::from_str(b"yes: 0x10")?;
//! assert_eq!(value["true"], 16);
//! assert_eq!(pintle_goyaml::to_string(&value)?, "\"true\": 16\n");
//! # Ok::<(), pintle_goyaml::Error>(())
//! ```

mod base64;
mod chars;
mod de;
mod decode;
mod documents;
mod emitter;
mod error;
mod gosyntax;
mod nodes;
pub mod number;
mod outline;
mod parser;
mod reader;
mod resolve;
mod scalar;
mod scalars;
mod scanner;
mod ser;
mod sorter;
mod tags;
#[cfg(test)]
mod tests;
mod token;
mod unicode;
mod value;

use serde::Serialize;
use serde::de::DeserializeOwned;

pub use crate::error::Error;
pub use crate::ser::Timestamp;
pub use crate::value::Value;

/// The deepest nesting that `encoding/json` reads.
const MAX_JSON_DEPTH: usize = 10_000;

/// Reads the first document of `text`, as `sigs.k8s.io/yaml.Unmarshal`.
///
/// # Errors
///
/// [`Error::Convert`] if the text is not YAML or has no JSON form, [`Error::Decode`] if it is not of the
/// wanted type.
///
/// # Compatibility
///
/// Numbers come as `i64` or `u64` if they are integers and fit, else as `f64`; Go's `interface{}` would hold
/// `float64` for all of them. A `String` takes numbers and booleans as text, and `null` is the zero value of
/// every type, both as in Go. Field names are compared as they are, where Go ignores case.
///
/// # Examples
///
/// ```
/// let ports: Vec<u16> = pintle_goyaml::from_str(b"[80, 0x1bb]")?;
/// assert_eq!(ports, [80, 443]);
/// let error = pintle_goyaml::from_str::<Vec<u16>>(b"a: b: c").unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "error converting YAML to JSON: yaml: mapping values are not allowed in this context"
/// );
/// # Ok::<(), pintle_goyaml::Error>(())
/// ```
pub fn from_str<T: DeserializeOwned>(text: &[u8]) -> Result<T, Error> {
    let source = reader::decode(text);
    let document = read(&source)?;
    T::deserialize(de::Deserializer::new(&document))
}

/// Reads the first document of `text` into a plain tree.
///
/// # Errors
///
/// As [`from_str`], but every document is of the wanted type.
///
/// # Examples
///
/// ```
/// use pintle_goyaml::{Value, parse};
///
/// assert_eq!(parse(b"[1, on, 1.5]")?, Value::Array(vec![Value::Int(1), Value::Bool(true), Value::Float(1.5)]));
/// # Ok::<(), pintle_goyaml::Error>(())
/// ```
pub fn parse(text: &[u8]) -> Result<Value, Error> {
    let source = reader::decode(text);
    outline::read(&source, |_| true).map_or_else(|| whole(&source), Ok)
}

/// Reads a text with the parser.
fn whole(source: &reader::Source<'_>) -> Result<Value, Error> {
    Ok(de::tree(read(source)?))
}

/// As [`parse`], but of a map only the entries whose keys are wanted: the rest is checked, and costs nothing more.
///
/// # Errors
///
/// As [`parse`].
///
/// # Examples
///
/// ```
/// use pintle_goyaml::{Value, parse_some};
///
/// let value = parse_some(b"{a: 1, b: {c: [2]}}", |key| key == "a")?;
/// assert_eq!(value, Value::Object([("a".to_owned(), Value::Int(1))].into()));
/// # Ok::<(), pintle_goyaml::Error>(())
/// ```
pub fn parse_some(text: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Value, Error> {
    let source = reader::decode(text);
    if let Some(value) = outline::read(&source, &wanted) {
        return Ok(value);
    }
    let document = read(&source)?;
    Ok(de::partial_tree(document, wanted))
}

/// Reads every document of `text`, split at lines that start with `---` as Helm v4
/// `pkg/chart/v2/loader/load.go:LoadValues` does.
///
/// # Errors
///
/// As [`parse`], and [`Error::Separator`] if something follows the `---` of a line.
///
/// # Examples
///
/// ```
/// assert_eq!(pintle_goyaml::parse_all(b"a: 1\n---\nb: 2\n")?.len(), 2);
/// # Ok::<(), pintle_goyaml::Error>(())
/// ```
pub fn parse_all(text: &[u8]) -> Result<Vec<Value>, Error> {
    documents::split(text)?.iter().map(|document| parse(document)).collect()
}

/// Writes `value` as `sigs.k8s.io/yaml.Marshal` does, with a line break at the end.
///
/// Bytes (`serialize_bytes`) stand for a Go string that need not be UTF-8.
///
/// # Errors
///
/// [`Error::Marshal`] if the value has no JSON form, and [`Error::Reread`] if YAML does not accept that form,
/// as for strings with a DEL character. Helm's `toYaml` turns both into an empty text.
///
/// # Examples
///
/// ```
/// assert_eq!(pintle_goyaml::to_string(&vec!["no", "1.0", "a: b"])?, "- \"no\"\n- \"1.0\"\n- 'a: b'\n");
/// # Ok::<(), pintle_goyaml::Error>(())
/// ```
pub fn to_string<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let tree = ser::Tree::new(value, ser::Form::Json)?;
    if !tree.is_odd() {
        return text(emitter::Emitter::write(&tree, emitter::V2));
    }
    let json = tree.to_json();
    let source = reader::decode(&json);
    let document = load(&source).map_err(|problem| Error::Reread(problem.to_string()))?;
    text(emitter::Emitter::write(&ser::Tree::from_document(&document), emitter::V2))
}

/// Writes `value` as the go-yaml 3 encoder with an indentation of two does, which is Helm's `toYamlPretty`.
///
/// # Errors
///
/// [`Error::Marshal`] if the value is a map with keys that no string can stand for.
///
/// # Examples
///
/// ```
/// let value = std::collections::BTreeMap::from([("a", [1e6])]);
/// assert_eq!(pintle_goyaml::to_string_pretty(&value)?, "a:\n  - 1e+06\n");
/// # Ok::<(), pintle_goyaml::Error>(())
/// ```
pub fn to_string_pretty<T: Serialize + ?Sized>(value: &T) -> Result<String, Error> {
    let tree = ser::Tree::new(value, ser::Form::Plain)?;
    text(emitter::Emitter::write(&tree, emitter::V3))
}

/// Makes a string of what the emitter wrote, which is text because all of its input was.
fn text(bytes: Vec<u8>) -> Result<String, Error> {
    String::from_utf8(bytes).map_err(|error| Error::Marshal(error.to_string()))
}

/// Decodes the first document, as go-yaml does.
fn load<'a>(source: &'a reader::Source<'a>) -> Result<decode::Document<'a>, token::Problem> {
    let nodes = nodes::compose(&mut parser::Parser::new(scanner::Scanner::new(source))?)?;
    decode::decode(&nodes)
}

/// Decodes the first document, and refuses what JSON cannot say.
fn read<'a>(source: &'a reader::Source<'a>) -> Result<decode::Document<'a>, Error> {
    let document = load(source).map_err(|problem| Error::Convert(problem.to_string()))?;
    if document.bad_key.is_some() {
        return Err(Error::Convert(unsupported_key(source)));
    }
    if document.not_finite || document.depth > MAX_JSON_DEPTH {
        document.check_json()?;
    }
    Ok(document)
}

/// Words the refusal of a key; for that the document is decoded again, with the types of its keys.
fn unsupported_key(source: &reader::Source<'_>) -> String {
    let typed = || {
        let nodes = nodes::compose(&mut parser::Parser::new(scanner::Scanner::new(source))?)?;
        decode::decode_typed(&nodes)
    };
    match typed() {
        Err(problem) => problem.to_string(),
        Ok(document) => {
            let Some(entry) = document.bad_key else {
                return "unsupported map key".to_owned();
            };
            let kind = match document.items.get(entry.key) {
                Some(decode::Item::Uint(_)) => "uint64",
                _ => "%!s(<nil>)",
            };
            let (key, value) =
                (gosyntax::print(&document, entry.key), gosyntax::print(&document, entry.item));
            format!("unsupported map key of type: {kind}, key: {key}, value: {value}")
        }
    }
}

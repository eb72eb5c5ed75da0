//! What can go wrong, in Go's words.
//!
//! The texts are a contract: templates store them under the key `Error`, and `helm` prints them. None of
//! them is decorated here.

use std::fmt;

/// An error of reading or writing YAML, displayed as the Go libraries display theirs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The text is no YAML, or YAML that has no JSON form.
    #[error("error converting YAML to JSON: {0}")]
    Convert(String),

    /// The document is fine, but not of the wanted type.
    #[error("error unmarshaling JSON: while decoding JSON: {0}")]
    Decode(String),

    /// The value has no JSON form.
    #[error("error marshaling into JSON: {0}")]
    Marshal(String),

    /// The JSON form of the value cannot be read back as YAML.
    #[error("{0}")]
    Reread(String),

    /// A line starts with `---` and goes on with something that is no comment.
    #[error("invalid Yaml document separator: {0}")]
    Separator(String),
}

impl serde::ser::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Marshal(message.to_string())
    }
}

impl serde::de::Error for Error {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self::Decode(message.to_string())
    }

    /// Words a mismatch as `encoding/json` does; `expected` should name a Go type.
    fn invalid_type(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::Decode(format!("json: cannot unmarshal {} into Go value of type {expected}", json_kind(&found)))
    }

    fn invalid_value(found: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        // Go: a number that does not fit is quoted after the word, other values are not.
        let kind = match found {
            serde::de::Unexpected::Signed(n) => format!("number {n}"),
            serde::de::Unexpected::Unsigned(n) => format!("number {n}"),
            serde::de::Unexpected::Float(n) => format!("number {}", crate::number::format_float_json(n)),
            other => json_kind(&other).to_owned(),
        };
        Self::Decode(format!("json: cannot unmarshal {kind} into Go value of type {expected}"))
    }
}

/// Gives Go's word for what was found.
fn json_kind(found: &serde::de::Unexpected<'_>) -> &'static str {
    use serde::de::Unexpected as U;
    match found {
        U::Bool(_) => "bool",
        U::Unsigned(_) | U::Signed(_) | U::Float(_) => "number",
        U::Char(_) | U::Str(_) | U::Bytes(_) => "string",
        U::Unit | U::Option => "null",
        U::Seq | U::TupleVariant => "array",
        _ => "object",
    }
}

//! JSON as Go's `encoding/json` writes and reads it, error texts included.
//!
//! [`encode`] and [`decode`] are public: Helm's own `toJson`, `fromJson` and `toYaml` are built on them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pintle_gotemplate::{ElemType, Entries, FuncError, Limit, Str, Value};

use crate::args::Args;
use crate::go::{self, Outcome, failure};
use crate::{limit, unicode};

/// How to write JSON.
#[derive(Clone, Copy, Debug, Default)]
pub struct Style {
    /// Write `<`, `>` and `&` as escapes.
    pub escape_html: bool,
    /// One element a line, indented by two blanks a level.
    pub pretty: bool,
}

impl Style {
    /// `json.Marshal`.
    pub const COMPACT: Self = Self { escape_html: true, pretty: false };
    /// `json.MarshalIndent(v, "", "  ")`.
    pub const PRETTY: Self = Self { escape_html: true, pretty: true };
    /// An encoder with `SetEscapeHTML(false)`.
    pub const RAW: Self = Self { escape_html: false, pretty: false };
}

/// Writes `value` as JSON.
///
/// # Errors
///
/// [`FuncError::Message`] with Go's text for what has no JSON: NaN, complex numbers, functions, maps within themselves.
pub fn encode(value: &Value, style: Style) -> Result<String, FuncError> {
    let mut encoder = Encoder { out: String::new(), style, ancestors: Vec::new() };
    encoder.value(value)?;
    Ok(encoder.out)
}

/// From this depth on Go looks for cycles, and we refuse.
const MAX_DEPTH: usize = 1000;

struct Encoder {
    out: String,
    style: Style,
    /// The addresses of the maps and lists around the current value.
    ancestors: Vec<*const ()>,
}

impl Encoder {
    fn value(&mut self, value: &Value) -> Result<(), FuncError> {
        match value {
            Value::Nil => self.out.push_str("null"),
            Value::Bool(b) => self.out.push_str(if *b { "true" } else { "false" }),
            Value::Int(n, kind) if kind.is_unsigned() => self.out.push_str(&n.cast_unsigned().to_string()),
            Value::Int(n, _) => self.out.push_str(&n.to_string()),
            Value::Float(n) => self.out.push_str(&number(*n)?),
            Value::Complex(..) => return Err(failure("json: unsupported type: complex128")),
            Value::String(text) => self.string(text.as_bytes()),
            Value::List(list) if list.elem == ElemType::Byte => {
                self.string(STANDARD.encode(list.to_bytes()).as_bytes());
            }
            Value::List(list) => {
                self.enter(std::rc::Rc::as_ptr(&list.items).cast(), || list.elem.slice_name().to_owned())?;
                self.out.push('[');
                for (i, item) in list.items.iter().enumerate() {
                    self.separate(i);
                    self.value(item)?;
                }
                self.leave(']', list.items.is_empty());
            }
            Value::Map(map) => {
                self.enter(std::rc::Rc::as_ptr(&map.entries).cast(), || map.ty.name().to_owned())?;
                self.out.push('{');
                let entries = map.snapshot();
                for (i, (key, value)) in entries.iter().enumerate() {
                    self.separate(i);
                    self.string(key.as_bytes());
                    self.out.push_str(if self.style.pretty { ": " } else { ":" });
                    self.value(value)?;
                }
                self.leave('}', entries.is_empty());
            }
            Value::Object(object) => match (object.to_json(), object.to_plain()) {
                (Some(json), _) => self.json(&json),
                (_, Some(Value::Object(_)) | None) => {
                    return Err(failure(format!("json: unsupported type: {}", object.type_name())));
                }
                (_, Some(plain)) => self.value(&plain)?,
            },
        }
        limit::bytes(self.out.len())
    }

    /// Writes what is compact JSON already; the characters that Go escapes for HTML stand in strings only.
    fn json(&mut self, text: &str) {
        let mut depth = self.ancestors.len();
        let (mut in_string, mut escaped) = (false, false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '<' | '>' | '&' if self.style.escape_html => {
                    self.out.push_str(&format!("\\u{:04x}", u32::from(c)));
                }
                '\u{2028}' | '\u{2029}' => self.out.push_str(&format!("\\u{:04x}", u32::from(c))),
                '[' | '{' if self.style.pretty && !in_string => {
                    self.out.push(c);
                    depth += 1;
                    if !matches!(chars.peek(), Some(']' | '}')) {
                        self.line_at(depth);
                    }
                }
                ']' | '}' if self.style.pretty && !in_string => {
                    depth = depth.saturating_sub(1);
                    if !self.out.ends_with(['[', '{']) {
                        self.line_at(depth);
                    }
                    self.out.push(c);
                }
                ',' if self.style.pretty && !in_string => {
                    self.out.push(c);
                    self.line_at(depth);
                }
                ':' if self.style.pretty && !in_string => self.out.push_str(": "),
                c => self.out.push(c),
            }
            in_string = if c == '"' && !escaped { !in_string } else { in_string };
            escaped = c == '\\' && !escaped;
        }
    }

    fn enter(&mut self, address: *const (), name: impl FnOnce() -> String) -> Result<(), FuncError> {
        if self.ancestors.len() >= MAX_DEPTH {
            if self.ancestors.contains(&address) {
                let name = name();
                return Err(failure(format!("json: unsupported value: encountered a cycle via {name}")));
            }
            return Err(FuncError::Limit(Limit::Depth));
        }
        self.ancestors.push(address);
        Ok(())
    }

    fn separate(&mut self, i: usize) {
        if i > 0 {
            self.out.push(',');
        }
        self.line();
    }

    fn leave(&mut self, close: char, empty: bool) {
        self.ancestors.pop();
        if !empty {
            self.line();
        }
        self.out.push(close);
    }

    fn line(&mut self) {
        self.line_at(self.ancestors.len());
    }

    fn line_at(&mut self, depth: usize) {
        if self.style.pretty {
            self.out.push('\n');
            self.out.extend(std::iter::repeat_n("  ", depth));
        }
    }

    fn string(&mut self, text: &[u8]) {
        use std::fmt::Write as _;
        self.out.push('"');
        for rune in unicode::runes(text) {
            match rune.char {
                '"' => self.out.push_str("\\\""),
                '\\' => self.out.push_str("\\\\"),
                '\u{8}' => self.out.push_str("\\b"),
                '\u{c}' => self.out.push_str("\\f"),
                '\n' => self.out.push_str("\\n"),
                '\r' => self.out.push_str("\\r"),
                '\t' => self.out.push_str("\\t"),
                // Go: JavaScript's line separators are always escaped.
                c @ ('\0'..='\x1f' | '\u{2028}' | '\u{2029}') => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                c @ ('<' | '>' | '&') if self.style.escape_html => {
                    let _ = write!(self.out, "\\u{:04x}", u32::from(c));
                }
                _ if rune.is_invalid() => self.out.push_str("\\ufffd"),
                c => self.out.push(c),
            }
        }
        self.out.push('"');
    }
}

/// A float as ES6 writes it.
fn number(n: f64) -> Result<String, FuncError> {
    if !n.is_finite() {
        let shown = if n.is_nan() {
            "NaN"
        } else if n > 0.0 {
            "+Inf"
        } else {
            "-Inf"
        };
        return Err(failure(format!("json: unsupported value: {shown}")));
    }
    let magnitude = n.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) {
        // Rust writes 1e21 and 1e-7; Go puts the sign of a positive exponent.
        let text = format!("{n:e}");
        return Ok(if text.contains("e-") { text } else { text.replace('e', "e+") });
    }
    Ok(format!("{n}"))
}

/// What the JSON is read into, which decides what is an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// `interface {}`.
    Any,
    /// `map[string]interface {}`.
    Map,
    /// `[]interface {}`.
    List,
}

/// Reads JSON as `json.Unmarshal`: numbers are floats, `null` is nil, the last of equal keys wins.
///
/// The error comes beside the value, because Go keeps what it could read: a number out of range is nil and an error.
pub fn decode(text: &[u8], target: Target) -> (Value, Option<String>) {
    let mut decoder = Decoder { text, at: 0, refused: None };
    let value = match decoder.document() {
        Ok(value) => value,
        Err(error) => return (Value::Nil, Some(error)),
    };
    let (wanted, fits) = match target {
        Target::Any => ("interface {}", true),
        Target::Map => ("map[string]interface {}", matches!(value, Value::Map(_) | Value::Nil)),
        Target::List => ("[]interface {}", matches!(value, Value::List(_) | Value::Nil)),
    };
    if fits {
        return (value, decoder.refused);
    }
    let found = match value {
        Value::Map(_) => "object",
        Value::List(_) => "array",
        Value::String(_) => "string",
        Value::Bool(_) => "bool",
        _ => "number",
    };
    (Value::Nil, Some(format!("json: cannot unmarshal {found} into Go value of type {wanted}")))
}

/// How deep Go lets JSON be nested.
const MAX_NESTING: usize = 10_000;

enum Frame {
    List(Vec<Value>),
    Map(Entries, Str),
}

struct Decoder<'a> {
    text: &'a [u8],
    at: usize,
    /// The first value that does not fit its Go type.
    refused: Option<String>,
}

impl Decoder<'_> {
    /// The next byte; at the end a blank, as Go's scanner is told there.
    fn peek(&self) -> u8 {
        self.text.get(self.at).copied().unwrap_or(b' ')
    }

    fn blank(&mut self) {
        while matches!(self.text.get(self.at), Some(b' ' | b'\t' | b'\r' | b'\n')) {
            self.at += 1;
        }
    }

    /// The error for the next byte.
    fn invalid(&self, context: &str) -> String {
        let c = match self.peek() {
            b'\'' => r"'\''".to_owned(),
            b'"' => "'\"'".to_owned(),
            byte => {
                let quoted = go::quote((byte as char).encode_utf8(&mut [0; 4]).as_bytes());
                let inner = quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default();
                format!("'{}'", String::from_utf8_lossy(inner))
            }
        };
        format!("invalid character {c} {context}")
    }

    /// The same, unless the text has ended between two tokens.
    fn unexpected(&self, context: &str) -> String {
        if self.at >= self.text.len() {
            return "unexpected end of JSON input".to_owned();
        }
        self.invalid(context)
    }

    fn document(&mut self) -> Result<Value, String> {
        let mut stack: Vec<Frame> = Vec::new();
        // Not recursive: the nesting that Go allows is more than a thread's stack holds.
        loop {
            self.blank();
            let mut value = match self.peek() {
                b'{' => {
                    self.open(&stack)?;
                    if self.peek() == b'}' && self.at < self.text.len() {
                        self.at += 1;
                        Value::map(Entries::new())
                    } else {
                        let key = self.key()?;
                        stack.push(Frame::Map(Entries::new(), key));
                        continue;
                    }
                }
                b'[' => {
                    self.open(&stack)?;
                    if self.peek() == b']' && self.at < self.text.len() {
                        self.at += 1;
                        Value::list(Vec::new())
                    } else {
                        stack.push(Frame::List(Vec::new()));
                        continue;
                    }
                }
                b'"' => Value::String(self.string()?),
                b't' => self.literal("true", Value::Bool(true))?,
                b'f' => self.literal("false", Value::Bool(false))?,
                b'n' => self.literal("null", Value::Nil)?,
                b'-' | b'0'..=b'9' => self.number()?,
                _ => return Err(self.unexpected("looking for beginning of value")),
            };
            // Puts the value where it belongs and closes what it ends.
            loop {
                self.blank();
                let Some(frame) = stack.pop() else {
                    if self.at < self.text.len() {
                        return Err(self.invalid("after top-level value"));
                    }
                    return Ok(value);
                };
                let next = self.peek();
                match frame {
                    Frame::List(mut items) => {
                        items.push(value);
                        match next {
                            b',' => {
                                self.at += 1;
                                stack.push(Frame::List(items));
                                break;
                            }
                            b']' => value = Value::list(items),
                            _ => return Err(self.unexpected("after array element")),
                        }
                    }
                    Frame::Map(mut entries, key) => {
                        entries.insert(key, value);
                        match next {
                            b',' => {
                                self.at += 1;
                                self.blank();
                                let key = self.key()?;
                                stack.push(Frame::Map(entries, key));
                                break;
                            }
                            b'}' => value = Value::map(entries),
                            _ => return Err(self.unexpected("after object key:value pair")),
                        }
                    }
                }
                self.at += 1;
            }
        }
    }

    fn open(&mut self, stack: &[Frame]) -> Result<(), String> {
        if stack.len() >= MAX_NESTING {
            return Err(self.invalid("exceeded max depth"));
        }
        self.at += 1;
        self.blank();
        Ok(())
    }

    fn key(&mut self) -> Result<Str, String> {
        if self.peek() != b'"' {
            return Err(self.unexpected("looking for beginning of object key string"));
        }
        let key = self.string()?;
        self.blank();
        if self.peek() != b':' {
            return Err(self.unexpected("after object key"));
        }
        self.at += 1;
        Ok(key)
    }

    fn literal(&mut self, word: &str, value: Value) -> Result<Value, String> {
        for expected in word.bytes() {
            if self.peek() != expected {
                return Err(self.invalid(&format!("in literal {word} (expecting '{}')", expected as char)));
            }
            self.at += 1;
        }
        Ok(value)
    }

    fn digits(&mut self, context: &str) -> Result<(), String> {
        if !self.peek().is_ascii_digit() {
            return Err(self.invalid(context));
        }
        while self.peek().is_ascii_digit() {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self) -> Result<Value, String> {
        let start = self.at;
        if self.peek() == b'-' {
            self.at += 1;
        }
        if self.peek() == b'0' {
            self.at += 1;
        } else {
            self.digits("in numeric literal")?;
        }
        if self.peek() == b'.' {
            self.at += 1;
            self.digits("after decimal point in numeric literal")?;
        }
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.peek(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits("in exponent of numeric literal")?;
        }
        let text = String::from_utf8_lossy(self.text.get(start..self.at).unwrap_or_default());
        match text.parse::<f64>() {
            Ok(n) if n.is_finite() => Ok(Value::Float(n)),
            _ => {
                let error = || format!("json: cannot unmarshal number {text} into Go value of type float64");
                self.refused.get_or_insert_with(error);
                Ok(Value::Nil)
            }
        }
    }

    fn string(&mut self) -> Result<Str, String> {
        self.at += 1;
        let mut out = Vec::new();
        loop {
            let Some(&c) = self.text.get(self.at) else {
                return Err("unexpected end of JSON input".to_owned());
            };
            match c {
                b'"' => {
                    self.at += 1;
                    return Ok(out.into());
                }
                b'\\' => {
                    self.at += 1;
                    let c = self.escape()?;
                    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0..=0x1f => return Err(self.invalid("in string literal")),
                _ => {
                    let rest = self.text.get(self.at..).unwrap_or_default();
                    if let Some(rune) = unicode::decode(rest) {
                        out.extend_from_slice(rune.char.encode_utf8(&mut [0; 4]).as_bytes());
                        self.at += rune.width;
                    }
                }
            }
        }
    }

    fn escape(&mut self) -> Result<char, String> {
        let c = match self.peek() {
            c @ (b'"' | b'\\' | b'/') => c as char,
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                self.at += 1;
                return self.unit();
            }
            _ => return Err(self.invalid("in string escape code")),
        };
        self.at += 1;
        Ok(c)
    }

    /// A `\u` escape, with its second half if it is a surrogate.
    fn unit(&mut self) -> Result<char, String> {
        let first = self.hex()?;
        if let Some(c) = char::from_u32(first) {
            return Ok(c);
        }
        let before = self.at;
        if first < 0xdc00 && self.text.get(before..).is_some_and(|rest| rest.starts_with(b"\\u")) {
            self.at += 2;
            let second = self.hex()?;
            if (0xdc00..0xe000).contains(&second) {
                let scalar = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(scalar).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            // Not a pair: the second one stands for itself.
            self.at = before;
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn hex(&mut self) -> Result<u32, String> {
        let mut n = 0;
        for _ in 0..4 {
            let context = "in \\u hexadecimal character escape";
            let digit = (self.peek() as char).to_digit(16).ok_or_else(|| self.invalid(context))?;
            n = n << 4 | digit;
            self.at += 1;
        }
        Ok(n)
    }
}

/// `toJson VALUE`: what has no JSON gives "".
pub(crate) fn to_json(args: &[Value]) -> Outcome {
    lenient(args, Style::COMPACT)
}

/// `mustToJson VALUE`.
pub(crate) fn must_to_json(args: &[Value]) -> Outcome {
    Ok(encode(args.value(0), Style::COMPACT)?.into())
}

/// `toPrettyJson VALUE`: what has no JSON gives "".
pub(crate) fn to_pretty_json(args: &[Value]) -> Outcome {
    lenient(args, Style::PRETTY)
}

/// `mustToPrettyJson VALUE`.
pub(crate) fn must_to_pretty_json(args: &[Value]) -> Outcome {
    Ok(encode(args.value(0), Style::PRETTY)?.into())
}

/// `toRawJson VALUE`, `mustToRawJson VALUE`: `toRawJson` panics with the same text.
pub(crate) fn to_raw_json(args: &[Value]) -> Outcome {
    Ok(encode(args.value(0), Style::RAW)?.into())
}

fn lenient(args: &[Value], style: Style) -> Outcome {
    match encode(args.value(0), style) {
        Ok(text) => Ok(text.into()),
        Err(FuncError::Message(_)) => Ok("".into()),
        Err(error) => Err(error),
    }
}

/// `fromJson TEXT`, as sprig has it; Helm puts its own in place.
pub(crate) fn from_json(args: &[Value]) -> Outcome {
    Ok(decode(args.bytes(0), Target::Any).0)
}

/// `mustFromJson TEXT`.
pub(crate) fn must_from_json(args: &[Value]) -> Outcome {
    match decode(args.bytes(0), Target::Any) {
        (_, Some(error)) => Err(failure(error)),
        (value, None) => Ok(value),
    }
}

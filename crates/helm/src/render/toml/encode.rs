//! Values to TOML.
//!
//! # Compatibility
//! As BurntSushi's `encode.go`: keys sorted, plain entries before tables, tables indented, nil left out.

use pintle_gotemplate::{Map, Object, Value};

use crate::decode::go_float;

/// Deeper values are taken for maps within themselves.
const MAX_DEPTH: usize = 500;

/// Writes a value; the error is Go's text, which Helm's `toToml` returns as its result.
pub(in crate::render) fn encode(value: &Value) -> Result<String, String> {
    let mut encoder = Encoder { out: String::new() };
    encoder.encode(&mut Vec::new(), value)?;
    Ok(encoder.out)
}

struct Encoder {
    out: String,
}

const TIME: &str = "time.Time";

type Key = Vec<String>;

impl Encoder {
    fn encode(&mut self, key: &mut Key, value: &Value) -> Result<(), String> {
        if key.len() > MAX_DEPTH {
            return Err("toml: values are nested too deep".to_owned());
        }
        match value {
            Value::Map(map) => self.table(key, map),
            Value::Object(object) if scalar(&**object).is_none() => {
                match object.nil_of().or_else(|| object.to_plain()) {
                    Some(plain) => self.encode(key, &plain),
                    None => Err(format!("unsupported type for key '{}': {}", key.join("."), object.kind())),
                }
            }
            Value::List(list) if is_table_array(&list.items)? => {
                if key.is_empty() {
                    return Err("toml: top-level values must be Go maps or structs".to_owned());
                }
                for item in list.items.iter() {
                    self.blank_line();
                    self.line(key, &format!("[[{}]]", quoted_path(key)));
                    if let Value::Map(map) = item {
                        self.entries(key, map)?;
                    }
                }
                Ok(())
            }
            value => {
                let indent = "  ".repeat(key.len().saturating_sub(1));
                let Some(name) = key.last() else { return self.element(value, 0) };
                self.out.push_str(&format!("{indent}{} = ", quoted(name)));
                self.element(value, 0)?;
                self.out.push('\n');
                Ok(())
            }
        }
    }

    fn table(&mut self, key: &mut Key, map: &Map) -> Result<(), String> {
        if key.len() == 1 {
            self.blank_line();
        }
        if !key.is_empty() {
            self.line(key, &format!("[{}]", quoted_path(key)));
        }
        self.entries(key, map)
    }

    fn entries(&mut self, key: &mut Key, map: &Map) -> Result<(), String> {
        let entries = map.snapshot();
        for tables in [false, true] {
            for (name, value) in &entries {
                if is_table(value)? == tables && !value.is_null() {
                    key.push(name.to_string_lossy().into_owned());
                    self.encode(key, value)?;
                    key.pop();
                }
            }
        }
        Ok(())
    }

    fn element(&mut self, value: &Value, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err("toml: values are nested too deep".to_owned());
        }
        match value {
            Value::Nil => return Err("toml: cannot encode array with nil element".to_owned()),
            Value::Bool(value) => self.out.push_str(if *value { "true" } else { "false" }),
            Value::Int(number, kind) if kind.is_unsigned() => {
                self.out.push_str(&number.cast_unsigned().to_string());
            }
            Value::Int(number, _) => self.out.push_str(&number.to_string()),
            Value::Float(number) => self.out.push_str(&float(*number)),
            Value::Complex(..) => return Err("unsupported type: complex128".to_owned()),
            Value::String(text) => quote_into(&mut self.out, &text.to_string_lossy()),
            Value::List(list) => {
                self.out.push('[');
                for (i, item) in list.items.iter().enumerate() {
                    if i > 0 {
                        self.out.push_str(", ");
                    }
                    self.element(item, depth + 1)?;
                }
                self.out.push(']');
            }
            Value::Map(map) => self.inline(map, depth)?,
            Value::Object(object) => match scalar(&**object).or_else(|| object.to_plain()) {
                Some(Value::String(text)) if object.type_name() == TIME => {
                    self.out.push_str(&text.to_string_lossy());
                }
                Some(plain) => self.element(&plain, depth + 1)?,
                None => return Err(format!("unsupported type: {}", object.kind())),
            },
        }
        Ok(())
    }

    fn inline(&mut self, map: &Map, depth: usize) -> Result<(), String> {
        let entries = map.snapshot();
        let mut sorted: Vec<_> = Vec::new();
        for tables in [false, true] {
            for (name, value) in &entries {
                if is_table(value)? == tables {
                    sorted.push((name, value));
                }
            }
        }
        self.out.push('{');
        let last = sorted.len().saturating_sub(1);
        for (i, (name, value)) in sorted.into_iter().enumerate().filter(|(_, (_, value))| !value.is_null()) {
            self.out.push_str(&format!("{} = ", quoted(&name.to_string_lossy())));
            self.element(value, depth + 1)?;
            if i != last {
                self.out.push_str(", ");
            }
        }
        self.out.push('}');
        Ok(())
    }

    fn line(&mut self, key: &Key, text: &str) {
        self.out.push_str(&"  ".repeat(key.len().saturating_sub(1)));
        self.out.push_str(text);
        self.out.push('\n');
    }

    fn blank_line(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }
}

/// Objects that TOML has a form of its own for: times, which need no quotes, and durations, which are texts.
fn scalar(object: &dyn Object) -> Option<Value> {
    match object.type_name() {
        TIME => object.to_plain(),
        "time.Duration" => Some(object.print().into()),
        _ => None,
    }
}

fn is_table(value: &Value) -> Result<bool, String> {
    match value {
        Value::Map(_) => Ok(true),
        Value::List(list) => is_table_array(&list.items),
        _ => Ok(false),
    }
}

fn is_table_array(items: &[Value]) -> Result<bool, String> {
    if items.iter().any(Value::is_null) {
        return Err("toml: cannot encode array with nil element".to_owned());
    }
    Ok(!items.is_empty() && items.iter().all(|item| matches!(item, Value::Map(_))))
}

fn float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+inf" } else { "-inf" }.to_owned();
    }
    let text = go_float(number);
    if text.contains(['e', '.']) { text } else { format!("{text}.0") }
}

fn quoted_path(key: &Key) -> String {
    key.iter().map(|name| quoted(name)).collect::<Vec<_>>().join(".")
}

fn quoted(name: &str) -> String {
    if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-')) {
        return name.to_owned();
    }
    let mut text = String::new();
    quote_into(&mut text, name);
    text
}

fn quote_into(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            c if u32::from(c) < 0x20 || c == '\u{7f}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

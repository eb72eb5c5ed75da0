//! The grammar of `--set` and its relatives: `a.b[0].c=x,d={1,2}`.
//!
//! # Compatibility
//! A port of Helm v4 `pkg/strvals`: same values, same errors, same quirks. The limits on indices and nesting are
//! Helm's too (CVE-2022-36055, CVE-2022-23524). There are two more, on lists, because what a user writes reaches the
//! operator, too: the content that a `targetPath` puts into the values is such an argument.

use std::collections::BTreeMap;

use pintle_goyaml::Value;

use super::{Error, Values, merge_into, normalise};
use crate::Compat;

const MAX_INDEX: i64 = 65_536;
const MAX_NESTING: usize = 30;
/// How many lists may lie within each other. Helm knows no limit but its memory.
const MAX_LISTS: usize = 100;
/// How many items the indices of an argument may add to lists: sixty characters can ask for millions. Helm knows no limit
/// here, either.
const MAX_ADDED: usize = 4 * 65_536 + 4;

/// Reads the file that a `--set-file` argument names.
pub type ReadFile<'r> = &'r dyn Fn(&str) -> Result<String, String>;

/// How the text after `=` is read.
#[derive(Clone, Copy)]
enum Mode<'r> {
    /// `--set`.
    Typed,
    /// `--set-string`.
    Text,
    /// `--set-json`.
    Json,
    /// `--set-file`.
    File(ReadFile<'r>),
    /// `--set-literal`.
    Literal,
}

/// Applies one `--set` argument.
///
/// # Errors
/// The argument is malformed, or sets a path below something that is no map or list.
///
/// # Examples
/// ```
/// use pintle_helm::values::{Values, strvals};
/// let mut values = Values::default();
/// strvals::set(&mut values, "a.b[1]=2,c={x,true}")?;
/// assert_eq!(values.to_json().to_string(), r#"{"a":{"b":[null,2]},"c":["x",true]}"#);
/// # Ok::<(), pintle_helm::values::Error>(())
/// ```
pub fn set(values: &mut Values, argument: &str) -> Result<(), Error> {
    set_as(values, argument, Compat::V4)
}

/// As [`set`], after the Helm that is asked for: Helm 3 refuses an index that is not closed.
pub(crate) fn set_as(values: &mut Values, argument: &str, compat: Compat) -> Result<(), Error> {
    parse(values, argument, Mode::Typed, "failed parsing --set data", compat)
}

/// Applies one `--set-string` argument: every value is a text.
///
/// # Errors
/// As [`set`].
pub fn set_string(values: &mut Values, argument: &str) -> Result<(), Error> {
    set_string_as(values, argument, Compat::V4)
}

/// As [`set_string`], after the Helm that is asked for.
pub(crate) fn set_string_as(values: &mut Values, argument: &str, compat: Compat) -> Result<(), Error> {
    parse(values, argument, Mode::Text, "failed parsing --set-string data", compat)
}

/// Applies one `--set-file` argument: every value is the text of a file.
///
/// # Errors
/// As [`set`], and what `read` says.
pub fn set_file(values: &mut Values, argument: &str, read: ReadFile<'_>) -> Result<(), Error> {
    set_file_as(values, argument, read, Compat::V4)
}

/// As [`set_file`], after the Helm that is asked for.
pub(crate) fn set_file_as(
    values: &mut Values,
    argument: &str,
    read: ReadFile<'_>,
    compat: Compat,
) -> Result<(), Error> {
    parse(values, argument, Mode::File(read), "failed parsing --set-file data", compat)
}

/// Applies one `--set-literal` argument: the value is the rest of the argument as it is.
///
/// # Errors
/// As [`set`].
pub fn set_literal(values: &mut Values, argument: &str) -> Result<(), Error> {
    set_literal_as(values, argument, Compat::V4)
}

/// As [`set_literal`], after the Helm that is asked for.
pub(crate) fn set_literal_as(values: &mut Values, argument: &str, compat: Compat) -> Result<(), Error> {
    parse(values, argument, Mode::Literal, "failed parsing --set-literal data", compat)
}

/// Applies one `--set-json` argument: `key=JSON,…`, or one JSON object.
///
/// # Errors
/// As [`set`]; the text repeats the argument only.
pub fn set_json(values: &mut Values, argument: &str) -> Result<(), Error> {
    set_json_as(values, argument, Compat::V4)
}

/// As [`set_json`], after the Helm that is asked for: Helm 3 knows no object without a key.
pub(crate) fn set_json_as(values: &mut Values, argument: &str, compat: Compat) -> Result<(), Error> {
    let trimmed = argument.trim();
    if trimmed.starts_with('{') && compat == Compat::V4 {
        let error = || Error::Strvals(format!("failed parsing --set-json data JSON: {argument}"));
        let json: serde_json::Value = serde_json::from_str(trimmed).map_err(|_| error())?;
        merge_into(&mut values.0, Values::from_json(&json)?.0);
        return Ok(());
    }
    let mut parser = Parser::new(argument, Mode::Json, compat);
    match parser.run(&mut values.0) {
        Ok(()) => Ok(()),
        Err(_) => Err(Error::Strvals(format!("failed parsing --set-json data {argument}"))),
    }
}

fn parse(
    values: &mut Values,
    argument: &str,
    mode: Mode<'_>,
    doing: &str,
    compat: Compat,
) -> Result<(), Error> {
    let mut parser = Parser::new(argument, mode, compat);
    parser.run(&mut values.0).map_err(|message| Error::Strvals(format!("{doing}: {message}")))
}

/// How a step ends without a value.
enum Stop {
    /// The argument ended: Go's `io.EOF`, which ends the parse without an error.
    End,
    /// An error.
    Error(String),
}

type Step<T = ()> = Result<T, Stop>;

struct Parser<'a, 'r> {
    rest: &'a str,
    mode: Mode<'r>,
    compat: Compat,
    /// How many lists the one that is being set lies in.
    lists: usize,
    /// How many items indices have added.
    added: usize,
}

impl<'a, 'r> Parser<'a, 'r> {
    fn new(rest: &'a str, mode: Mode<'r>, compat: Compat) -> Self {
        Self { rest, mode, compat, lists: 0, added: 0 }
    }

    fn run(&mut self, values: &mut BTreeMap<String, Value>) -> Result<(), String> {
        loop {
            match self.key(values, 0) {
                Ok(()) => {}
                Err(Stop::End) => return Ok(()),
                Err(Stop::Error(message)) => return Err(message),
            }
        }
    }

    fn next(&mut self) -> Option<char> {
        let mut chars = self.rest.chars();
        let c = chars.next()?;
        self.rest = chars.as_str();
        Some(c)
    }

    /// Takes text up to one of `stops`, which is taken too; no stop when the argument ends first.
    fn until(&mut self, stops: &[char]) -> (String, Option<char>) {
        let mut text = String::new();
        while let Some(c) = self.next() {
            if stops.contains(&c) {
                return (text, Some(c));
            }
            if c == '\\' && !matches!(self.mode, Mode::Literal) {
                match self.next() {
                    Some(escaped) => text.push(escaped),
                    None => return (text, None),
                }
            } else {
                text.push(c);
            }
        }
        (text, None)
    }

    fn key(&mut self, data: &mut BTreeMap<String, Value>, nesting: usize) -> Step {
        let stops: &[char] =
            if matches!(self.mode, Mode::Literal) { &['=', '[', '.'] } else { &['=', '[', ',', '.'] };
        let (key, stop) = self.until(stops);
        match stop {
            None if key.is_empty() => Err(Stop::End),
            None => Err(Stop::Error(format!("key {key:?} has no value"))),
            Some('[') => {
                let index = self.index()?;
                let existed = data.contains_key(&key);
                let mut list = match data.get_mut(&key) {
                    None => Vec::new(),
                    Some(Value::Array(list)) => std::mem::take(list),
                    Some(other) => return Err(conversion(other, "[]interface {}")),
                };
                let result = self.list_item(&mut list, index, nesting);
                if existed || !key.is_empty() {
                    data.insert(key, Value::Array(list));
                }
                result
            }
            Some('=') => self.assignment(data, key),
            Some(',') => {
                let error = Stop::Error(format!("key {key:?} has no value (cannot end with ,)"));
                store(data, key, Value::String(String::new()));
                Err(error)
            }
            Some(_) => {
                let nesting = nesting + 1;
                if nesting > MAX_NESTING {
                    return Err(Stop::Error(format!(
                        "value name nested level is greater than maximum supported nested level of {MAX_NESTING}"
                    )));
                }
                let existed = data.contains_key(&key);
                let mut inner = match data.get_mut(&key) {
                    None => BTreeMap::new(),
                    Some(Value::Object(inner)) => std::mem::take(inner),
                    Some(other) => return Err(conversion(other, "map[string]interface {}")),
                };
                let result = self.key(&mut inner, nesting);
                if result.is_ok() && inner.is_empty() {
                    return Err(Stop::Error(format!("key map {key:?} has no value")));
                }
                if existed || !(inner.is_empty() || key.is_empty()) {
                    data.insert(key, Value::Object(inner));
                }
                result
            }
        }
    }

    fn assignment(&mut self, data: &mut BTreeMap<String, Value>, key: String) -> Step {
        match self.mode {
            Mode::Literal => {
                let (text, _) = self.until(&[]);
                store(data, key, Value::String(text));
                Ok(())
            }
            Mode::Json => {
                if self.empty_value() {
                    store(data, key, Value::Null);
                    return Ok(());
                }
                let value = self.json()?;
                store(data, key, value);
                self.empty_value();
                Ok(())
            }
            _ => {
                if self.rest.is_empty() {
                    store(data, key, Value::String(String::new()));
                    return Err(Stop::End);
                }
                let value = match self.list()? {
                    Some(list) => list,
                    None => {
                        let (text, _) = self.until(&[',']);
                        self.scalar(text)?
                    }
                };
                store(data, key, value);
                Ok(())
            }
        }
    }

    /// The number before `]`.
    fn index(&mut self) -> Step<i64> {
        let (text, stop) = self.until(&[']']);
        if stop.is_none() {
            return Err(match self.compat {
                Compat::V3 => Stop::Error("error parsing index: EOF".to_owned()),
                // Helm: the error wraps io.EOF, so the whole pair is silently dropped.
                Compat::V4 => Stop::End,
            });
        }
        text.parse().map_err(|_| {
            let reason = if text.trim_start_matches(['+', '-']).bytes().all(|b| b.is_ascii_digit())
                && text.bytes().any(|b| b.is_ascii_digit())
            {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Stop::Error(format!("error parsing index: strconv.Atoi: parsing {text:?}: {reason}"))
        })
    }

    fn list_item(&mut self, list: &mut Vec<Value>, index: i64, nesting: usize) -> Step {
        if self.lists >= MAX_LISTS {
            return Err(Stop::Error(format!("a value's name goes through more than {MAX_LISTS} lists")));
        }
        self.lists += 1;
        let result = self.item(list, index, nesting);
        self.lists -= 1;
        result
    }

    fn item(&mut self, list: &mut Vec<Value>, index: i64, nesting: usize) -> Step {
        if index < 0 {
            return Err(Stop::Error(format!("negative {index} index not allowed")));
        }
        let (text, stop) = self.until(&['[', '.', '=']);
        if !text.is_empty() {
            // Go: `%q` of a slice of runes.
            let runes: Vec<String> = text.chars().map(|c| format!("{c:?}")).collect();
            return Err(Stop::Error(format!("unexpected data at end of array index: [{}]", runes.join(" "))));
        }
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        match stop {
            None => Err(Stop::End),
            Some('=') => {
                let value = match self.mode {
                    Mode::Literal => Value::String(self.until(&[]).0),
                    Mode::Json => {
                        if self.empty_value() {
                            Value::Null
                        } else {
                            let value = self.json()?;
                            self.empty_value();
                            value
                        }
                    }
                    _ if self.rest.is_empty() => Value::String(String::new()),
                    _ => match self.list()? {
                        Some(list) => list,
                        None => {
                            let (text, _) = self.until(&[',']);
                            self.scalar(text)?
                        }
                    },
                };
                self.set_index(list, index, value)
            }
            Some('[') => {
                let next = self.index()?;
                match list.get_mut(at) {
                    None | Some(Value::Null) => {
                        let mut inner = Vec::new();
                        self.list_item(&mut inner, next, nesting)?;
                        self.set_index(list, index, Value::Array(inner))
                    }
                    Some(Value::Array(inner)) => {
                        self.list_item(inner, next, nesting)?;
                        check_index(index)
                    }
                    Some(other) => Err(conversion(other, "[]interface {}")),
                }
            }
            Some(_) => match list.get_mut(at) {
                Some(existing) => {
                    if !matches!(existing, Value::Object(_)) {
                        *existing = Value::Object(BTreeMap::new());
                    }
                    let Value::Object(inner) = existing else { return Ok(()) };
                    self.key(inner, nesting)
                }
                None => {
                    let mut inner = BTreeMap::new();
                    self.key(&mut inner, nesting)?;
                    self.set_index(list, index, Value::Object(inner))
                }
            },
        }
    }

    fn set_index(&mut self, list: &mut Vec<Value>, index: i64, value: Value) -> Step {
        check_index(index)?;
        let at = usize::try_from(index).unwrap_or(usize::MAX);
        if list.len() <= at {
            self.added += at + 1 - list.len();
            if self.added > MAX_ADDED {
                return Err(Stop::Error(format!("its indices add more than {MAX_ADDED} items to lists")));
            }
            list.resize_with(at + 1, Value::default);
        }
        if let Some(slot) = list.get_mut(at) {
            *slot = value;
        }
        Ok(())
    }

    /// A list in braces, if one stands here.
    fn list(&mut self) -> Step<Option<Value>> {
        let Some(rest) = self.rest.strip_prefix('{') else { return Ok(None) };
        self.rest = rest;
        let mut list = Vec::new();
        loop {
            let (text, stop) = self.until(&[',', '}']);
            match stop {
                None => return Err(Stop::Error("list must terminate with '}'".to_owned())),
                Some('}') => {
                    self.rest = self.rest.strip_prefix(',').unwrap_or(self.rest);
                    list.push(self.scalar(text)?);
                    return Ok(Some(Value::Array(list)));
                }
                Some(_) => list.push(self.scalar(text)?),
            }
        }
    }

    fn scalar(&mut self, text: String) -> Step<Value> {
        match self.mode {
            Mode::File(read) => read(&text).map(Value::String).map_err(Stop::Error),
            Mode::Typed => Ok(typed(text)),
            _ => Ok(Value::String(text)),
        }
    }

    /// Skips blanks and one comma; whether nothing else stood there.
    fn empty_value(&mut self) -> bool {
        let trimmed = self.rest.trim_start();
        if trimmed.is_empty() {
            self.rest = trimmed;
            return true;
        }
        let after = trimmed.strip_prefix(',');
        self.rest = after.unwrap_or(trimmed);
        after.is_some()
    }

    fn json(&mut self) -> Step<Value> {
        let blanks = self.rest.len() - self.rest.trim_start_matches([' ', '\t', '\r', '\n']).len();
        let (_, text) = self.rest.split_at(blanks);
        // Go ends a number or a word where it cannot go on, whatever stands there.
        let end = scalar_length(text).unwrap_or(text.len());
        let text = text.get(..end).unwrap_or(text);
        let mut values = serde_json::Deserializer::from_str(text).into_iter::<serde_json::Value>();
        match values.next() {
            Some(Ok(json)) => {
                let read = blanks + values.byte_offset();
                self.rest = self.rest.get(read..).unwrap_or_default();
                let mut value = super::from_json(&json);
                normalise(&mut value, 0).map_err(|error| Stop::Error(error.to_string()))?;
                Ok(value)
            }
            Some(Err(error)) => Err(Stop::Error(error.to_string())),
            None => Err(Stop::End),
        }
    }
}

/// How long the number or the word is that `text` begins with, if it does with one.
fn scalar_length(text: &str) -> Option<usize> {
    for word in ["true", "false", "null"] {
        if text.starts_with(word) {
            return Some(word.len());
        }
    }
    let digits = |at: usize| text.bytes().skip(at).take_while(u8::is_ascii_digit).count();
    let byte = |at: usize| text.as_bytes().get(at).copied();
    let mut at = usize::from(byte(0) == Some(b'-'));
    match byte(at) {
        Some(b'0') => at += 1,
        Some(b'1'..=b'9') => at += digits(at),
        _ => return None,
    }
    if byte(at) == Some(b'.') {
        at += 1 + digits(at + 1);
    }
    if matches!(byte(at), Some(b'e' | b'E')) {
        at += 1 + usize::from(matches!(byte(at + 1), Some(b'+' | b'-')));
        at += digits(at);
    }
    Some(at)
}

/// Go: an empty key is silently ignored.
fn store(data: &mut BTreeMap<String, Value>, key: String, value: Value) {
    if !key.is_empty() {
        data.insert(key, value);
    }
}

fn check_index(index: i64) -> Step {
    if index > MAX_INDEX {
        return Err(Stop::Error(format!(
            "index of {index} is greater than maximum supported index of {MAX_INDEX}"
        )));
    }
    Ok(())
}

fn typed(text: String) -> Value {
    if text.eq_ignore_ascii_case("true") {
        return Value::Bool(true);
    }
    if text.eq_ignore_ascii_case("false") {
        return Value::Bool(false);
    }
    if text.eq_ignore_ascii_case("null") {
        return Value::Null;
    }
    match text.parse() {
        Ok(number) if text == "0" || !text.starts_with('0') => Value::Int(number),
        _ => Value::String(text),
    }
}

/// Go: the failed type assertion of `data[k].(T)`.
fn conversion(value: &Value, wanted: &str) -> Stop {
    let found = match value {
        Value::Null => "nil",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int64",
        Value::Uint(_) => "uint64",
        Value::Float(_) => "float64",
        Value::String(_) => "string",
        Value::Array(_) => "[]interface {}",
        Value::Object(_) => "map[string]interface {}",
    };
    Stop::Error(format!("unable to parse key: interface conversion: interface {{}} is {found}, not {wanted}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Setter = fn(&mut Values, &str) -> Result<(), Error>;

    /// Helm v4 `pkg/strvals/parser_test.go` and `literal_parser_test.go`, plus the quirks of helm-compat 3.2.
    #[test]
    fn arguments_parse_as_in_helm() {
        let file: Setter = |values, argument| set_file(values, argument, &|path| Ok(format!("<{path}>")));
        for (setter, argument, expected) in [
            (set as Setter, "name1=null,f=false,t=true", r#"{"f":false,"name1":null,"t":true}"#),
            (set, "name1=,name2=value2", r#"{"name1":"","name2":"value2"}"#),
            (set, "name1=one\\,two,name2=three", r#"{"name1":"one,two","name2":"three"}"#),
            (set, "a\\.b=1", r#"{"a.b":1}"#),
            (
                set,
                "a=1.5,b=1e3,c=0755,d=0,e=-1,f=9223372036854775808",
                r#"{"a":"1.5","b":"1e3","c":"0755","d":0,"e":-1,"f":"9223372036854775808"}"#,
            ),
            (set, "a= x", r#"{"a":" x"}"#),
            (set, "list={a,b},x={}", r#"{"list":["a","b"],"x":[""]}"#),
            (set, "a={\"b\":1}", r#"{"a":["\"b\":1"]}"#),
            (set, "list[0]={x,y}", r#"{"list":[["x","y"]]}"#),
            (set, "a[2]=x", r#"{"a":[null,null,"x"]}"#),
            (set, "a.b[0].c[1][2]=x", r#"{"a":{"b":[{"c":[null,[null,null,"x"]]}]}}"#),
            (set, "a[0][1]=x,a[0][0]=y,a[0][2", r#"{"a":[["y","x"]]}"#),
            (set, "a=1,", r#"{"a":1}"#),
            (set, "=1", "{}"),
            (set, ".a=1", "{}"),
            (set, "a[=1", "{}"),
            (set, "a=b{", r#"{"a":"b{"}"#),
            (set, "noval[0]=", r#"{"noval":[""]}"#),
            (set, "noval[0].x=", r#"{"noval":[]}"#),
            (set_string, "a=1,b=null,c={true,2}", r#"{"a":"1","b":"null","c":["true","2"]}"#),
            (set_literal, "a.b[1]=x,y={1}\\n", r#"{"a":{"b":[null,"x,y={1}\\n"]}}"#),
            (set_json, "a=[1,{\"b\":2}] ,c={\"d\":null},e=", r#"{"a":[1,{"b":2}],"c":{"d":null},"e":null}"#),
            (set_json, "{\"a\":{\"b\":1}}", r#"{"a":{"b":1}}"#),
            (file, "a=p,b=q", r#"{"a":"<p>","b":"<q>"}"#),
        ] {
            let mut values = Values::default();
            setter(&mut values, argument).unwrap();
            assert_eq!(values.to_json().to_string(), expected, "{argument}");
        }
    }

    #[test]
    fn malformed_arguments_fail_in_helms_words() {
        let deep = format!("{}=1", vec!["a"; 40].join("."));
        // Arguments that would overflow the stack, or take all memory.
        let (lists, maps_in_lists) =
            (format!("a{}=1", "[0]".repeat(100_000)), format!("{}=1", "a[0].".repeat(100_000)));
        let many = (0..10_000).map(|i| format!("a{i}[65536]=1")).collect::<Vec<_>>().join(",");
        let within = format!("a{}=1", "[65536]".repeat(50));
        for (setter, argument, message) in [
            (set as Setter, "a", "failed parsing --set data: key \"a\" has no value"),
            (set, "a,b=1", "failed parsing --set data: key \"a\" has no value (cannot end with ,)"),
            (set, "a.=1", "failed parsing --set data: key map \"a\" has no value"),
            (
                set,
                "a[x]=1",
                "failed parsing --set data: error parsing index: strconv.Atoi: parsing \"x\": invalid syntax",
            ),
            (set, "a[-1]=1", "failed parsing --set data: negative -1 index not allowed"),
            (
                set,
                "a[70000]=1",
                "failed parsing --set data: index of 70000 is greater than maximum supported index of 65536",
            ),
            (set, "a[0]b=1", "failed parsing --set data: unexpected data at end of array index: ['b']"),
            (set, "a={x,{y}}", "failed parsing --set data: key \"}\" has no value"),
            (set, "a={x", "failed parsing --set data: list must terminate with '}'"),
            (
                set,
                "a=1,a.b=2",
                "failed parsing --set data: unable to parse key: interface conversion: interface {} is int64, not map[string]interface {}",
            ),
            (
                set,
                "a=x,a[0]=2",
                "failed parsing --set data: unable to parse key: interface conversion: interface {} is string, not []interface {}",
            ),
            (
                set,
                &deep,
                "failed parsing --set data: value name nested level is greater than maximum supported nested level of 30",
            ),
            (set, &lists, "failed parsing --set data: a value's name goes through more than 100 lists"),
            (
                set,
                &maps_in_lists,
                "failed parsing --set data: a value's name goes through more than 100 lists",
            ),
            (set, &many, "failed parsing --set data: its indices add more than 262148 items to lists"),
            (set, &within, "failed parsing --set data: its indices add more than 262148 items to lists"),
            (set_json, "a={", "failed parsing --set-json data a={"),
            (set_json, "{a", "failed parsing --set-json data JSON: {a"),
        ] {
            let mut values = Values::default();
            assert_eq!(setter(&mut values, argument).unwrap_err().to_string(), message, "{argument}");
        }
    }
}

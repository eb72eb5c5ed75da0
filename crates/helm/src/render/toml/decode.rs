//! TOML to values: integers are `int64`, dates `time.Time`, arrays of tables `[]map[string]interface {}`.
//!
//! # Compatibility
//! As BurntSushi's `parse.go` for what is valid. The commonest errors have its texts; the others say where they are.

use pintle_gotemplate::{ElemType, Entries, List, Map, Value};
use pintle_sprig::{Time, Zone};

/// Deeper arrays and inline tables are refused.
const MAX_DEPTH: usize = 200;

/// Reads a document.
///
/// # Errors
/// An empty map, for the caller to put the text into, and the text.
pub(in crate::render) fn decode(text: &str) -> Result<Value, (Value, String)> {
    let root = Map::new(Entries::new());
    let mut parser = Parser { text, at: 0, last_key: String::new(), closed: Vec::new() };
    match parser.document(&root) {
        Ok(()) => Ok(Value::Map(root)),
        Err(message) => {
            let line = text.get(..parser.at).unwrap_or(text).matches('\n').count() + 1;
            let key = &parser.last_key;
            let place = if key.is_empty() { String::new() } else { format!(" (last key {key:?})") };
            Err((Value::map(Entries::new()), format!("toml: line {line}{place}: {message}")))
        }
    }
}

struct Parser<'t> {
    text: &'t str,
    at: usize,
    last_key: String,
    /// Tables that a header has defined already.
    closed: Vec<String>,
}

type Outcome<T> = Result<T, String>;

impl<'t> Parser<'t> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    fn eat(&mut self, word: &str) -> bool {
        let found = self.rest().starts_with(word);
        if found {
            self.at += word.len();
        }
        found
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(' ' | '\t')) {
            self.at += 1;
        }
    }

    /// Blanks, line ends and comments.
    fn space(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\n' | '\r') => self.at += 1,
                Some('#') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                _ => return,
            }
        }
    }

    fn end_of_line(&mut self) -> Outcome<()> {
        self.blanks();
        match self.peek() {
            None | Some('\n' | '#') => Ok(()),
            Some('\r') if self.rest().starts_with("\r\n") => Ok(()),
            Some(c) => Err(format!(
                "expected a top-level item to end with a newline, comment, or EOF, but got {c:?} instead"
            )),
        }
    }

    fn document(&mut self, root: &Map) -> Outcome<()> {
        let mut current = root.clone();
        loop {
            self.space();
            match self.peek() {
                None => return Ok(()),
                Some('[') => current = self.header(root)?,
                Some(_) => {
                    self.pair(&current, 0)?;
                    self.end_of_line()?;
                }
            }
        }
    }

    fn header(&mut self, root: &Map) -> Outcome<Map> {
        let array = self.eat("[[");
        if !array {
            self.eat("[");
        }
        let path = self.path(true)?;
        if !self.eat("]") {
            return Err(format!("expected '.' or ']' to end table name, but got {} instead", self.found()));
        }
        if array && !self.eat("]") {
            return Err(format!(
                "expected end of table array name delimiter ']', but got {} instead",
                self.found()
            ));
        }
        self.last_key = path.join(".");
        self.end_of_line()?;
        let Some((name, parents)) = path.split_last() else { return Ok(root.clone()) };
        let mut table = root.clone();
        for parent in parents {
            table = self.descend(&table, parent)?;
        }
        if array {
            let item = Map::new(Entries::new());
            let mut items = match table.get(name.as_bytes()) {
                None => Vec::new(),
                Some(Value::List(list)) if list.elem == ElemType::Map => list.items.to_vec(),
                Some(_) => return Err(self.duplicate(&path)),
            };
            items.push(Value::Map(item.clone()));
            table.insert(name.as_str(), Value::List(List::new(ElemType::Map, items)));
            let prefix = format!("{}.", self.last_key);
            self.closed.retain(|closed| !closed.starts_with(&prefix));
            return Ok(item);
        }
        if self.closed.contains(&self.last_key) {
            return Err(self.duplicate(&path));
        }
        self.closed.push(self.last_key.clone());
        match table.get(name.as_bytes()) {
            Some(Value::Map(_)) | None => self.descend(&table, name),
            Some(_) => Err(self.duplicate(&path)),
        }
    }

    fn duplicate(&self, path: &[String]) -> String {
        format!("Key '{}' has already been defined.", path.join("."))
    }

    /// The table `name` in `table`, made if it is missing; the last one of an array of tables.
    fn descend(&self, table: &Map, name: &str) -> Outcome<Map> {
        match table.get(name.as_bytes()) {
            None => {
                let inner = Map::new(Entries::new());
                table.insert(name, Value::Map(inner.clone()));
                Ok(inner)
            }
            Some(Value::Map(inner)) => Ok(inner),
            Some(Value::List(list)) => match list.items.last() {
                Some(Value::Map(inner)) => Ok(inner.clone()),
                _ => Err(self.duplicate(&[name.to_owned()])),
            },
            Some(_) => Err(self.duplicate(&[name.to_owned()])),
        }
    }

    fn pair(&mut self, table: &Map, depth: usize) -> Outcome<()> {
        let path = self.path(false)?;
        if !self.eat("=") {
            return Err(match self.peek() {
                Some(c) => format!("expected '.' or '=', but got {c:?} instead"),
                None => "unexpected EOF; expected key separator '='".to_owned(),
            });
        }
        self.last_key = path.join(".");
        self.blanks();
        let value = self.value(depth)?;
        let Some((name, parents)) = path.split_last() else { return Ok(()) };
        let mut table = table.clone();
        for parent in parents {
            table = self.descend(&table, parent)?;
        }
        if table.contains(name.as_bytes()) {
            return Err(self.duplicate(&path));
        }
        table.insert(name.as_str(), value);
        Ok(())
    }

    /// The parts of a key, or of a table's name.
    fn path(&mut self, table: bool) -> Outcome<Vec<String>> {
        let mut path = Vec::new();
        loop {
            self.blanks();
            let wrong = match (table, self.peek()) {
                (true, None | Some(']')) => "unexpected end of table name (table names cannot be empty)",
                (true, Some('.')) => "unexpected table separator (table names cannot be empty)",
                (false, None | Some('=')) if path.is_empty() => "unexpected '=': key name appears blank",
                (false, Some('.')) if path.is_empty() => "unexpected '.': keys cannot start with a '.'",
                (false, None | Some('=')) => "unexpected '='",
                (false, Some('.')) => "unexpected '.'",
                _ => "",
            };
            if !wrong.is_empty() {
                return Err(wrong.to_owned());
            }
            path.push(match self.peek() {
                Some('"') => self.basic()?,
                Some('\'') => self.literal()?,
                _ => {
                    let rest = self.rest();
                    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                    let end = rest.find(|c| !bare(c)).unwrap_or(rest.len());
                    self.at += end;
                    // Go: a name may be empty here; what follows it is wrong then.
                    rest.get(..end).unwrap_or_default().to_owned()
                }
            });
            self.blanks();
            if !self.eat(".") {
                return Ok(path);
            }
        }
    }

    /// The next character as Go's lexer shows it, for which the end is a NUL.
    fn found(&self) -> String {
        format!("{:?}", self.peek().unwrap_or('\0')).replace("\\0'", "\\x00'")
    }

    fn value(&mut self, depth: usize) -> Outcome<Value> {
        if depth > MAX_DEPTH {
            return Err("values are nested too deep".to_owned());
        }
        match self.peek() {
            None => Err("unexpected EOF; expected value".to_owned()),
            Some('"') if self.rest().starts_with("\"\"\"") => self.long("\"\"\"", true).map(Value::string),
            Some('\'') if self.rest().starts_with("'''") => self.long("'''", false).map(Value::string),
            Some('"') => self.basic().map(Value::string),
            Some('\'') => self.literal().map(Value::string),
            Some('[') => self.array(depth),
            Some('{') => self.inline(depth),
            Some(_) => self.scalar(),
        }
    }

    fn array(&mut self, depth: usize) -> Outcome<Value> {
        self.next();
        let mut items = Vec::new();
        loop {
            self.space();
            if self.eat("]") {
                break;
            }
            items.push(self.value(depth + 1)?);
            self.space();
            if !self.eat(",") {
                if self.eat("]") {
                    break;
                }
                return Err("expected a comma (',') or array terminator (']')".to_owned());
            }
        }
        Ok(Value::list(items))
    }

    fn inline(&mut self, depth: usize) -> Outcome<Value> {
        self.next();
        let table = Map::new(Entries::new());
        self.space();
        if self.eat("}") {
            return Ok(Value::Map(table));
        }
        loop {
            self.space();
            self.pair(&table, depth + 1)?;
            self.space();
            if self.eat("}") {
                return Ok(Value::Map(table));
            }
            if !self.eat(",") {
                return Err("expected a comma or an inline table terminator '}'".to_owned());
            }
        }
    }

    fn scalar(&mut self) -> Outcome<Value> {
        let rest = self.rest();
        let end = rest.find([',', ']', '}', '#', '\n', '\r']).unwrap_or(rest.len());
        let token = rest.get(..end).unwrap_or_default().trim_end();
        let value = match token {
            "true" => Value::Bool(true),
            "false" => Value::Bool(false),
            "inf" | "+inf" => Value::Float(f64::INFINITY),
            "-inf" => Value::Float(f64::NEG_INFINITY),
            "nan" | "+nan" | "-nan" => Value::Float(f64::NAN),
            "" => {
                let found = self.peek().map_or_else(|| "EOF".to_owned(), |c| format!("{c:?}"));
                return Err(format!("expected value but found {found} instead"));
            }
            token => {
                number(token).or_else(|| time(token)).ok_or_else(|| format!("invalid value: {token:?}"))?
            }
        };
        self.at += token.len();
        Ok(value)
    }

    fn basic(&mut self) -> Outcome<String> {
        self.next();
        let mut text = String::new();
        loop {
            match self.next() {
                None => return Err("unexpected EOF; expected '\"'".to_owned()),
                Some('"') => return Ok(text),
                Some('\n') => return Err("strings cannot contain newlines".to_owned()),
                Some('\\') => self.escape(&mut text)?,
                Some(c) => text.push(c),
            }
        }
    }

    fn literal(&mut self) -> Outcome<String> {
        self.next();
        let rest = self.rest();
        match rest.split_once('\'') {
            Some((text, _)) if !text.contains('\n') => {
                self.at += text.len() + 1;
                Ok(text.to_owned())
            }
            Some(_) => Err("strings cannot contain newlines".to_owned()),
            None => Err("unexpected EOF; expected \"'\"".to_owned()),
        }
    }

    fn long(&mut self, quotes: &str, escapes: bool) -> Outcome<String> {
        self.at += 3;
        let _ = self.eat("\n") || self.eat("\r\n");
        let mut text = String::new();
        loop {
            if self.eat(quotes) {
                // Up to two quotes may stand right before the end.
                let quote = quotes.get(..1).unwrap_or_default();
                for _ in 0..2 {
                    if self.eat(quote) {
                        text.push_str(quote);
                    }
                }
                return Ok(text);
            }
            match self.next() {
                None => return Err(format!("unexpected EOF; expected '{quotes}'")),
                Some('\\') if escapes => {
                    let rest = self.rest();
                    let after = rest.trim_start_matches([' ', '\t']);
                    if after.starts_with(['\n', '\r']) {
                        self.at += rest.len() - after.trim_start().len();
                    } else {
                        self.escape(&mut text)?;
                    }
                }
                Some(c) => text.push(c),
            }
        }
    }

    fn escape(&mut self, text: &mut String) -> Outcome<()> {
        let c = self.next().ok_or("unexpected EOF; expected an escape")?;
        text.push(match c {
            'b' => '\u{8}',
            't' => '\t',
            'n' => '\n',
            'f' => '\u{c}',
            'r' => '\r',
            'e' => '\u{1b}',
            '"' => '"',
            '\\' => '\\',
            'u' | 'U' => {
                let digits = if c == 'u' { 4 } else { 8 };
                let hex = self.rest().get(..digits).unwrap_or_default();
                let parsed = u32::from_str_radix(hex, 16).ok().and_then(char::from_u32);
                self.at += hex.len();
                parsed.ok_or_else(|| format!("invalid Unicode escape {hex:?}"))?
            }
            c => return Err(format!("invalid escape in string '\\{c}'")),
        });
        Ok(())
    }
}

fn number(token: &str) -> Option<Value> {
    let digits = token.trim_start_matches(['+', '-']);
    if token.starts_with('_') || token.ends_with('_') || digits.starts_with('_') || token.contains("__") {
        return None;
    }
    let plain = token.replace('_', "");
    for (prefix, radix) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(rest) = plain.strip_prefix(prefix) {
            return i64::from_str_radix(rest, radix).ok().map(Value::int64);
        }
    }
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    if !unsigned.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0');
    if unsigned.bytes().all(|b| b.is_ascii_digit()) {
        return if leading_zero { None } else { plain.parse().ok().map(Value::int64) };
    }
    let float = unsigned.bytes().all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    (float && !unsigned.contains(".e") && !unsigned.ends_with('.'))
        .then(|| plain.parse().ok().map(Value::Float))?
}

/// `2020-01-01`, `2020-01-01T10:00:00`, with or without a fraction and an offset; `10:00:00`.
fn time(token: &str) -> Option<Value> {
    let (date, clock) = match token.split_once(['T', 't', ' ']) {
        Some((date, clock)) => (date, clock),
        None if token.contains('-') => (token, ""),
        None => ("0000-01-01", token),
    };
    let mut fields = date.splitn(3, '-');
    let (year, month, day): (i64, i64, i64) =
        (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
    let (clock, offset) = match clock.find(['Z', 'z', '+', '-']) {
        Some(at) => clock.split_at(at),
        None => (clock, ""),
    };
    let (mut seconds, mut nanoseconds) = (0, 0);
    if !clock.is_empty() {
        let (whole, fraction) = clock.split_once('.').unwrap_or((clock, ""));
        let mut parts = whole.splitn(3, ':').map(|part| part.parse::<i64>());
        let (hours, minutes) = (parts.next()?.ok()?, parts.next()?.ok()?);
        seconds = hours * 3600 + minutes * 60 + parts.next().unwrap_or(Ok(0)).ok()?;
        let padded: String = fraction.chars().chain("000000000".chars()).take(9).collect();
        nanoseconds = padded.parse().ok()?;
    }
    let mut shift = 0;
    if let Some(rest) = offset.strip_prefix(['+', '-']) {
        let (hours, minutes) = rest.split_once(':')?;
        shift = hours.parse::<i64>().ok()? * 3600 + minutes.parse::<i64>().ok()? * 60;
        if offset.starts_with('-') {
            shift = -shift;
        }
    }
    let zone = if shift == 0 { Zone::Utc } else { Zone::Fixed(String::new(), shift) };
    let days = days_from_1970(year, month, day)?;
    Some(Time::from_unix(days * 86_400 + seconds - shift, nanoseconds, zone).into_value())
}

/// Days of the proleptic Gregorian calendar.
fn days_from_1970(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(0..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Some(era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468)
}

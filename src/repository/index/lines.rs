//! Reads an index in block style line by line: what `helm repo index`, ChartMuseum, Artifactory and release scripts
//! write.
//!
//! Three columns say where a line belongs: that of the charts' names, of the dashes before the entries, and of an
//! entry's fields. For that it must be known of each line that it is no part of a longer text, which [`Open`] keeps.
//! An entry that is not plain goes through the full parser, alone. A line that is not plain ends the reading: only
//! the full parser may say what the text means.
//!
//! What the full parser accepts is read as the full parser reads it. Where that would refuse the text for an entry's
//! sake, only the entry is skipped.

use std::io::{self, BufRead, Read};

use super::Error;
use super::fields::{Entries, Entry, File, List, Text};
use super::syntax::{Content, Odd, Value, certain, content, continued, dash, quoted_end, tail};
use super::table::Versions;

/// Longest line.
const MAX_LINE: u64 = 1 << 20;
/// Largest entry that the full parser may get.
const MAX_ENTRY: usize = 1 << 20;

/// The line that is not plain.
#[derive(Debug)]
pub(super) struct OddLine {
    pub(super) line: usize,
}

/// Reads an index.
///
/// # Errors
/// Inside, the number of a line that only the full parser can judge; outside, that the text cannot be read.
pub(super) fn read(mut text: impl BufRead) -> Result<Result<File, OddLine>, Error> {
    let mut reading = Reading::default();
    let mut bytes = Vec::new();
    for line in 1.. {
        bytes.clear();
        let length = (&mut text).take(MAX_LINE).read_until(b'\n', &mut bytes).map_err(read_error)?;
        if length == 0 {
            return Ok(reading.end().map_err(|Odd| OddLine { line }));
        }
        if let Err(Odd) = plain_text(&bytes).and_then(|line| reading.line(line)) {
            return Ok(Err(OddLine { line }));
        }
    }
    Ok(Err(OddLine { line: 0 }))
}

fn read_error(error: io::Error) -> Error {
    super::read(error)
}

/// A line without its break, of characters that are nothing but themselves.
fn plain_text(bytes: &[u8]) -> Result<&str, Odd> {
    let whole = bytes.len() < usize::try_from(MAX_LINE).unwrap_or(usize::MAX);
    let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
    let line = std::str::from_utf8(bytes).map_err(|_| Odd)?;
    let odd = |bad, &b: &u8| bad | !(matches!(b, b' '..=b'~' | b'\t'));
    // Line breaks of YAML that no editor shows, and what it does not allow.
    let plain = |c: char| {
        matches!(c, '\t' | ' '..='~' | '\u{A0}'..='\u{FFFD}' | '\u{1_0000}'..)
            && !matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}')
    };
    if whole && (!bytes.iter().fold(false, odd) || line.chars().all(plain)) { Ok(line) } else { Err(Odd) }
}

/// What the lines so far leave open.
#[derive(Clone, Copy, Debug)]
enum Open {
    /// A key or dash in this column whose value may follow.
    Value(usize),
    /// A plain text that goes on with each line that is indented deeper.
    Plain(usize),
    /// A value that has ended: nothing that is indented deeper may follow.
    Closed(usize),
    /// A text in double or single quotes.
    Quoted(usize, bool),
    /// A block scalar, the indentation of its text, and the longest empty line before it.
    Block(usize, Option<usize>, usize),
}

impl Open {
    /// What `value` leaves open, below the column of its key or dash.
    fn below(column: usize, value: Value<'_>) -> Self {
        match value {
            Value::Nothing => Self::Value(column),
            Value::Plain(_, false) => Self::Plain(column),
            Value::Unclosed(double) => Self::Quoted(column, double),
            Value::Block(indentation) => Self::Block(column, indentation.map(|i| column + i), 0),
            Value::Plain(_, true) | Value::Quoted(_) | Value::Empty | Value::Flow => Self::Closed(column),
        }
    }
}

/// The part of the file in which a line stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Section {
    Start,
    /// The document was opened by dashes.
    Opened,
    ApiVersion,
    Entries,
    Other,
}

#[derive(Debug)]
struct Reading {
    open: Open,
    section: Section,
    api_version: Option<Text>,
    entries: Option<Entries>,
    /// The column of the charts' names.
    column: Option<usize>,
    chart: Option<Chart>,
}

impl Default for Reading {
    fn default() -> Self {
        Self {
            open: Open::Closed(0),
            section: Section::Start,
            api_version: None,
            entries: None,
            column: None,
            chart: None,
        }
    }
}

/// The chart whose entries are being read.
#[derive(Debug)]
struct Chart {
    name: Box<str>,
    versions: Versions,
    /// The column of the dashes.
    column: Option<usize>,
    item: Option<Item>,
}

/// The entry that is being read.
#[derive(Debug, Default)]
struct Item {
    /// As it is written.
    text: String,
    /// Whether the full parser must look at it.
    odd: bool,
    /// The column of the fields.
    column: Option<usize>,
    /// The field whose value the lines belong to.
    field: Field,
    /// The fields that were seen, a bit for each.
    seen: u8,
    entry: Entry,
    url: Text,
    /// The column of the dashes before the addresses.
    urls_column: Option<usize>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Field {
    #[default]
    Other,
    Name,
    Version,
    AppVersion,
    Kind,
    Digest,
    Urls,
    Url,
}

impl Reading {
    /// Takes one line.
    fn line(&mut self, line: &str) -> Result<(), Odd> {
        if self.inside(line)? {
            self.keep(line);
            return Ok(());
        }
        let rest = line.trim_start_matches(' ');
        let column = line.len() - rest.len();
        match (rest.bytes().next(), self.open) {
            (None, _) => {
                self.keep(line);
                return Ok(());
            }
            (Some(b'\t'), _) => return Err(Odd),
            (Some(b'#'), open) => {
                if let Open::Plain(parent) = open {
                    self.open = Open::Closed(parent);
                }
                self.keep(line);
                return Ok(());
            }
            (_, Open::Plain(parent)) if column > parent => {
                if self.section == Section::ApiVersion {
                    return Err(Odd);
                }
                if continued(rest)? {
                    self.open = Open::Closed(parent);
                }
                self.keep(line);
                self.several_lines();
                return Ok(());
            }
            (_, Open::Closed(parent)) if column > parent && self.section != Section::Start => {
                return Err(Odd);
            }
            _ => {}
        }
        match self.section {
            _ if column == 0 => self.top(rest),
            Section::Entries => self.entries(line, rest, column),
            Section::Other => self.nested(rest, column),
            Section::Start | Section::Opened | Section::ApiVersion => Err(Odd),
        }
    }

    /// Whether the line belongs to a text in quotes or a block scalar.
    fn inside(&mut self, line: &str) -> Result<bool, Odd> {
        match self.open {
            Open::Quoted(column, double) => {
                if line.starts_with("---") || line.starts_with("...") {
                    return Err(Odd);
                }
                if let Some(end) = quoted_end(line, double) {
                    tail(line.get(end..).ok_or(Odd)?)?;
                    self.open = Open::Closed(column);
                }
                Ok(true)
            }
            Open::Block(parent, indentation, blank) => {
                let rest = line.trim_start_matches(' ');
                let spaces = line.len() - rest.len();
                match indentation {
                    None if rest.is_empty() => self.open = Open::Block(parent, None, blank.max(spaces)),
                    Some(_) if rest.is_empty() => {}
                    Some(indentation) if spaces >= indentation => {}
                    _ if spaces <= parent => {
                        self.open = Open::Closed(parent);
                        return Ok(false);
                    }
                    None if spaces >= blank && !rest.starts_with('\t') => {
                        self.open = Open::Block(parent, Some(spaces), 0);
                    }
                    _ => return Err(Odd),
                }
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// A line without indentation.
    fn top(&mut self, text: &str) -> Result<(), Odd> {
        if text.trim_end_matches(' ') == "---" && self.section == Section::Start {
            self.section = Section::Opened;
            return Ok(());
        }
        if text.starts_with("---") || text.starts_with("...") {
            return Err(Odd);
        }
        let Content::Pair(key, value) = content(text)? else { return Err(Odd) };
        self.end_chart();
        match key {
            "apiVersion" if self.api_version.is_none() => {
                self.api_version = Some(scalar(value)?.ok_or(Odd)?);
                self.section = Section::ApiVersion;
            }
            "entries" if self.entries.is_none() => {
                self.entries = Some(Entries::default());
                self.section = match value {
                    Value::Nothing => Section::Entries,
                    Value::Empty => Section::Other,
                    _ => return Err(Odd),
                };
            }
            // Quotes may hide one of the two; two of a kind, and merges, are not for us.
            "apiVersion" | "entries" | "<<" => return Err(Odd),
            _ if key.starts_with(['"', '\'']) => return Err(Odd),
            _ => self.section = Section::Other,
        }
        self.open = Open::below(0, value);
        Ok(())
    }

    /// An indented line below `entries`.
    fn entries(&mut self, line: &str, text: &str, column: usize) -> Result<(), Odd> {
        let names = *self.column.get_or_insert(column);
        let dashed = dash(text, column)?;
        if column == names && dashed.is_none() {
            return self.start_chart(text, column);
        }
        let chart = self.chart.as_mut().ok_or(Odd)?;
        let dashes = match (chart.column, dashed, self.open) {
            (Some(dashes), ..) => dashes,
            (None, Some(_), Open::Value(_)) => *chart.column.insert(column),
            _ => return Err(Odd),
        };
        if column < dashes.max(names) {
            return Err(Odd);
        }
        if column > dashes {
            self.keep(line);
            return self.item_line(text, column);
        }
        let (text, inner) = dashed.ok_or(Odd)?;
        chart.end_item();
        chart.item = Some(Item::default());
        self.keep(line);
        self.start_item(text, column, inner)
    }

    fn start_chart(&mut self, text: &str, column: usize) -> Result<(), Odd> {
        self.end_chart();
        let Content::Pair(key, value) = content(text)? else { return Err(Odd) };
        match value {
            Value::Nothing | Value::Plain(..) | Value::Quoted(_) | Value::Empty => {}
            Value::Unclosed(_) | Value::Block(_) | Value::Flow => return Err(Odd),
        }
        let name = name(key)?;
        self.chart = Some(Chart { name, versions: Versions::default(), column: None, item: None });
        self.open = Open::below(column, value);
        Ok(())
    }

    /// What stands behind the dash of an entry, which is in `column`.
    fn start_item(&mut self, text: &str, column: usize, inner: usize) -> Result<(), Odd> {
        if dash(text, inner)?.is_some() {
            self.doubt();
            return self.nested(text, inner);
        }
        match content(text)? {
            Content::Nothing => self.open = Open::Value(column),
            Content::Pair(key, value) => {
                self.field(key, value, inner);
                self.open = Open::below(inner, value);
            }
            Content::Value(value) => {
                self.doubt();
                self.open = Open::below(column, value);
            }
        }
        Ok(())
    }

    /// A further line of an entry.
    fn item_line(&mut self, text: &str, column: usize) -> Result<(), Odd> {
        let dashed = dash(text, column)?;
        let item = self.item().ok_or(Odd)?;
        let fields = item.column;
        if dashed.is_none() && fields.is_none_or(|fields| fields == column) {
            let Content::Pair(key, value) = content(text)? else {
                self.doubt();
                return self.nested(text, column);
            };
            self.field(key, value, column);
            self.open = Open::below(column, value);
            return Ok(());
        }
        let below = fields.is_some_and(|fields| column >= fields);
        let item = self.item().ok_or(Odd)?;
        match (item.field, dashed) {
            (Field::Other, _) if below => self.nested(text, column),
            (Field::Urls, Some((text, _))) if below && *item.urls_column.get_or_insert(column) == column => {
                self.address(text, column)
            }
            _ => {
                self.doubt();
                self.nested(text, column)
            }
        }
    }

    /// One of an entry's addresses, behind a dash in `column`.
    fn address(&mut self, text: &str, column: usize) -> Result<(), Odd> {
        let Content::Value(value) = content(text)? else {
            self.doubt();
            return self.nested(text, column);
        };
        match scalar(value)? {
            Some(url) => {
                if let Some(item) = self.item() {
                    item.entry.urls.push(url);
                }
            }
            None => self.doubt(),
        }
        self.open = Open::below(column, value);
        Ok(())
    }

    /// A line whose meaning does not matter, only where it ends.
    fn nested(&mut self, mut text: &str, mut column: usize) -> Result<(), Odd> {
        let mut parent = match self.open {
            Open::Value(parent) if column > parent => Some(parent),
            _ => None,
        };
        while let Some((rest, inner)) = dash(text, column)? {
            parent = Some(column);
            (text, column) = (rest, inner);
        }
        self.open = match (content(text)?, parent) {
            (Content::Nothing, Some(parent)) => Open::Value(parent),
            (Content::Pair(_, value), _) => Open::below(column, value),
            (Content::Value(value), Some(parent)) => Open::below(parent, value),
            (_, None) => return Err(Odd),
        };
        Ok(())
    }

    /// Notes a field of the entry.
    fn field(&mut self, key: &str, value: Value<'_>, column: usize) {
        let Some(item) = self.item() else { return };
        item.column = Some(column);
        let quoted = key.starts_with(['"', '\'']);
        item.field = match if quoted { key.trim_matches(['"', '\'']) } else { key } {
            "name" => Field::Name,
            "version" => Field::Version,
            "appVersion" => Field::AppVersion,
            "type" => Field::Kind,
            "digest" => Field::Digest,
            "urls" => Field::Urls,
            "url" => Field::Url,
            name => {
                // A merge, or an escape that may hide a name.
                item.odd |= name == "<<" || name.contains('\\');
                Field::Other
            }
        };
        let bit = 1 << item.field as u8;
        item.odd |= item.field != Field::Other && item.seen & bit != 0;
        item.seen |= bit;
        let text = match (item.field, value) {
            (Field::Other, _) => return,
            // Helm: what is no list is no address.
            (Field::Urls, Value::Nothing | Value::Empty | Value::Plain(..) | Value::Quoted(_)) => return,
            (Field::Urls, _) => None,
            _ => scalar(value).unwrap_or_default(),
        };
        let Some(text) = text else {
            item.odd = true;
            return;
        };
        match item.field {
            Field::Name => item.entry.name = text,
            Field::Version => item.entry.version = text,
            Field::AppVersion => item.entry.app_version = text,
            Field::Kind => item.entry.kind = text,
            Field::Digest => item.entry.digest = text,
            Field::Url => item.url = text,
            Field::Urls | Field::Other => {}
        }
    }

    fn item(&mut self) -> Option<&mut Item> {
        self.chart.as_mut()?.item.as_mut()
    }

    /// Leaves the entry to the full parser.
    fn doubt(&mut self) {
        if let Some(item) = self.item() {
            item.odd = true;
        }
    }

    /// The value of the current field goes on: if it is wanted, the full parser must put it together.
    fn several_lines(&mut self) {
        if let Some(item) = self.item() {
            item.odd |= item.field != Field::Other;
        }
    }

    /// Keeps the text of the entry for the full parser.
    fn keep(&mut self, line: &str) {
        if let Some(item) = self.item()
            && item.text.len() <= MAX_ENTRY
        {
            item.text.push_str(line);
            item.text.push('\n');
        }
    }

    fn end_chart(&mut self) {
        if let (Some(mut chart), Some(entries)) = (self.chart.take(), self.entries.as_mut()) {
            chart.end_item();
            entries.0.add(chart.name, chart.versions);
        }
    }

    /// What was read.
    fn end(mut self) -> Result<File, Odd> {
        if matches!(self.open, Open::Quoted(..)) || matches!(self.section, Section::Start | Section::Opened) {
            return Err(Odd);
        }
        self.end_chart();
        Ok(File {
            api_version: self.api_version.unwrap_or_default(),
            entries: self.entries.unwrap_or_default(),
        })
    }
}

impl Chart {
    fn end_item(&mut self) {
        let Some(mut item) = self.item.take() else { return };
        if !item.odd {
            if item.entry.urls.is_empty() {
                item.entry.urls.push(item.url);
            }
            self.versions.add(item.entry.into_version());
            return;
        }
        let parsed = Some(item.text).filter(|text| text.len() <= MAX_ENTRY);
        let parsed = parsed.and_then(|text| pintle_goyaml::from_str::<List<Entry>>(text.as_bytes()).ok());
        self.versions.add(parsed.and_then(|list| list.0.into_iter().next()).and_then(Entry::into_version));
    }
}

/// A scalar as text; `None` when it is none, or does not end on its line.
fn scalar(value: Value<'_>) -> Result<Option<Text>, Odd> {
    if let Some(text) = certain(value) {
        return Ok(Some(Text(Some(text.into()))));
    }
    match value {
        Value::Nothing => Ok(Some(Text(None))),
        // Alone on a line they would mean something else.
        Value::Plain(text, _) if text.starts_with("---") || text.starts_with("...") => Err(Odd),
        Value::Plain(text, _) | Value::Quoted(text) => {
            pintle_goyaml::from_str(text.as_bytes()).map(Some).map_err(|_| Odd)
        }
        _ => Ok(None),
    }
}

/// The name that a key of `entries` is.
fn name(key: &str) -> Result<Box<str>, Odd> {
    let value = if key.starts_with(['"', '\'']) { Value::Quoted(key) } else { Value::Plain(key, false) };
    if let Some(name) = certain(value) {
        return Ok(name.into());
    }
    if key == "<<" || key.starts_with("---") || key.starts_with("...") {
        return Err(Odd);
    }
    let entries: Entries = pintle_goyaml::from_str(format!("{key}: []").as_bytes()).map_err(|_| Odd)?;
    entries.0.names().next().map(Box::from).ok_or(Odd)
}

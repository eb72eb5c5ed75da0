//! Prints a value as Go's `%#v` does, for the errors that quote one.

use crate::decode::{Document, Item};
use crate::number;

/// What is left to print.
enum Step<'d> {
    Item(usize),
    Text(&'d str),
}

/// Prints the item at `index`.
pub(crate) fn print(document: &Document<'_>, index: usize) -> String {
    // Go: the type of nothing is known only inside of a container.
    if let Some(Item::Null) = document.items.get(index) {
        return "<nil>".to_owned();
    }
    let mut out = String::new();
    let mut steps = vec![Step::Item(index)];
    while let Some(step) = steps.pop() {
        let item = match step {
            Step::Text(text) => {
                out.push_str(text);
                continue;
            }
            Step::Item(index) => document.items.get(index),
        };
        match item {
            None => {}
            Some(Item::Null) => out.push_str("interface {}(nil)"),
            Some(Item::Bool(value)) => out.push_str(if *value { "true" } else { "false" }),
            Some(Item::Int(value)) => out.push_str(&value.to_string()),
            Some(Item::Uint(value)) => out.push_str(&format!("{value:#x}")),
            Some(Item::Float(value)) => out.push_str(&number::format_float_g(*value)),
            Some(Item::String(value)) => quote(&mut out, value),
            Some(Item::Array(range)) => {
                out.push_str("[]interface {}{");
                steps.push(Step::Text("}"));
                let entries = document.entries.get(range.clone()).unwrap_or_default();
                for (position, entry) in entries.iter().enumerate().rev() {
                    steps.push(Step::Item(entry.item));
                    if position > 0 {
                        steps.push(Step::Text(", "));
                    }
                }
            }
            Some(Item::Object(range)) => {
                out.push_str("map[interface {}]interface {}{");
                steps.push(Step::Text("}"));
                let entries = document.entries.get(range.clone()).unwrap_or_default();
                let sorted = sorted(document, entries);
                for (position, &(key, item)) in sorted.iter().enumerate().rev() {
                    steps.push(Step::Item(item));
                    steps.push(Step::Text(":"));
                    steps.push(Step::Item(key));
                    if position > 0 {
                        steps.push(Step::Text(", "));
                    }
                }
            }
        }
    }
    out
}

/// Orders the entries of a map as Go prints them: by kind of key, then by key; the last of equal ones wins.
///
/// Go: kinds are ordered by where the linker put their types; this is what it came to.
fn sorted(document: &Document<'_>, entries: &[crate::decode::Entry]) -> Vec<(usize, usize)> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Rank<'d> {
        Null,
        String(&'d str),
        Unsigned(u64),
        Signed(i64),
        Float(i64),
        Bool(bool),
        Other,
    }
    let rank = |key: usize| match document.items.get(key) {
        Some(Item::Null) => Rank::Null,
        Some(Item::Int(value)) => Rank::Signed(*value),
        Some(Item::Uint(value)) => Rank::Unsigned(*value),
        Some(Item::Float(value)) => {
            // The bits of floats order as integers once negative ones are mirrored.
            let bits = value.to_bits() as i64;
            Rank::Float(bits ^ (((bits >> 63) as u64) >> 1) as i64)
        }
        Some(Item::String(value)) => Rank::String(value),
        Some(Item::Bool(value)) => Rank::Bool(*value),
        _ => Rank::Other,
    };
    let mut sorted: Vec<(usize, usize)> = entries.iter().map(|entry| (entry.key, entry.item)).collect();
    sorted.reverse();
    sorted.sort_by(|a, b| rank(a.0).cmp(&rank(b.0)));
    sorted.dedup_by(|b, a| rank(a.0) == rank(b.0));
    sorted
}

/// Quotes a text as `strconv.Quote` does.
fn quote(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0C' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x0B' => out.push_str("\\v"),
            ' '..='~' => out.push(c),
            '\0'..='\x1F' | '\x7F' => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            '\u{80}'..='\u{A0}' | '\u{AD}' | '\u{2028}' | '\u{2029}' | '\u{FEFF}' => {
                out.push_str(&format!("\\u{:04x}", u32::from(c)));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

//! What one line of YAML in block style says, where that needs no look at any other line.
//!
//! Everything that is not plainly what it seems to be is [`Odd`]: the caller has a full parser for it.

/// A line that only the full parser may judge.
#[derive(Debug)]
pub(super) struct Odd;

/// The longest key: libyaml looks no further for its colon than 1024 characters.
const MAX_KEY: usize = 1000;

/// What stands on a line, behind its indentation and dashes.
#[derive(Debug, PartialEq)]
pub(super) enum Content<'a> {
    /// Nothing, or a comment.
    Nothing,
    /// A key, as it is written, and what follows on its line.
    Pair(&'a str, Value<'a>),
    /// A value that has no key on its line.
    Value(Value<'a>),
}

/// What stands on a line in the place of a value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Nothing: the value is null, or begins on the next line.
    Nothing,
    /// Plain text. The next lines go on with it if they are indented deeper, unless a comment has ended it.
    Plain(&'a str, Ended),
    /// Text in quotes, with them.
    Quoted(&'a str),
    /// The beginning of a text in quotes; `true` for double ones.
    Unclosed(bool),
    /// The head of a block scalar, with the indentation that it announces.
    Block(Option<usize>),
    /// `[]` or `{}`.
    Empty,
    /// Any other flow collection, closed on the line.
    Flow,
}

/// Whether a comment follows.
pub(super) type Ended = bool;

/// Takes one dash off; gives back the rest and its column.
pub(super) fn dash(text: &str, column: usize) -> Result<Option<(&str, usize)>, Odd> {
    let Some(rest) = text.strip_prefix('-') else { return Ok(None) };
    match rest.bytes().next() {
        None => Ok(Some((rest, column + 1))),
        Some(b' ') => {
            let content = rest.trim_start_matches(' ');
            Ok(Some((content, column + text.len() - content.len())))
        }
        Some(b'\t') => Err(Odd),
        Some(_) => Ok(None),
    }
}

/// Reads what begins at the start of `text`.
pub(super) fn content(text: &str) -> Result<Content<'_>, Odd> {
    let Some(first) = text.bytes().next() else { return Ok(Content::Nothing) };
    match first {
        b'#' => Ok(Content::Nothing),
        b'"' | b'\'' => {
            let Some(end) = quoted_end(text.get(1..).unwrap_or_default(), first == b'"') else {
                return Ok(Content::Value(Value::Unclosed(first == b'"')));
            };
            let (quoted, rest) = text.split_at_checked(end + 1).ok_or(Odd)?;
            match rest.strip_prefix(':') {
                Some(rest) if is_blank_or_end(rest) && quoted.len() <= MAX_KEY => {
                    Ok(Content::Pair(quoted, value(rest)?))
                }
                Some(_) => Err(Odd),
                None => tail(rest).map(|()| Content::Value(Value::Quoted(quoted))),
            }
        }
        b'[' | b'{' | b'|' | b'>' => Ok(Content::Value(value(text)?)),
        _ => {
            starts_plain(text)?;
            match plain(text) {
                (key, End::Colon(rest)) if key.len() <= MAX_KEY => Ok(Content::Pair(key, value(rest)?)),
                (_, End::Colon(_)) => Err(Odd),
                (text, end) => Ok(Content::Value(Value::Plain(text, matches!(end, End::Comment)))),
            }
        }
    }
}

/// Reads what follows the colon of a key, or stands alone.
fn value(text: &str) -> Result<Value<'_>, Odd> {
    let text = text.trim_start_matches(' ');
    let Some(first) = text.bytes().next() else { return Ok(Value::Nothing) };
    match first {
        b'#' => Ok(Value::Nothing),
        b'"' | b'\'' => {
            let Some(end) = quoted_end(text.get(1..).unwrap_or_default(), first == b'"') else {
                return Ok(Value::Unclosed(first == b'"'));
            };
            let (quoted, rest) = text.split_at_checked(end + 1).ok_or(Odd)?;
            tail(rest).map(|()| Value::Quoted(quoted))
        }
        b'[' | b'{' => flow(text),
        b'|' | b'>' => block(text),
        _ => {
            starts_plain(text)?;
            match plain(text) {
                (_, End::Colon(_)) => Err(Odd),
                (text, end) => Ok(Value::Plain(text, matches!(end, End::Comment))),
            }
        }
    }
}

/// What goes on with the plain text of the line before; says whether a comment ends it.
pub(super) fn continued(text: &str) -> Result<Ended, Odd> {
    match plain(text).1 {
        End::Colon(_) => Err(Odd),
        end => Ok(matches!(end, End::Comment)),
    }
}

/// What ends a plain text.
enum End<'a> {
    /// A colon, and what follows it.
    Colon(&'a str),
    Comment,
    Line,
}

/// Cuts the plain text off that `text` begins with.
fn plain(text: &str) -> (&str, End<'_>) {
    let bytes = text.as_bytes();
    let mut before = b' ';
    for (position, &byte) in bytes.iter().enumerate() {
        let after = bytes.get(position + 1);
        if byte == b':' && matches!(after, None | Some(b' ' | b'\t')) {
            let rest = text.get(position + 1..).unwrap_or_default();
            return (
                text.get(..position).unwrap_or_default().trim_end_matches([' ', '\t']),
                End::Colon(rest),
            );
        }
        if byte == b'#' && matches!(before, b' ' | b'\t') {
            return (text.get(..position).unwrap_or_default().trim_end_matches([' ', '\t']), End::Comment);
        }
        before = byte;
    }
    (text.trim_end_matches([' ', '\t']), End::Line)
}

/// Refuses what no plain text begins with.
fn starts_plain(text: &str) -> Result<(), Odd> {
    let mut bytes = text.bytes();
    match bytes.next() {
        Some(b',' | b']' | b'}' | b'&' | b'*' | b'!' | b'%' | b'@' | b'`' | b'\t') => Err(Odd),
        Some(b'-' | b'?' | b':') if matches!(bytes.next(), None | Some(b' ' | b'\t')) => Err(Odd),
        _ => Ok(()),
    }
}

/// Where a text in quotes ends, counted from behind its first quote: the place behind the last one.
pub(super) fn quoted_end(text: &str, double: bool) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut position = 0;
    while let Some(&byte) = bytes.get(position) {
        position += match (byte, double) {
            (b'\\', true) => 2,
            (b'"', true) => return Some(position + 1),
            (b'\'', false) if bytes.get(position + 1) == Some(&b'\'') => 2,
            (b'\'', false) => return Some(position + 1),
            _ => 1,
        };
    }
    None
}

/// Refuses all but a comment behind a value.
pub(super) fn tail(rest: &str) -> Result<(), Odd> {
    let text = rest.trim_start_matches(' ');
    let comment = text.starts_with('#') && text.len() < rest.len();
    if text.is_empty() || comment { Ok(()) } else { Err(Odd) }
}

fn is_blank_or_end(text: &str) -> bool {
    matches!(text.bytes().next(), None | Some(b' '))
}

/// The head of a block scalar.
fn block(text: &str) -> Result<Value<'_>, Odd> {
    let mut rest = text.get(1..).unwrap_or_default();
    let mut indentation = None;
    let mut chomped = false;
    while let Some(byte) = rest.bytes().next() {
        match byte {
            b'1'..=b'9' if indentation.is_none() => indentation = Some(usize::from(byte - b'0')),
            b'+' | b'-' if !chomped => chomped = true,
            _ => break,
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    tail(rest).map(|()| Value::Block(indentation))
}

/// A flow collection that ends on its line, and has neither anchors nor tags in it.
fn flow(text: &str) -> Result<Value<'_>, Odd> {
    let bytes = text.as_bytes();
    let mut open = Vec::new();
    let mut position = 0;
    // Whether a token may begin here: only then are quotes quotes.
    let mut begins = true;
    while let Some(&byte) = bytes.get(position) {
        position += 1;
        match byte {
            b'[' | b'{' => open.push(byte + 2),
            b']' | b'}' if open.last() == Some(&byte) => {
                open.pop();
                if open.is_empty() {
                    tail(text.get(position..).ok_or(Odd)?)?;
                    return Ok(if position == 2 { Value::Empty } else { Value::Flow });
                }
            }
            b'"' | b'\'' if begins => {
                position += quoted_end(text.get(position..).ok_or(Odd)?, byte == b'"').ok_or(Odd)?;
            }
            b']' | b'}' | b'"' | b'\'' | b'#' | b'&' | b'*' | b'!' | b'|' | b'>' | b'%' | b'@' | b'`'
            | b'?' | b'\t' => return Err(Odd),
            _ => {}
        }
        begins = matches!(byte, b'[' | b'{' | b',' | b':') || begins && byte == b' ';
    }
    Err(Odd)
}

/// A scalar as text that needs no full parser: it is a string, and what it says is what stands there.
pub(super) fn certain<'a>(value: Value<'a>) -> Option<&'a str> {
    match value {
        Value::Plain(text, _) => is_string(text).then_some(text),
        Value::Quoted(text) => {
            let inner = text.get(1..text.len() - 1)?;
            let escape = if text.starts_with('"') { '\\' } else { '\'' };
            (!inner.contains(escape)).then_some(inner)
        }
        _ => None,
    }
}

/// Whether a plain text can only be a string: go-yaml looks for other types only behind certain first letters, and
/// no number has two dots.
fn is_string(text: &str) -> bool {
    const WORDS: [&str; 9] = ["y", "yes", "n", "no", "on", "off", "true", "false", "null"];
    match text.bytes().next() {
        Some(b) if b.is_ascii_alphabetic() => !WORDS.iter().any(|word| word.eq_ignore_ascii_case(text)),
        Some(b'0'..=b'9') => {
            let known = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'+' | b'-');
            text.bytes().all(known) && text.bytes().filter(|b| *b == b'.').count() >= 2
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_as_what_they_are() {
        use Content::{Nothing, Pair};
        for (text, expected) in [
            ("", Nothing),
            ("# a: b", Nothing),
            ("a: b", Pair("a", Value::Plain("b", false))),
            ("a:b: c # d", Pair("a:b", Value::Plain("c", true))),
            ("a: b#c  ", Pair("a", Value::Plain("b#c", false))),
            ("a:", Pair("a", Value::Nothing)),
            ("a: # b", Pair("a", Value::Nothing)),
            ("'a''b': \"c\\\"d\" # e", Pair("'a''b'", Value::Quoted("\"c\\\"d\""))),
            ("a: 'b", Pair("a", Value::Unclosed(false))),
            ("a: |2- # b", Pair("a", Value::Block(Some(2)))),
            ("a: {}", Pair("a", Value::Empty)),
            ("a: [b, {c: 'd]'}]", Pair("a", Value::Flow)),
            ("a b # c", Content::Value(Value::Plain("a b", true))),
            ("\"a: b\"", Content::Value(Value::Quoted("\"a: b\""))),
        ] {
            assert_eq!(content(text).ok(), Some(expected), "{text}");
        }
        for text in [
            "a: b: c",
            "a: &b c",
            "a: *b",
            "a: !t b",
            "a: [b",
            "a: [it's]",
            "a: 'b' c",
            "a: - b",
            "a: -",
            "? a",
            "a: |x",
            "a: [b] c",
            "a: [#]",
            "a: ]",
            "'a':b",
            "a: 'b'#c",
            "a: [}]",
            "- a",
        ] {
            assert!(content(text).is_err(), "{text}");
        }
    }

    #[test]
    fn only_certain_strings_are_believed() {
        let sure = |text| certain(Value::Plain(text, false)).is_some();
        for (text, expected) in [
            ("v1.0", true),
            ("1.2.3", true),
            ("1.2.3-rc.1+b", true),
            ("nginx", true),
            ("1.0", false),
            ("1e3", false),
            ("2026-01-01", false),
            ("1:2.3.4", false),
            ("No", false),
            ("~", false),
            (".1.2.3", false),
            ("", false),
        ] {
            assert_eq!(sure(text), expected, "{text}");
        }
    }
}

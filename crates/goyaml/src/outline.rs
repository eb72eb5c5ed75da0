//! Checks by its lines that a text is YAML, as far as it is of the plain kind that manifests are made of.
//!
//! Who wants to know a few entries of a large map needs the rest to be right, but not to be read. What is known here is
//! block maps and sequences with scalars of one line, lists of such scalars, and block scalars: whatever is accepted,
//! the [scanner](crate::scanner) and all that comes after it accept too. What is not known need not be wrong.

use std::ops::Range;

use crate::reader::Source;
use crate::resolve::{Scalar, resolve};

/// Deeper nesting is left to the parser.
const MAX_DEPTH: usize = 100;
/// Longer keys are left to the parser, which has a limit.
const MAX_KEY: usize = 512;

/// What a line may go on with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    /// The last entry of the innermost block has no value yet.
    Entry,
    /// It has one.
    Nothing,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Map,
    Sequence,
}

/// A block that is open.
#[derive(Clone, Copy)]
struct Block {
    column: usize,
    kind: Kind,
}

/// Gives the parts of a text that hold the wanted entries of its map, if all of the text is known to be right.
pub(crate) fn wanted_parts(source: &Source<'_>, wanted: impl Fn(&str) -> bool) -> Option<Vec<Range<usize>>> {
    let text = source.text.as_bytes();
    // Other line breaks than `\n` begin with the last two, and a byte order mark has been skipped already.
    let other_break = memchr::memchr3(b'\r', 0xC2, 0xE2, text).is_some();
    if source.fault.is_some() || source.marks > 0 || other_break {
        return None;
    }
    let mut outline = Outline { text, next: 0, open: Open::Entry, blocks: Vec::new(), tops: Vec::new() };
    while outline.line()? {}
    if outline.blocks.is_empty() {
        return None;
    }
    let ends = outline.tops.iter().skip(1).map(|top| top.start).chain([text.len()]);
    let mut parts = Vec::new();
    for (top, end) in outline.tops.iter().zip(ends) {
        let key = source.text.get(top.key.clone())?;
        if wanted(key) {
            parts.push(top.start..end);
        }
    }
    Some(parts)
}

/// An entry of the outermost map.
struct Top {
    /// Where its line starts.
    start: usize,
    key: Range<usize>,
}

struct Outline<'t> {
    text: &'t [u8],
    /// Where the next line starts.
    next: usize,
    open: Open,
    blocks: Vec<Block>,
    tops: Vec<Top>,
}

impl Outline<'_> {
    fn byte(&self, at: usize) -> u8 {
        self.text.get(at).copied().unwrap_or(b'\n')
    }

    /// The end of the line of a place.
    fn line_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        at + memchr::memchr(b'\n', rest).unwrap_or(rest.len())
    }

    fn skip_spaces(&self, mut at: usize) -> usize {
        while self.byte(at) == b' ' {
            at += 1;
        }
        at
    }

    /// Takes a line; whether there was one.
    fn line(&mut self) -> Option<bool> {
        let start = self.next;
        if start >= self.text.len() {
            return Some(false);
        }
        let at = self.skip_spaces(start);
        let column = at - start;
        match self.byte(at) {
            b'\n' => {
                self.next = at + 1;
                return Some(true);
            }
            b'#' => {
                self.next = self.line_end(at) + 1;
                return Some(true);
            }
            b'-' | b'.' | b'%' if column == 0 && !self.at_entry(at) => return None,
            _ => {}
        }
        while self.blocks.last().is_some_and(|block| block.column > column) {
            self.blocks.pop();
            self.open = Open::Nothing;
        }
        self.item(start, at, false)?;
        Some(true)
    }

    /// Whether a `-` with a blank after it is there.
    fn at_entry(&self, at: usize) -> bool {
        self.byte(at) == b'-' && matches!(self.byte(at + 1), b' ' | b'\n')
    }

    /// Takes what begins at `at`, on the line that starts at `start`; `value` after the `-` of a sequence.
    fn item(&mut self, start: usize, at: usize, value: bool) -> Option<()> {
        let column = at - start;
        if self.at_entry(at) {
            self.enter(column, Kind::Sequence)?;
            self.open = Open::Entry;
            let after = self.skip_spaces(at + 1);
            return match self.byte(after) {
                b'\n' | b'#' => self.finish(after),
                _ => self.item(start, after, true),
            };
        }
        match self.key(at) {
            Some((key, after)) => {
                self.enter(column, Kind::Map)?;
                if self.blocks.len() == 1 {
                    self.tops.push(Top { start, key });
                }
                self.value(self.skip_spaces(after))
            }
            None if value => self.value(at),
            None => None,
        }
    }

    /// Goes into a block at `column`, or on with it.
    fn enter(&mut self, column: usize, kind: Kind) -> Option<()> {
        let innermost = self.blocks.last().copied();
        match innermost {
            Some(block) if block.column == column && block.kind == kind => return Some(()),
            // A sequence that stands as deep as the key whose value it is ends with the next key.
            Some(Block { column: there, kind: Kind::Sequence }) if there == column => {
                self.blocks.pop();
                let outer = self.blocks.last().copied();
                return outer.filter(|outer| outer.column == column && outer.kind == kind).map(drop);
            }
            Some(block) if block.column > column => return None,
            // The outermost block is a map.
            None if kind == Kind::Sequence => return None,
            _ => {}
        }
        if self.open != Open::Entry || self.blocks.len() >= MAX_DEPTH {
            return None;
        }
        self.blocks.push(Block { column, kind });
        Some(())
    }

    /// Finds a key with its `:`, and gives the place after that.
    fn key(&self, at: usize) -> Option<(Range<usize>, usize)> {
        let (key, end) = match self.byte(at) {
            quote @ (b'"' | b'\'') => {
                let end = self.quoted(at)?;
                let key = at + 1..end - 1;
                let text = self.text.get(key.clone())?;
                if text.iter().any(|byte| *byte == b'\\' || *byte == quote) {
                    return None;
                }
                (key, end)
            }
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let rest = self.text.get(at..)?;
                let plain =
                    |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
                let end = at + rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len());
                let key = std::str::from_utf8(self.text.get(at..end)?).ok()?;
                if self.byte(end) != b':' || resolve(key) != Scalar::String {
                    return None;
                }
                (at..end, end)
            }
            _ => return None,
        };
        let ends = self.byte(end) == b':' && matches!(self.byte(end + 1), b' ' | b'\n');
        (ends && key.len() <= MAX_KEY).then_some((key, end + 1))
    }

    /// The place after a quoted scalar that ends on its line.
    fn quoted(&self, at: usize) -> Option<usize> {
        let quote = self.byte(at);
        let mut end = at + 1;
        loop {
            match self.byte(end) {
                b'\n' => return None,
                b'\\' if quote == b'"' => match self.byte(end + 1) {
                    b'"' | b'\\' | b'n' | b't' | b'r' => end += 2,
                    _ => return None,
                },
                byte if byte == quote => {
                    end += 1;
                    if quote == b'"' || self.byte(end) != b'\'' {
                        return Some(end);
                    }
                    end += 1;
                }
                _ => end += 1,
            }
        }
    }

    /// Takes the value of an entry.
    fn value(&mut self, at: usize) -> Option<()> {
        match self.byte(at) {
            b'\n' | b'#' => {
                self.open = Open::Entry;
                return self.finish(at);
            }
            _ => self.open = Open::Nothing,
        }
        match self.byte(at) {
            b'"' | b'\'' => self.finish(self.quoted(at)?),
            b'|' | b'>' => self.block_scalar(at + 1),
            b'{' if self.byte(at + 1) == b'}' => self.finish(at + 2),
            b'[' => self.finish(self.list(at + 1)?),
            b'-' if matches!(self.byte(at + 1), b' ' | b'\n') => None,
            // `.inf` and its like are no JSON.
            b'+' | b'-' if matches!(self.byte(at + 1), b'.' | b'i' | b'I' | b'n' | b'N') => None,
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'_'
            | b'-'
            | b'+'
            | b'/'
            | b'('
            | b'$'
            | b'~'
            | b'<'
            | b'='
            | b'^'
            | b'\\' => self.plain(at),
            _ => None,
        }
    }

    /// Takes the end of a line after a value: nothing, or a comment.
    fn finish(&mut self, at: usize) -> Option<()> {
        let end = self.skip_spaces(at);
        match self.byte(end) {
            b'\n' => self.next = end + 1,
            // A comment has a space before it.
            b'#' if end > at || self.byte(at.wrapping_sub(1)) == b' ' => self.next = self.line_end(end) + 1,
            _ => return None,
        }
        Some(())
    }

    /// Takes a plain scalar, which must end on its line: a line that goes on with it is no entry, and not accepted.
    fn plain(&mut self, at: usize) -> Option<()> {
        let end = self.line_end(at);
        let line = self.text.get(at..end)?;
        for (i, byte) in line.iter().enumerate() {
            let after = || line.get(i + 1);
            match byte {
                b'\t' => return None,
                b':' if matches!(after(), None | Some(b' ' | b'\t')) => return None,
                b'#' if i > 0 && line.get(i - 1) == Some(&b' ') => break,
                _ => {}
            }
        }
        self.next = end + 1;
        Some(())
    }

    /// The place after a list of scalars on one line.
    fn list(&self, at: usize) -> Option<usize> {
        let mut at = self.skip_spaces(at);
        if self.byte(at) == b']' {
            return Some(at + 1);
        }
        loop {
            at = match self.byte(at) {
                b'"' | b'\'' => self.quoted(at)?,
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'/' => {
                    let rest = self.text.get(at..)?;
                    let plain =
                        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
                    at + rest.iter().position(|byte| !plain(byte)).unwrap_or(rest.len())
                }
                _ => return None,
            };
            at = self.skip_spaces(at);
            match self.byte(at) {
                b',' => at = self.skip_spaces(at + 1),
                b']' => return Some(at + 1),
                _ => return None,
            }
        }
    }

    /// Takes a block scalar after its `|` or `>`.
    fn block_scalar(&mut self, at: usize) -> Option<()> {
        let at = if matches!(self.byte(at), b'+' | b'-') { at + 1 } else { at };
        self.finish(at)?;
        let outer = self.blocks.last()?.column;
        // The first line that is not blank decides how deep the scalar stands.
        let mut indent = 0;
        while self.next < self.text.len() {
            let first = self.skip_spaces(self.next);
            let column = first - self.next;
            match self.byte(first) {
                b'\n' if indent == 0 || column < indent => {
                    // Go: a blank line that is deeper than the first decides too.
                    if indent == 0 && column > outer {
                        return None;
                    }
                    self.next = first + 1;
                    continue;
                }
                b'\t' if indent == 0 || column < indent => return None,
                _ => {}
            }
            if column <= outer || column < indent {
                break;
            }
            if indent == 0 {
                indent = column;
            }
            self.next = self.line_end(first) + 1;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Value, parse, parse_some, reader};

    fn is_known(text: &str) -> bool {
        wanted_parts(&reader::decode(text.as_bytes()), |_| true).is_some()
    }

    #[test]
    fn manifests_are_known() {
        for text in [
            "a: 1\n",
            "# c\na: b # c\n\nc:\n  d: 'it''s'\n  e:\n  - f\n  - g: \"h\\n\"\n    i: {}\n  j: [\"k\", l]\n",
            "a: |\n\n  b: c\n    - d\n\n  e\nf: >-\n g\n",
            "a:\n- - b\n  - c\n- d:\n    e: -1\n",
            "a: |-\n  b\n # c\nd: e\n",
        ] {
            assert!(is_known(text), "{text}");
        }
    }

    #[test]
    fn what_is_odd_or_wrong_is_not_known() {
        for text in [
            "",
            "# c\n",
            "- a\n",
            "a: b: c\n",
            "a: b:\n",
            "a: b\n  c\n",
            "a:\n    b:\n  c: 1\n",
            "a:\n  b: 1\n c: 2\n",
            "a: &b c\n",
            "a: *b\n",
            "a: !!int 1\n",
            "a: {b: c}\n",
            "a: \"b\n  c\"\n",
            "a: 'b' c\n",
            "a: \"b\"# c\n",
            "a: []# c\n",
            "a: .inf\n",
            "a: -.inf\n",
            "null: a\n",
            "<<: a\n",
            "a: |\n   \n  b\n",
            "a: |\n\tb\n",
            "a:\tb\n",
            "a: |2\n  b\n",
            "a:\n- b\n c: d\n",
            "---\na: b\n",
            "a: b\n...\n",
            "a: b\r\n",
            "a: \u{2028}\n",
            "a: - b\n",
            "a: @b\n",
            "? a\n",
            "a\n",
            "a: b\n- c\n",
            "a:\n  - b\n- c\n",
        ] {
            assert!(!is_known(text), "{text}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 4096, failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever the outline accepts, the parser accepts, and finds the same entries.
        #[test]
        fn the_parser_agrees(lines in prop::collection::vec((0usize..5, prop::collection::vec(0usize..PIECES.len(), 1..4)), 1..8)) {
            let mut text = String::new();
            for (indent, pieces) in lines {
                text.push_str(&" ".repeat(indent));
                text.extend(pieces.into_iter().map(|piece| PIECES[piece]));
                text.push('\n');
            }
            let wanted = |key: &str| key == "a" || key == "kind";
            if is_known(&text) {
                let whole = parse(text.as_bytes());
                prop_assert!(whole.is_ok(), "{text}\n{whole:?}");
                let mut whole = whole.unwrap();
                if let Value::Object(entries) = &mut whole {
                    entries.retain(|key, _| wanted(key));
                }
                prop_assert_eq!(parse_some(text.as_bytes(), wanted).unwrap(), whole, "{}", text);
            }
        }
    }

    const PIECES: &[&str] = &[
        "a: ", "b: ", "a:", "b:", "kind: ", "'q': ", "\"q\":", "- ", "- ", "-", "x", "y z", "'s'",
        "\"d\\n\"", "[]", "{}", "[x, 'y']", "|", "|-", ">", ">+", " # c", "#", "1", "-1", "~", "null", " ",
        "  ", ": ", "\t", "?", "*a", "&a ", "{", "]", ",", "...", "---", "é", "'", "\"", "\\", "yes: ",
        "1: ", "null: ", ".inf", "<<: ",
    ];
}

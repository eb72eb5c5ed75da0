//! Reads YAML by its lines, as far as it is of the plain kind that manifests and values are made of.
//!
//! What is known here is block maps and sequences with scalars of one line, lists of such scalars, and block scalars:
//! whatever is accepted, the [scanner](crate::scanner) and all that comes after it accept too, and read the same. An
//! entry of the outermost map that is of another kind goes through them alone; what is wrong, or what cannot be told
//! apart, is left to them as a whole. Of a map of which a few entries are wanted the rest is checked, but not read.

mod build;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ops::Range;

use crate::Value;
use crate::reader::Source;
use crate::resolve::{Scalar, resolve};
use build::Builder;

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

/// Reads a text that is a map, as far as its entries are wanted, if all of it is known to be right.
pub(crate) fn read(source: &Source<'_>, wanted: impl Fn(&str) -> bool) -> Option<Value> {
    if source.fault.is_some() || source.marks > 0 || has_other_breaks(source.text.as_bytes()) {
        return None;
    }
    let mut outline = Outline {
        source: &source.text,
        text: source.text.as_bytes(),
        next: 0,
        line: 0,
        top: None,
        open: Open::Entry,
        blocks: Vec::new(),
        wanted,
        builder: Builder::default(),
    };
    loop {
        match outline.line() {
            Some(true) => {}
            Some(false) => break,
            None => outline.entry_alone()?,
        }
    }
    outline.builder.finish()
}

/// Whether there are other line breaks than `\n`.
fn has_other_breaks(text: &[u8]) -> bool {
    memchr::memchr3_iter(b'\r', 0xC2, 0xE2, text).any(|at| {
        matches!(text.get(at..), Some([b'\r', ..] | [0xC2, 0x85, ..] | [0xE2, 0x80, 0xA8 | 0xA9, ..]))
    })
}

struct Outline<'t, W> {
    source: &'t str,
    /// Its bytes.
    text: &'t [u8],
    /// Where the next line starts.
    next: usize,
    /// Where the last one that was taken starts.
    line: usize,
    /// Where the current entry of the outermost map starts, if it does so in the first column.
    top: Option<usize>,
    open: Open,
    blocks: Vec<Block>,
    /// Which entries of the outermost map are.
    wanted: W,
    builder: Builder,
}

impl<'t, W: Fn(&str) -> bool> Outline<'t, W> {
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
        self.line = start;
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
            b'-' if column == 0 && self.at_entry(at) => {}
            b'-' | b'.' | b'%' if column == 0 => {
                self.top = None;
                return None;
            }
            _ if column == 0 => {
                let at_top = self.blocks.first().is_none_or(|outermost| outermost.column == 0);
                self.top = at_top.then_some(start);
                while self.blocks.len() > 1 {
                    self.leave();
                }
                self.builder.mark();
            }
            _ => {}
        }
        while self.blocks.last().is_some_and(|block| block.column > column) {
            self.leave();
            self.open = Open::Nothing;
        }
        self.item(start, at, false)?;
        Some(true)
    }

    /// Whether a `-` with a blank after it is there.
    fn at_entry(&self, at: usize) -> bool {
        self.byte(at) == b'-' && matches!(self.byte(at + 1), b' ' | b'\n')
    }

    /// Reads the current entry of the outermost map with the parser: it may be of another kind.
    fn entry_alone(&mut self) -> Option<()> {
        let start = self.top?;
        let mut end = self.line;
        // What goes on with an entry that starts in the first column is deeper, or an item of a sequence.
        loop {
            end = self.line_end(end) + 1;
            match self.text.get(end) {
                Some(b' ' | b'#' | b'\n') => {}
                Some(b'-') if self.at_entry(end) => {}
                Some(byte) if may_begin_entry(*byte) => break,
                None => break,
                Some(_) => return None,
            }
        }
        let end = end.min(self.text.len());
        let part = self.source.get(start..end)?;
        // Anchors are known in the whole text.
        if !may_begin_entry(*self.text.get(start)?) || memchr::memchr2(b'&', b'*', part.as_bytes()).is_some()
        {
            return None;
        }
        // Were it wrong, its errors would have to name other lines.
        let part = Source { text: Cow::Borrowed(part), fault: None, marks: 0 };
        let mut value = crate::whole(&part).ok()?;
        let Value::Object(entries) = &mut value else { return None };
        self.blocks.truncate(1);
        if self.blocks.is_empty() {
            self.blocks.push(Block { column: 0, kind: Kind::Map });
            self.builder.open(Kind::Map);
        }
        let wanted = &self.wanted;
        let entries = std::mem::take(entries).into_iter().filter(|(key, _)| wanted(key));
        self.builder.replace(entries);
        self.open = Open::Nothing;
        self.next = end;
        Some(())
    }

    /// Takes what begins at `at`, on the line that starts at `start`; `value` after the `-` of a sequence.
    fn item(&mut self, start: usize, at: usize, value: bool) -> Option<()> {
        let column = at - start;
        if self.at_entry(at) {
            self.enter(column, Kind::Sequence)?;
            self.builder.item();
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
                let key = self.source.get(key)?;
                if self.blocks.len() == 1 {
                    self.builder.set_wanted((self.wanted)(key));
                }
                self.builder.key(key);
                self.value(self.skip_spaces(after))
            }
            None if value || self.is_list_below(at, column) => self.value(at),
            None => None,
        }
    }

    /// Whether the value of an entry begins with a bracket on a line of its own.
    fn is_list_below(&self, at: usize, column: usize) -> bool {
        let is_deeper = self.blocks.last().is_some_and(|block| block.column < column);
        is_deeper && self.open == Open::Entry && matches!(self.byte(at), b'[' | b'{')
    }

    /// Goes into a block at `column`, or on with it.
    fn enter(&mut self, column: usize, kind: Kind) -> Option<()> {
        let innermost = self.blocks.last().copied();
        match innermost {
            Some(block) if block.column == column && block.kind == kind => return Some(()),
            // A sequence that stands as deep as the key whose value it is ends with the next key.
            Some(Block { column: there, kind: Kind::Sequence }) if there == column => {
                self.leave();
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
        self.builder.open(kind);
        Some(())
    }

    /// Goes out of the innermost block.
    fn leave(&mut self) {
        self.blocks.pop();
        self.builder.close();
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
                let end = self.word_end(at);
                let key = self.source.get(at..end)?;
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

    /// The end of a word without anything that could mean something.
    fn word_end(&self, at: usize) -> usize {
        let rest = self.text.get(at..).unwrap_or_default();
        let in_word = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/');
        at + rest.iter().position(|byte| !in_word(byte)).unwrap_or(rest.len())
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
            b'"' | b'\'' => {
                let end = self.quoted(at)?;
                self.builder.quoted(self.source.get(at..end)?);
                self.finish(end)
            }
            b'|' | b'>' => self.block_scalar(at),
            b'{' if self.byte(at + 1) == b'}' => {
                self.builder.set(|| Value::Object(Default::default()));
                self.finish(at + 2)
            }
            b'[' => {
                self.builder.open(Kind::Sequence);
                let end = self.list(at + 1)?;
                self.builder.close();
                self.finish(end)
            }
            b'-' if matches!(self.byte(at + 1), b' ' | b'\n') => None,
            // `.inf` and its like are no JSON.
            b'+' | b'-' if matches!(self.byte(at + 1), b'.' | b'i' | b'I' | b'n' | b'N') => None,
            b'.' if matches!(self.byte(at + 1), b'i' | b'I' | b'n' | b'N') => None,
            b':' if matches!(self.byte(at + 1), b' ' | b'\t' | b'\n') => None,
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b'_'
            | b'-'
            | b'+'
            | b'.'
            | b':'
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
        let mut length = line.len();
        for (i, byte) in line.iter().enumerate() {
            match byte {
                b'\t' => return None,
                b':' if matches!(line.get(i + 1), None | Some(b' ' | b'\t')) => return None,
                b'#' if i > 0 && line.get(i - 1) == Some(&b' ') => {
                    length = i;
                    break;
                }
                _ => {}
            }
        }
        self.builder.plain(self.source.get(at..at + length)?.trim_end_matches(' '));
        self.next = end + 1;
        Some(())
    }

    /// The place after a list of scalars on one line.
    fn list(&mut self, at: usize) -> Option<usize> {
        let mut at = self.skip_spaces(at);
        if self.byte(at) == b']' {
            return Some(at + 1);
        }
        loop {
            self.builder.item();
            at = match self.byte(at) {
                b'"' | b'\'' => {
                    let end = self.quoted(at)?;
                    self.builder.quoted(self.source.get(at..end)?);
                    end
                }
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'/' => {
                    let end = self.word_end(at);
                    self.builder.plain(self.source.get(at..end)?);
                    end
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

    /// Takes a block scalar from its `|` or `>` on.
    fn block_scalar(&mut self, at: usize) -> Option<()> {
        let folded = self.byte(at) == b'>';
        let chomping = self.byte(at + 1);
        self.finish(if matches!(chomping, b'+' | b'-') { at + 2 } else { at + 1 })?;
        if folded && self.builder.is_wanted() {
            return None;
        }
        let outer = self.blocks.last()?.column;
        // The first line that is not blank decides how deep the scalar stands.
        let mut indent = 0;
        let (mut text, mut breaks) = (String::new(), 0);
        while self.next < self.text.len() {
            let first = self.skip_spaces(self.next);
            let column = first - self.next;
            if first >= self.text.len() {
                return None;
            }
            match self.byte(first) {
                b'\n' if indent == 0 || column <= indent => {
                    // Go: a blank line that is deeper than the first decides too.
                    if indent == 0 && column > outer {
                        return None;
                    }
                    self.next = first + 1;
                    breaks += 1;
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
            let end = self.line_end(first);
            if self.builder.is_wanted() {
                text.extend(std::iter::repeat_n('\n', breaks));
                text.push_str(self.source.get(self.next + indent..end)?);
            }
            breaks = usize::from(end < self.text.len());
            self.next = end + 1;
        }
        let kept = match chomping {
            b'-' => 0,
            b'+' => breaks,
            _ if indent > 0 => breaks.min(1),
            _ => 0,
        };
        text.extend(std::iter::repeat_n('\n', kept));
        self.builder.set(|| Value::String(text));
        Some(())
    }
}

/// Whether an entry of the outermost map may begin with this byte, where entries are told apart by that.
fn may_begin_entry(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'"' | b'\'')
}

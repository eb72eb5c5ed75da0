//! Decides how a string is written, and writes it.

use std::borrow::Cow;

use crate::chars::{at, break_width, is_blank, is_blankz, is_printable, width};
use crate::emitter::{Context, Emitter};
use crate::resolve::needs_quotes;
use crate::sorter::Order;

/// What a string looks like to the emitter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Analysis {
    multiline: bool,
    plain_allowed: bool,
    single_quoted_allowed: bool,
    block_allowed: bool,
}

/// How a scalar is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Notation {
    Plain,
    SingleQuoted,
    DoubleQuoted,
    Literal,
}

/// Keys above this many bytes need a `?`.
const LONGEST_SIMPLE_KEY: usize = 128;

/// The tag of strings that are no text, which version 3 writes in base64.
const BINARY: &[u8] = b"!!binary";

impl Emitter<'_> {
    /// Writes a scalar that is safe as it is.
    pub(crate) fn scalar(&mut self, text: &[u8]) {
        if !self.whitespace {
            self.put(b" ");
        }
        self.put(text);
        self.whitespace = false;
        self.indention = false;
    }

    /// Whether a key fits on one line before its `:`.
    pub(crate) fn is_simple_key(&self, key: usize) -> bool {
        let Some(&item) = self.tree.items.get(key) else {
            return true;
        };
        let text = self.tree.text(item);
        match std::str::from_utf8(text) {
            Ok(_) => text.len() <= LONGEST_SIMPLE_KEY && !has_break(text),
            Err(_) => {
                let encoded = crate::base64::encode(text);
                BINARY.len() + encoded.len() <= LONGEST_SIMPLE_KEY && !encoded.contains('\n')
            }
        }
    }

    /// Writes a string.
    pub(crate) fn text(&mut self, text: &[u8], context: Context) {
        let (value, quotes) = match std::str::from_utf8(text) {
            Ok(text) => (Cow::Borrowed(text), needs_quotes(text)),
            Err(_) => {
                if !self.whitespace {
                    self.put(b" ");
                }
                self.put(BINARY);
                self.whitespace = false;
                self.indention = false;
                (Cow::Owned(crate::base64::encode(text)), false)
            }
        };
        let bytes = value.as_bytes();
        let analysis = analyze(bytes, self.style.order);
        let outer = self.indent;
        self.indent = if outer < 0 { 2 } else { outer + 2 };
        let fold = context != Context::SimpleKey;
        match notation(bytes, analysis, quotes, context) {
            Notation::Plain => self.plain(bytes, fold),
            Notation::SingleQuoted => self.single_quoted(bytes, fold),
            Notation::DoubleQuoted => self.double_quoted(&value, fold),
            Notation::Literal => self.literal(bytes),
        }
        self.indent = outer;
    }

    /// Whether the line is long enough to be folded.
    fn is_full(&self) -> bool {
        self.column > self.style.width
    }

    /// Whether nothing of `length` bytes can make the line too long.
    fn fits(&self, length: usize) -> bool {
        self.style.width.saturating_sub(self.column) >= length
    }

    fn plain(&mut self, value: &[u8], fold: bool) {
        if !value.is_empty() && !self.whitespace {
            self.put(b" ");
        }
        if !fold || self.fits(value.len()) {
            self.put_text(value);
        } else {
            self.folded(value, 0, value.len());
        }
        self.whitespace = false;
        self.indention = false;
    }

    /// Writes text, and breaks the line at single spaces after the given place.
    fn folded(&mut self, value: &[u8], first: usize, last: usize) {
        let mut spaces = false;
        let mut start = 0;
        for (i, &b) in value.iter().enumerate() {
            if b != b' ' {
                spaces = false;
                continue;
            }
            self.put_text(value.get(start..i).unwrap_or_default());
            start = i;
            if !spaces && self.is_full() && i >= first && i < last && at(value, i + 1) != b' ' {
                self.write_indent();
                start = i + 1;
                // The new line starts with a word, and the break must not count as blank.
                self.indention = false;
            }
            spaces = true;
        }
        self.put_text(value.get(start..).unwrap_or_default());
    }

    fn single_quoted(&mut self, value: &[u8], fold: bool) {
        self.indicator(b"'", true, false, false);
        let last = value.len().saturating_sub(1);
        if has_break(value) {
            self.single_quoted_lines(value, fold);
        } else {
            let doubled: Cow<'_, [u8]> = if value.contains(&b'\'') {
                let mut doubled = Vec::with_capacity(value.len() + 8);
                for &b in value {
                    doubled.extend_from_slice(if b == b'\'' { b"''" } else { std::slice::from_ref(&b) });
                }
                Cow::Owned(doubled)
            } else {
                Cow::Borrowed(value)
            };
            let last = last + doubled.len() - value.len();
            if !fold || self.fits(doubled.len()) {
                self.put_text(&doubled);
            } else {
                self.folded(&doubled, 1, last);
            }
        }
        self.indicator(b"'", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    /// Writes a single-quoted string with the line breaks that need no escape.
    fn single_quoted_lines(&mut self, value: &[u8], fold: bool) {
        let mut spaces = false;
        let mut breaks = false;
        let mut i = 0;
        while i < value.len() {
            let w = width(at(value, i));
            let c = value.get(i..i + w).unwrap_or_default();
            if c == b" " {
                if fold
                    && !spaces
                    && self.is_full()
                    && i > 0
                    && i < value.len() - 1
                    && at(value, i + 1) != b' '
                {
                    self.write_indent();
                } else {
                    self.put(c);
                }
                spaces = true;
            } else if break_width(value, i) > 0 {
                if !breaks && c == b"\n" {
                    self.put_break();
                }
                self.text_break(c);
                breaks = true;
            } else {
                if breaks {
                    self.write_indent();
                }
                if c == b"'" {
                    self.put(c);
                }
                self.put_text(c);
                self.indention = false;
                spaces = false;
                breaks = false;
            }
            i += w;
        }
    }

    /// Writes a line break of the string itself.
    fn text_break(&mut self, c: &[u8]) {
        if c == b"\n" {
            self.put_break();
        } else {
            self.out.extend_from_slice(c);
            self.column = 0;
            self.indention = true;
        }
    }

    fn double_quoted(&mut self, value: &str, fold: bool) {
        self.indicator(b"\"", true, false, false);
        let bytes = value.as_bytes();
        // Go: `is_bom` looks at the start of the string wherever it is asked, so a string that starts with a
        // mark has all of its characters escaped.
        let marked = value.starts_with('\u{FEFF}');
        let mut spaces = false;
        for (i, c) in value.char_indices() {
            if marked || !is_printable(bytes, i) || break_width(bytes, i) > 0 || c == '"' || c == '\\' {
                self.escape(c);
                spaces = false;
            } else if c == ' ' {
                if fold && !spaces && self.is_full() && i > 0 && i < bytes.len() - 1 {
                    self.write_indent();
                    if at(bytes, i + 1) == b' ' {
                        self.put(b"\\");
                    }
                } else {
                    self.put(b" ");
                }
                spaces = true;
            } else {
                self.put_text(bytes.get(i..i + c.len_utf8()).unwrap_or_default());
                spaces = false;
            }
        }
        self.indicator(b"\"", false, false, false);
        self.whitespace = false;
        self.indention = false;
    }

    /// Writes the escape of a character.
    fn escape(&mut self, c: char) {
        let short = match c {
            '\0' => "\\0",
            '\x07' => "\\a",
            '\x08' => "\\b",
            '\t' => "\\t",
            '\n' => "\\n",
            '\x0B' => "\\v",
            '\x0C' => "\\f",
            '\r' => "\\r",
            '\x1B' => "\\e",
            '"' => "\\\"",
            '\\' => "\\\\",
            '\u{85}' => "\\N",
            '\u{A0}' => "\\_",
            '\u{2028}' => "\\L",
            '\u{2029}' => "\\P",
            _ => {
                let code = u32::from(c);
                let long = match code {
                    ..=0xFF => format!("\\x{code:02X}"),
                    0x100..=0xFFFF => format!("\\u{code:04X}"),
                    _ => format!("\\U{code:08X}"),
                };
                self.put(long.as_bytes());
                return;
            }
        };
        self.put(short.as_bytes());
    }

    fn literal(&mut self, value: &[u8]) {
        self.indicator(b"|", true, false, false);
        if at(value, 0) == b' ' || break_width(value, 0) > 0 {
            self.indicator(b"2", false, false, false);
        }
        if let Some(hint) = chomping(value) {
            self.indicator(hint, false, false, false);
        }
        self.put_break();
        self.whitespace = true;
        let mut breaks = true;
        let mut i = 0;
        while i < value.len() {
            let w = break_width(value, i);
            if w > 0 {
                self.text_break(value.get(i..i + w).unwrap_or_default());
                breaks = true;
                i += w;
                continue;
            }
            if breaks {
                self.write_indent();
            }
            let mut end = i + 1;
            while end < value.len() && break_width(value, end) == 0 {
                end += 1;
            }
            self.put_text(value.get(i..end).unwrap_or_default());
            self.indention = false;
            breaks = false;
            i = end;
        }
    }
}

/// Gives the hint on what becomes of the line breaks at the end of a block.
fn chomping(value: &[u8]) -> Option<&'static [u8]> {
    let start_of_last = |end: usize| (0..end).rev().find(|&i| at(value, i) & 0xC0 != 0x80).unwrap_or(0);
    let last = start_of_last(value.len());
    if break_width(value, last) == 0 {
        return Some(b"-");
    }
    if last == 0 || break_width(value, start_of_last(last)) > 0 {
        return Some(b"+");
    }
    None
}

/// Whether the text has a line break.
fn has_break(text: &[u8]) -> bool {
    text.iter()
        .enumerate()
        .any(|(i, &b)| matches!(b, b'\n' | b'\r' | 0xC2 | 0xE2) && break_width(text, i) > 0)
}

/// Looks at a string as `yaml_emitter_analyze_scalar` does, for block style.
fn analyze(value: &[u8], order: Order) -> Analysis {
    let mut block_indicators = matches!(value, [b'-', b'-', b'-', ..] | [b'.', b'.', b'.', ..]);
    let mut line_breaks = false;
    let mut special = false;
    let mut tabs = false;
    let (mut leading_space, mut leading_break) = (false, false);
    let (mut trailing_space, mut trailing_break) = (false, false);
    let (mut break_space, mut space_break) = (false, false);
    let (mut previous_space, mut previous_break) = (false, false);
    let mut preceded_by_whitespace = true;
    if value.is_empty() {
        return Analysis {
            multiline: false,
            plain_allowed: true,
            single_quoted_allowed: true,
            block_allowed: false,
        };
    }
    let mut i = 0;
    while i < value.len() {
        let b = at(value, i);
        // Most bytes are none of what follows.
        if b.is_ascii_alphanumeric() && i > 0 {
            previous_space = false;
            previous_break = false;
            preceded_by_whitespace = false;
            i += 1;
            continue;
        }
        let w = width(b);
        let last = i + w >= value.len();
        let followed_by_whitespace = last || is_blank(value, i + w);
        block_indicators |= match b {
            b',' | b'[' | b']' | b'{' | b'}' | b'&' | b'*' | b'!' | b'|' | b'>' | b'\'' | b'"' | b'%'
            | b'@' | b'`' => i == 0,
            b'#' => preceded_by_whitespace,
            b'?' | b'-' => i == 0 && followed_by_whitespace,
            b':' => followed_by_whitespace,
            _ => false,
        };
        if b == b'\t' && order == Order::V3 {
            tabs = true;
        } else if !is_printable(value, i) {
            special = true;
        }
        let is_space = b == b' ';
        let is_break = break_width(value, i) > 0;
        if is_space {
            leading_space |= i == 0;
            trailing_space |= last;
            break_space |= previous_break;
        } else if is_break {
            line_breaks = true;
            leading_break |= i == 0;
            trailing_break |= last;
            space_break |= previous_space;
        }
        previous_space = is_space;
        previous_break = is_break;
        preceded_by_whitespace = is_blankz(value, i);
        i += w;
    }
    let odd = space_break || special;
    Analysis {
        multiline: line_breaks,
        plain_allowed: !(leading_space
            || leading_break
            || trailing_space
            || trailing_break
            || break_space
            || odd
            || tabs
            || line_breaks
            || block_indicators),
        single_quoted_allowed: !(break_space || odd || tabs),
        block_allowed: !(trailing_space || odd),
    }
}

/// Decides on the notation of a string.
fn notation(value: &[u8], analysis: Analysis, quotes: bool, context: Context) -> Notation {
    let simple_key = context == Context::SimpleKey;
    if value.contains(&b'\n') {
        return if analysis.block_allowed && !simple_key {
            Notation::Literal
        } else {
            Notation::DoubleQuoted
        };
    }
    if quotes || (simple_key && analysis.multiline) {
        Notation::DoubleQuoted
    } else if analysis.plain_allowed && !(value.is_empty() && simple_key) {
        Notation::Plain
    } else if analysis.single_quoted_allowed {
        Notation::SingleQuoted
    } else {
        Notation::DoubleQuoted
    }
}

//! Scans scalars: plain, quoted and in blocks.
//!
//! Most scalars are a run of the text as it is, and borrowed. The first fold or escape makes an owned copy.

use std::borrow::Cow;

use crate::chars::{is_blank, is_blankz, is_break};
use crate::scanner::Scanner;
use crate::token::Problem;

/// The text of a scalar while it is scanned.
struct Text<'a> {
    source: &'a str,
    /// The run that is not copied yet, or nothing as long as the run is all there is.
    start: usize,
    end: usize,
    owned: Option<String>,
}

impl<'a> Text<'a> {
    fn new(source: &'a str, start: usize) -> Self {
        Self { source, start, end: start, owned: None }
    }

    /// Adds a run of the source; runs that touch stay one.
    fn run(&mut self, start: usize, end: usize) {
        if start != self.end {
            self.flush();
            self.start = start;
        }
        self.end = end;
    }

    /// Adds text that is not in the source.
    fn insert(&mut self, text: &str) {
        self.flush();
        self.owned.get_or_insert_default().push_str(text);
    }

    fn insert_char(&mut self, c: char) {
        self.flush();
        self.owned.get_or_insert_default().push(c);
    }

    /// Copies the run.
    fn flush(&mut self) {
        let run = self.source.get(self.start..self.end).unwrap_or_default();
        if !run.is_empty() {
            self.owned.get_or_insert_default().push_str(run);
        }
        self.start = self.end;
    }

    fn finish(mut self) -> Cow<'a, str> {
        if self.owned.is_none() {
            return Cow::Borrowed(self.source.get(self.start..self.end).unwrap_or_default());
        }
        self.flush();
        Cow::Owned(self.owned.unwrap_or_default())
    }
}

/// White space between the words of a flow scalar.
#[derive(Default)]
struct Gap {
    /// Blanks before the first line break.
    start: usize,
    end: usize,
    first: Option<&'static str>,
    more: String,
}

impl Gap {
    /// Folds the gap into the text: a single break becomes a space.
    fn fold(&mut self, text: &mut Text<'_>) {
        match self.first.take() {
            None => {
                if self.end > self.start {
                    text.run(self.start, self.end);
                }
            }
            Some("\n") if self.more.is_empty() => text.insert(" "),
            Some("\n") => text.insert(&self.more),
            Some(first) => {
                text.insert(first);
                text.insert(&self.more);
            }
        }
        self.more.clear();
        self.start = 0;
        self.end = 0;
    }
}

/// Whether a byte may end a run of a plain scalar in a block.
const fn stops_plain(b: u8) -> bool {
    matches!(b, 0 | b' ' | b'\t' | b'\r' | b'\n' | b':' | 0xC2 | 0xE2)
}

/// Whether a byte may end a run of a plain scalar in a flow collection.
const fn stops_flow_plain(b: u8) -> bool {
    stops_plain(b) || matches!(b, b',' | b'?' | b'[' | b']' | b'{' | b'}')
}

/// Whether a byte may end a run of a quoted scalar.
const fn stops_quoted(b: u8) -> bool {
    matches!(b, 0 | b' ' | b'\t' | b'\r' | b'\n' | b'\'' | b'"' | b'\\' | 0xC2 | 0xE2)
}

/// Makes a table of a class.
macro_rules! table {
    ($class:ident) => {{
        let mut table = [false; 256];
        let mut b = 0;
        while b < 256 {
            table[b] = $class(b as u8);
            b += 1;
        }
        table
    }};
}

static PLAIN: [bool; 256] = table!(stops_plain);
static FLOW_PLAIN: [bool; 256] = table!(stops_flow_plain);
static QUOTED: [bool; 256] = table!(stops_quoted);

impl<'a> Scanner<'a> {
    /// Counts the bytes ahead that are not in the class.
    #[inline]
    fn run_length(&self, stops: &[bool; 256]) -> usize {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        rest.iter().position(|&b| stops.get(usize::from(b)).copied().unwrap_or(true)).unwrap_or(rest.len())
    }

    /// Scans a plain scalar, and says whether it ended on a later line.
    pub(crate) fn scan_plain_scalar(&mut self) -> Result<(Cow<'a, str>, bool), Problem> {
        let start = self.mark.line;
        let indent = self.indent + 1;
        let flow = self.flow_level > 0;
        let stops = if flow { &FLOW_PLAIN } else { &PLAIN };
        let mut text = Text::new(self.text, self.position);
        let mut gap = Gap::default();
        let mut leading_blanks = false;
        loop {
            self.need(4)?;
            if self.mark.column == 0 && self.at_document_indicator() {
                break;
            }
            if self.byte(0) == b'#' {
                break;
            }
            loop {
                let run = self.run_length(stops);
                if run > 0 {
                    self.extend_plain(&mut text, &mut gap, &mut leading_blanks, run);
                }
                match self.byte(0) {
                    b':' if is_blankz(self.bytes, self.position + 1) => break,
                    b':' => self.extend_plain(&mut text, &mut gap, &mut leading_blanks, 1),
                    // Lead bytes of breaks that are no break here.
                    b @ (0xC2 | 0xE2) if !is_break(self.bytes, self.position) => {
                        let width = crate::chars::width(b);
                        self.extend_plain(&mut text, &mut gap, &mut leading_blanks, width);
                    }
                    _ => break,
                }
            }
            self.need(2)?;
            if !(is_blank(self.bytes, self.position) || is_break(self.bytes, self.position)) {
                break;
            }
            loop {
                if is_blank(self.bytes, self.position) {
                    if leading_blanks && (self.mark.column as isize) < indent && self.byte(0) == b'\t' {
                        return Err(self.problem("found a tab character that violates indentation", start));
                    }
                    if !leading_blanks {
                        if gap.end == 0 {
                            gap.start = self.position;
                        }
                        gap.end = self.position + 1;
                    }
                    self.advance(1);
                } else if is_break(self.bytes, self.position) {
                    self.need(2)?;
                    let text = self.read_break();
                    if leading_blanks {
                        gap.more.push_str(text);
                    } else {
                        gap.first = Some(text);
                        leading_blanks = true;
                    }
                } else {
                    break;
                }
                self.need(1)?;
            }
            if !flow && (self.mark.column as isize) < indent {
                break;
            }
        }
        Ok((text.finish(), leading_blanks))
    }

    /// Adds the gap and the next bytes to a plain scalar.
    #[inline]
    fn extend_plain(&mut self, text: &mut Text<'a>, gap: &mut Gap, leading_blanks: &mut bool, bytes: usize) {
        if *leading_blanks || gap.end > gap.start {
            gap.fold(text);
            *leading_blanks = false;
        }
        text.run(self.position, self.position + bytes);
        self.advance(bytes);
    }

    /// Scans a quoted scalar.
    pub(crate) fn scan_flow_scalar(&mut self, single: bool) -> Result<Cow<'a, str>, Problem> {
        let start = self.mark.line;
        let quote = if single { b'\'' } else { b'"' };
        self.advance(1);
        let mut text = Text::new(self.text, self.position);
        let mut gap = Gap::default();
        loop {
            self.need(4)?;
            if self.mark.column == 0 && self.at_document_indicator() {
                return Err(self.problem("found unexpected document indicator", start));
            }
            if self.byte(0) == 0 {
                return Err(self.problem("found unexpected end of stream", start));
            }
            let mut leading_blanks = false;
            loop {
                let run = self.run_length(&QUOTED);
                if run > 0 {
                    text.run(self.position, self.position + run);
                    self.advance(run);
                }
                self.need(2)?;
                match self.byte(0) {
                    b'\'' if single && self.byte(1) == b'\'' => {
                        // The first of the two is text already, the second is not wanted.
                        text.run(self.position, self.position + 1);
                        self.advance(2);
                    }
                    b if b == quote => break,
                    b'\\' if !single && is_break(self.bytes, self.position + 1) => {
                        self.need(3)?;
                        self.advance(1);
                        self.read_break();
                        leading_blanks = true;
                        break;
                    }
                    b'\\' if !single => {
                        let c = self.scan_escape(start)?;
                        text.insert_char(c);
                    }
                    b'\'' | b'"' | b'\\' => {
                        text.run(self.position, self.position + 1);
                        self.advance(1);
                    }
                    b @ (0xC2 | 0xE2) if !is_break(self.bytes, self.position) => {
                        let width = crate::chars::width(b);
                        text.run(self.position, self.position + width);
                        self.advance(width);
                    }
                    _ => break,
                }
            }
            self.need(1)?;
            if self.byte(0) == quote {
                break;
            }
            // Go: a break that was escaped leaves nothing to fold but the breaks after it.
            let mut blanks = (self.position, self.position);
            let mut first = None;
            loop {
                if is_blank(self.bytes, self.position) {
                    if !leading_blanks {
                        blanks.1 = self.position + 1;
                    }
                    self.advance(1);
                } else if is_break(self.bytes, self.position) {
                    self.need(2)?;
                    let text = self.read_break();
                    if leading_blanks {
                        gap.more.push_str(text);
                    } else {
                        first = Some(text);
                        leading_blanks = true;
                    }
                } else {
                    break;
                }
                self.need(1)?;
            }
            if leading_blanks {
                match first {
                    Some("\n") if gap.more.is_empty() => text.insert(" "),
                    Some("\n") => text.insert(&gap.more),
                    first => {
                        text.insert(first.unwrap_or_default());
                        text.insert(&gap.more);
                    }
                }
                gap.more.clear();
            } else if blanks.1 > blanks.0 {
                text.run(blanks.0, blanks.1);
            }
        }
        self.advance(1);
        Ok(text.finish())
    }

    /// Decodes an escape of a double-quoted scalar.
    fn scan_escape(&mut self, start: usize) -> Result<char, Problem> {
        let (c, digits) = match self.byte(1) {
            b'0' => ('\0', 0),
            b'a' => ('\x07', 0),
            b'b' => ('\x08', 0),
            b't' | b'\t' => ('\t', 0),
            b'n' => ('\n', 0),
            b'v' => ('\x0B', 0),
            b'f' => ('\x0C', 0),
            b'r' => ('\r', 0),
            b'e' => ('\x1B', 0),
            b' ' => (' ', 0),
            b'"' => ('"', 0),
            b'\'' => ('\'', 0),
            b'\\' => ('\\', 0),
            b'N' => ('\u{85}', 0),
            b'_' => ('\u{A0}', 0),
            b'L' => ('\u{2028}', 0),
            b'P' => ('\u{2029}', 0),
            b'x' => ('\0', 2),
            b'u' => ('\0', 4),
            b'U' => ('\0', 8),
            _ => return Err(self.problem("found unknown escape character", start)),
        };
        self.advance(2);
        if digits == 0 {
            return Ok(c);
        }
        self.need(digits)?;
        let mut value = 0u32;
        for offset in 0..digits {
            let Some(digit) = char::from(self.byte(offset)).to_digit(16) else {
                return Err(self.problem("did not find expected hexdecimal number", start));
            };
            value = value << 4 | digit;
        }
        let Some(c) = char::from_u32(value) else {
            return Err(self.problem("found invalid Unicode character escape code", start));
        };
        self.advance(digits);
        Ok(c)
    }

    /// Scans a literal or folded block.
    pub(crate) fn scan_block_scalar(&mut self, literal: bool) -> Result<Cow<'a, str>, Problem> {
        let start = self.mark.line;
        self.advance(1);
        self.need(1)?;
        let mut keep: Option<bool> = None;
        let mut increment = 0;
        for _ in 0..2 {
            match self.byte(0) {
                sign @ (b'+' | b'-') if keep.is_none() => {
                    keep = Some(sign == b'+');
                    self.advance(1);
                }
                b'0' if increment == 0 => {
                    return Err(self.problem("found an indentation indicator equal to 0", start));
                }
                digit @ b'1'..=b'9' if increment == 0 => {
                    increment = isize::from((digit - b'0') as i8);
                    self.advance(1);
                }
                _ => break,
            }
            self.need(1)?;
        }
        self.finish_line(start)?;

        let mut indent = if increment > 0 { self.indent.max(0) + increment } else { 0 };
        let mut text = Text::new(self.text, self.position);
        let mut breaks = String::new();
        let mut leading_break = "";
        let mut leading_blank = false;
        self.scan_block_breaks(&mut indent, &mut breaks, start)?;
        self.need(1)?;
        while self.mark.column as isize == indent && self.byte(0) != 0 {
            let trailing_blank = is_blank(self.bytes, self.position);
            if !literal && leading_break == "\n" && !leading_blank && !trailing_blank {
                if breaks.is_empty() {
                    text.insert(" ");
                }
            } else if !leading_break.is_empty() {
                text.insert(leading_break);
            }
            if !breaks.is_empty() {
                text.insert(&breaks);
                breaks.clear();
            }
            leading_blank = trailing_blank;
            let run = self.to_break();
            text.run(self.position, self.position + run);
            self.advance(run);
            self.need(2)?;
            leading_break = if is_break(self.bytes, self.position) { self.read_break() } else { "" };
            self.scan_block_breaks(&mut indent, &mut breaks, start)?;
        }
        if keep != Some(false) && !leading_break.is_empty() {
            text.insert(leading_break);
        }
        if keep == Some(true) && !breaks.is_empty() {
            text.insert(&breaks);
        }
        Ok(text.finish())
    }

    /// Skips the indentation of a block and its empty lines, and finds how deep it is if that is not known.
    fn scan_block_breaks(
        &mut self,
        indent: &mut isize,
        breaks: &mut String,
        start: usize,
    ) -> Result<(), Problem> {
        let mut deepest = 0;
        loop {
            self.need(1)?;
            let mut run = 0;
            let column = self.mark.column as isize;
            while (*indent == 0 || column + (run as isize) < *indent) && self.byte(run) == b' ' {
                run += 1;
            }
            self.advance(run);
            self.need(1)?;
            let column = self.mark.column as isize;
            deepest = deepest.max(column);
            if (*indent == 0 || column < *indent) && self.byte(0) == b'\t' {
                return Err(
                    self.problem("found a tab character where an indentation space is expected", start)
                );
            }
            if !is_break(self.bytes, self.position) {
                break;
            }
            self.need(2)?;
            breaks.push_str(self.read_break());
        }
        if *indent == 0 {
            *indent = deepest.max(self.indent + 1).max(1);
        }
        Ok(())
    }
}

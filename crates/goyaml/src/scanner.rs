//! Cuts a text into tokens, as libyaml's scanner in go-yaml 2 does.
//!
//! What makes YAML hard is here: indentation becomes block tokens, and a key is known to be one only when
//! its `:` is seen, so tokens queue up behind a possible key. Scalars borrow from the text unless folding or
//! escapes change them; [`scalar`](crate::scalar) scans them.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::chars::{at, break_width, is_alpha, is_blank, is_blankz, is_break, is_breakz};
use crate::reader::Source;
use crate::token::{Kind, Problem, Token};

/// The deepest nesting, of blocks and of flow collections each.
const MAX_DEPTH: usize = 10_000;

/// A place in the text.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mark {
    /// Characters since the start.
    pub(crate) index: usize,
    pub(crate) line: usize,
    pub(crate) column: usize,
}

/// A place where a key may have started.
#[derive(Debug, Clone, Copy, Default)]
struct SimpleKey {
    possible: bool,
    /// Whether anything but a key is an error there.
    required: bool,
    /// Whether the head of the queue waits for it. Go: kept apart from `possible`, and lost at times.
    registered: bool,
    token_number: usize,
    mark: Mark,
}

/// The scanner.
pub(crate) struct Scanner<'a> {
    pub(crate) text: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) position: usize,
    pub(crate) mark: Mark,
    /// Whether every byte is a character.
    ascii: bool,
    fault: Option<&'static str>,
    marks: Cell<usize>,
    started: bool,
    tokens: VecDeque<Token<'a>>,
    tokens_parsed: usize,
    token_available: bool,
    /// The current indentation, -1 outside of every block.
    pub(crate) indent: isize,
    indents: Vec<isize>,
    simple_key_allowed: bool,
    simple_keys: Vec<SimpleKey>,
    pub(crate) flow_level: usize,
}

impl<'a> Scanner<'a> {
    /// Starts to scan a decoded text.
    pub(crate) fn new(source: &'a Source<'a>) -> Self {
        Self {
            text: &source.text,
            bytes: source.text.as_bytes(),
            position: 0,
            mark: Mark::default(),
            ascii: source.text.is_ascii(),
            fault: source.fault,
            marks: Cell::new(source.marks),
            started: false,
            tokens: VecDeque::with_capacity(16),
            tokens_parsed: 0,
            token_available: false,
            indent: -1,
            indents: Vec::new(),
            simple_key_allowed: true,
            simple_keys: vec![SimpleKey::default()],
            flow_level: 0,
        }
    }

    /// Gives the next token without consuming it. After the end of the stream, that is the end again.
    pub(crate) fn peek(&mut self) -> Result<&Token<'a>, Problem> {
        if !self.token_available {
            self.fetch_more_tokens()?;
        }
        match self.tokens.front() {
            Some(token) => Ok(token),
            None => Err(Problem::plain("unknown problem parsing YAML content")),
        }
    }

    /// Consumes the next token.
    pub(crate) fn next(&mut self) -> Result<Token<'a>, Problem> {
        if !self.token_available {
            self.fetch_more_tokens()?;
        }
        self.token_available = false;
        self.tokens_parsed += 1;
        self.tokens.pop_front().ok_or_else(|| Problem::plain("unknown problem parsing YAML content"))
    }

    /// Gives the byte `offset` bytes ahead.
    #[inline]
    pub(crate) fn byte(&self, offset: usize) -> u8 {
        at(self.bytes, self.position + offset)
    }

    /// Reports the fault of the input if fewer than `count` characters are left before it.
    #[inline]
    pub(crate) fn need(&self, count: usize) -> Result<(), Problem> {
        if self.fault.is_none() && self.marks.get() == 0 { Ok(()) } else { self.refill(count) }
    }

    #[cold]
    fn refill(&self, count: usize) -> Result<(), Problem> {
        let left =
            |end: usize| self.text.get(self.position..end).map_or(0, |rest| rest.chars().take(count).count());
        if left(self.marks.get()) < count {
            self.marks.set(0);
        }
        match self.fault {
            Some(fault) if left(self.text.len()) < count => Err(Problem::plain(fault)),
            _ => Ok(()),
        }
    }

    /// Steps over `bytes` bytes of whole characters, none of them a line break.
    #[inline]
    pub(crate) fn advance(&mut self, bytes: usize) {
        let characters = if self.ascii { bytes } else { self.characters(bytes) };
        self.position += bytes;
        self.mark.index += characters;
        self.mark.column += characters;
    }

    fn characters(&self, bytes: usize) -> usize {
        let run = self.bytes.get(self.position..self.position + bytes).unwrap_or_default();
        run.iter().filter(|&&b| b & 0xC0 != 0x80).count()
    }

    /// Steps over one character, whatever it is.
    #[inline]
    pub(crate) fn skip(&mut self) {
        if self.position < self.bytes.len() {
            self.position += crate::chars::width(self.byte(0));
        }
        self.mark.index += 1;
        self.mark.column += 1;
    }

    /// Steps over a line break and gives what folding makes of it.
    #[inline]
    pub(crate) fn read_break(&mut self) -> &'static str {
        let (width, index, text) = match self.byte(0) {
            b'\r' if self.byte(1) == b'\n' => (2, 2, "\n"),
            b'\r' | b'\n' => (1, 1, "\n"),
            0xC2 => (2, 1, "\n"),
            _ if self.byte(2) == 0xA8 => (3, 1, "\u{2028}"),
            _ => (3, 1, "\u{2029}"),
        };
        self.position += width;
        self.mark.index += index;
        self.mark.column = 0;
        self.mark.line += 1;
        text
    }

    /// A problem at the current place.
    pub(crate) fn problem(&self, message: &'static str, context_line: usize) -> Problem {
        Problem::scanner(message, self.mark.line).within(context_line)
    }

    /// Fetches tokens until the first is sure not to follow an unseen key indicator.
    fn fetch_more_tokens(&mut self) -> Result<(), Problem> {
        loop {
            if !self.tokens.is_empty() {
                match self.waiting_key() {
                    None => break,
                    Some(key) => {
                        if !self.simple_key_is_valid(key)? {
                            break;
                        }
                    }
                }
            }
            self.fetch_next_token()?;
        }
        self.token_available = true;
        Ok(())
    }

    /// Finds the possible key that the first token of the queue would belong to.
    #[inline]
    fn waiting_key(&self) -> Option<usize> {
        // Levels open one after the other, so their token numbers ascend.
        let number = self.tokens_parsed;
        let first = self.simple_keys.partition_point(|key| key.token_number < number);
        let tail = self.simple_keys.get(first..)?;
        let offset =
            tail.iter().take_while(|key| key.token_number == number).position(|key| key.registered)?;
        Some(first + offset)
    }

    fn fetch_next_token(&mut self) -> Result<(), Problem> {
        self.need(1)?;
        if !self.started {
            self.started = true;
            self.push(Kind::StreamStart, self.mark);
            return Ok(());
        }
        self.scan_to_next_token()?;
        self.unroll_indent(self.mark.column as isize);
        self.need(4)?;
        let first = self.byte(0);
        let blank_next = is_blankz(self.bytes, self.position + 1);
        if self.mark.column == 0 {
            match first {
                0 => {}
                b'%' => return self.fetch_directive(),
                b'-' | b'.' if self.at_document_indicator() => {
                    let kind = if first == b'-' { Kind::DocumentStart } else { Kind::DocumentEnd };
                    return self.fetch_document_indicator(kind);
                }
                _ => {}
            }
        }
        let block = self.flow_level == 0;
        match first {
            0 => self.fetch_stream_end(),
            b'[' => self.fetch_flow_start(Kind::FlowSequenceStart),
            b'{' => self.fetch_flow_start(Kind::FlowMappingStart),
            b']' => self.fetch_flow_end(Kind::FlowSequenceEnd),
            b'}' => self.fetch_flow_end(Kind::FlowMappingEnd),
            b',' => self.fetch_flow_entry(),
            b'-' if blank_next => self.fetch_block_entry(),
            b'?' if !block || blank_next => self.fetch_key(),
            b':' if !block || blank_next => self.fetch_value(),
            b'*' => self.fetch_anchor(true),
            b'&' => self.fetch_anchor(false),
            b'!' => self.fetch_tag(),
            b'|' if block => self.fetch_block_scalar(true),
            b'>' if block => self.fetch_block_scalar(false),
            b'\'' => self.fetch_flow_scalar(true),
            b'"' => self.fetch_flow_scalar(false),
            b'#' | b'|' | b'>' | b'%' | b'@' | b'`' | b'\t' => Err(self.no_token()),
            // The other break characters have been skipped, so what is left starts a plain scalar.
            _ => self.fetch_plain_scalar(),
        }
    }

    fn no_token(&self) -> Problem {
        self.problem("found character that cannot start any token", self.mark.line)
    }

    /// Whether `---` or `...` is here, followed by a blank.
    #[inline]
    pub(crate) fn at_document_indicator(&self) -> bool {
        let first = self.byte(0);
        (first == b'-' || first == b'.')
            && self.byte(1) == first
            && self.byte(2) == first
            && is_blankz(self.bytes, self.position + 3)
    }

    /// Appends a token.
    fn push(&mut self, kind: Kind<'a>, mark: Mark) {
        self.tokens.push_back(Token { kind, line: mark.line });
    }

    /// Inserts a token as number `number` of the stream; Go: one that is gone already puts it at the end.
    fn insert(&mut self, number: usize, kind: Kind<'a>, mark: Mark) {
        let token = Token { kind, line: mark.line };
        match number.checked_sub(self.tokens_parsed) {
            Some(index) if index <= self.tokens.len() => self.tokens.insert(index, token),
            _ => self.tokens.push_back(token),
        }
    }

    /// Whether a possible key may still turn out to be one.
    fn simple_key_is_valid(&mut self, index: usize) -> Result<bool, Problem> {
        let mark = self.mark;
        let Some(key) = self.simple_keys.get_mut(index).filter(|key| key.possible) else {
            return Ok(false);
        };
        if key.mark.line < mark.line || key.mark.index + 1024 < mark.index {
            if key.required {
                let line = key.mark.line;
                return Err(self.problem("could not find expected ':'", line));
            }
            key.possible = false;
            return Ok(false);
        }
        Ok(true)
    }

    /// Notes that a key may start here.
    fn save_simple_key(&mut self) -> Result<(), Problem> {
        if self.simple_key_allowed {
            let required = self.flow_level == 0 && self.indent == self.mark.column as isize;
            self.remove_simple_key()?;
            let token_number = self.tokens_parsed + self.tokens.len();
            let mark = self.mark;
            if let Some(key) = self.simple_keys.last_mut() {
                *key = SimpleKey { possible: true, required, registered: true, token_number, mark };
            }
        }
        Ok(())
    }

    /// Gives up the possible key of the current level.
    fn remove_simple_key(&mut self) -> Result<(), Problem> {
        if let Some(key) = self.simple_keys.last_mut()
            && key.possible
        {
            if key.required {
                let line = key.mark.line;
                return Err(self.problem("could not find expected ':'", line));
            }
            key.possible = false;
            key.registered = false;
        }
        Ok(())
    }

    fn increase_flow_level(&mut self) -> Result<(), Problem> {
        let token_number = self.tokens_parsed + self.tokens.len();
        self.simple_keys.push(SimpleKey { token_number, mark: self.mark, ..SimpleKey::default() });
        self.flow_level += 1;
        if self.flow_level > MAX_DEPTH {
            return Err(self.problem("exceeded max depth of 10000", self.mark.line));
        }
        Ok(())
    }

    fn decrease_flow_level(&mut self) {
        if self.flow_level > 0 {
            self.flow_level -= 1;
            if let Some(gone) = self.simple_keys.pop()
                && let Some(below) = self.simple_keys.last_mut()
                && below.token_number == gone.token_number
            {
                // Go: an empty collection forgets that its own start may be a key.
                below.registered = false;
            }
        }
    }

    /// Opens a block if the column is deeper than the current one.
    fn roll_indent(&mut self, mark: Mark, number: Option<usize>, kind: Kind<'a>) -> Result<(), Problem> {
        let column = mark.column as isize;
        if self.flow_level > 0 || self.indent >= column {
            return Ok(());
        }
        self.indents.push(self.indent);
        self.indent = column;
        if self.indents.len() > MAX_DEPTH {
            let line = self.simple_keys.last().map_or(0, |key| key.mark.line);
            return Err(self.problem("exceeded max depth of 10000", line));
        }
        match number {
            Some(number) => self.insert(number, kind, mark),
            None => self.push(kind, mark),
        }
        Ok(())
    }

    /// Closes the blocks that are deeper than the column.
    fn unroll_indent(&mut self, column: isize) {
        if self.flow_level > 0 {
            return;
        }
        while self.indent > column {
            self.push(Kind::BlockEnd, self.mark);
            self.indent = self.indents.pop().unwrap_or(-1);
        }
    }

    fn fetch_stream_end(&mut self) -> Result<(), Problem> {
        if self.mark.column != 0 {
            self.mark.column = 0;
            self.mark.line += 1;
        }
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        self.push(Kind::StreamEnd, self.mark);
        Ok(())
    }

    fn fetch_directive(&mut self) -> Result<(), Problem> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_directive()?;
        self.push(kind, start);
        Ok(())
    }

    fn fetch_document_indicator(&mut self, kind: Kind<'a>) -> Result<(), Problem> {
        self.unroll_indent(-1);
        self.remove_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        self.advance(3);
        self.push(kind, start);
        Ok(())
    }

    fn fetch_flow_start(&mut self, kind: Kind<'a>) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.increase_flow_level()?;
        self.simple_key_allowed = true;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_end(&mut self, kind: Kind<'a>) -> Result<(), Problem> {
        self.remove_simple_key()?;
        self.decrease_flow_level();
        self.simple_key_allowed = false;
        self.push_indicator(kind);
        Ok(())
    }

    fn fetch_flow_entry(&mut self) -> Result<(), Problem> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(Kind::FlowEntry);
        Ok(())
    }

    fn fetch_block_entry(&mut self) -> Result<(), Problem> {
        // In a flow collection the indicator is wrong, but the parser can say better what was expected.
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(
                    self.problem("block sequence entries are not allowed in this context", self.mark.line)
                );
            }
            self.roll_indent(self.mark, None, Kind::BlockSequenceStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        self.push_indicator(Kind::BlockEntry);
        Ok(())
    }

    fn fetch_key(&mut self) -> Result<(), Problem> {
        if self.flow_level == 0 {
            if !self.simple_key_allowed {
                return Err(self.problem("mapping keys are not allowed in this context", self.mark.line));
            }
            self.roll_indent(self.mark, None, Kind::BlockMappingStart)?;
        }
        self.remove_simple_key()?;
        self.simple_key_allowed = self.flow_level == 0;
        self.push_indicator(Kind::Key);
        Ok(())
    }

    fn fetch_value(&mut self) -> Result<(), Problem> {
        let top = self.simple_keys.len().saturating_sub(1);
        if self.simple_key_is_valid(top)? {
            let key = self.simple_keys.get(top).copied().unwrap_or_default();
            self.insert(key.token_number, Kind::Key, key.mark);
            self.roll_indent(key.mark, Some(key.token_number), Kind::BlockMappingStart)?;
            if let Some(key) = self.simple_keys.get_mut(top) {
                key.possible = false;
                key.registered = false;
            }
            self.simple_key_allowed = false;
        } else {
            if self.flow_level == 0 {
                if !self.simple_key_allowed {
                    return Err(
                        self.problem("mapping values are not allowed in this context", self.mark.line)
                    );
                }
                self.roll_indent(self.mark, None, Kind::BlockMappingStart)?;
            }
            self.simple_key_allowed = self.flow_level == 0;
        }
        self.push_indicator(Kind::Value);
        Ok(())
    }

    /// Consumes one character as a token.
    fn push_indicator(&mut self, kind: Kind<'a>) {
        let start = self.mark;
        self.advance(1);
        self.push(kind, start);
    }

    fn fetch_anchor(&mut self, alias: bool) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let name = self.scan_anchor()?;
        self.push(if alias { Kind::Alias(name) } else { Kind::Anchor(name) }, start);
        Ok(())
    }

    fn fetch_tag(&mut self) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let kind = self.scan_tag()?;
        self.push(kind, start);
        Ok(())
    }

    fn fetch_block_scalar(&mut self, literal: bool) -> Result<(), Problem> {
        self.remove_simple_key()?;
        self.simple_key_allowed = true;
        let start = self.mark;
        let value = self.scan_block_scalar(literal)?;
        self.push(Kind::Scalar { value, plain: false }, start);
        Ok(())
    }

    fn fetch_flow_scalar(&mut self, single: bool) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let value = self.scan_flow_scalar(single)?;
        self.push(Kind::Scalar { value, plain: false }, start);
        Ok(())
    }

    fn fetch_plain_scalar(&mut self) -> Result<(), Problem> {
        self.save_simple_key()?;
        self.simple_key_allowed = false;
        let start = self.mark;
        let (value, folded) = self.scan_plain_scalar()?;
        if folded {
            // A line was left behind, so a key may start on the new one.
            self.simple_key_allowed = true;
        }
        self.push(Kind::Scalar { value, plain: true }, start);
        Ok(())
    }

    /// Skips blanks, comments and line breaks.
    fn scan_to_next_token(&mut self) -> Result<(), Problem> {
        loop {
            self.need(1)?;
            if self.mark.column == 0 && self.position < self.marks.get() {
                self.skip();
            }
            let tabs = self.flow_level > 0 || !self.simple_key_allowed;
            let mut run = 0;
            while self.byte(run) == b' ' || (tabs && self.byte(run) == b'\t') {
                run += 1;
            }
            self.advance(run);
            self.need(1)?;
            if self.byte(0) == b'#' {
                self.skip_line_rest()?;
            }
            if !is_break(self.bytes, self.position) {
                return Ok(());
            }
            self.read_break();
            if self.flow_level == 0 {
                self.simple_key_allowed = true;
            }
        }
    }

    /// Counts the bytes up to the line break or the end.
    pub(crate) fn to_break(&self) -> usize {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        if self.ascii {
            return memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
        }
        (0..rest.len()).find(|&i| is_break(rest, i)).unwrap_or(rest.len())
    }

    /// Steps over everything up to the line break.
    pub(crate) fn skip_line_rest(&mut self) -> Result<(), Problem> {
        self.advance(self.to_break());
        self.need(1)
    }

    /// Steps over spaces and tabs.
    pub(crate) fn skip_blanks(&mut self) -> Result<(), Problem> {
        let mut run = 0;
        while is_blank(self.bytes, self.position + run) {
            run += 1;
        }
        self.advance(run);
        self.need(1)
    }

    /// Steps over the rest of a line that may only hold a comment.
    pub(crate) fn finish_line(&mut self, context_line: usize) -> Result<(), Problem> {
        self.skip_blanks()?;
        if self.byte(0) == b'#' {
            self.skip_line_rest()?;
        }
        if !is_breakz(self.bytes, self.position) {
            return Err(self.problem("did not find expected comment or line break", context_line));
        }
        if break_width(self.bytes, self.position) > 0 {
            self.need(2)?;
            self.read_break();
        }
        Ok(())
    }

    /// Consumes letters, digits, `_` and `-`.
    pub(crate) fn alphas(&mut self) -> Result<&'a str, Problem> {
        let start = self.position;
        let mut run = 0;
        while is_alpha(self.byte(run)) {
            run += 1;
        }
        self.advance(run);
        self.need(1)?;
        Ok(self.text.get(start..self.position).unwrap_or_default())
    }
}

//! Cuts a template's text into tokens, as Go's `text/template/parse/lex.go`.
//!
//! Tokens are ranges of the text, so that they can be copied; the message of the one error token is kept in the
//! lexer. Trimming (`{{-`, `-}}`) happens here: the parser never sees the white space. Nor are there tokens for the
//! space in an action, as in Go: whether there is some before a token is all that matters.
//!
//! Follows Go's source closely: Copyright 2011 The Go Authors, BSD-style licence (see the repository's NOTICE).

use crate::unicode::{self, RUNE_ERROR};

/// What a token is; the order is Go's, keywords after [`TokenKind::Keyword`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum TokenKind {
    Error,
    Bool,
    Char,
    CharConstant,
    Complex,
    Assign,
    Declare,
    Eof,
    Field,
    Identifier,
    LeftDelim,
    LeftParen,
    Number,
    Pipe,
    RawString,
    RightDelim,
    RightParen,
    String,
    Text,
    Variable,
    /// Only separates the keywords from the rest.
    Keyword,
    Block,
    Break,
    Continue,
    Dot,
    Define,
    Else,
    End,
    If,
    Nil,
    Range,
    Template,
    With,
}

fn keyword(word: &[u8]) -> Option<TokenKind> {
    Some(match word {
        b"." => TokenKind::Dot,
        b"block" => TokenKind::Block,
        b"break" => TokenKind::Break,
        b"continue" => TokenKind::Continue,
        b"define" => TokenKind::Define,
        b"else" => TokenKind::Else,
        b"end" => TokenKind::End,
        b"if" => TokenKind::If,
        b"range" => TokenKind::Range,
        b"nil" => TokenKind::Nil,
        b"template" => TokenKind::Template,
        b"with" => TokenKind::With,
        _ => return None,
    })
}

/// A piece of the text; texts of 4 GiB do not exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub kind: TokenKind,
    /// Whether there is space before it, in an action.
    pub spaced: bool,
    /// Where it starts, in bytes.
    pub start: u32,
    /// Where it ends.
    pub end: u32,
}

impl Token {
    pub(crate) fn new(kind: TokenKind, start: usize, end: usize) -> Self {
        let narrow = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Self { kind, spaced: false, start: narrow(start), end: narrow(end) }
    }

    /// Its bytes.
    pub(crate) fn of(self, source: &[u8]) -> &[u8] {
        source.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// The line on which it starts, from 1: counted when somebody asks, which is when something is wrong.
    pub(crate) fn line(self, source: &[u8]) -> usize {
        let before = source.get(..self.start as usize).unwrap_or(source);
        1 + memchr::memchr_iter(b'\n', before).count()
    }
}

const LEFT_DELIM: &[u8] = b"{{";
const RIGHT_DELIM: &[u8] = b"}}";
const LEFT_COMMENT: &[u8] = b"/*";
const RIGHT_COMMENT: &[u8] = b"*/";
/// The marker and the space before or after it.
const TRIM_MARKER: usize = 2;

/// More tokens of an action than these are not cut at once.
const MAX_CUT: usize = 64;

/// Which bytes may be part of a name.
static NAME: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = (byte as u8).is_ascii_alphanumeric() || byte as u8 == b'_';
        byte += 1;
    }
    table
};

/// The state of the scan.
pub(crate) struct Lexer<'t> {
    text: &'t [u8],
    pos: usize,
    start: usize,
    at_eof: bool,
    paren_depth: usize,
    inside_action: bool,
    spaced: bool,
    /// `break` and `continue` are keywords only if no functions have these names.
    pub break_ok: bool,
    pub continue_ok: bool,
    /// The message of the error token.
    pub error: String,
}

impl<'t> Lexer<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self {
            text,
            pos: 0,
            start: 0,
            at_eof: false,
            paren_depth: 0,
            inside_action: false,
            spaced: false,
            break_ok: true,
            continue_ok: true,
            error: String::new(),
        }
    }

    /// Adds the tokens that come next, at least one: a text with the action after it, as far as it is not a long one;
    /// nothing that follows an error.
    pub(crate) fn cut(&mut self, tokens: &mut Vec<Token>) {
        if !self.inside_action {
            self.cut_text(tokens);
        }
        if self.inside_action {
            self.cut_action(tokens);
        }
    }

    fn rest(&self) -> &'t [u8] {
        self.text.get(self.pos..).unwrap_or_default()
    }

    fn slice(&self, from: usize, to: usize) -> &'t [u8] {
        self.text.get(from..to).unwrap_or_default()
    }

    #[inline]
    fn next(&mut self) -> Option<u32> {
        if let Some(&byte) = self.text.get(self.pos)
            && byte < 0x80
        {
            self.pos += 1;
            return Some(u32::from(byte));
        }
        self.next_rune()
    }

    fn next_rune(&mut self) -> Option<u32> {
        let (rune, width) = unicode::decode(self.rest());
        if width == 0 {
            self.at_eof = true;
            return None;
        }
        self.pos += width;
        Some(rune)
    }

    #[inline]
    fn peek(&mut self) -> Option<u32> {
        let (rune, width) = unicode::decode(self.rest());
        self.at_eof |= width == 0;
        (width > 0).then_some(rune)
    }

    fn backup(&mut self) {
        if self.at_eof || self.pos == 0 {
            return;
        }
        self.pos -= unicode::decode_last(self.slice(0, self.pos)).1;
    }

    #[inline]
    fn emit(&mut self, kind: TokenKind) -> Token {
        let token = Token { spaced: self.spaced, ..Token::new(kind, self.start, self.pos) };
        self.start = self.pos;
        token
    }

    /// Skips the pending input.
    fn ignore(&mut self) {
        self.start = self.pos;
    }

    fn accept(&mut self, valid: &[u8]) -> bool {
        if self.next().is_some_and(|rune| is_one_of(rune, valid)) {
            return true;
        }
        self.backup();
        false
    }

    fn accept_run(&mut self, valid: &[u8]) {
        while self.next().is_some_and(|rune| is_one_of(rune, valid)) {}
        self.backup();
    }

    /// Ends the scan: what follows is the end of the input, in the same place.
    #[cold]
    fn fail(&mut self, message: impl Into<String>) -> Token {
        self.error = message.into();
        self.pos = self.start;
        self.text = &[];
        Token::new(TokenKind::Error, self.start, self.start)
    }

    /// Text up to a left delimiter and the delimiter, or the end.
    fn cut_text(&mut self, tokens: &mut Vec<Token>) {
        self.spaced = false;
        loop {
            let Some(offset) = find(self.rest(), LEFT_DELIM) else {
                self.pos = self.text.len().max(self.pos);
                return tokens.push(self.emit(if self.pos > self.start {
                    TokenKind::Text
                } else {
                    TokenKind::Eof
                }));
            };
            if offset > 0 {
                self.pos += offset;
                let mut trim = 0;
                if has_left_trim_marker(self.slice(self.pos + LEFT_DELIM.len(), self.text.len())) {
                    let text = self.slice(self.start, self.pos);
                    trim = text.iter().rev().take_while(|&&byte| is_space_byte(byte)).count();
                }
                self.pos -= trim;
                let token = self.emit(TokenKind::Text);
                self.pos += trim;
                self.ignore();
                if token.end > token.start {
                    tokens.push(token);
                }
            }
            self.pos += LEFT_DELIM.len();
            let after_marker = if has_left_trim_marker(self.rest()) { TRIM_MARKER } else { 0 };
            if !self.rest().get(after_marker..).is_some_and(|rest| rest.starts_with(LEFT_COMMENT)) {
                tokens.push(self.emit(TokenKind::LeftDelim));
                self.inside_action = true;
                self.pos += after_marker;
                self.ignore();
                self.paren_depth = 0;
                return;
            }
            self.pos += after_marker;
            self.ignore();
            if let Some(error) = self.skip_comment() {
                return tokens.push(error);
            }
        }
    }

    /// Whether a right delimiter is next, and whether it trims.
    fn at_right_delim(&self) -> (bool, bool) {
        let rest = self.rest();
        if has_right_trim_marker(rest) && rest.get(TRIM_MARKER..).is_some_and(|r| r.starts_with(RIGHT_DELIM))
        {
            return (true, true);
        }
        (rest.starts_with(RIGHT_DELIM), false)
    }

    fn skip_trimmed(&mut self) {
        self.pos += self.spaces();
    }

    /// How many bytes of space are next.
    fn spaces(&self) -> usize {
        self.rest().iter().take_while(|&&byte| is_space_byte(byte)).count()
    }

    /// Skips a comment with its delimiter; gives the error if it is none.
    fn skip_comment(&mut self) -> Option<Token> {
        self.pos += LEFT_COMMENT.len();
        let Some(offset) = find(self.rest(), RIGHT_COMMENT) else {
            return Some(self.fail("unclosed comment"));
        };
        self.pos += offset + RIGHT_COMMENT.len();
        let (delim, trim) = self.at_right_delim();
        if !delim {
            return Some(self.fail("comment ends before closing delimiter"));
        }
        self.ignore();
        if trim {
            self.pos += TRIM_MARKER;
        }
        self.pos += RIGHT_DELIM.len();
        if trim {
            self.skip_trimmed();
        }
        self.ignore();
        None
    }

    fn lex_right_delim(&mut self, trim: bool) -> Token {
        if trim {
            self.pos += TRIM_MARKER;
            self.ignore();
        }
        self.pos += RIGHT_DELIM.len();
        let token = self.emit(TokenKind::RightDelim);
        if trim {
            self.skip_trimmed();
            self.ignore();
        }
        self.inside_action = false;
        token
    }

    /// What is left of an action with its right delimiter, or the first tokens of that.
    fn cut_action(&mut self, tokens: &mut Vec<Token>) {
        let text = self.text;
        let mut pos = self.pos;
        for _ in 0..MAX_CUT {
            let before = pos;
            while text.get(pos).is_some_and(|byte| is_space_byte(*byte)) {
                pos += 1;
            }
            let spaced = pos > before;
            // Whether the right delimiter is next, and trims.
            let delim = match text.get(pos) {
                Some(b'}') if text.get(pos + 1) == Some(&b'}') => Some(false),
                Some(b'-') if spaced && text.get(pos..).is_some_and(|rest| rest.starts_with(b"-}}")) => {
                    // The last space belongs to the delimiter.
                    pos -= 1;
                    Some(true)
                }
                _ => None,
            };
            if delim.is_none()
                && let Some((kind, end)) = self.common(pos)
            {
                tokens.push(Token { spaced, ..Token::new(kind, pos, end) });
                pos = end;
                continue;
            }
            (self.start, self.pos, self.spaced) = (pos, pos, pos > before);
            let token = match (delim, text.get(pos)) {
                (Some(_), _) if self.paren_depth > 0 => self.fail("unclosed left paren"),
                (Some(trim), _) => self.lex_right_delim(trim),
                (None, Some(byte)) => self.lex_carefully(*byte),
                (None, None) => self.fail("unclosed action"),
            };
            tokens.push(token);
            if delim.is_some() || token.kind == TokenKind::Error {
                return;
            }
            pos = self.pos;
        }
        (self.start, self.pos) = (pos, pos);
    }

    /// The kind and the end of the token at `start`, if it is one of those that most actions are made of, and there is
    /// nothing unusual about it.
    #[inline]
    fn common(&self, start: usize) -> Option<(TokenKind, usize)> {
        let text = self.text;
        let (kind, end) = match text.get(start)? {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => {
                let end = name_end(text, start + 1);
                (self.word_kind(text.get(start..end)?), end)
            }
            b'.' => match name_end(text, start + 1) {
                end if end == start + 1 => (TokenKind::Dot, end),
                _ if text.get(start + 1).is_some_and(u8::is_ascii_digit) => return None,
                end => (TokenKind::Field, end),
            },
            b'$' => (TokenKind::Variable, name_end(text, start + 1)),
            b'0'..=b'9' => {
                let rest = text.get(start..).unwrap_or_default();
                let digits = rest.iter().position(|byte| !byte.is_ascii_digit())?;
                if rest.get(digits) == Some(&b'.') {
                    return None;
                }
                (TokenKind::Number, start + digits)
            }
            b'|' => return Some((TokenKind::Pipe, start + 1)),
            _ => return None,
        };
        (end < text.len() && terminates(text, end)).then_some((kind, end))
    }

    /// The token at `self.pos`, which begins with `byte`.
    fn lex_carefully(&mut self, byte: u8) -> Token {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'_' => return self.lex_identifier(),
            b'+' | b'-' | b'0'..=b'9' => return self.lex_number(),
            0x80.. => return self.lex_rune(),
            _ => self.pos += 1,
        }
        match byte {
            // A dot can also start a number.
            b'.' => match self.text.get(self.pos) {
                Some(b'0'..=b'9') | None => {
                    self.pos -= 1;
                    self.lex_number()
                }
                Some(_) => self.lex_field_or_variable(TokenKind::Field),
            },
            b'$' => self.lex_field_or_variable(TokenKind::Variable),
            b'|' => self.emit(TokenKind::Pipe),
            b'"' => self.lex_quoted(b'"', TokenKind::String, "unterminated quoted string"),
            b'`' => self.lex_raw_quote(),
            b'=' => self.emit(TokenKind::Assign),
            b':' if self.text.get(self.pos) == Some(&b'=') => {
                self.pos += 1;
                self.emit(TokenKind::Declare)
            }
            b':' => self.fail("expected :="),
            b'\'' => self.lex_quoted(b'\'', TokenKind::CharConstant, "unterminated character constant"),
            b'(' => {
                self.paren_depth += 1;
                self.emit(TokenKind::LeftParen)
            }
            b')' if self.paren_depth == 0 => self.fail("unexpected right paren"),
            b')' => {
                self.paren_depth -= 1;
                self.emit(TokenKind::RightParen)
            }
            0x20..=0x7e => self.emit(TokenKind::Char),
            _ => self.unrecognized(u32::from(byte)),
        }
    }

    fn unrecognized(&mut self, rune: u32) -> Token {
        self.fail(format!("unrecognized character in action: {}", describe(Some(rune))))
    }

    /// What begins with a rune of more than one byte.
    fn lex_rune(&mut self) -> Token {
        let (rune, _) = unicode::decode(self.rest());
        if is_alphanumeric(rune) { self.lex_identifier() } else { self.unrecognized(rune) }
    }

    fn lex_identifier(&mut self) -> Token {
        let after = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.fail(format!("bad character {}", describe(after)));
        }
        let kind = self.word_kind(self.slice(self.start, self.pos));
        self.emit(kind)
    }

    fn word_kind(&self, word: &[u8]) -> TokenKind {
        match word {
            b"break" if !self.break_ok => TokenKind::Identifier,
            b"continue" if !self.continue_ok => TokenKind::Identifier,
            b"true" | b"false" => TokenKind::Bool,
            word => keyword(word).unwrap_or(TokenKind::Identifier),
        }
    }

    /// Skips letters, digits and `_`, and gives the rune that follows.
    fn skip_alphanumeric(&mut self) -> Option<u32> {
        loop {
            let rune = self.next();
            if !rune.is_some_and(is_alphanumeric) {
                self.backup();
                return rune;
            }
        }
    }

    fn lex_field_or_variable(&mut self, kind: TokenKind) -> Token {
        if self.at_terminator() {
            return self.emit(if kind == TokenKind::Variable { kind } else { TokenKind::Dot });
        }
        let after = self.skip_alphanumeric();
        if !self.at_terminator() {
            return self.fail(format!("bad character {}", describe(after)));
        }
        self.emit(kind)
    }

    fn at_terminator(&self) -> bool {
        terminates(self.text, self.pos)
    }

    /// Scans to the closing `quote`; what is inside is the parser's concern.
    fn lex_quoted(&mut self, quote: u8, kind: TokenKind, unterminated: &str) -> Token {
        loop {
            // Bytes will do: no byte of a longer rune is one of these.
            let Some(offset) = memchr::memchr3(quote, b'\\', b'\n', self.rest()) else {
                return self.fail(unterminated);
            };
            self.pos += offset;
            match self.text.get(self.pos) {
                Some(b'\\') if !matches!(self.text.get(self.pos + 1), None | Some(b'\n')) => self.pos += 2,
                Some(b'\n' | b'\\') => return self.fail(unterminated),
                _ => {
                    self.pos += 1;
                    return self.emit(kind);
                }
            }
        }
    }

    fn lex_raw_quote(&mut self) -> Token {
        let Some(offset) = memchr::memchr(b'`', self.rest()) else {
            return self.fail("unterminated raw quoted string");
        };
        self.pos += offset + 1;
        self.emit(TokenKind::RawString)
    }

    fn lex_number(&mut self) -> Token {
        if !self.scan_number() {
            return self.bad_number();
        }
        if self.peek().is_some_and(|rune| is_one_of(rune, b"+-")) {
            // Complex: 1+2i, no spaces.
            if !self.scan_number() || self.slice(0, self.pos).last() != Some(&b'i') {
                return self.bad_number();
            }
            return self.emit(TokenKind::Complex);
        }
        self.emit(TokenKind::Number)
    }

    fn bad_number(&mut self) -> Token {
        let quoted = crate::printf::quote(self.slice(self.start, self.pos));
        self.fail(format!("bad number syntax: {}", String::from_utf8_lossy(&quoted)))
    }

    fn scan_number(&mut self) -> bool {
        self.accept(b"+-");
        let mut digits: &[u8] = b"0123456789_";
        if self.accept(b"0") {
            // Go: a leading 0 does not mean octal in floats.
            if self.accept(b"xX") {
                digits = b"0123456789abcdefABCDEF_";
            } else if self.accept(b"oO") {
                digits = b"01234567_";
            } else if self.accept(b"bB") {
                digits = b"01_";
            }
        }
        self.accept_run(digits);
        if self.accept(b".") {
            self.accept_run(digits);
        }
        let decimal = digits.len() == 10 + 1 && self.accept(b"eE");
        let hexadecimal = digits.len() == 16 + 6 + 1 && self.accept(b"pP");
        if decimal || hexadecimal {
            self.accept(b"+-");
            self.accept_run(b"0123456789_");
        }
        self.accept(b"i");
        if self.peek().is_some_and(is_alphanumeric) {
            self.next();
            return false;
        }
        true
    }
}

/// A name as a text: the lexer takes nothing else than UTF-8 for one.
pub(crate) fn word(name: &[u8]) -> &str {
    std::str::from_utf8(name).unwrap_or_default()
}

/// Go's `%#U`: `U+002D '-'`.
fn describe(rune: Option<u32>) -> String {
    let Some(rune) = rune else { return "EOF".to_owned() };
    match char::from_u32(rune) {
        Some(char) if unicode::is_print(rune) => format!("U+{rune:04X} '{char}'"),
        _ => format!("U+{rune:04X}"),
    }
}

/// The end of the letters, digits and `_` at a place.
fn name_end(text: &[u8], mut at: usize) -> usize {
    while text.get(at).is_some_and(|byte| NAME[usize::from(*byte)]) {
        at += 1;
    }
    at
}

/// Whether what stands there may follow an identifier: so that `$x+2` is not accepted without a space.
fn terminates(text: &[u8], at: usize) -> bool {
    match text.get(at) {
        None => true,
        Some(b' ' | b'\t' | b'\r' | b'\n' | b'.' | b',' | b'|' | b':' | b')' | b'(') => true,
        Some(b'}') => text.get(at + 1) == Some(&b'}'),
        Some(_) => false,
    }
}

fn is_one_of(rune: u32, valid: &[u8]) -> bool {
    u8::try_from(rune).is_ok_and(|byte| valid.contains(&byte))
}

fn is_space_byte(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

fn is_alphanumeric(rune: u32) -> bool {
    if let Ok(byte) = u8::try_from(rune)
        && byte < 0x80
    {
        return byte.is_ascii_alphanumeric() || byte == b'_';
    }
    rune == u32::from(b'_') || unicode::is_letter(rune) || (rune != RUNE_ERROR && unicode::is_digit(rune))
}

fn has_left_trim_marker(text: &[u8]) -> bool {
    matches!(text, [b'-', space, ..] if is_space_byte(*space))
}

fn has_right_trim_marker(text: &[u8]) -> bool {
    matches!(text, [space, b'-', ..] if is_space_byte(*space))
}

fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    let (&first, tail) = needle.split_first()?;
    memchr::memchr_iter(first, text)
        .find(|at| text.get(at + 1..).is_some_and(|following| following.starts_with(tail)))
}

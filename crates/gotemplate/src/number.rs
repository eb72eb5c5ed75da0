//! Numbers and quoted strings as the parser reads them: Go's `strconv` and `newNumber` of
//! `text/template/parse/node.go`.
//!
//! Follows Go's source closely: Copyright 2011 The Go Authors, BSD-style licence (see the repository's NOTICE).

use std::borrow::Cow;

use crate::lex::TokenKind;
use crate::node::{Number, Span};
use crate::printf;
use crate::unicode;

const INVALID_SYNTAX: &str = "invalid syntax";

/// Parses a number token that stands at `span`; the error is Go's text.
pub(crate) fn parse_number(span: Span, text: &[u8], kind: TokenKind) -> Result<Number, String> {
    if let Some(number) = plain_number(span, text).filter(|_| kind == TokenKind::Number) {
        return Ok(number);
    }
    let source = String::from_utf8_lossy(text);
    let mut number = Number { text: span, ..Number::default() };
    match kind {
        TokenKind::CharConstant => {
            let (rune, rest) = unquote_char(text.get(1..).unwrap_or_default(), b'\'')?;
            if rest != b"'" {
                return Err(format!("malformed character constant: {source}"));
            }
            number.int = Some(i64::from(rune.value()));
            number.uint = Some(u64::from(rune.value()));
            number.float = Some(f64::from(rune.value())); // Go: odd but those are the rules.
            return Ok(number);
        }
        TokenKind::Complex => {
            // The imaginary part begins at the last sign that is not an exponent's.
            let split = source
                .char_indices()
                .rev()
                .find(|&(i, c)| {
                    let before = source.as_bytes().get(i.wrapping_sub(1)).copied().unwrap_or(0);
                    i > 0 && (c == '+' || c == '-') && !matches!(before, b'e' | b'E' | b'p' | b'P')
                })
                .map_or(0, |(i, _)| i);
            let (re, im) = source.split_at(split);
            // Go: reads the two with `fmt.Sscan`.
            let part = |text: &str| {
                let invalid = || format!("strconv.ParseFloat: parsing {}: {INVALID_SYNTAX}", quoted(text));
                parse_float(text).ok_or_else(invalid)
            };
            let (re, im) = (part(re)?, part(im.trim_end_matches('i'))?);
            number.complex = Some((re, im));
            simplify_complex(&mut number, re, im);
            return Ok(number);
        }
        _ => {}
    }
    if let Some(im) = source.strip_suffix('i').and_then(parse_float) {
        number.complex = Some((0.0, im));
        simplify_complex(&mut number, 0.0, im);
        return Ok(number);
    }
    number.uint = parse_uint(&source);
    number.int = parse_int(&source);
    if number.int == Some(0) {
        number.uint = Some(0); // in case of -0
    }
    if let Some(int) = number.int {
        number.float = Some(int as f64);
    } else if let Some(uint) = number.uint {
        number.float = Some(uint as f64);
    } else if let Some(float) = parse_float(&source) {
        // Go: what parses as a float but looks like an integer is too large for an int.
        if !source.contains(['.', 'e', 'E', 'p', 'P']) {
            return Err(format!("integer overflow: {}", quoted(&source)));
        }
        number.float = Some(float);
        number.int = exact_int(float);
        number.uint = exact_uint(float);
    } else {
        return Err(format!("illegal number syntax: {}", quoted(&source)));
    }
    Ok(number)
}

/// What nearly all numbers are: a few decimal digits.
fn plain_number(span: Span, text: &[u8]) -> Option<Number> {
    // More than 18 digits may be too many for an integer; those after a 0 are octal.
    if !matches!(text, [b'0'] | [b'1'..=b'9', ..]) || text.len() > 18 || !text.iter().all(u8::is_ascii_digit)
    {
        return None;
    }
    let number = text.iter().fold(0, |number, &digit| number * 10 + i64::from(digit - b'0'));
    Some(Number {
        int: Some(number),
        uint: Some(number.unsigned_abs()),
        float: Some(number as f64),
        complex: None,
        text: span,
    })
}

fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&printf::quote(text.as_bytes())).into_owned()
}

/// Pulls out the other types that a complex number without an imaginary part has.
fn simplify_complex(number: &mut Number, re: f64, im: f64) {
    if im == 0.0 {
        number.float = Some(re);
        number.int = exact_int(re);
        number.uint = exact_uint(re);
    }
}

fn exact_int(float: f64) -> Option<i64> {
    let fits = (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&float);
    (fits && float.trunc() == float).then_some(float as i64)
}

fn exact_uint(float: f64) -> Option<u64> {
    ((0.0..18_446_744_073_709_551_616.0).contains(&float) && float.trunc() == float).then_some(float as u64)
}

/// Go's `strconv.ParseUint(text, 0, 64)`.
fn parse_uint(text: &str) -> Option<u64> {
    let lower = text.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, lower.get(2..)?),
        [b'0', b'b', ..] => (2, lower.get(2..)?),
        [b'0', b'o', ..] => (8, lower.get(2..)?),
        [b'0', _, ..] => (8, lower.get(1..)?),
        _ => (10, lower.as_str()),
    };
    if !digits.starts_with(|c: char| c.is_ascii_hexdigit() || c == '_') || !underscores_ok(text) {
        return None;
    }
    u64::from_str_radix(&digits.replace('_', ""), radix).ok()
}

/// Go's `strconv.ParseInt(text, 0, 64)`.
fn parse_int(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes().first()? {
        b'-' => (true, text.get(1..)?),
        b'+' => (false, text.get(1..)?),
        _ => (false, text),
    };
    let magnitude = i128::from(parse_uint(digits)?);
    i64::try_from(if negative { -magnitude } else { magnitude }).ok()
}

/// Go's `strconv.ParseFloat(text, 64)`, for what the lexer takes for a number.
fn parse_float(text: &str) -> Option<f64> {
    if !underscores_ok(text) {
        return None;
    }
    let plain = text.replace('_', "");
    let unsigned = plain.strip_prefix(['+', '-']).unwrap_or(&plain);
    let value = if unsigned.len() > 2 && unsigned.to_ascii_lowercase().starts_with("0x") {
        let value = parse_hex_float(unsigned.get(2..)?)?;
        if plain.starts_with('-') { -value } else { value }
    } else {
        if !unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return None; // `inf` and `nan` are not numbers of a template
        }
        plain.parse().ok()?
    };
    value.is_finite().then_some(value)
}

fn parse_hex_float(text: &str) -> Option<f64> {
    let (digits, exponent) = text.split_once(['p', 'P'])?;
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
    if exponent.strip_prefix('-').unwrap_or(exponent).chars().any(|c| !c.is_ascii_digit()) {
        return None;
    }
    let mut scale = exponent.parse::<i32>().ok()?.clamp(-100_000, 100_000);
    let mut mantissa: u64 = 0;
    for (i, digit) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = u64::from(digit.to_digit(16)?);
        if mantissa >> 60 == 0 {
            mantissa = mantissa << 4 | digit;
        } else {
            mantissa |= u64::from(digit != 0); // only matters for rounding
            scale += 4;
        }
        if i >= whole.len() {
            scale -= 4;
        }
    }
    let mut value = mantissa as f64;
    let half = if scale < 0 { 0.5 } else { 2.0 };
    for _ in 0..scale.unsigned_abs().min(2200) {
        value *= half;
    }
    Some(value)
}

/// Go's `underscoreOK`: underscores only between digits, or after the base prefix.
fn underscores_ok(text: &str) -> bool {
    if !text.contains('_') {
        return true;
    }
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text).to_ascii_lowercase();
    let hex = unsigned.starts_with("0x");
    let prefixed = hex || unsigned.starts_with("0b") || unsigned.starts_with("0o");
    let mut saw = if prefixed { '0' } else { '^' };
    for c in unsigned.chars().skip(if prefixed { 2 } else { 0 }) {
        if c.is_ascii_digit() || hex && c.is_ascii_hexdigit() {
            saw = '0';
        } else if c == '_' {
            if saw != '0' {
                return false;
            }
            saw = '_';
        } else if saw == '_' {
            return false;
        } else {
            saw = '!';
        }
    }
    saw != '_'
}

/// What an escape or character stands for.
enum Char {
    Byte(u8),
    Rune(u32),
}

impl Char {
    fn value(&self) -> u32 {
        match self {
            Self::Byte(byte) => u32::from(*byte),
            Self::Rune(rune) => *rune,
        }
    }
}

/// Go's `strconv.Unquote` for a quoted or raw string token; borrowed: what stands between the quotes.
pub(crate) fn unquote(token: &[u8]) -> Result<Cow<'_, [u8]>, String> {
    let inner = token.get(1..token.len().saturating_sub(1)).ok_or(INVALID_SYNTAX)?;
    if token.first() == Some(&b'`') {
        // Go: carriage returns are not part of raw strings.
        if memchr::memchr(b'\r', inner).is_none() {
            return Ok(Cow::Borrowed(inner));
        }
        return Ok(inner.iter().copied().filter(|&byte| byte != b'\r').collect());
    }
    let is_text = inner.is_ascii() || std::str::from_utf8(inner).is_ok();
    if is_text && memchr::memchr(b'\\', inner).is_none() {
        return Ok(Cow::Borrowed(inner));
    }
    let mut out = Vec::with_capacity(inner.len());
    let mut rest = inner;
    while !rest.is_empty() {
        let (char, tail) = unquote_char(rest, b'"')?;
        match char {
            Char::Byte(byte) => out.push(byte),
            Char::Rune(rune) => unicode::push(&mut out, rune),
        }
        rest = tail;
    }
    Ok(Cow::Owned(out))
}

/// Go's `strconv.UnquoteChar`.
fn unquote_char(text: &[u8], quote: u8) -> Result<(Char, &[u8]), String> {
    let (escape, rest) = match text {
        [] => return Err(INVALID_SYNTAX.into()),
        [c, ..] if *c == quote => return Err(INVALID_SYNTAX.into()),
        [b'\\', escape, rest @ ..] => (*escape, rest),
        [b'\\'] => return Err(INVALID_SYNTAX.into()),
        _ => {
            let (rune, width) = unicode::decode(text);
            return Ok((Char::Rune(rune), text.get(width..).unwrap_or_default()));
        }
    };
    let simple = match escape {
        b'a' => 7,
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        b'\\' => b'\\',
        b'\'' | b'"' if escape == quote => quote,
        b'x' => return escaped(rest, 2, 16),
        b'u' => return escaped(rest, 4, 16),
        b'U' => return escaped(rest, 8, 16),
        b'0'..=b'7' => return escaped(text.get(1..).unwrap_or_default(), 3, 8),
        _ => return Err(INVALID_SYNTAX.into()),
    };
    Ok((Char::Byte(simple), rest))
}

fn escaped(text: &[u8], digits: usize, radix: u32) -> Result<(Char, &[u8]), String> {
    let (number, rest) = text.split_at_checked(digits).ok_or(INVALID_SYNTAX)?;
    let number = std::str::from_utf8(number).ok().filter(|n| !n.starts_with('+'));
    let value = number.and_then(|n| u32::from_str_radix(n, radix).ok()).ok_or(INVALID_SYNTAX)?;
    let char = if digits < 4 {
        Char::Byte(u8::try_from(value).map_err(|_| INVALID_SYNTAX)?)
    } else {
        Char::Rune(char::from_u32(value).map(u32::from).ok_or(INVALID_SYNTAX)?)
    };
    Ok((char, rest))
}

//! What sprig needs of Go's `reflect`, `fmt` and `strconv`.

use std::rc::Rc;

use pintle_gotemplate::{ElemType, FuncError, IntKind, Value};

use pintle_gotemplate::printf;
pub(crate) use pintle_gotemplate::printf::quote;

use crate::limit;

/// What Go's runtime says of a nil interface that is asked for its type.
pub(crate) const NIL_DEREFERENCE: &str = "runtime error: invalid memory address or nil pointer dereference";

/// What a function of the library returns.
pub(crate) type Outcome = Result<Value, FuncError>;

/// An error with Go's text.
pub(crate) fn failure(text: impl Into<String>) -> FuncError {
    FuncError::Message(text.into())
}

/// What Go's `%v` prints.
pub(crate) fn to_text(value: &Value) -> Result<Vec<u8>, FuncError> {
    let mut out = Vec::new();
    printf::print_to(&mut out, value, limit::MAX_BYTES)?;
    Ok(out)
}

/// sprig's `strval`: the text of a value, byte slices as they are.
pub(crate) fn text_of(value: &Value) -> Result<Vec<u8>, FuncError> {
    match value {
        Value::String(text) => Ok(text.as_bytes().to_vec()),
        Value::List(list) if list.elem == ElemType::Byte => Ok(list.to_bytes()),
        Value::Object(object) => match object.nil_of() {
            Some(empty) => text_of(&empty),
            None => to_text(value),
        },
        other => to_text(other),
    }
}

/// The elements of any slice; the error is its kind, or `None` for nil.
pub(crate) fn elements(value: &Value) -> Result<Rc<Vec<Value>>, Option<&'static str>> {
    match value {
        Value::List(list) => Ok(list.items.clone()),
        Value::Nil => Err(None),
        Value::Object(object) if object.kind() == "slice" => {
            let entries = object.entries().unwrap_or_default();
            Ok(Rc::new(entries.into_iter().map(|(_, element)| element).collect()))
        }
        other => Err(Some(other.kind())),
    }
}

/// sprig's `empty`: the zero value of its type, or nothing in it.
pub(crate) fn is_empty(value: &Value) -> bool {
    !value.truth()
}

/// A number of an unsigned 64-bit kind.
pub(crate) fn uint64(n: u64) -> Value {
    Value::Int(n.cast_signed(), IntKind::Uint64)
}

/// Go's `strconv.ParseInt` failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ParseInt {
    /// Not a number.
    Syntax,
    /// Too large; holds what Go returns besides the error.
    Range(i64),
}

/// Go's `strconv.ParseInt(s, base, 64)`.
pub(crate) fn parse_int(text: &[u8], base: u32) -> Result<i64, ParseInt> {
    let (negative, digits) = match text {
        [b'+', rest @ ..] => (false, rest),
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let magnitude = match parse_uint(digits, base) {
        Ok(n) => n,
        Err(ParseInt::Syntax) => return Err(ParseInt::Syntax),
        Err(ParseInt::Range(_)) => u64::MAX,
    };
    match (negative, magnitude) {
        (false, n) => i64::try_from(n).map_err(|_| ParseInt::Range(i64::MAX)),
        (true, n) if n > 1 << 63 => Err(ParseInt::Range(i64::MIN)),
        (true, n) => Ok(n.wrapping_neg().cast_signed()),
    }
}

/// Go's `strconv.ParseUint(s, base, 64)`; base 0 reads the prefix and allows underscores.
pub(crate) fn parse_uint(text: &[u8], base: u32) -> Result<u64, ParseInt> {
    let (radix, digits) = match (base, text) {
        (_, []) => return Err(ParseInt::Syntax),
        (0, [b'0', b'b' | b'B', rest @ ..]) if !rest.is_empty() => (2, rest),
        (0, [b'0', b'o' | b'O', rest @ ..]) if !rest.is_empty() => (8, rest),
        (0, [b'0', b'x' | b'X', rest @ ..]) if !rest.is_empty() => (16, rest),
        (0, [b'0', rest @ ..]) => (8, rest),
        (0, _) => (10, text),
        (n, _) => (n, text),
    };
    let (mut n, mut underscores, mut overflow) = (0u64, false, false);
    for &c in digits {
        if c == b'_' && base == 0 {
            underscores = true;
            continue;
        }
        let digit = (c as char).to_digit(radix).ok_or(ParseInt::Syntax)?;
        if overflow {
            continue;
        }
        match n.checked_mul(u64::from(radix)).and_then(|n| n.checked_add(u64::from(digit))) {
            Some(next) => n = next,
            // Go: returns at the first digit too many, so later garbage goes unnoticed.
            None => return Err(ParseInt::Range(i64::MAX)),
        }
        overflow = false;
    }
    if underscores && !underscores_ok(text) {
        return Err(ParseInt::Syntax);
    }
    Ok(n)
}

/// Go's `underscoreOK`: underscores separate digits only, one at a time.
fn underscores_ok(text: &[u8]) -> bool {
    let text = text.strip_prefix(b"-").or_else(|| text.strip_prefix(b"+")).unwrap_or(text);
    let (hex, digits, mut saw) = match text {
        [b'0', b'x' | b'X', rest @ ..] => (true, rest, b'0'),
        [b'0', b'b' | b'B' | b'o' | b'O', rest @ ..] => (false, rest, b'0'),
        _ => (false, text, b'^'),
    };
    for &c in digits {
        if c.is_ascii_digit() || hex && c.is_ascii_hexdigit() {
            saw = b'0';
        } else if c == b'_' {
            if saw != b'0' {
                return false;
            }
            saw = b'_';
        } else {
            if saw == b'_' {
                return false;
            }
            saw = b'!';
        }
    }
    saw != b'_'
}

/// Go's `strconv.ParseFloat(s, 64)`; `None` for a syntax error, infinity for a number too large.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    let text = std::str::from_utf8(text).ok()?;
    let (negative, body) = match text.as_bytes() {
        [b'+', ..] => (false, text.get(1..)?),
        [b'-', ..] => (true, text.get(1..)?),
        _ => (false, text),
    };
    let signed = |n: f64| if negative { -n } else { n };
    if body.eq_ignore_ascii_case("inf") || body.eq_ignore_ascii_case("infinity") {
        return Some(signed(f64::INFINITY));
    }
    if text.eq_ignore_ascii_case("nan") {
        return Some(f64::NAN);
    }
    if body.contains('_') && !underscores_ok(body.as_bytes()) {
        return None;
    }
    let digits = body.replace('_', "");
    if let Some(hex) = digits.strip_prefix("0x").or_else(|| digits.strip_prefix("0X")) {
        return parse_hex_float(hex).map(signed);
    }
    let plain = digits.bytes().all(|c| c.is_ascii_digit() || matches!(c, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !plain || digits.starts_with(['+', '-']) {
        return None;
    }
    digits.parse().ok().map(signed)
}

/// A hexadecimal float after its prefix; Go requires the exponent.
fn parse_hex_float(text: &str) -> Option<f64> {
    let at = text.find(['p', 'P'])?;
    let (mantissa, exponent) = (text.get(..at)?, text.get(at + 1..)?);
    let digits = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
    if digits.is_empty() || !digits.bytes().all(|c| c.is_ascii_digit()) {
        return None;
    }
    let mut exponent: i64 =
        exponent.parse().unwrap_or(if exponent.starts_with('-') { -100_000 } else { 100_000 });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let mut n = 0u128;
    let mut sticky = false;
    for (i, c) in whole.chars().chain(fraction.chars()).enumerate() {
        let digit = c.to_digit(16)?;
        if n >> 120 == 0 {
            n = n << 4 | u128::from(digit);
            exponent -= if i >= whole.len() { 4 } else { 0 };
        } else {
            sticky |= digit != 0;
            exponent += if i < whole.len() { 4 } else { 0 };
        }
    }
    // One rounding only: what was cut off counts as a set last bit.
    let n = n | u128::from(sticky);
    let exponent = i32::try_from(exponent.clamp(-100_000, 100_000)).unwrap_or(0);
    Some(scale(n, exponent))
}

/// `n * 2^exponent`, rounded once, half to even.
fn scale(n: u128, exponent: i32) -> f64 {
    if n == 0 {
        return 0.0;
    }
    let bits = 128 - i32::try_from(n.leading_zeros()).unwrap_or(0);
    let top = bits + exponent; // the value lies in [2^(top-1), 2^top)
    if top > 1024 {
        return f64::INFINITY;
    }
    let keep = (top + 1074).min(53); // fewer bits for subnormal numbers
    if keep < 0 {
        return 0.0;
    }
    let drop = bits - keep;
    let (mantissa, shift) = if drop <= 0 {
        (n, exponent)
    } else if drop >= 128 {
        (0, 0)
    } else {
        let (kept, lost, half) = (n >> drop, n & ((1 << drop) - 1), 1u128 << (drop - 1));
        (kept + u128::from(lost > half || lost == half && kept & 1 == 1), exponent + drop)
    };
    #[allow(clippy::cast_precision_loss, reason = "at most 53 bits are left")]
    let mantissa = mantissa as f64;
    // Two steps, because 2^shift alone may lie outside the range of f64.
    let half = shift / 2;
    mantissa * 2f64.powi(half) * 2f64.powi(shift - half)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_as_go_reads_them() {
        for (text, base, expected) in [
            ("0x1F", 0, Ok(31)),
            ("010", 0, Ok(8)),
            ("0b101", 0, Ok(5)),
            ("0o17", 0, Ok(15)),
            ("1_000", 0, Ok(1000)),
            ("1__0", 0, Err(ParseInt::Syntax)),
            ("1_000", 10, Err(ParseInt::Syntax)),
            ("08", 0, Err(ParseInt::Syntax)),
            ("-9223372036854775808", 10, Ok(i64::MIN)),
            ("9223372036854775808", 10, Err(ParseInt::Range(i64::MAX))),
            ("99999999999999999999", 10, Err(ParseInt::Range(i64::MAX))),
            ("", 10, Err(ParseInt::Syntax)),
            ("0x", 0, Err(ParseInt::Syntax)),
            ("0", 0, Ok(0)),
        ] {
            assert_eq!(parse_int(text.as_bytes(), base), expected, "{text}");
        }
    }

    #[test]
    fn floats_as_go_reads_them() {
        for (text, expected) in [
            ("1e3", Some(1000.0)),
            ("0x1p-2", Some(0.25)),
            ("0x1.8p1", Some(3.0)),
            ("0x1", None),
            ("1_0.5", Some(10.5)),
            ("_1", None),
            ("+.5", Some(0.5)),
            ("5.", Some(5.0)),
            ("1e400", Some(f64::INFINITY)),
            ("-Infinity", Some(f64::NEG_INFINITY)),
            ("0x1p-1074", Some(5e-324)),
            ("0x1p-1075", Some(0.0)),
            ("0x1.fffffffffffff8p1023", Some(f64::INFINITY)),
            ("e5", None),
            ("--1", None),
        ] {
            assert_eq!(parse_float(text.as_bytes()), expected, "{text}");
        }
        assert!(parse_float(b"nan").is_some_and(f64::is_nan));
    }
}

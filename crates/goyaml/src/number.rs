//! Numbers as Go's `strconv` and `encoding/json` read and write them.
//!
//! Rust's shortest round-trip digits are Go's; only the notation differs, so every formatter here starts
//! from `{:e}`.

/// The shortest decimal digits of a float, as `0.d1d2d3… × 10^point`.
struct Digits {
    negative: bool,
    digits: String,
    point: i32,
}

impl Digits {
    /// Finds the digits of a finite float.
    fn new(value: f64) -> Self {
        let digits = Self::parse(&format!("{value:e}"));
        if digits.digits.len() < 15 {
            digits
        } else {
            digits.break_tie(value, |text| text.parse() == Ok(value))
        }
    }

    /// Finds the digits of a finite float of 32 bits.
    fn new32(value: f32) -> Self {
        let digits = Self::parse(&format!("{value:e}"));
        // Go: 2^-12, the one power of two that is a tie in 32 bits, is rounded up.
        if value.abs() == 0.000_244_140_62 {
            digits
        } else {
            digits.break_tie(value.into(), |text| text.parse() == Ok(value))
        }
    }

    /// Prefers the even one of two shortest forms that are equally close, as Go does; Rust rounds up.
    fn break_tie(self, value: f64, same: impl Fn(&str) -> bool) -> Self {
        let exact = Self::parse(&format!("{value:.60e}"));
        let (head, tail) = exact.digits.split_at(self.digits.len().min(exact.digits.len()));
        let even = head.ends_with(['0', '2', '4', '6', '8']);
        let tie = tail.starts_with('5') && tail.bytes().skip(1).all(|b| b == b'0');
        if !tie || !even || head == self.digits || exact.point != self.point {
            return self;
        }
        let down = Self { negative: self.negative, digits: head.to_owned(), point: self.point };
        if same(&down.exponent(1)) { down } else { self }
    }

    /// Takes the digits out of Rust's `{:e}` form.
    fn parse(scientific: &str) -> Self {
        let (negative, rest) = match scientific.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, scientific),
        };
        let (mantissa, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
        let digits: String = mantissa.chars().filter(char::is_ascii_digit).collect();
        let exponent: i32 = exponent.parse().unwrap_or(0);
        Self { negative, digits, point: exponent + 1 }
    }

    /// Writes `d.ddde±xx`, with at least `width` digits of exponent.
    fn exponent(&self, width: usize) -> String {
        let mut out = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            out.push('-');
        }
        let (first, rest) = self.digits.split_at(1.min(self.digits.len()));
        out.push_str(first);
        if !rest.is_empty() {
            out.push('.');
            out.push_str(rest);
        }
        let exponent = self.point - 1;
        out.push_str(if exponent < 0 { "e-" } else { "e+" });
        let magnitude = exponent.unsigned_abs().to_string();
        for _ in magnitude.len()..width {
            out.push('0');
        }
        out.push_str(&magnitude);
        out
    }

    /// Writes the digits without an exponent.
    fn plain(&self) -> String {
        let mut out = String::with_capacity(self.digits.len() + 8);
        if self.negative {
            out.push('-');
        }
        if self.point <= 0 {
            out.push_str("0.");
            for _ in self.point..0 {
                out.push('0');
            }
            out.push_str(&self.digits);
            return out;
        }
        let whole = usize::try_from(self.point).unwrap_or(0);
        if whole >= self.digits.len() {
            out.push_str(&self.digits);
            for _ in self.digits.len()..whole {
                out.push('0');
            }
        } else {
            let (left, right) = self.digits.split_at(whole);
            out.push_str(left);
            out.push('.');
            out.push_str(right);
        }
        out
    }

    /// Chooses between the two as `%g` does for shortest digits.
    fn general(&self) -> String {
        let exponent = self.point - 1;
        if (-4..6).contains(&exponent) { self.plain() } else { self.exponent(2) }
    }
}

/// Formats as `strconv.FormatFloat(value, 'g', -1, 64)`.
///
/// ```
/// use pintle_goyaml::number::format_float_g;
///
/// assert_eq!(format_float_g(1_000_000.0), "1e+06");
/// assert_eq!(format_float_g(f64::NEG_INFINITY), "-Inf");
/// ```
pub fn format_float_g(value: f64) -> String {
    special(value).map_or_else(|| Digits::new(value).general(), str::to_owned)
}

/// Formats as `strconv.FormatFloat(value, 'g', -1, 32)`, which is how floats become map keys and strings.
pub fn format_float_g32(value: f64) -> String {
    // Go: the value is rounded to 32 bits first, and may overflow on the way.
    let value = value as f32;
    special(f64::from(value)).map_or_else(|| Digits::new32(value).general(), str::to_owned)
}

/// Formats as `encoding/json` does; infinities and NaN, which JSON lacks, get their Go names.
///
/// ```
/// use pintle_goyaml::number::format_float_json;
///
/// assert_eq!(format_float_json(1_000_000.0), "1000000");
/// assert_eq!(format_float_json(1e21), "1e+21");
/// assert_eq!(format_float_json(1e-7), "1e-7");
/// ```
pub fn format_float_json(value: f64) -> String {
    if let Some(text) = special(value) {
        return text.to_owned();
    }
    let digits = Digits::new(value);
    let magnitude = value.abs();
    if magnitude != 0.0 && !(1e-6..1e21).contains(&magnitude) { digits.exponent(1) } else { digits.plain() }
}

/// Gives Go's name of a value that has no digits.
fn special(value: f64) -> Option<&'static str> {
    if value.is_nan() {
        Some("NaN")
    } else if value == f64::INFINITY {
        Some("+Inf")
    } else if value == f64::NEG_INFINITY {
        Some("-Inf")
    } else {
        None
    }
}

/// An integer as go-yaml reads it: signed if it fits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Int {
    Signed(i64),
    Unsigned(u64),
}

/// Reads an integer as `strconv.ParseInt(text, 0, 64)` and then `ParseUint(text, 0, 64)` do.
pub(crate) fn parse_int(text: &[u8]) -> Option<Int> {
    let (negative, signed, digits) = match text {
        [b'-', rest @ ..] => (true, true, rest),
        [b'+', rest @ ..] => (false, true, rest),
        _ => (false, false, text),
    };
    let (radix, digits): (u32, &[u8]) = match digits {
        [b'0', b'b' | b'B', rest @ ..] if !rest.is_empty() => (2, rest),
        [b'0', b'o' | b'O', rest @ ..] if !rest.is_empty() => (8, rest),
        [b'0', b'x' | b'X', rest @ ..] if !rest.is_empty() => (16, rest),
        [b'0'] => (10, digits),
        [b'0', rest @ ..] => (8, rest),
        _ => (10, digits),
    };
    sign(parse_digits(digits, radix)?, negative, signed)
}

/// Reads what go-yaml tries when that failed: `0b` and then anything with a sign of its own.
pub(crate) fn parse_binary(text: &[u8]) -> Option<Int> {
    match text {
        [b'0', b'b', b'-', rest @ ..] => sign(parse_digits(rest, 2)?, true, true),
        [b'0', b'b', b'+', rest @ ..] => sign(parse_digits(rest, 2)?, false, true),
        _ => None,
    }
}

/// Reads unsigned digits, and fails on anything else.
fn parse_digits(digits: &[u8], radix: u32) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |value, &byte| {
        let digit = char::from(byte).to_digit(radix)?;
        value.checked_mul(u64::from(radix))?.checked_add(u64::from(digit))
    })
}

/// Applies the sign; only numbers without one may use the unsigned range.
fn sign(magnitude: u64, negative: bool, signed: bool) -> Option<Int> {
    if negative {
        // Two's complement makes the one magnitude without a positive counterpart come out right.
        return (magnitude <= 1 << 63).then(|| Int::Signed((magnitude as i64).wrapping_neg()));
    }
    match i64::try_from(magnitude) {
        Ok(value) => Some(Int::Signed(value)),
        Err(_) if signed => None,
        Err(_) => Some(Int::Unsigned(magnitude)),
    }
}

/// Reads a float of YAML's own form, `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`.
///
/// Nothing if the value would be infinite: Go reports a range error and go-yaml then takes a string.
pub(crate) fn parse_float(text: &[u8]) -> Option<f64> {
    let unsigned = match text {
        [b'-' | b'+', rest @ ..] => rest,
        _ => text,
    };
    let digits = |bytes: &[u8]| bytes.iter().take_while(|b| b.is_ascii_digit()).count();
    let whole = digits(unsigned);
    let mut rest = unsigned.get(whole..)?;
    if let [b'.', after @ ..] = rest {
        let fraction = digits(after);
        if whole == 0 && fraction == 0 {
            return None;
        }
        rest = after.get(fraction..)?;
    } else if whole == 0 {
        return None;
    }
    if let [b'e' | b'E', after @ ..] = rest {
        let after = match after {
            [b'-' | b'+', after @ ..] => after,
            _ => after,
        };
        let exponent = digits(after);
        if exponent == 0 {
            return None;
        }
        rest = after.get(exponent..)?;
    }
    if !rest.is_empty() {
        return None;
    }
    let value: f64 = std::str::from_utf8(text).ok()?.parse().ok()?;
    value.is_finite().then_some(value)
}

/// Reads a text that starts with a dot as `strconv.ParseFloat` does.
pub(crate) fn parse_dot_float(text: &[u8]) -> Option<f64> {
    if !text.contains(&b'_') {
        return parse_float(text);
    }
    // Go: underscores may separate digits, and nothing else.
    let separates = |i: usize| {
        let digit = |b: Option<&u8>| b.is_some_and(u8::is_ascii_digit);
        digit(i.checked_sub(1).and_then(|i| text.get(i))) && digit(text.get(i + 1))
    };
    if text.iter().enumerate().any(|(i, &b)| b == b'_' && !separates(i)) {
        return None;
    }
    let plain: Vec<u8> = text.iter().copied().filter(|&b| b != b'_').collect();
    parse_float(&plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_go_writes_them() {
        for (value, general, json) in [
            (0.0, "0", "0"),
            (-0.0, "-0", "-0"),
            (1.5, "1.5", "1.5"),
            (1e6, "1e+06", "1000000"),
            (123456.0, "123456", "123456"),
            (1234567.5, "1.2345675e+06", "1234567.5"),
            (1e20, "1e+20", "100000000000000000000"),
            (1e21, "1e+21", "1e+21"),
            (1e-5, "1e-05", "0.00001"),
            (1e-6, "1e-06", "0.000001"),
            (1e-7, "1e-07", "1e-7"),
            (1182730725999739.2, "1.1827307259997392e+15", "1182730725999739.2"),
            (5e-324, "5e-324", "5e-324"),
            (f64::MAX, "1.7976931348623157e+308", "1.7976931348623157e+308"),
            (f64::NAN, "NaN", "NaN"),
        ] {
            assert_eq!(format_float_g(value), general);
            assert_eq!(format_float_json(value), json);
        }
        assert_eq!(format_float_g32(0.1), "0.1");
        assert_eq!(format_float_g32(1.123456789), "1.1234568");
        assert_eq!(format_float_g32(-251124.625), "-251124.62");
        assert_eq!(format_float_g32(0.000244140625), "0.00024414063");
        assert_eq!(format_float_g32(1e300), "+Inf");
    }

    #[test]
    fn integers_are_read_in_every_base() {
        for (text, expected) in [
            ("0", Some(Int::Signed(0))),
            ("-0", Some(Int::Signed(0))),
            ("010", Some(Int::Signed(8))),
            ("08", None),
            ("0x", None),
            ("0X1f", Some(Int::Signed(31))),
            ("-0b11", Some(Int::Signed(-3))),
            ("9223372036854775807", Some(Int::Signed(i64::MAX))),
            ("9223372036854775808", Some(Int::Unsigned(1 << 63))),
            ("+9223372036854775808", None),
            ("-9223372036854775808", Some(Int::Signed(i64::MIN))),
            ("18446744073709551616", None),
            ("", None),
            ("-", None),
        ] {
            assert_eq!(parse_int(text.as_bytes()), expected, "{text}");
        }
        assert_eq!(parse_binary(b"0b-101"), Some(Int::Signed(-5)));
    }
}

//! Decides what a plain scalar means, by the rules of go-yaml's `resolve`.
//!
//! Versions 2 and 3 differ in one point: the old booleans (`yes`, `on`, …) are booleans only to version 2.

use std::borrow::Cow;

use crate::number::{self, Int};

/// What a scalar means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar {
    Null,
    Bool(bool),
    Int(i64),
    Uint(u64),
    Float(f64),
    /// A date: kept as the text it is, but never written plain.
    Timestamp,
    String,
}

impl Scalar {
    /// The short tag that errors name.
    pub(crate) fn tag(self) -> &'static str {
        match self {
            Self::Null => "!!null",
            Self::Bool(_) => "!!bool",
            Self::Int(_) | Self::Uint(_) => "!!int",
            Self::Float(_) => "!!float",
            Self::Timestamp => "!!timestamp",
            Self::String => "!!str",
        }
    }
}

/// Decides what a plain scalar without a tag means to YAML 1.1.
pub(crate) fn resolve(text: &str) -> Scalar {
    resolve_hinted(text, true)
}

/// As [`resolve`], for a scalar with an explicit tag: dates count only if the tag is `!!timestamp`.
pub(crate) fn resolve_hinted(text: &str, dates: bool) -> Scalar {
    let bytes = text.as_bytes();
    let Some(&first) = bytes.first() else {
        return Scalar::Null;
    };
    match first {
        b'y' | b'Y' | b'n' | b'N' | b't' | b'T' | b'f' | b'F' | b'o' | b'O' | b'~' => word(text),
        b'.' => match text {
            ".nan" | ".NaN" | ".NAN" => Scalar::Float(f64::NAN),
            ".inf" | ".Inf" | ".INF" => Scalar::Float(f64::INFINITY),
            _ => number::parse_dot_float(bytes).map_or(Scalar::String, Scalar::Float),
        },
        b'0'..=b'9' | b'+' | b'-' => numeric(text, dates),
        _ => Scalar::String,
    }
}

/// Looks up the words that are no strings.
fn word(text: &str) -> Scalar {
    if text.len() > 5 {
        return Scalar::String;
    }
    match text {
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            Scalar::Bool(true)
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            Scalar::Bool(false)
        }
        "~" | "null" | "Null" | "NULL" => Scalar::Null,
        _ => Scalar::String,
    }
}

/// Reads what starts with a sign or a digit.
fn numeric(text: &str, dates: bool) -> Scalar {
    match text {
        "+.inf" | "+.Inf" | "+.INF" => return Scalar::Float(f64::INFINITY),
        "-.inf" | "-.Inf" | "-.INF" => return Scalar::Float(f64::NEG_INFINITY),
        _ => {}
    }
    if dates && is_timestamp(text.as_bytes()) {
        return Scalar::Timestamp;
    }
    let plain =
        if text.as_bytes().contains(&b'_') { Cow::Owned(text.replace('_', "")) } else { Cow::Borrowed(text) };
    let plain = plain.as_bytes();
    if let Some(int) = number::parse_int(plain) {
        return int.into();
    }
    if let Some(float) = number::parse_float(plain) {
        return Scalar::Float(float);
    }
    number::parse_binary(plain).map_or(Scalar::String, Scalar::from)
}

impl From<Int> for Scalar {
    fn from(int: Int) -> Self {
        match int {
            Int::Signed(value) => Self::Int(value),
            Int::Unsigned(value) => Self::Uint(value),
        }
    }
}

/// Whether a string must be quoted to stay one.
///
/// The old booleans, the one point in which the versions resolve differently, are quoted by both.
pub(crate) fn needs_quotes(text: &str) -> bool {
    resolve(text) != Scalar::String || is_base60(text.as_bytes())
}

/// Whether the text is one of the formats that go-yaml hands to `time.Parse`.
fn is_timestamp(text: &[u8]) -> bool {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    if digits != 4 || text.get(4) != Some(&b'-') {
        return false;
    }
    parse_timestamp(text).is_some()
}

/// Reads `2006-1-2`, alone or with a time of day in one of three notations.
fn parse_timestamp(text: &[u8]) -> Option<()> {
    let year = text.get(..4)?.iter().fold(0u32, |year, b| year * 10 + u32::from(b - b'0'));
    let (month, rest) = one_or_two(text.get(5..)?)?;
    let (day, rest) = one_or_two(rest.strip_prefix(b"-")?)?;
    if !(1..=12).contains(&month) || day < 1 || day > days_in(month, year) {
        return None;
    }
    match rest {
        [] => Some(()),
        [b'T' | b't', rest @ ..] => {
            let rest = time_of_day(rest)?;
            match rest {
                b"Z" => Some(()),
                [b'+' | b'-', h1, h2, b':', m1, m2] => {
                    let two = |a: &u8, b: &u8| {
                        (a.is_ascii_digit() && b.is_ascii_digit()).then(|| (a - b'0') * 10 + (b - b'0'))
                    };
                    (two(h1, h2)? <= 24 && two(m1, m2)? <= 60).then_some(())
                }
                _ => None,
            }
        }
        [b' ', ..] => {
            // Go: a blank in the layout matches any number of them.
            let spaces = rest.iter().take_while(|&&b| b == b' ').count();
            time_of_day(rest.get(spaces..)?)?.is_empty().then_some(())
        }
        _ => None,
    }
}

/// Reads `15:4:5.999999999` and gives the rest.
fn time_of_day(text: &[u8]) -> Option<&[u8]> {
    let (hour, rest) = one_or_two(text)?;
    let (minute, rest) = one_or_two(rest.strip_prefix(b":")?)?;
    let (second, rest) = one_or_two(rest.strip_prefix(b":")?)?;
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    match rest {
        [b'.' | b',', digit, ..] if digit.is_ascii_digit() => {
            let digits = rest.iter().skip(1).take_while(|b| b.is_ascii_digit()).count();
            rest.get(1 + digits..)
        }
        _ => Some(rest),
    }
}

/// Reads a number of one or two digits.
fn one_or_two(text: &[u8]) -> Option<(u32, &[u8])> {
    match text {
        [a, b, rest @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => {
            Some((u32::from(a - b'0') * 10 + u32::from(b - b'0'), rest))
        }
        [a, rest @ ..] if a.is_ascii_digit() => Some((u32::from(a - b'0'), rest)),
        _ => None,
    }
}

/// Gives the length of a month.
fn days_in(month: u32, year: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Matches `^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$`.
fn is_base60(text: &[u8]) -> bool {
    let unsigned = match text {
        [b'-' | b'+', rest @ ..] => rest,
        _ => text,
    };
    if !unsigned.first().is_some_and(u8::is_ascii_digit) {
        return false;
    }
    let head = unsigned.iter().take_while(|&&b| b.is_ascii_digit() || b == b'_').count();
    let mut rest = unsigned.get(head..).unwrap_or_default();
    let mut groups = 0;
    while let [b':', after @ ..] = rest {
        rest = match after {
            [b'0'..=b'5', b, rest @ ..] if b.is_ascii_digit() => rest,
            [a, rest @ ..] if a.is_ascii_digit() => rest,
            _ => return false,
        };
        groups += 1;
    }
    if let [b'.', after @ ..] = rest {
        let fraction = after.iter().take_while(|&&b| b.is_ascii_digit() || b == b'_').count();
        rest = after.get(fraction..).unwrap_or_default();
    }
    groups > 0 && rest.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_scalars() {
        for (text, expected) in [
            ("", Scalar::Null),
            ("~", Scalar::Null),
            ("yes", Scalar::Bool(true)),
            ("yES", Scalar::String),
            ("n", Scalar::Bool(false)),
            ("010", Scalar::Int(8)),
            ("0o10", Scalar::Int(8)),
            ("1_000", Scalar::Int(1000)),
            ("_1", Scalar::String),
            ("08", Scalar::Float(8.0)),
            ("1e3", Scalar::Float(1000.0)),
            ("1e400", Scalar::String),
            (".5_5", Scalar::Float(0.55)),
            ("0b-101", Scalar::Int(-5)),
            ("18446744073709551615", Scalar::Uint(u64::MAX)),
            ("12:30:45", Scalar::String),
            ("2001-01-01", Scalar::Timestamp),
            ("2001-1-1T1:2:3Z", Scalar::Timestamp),
            ("2001-1-1  1:2:3.5", Scalar::Timestamp),
            ("2001-02-29", Scalar::String),
            ("2001-1-1T1:2:3+24:60", Scalar::Timestamp),
            ("2001-1-1T1:2:3+25:00", Scalar::String),
            ("=", Scalar::String),
            ("<<", Scalar::String),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }

    #[test]
    fn base_60_floats_are_quoted() {
        for (text, expected) in [("12:30:45", true), ("1:60", false), ("-1_0:5.5_", true), ("1:2:", false)] {
            assert_eq!(is_base60(text.as_bytes()), expected, "{text}");
        }
    }
}

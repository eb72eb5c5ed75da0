//! `time.Duration`: a number of nanoseconds.

use std::any::Any;
use std::fmt;
use std::rc::Rc;

use pintle_gotemplate::{FuncError, Method, Object, Signature, Type, Value, YamlForm};

use crate::args::Args;

/// Go's `time.Duration`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Duration(pub i64);

impl Duration {
    /// One second.
    pub const SECOND: Self = Self(1_000_000_000);

    /// Go's name of the type.
    pub const TYPE: &'static str = "time.Duration";

    /// Reads `1h30m`, `-1.5s`, `0`.
    ///
    /// # Errors
    ///
    /// Go's `time.ParseDuration` error text.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let error = |message: &str| format!("time: {message} {}", super::layout::quote(text));
        let invalid = || error("invalid duration");
        let (negative, mut rest) = match text {
            [b'-', rest @ ..] => (true, rest),
            [b'+', rest @ ..] => (false, rest),
            _ => (false, text),
        };
        if rest == b"0" {
            return Ok(Self(0));
        }
        if rest.is_empty() {
            return Err(invalid());
        }
        const LIMIT: u64 = 1 << 63;
        let mut total = 0u64;
        while !rest.is_empty() {
            if !rest.first().is_some_and(|b| *b == b'.' || b.is_ascii_digit()) {
                return Err(invalid());
            }
            let (whole, after) = super::layout::leading_int(rest).ok_or_else(invalid)?;
            let before = after.len() != rest.len();
            rest = after;
            let (mut fraction, mut scale, mut behind) = (0, 1.0, false);
            if let [b'.', after @ ..] = rest {
                let digits = after.iter().take_while(|b| b.is_ascii_digit()).count();
                let (head, tail) = after.split_at(digits);
                (fraction, scale) = leading_fraction(head);
                behind = digits > 0;
                rest = tail;
            }
            if !before && !behind {
                return Err(invalid());
            }
            let end = rest.iter().position(|b| *b == b'.' || b.is_ascii_digit()).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            rest = after;
            if name.is_empty() {
                return Err(error("missing unit in duration"));
            }
            let unit: u64 = match name {
                b"ns" => 1,
                b"us" | b"\xc2\xb5s" | b"\xce\xbcs" => 1_000,
                b"ms" => 1_000_000,
                b"s" => 1_000_000_000,
                b"m" => 60_000_000_000,
                b"h" => 3_600_000_000_000,
                _ => return Err(error(&format!("unknown unit {} in duration", super::layout::quote(name)))),
            };
            if whole > LIMIT / unit {
                return Err(invalid());
            }
            let mut part = whole * unit;
            if fraction > 0 {
                #[allow(
                    clippy::cast_precision_loss,
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "as Go computes it; less than one unit"
                )]
                let nanoseconds = (fraction as f64 * (unit as f64 / scale)) as u64;
                part += nanoseconds;
                if part > LIMIT {
                    return Err(invalid());
                }
            }
            total = total.checked_add(part).filter(|total| *total <= LIMIT).ok_or_else(invalid)?;
        }
        if negative {
            return Ok(Self(total.wrapping_neg().cast_signed()));
        }
        i64::try_from(total).map(Self).map_err(|_| invalid())
    }

    /// The nearest multiple of `unit`, halves away from zero.
    #[must_use]
    pub fn rounded(self, unit: Self) -> Self {
        if unit.0 <= 0 {
            return self;
        }
        let remainder = self.0 % unit.0;
        let down = self.0 - remainder;
        if remainder.unsigned_abs() < unit.0.unsigned_abs() - remainder.unsigned_abs() {
            return Self(down);
        }
        let up = if self.0 < 0 { down.checked_sub(unit.0) } else { down.checked_add(unit.0) };
        Self(up.unwrap_or(if self.0 < 0 { i64::MIN } else { i64::MAX }))
    }

    /// The next multiple of `unit` towards zero.
    #[must_use]
    pub fn truncated(self, unit: Self) -> Self {
        if unit.0 <= 0 { self } else { Self(self.0 - self.0 % unit.0) }
    }

    /// The duration in units of `unit`, as Go's `Hours`, `Minutes` and `Seconds` compute it.
    #[allow(clippy::cast_precision_loss, reason = "as Go computes it")]
    pub fn in_units(self, unit: Self) -> f64 {
        let unit_length = unit.0.max(1);
        (self.0 / unit_length) as f64 + (self.0 % unit_length) as f64 / unit_length as f64
    }
}

/// Digits after the point; what does not fit is dropped.
fn leading_fraction(digits: &[u8]) -> (u64, f64) {
    let (mut n, mut scale) = (0u64, 1.0);
    for digit in digits.iter().map(|b| u64::from(b - b'0')) {
        if n > (u64::MAX >> 1) / 10 || n * 10 + digit > 1 << 63 {
            break;
        }
        n = n * 10 + digit;
        scale *= 10.0;
    }
    (n, scale)
}

impl fmt::Display for Duration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let magnitude = self.0.unsigned_abs();
        if self.0 == 0 {
            return f.write_str("0s");
        }
        if self.0 < 0 {
            f.write_str("-")?;
        }
        let (unit, digits, name) = match magnitude {
            0..1_000 => return write!(f, "{magnitude}ns"),
            1_000..1_000_000 => (1_000, 3, "µs"),
            1_000_000..1_000_000_000 => (1_000_000, 6, "ms"),
            _ => (1_000_000_000, 9, "s"),
        };
        let (whole, fraction) = (magnitude / unit, magnitude % unit);
        let fraction = format!("{fraction:0digits$}");
        let fraction = fraction.trim_end_matches('0');
        let point = if fraction.is_empty() { "" } else { "." };
        if whole < 60 || unit != 1_000_000_000 {
            return write!(f, "{whole}{point}{fraction}{name}");
        }
        let (minutes, seconds) = (whole / 60, whole % 60);
        if minutes >= 60 {
            write!(f, "{}h", minutes / 60)?;
        }
        write!(f, "{}m{seconds}{point}{fraction}s", minutes % 60)
    }
}

impl Object for Duration {
    fn type_name(&self) -> &str {
        Self::TYPE
    }

    fn kind(&self) -> &'static str {
        "int64"
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        type Call = fn(Duration, &[Value]) -> Value;
        const NONE: &[Type] = &[];
        const UNIT: &[Type] = &[Type::Object(Duration::TYPE)];
        let (params, call): (_, Call) = match name {
            "Hours" => (NONE, |d, _| d.in_units(Duration(3_600_000_000_000)).into()),
            "Minutes" => (NONE, |d, _| d.in_units(Duration(60_000_000_000)).into()),
            "Seconds" => (NONE, |d, _| d.in_units(Duration::SECOND).into()),
            "Milliseconds" => (NONE, |d, _| Value::int64(d.0 / 1_000_000)),
            "Microseconds" => (NONE, |d, _| Value::int64(d.0 / 1_000)),
            "Nanoseconds" => (NONE, |d, _| Value::int64(d.0)),
            "String" => (NONE, |d, _| d.to_string().into()),
            "Abs" => (NONE, |d, _| Duration(d.0.saturating_abs()).into_value()),
            "Round" => (UNIT, |d, args| d.rounded(unit(args)).into_value()),
            "Truncate" => (UNIT, |d, args| d.truncated(unit(args)).into_value()),
            _ => return None,
        };
        let signature = Signature { params, variadic: false };
        Some(Method { signature, call: Box::new(move |args| Ok::<_, FuncError>(call(*self, args))) })
    }

    fn print(&self) -> Vec<u8> {
        self.to_string().into_bytes()
    }

    fn truth(&self) -> bool {
        self.0 != 0
    }

    fn to_plain(&self) -> Option<Value> {
        Some(Value::int64(self.0))
    }

    fn to_yaml(&self) -> Option<YamlForm> {
        Some(YamlForm::Value(self.to_string().into()))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        other.as_any().downcast_ref::<Self>() == Some(self)
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

fn unit(args: &[Value]) -> Duration {
    args.value(0).as_object::<Duration>().copied().unwrap_or(Duration(args.int(0)))
}

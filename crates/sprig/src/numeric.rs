//! Numbers: `spf13/cast`'s loose conversions, integer and decimal arithmetic, ranges, rounding.

use pintle_gotemplate::{ElemType, FuncError, List, Object, Value};

use crate::args::Args;
use crate::date::{Month, Weekday};
use crate::decimal::Decimal;
use crate::go::{self, Outcome, failure, parse_float, parse_int};
use crate::limit;

/// `cast.ToInt64`: what cannot be read as an integer is 0.
pub fn to_int64(value: &Value) -> i64 {
    match value {
        Value::Int(n, _) => *n,
        Value::Float(n) => truncate(*n),
        Value::Bool(b) => i64::from(*b),
        Value::String(text) => parse_int(without_zero_fraction(text.as_bytes()), 0).unwrap_or(0),
        Value::Object(object) => enumeration(&**object).unwrap_or(0),
        _ => 0,
    }
}

/// `cast.ToFloat64`: what cannot be read as a number is 0.
pub fn to_float64(value: &Value) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "as Go's conversion, to the nearest")]
    match value {
        Value::Int(n, kind) if kind.is_unsigned() => n.cast_unsigned() as f64,
        Value::Int(n, _) => *n as f64,
        Value::Float(n) => *n,
        Value::Bool(b) => f64::from(u8::from(*b)),
        Value::String(text) => parse_float64(text.as_bytes()).unwrap_or(0.0),
        Value::Object(object) => enumeration(&**object).map_or(0.0, |n| n as f64),
        _ => 0.0,
    }
}

/// Go's `strconv.ParseFloat(s, 64)`, where it gives no error: with underscores between digits, hexadecimal, `inf`, `nan`.
pub fn parse_float64(text: &[u8]) -> Option<f64> {
    // Go: a number too large is an error, unlike the word `inf`.
    parse_float(text).filter(|number| !number.is_infinite() || !text.iter().any(u8::is_ascii_digit))
}

/// `time.Month` and `time.Weekday`, the only named integers that cast knows.
fn enumeration(object: &dyn Object) -> Option<i64> {
    let any = object.as_any();
    let month = any.downcast_ref::<Month>().map(|month| month.0);
    month.or_else(|| any.downcast_ref::<Weekday>().map(|day| day.0))
}

/// Go's float to integer conversion on amd64: what does not fit becomes the smallest integer.
pub(crate) fn truncate(n: f64) -> i64 {
    #[allow(clippy::cast_possible_truncation, reason = "in range")]
    if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&n) { n as i64 } else { i64::MIN }
}

/// cast's `trimZeroDecimal`: `5.00` reads as `5`.
fn without_zero_fraction(text: &[u8]) -> &[u8] {
    let zeros = text.iter().rev().take_while(|&&b| b == b'0').count();
    match text.get(..text.len() - zeros) {
        Some([whole @ .., b'.']) if zeros > 0 => whole,
        _ => text,
    }
}

/// `int VALUE`.
pub(crate) fn int(args: &[Value]) -> Outcome {
    Ok(Value::int(to_int64(args.value(0))))
}

/// `int64 VALUE`.
pub(crate) fn int64(args: &[Value]) -> Outcome {
    Ok(Value::int64(to_int64(args.value(0))))
}

/// `float64 VALUE`.
pub(crate) fn float64(args: &[Value]) -> Outcome {
    Ok(Value::Float(to_float64(args.value(0))))
}

/// `atoi TEXT`: a number too large is the largest, anything else wrong is 0.
pub(crate) fn atoi(args: &[Value]) -> Outcome {
    Ok(Value::int(match parse_int(args.bytes(0), 10) {
        Ok(n) | Err(go::ParseInt::Range(n)) => n,
        Err(go::ParseInt::Syntax) => 0,
    }))
}

/// `toDecimal VALUE`: reads octal.
pub(crate) fn to_decimal(args: &[Value]) -> Outcome {
    Ok(Value::int64(parse_int(&go::to_text(args.value(0))?, 8).unwrap_or(0)))
}

/// `add VALUE…`.
pub(crate) fn add(args: &[Value]) -> Outcome {
    Ok(Value::int64(args.iter().map(to_int64).fold(0, i64::wrapping_add)))
}

/// `add1 VALUE`.
pub(crate) fn add1(args: &[Value]) -> Outcome {
    Ok(Value::int64(to_int64(args.value(0)).wrapping_add(1)))
}

/// `sub A B`.
pub(crate) fn sub(args: &[Value]) -> Outcome {
    Ok(Value::int64(to_int64(args.value(0)).wrapping_sub(to_int64(args.value(1)))))
}

/// `mul VALUE…`.
pub(crate) fn mul(args: &[Value]) -> Outcome {
    Ok(Value::int64(args.iter().map(to_int64).fold(1, i64::wrapping_mul)))
}

/// `div A B`.
pub(crate) fn div(args: &[Value]) -> Outcome {
    divided(args, i64::wrapping_div)
}

/// `mod A B`.
pub(crate) fn modulo(args: &[Value]) -> Outcome {
    divided(args, i64::wrapping_rem)
}

fn divided(args: &[Value], operation: fn(i64, i64) -> i64) -> Outcome {
    match to_int64(args.value(1)) {
        0 => Err(failure("runtime error: integer divide by zero")),
        divisor => Ok(Value::int64(operation(to_int64(args.value(0)), divisor))),
    }
}

/// `max VALUE…`, `biggest VALUE…`.
pub(crate) fn max(args: &[Value]) -> Outcome {
    Ok(Value::int64(args.iter().map(to_int64).max().unwrap_or(0)))
}

/// `min VALUE…`.
pub(crate) fn min(args: &[Value]) -> Outcome {
    Ok(Value::int64(args.iter().map(to_int64).min().unwrap_or(0)))
}

/// `maxf VALUE…`.
pub(crate) fn maxf(args: &[Value]) -> Outcome {
    extreme(args, |a, b| a > b)
}

/// `minf VALUE…`.
pub(crate) fn minf(args: &[Value]) -> Outcome {
    extreme(args, |a, b| a < b)
}

/// Go's `math.Max` and `math.Min` over all: an infinity of the wanted sign beats NaN, NaN beats the rest.
fn extreme(args: &[Value], better: fn(f64, f64) -> bool) -> Outcome {
    let best = args.iter().map(to_float64).reduce(|a, b| {
        if a.is_infinite() && better(a, 0.0) || b.is_infinite() && better(b, 0.0) {
            if a.is_infinite() && better(a, 0.0) { a } else { b }
        } else if a.is_nan() || b.is_nan() {
            f64::NAN
        } else if a == 0.0 && b == 0.0 {
            // Go: Max(-0, 0) is 0, Min(-0, 0) is -0.
            if a.is_sign_negative() == better(-1.0, 0.0) { a } else { b }
        } else if better(b, a) {
            b
        } else {
            a
        }
    });
    Ok(Value::Float(best.unwrap_or(0.0)))
}

/// `ceil VALUE`.
pub(crate) fn ceil(args: &[Value]) -> Outcome {
    Ok(Value::Float(to_float64(args.value(0)).ceil()))
}

/// `floor VALUE`.
pub(crate) fn floor(args: &[Value]) -> Outcome {
    Ok(Value::Float(to_float64(args.value(0)).floor()))
}

/// `round VALUE PLACES [FROM]`: fractions from `FROM` (0.5) on are rounded up.
pub(crate) fn round(args: &[Value]) -> Outcome {
    let from = if args.len() > 2 { args.float(2) } else { 0.5 };
    let scale = power_of_ten(args.int(1));
    let scaled = scale * to_float64(args.value(0));
    // Go: an infinity has a fraction of NaN.
    let fraction = if scaled.is_infinite() { f64::NAN } else { scaled.fract() };
    // sprig: negative numbers are rounded down at any fraction, because theirs is negative.
    let rounded = if fraction >= from { scaled.ceil() } else { scaled.floor() };
    Ok(Value::Float(rounded / scale))
}

/// Go's `math.Pow(10, n)`: by squaring with separate exponents, so large powers have Go's rounding.
fn power_of_ten(n: i64) -> f64 {
    if n.unsigned_abs() >= 1 << 20 {
        return if n > 0 { f64::INFINITY } else { 0.0 };
    }
    let (mut result, mut result_exponent) = (1.0f64, 0i32);
    let (mut base, mut base_exponent) = (0.625f64, 4i32); // frexp(10)
    let mut i = n.unsigned_abs();
    while i != 0 {
        if base_exponent.abs() >= 1 << 12 {
            result_exponent = result_exponent.saturating_add(base_exponent);
            break;
        }
        if i & 1 == 1 {
            result *= base;
            result_exponent += base_exponent;
        }
        base *= base;
        base_exponent <<= 1;
        if base < 0.5 {
            base += base;
            base_exponent -= 1;
        }
        i >>= 1;
    }
    if n < 0 {
        result = 1.0 / result;
        result_exponent = -result_exponent;
    }
    let exponent = result_exponent.clamp(-2200, 2200);
    // In steps, because one power of two alone may be out of range.
    let step = exponent / 3;
    result * 2f64.powi(step) * 2f64.powi(step) * 2f64.powi(exponent - 2 * step)
}

/// `until COUNT`.
pub(crate) fn until(args: &[Value]) -> Outcome {
    let count = args.int(0);
    range(0, count, if count < 0 { -1 } else { 1 }).map(ints)
}

/// `untilStep START STOP STEP`.
pub(crate) fn until_step(args: &[Value]) -> Outcome {
    range(args.int(0), args.int(1), args.int(2)).map(ints)
}

fn ints(numbers: Vec<i64>) -> Value {
    Value::List(List::new(ElemType::Int, numbers.into_iter().map(Value::int).collect()))
}

fn range(start: i64, stop: i64, step: i64) -> Result<Vec<i64>, FuncError> {
    let towards = if stop < start { step < 0 } else { step > 0 };
    if !towards {
        return Ok(Vec::new());
    }
    let length = start.abs_diff(stop).div_ceil(step.unsigned_abs());
    limit::items(usize::try_from(length).unwrap_or(usize::MAX))?;
    let mut numbers = Vec::new();
    let mut n = start;
    while if step > 0 { n < stop } else { n > stop } {
        numbers.push(n);
        match n.checked_add(step) {
            Some(next) => n = next,
            None => break,
        }
    }
    Ok(numbers)
}

/// `seq [START [STEP]] END`, as the shell's.
pub(crate) fn seq(args: &[Value]) -> Outcome {
    let numbers = match args.len() {
        1 => {
            let end = args.int(0);
            let step = if end < 1 { -1 } else { 1 };
            range(1, end.wrapping_add(step), step)?
        }
        2 => {
            let (start, end) = (args.int(0), args.int(1));
            let step = if end < start { -1 } else { 1 };
            range(start, end.wrapping_add(step), step)?
        }
        3 => {
            let (start, step, end) = (args.int(0), args.int(1), args.int(2));
            let beyond = if end < start { -1 } else { 1 };
            if end < start && step > 0 { Vec::new() } else { range(start, end.wrapping_add(beyond), step)? }
        }
        _ => Vec::new(),
    };
    Ok(numbers.iter().map(i64::to_string).collect::<Vec<_>>().join(" ").into())
}

/// `add1f VALUE`.
pub(crate) fn add1f(args: &[Value]) -> Outcome {
    fold(args.value(0), &[Value::int(1)], |a, b| Ok(a.add(b)))
}

/// `addf VALUE…`.
pub(crate) fn addf(args: &[Value]) -> Outcome {
    fold(&Value::Float(0.0), args, |a, b| Ok(a.add(b)))
}

/// `subf VALUE…`.
pub(crate) fn subf(args: &[Value]) -> Outcome {
    fold(args.value(0), args.rest(1), |a, b| Ok(a.sub(b)))
}

/// `mulf VALUE…`.
pub(crate) fn mulf(args: &[Value]) -> Outcome {
    fold(args.value(0), args.rest(1), |a, b| Ok(a.mul(b)))
}

/// `divf VALUE…`.
pub(crate) fn divf(args: &[Value]) -> Outcome {
    fold(args.value(0), args.rest(1), |a, b| a.div(b))
}

fn fold(
    first: &Value,
    rest: &[Value],
    operation: fn(&Decimal, &Decimal) -> Result<Decimal, FuncError>,
) -> Outcome {
    let mut result = Decimal::from_float(to_float64(first))?;
    for value in rest {
        result = operation(&result, &Decimal::from_float(to_float64(value))?)?;
    }
    Ok(Value::Float(result.to_float()))
}

//! Helm 4's functions on durations.
//!
//! # Compatibility
//! As Helm v4 `pkg/engine/funcs.go`: a duration, a text such as `1h30m`, or a number of seconds; only
//! `mustToDuration` fails on anything else.

use pintle_gotemplate::{FuncError, Funcs, State, Type, Value, printf};
use pintle_sprig::Duration;

type Outcome = Result<Value, FuncError>;

const SECOND: f64 = 1e9;

/// Adds the functions to the table.
pub(super) fn add(funcs: &mut Funcs) {
    funcs.insert("mustToDuration", &[Type::Any], must_to_duration);
    funcs.insert("durationSeconds", &[Type::Any], |_, args| Ok(Value::Float(units(args, SECOND))));
    funcs.insert("durationMilliseconds", &[Type::Any], |_, args| {
        Ok(Value::int64(nanoseconds(args) / 1_000_000))
    });
    funcs.insert("durationMicroseconds", &[Type::Any], |_, args| Ok(Value::int64(nanoseconds(args) / 1_000)));
    funcs.insert("durationNanoseconds", &[Type::Any], |_, args| Ok(Value::int64(nanoseconds(args))));
    funcs.insert("durationMinutes", &[Type::Any], |_, args| Ok(Value::Float(units(args, 60.0 * SECOND))));
    funcs.insert("durationHours", &[Type::Any], |_, args| Ok(Value::Float(units(args, 3600.0 * SECOND))));
    funcs.insert("durationDays", &[Type::Any], |_, args| {
        Ok(Value::Float(units(args, 3600.0 * SECOND) / 24.0))
    });
    funcs.insert("durationWeeks", &[Type::Any], |_, args| {
        Ok(Value::Float(units(args, 3600.0 * SECOND) / 24.0 / 7.0))
    });
    funcs.insert("durationRoundTo", &[Type::Any, Type::Any], |_, args| Ok(adjust(args, Duration::rounded)));
    funcs.insert("durationTruncateTo", &[Type::Any, Type::Any], |_, args| {
        Ok(adjust(args, Duration::truncated))
    });
}

fn must_to_duration(_: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    read(args.first().unwrap_or(&Value::Nil)).map(Duration::into_value).map_err(FuncError::Message)
}

fn nanoseconds(args: &[Value]) -> i64 {
    read(args.first().unwrap_or(&Value::Nil)).map_or(0, |duration| duration.0)
}

/// Go's `Duration.Hours` and the like: the whole units and the rest are divided apart.
fn units(args: &[Value], unit: f64) -> f64 {
    let nanoseconds = nanoseconds(args);
    #[allow(clippy::cast_possible_truncation, reason = "the units are whole")]
    let whole = unit as i64;
    #[allow(clippy::cast_precision_loss, reason = "Go does the same")]
    let (quotient, rest) = ((nanoseconds / whole) as f64, (nanoseconds % whole) as f64);
    quotient + rest / unit
}

fn adjust(args: &[Value], by: fn(Duration, Duration) -> Duration) -> Value {
    let Some(Ok(duration)) = args.first().map(read) else { return Duration(0).into_value() };
    match args.get(1).map(read) {
        Some(Ok(unit)) => by(duration, unit).into_value(),
        _ => duration.into_value(),
    }
}

fn read(value: &Value) -> Result<Duration, String> {
    match value {
        Value::Nil => Err("invalid duration".to_owned()),
        Value::Object(object) => match object.as_any().downcast_ref::<Duration>() {
            Some(duration) => Ok(*duration),
            None => Err(format!("unsupported duration type {}", object.type_name())),
        },
        Value::String(text) => {
            let lossy = text.to_string_lossy();
            let trimmed = lossy.trim();
            if trimmed.is_empty() {
                return Err("empty duration".to_owned());
            }
            if let Ok(duration) = Duration::parse(trimmed.as_bytes()) {
                return Ok(duration);
            }
            let quoted = printf::quote(text.as_bytes());
            pintle_sprig::parse_float64(trimmed.as_bytes()).map_or_else(
                || Err(format!("could not parse duration {}", String::from_utf8_lossy(&quoted))),
                from_float,
            )
        }
        Value::Int(number, kind) if kind.is_unsigned() => i64::try_from(number.cast_unsigned())
            .ok()
            .and_then(|seconds| seconds.checked_mul(1_000_000_000))
            .map(Duration)
            .ok_or_else(|| format!("duration seconds overflow: {}", number.cast_unsigned())),
        Value::Int(number, _) => number
            .checked_mul(1_000_000_000)
            .map(Duration)
            .ok_or_else(|| format!("duration seconds overflow: {number}")),
        Value::Float(seconds) => from_float(*seconds),
        Value::Bool(_) => Err("unsupported duration type bool".to_owned()),
        Value::Complex(..) => Err("unsupported duration type complex128".to_owned()),
        Value::List(list) => Err(format!("unsupported duration type {}", list.elem.slice_name())),
        Value::Map(map) => Err(format!("unsupported duration type {}", map.ty.name())),
    }
}

fn from_float(seconds: f64) -> Result<Duration, String> {
    if !seconds.is_finite() {
        return Err(format!("invalid duration seconds: {seconds}"));
    }
    let nanoseconds = seconds * SECOND;
    #[allow(clippy::cast_precision_loss, reason = "the bound need not be exact")]
    if nanoseconds.abs() > i64::MAX as f64 {
        return Err(format!("duration seconds overflow: {}", crate::decode::go_float(seconds)));
    }
    #[allow(clippy::cast_possible_truncation, reason = "checked above")]
    Ok(Duration(nanoseconds as i64))
}

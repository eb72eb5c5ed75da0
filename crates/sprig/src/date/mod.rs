//! Dates and durations: Go's layouts, zones and units.

mod calendar;
mod duration;
mod layout;
mod time;

use std::rc::Rc;

use pintle_gotemplate::{IntKind, State, Value};

use crate::args::Args;
use crate::go::{Outcome, ParseInt, failure, parse_int};
use crate::{environment, impure};

pub use duration::Duration;
pub(crate) use time::{Month, Weekday};
pub use time::{Time, Zone};

/// `now`.
pub(crate) fn now(state: &mut State<'_, '_>, _: &[Value]) -> Outcome {
    Ok(current(state, "now").into_value())
}

fn current(state: &State<'_, '_>, function: &'static str) -> Time {
    environment::with(state, |environment| impure::moment(environment, state, function))
}

/// The moment that a value stands for: a time, or seconds since 1970 in one of the integer types `kinds`.
fn moment(state: &State<'_, '_>, function: &'static str, value: &Value, kinds: &[IntKind]) -> Time {
    match value {
        Value::Int(seconds, kind) if kinds.contains(kind) => {
            let zone = environment::with(state, |environment| environment.time_zone().clone());
            Time::from_unix(*seconds, 0, Zone::Local(zone))
        }
        // sprig: anything else is now, also a float, so numbers of values files are.
        other => other.as_object::<Time>().cloned().unwrap_or_else(|| current(state, function)),
    }
}

/// `date LAYOUT TIME`.
pub(crate) fn date(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    in_zone(state, "date", args.bytes(0), args.value(1), b"Local")
}

/// `dateInZone LAYOUT TIME ZONE`.
pub(crate) fn date_in_zone(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    in_zone(state, "dateInZone", args.bytes(0), args.value(1), args.bytes(2))
}

/// `htmlDate TIME`.
pub(crate) fn html_date(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    in_zone(state, "htmlDate", b"2006-01-02", args.value(0), b"Local")
}

/// `htmlDateInZone TIME ZONE`.
pub(crate) fn html_date_in_zone(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    in_zone(state, "htmlDateInZone", b"2006-01-02", args.value(0), args.bytes(1))
}

fn in_zone(
    state: &State<'_, '_>,
    function: &'static str,
    layout: &[u8],
    value: &Value,
    zone: &[u8],
) -> Outcome {
    let time = moment(state, function, value, &[IntKind::Int, IntKind::Int64, IntKind::Int32]);
    let local = environment::with(state, |environment| environment.time_zone().clone());
    // sprig: an unknown zone is UTC.
    let zone = Zone::load(zone, &local).unwrap_or(Zone::Utc);
    Ok(time.in_zone(zone).format(layout).into())
}

/// `dateModify DURATION TIME`: a bad duration leaves the time as it is.
pub(crate) fn date_modify(args: &[Value]) -> Outcome {
    let time = given(args, 1);
    Ok(Duration::parse(args.bytes(0)).map_or(time.clone(), |duration| time.plus(duration)).into_value())
}

/// `mustDateModify DURATION TIME`.
pub(crate) fn must_date_modify(args: &[Value]) -> Outcome {
    let duration = Duration::parse(args.bytes(0)).map_err(failure)?;
    Ok(given(args, 1).plus(duration).into_value())
}

fn given(args: &[Value], i: usize) -> Time {
    args.value(i).as_object::<Time>().cloned().unwrap_or_else(Time::zero)
}

/// `ago TIME`.
pub(crate) fn ago(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let since = moment(state, "ago", args.value(0), &[IntKind::Int, IntKind::Int64]);
    let elapsed = current(state, "ago").since(&since).rounded(Duration::SECOND);
    Ok(elapsed.to_string().into())
}

/// `duration SECONDS`: a string or an `int64`; anything else is none.
pub(crate) fn duration(args: &[Value]) -> Outcome {
    let seconds = match args.value(0) {
        Value::String(text) => match parse_int(text.as_bytes(), 10) {
            Ok(n) | Err(ParseInt::Range(n)) => n,
            Err(ParseInt::Syntax) => 0,
        },
        Value::Int(n, IntKind::Int64) => *n,
        _ => 0,
    };
    Ok(Duration(seconds.wrapping_mul(Duration::SECOND.0)).to_string().into())
}

/// `durationRound DURATION`: the largest whole unit, from a text, nanoseconds as `int64`, or a time.
pub(crate) fn duration_round(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    let duration = match args.value(0) {
        Value::String(text) => Duration::parse(text.as_bytes()).unwrap_or(Duration(0)),
        Value::Int(n, IntKind::Int64) => Duration(*n),
        other => match other.as_object::<Time>() {
            Some(time) => current(state, "durationRound").since(time),
            None => Duration(0),
        },
    };
    const DAY: u64 = 24 * 3_600_000_000_000;
    let units = [
        (365 * DAY, "y"),
        (30 * DAY, "mo"),
        (DAY, "d"),
        (DAY / 24, "h"),
        (DAY / 1440, "m"),
        (DAY / 86_400, "s"),
    ];
    let magnitude = duration.0.unsigned_abs();
    // sprig: more than a unit, so exactly one hour is 60 minutes.
    let unit = units.iter().find(|(length, _)| magnitude > *length);
    Ok(unit.map_or_else(|| "0s".into(), |(length, name)| format!("{}{name}", magnitude / length).into()))
}

/// `toDate LAYOUT TEXT`: the zero time for what cannot be read.
pub(crate) fn to_date(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    Ok(parsed(state, args).unwrap_or_else(|_| Time::zero()).into_value())
}

/// `mustToDate LAYOUT TEXT`.
pub(crate) fn must_to_date(state: &mut State<'_, '_>, args: &[Value]) -> Outcome {
    Ok(parsed(state, args).map_err(failure)?.into_value())
}

fn parsed(state: &State<'_, '_>, args: &[Value]) -> Result<Time, String> {
    let local = environment::with(state, |environment| environment.time_zone().clone());
    layout::parse(args.bytes(0), args.bytes(1), &Zone::Local(local))
}

/// `unixEpoch TIME`.
pub(crate) fn unix_epoch(args: &[Value]) -> Outcome {
    Ok(given(args, 0).unix().to_string().into())
}

impl Time {
    /// The time as a template's value.
    pub fn into_value(self) -> Value {
        Value::Object(Rc::new(self))
    }
}

impl Duration {
    /// The duration as a template's value.
    pub fn into_value(self) -> Value {
        Value::Object(Rc::new(self))
    }
}

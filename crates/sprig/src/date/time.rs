//! `time.Time`: a moment with the zone it is shown in.

use std::any::Any;
use std::rc::Rc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use pintle_gotemplate::{FuncError, Method, Object, Signature, Type, Value, YamlForm};

use super::calendar::{self, Civil, WEEKDAYS};
use super::duration::Duration;
use super::layout;
use crate::args::Args;

/// Seconds from year 1, Go's zero time, to 1970.
const ZERO: i64 = -62_135_596_800;

/// Go's `time.Time`.
#[derive(Clone, Debug)]
pub struct Time {
    seconds: i64,
    nanoseconds: u32,
    zone: Zone,
}

/// Go's `*time.Location`.
#[derive(Clone, Debug)]
pub enum Zone {
    /// `time.UTC`.
    Utc,
    /// `time.Local`, which is the environment's.
    Local(TimeZone),
    /// A zone of the database, by its name.
    Named(TimeZone),
    /// An offset read from a text, with its abbreviation.
    Fixed(String, i64),
}

impl Zone {
    /// Go's `time.LoadLocation`.
    pub(super) fn load(name: &[u8], local: &TimeZone) -> Option<Self> {
        match name {
            b"" | b"UTC" => Some(Self::Utc),
            b"Local" => Some(Self::Local(local.clone())),
            _ => {
                let name = std::str::from_utf8(name).ok()?;
                let zone = TimeZone::get(name).ok()?;
                // Go: names are file names, upper and lower case matter.
                (zone.iana_name() == Some(name)).then_some(Self::Named(zone))
            }
        }
    }

    /// Abbreviation, offset in seconds, and whether daylight saving is on, at a moment.
    pub(super) fn at(&self, seconds: i64) -> (String, i64, bool) {
        match self {
            Self::Utc => ("UTC".to_owned(), 0, false),
            Self::Fixed(name, offset) => (name.clone(), *offset, false),
            Self::Local(zone) | Self::Named(zone) => {
                // Beyond the years that jiff knows the rules repeat with the calendar, every 400 years.
                const CYCLE: i64 = 146_097 * 86_400;
                let last = Timestamp::MAX.as_second();
                let within =
                    if seconds > last { last - CYCLE + (seconds - last).rem_euclid(CYCLE) } else { seconds };
                let info = zone.to_offset_info(Timestamp::from_second(within).unwrap_or(Timestamp::MIN));
                let offset = i64::from(info.offset().seconds());
                (info.abbreviation().to_owned(), offset, info.dst().is_dst())
            }
        }
    }

    /// Go's `Location.lookupName`: the offset that an abbreviation of the zone means about then.
    pub(super) fn offset_named(&self, name: &str, seconds: i64) -> Option<i64> {
        const HALF_A_YEAR: i64 = 182 * 86_400;
        let near = [0, HALF_A_YEAR, -HALF_A_YEAR];
        let mut found = near.iter().map(|shift| self.at(seconds.saturating_add(*shift)));
        let (_, offset, _) = found.find(|(abbreviation, ..)| abbreviation == name)?;
        (!matches!(self, Self::Utc)).then_some(offset)
    }

    /// Go's `Location.String`.
    fn name(&self) -> String {
        match self {
            Self::Utc => "UTC".to_owned(),
            Self::Local(_) => "Local".to_owned(),
            Self::Named(zone) => zone.iana_name().unwrap_or_default().to_owned(),
            Self::Fixed(name, _) => name.clone(),
        }
    }
}

/// A moment on the calendar and the clock of its zone.
pub(super) struct Fields {
    pub date: Civil,
    pub year_day: i64,
    pub weekday: i64,
    pub hour: i64,
    pub minute: i64,
    pub second: i64,
    pub nanosecond: u32,
    pub zone: String,
    pub offset: i64,
}

impl Time {
    /// Go's name of the type.
    pub const TYPE: &'static str = "time.Time";

    /// Go's zero time, in year 1.
    pub fn zero() -> Self {
        Self::from_unix(ZERO, 0, Zone::Utc)
    }

    /// A moment in the local zone.
    pub fn from_timestamp(timestamp: Timestamp, local: &TimeZone) -> Self {
        let nanoseconds = i64::from(timestamp.subsec_nanosecond());
        let seconds = timestamp.as_second() - i64::from(nanoseconds < 0);
        let nanoseconds = nanoseconds.rem_euclid(1_000_000_000);
        Self::from_unix(seconds, u32::try_from(nanoseconds).unwrap_or(0), Zone::Local(local.clone()))
    }

    /// A moment given in seconds since 1970.
    pub fn from_unix(seconds: i64, nanoseconds: u32, zone: Zone) -> Self {
        Self { seconds, nanoseconds, zone }
    }

    /// Go's `time.Date`: fields out of range count on into the next.
    pub(super) fn from_fields(date: Civil, clock: [i64; 3], nanoseconds: u32, zone: Zone) -> Self {
        let [hour, minute, second] = clock;
        let seconds = calendar::to_days(date)
            .saturating_mul(86_400)
            .saturating_add(hour.saturating_mul(3600))
            .saturating_add(minute.saturating_mul(60))
            .saturating_add(second);
        let (_, offset, _) = zone.at(seconds);
        // Go: the offset is looked up as if the wall clock were UTC, then once more with the result.
        let (_, offset, _) =
            if offset == 0 { zone.at(seconds) } else { zone.at(seconds.saturating_sub(offset)) };
        Self::from_unix(seconds.saturating_sub(offset), nanoseconds, zone)
    }

    /// Seconds since 1970.
    pub fn unix(&self) -> i64 {
        self.seconds
    }

    /// Nanoseconds beyond the seconds.
    pub(crate) fn nanoseconds(&self) -> u32 {
        self.nanoseconds
    }

    /// The same moment in another zone.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> Self {
        Self { zone, ..self.clone() }
    }

    /// Writes the time by one of Go's layouts.
    pub fn format(&self, layout: &[u8]) -> Vec<u8> {
        layout::format(&self.fields(), layout)
    }

    /// The time that is `duration` later.
    #[must_use]
    pub fn plus(&self, duration: Duration) -> Self {
        let nanoseconds = i64::from(self.nanoseconds) + duration.0.rem_euclid(1_000_000_000);
        let seconds =
            self.seconds.saturating_add(duration.0.div_euclid(1_000_000_000) + nanoseconds / 1_000_000_000);
        let nanoseconds = u32::try_from(nanoseconds % 1_000_000_000).unwrap_or(0);
        Self { seconds, nanoseconds, zone: self.zone.clone() }
    }

    /// How much later it is than `earlier`, as far as a duration reaches.
    pub fn since(&self, earlier: &Self) -> Duration {
        let nanoseconds = self.absolute() - earlier.absolute();
        Duration(i64::try_from(nanoseconds).unwrap_or(if nanoseconds < 0 { i64::MIN } else { i64::MAX }))
    }

    /// Nanoseconds since Go's zero time.
    fn absolute(&self) -> i128 {
        (i128::from(self.seconds) - i128::from(ZERO)) * 1_000_000_000 + i128::from(self.nanoseconds)
    }

    fn minus_nanoseconds(&self, nanoseconds: i128) -> Self {
        self.plus(Duration(i64::try_from(-nanoseconds).unwrap_or(0)))
    }

    fn truncated(&self, unit: Duration) -> Self {
        if unit.0 <= 0 {
            self.clone()
        } else {
            self.minus_nanoseconds(self.absolute().rem_euclid(unit.0.into()))
        }
    }

    fn rounded(&self, unit: Duration) -> Self {
        if unit.0 <= 0 {
            return self.clone();
        }
        let remainder = self.absolute().rem_euclid(unit.0.into());
        let up = remainder * 2 >= unit.0.into();
        self.minus_nanoseconds(if up { remainder - i128::from(unit.0) } else { remainder })
    }

    pub(super) fn fields(&self) -> Fields {
        let (zone, offset, _) = self.zone.at(self.seconds);
        let wall = self.seconds.saturating_add(offset);
        let (days, second) = (wall.div_euclid(86_400), wall.rem_euclid(86_400));
        let date = calendar::from_days(days);
        Fields {
            date,
            year_day: days - calendar::to_days(Civil { month: 1, day: 1, ..date }) + 1,
            weekday: (days + 4).rem_euclid(7),
            hour: second / 3600,
            minute: second / 60 % 60,
            second: second % 60,
            nanosecond: self.nanoseconds,
            zone,
            offset,
        }
    }

    fn add_date(&self, years: i64, months: i64, days: i64) -> Self {
        let now = self.fields();
        let date = Civil {
            year: now.date.year.saturating_add(years),
            month: now.date.month.saturating_add(months),
            day: now.date.day.saturating_add(days),
        };
        Self::from_fields(date, [now.hour, now.minute, now.second], self.nanoseconds, self.zone.clone())
    }

    fn text(&self) -> Vec<u8> {
        self.format(b"2006-01-02 15:04:05.999999999 -0700 MST")
    }

    fn key(&self) -> (i64, u32) {
        (self.seconds, self.nanoseconds)
    }
}

impl Object for Time {
    fn type_name(&self) -> &str {
        Self::TYPE
    }

    fn kind(&self) -> &'static str {
        "struct"
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        type Call = fn(&Time, &[Value]) -> Value;
        const NONE: &[Type] = &[];
        const OTHER: &[Type] = &[Type::Object(Time::TYPE)];
        const UNIT: &[Type] = &[Type::Object(Duration::TYPE)];
        const TEXT: &[Type] = &[Type::String];
        const DATE: &[Type] = &[Type::Int, Type::Int, Type::Int];
        let (params, call): (_, Call) = match name {
            "Year" => (NONE, |t, _| Value::int(t.fields().date.year)),
            "Month" => (NONE, |t, _| Value::Object(Rc::new(Month(t.fields().date.month)))),
            "Day" => (NONE, |t, _| Value::int(t.fields().date.day)),
            "Hour" => (NONE, |t, _| Value::int(t.fields().hour)),
            "Minute" => (NONE, |t, _| Value::int(t.fields().minute)),
            "Second" => (NONE, |t, _| Value::int(t.fields().second)),
            "Nanosecond" => (NONE, |t, _| Value::int(t.nanoseconds.into())),
            "YearDay" => (NONE, |t, _| Value::int(t.fields().year_day)),
            "Weekday" => (NONE, |t, _| Value::Object(Rc::new(Weekday(t.fields().weekday)))),
            "Unix" => (NONE, |t, _| Value::int64(t.seconds)),
            "UnixMilli" => (NONE, |t, _| Value::int64(t.since_1970(1_000))),
            "UnixMicro" => (NONE, |t, _| Value::int64(t.since_1970(1_000_000))),
            "UnixNano" => (NONE, |t, _| Value::int64(t.since_1970(1_000_000_000))),
            "String" => (NONE, |t, _| t.text().into()),
            "IsZero" => (NONE, |t, _| (t.key() == (ZERO, 0)).into()),
            "IsDST" => (NONE, |t, _| t.zone.at(t.seconds).2.into()),
            "Location" => (NONE, |t, _| Value::Object(Rc::new(Location(t.zone.name())))),
            "UTC" => (NONE, |t, _| t.in_zone(Zone::Utc).into_value()),
            "Format" => (TEXT, |t, args| t.format(args.bytes(0)).into()),
            "AddDate" => (DATE, |t, args| t.add_date(args.int(0), args.int(1), args.int(2)).into_value()),
            "Add" => (UNIT, |t, args| t.plus(unit(args)).into_value()),
            "Truncate" => (UNIT, |t, args| t.truncated(unit(args)).into_value()),
            "Round" => (UNIT, |t, args| t.rounded(unit(args)).into_value()),
            "Sub" => (OTHER, |t, args| t.since(&other(args)).into_value()),
            "Before" => (OTHER, |t, args| (t.key() < other(args).key()).into()),
            "After" => (OTHER, |t, args| (t.key() > other(args).key()).into()),
            "Equal" => (OTHER, |t, args| (t.key() == other(args).key()).into()),
            "Compare" => (OTHER, |t, args| Value::int(t.key().cmp(&other(args).key()) as i64)),
            _ => return None,
        };
        let signature = Signature { params, variadic: false };
        Some(Method { signature, call: Box::new(move |args| Ok::<_, FuncError>(call(&self, args))) })
    }

    fn print(&self) -> Vec<u8> {
        self.text()
    }

    fn to_plain(&self) -> Option<Value> {
        // Go: years of more than four digits have no RFC 3339.
        let year = self.fields().date.year;
        (0..=9999).contains(&year).then(|| self.rfc3339_nano().into())
    }

    fn to_yaml(&self) -> Option<YamlForm> {
        Some(YamlForm::Timestamp(String::from_utf8_lossy(&self.rfc3339_nano()).into_owned()))
    }

    fn equals(&self, other: &dyn Object) -> bool {
        let other = other.as_any().downcast_ref::<Self>();
        other.is_some_and(|other| self.key() == other.key() && self.zone.name() == other.zone.name())
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Time {
    /// Go's `time.RFC3339Nano`.
    fn rfc3339_nano(&self) -> Vec<u8> {
        self.format(b"2006-01-02T15:04:05.999999999Z07:00")
    }

    fn since_1970(&self, units: i64) -> i64 {
        let fraction = i64::from(self.nanoseconds) / (1_000_000_000 / units);
        self.seconds.wrapping_mul(units).wrapping_add(fraction)
    }
}

fn other(args: &[Value]) -> Time {
    args.value(0).as_object::<Time>().cloned().unwrap_or_else(Time::zero)
}

fn unit(args: &[Value]) -> Duration {
    args.value(0).as_object::<Duration>().copied().unwrap_or(Duration(args.int(0)))
}

/// `time.Month`: an integer that prints as a name.
pub(crate) struct Month(pub i64);

/// `time.Weekday`: an integer that prints as a name.
pub(crate) struct Weekday(pub i64);

/// `*time.Location`: only its name can be seen.
struct Location(String);

macro_rules! named_integer {
    ($type:ty, $name:literal, $print:expr) => {
        impl Object for $type {
            fn type_name(&self) -> &str {
                $name
            }

            fn kind(&self) -> &'static str {
                "int"
            }

            fn method(self: Rc<Self>, name: &str) -> Option<Method> {
                let signature = Signature { params: &[], variadic: false };
                let text = self.print();
                (name == "String")
                    .then(|| Method { signature, call: Box::new(move |_| Ok(text.clone().into())) })
            }

            fn print(&self) -> Vec<u8> {
                let print: fn(i64) -> String = $print;
                print(self.0).into_bytes()
            }

            fn truth(&self) -> bool {
                self.0 != 0
            }

            fn to_plain(&self) -> Option<Value> {
                Some(Value::int(self.0))
            }

            fn equals(&self, other: &dyn Object) -> bool {
                other.as_any().downcast_ref::<Self>().is_some_and(|other| other.0 == self.0)
            }

            fn as_any(&self) -> &dyn Any {
                self
            }
        }
    };
}

named_integer!(Month, "time.Month", calendar::month_name);
named_integer!(Weekday, "time.Weekday", |day| {
    let name = usize::try_from(day).ok().and_then(|i| WEEKDAYS.get(i));
    name.map_or_else(|| format!("%!Weekday({day})"), |name| (*name).to_owned())
});

impl Object for Location {
    fn type_name(&self) -> &str {
        "*time.Location"
    }

    fn kind(&self) -> &'static str {
        "ptr"
    }

    fn method(self: Rc<Self>, name: &str) -> Option<Method> {
        let signature = Signature { params: &[], variadic: false };
        (name == "String").then(|| Method { signature, call: Box::new(move |_| Ok(self.0.clone().into())) })
    }

    fn print(&self) -> Vec<u8> {
        self.0.clone().into_bytes()
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

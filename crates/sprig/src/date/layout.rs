//! Go's layouts: the reference time `Mon Jan 2 15:04:05 MST 2006` as the pattern.

use super::calendar::{self, Civil, MONTHS, WEEKDAYS};
use super::time::{Fields, Time, Zone};

/// An element of a layout.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    LongMonth,
    Month,
    NumMonth,
    ZeroMonth,
    LongWeekday,
    Weekday,
    Day,
    UnderDay,
    ZeroDay,
    UnderYearDay,
    ZeroYearDay,
    Hour,
    Hour12,
    ZeroHour12,
    Minute,
    ZeroMinute,
    Second,
    ZeroSecond,
    LongYear,
    Year,
    UpperHalf,
    LowerHalf,
    ZoneName,
    Offset {
        z: bool,
        colon: bool,
        minutes: bool,
        seconds: bool,
    },
    /// Fractional seconds: with all digits (`.000`) or without trailing zeros (`.999`).
    Fraction {
        all: bool,
        digits: usize,
        comma: bool,
    },
}

/// The first element: what comes before it, itself with its text, what comes after.
type Chunk<'a> = (&'a [u8], Option<(Element, &'a [u8])>, &'a [u8]);

/// Go's `nextStdChunk`.
fn next(layout: &[u8]) -> Chunk<'_> {
    for i in 0..layout.len() {
        let rest = layout.get(i..).unwrap_or_default();
        if let Some((skip, length, element)) = element(rest) {
            let (start, end) = (i + skip, i + skip + length);
            let part = |range: std::ops::Range<usize>| layout.get(range).unwrap_or_default();
            return (part(0..start), Some((element, part(start..end))), part(end..layout.len()));
        }
    }
    (layout, None, b"")
}

/// The element that starts here: how much belongs to the prefix still, its length.
fn element(text: &[u8]) -> Option<(usize, usize, Element)> {
    use Element as E;
    let offset = |z, colon, minutes, seconds| E::Offset { z, colon, minutes, seconds };
    let table: &[(&[u8], Element)] = match text.first()? {
        b'J' if text.starts_with(b"Jan") && !text.starts_with(b"January") => {
            return (!starts_lower(text.get(3..)?)).then_some((0, 3, E::Month));
        }
        b'J' => &[(b"January", E::LongMonth)],
        b'M' if text.starts_with(b"Mon") && !text.starts_with(b"Monday") => {
            return (!starts_lower(text.get(3..)?)).then_some((0, 3, E::Weekday));
        }
        b'M' => &[(b"Monday", E::LongWeekday), (b"MST", E::ZoneName)],
        b'0' => &[
            (b"01", E::ZeroMonth),
            (b"02", E::ZeroDay),
            (b"03", E::ZeroHour12),
            (b"04", E::ZeroMinute),
            (b"05", E::ZeroSecond),
            (b"06", E::Year),
            (b"002", E::ZeroYearDay),
        ],
        b'1' => &[(b"15", E::Hour), (b"1", E::NumMonth)],
        b'2' => &[(b"2006", E::LongYear), (b"2", E::Day)],
        // The blank of `_2006` belongs to the text before.
        b'_' if text.starts_with(b"_2006") => return Some((1, 4, E::LongYear)),
        b'_' => &[(b"_2", E::UnderDay), (b"__2", E::UnderYearDay)],
        b'3' => &[(b"3", E::Hour12)],
        b'4' => &[(b"4", E::Minute)],
        b'5' => &[(b"5", E::Second)],
        b'P' => &[(b"PM", E::UpperHalf)],
        b'p' => &[(b"pm", E::LowerHalf)],
        b'-' => &[
            (b"-070000", offset(false, false, true, true)),
            (b"-07:00:00", offset(false, true, true, true)),
            (b"-0700", offset(false, false, true, false)),
            (b"-07:00", offset(false, true, true, false)),
            (b"-07", offset(false, false, false, false)),
        ],
        b'Z' => &[
            (b"Z070000", offset(true, false, true, true)),
            (b"Z07:00:00", offset(true, true, true, true)),
            (b"Z0700", offset(true, false, true, false)),
            (b"Z07:00", offset(true, true, true, false)),
            (b"Z07", offset(true, false, false, false)),
        ],
        point @ (b'.' | b',') => {
            let digit = *text.get(1).filter(|b| matches!(b, b'0' | b'9'))?;
            let digits = text.iter().skip(1).take_while(|b| **b == digit).count();
            if text.get(1 + digits).is_some_and(u8::is_ascii_digit) {
                return None;
            }
            let element = E::Fraction { all: digit == b'0', digits, comma: *point == b',' };
            return Some((0, 1 + digits, element));
        }
        _ => return None,
    };
    table.iter().find(|(name, _)| text.starts_with(name)).map(|(name, element)| (0, name.len(), *element))
}

/// Go: `Janet` is no month.
fn starts_lower(text: &[u8]) -> bool {
    text.first().is_some_and(u8::is_ascii_lowercase)
}

/// Writes a time by a layout.
pub(super) fn format(time: &Fields, layout: &[u8]) -> Vec<u8> {
    let mut out = String::new();
    let mut bytes = Vec::new();
    let mut rest = layout;
    loop {
        let (prefix, element, suffix) = next(rest);
        bytes.extend_from_slice(prefix);
        let Some((element, _)) = element else { return bytes };
        write(&mut out, time, element);
        bytes.extend_from_slice(out.as_bytes());
        out.clear();
        rest = suffix;
    }
}

/// Go's `appendInt`: the sign does not count for the width.
fn int(out: &mut String, n: i64, width: usize) {
    if n < 0 {
        out.push('-');
    }
    out.push_str(&format!("{:0width$}", n.unsigned_abs()));
}

fn write(out: &mut String, time: &Fields, element: Element) {
    use Element as E;
    let Civil { year, month, day } = time.date;
    let hour12 = if time.hour % 12 == 0 { 12 } else { time.hour % 12 };
    let weekday =
        usize::try_from(time.weekday).ok().and_then(|i| WEEKDAYS.get(i)).copied().unwrap_or_default();
    match element {
        E::Year => int(out, year.abs() % 100, 2),
        E::LongYear => int(out, year, 4),
        E::LongMonth => out.push_str(&calendar::month_name(month)),
        E::Month => out.extend(calendar::month_name(month).chars().take(3)),
        E::NumMonth => int(out, month, 0),
        E::ZeroMonth => int(out, month, 2),
        E::LongWeekday => out.push_str(weekday),
        E::Weekday => out.extend(weekday.chars().take(3)),
        E::Day => int(out, day, 0),
        E::UnderDay => out.push_str(&format!("{day:2}")),
        E::ZeroDay => int(out, day, 2),
        E::UnderYearDay => out.push_str(&format!("{:3}", time.year_day)),
        E::ZeroYearDay => int(out, time.year_day, 3),
        E::Hour => int(out, time.hour, 2),
        E::Hour12 => int(out, hour12, 0),
        E::ZeroHour12 => int(out, hour12, 2),
        E::Minute => int(out, time.minute, 0),
        E::ZeroMinute => int(out, time.minute, 2),
        E::Second => int(out, time.second, 0),
        E::ZeroSecond => int(out, time.second, 2),
        E::UpperHalf => out.push_str(if time.hour >= 12 { "PM" } else { "AM" }),
        E::LowerHalf => out.push_str(if time.hour >= 12 { "pm" } else { "am" }),
        E::ZoneName if !time.zone.is_empty() => out.push_str(&time.zone),
        E::ZoneName => write_offset(out, time.offset, false, true, false),
        E::Offset { z: true, .. } if time.offset == 0 => out.push('Z'),
        E::Offset { colon, minutes, seconds, .. } => write_offset(out, time.offset, colon, minutes, seconds),
        E::Fraction { all, digits, comma } => {
            let text = format!("{:09}", time.nanosecond);
            let mut text: String = text.chars().chain(std::iter::repeat('0')).take(digits.min(9)).collect();
            if !all {
                text.truncate(text.trim_end_matches('0').len());
            }
            if all || !text.is_empty() {
                out.push(if comma { ',' } else { '.' });
                out.push_str(&text);
            }
        }
    }
}

fn write_offset(out: &mut String, offset: i64, colon: bool, minutes: bool, seconds: bool) {
    let magnitude = offset.abs();
    // Go: the sign is that of the whole minutes.
    out.push(if offset / 60 < 0 { '-' } else { '+' });
    int(out, magnitude / 3600, 2);
    let point = if colon { ":" } else { "" };
    if minutes {
        out.push_str(point);
        int(out, magnitude / 60 % 60, 2);
    }
    if seconds {
        out.push_str(point);
        int(out, magnitude % 60, 2);
    }
}

/// Go's `time.quote`, which is not `strconv.Quote`.
pub(super) fn quote(text: &[u8]) -> String {
    let mut out = String::from('"');
    for &b in text {
        match b {
            0..=0x1f | 0x80.. => out.push_str(&format!("\\x{b:02x}")),
            b'"' | b'\\' => out.extend(['\\', b as char]),
            _ => out.push(b as char),
        }
    }
    out.push('"');
    out
}

/// Go's `leadingInt`: `None` when it does not fit.
pub(super) fn leading_int(text: &[u8]) -> Option<(u64, &[u8])> {
    let digits = text.iter().take_while(|b| b.is_ascii_digit()).count();
    let (digits, rest) = text.split_at(digits);
    let mut n = 0u64;
    for digit in digits {
        n = n.checked_mul(10)?.checked_add(u64::from(digit - b'0')).filter(|n| *n <= 1 << 63)?;
    }
    Some((n, rest))
}

/// Why an element cannot be read.
enum Refusal {
    /// The text is not of its form.
    Bad,
    /// It is too large; names the element.
    Range(&'static str),
}

/// What has been read so far.
#[derive(Default)]
struct Read {
    year: i64,
    month: Option<i64>,
    day: Option<i64>,
    year_day: Option<i64>,
    hour: i64,
    minute: i64,
    second: i64,
    nanosecond: u32,
    /// Before or after noon.
    half: Option<bool>,
    utc: bool,
    offset: Option<i64>,
    zone: Vec<u8>,
}

/// Go's `time.ParseInLocation`.
pub(super) fn parse(layout: &[u8], value: &[u8], local: &Zone) -> Result<Time, String> {
    let place = |element: &[u8], at: &[u8]| {
        let (value, layout, at, element) = (quote(value), quote(layout), quote(at), quote(element));
        format!("parsing time {value} as {layout}: cannot parse {at} as {element}")
    };
    let complain = |message: &str| format!("parsing time {}: {message}", quote(value));
    let mut read = Read::default();
    let (mut pattern, mut rest) = (layout, value);
    loop {
        let (prefix, element, suffix) = next(pattern);
        rest = skip(rest, prefix).map_err(|at| place(prefix, at))?;
        let Some((element, text)) = element else { break };
        pattern = suffix;
        rest = match read.element(element, rest, suffix) {
            Ok(rest) => rest,
            Err(Refusal::Bad) => return Err(place(text, rest)),
            Err(Refusal::Range(what)) => return Err(complain(&format!("{what} out of range"))),
        };
    }
    if !rest.is_empty() {
        return Err(complain(&format!("extra text: {}", quote(rest))));
    }
    let date = read.date().map_err(complain)?;
    Ok(read.time(date, local))
}

/// Skips the fixed text of a layout: blanks match any number of blanks.
fn skip<'a>(mut value: &'a [u8], mut prefix: &[u8]) -> Result<&'a [u8], &'a [u8]> {
    while let [expected, tail @ ..] = prefix {
        if *expected == b' ' {
            if value.first().is_some_and(|b| *b != b' ') {
                return Err(value);
            }
            prefix = without_blanks(prefix);
            value = without_blanks(value);
            continue;
        }
        match value {
            [found, after @ ..] if found == expected => value = after,
            _ => return Err(value),
        }
        prefix = tail;
    }
    Ok(value)
}

fn without_blanks(text: &[u8]) -> &[u8] {
    let blanks = text.iter().take_while(|b| **b == b' ').count();
    text.get(blanks..).unwrap_or_default()
}

/// One or two digits, or exactly two.
fn number(text: &[u8], fixed: bool) -> Result<(i64, &[u8]), Refusal> {
    match text {
        [a, b, rest @ ..] if a.is_ascii_digit() && b.is_ascii_digit() => {
            Ok((i64::from(a - b'0') * 10 + i64::from(b - b'0'), rest))
        }
        [a, rest @ ..] if a.is_ascii_digit() && !fixed => Ok((i64::from(a - b'0'), rest)),
        _ => Err(Refusal::Bad),
    }
}

/// A fixed number of bytes and the rest.
fn take(text: &[u8], count: usize) -> Result<(&[u8], &[u8]), Refusal> {
    text.split_at_checked(count).ok_or(Refusal::Bad)
}

/// A name of a table, in upper or lower case; short names are the first three letters.
fn name<'a>(table: &[&str], short: bool, text: &'a [u8]) -> Result<(i64, &'a [u8]), Refusal> {
    for (i, name) in table.iter().enumerate() {
        let name = if short { name.as_bytes().get(..3) } else { Some(name.as_bytes()) }.unwrap_or_default();
        if let Some((head, rest)) = text.split_at_checked(name.len())
            && head.eq_ignore_ascii_case(name)
        {
            return Ok((i64::try_from(i).unwrap_or(0), rest));
        }
    }
    Err(Refusal::Bad)
}

/// A fraction of `length` bytes, point included.
fn nanoseconds(text: &[u8], length: usize) -> Result<(u32, &[u8]), Refusal> {
    let (fraction, rest) = take(text, length)?;
    let [b'.' | b',', digits @ ..] = fraction else { return Err(Refusal::Bad) };
    let digits = digits.get(..9).unwrap_or(digits);
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Refusal::Bad);
    }
    let all = digits.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    Ok((all.fold(0, |n, b| n * 10 + u32::from(b - b'0')), rest))
}

/// How many bytes a point and its digits take.
fn fraction_length(text: &[u8]) -> usize {
    match text {
        [b'.' | b',', b'0'..=b'9', ..] => 1 + text.iter().skip(1).take_while(|b| b.is_ascii_digit()).count(),
        _ => 0,
    }
}

/// Go's `parseTimeZone`: how long the abbreviation is.
fn zone_length(text: &[u8]) -> Option<usize> {
    if text.starts_with(b"ChST") || text.starts_with(b"MeST") {
        return Some(4);
    }
    if let Some(rest) = text.strip_prefix(b"GMT") {
        return Some(3 + signed_offset_length(rest));
    }
    if matches!(text, [b'+' | b'-', _, _, ..]) {
        return Some(signed_offset_length(text)).filter(|length| *length > 0);
    }
    let capitals = text.iter().take(6).take_while(|b| b.is_ascii_uppercase()).count();
    match capitals {
        3 => Some(3),
        4 if text.get(3) == Some(&b'T') || text.starts_with(b"WITA") => Some(4),
        5 if text.get(4) == Some(&b'T') => Some(5),
        _ => None,
    }
}

fn signed_offset_length(text: &[u8]) -> usize {
    let [b'+' | b'-', digits @ ..] = text else { return 0 };
    match leading_int(digits) {
        Some((n, rest)) if n <= 23 && rest.len() < digits.len() => text.len() - rest.len(),
        _ => 0,
    }
}

impl Read {
    /// Reads one element off `text`; `after` is the layout behind it.
    fn element<'a>(&mut self, element: Element, text: &'a [u8], after: &[u8]) -> Result<&'a [u8], Refusal> {
        use Element as E;
        let rest;
        match element {
            E::Year => {
                let digits;
                (digits, rest) = take(text, 2)?;
                let year = signed(digits).ok_or(Refusal::Bad)?;
                self.year = if year >= 69 { year + 1900 } else { year + 2000 };
            }
            E::LongYear => {
                let digits;
                (digits, rest) = take(text, 4)?;
                self.year = signed(digits)
                    .filter(|_| digits.first().is_some_and(u8::is_ascii_digit))
                    .ok_or(Refusal::Bad)?;
            }
            E::Month | E::LongMonth => {
                let month;
                (month, rest) = name(&MONTHS, element == E::Month, text)?;
                self.month = Some(month + 1);
            }
            E::NumMonth | E::ZeroMonth => {
                let month;
                (month, rest) = number(text, element == E::ZeroMonth)?;
                if !(1..=12).contains(&month) {
                    return Err(Refusal::Range("month"));
                }
                self.month = Some(month);
            }
            E::Weekday | E::LongWeekday => (_, rest) = name(&WEEKDAYS, element == E::Weekday, text)?,
            E::Day | E::UnderDay | E::ZeroDay => {
                let text =
                    if element == E::UnderDay { text.strip_prefix(b" ").unwrap_or(text) } else { text };
                let day;
                (day, rest) = number(text, element == E::ZeroDay)?;
                self.day = Some(day);
            }
            E::UnderYearDay | E::ZeroYearDay => {
                let mut text = text;
                for _ in 0..2 {
                    if element == E::UnderYearDay {
                        text = text.strip_prefix(b" ").unwrap_or(text);
                    }
                }
                let digits = text.iter().take(3).take_while(|b| b.is_ascii_digit()).count();
                if digits == 0 || element == E::ZeroYearDay && digits != 3 {
                    return Err(Refusal::Bad);
                }
                let day;
                (day, rest) = take(text, digits)?;
                self.year_day = signed(day);
            }
            E::Hour | E::Hour12 | E::ZeroHour12 => {
                (self.hour, rest) = number(text, element == E::ZeroHour12)?;
                if self.hour > if element == E::Hour { 23 } else { 12 } {
                    return Err(Refusal::Range("hour"));
                }
            }
            E::Minute | E::ZeroMinute => {
                (self.minute, rest) = number(text, element == E::ZeroMinute)?;
                if self.minute > 59 {
                    return Err(Refusal::Range("minute"));
                }
            }
            E::Second | E::ZeroSecond => {
                let behind;
                (self.second, behind) = number(text, element == E::ZeroSecond)?;
                if self.second > 59 {
                    return Err(Refusal::Range("second"));
                }
                // Go: a fraction is read after seconds even if the layout has none.
                let own = matches!(next(after).1, Some((E::Fraction { .. }, _)));
                let length = if own { 0 } else { fraction_length(behind) };
                if length > 0 {
                    (self.nanosecond, rest) = nanoseconds(behind, length)?;
                } else {
                    rest = behind;
                }
            }
            E::UpperHalf | E::LowerHalf => {
                let half;
                (half, rest) = take(text, 2)?;
                self.half = match (half, element) {
                    (b"PM", E::UpperHalf) | (b"pm", E::LowerHalf) => Some(true),
                    // Go: the later of two wins only if it is an afternoon.
                    (b"AM", E::UpperHalf) | (b"am", E::LowerHalf) => Some(self.half == Some(true)),
                    _ => return Err(Refusal::Bad),
                };
            }
            E::Offset { z: true, .. } if text.starts_with(b"Z") => {
                self.utc = true;
                (_, rest) = take(text, 1)?;
            }
            E::Offset { colon, minutes, seconds, .. } => rest = self.offset(text, colon, minutes, seconds)?,
            E::ZoneName if text.starts_with(b"UTC") => {
                self.utc = true;
                (_, rest) = take(text, 3)?;
            }
            E::ZoneName => {
                let zone;
                (zone, rest) = take(text, zone_length(text).ok_or(Refusal::Bad)?)?;
                self.zone = zone.to_vec();
            }
            E::Fraction { all: true, digits, .. } => (self.nanosecond, rest) = nanoseconds(text, 1 + digits)?,
            E::Fraction { .. } => match fraction_length(text) {
                0 => rest = text,
                length => (self.nanosecond, rest) = nanoseconds(text, length)?,
            },
        }
        Ok(rest)
    }

    fn offset<'a>(
        &mut self,
        text: &'a [u8],
        colon: bool,
        minutes: bool,
        seconds: bool,
    ) -> Result<&'a [u8], Refusal> {
        let parts = 1 + usize::from(minutes) + usize::from(seconds);
        let (offset, rest) = take(text, 1 + 2 * parts + if colon { parts - 1 } else { 0 })?;
        let (sign, mut offset) = take(offset, 1)?;
        let mut fields = [0; 3];
        let limits =
            [(24, "time zone offset hour"), (60, "time zone offset minute"), (60, "time zone offset second")];
        for (i, field) in fields.iter_mut().enumerate().take(parts) {
            if i > 0 && colon {
                offset = offset.strip_prefix(b":").ok_or(Refusal::Bad)?;
            }
            (*field, offset) = number(offset, true)?;
        }
        for (field, (limit, what)) in fields.iter().zip(limits) {
            if *field > limit {
                return Err(Refusal::Range(what));
            }
        }
        let [hours, minutes, seconds] = fields;
        let magnitude = (hours * 60 + minutes) * 60 + seconds;
        self.offset = Some(match sign {
            b"+" => magnitude,
            b"-" => -magnitude,
            _ => return Err(Refusal::Bad),
        });
        Ok(rest)
    }

    /// The day that was read, from month and day or from the day of the year.
    fn date(&mut self) -> Result<Civil, &'static str> {
        match self.half {
            Some(true) if self.hour < 12 => self.hour += 12,
            Some(false) if self.hour == 12 => self.hour = 0,
            _ => {}
        }
        let (year, mut month, mut day) = (self.year, self.month.unwrap_or(1), self.day.unwrap_or(1));
        if let Some(year_day) = self.year_day {
            if !(1..=365 + i64::from(calendar::is_leap(year))).contains(&year_day) {
                return Err("day-of-year out of range");
            }
            let days = calendar::to_days(Civil { year, month: 1, day: year_day });
            Civil { month, day, .. } = calendar::from_days(days);
            if self.month.is_some_and(|read| read != month) {
                return Err("day-of-year does not match month");
            }
            if self.day.is_some_and(|read| read != day) {
                return Err("day-of-year does not match day");
            }
        }
        if day < 1 || day > calendar::days_in(month, year) {
            return Err("day out of range");
        }
        Ok(Civil { year, month, day })
    }

    /// The moment that was read.
    fn time(&self, date: Civil, local: &Zone) -> Time {
        let at = |zone| Time::from_fields(date, [self.hour, self.minute, self.second], self.nanosecond, zone);
        if self.utc {
            return at(Zone::Utc);
        }
        let shifted =
            |offset: i64, zone| Time::from_unix(at(Zone::Utc).unix() - offset, self.nanosecond, zone);
        let name = String::from_utf8_lossy(&self.zone).into_owned();
        // Go: -00:00:01 counts as no offset at all.
        if let Some(offset) = self.offset.filter(|offset| *offset != -1) {
            let (local_name, local_offset, _) = local.at(at(Zone::Utc).unix() - offset);
            if local_offset == offset && (name.is_empty() || name == local_name) {
                return shifted(offset, local.clone());
            }
            return shifted(offset, Zone::Fixed(name, offset));
        }
        if self.zone.is_empty() {
            return at(local.clone());
        }
        if let Some(offset) = local.offset_named(&name, at(Zone::Utc).unix()) {
            return shifted(offset, local.clone());
        }
        let hours = name.strip_prefix("GMT").and_then(|hours| signed(hours.as_bytes())).unwrap_or(0);
        // Go: an unknown abbreviation is kept, but its offset is not known, so it counts as none.
        let moment = at(Zone::Utc);
        moment.in_zone(Zone::Fixed(name, hours * 3600))
    }
}

/// Go's `atoi` of a few digits with a sign.
fn signed(text: &[u8]) -> Option<i64> {
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let (n, rest) = leading_int(digits)?;
    let n = i64::try_from(n).ok().filter(|_| rest.is_empty())?;
    Some(if negative { -n } else { n })
}

//! The Gregorian calendar, extended both ways.

/// A day of the calendar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Civil {
    pub year: i64,
    pub month: i64,
    pub day: i64,
}

pub(super) const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];

pub(super) const WEEKDAYS: [&str; 7] =
    ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

/// A month's name, or Go's text for what is none.
pub(super) fn month_name(month: i64) -> String {
    let name = usize::try_from(month - 1).ok().and_then(|i| MONTHS.get(i));
    name.map_or_else(|| format!("%!Month({month})"), |name| (*name).to_owned())
}

/// The day that is `days` after 1970-01-01.
pub(super) fn from_days(days: i64) -> Civil {
    let shifted = days.saturating_add(719_468);
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    Civil {
        year: year_of_era + era * 400 + i64::from(month <= 2),
        month,
        day: day_of_year - (153 * shifted_month + 2) / 5 + 1,
    }
}

/// The days since 1970-01-01; months and days out of range count on into the next, as Go's `time.Date`.
pub(super) fn to_days(date: Civil) -> i64 {
    let months = date.month.saturating_sub(1);
    let year = date.year.saturating_add(months.div_euclid(12)).clamp(-1 << 50, 1 << 50);
    let month = months.rem_euclid(12) + 1;
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (if month > 2 { month - 3 } else { month + 9 }) + 2) / 5;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    (era * 146_097 + day_of_era - 719_468).saturating_add(date.day.saturating_sub(1))
}

/// How long a month is.
pub(super) fn days_in(month: i64, year: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Whether the year has 366 days.
pub(super) fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_there_and_back() {
        for (days, year, month, day) in [
            (0, 1970, 1, 1),
            (-719_162, 1, 1, 1),
            (11_016, 2000, 2, 29),
            (-719_528, 0, 1, 1),
            (2_932_896, 9999, 12, 31),
        ] {
            assert_eq!(from_days(days), Civil { year, month, day });
            assert_eq!(to_days(Civil { year, month, day }), days);
        }
        assert_eq!(
            to_days(Civil { year: 2019, month: 14, day: 0 }),
            to_days(Civil { year: 2020, month: 1, day: 31 })
        );
    }
}

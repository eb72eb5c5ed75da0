//! Dates and durations: what real sprig (v3.3.0, semver v3.5.0, Go 1.26) answers.

use super::{
    Expected::{self, Fails, Gives},
    check,
};

const CASES: &[(&str, Expected)] = &[
    (
        r#"{{ $t := toDate "2006-01-02T15:04:05Z07:00" "2020-02-29T13:04:05.678+02:00" }}{{ $t }} {{ $t.Year }} {{ $t.Month }} {{ $t.Day }} {{ $t.Weekday }} {{ $t.YearDay }} {{ $t.Unix }} {{ $t.Nanosecond }} {{ $t.UTC }} {{ $t.Format "Jan _2 06" }} {{ $t.AddDate 1 0 0 }} {{ $t.IsZero }} {{ int $t.Month }} {{ $t.Location }} {{ kindOf $t }} {{ typeOf $t.Month }}"#,
        Gives(
            "2020-02-29 13:04:05.678 +0200 +0200 2020 February 29 Saturday 60 1582974245 678000000 2020-02-29 11:04:05.678 +0000 UTC Feb 29 20 2021-03-01 13:04:05.678 +0200 +0200 false 2  struct time.Month",
        ),
    ),
    (
        r#"{{ $t := toDate "2006-01-02" "2020-01-02" }}{{ $u := dateModify "36h" $t }}{{ $t.Before $u }} {{ $u.Sub $t }} {{ ($u.Sub $t).Hours }} {{ $t.Equal $t }} {{ toJson $t }} {{ $u | unixEpoch }} {{ dateModify "x" $t }} {{ mustDateModify "-1.5h" $t }} {{ date_modify "1ms" $t }} {{ must_date_modify "+1ns" $t }}"#,
        Gives(
            r#"true 36h0m0s 36 true "2020-01-02T00:00:00Z" 1578052800 2020-01-02 00:00:00 +0000 UTC 2020-01-01 22:30:00 +0000 UTC 2020-01-02 00:00:00.001 +0000 UTC 2020-01-02 00:00:00.000000001 +0000 UTC"#,
        ),
    ),
    (
        r#"{{ mustDateModify "1d" (toDate "" "") }}"#,
        Fails(r#"error calling mustDateModify: time: unknown unit "d" in duration "1d""#),
    ),
    (
        r#"{{ mustDateModify "" (toDate "" "") }}"#,
        Fails(r#"error calling mustDateModify: time: invalid duration """#),
    ),
    (
        r#"{{ mustDateModify "5" (toDate "" "") }}"#,
        Fails(r#"error calling mustDateModify: time: missing unit in duration "5""#),
    ),
    (
        r#"{{ date "Monday Mon January Jan 01 1 02 2 _2 03 3 15 04 4 05 5 PM pm MST Z0700 Z07:00 -0700 -07 .000 .999 2006 06 002 __2" 1234567890 }}"#,
        Gives(
            "Friday Fri February Feb 02 2 13 13 13 11 11 23 31 31 30 30 PM pm UTC Z Z +0000 +00 .000  2009 09 044  44",
        ),
    ),
    (
        r#"{{ dateInZone "2006-01-02 15:04 MST -07:00:00" 1593604800 "America/New_York" }} {{ date_in_zone "15:04 MST" 1593604800 "Europe/Berlin" }} {{ dateInZone "15:04 MST" 0 "Nope/Zone" }} {{ dateInZone "MST" 0 "america/new_york" }} {{ dateInZone "Z070000 MST" -1e10 "UTC" | len }}"#,
        Gives("2020-07-01 08:00 EDT -04:00:00 14:00 CEST 00:00 UTC UTC 5"),
    ),
    (
        r#"{{ htmlDate 0 }} {{ htmlDateInZone 86400 "UTC" }} {{ toDate "x" "y" }}"#,
        Gives("1970-01-01 1970-01-02 0001-01-01 00:00:00 +0000 UTC"),
    ),
    (
        r#"{{ mustToDate "2006-01-02" "2020-02-30" }}"#,
        Fails(r#"error calling mustToDate: parsing time "2020-02-30": day out of range"#),
    ),
    (
        r#"{{ mustToDate "2006-01-02" "x\u00e9" }}"#,
        Fails(
            r#"error calling mustToDate: parsing time "x\xc3\xa9" as "2006-01-02": cannot parse "x\xc3\xa9" as "2006""#,
        ),
    ),
    (
        r#"{{ mustToDate "2006-01-02" "2020-01-02T" }}"#,
        Fails(r#"error calling mustToDate: parsing time "2020-01-02T": extra text: "T""#),
    ),
    (
        r#"{{ mustToDate "15:04" "25:00" }}"#,
        Fails(r#"error calling mustToDate: parsing time "25:00": hour out of range"#),
    ),
    (
        r#"{{ mustToDate "2006-002" "2021-366" }}"#,
        Fails(r#"error calling mustToDate: parsing time "2021-366": day-of-year out of range"#),
    ),
    (
        r#"{{ mustToDate "3:04PM" "12:30AM" }} {{ mustToDate "2006-002" "2020-060" }} {{ mustToDate "Mon Jan 2 15:04:05 MST 2006" "Thu Jan 2 15:04:05 EST 2020" }} {{ mustToDate "02 Jan 06 15:04 -0700" "02 Jan 68 15:04 -0730" }} {{ mustToDate "2006-01-02 MST" "2020-01-02 GMT+3" }} {{ mustToDate "15:04:05" "01:02:03.5" }}"#,
        Gives(
            "0000-01-01 00:30:00 +0000 UTC 2020-02-29 00:00:00 +0000 UTC 2020-01-02 15:04:05 +0000 EST 2068-01-02 15:04:00 -0730 -0730 2020-01-02 03:00:00 +0300 GMT+3 0000-01-01 01:02:03.5 +0000 UTC",
        ),
    ),
    (
        r#"{{ duration 95 }} {{ duration "95" }} {{ duration (int64 3661) }} {{ duration "x" }} {{ duration 1.5 }} {{ duration (int64 -1) }}"#,
        Gives("0s 1m35s 1h1m1s 0s 0s -1s"),
    ),
    (
        r#"{{ durationRound "2h10m5s" }} {{ durationRound "1h" }} {{ durationRound "-49h" }} {{ durationRound "8761h" }} {{ durationRound "1000h" }} {{ durationRound (int64 1500000000) }} {{ durationRound 5 }} {{ durationRound "1s" }}"#,
        Gives("2h 60m 2d 1y 1mo 1s 0s 0s"),
    ),
    ("{{ unixEpoch 5 }}", Fails("can't handle 5 for arg of type time.Time")),
];

#[test]
fn cases() {
    check(CASES);
}

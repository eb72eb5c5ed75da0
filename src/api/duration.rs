//! Durations as Go writes them (`1h30m`, `500ms`), the form that Flux users know.

use std::fmt;
use std::time::Duration;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longer durations count as this one.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// A duration in Go's notation, limited to the units h, m, s and ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GoDuration(pub Duration);

impl GoDuration {
    /// A duration of whole seconds.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Parses `1h2m3.5s`; `None` when the text is not a sum of numbers with units.
    pub fn parse(text: &str) -> Option<Self> {
        let mut rest = text;
        let mut total = 0.0_f64;
        if rest.is_empty() {
            return None;
        }
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
            let (number, after) = rest.split_at(digits);
            let number: f64 = number.parse().ok()?;
            let (unit, seconds) = [("ms", 0.001), ("h", 3600.0), ("m", 60.0), ("s", 1.0)]
                .into_iter()
                .find(|(u, _)| after.starts_with(u))?;
            total += number * seconds;
            rest = &after[unit.len()..];
        }
        // Longer ones would overflow what clocks can count, and mean "never" anyway.
        Duration::try_from_secs_f64(total).ok().map(|d| Self(d.min(LONGEST)))
    }
}

impl fmt::Display for GoDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        let (hours, minutes) = (millis / 3_600_000, millis / 60_000 % 60);
        let (seconds, rest) = (millis / 1000 % 60, millis % 1000);
        if hours > 0 {
            write!(f, "{hours}h")?;
        }
        if minutes > 0 {
            write!(f, "{minutes}m")?;
        }
        if seconds > 0 || (rest == 0 && hours == 0 && minutes == 0) {
            write!(f, "{seconds}s")?;
        }
        if rest > 0 {
            write!(f, "{rest}ms")?;
        }
        Ok(())
    }
}

impl Serialize for GoDuration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text)
            .ok_or_else(|| de::Error::custom(format!("`{text}` is not a duration like 5m or 1h30m")))
    }
}

impl JsonSchema for GoDuration {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "GoDuration".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 32, "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_written_as_go_does() {
        for (text, millis, printed) in [
            ("5m", 300_000, "5m"),
            ("1h30m", 5_400_000, "1h30m"),
            ("1.5h", 5_400_000, "1h30m"),
            ("500ms", 500, "500ms"),
            ("90s", 90_000, "1m30s"),
            ("0s", 0, "0s"),
        ] {
            let duration = GoDuration::parse(text).unwrap();
            assert_eq!(duration.0.as_millis(), millis, "{text}");
            assert_eq!(duration.to_string(), printed, "{text}");
        }
        assert_eq!(GoDuration::parse("5000000000000000h"), Some(GoDuration(LONGEST)));
        for bad in ["", "5", "m", "5d", "1.2.3s", "-1s", "1e3s"] {
            assert_eq!(GoDuration::parse(bad), None, "{bad}");
        }
    }
}

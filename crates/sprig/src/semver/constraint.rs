//! Constraints: alternatives (`||`) of comparisons that must all hold.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::{Error, Version, compare_pre, error};

/// The longest text that is read as a constraint.
const MAX_CONSTRAINT: usize = 512;

/// How many alternatives a constraint may have.
const MAX_ALTERNATIVES: usize = 32;

/// What a version must satisfy.
#[derive(Clone, Debug)]
pub struct Constraint {
    alternatives: Vec<Vec<Comparison>>,
    /// Whether pre-releases satisfy it even where it does not name one.
    pub include_prerelease: bool,
}

#[derive(Clone, Debug)]
struct Comparison {
    operator: Operator,
    /// As it was written.
    original: String,
    version: Version,
    /// Something was left out or is a wildcard: the minor version, the patch version, or anything.
    minor_dirty: bool,
    patch_dirty: bool,
    dirty: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Equal,
    NotEqual,
    Greater,
    Less,
    GreaterEqual,
    LessEqual,
    Tilde,
    Caret,
}

/// A version with wildcards. Go's class holds `|` too, by mistake; so does this one.
const VERSION: &str = r"v?([0-9|x|X|\*]+)(\.[0-9|x|X|\*]+)?(\.[0-9|x|X|\*]+)?(-([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?(\+([0-9A-Za-z\-]+(\.[0-9A-Za-z\-]+)*))?";
const OPERATORS: &str = r"=||!=|>|<|>=|=>|<=|=<|~|~>|\^";
/// Go's `\s`.
const BLANK: &str = r"[\t\n\f\r ]";

struct Patterns {
    /// The whole of one alternative.
    alternative: Regex,
    /// One comparison within it.
    find: Regex,
    /// The whole of one comparison.
    comparison: Regex,
    /// `1.2 - 1.4`.
    range: Regex,
}

static PATTERNS: LazyLock<Option<Patterns>> = LazyLock::new(|| {
    let compile = |pattern: String| Regex::new(&pattern).ok();
    Some(Patterns {
        alternative: compile(format!(
            "^({BLANK}*({OPERATORS}){BLANK}*({VERSION}){BLANK}*)((?:{BLANK}+|,{BLANK}*)({OPERATORS}){BLANK}*({VERSION}){BLANK}*)*$"
        ))?,
        find: compile(format!("({OPERATORS}){BLANK}*({VERSION})"))?,
        comparison: compile(format!("^{BLANK}*({OPERATORS}){BLANK}*({VERSION}){BLANK}*$"))?,
        range: compile(format!("{BLANK}*({VERSION}){BLANK}+-{BLANK}+({VERSION}){BLANK}*"))?,
    })
});

impl Constraint {
    /// Reads a constraint: `^1.2`, `>=1.0, <2.0 || 3.x`, `1.2 - 1.4`, `*`.
    ///
    /// # Errors
    ///
    /// Go's `NewConstraint` error text.
    pub fn parse(text: &str) -> Result<Self, Error> {
        if text.len() > MAX_CONSTRAINT {
            return Err(error("constraint string is too long (max 512 bytes)"));
        }
        // Most constraints are one comparison, for which the patterns need not even be compiled.
        if let Some(parts) = Parts::plain(text) {
            return Ok(Self {
                alternatives: vec![vec![Comparison::new(&parts)?]],
                include_prerelease: false,
            });
        }
        let Some(patterns) = &*PATTERNS else { return Err(error("constraint parser error")) };
        let text = without_ranges(patterns, text);
        let parts: Vec<&str> = text.split("||").collect();
        if parts.len() > MAX_ALTERNATIVES {
            return Err(error("too many constraint groups (max 32)"));
        }
        let alternative = |part: &str| {
            if !patterns.alternative.is_match(part) {
                return Err(improper(part));
            }
            patterns.find.find_iter(part).map(|found| Comparison::parse(patterns, found.as_str())).collect()
        };
        let alternatives = parts.into_iter().map(alternative).collect::<Result<_, _>>()?;
        Ok(Self { alternatives, include_prerelease: false })
    }

    /// Whether `version` satisfies the constraint.
    pub fn check(&self, version: &Version) -> bool {
        self.alternatives.iter().any(|comparisons| {
            let pre = self.include_prerelease || comparisons.iter().any(|c| !c.version.pre.is_empty());
            // A pre-release counts only where one of the comparisons names one.
            (version.pre.is_empty() || pre) && comparisons.iter().all(|comparison| comparison.check(version))
        })
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, comparisons) in self.alternatives.iter().enumerate() {
            f.write_str(if i > 0 { " || " } else { "" })?;
            for (i, comparison) in comparisons.iter().enumerate() {
                f.write_str(if i > 0 { " " } else { "" })?;
                f.write_str(&comparison.original)?;
            }
        }
        Ok(())
    }
}

fn improper(text: &str) -> Error {
    error(format!("improper constraint: {}", String::from_utf8_lossy(&crate::go::quote(text.as_bytes()))))
}

/// Writes `1.2 - 1.4` as `>= 1.2, <= 1.4`.
fn without_ranges<'t>(patterns: &Patterns, text: &'t str) -> Cow<'t, str> {
    let mut out = Cow::Borrowed(text);
    for range in patterns.range.captures_iter(text) {
        let rewritten = format!(">= {}, <= {} ", group(&range, 1), group(&range, 11));
        out = Cow::Owned(out.replacen(group(&range, 0), &rewritten, 1));
    }
    out
}

fn group<'t>(captures: &Captures<'t>, i: usize) -> &'t str {
    captures.get(i).map_or("", |found| found.as_str())
}

fn is_wildcard(text: &str) -> bool {
    matches!(text.strip_prefix('.').unwrap_or(text), "" | "x" | "X" | "*")
}

/// The parts of a comparison.
struct Parts<'t> {
    operator: &'t str,
    version: &'t str,
    major: &'t str,
    /// With the dot in front, as the next one.
    minor: &'t str,
    patch: &'t str,
    /// With the `-` in front.
    pre: &'t str,
}

impl<'t> Parts<'t> {
    /// Takes a single comparison apart that has neither wildcards nor build metadata.
    fn plain(text: &'t str) -> Option<Self> {
        let text = text.trim_matches(['\t', '\n', '\x0c', '\r', ' ']);
        let cut = |text: &'t str, wanted: fn(&u8) -> bool| {
            text.split_at(text.bytes().position(|byte| !wanted(&byte)).unwrap_or(text.len()))
        };
        let (operator, rest) = cut(text, |byte| matches!(byte, b'=' | b'!' | b'<' | b'>' | b'~' | b'^'));
        let known = ["", "=", "!=", ">", "<", ">=", "=>", "<=", "=<", "~", "~>", "^"];
        if !known.contains(&operator) {
            return None;
        }
        let version = rest.trim_start_matches(['\t', '\n', '\x0c', '\r', ' ']);
        let (major, mut rest) = cut(version.strip_prefix('v').unwrap_or(version), u8::is_ascii_digit);
        let mut segment = || {
            let digits = rest.strip_prefix('.').map_or("", |after| cut(after, u8::is_ascii_digit).0);
            let (segment, after) = rest.split_at(if digits.is_empty() { 0 } else { digits.len() + 1 });
            rest = after;
            segment
        };
        let (minor, patch) = (segment(), segment());
        let pre = rest;
        let identifier = |text: &str| {
            !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let well_formed =
            pre.is_empty() || pre.strip_prefix('-').is_some_and(|pre| pre.split('.').all(identifier));
        (well_formed && !major.is_empty()).then_some(Self { operator, version, major, minor, patch, pre })
    }
}

impl Comparison {
    fn parse(patterns: &Patterns, text: &str) -> Result<Self, Error> {
        let captures = patterns.comparison.captures(text).ok_or_else(|| improper(text))?;
        let part = |i| group(&captures, i);
        Self::new(&Parts {
            operator: part(1),
            version: part(2),
            major: part(3),
            minor: part(4),
            patch: part(5),
            pre: part(6),
        })
    }

    fn new(parts: &Parts<'_>) -> Result<Self, Error> {
        let Parts { operator: sign, version: written, major, minor, patch, pre } = *parts;
        let minor_dirty = !is_wildcard(major) && is_wildcard(minor);
        let patch_dirty = !is_wildcard(major) && !minor_dirty && is_wildcard(patch);
        let dirty = is_wildcard(major) || minor_dirty || patch_dirty;
        let version = if is_wildcard(major) {
            format!("0.0.0{pre}")
        } else if minor_dirty {
            format!("{major}.0.0{pre}")
        } else if patch_dirty {
            format!("{major}{minor}.0{pre}")
        } else {
            written.to_owned()
        };
        let operator = match sign {
            "!=" => Operator::NotEqual,
            ">" => Operator::Greater,
            "<" => Operator::Less,
            ">=" | "=>" => Operator::GreaterEqual,
            "<=" | "=<" => Operator::LessEqual,
            "~" | "~>" => Operator::Tilde,
            "^" => Operator::Caret,
            _ => Operator::Equal,
        };
        Ok(Self {
            operator,
            original: format!("{sign}{written}"),
            version: Version::parse(&version).map_err(|_| error("constraint parser error"))?,
            minor_dirty,
            patch_dirty,
            dirty,
        })
    }

    fn check(&self, version: &Version) -> bool {
        let own = &self.version;
        match self.operator {
            Operator::Equal if self.dirty => self.tilde(version),
            Operator::Equal => version == own,
            Operator::NotEqual => self.not_equal(version),
            Operator::Greater if !self.dirty => version > own,
            // `>11` starts at 12, `>11.1` at 11.2.
            Operator::Greater if version.major != own.major => version.major > own.major,
            Operator::Greater if self.minor_dirty => false,
            Operator::Greater if self.patch_dirty => version.minor > own.minor,
            Operator::Greater => version > own,
            Operator::Less => version < own,
            Operator::GreaterEqual => version >= own,
            Operator::LessEqual if !self.dirty => version <= own,
            // `<=11` and `<=11.1` include everything that starts so.
            Operator::LessEqual => {
                version.major < own.major
                    || version.major == own.major && (self.minor_dirty || version.minor <= own.minor)
            }
            Operator::Tilde => self.tilde(version),
            Operator::Caret => self.caret(version),
        }
    }

    fn not_equal(&self, version: &Version) -> bool {
        let own = &self.version;
        if self.dirty {
            if own.major != version.major {
                return true;
            }
            if self.minor_dirty {
                return false;
            }
            if own.minor != version.minor {
                return true;
            }
            if self.patch_dirty {
                let pre = !version.pre.is_empty() || !own.pre.is_empty();
                return pre && version.pre != own.pre && compare_pre(&version.pre, &own.pre).is_ne();
            }
            if own.patch != version.patch {
                return true;
            }
        }
        version != own
    }

    fn tilde(&self, version: &Version) -> bool {
        let own = &self.version;
        if version < own {
            return false;
        }
        // Go: ~0.0.0 is everything, also when it was written so.
        let any = (own.major, own.minor, own.patch) == (0, 0, 0) && !self.minor_dirty && !self.patch_dirty;
        any || version.major == own.major && (self.minor_dirty || version.minor == own.minor)
    }

    fn caret(&self, version: &Version) -> bool {
        let own = &self.version;
        if version < own {
            return false;
        }
        if own.major > 0 || self.minor_dirty {
            return version.major == own.major;
        }
        if version.major > 0 {
            return false;
        }
        if own.minor > 0 || self.patch_dirty {
            return version.minor == own.minor;
        }
        version.minor == 0 && version.patch == own.patch
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_comparison_is_what_the_patterns_make_of_it() {
        let patterns = PATTERNS.as_ref().unwrap();
        for (text, plain) in [
            (">=1.21.0-0", true),
            (" >= v1.19-0 ", true),
            ("1", true),
            ("^0.2", true),
            ("~>1.2.3-a.b-c", true),
            ("=<2", true),
            ("1.x", false),
            ("1.2.3+b", false),
            ("1.2.3.4", false),
            ("1..2", false),
            ("1 - 2", false),
            (">1 <2", false),
            ("> =1", false),
            (">", false),
            ("1.2-", false),
            ("1|2", false),
            ("", false),
        ] {
            let parts = Parts::plain(text);
            assert_eq!(parts.is_some(), plain, "{text}");
            if let Some(parts) = parts {
                let found = patterns.find.find(text).unwrap().as_str();
                assert!(patterns.alternative.is_match(text), "{text}");
                let expected = Comparison::parse(patterns, found).unwrap();
                assert_eq!(
                    format!("{:?}", Comparison::new(&parts).unwrap()),
                    format!("{expected:?}"),
                    "{text}"
                );
            }
        }
    }
}

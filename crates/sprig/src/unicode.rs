//! Go's view of text: runes decoded from bytes that need not be UTF-8, and its character classes.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, HirKind};

/// A decoded rune: U+FFFD with width 1 stands for a byte that is not UTF-8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rune {
    /// The character.
    pub char: char,
    /// How many bytes it took.
    pub width: usize,
}

impl Rune {
    /// Whether it stands for an invalid byte.
    pub(crate) fn is_invalid(self) -> bool {
        self.width == 1 && self.char == char::REPLACEMENT_CHARACTER
    }
}

/// Decodes the first rune, as Go's `utf8.DecodeRune`.
pub(crate) fn decode(bytes: &[u8]) -> Option<Rune> {
    let first = *bytes.first()?;
    if first < 0x80 {
        return Some(Rune { char: first as char, width: 1 });
    }
    let width = match first {
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => 0,
    };
    let decoded = bytes.get(..width).and_then(|b| std::str::from_utf8(b).ok()).and_then(|s| s.chars().next());
    // Go: an invalid sequence is one U+FFFD for each byte, unlike Rust's lossy conversion.
    Some(decoded.map_or(Rune { char: char::REPLACEMENT_CHARACTER, width: 1 }, |char| Rune { char, width }))
}

/// All runes of `bytes`.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = Rune> + '_ {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let rune = decode(rest)?;
        rest = rest.get(rune.width..).unwrap_or_default();
        Some(rune)
    })
}

/// Replaces every rune, as Go's `strings.Map`; invalid bytes become U+FFFD.
pub(crate) fn map(bytes: &[u8], mut mapping: impl FnMut(char) -> char) -> String {
    let mut out = String::with_capacity(bytes.len());
    out.extend(runes(bytes).map(|rune| mapping(rune.char)));
    out
}

/// A set of characters as sorted ranges.
struct Table(Vec<(u32, u32)>);

impl Table {
    fn of(pattern: &str) -> Self {
        let ranges = match regex_syntax::parse(pattern).map(|hir| hir.into_kind()) {
            Ok(HirKind::Class(Class::Unicode(class))) => {
                class.iter().map(|range| (u32::from(range.start()), u32::from(range.end()))).collect()
            }
            _ => Vec::new(),
        };
        Self(ranges)
    }

    fn contains(&self, c: char) -> bool {
        let c = u32::from(c);
        let after = self.0.partition_point(|&(start, _)| start <= c);
        after.checked_sub(1).and_then(|i| self.0.get(i)).is_some_and(|&(_, end)| c <= end)
    }
}

macro_rules! class {
    ($($(#[$doc:meta])* $name:ident = $pattern:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) fn $name(c: char) -> bool {
            static TABLE: LazyLock<Table> = LazyLock::new(|| Table::of($pattern));
            TABLE.contains(c)
        }
    )*};
}

class! {
    /// Go's `unicode.IsLetter`.
    is_letter = r"\p{L}";
    /// Go's `unicode.IsUpper`.
    is_upper = r"\p{Lu}";
    /// Go's `unicode.IsLower`.
    is_lower = r"\p{Ll}";
    /// Go's `unicode.IsTitle`.
    is_title = r"\p{Lt}";
    /// Go's `unicode.IsDigit`.
    is_digit = r"\p{Nd}";
    /// Go's `unicode.IsNumber`.
    is_number = r"\p{N}";
    /// Go's `unicode.IsPunct`.
    is_punct = r"\p{P}";
}

/// Go's `unicode.IsSpace`.
pub(crate) fn is_space(c: char) -> bool {
    matches!(
        c,
        '\t' | '\n' | '\x0b' | '\x0c' | '\r' | ' ' | '\u{85}' | '\u{a0}' | '\u{1680}' | '\u{2000}'
            ..='\u{200a}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{205f}' | '\u{3000}'
    )
}

/// Go's `unicode.ToUpper`: the simple mapping, so `ß` stays.
pub(crate) fn to_upper(c: char) -> char {
    let mut mapped = c.to_uppercase();
    match (mapped.next(), mapped.next()) {
        (Some(upper), None) => upper,
        // Characters whose full mapping is longer but that have a simple one: Greek with iota subscript.
        _ => match c {
            '\u{1f80}'..='\u{1f87}' | '\u{1f90}'..='\u{1f97}' | '\u{1fa0}'..='\u{1fa7}' => {
                char::from_u32(u32::from(c) + 8).unwrap_or(c)
            }
            '\u{1fb3}' | '\u{1fc3}' | '\u{1ff3}' => char::from_u32(u32::from(c) + 9).unwrap_or(c),
            _ => c,
        },
    }
}

/// Go's `unicode.ToLower`: the simple mapping.
pub(crate) fn to_lower(c: char) -> char {
    let mut mapped = c.to_lowercase();
    match (mapped.next(), mapped.next()) {
        (Some(lower), None) => lower,
        (Some(lower), Some(_)) if c == '\u{130}' => lower, // İ → i, without the combining dot
        _ => c,
    }
}

/// Go's `unicode.ToTitle`.
pub(crate) fn to_title(c: char) -> char {
    match c {
        '\u{1c4}'..='\u{1c6}' => '\u{1c5}',
        '\u{1c7}'..='\u{1c9}' => '\u{1c8}',
        '\u{1ca}'..='\u{1cc}' => '\u{1cb}',
        '\u{1f1}'..='\u{1f3}' => '\u{1f2}',
        '\u{10d0}'..='\u{10fa}' | '\u{10fd}'..='\u{10ff}' => c, // Georgian has no title case
        _ => to_upper(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invalid_sequence_is_one_rune_a_byte() {
        let widths: Vec<_> = runes(b"a\xe2\x82\xc3\xa9").map(|r| (r.char, r.width)).collect();
        assert_eq!(widths, [('a', 1), ('\u{fffd}', 1), ('\u{fffd}', 1), ('é', 2)]);
    }

    #[test]
    fn case_mappings_are_the_simple_ones() {
        assert_eq!((to_upper('ß'), to_upper('ŉ'), to_lower('İ'), to_title('ǆ')), ('ß', 'ŉ', 'i', 'ǅ'));
        assert_eq!((to_upper('ᾳ'), to_upper('ᾀ'), to_upper('ﬀ')), ('ᾼ', 'ᾈ', 'ﬀ'));
        assert!(is_letter('ʰ') && !is_letter('Ⅷ') && is_number('Ⅷ') && !is_digit('Ⅷ') && is_punct('_'));
    }
}

//! Classes of characters, by the bytes at a position of a text.
//!
//! Reading past the end gives zero, as the buffer of libyaml does; no text contains one.

/// Gives the byte at `i`, or zero after the end.
#[inline]
pub(crate) fn at(text: &[u8], i: usize) -> u8 {
    text.get(i).copied().unwrap_or(0)
}

/// Gives the width of the line break at `i`, or zero. `\r\n` counts as `\r`.
#[inline]
pub(crate) fn break_width(text: &[u8], i: usize) -> usize {
    match at(text, i) {
        b'\n' | b'\r' => 1,
        0xC2 if at(text, i + 1) == 0x85 => 2,
        0xE2 if at(text, i + 1) == 0x80 && matches!(at(text, i + 2), 0xA8 | 0xA9) => 3,
        _ => 0,
    }
}

/// Whether a line break starts at `i`.
#[inline]
pub(crate) fn is_break(text: &[u8], i: usize) -> bool {
    break_width(text, i) > 0
}

/// Whether a space or a tab is at `i`.
#[inline]
pub(crate) fn is_blank(text: &[u8], i: usize) -> bool {
    matches!(at(text, i), b' ' | b'\t')
}

/// Whether a line break or the end is at `i`.
#[inline]
pub(crate) fn is_breakz(text: &[u8], i: usize) -> bool {
    at(text, i) == 0 || is_break(text, i)
}

/// Whether a space, a tab, a line break or the end is at `i`.
#[inline]
pub(crate) fn is_blankz(text: &[u8], i: usize) -> bool {
    matches!(at(text, i), b' ' | b'\t') || is_breakz(text, i)
}

/// Whether the byte may be part of an anchor or of a tag handle.
#[inline]
pub(crate) fn is_alpha(b: u8) -> bool {
    b.is_ascii_alphanumeric() || b == b'_' || b == b'-'
}

/// Gives the width of the character that `lead` starts.
#[inline]
pub(crate) fn width(lead: u8) -> usize {
    match lead {
        0xF0.. => 4,
        0xE0.. => 3,
        0xC0.. => 2,
        _ => 1,
    }
}

/// Whether the character at `i` may be written without an escape.
#[inline]
pub(crate) fn is_printable(text: &[u8], i: usize) -> bool {
    match at(text, i) {
        b'\n' | 0x20..=0x7E | 0xC3..=0xEC | 0xEE => true,
        0xC2 => at(text, i + 1) >= 0xA0,
        0xED => at(text, i + 1) < 0xA0,
        0xEF => !matches!((at(text, i + 1), at(text, i + 2)), (0xBB, 0xBF) | (0xBF, 0xBE | 0xBF)),
        _ => false,
    }
}

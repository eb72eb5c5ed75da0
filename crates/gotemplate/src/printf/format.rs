//! Formats single items with flags, width and precision, as Go's `fmt/format.go`.
//!
//! Follows Go's source closely: Copyright 2009 The Go Authors, BSD-style licence (see the repository's NOTICE).

use super::float::format_float;
use super::quote::{can_backquote, quote_rune, quote_with};
use crate::unicode::{self, RUNE_ERROR};

pub(super) const LOWER: &[u8; 17] = b"0123456789abcdefx";
pub(super) const UPPER: &[u8; 17] = b"0123456789ABCDEFX";

/// The flags of a directive; `%+v` and `%#v` are formats of their own.
#[derive(Clone, Copy, Default)]
pub(super) struct Flags {
    pub minus: bool,
    pub plus: bool,
    pub sharp: bool,
    pub space: bool,
    pub zero: bool,
    pub plus_v: bool,
    pub sharp_v: bool,
}

#[derive(Default)]
pub(super) struct Formatter {
    pub out: Vec<u8>,
    pub flags: Flags,
    pub width: Option<usize>,
    pub precision: Option<usize>,
}

impl Formatter {
    pub(super) fn clear(&mut self) {
        self.flags = Flags::default();
        self.width = None;
        self.precision = None;
    }

    fn padding(&mut self, count: usize) {
        // Zeros go only to the left.
        let byte = if self.flags.zero && !self.flags.minus { b'0' } else { b' ' };
        self.out.extend(std::iter::repeat_n(byte, count));
    }

    /// Writes `text`, padded to the width in runes.
    pub(super) fn pad(&mut self, text: &[u8]) {
        let Some(width) = self.width.filter(|&width| width > 0) else {
            self.out.extend_from_slice(text);
            return;
        };
        let missing = width.saturating_sub(unicode::count(text));
        if !self.flags.minus {
            self.padding(missing);
        }
        self.out.extend_from_slice(text);
        if self.flags.minus {
            self.padding(missing);
        }
    }

    fn pad_with_spaces(&mut self, text: &[u8]) {
        let zero = std::mem::take(&mut self.flags.zero);
        self.pad(text);
        self.flags.zero = zero;
    }

    /// `U+0078`, with the sharp flag `U+0078 'x'`.
    pub(super) fn unicode(&mut self, bits: u64) {
        let digits = self.precision.unwrap_or(0).max(4);
        let hex = format!("{bits:X}");
        let mut text = b"U+".to_vec();
        text.extend(std::iter::repeat_n(b'0', digits.saturating_sub(hex.len())));
        text.extend_from_slice(hex.as_bytes());
        if let Some(rune) =
            u32::try_from(bits).ok().filter(|&rune| self.flags.sharp && unicode::is_print(rune))
        {
            text.extend_from_slice(b" '");
            unicode::push(&mut text, rune);
            text.push(b'\'');
        }
        self.pad_with_spaces(&text);
    }

    pub(super) fn integer(&mut self, bits: u64, base: u64, signed: bool, verb: char, digits: &[u8; 17]) {
        let negative = signed && (bits as i64) < 0;
        let mut rest = if negative { bits.wrapping_neg() } else { bits };
        // Go: `%.3d` and `%03d` both ask for zeros; with both, the flag is ignored.
        let mut wanted = 0;
        if let Some(precision) = self.precision {
            if precision == 0 && rest == 0 {
                let width = self.width.unwrap_or(0);
                self.out.extend(std::iter::repeat_n(b' ', width));
                return;
            }
            wanted = precision;
        } else if let (true, false, Some(width)) = (self.flags.zero, self.flags.minus, self.width) {
            let sign = negative || self.flags.plus || self.flags.space;
            wanted = width.saturating_sub(usize::from(sign));
        }
        // From right to left.
        let mut text = Vec::with_capacity(24);
        loop {
            let digit = usize::try_from(rest % base).ok().and_then(|digit| digits.get(digit)).copied();
            text.push(digit.unwrap_or(b'0'));
            rest /= base;
            if rest == 0 {
                break;
            }
        }
        if text.len() < wanted {
            text.resize(wanted, b'0');
        }
        if self.flags.sharp {
            match base {
                2 => text.extend_from_slice(b"b0"),
                8 if text.last() != Some(&b'0') => text.push(b'0'),
                16 => text.extend_from_slice(&[digits[16], b'0']),
                _ => {}
            }
        }
        if verb == 'O' {
            text.extend_from_slice(b"o0");
        }
        if negative {
            text.push(b'-');
        } else if self.flags.plus {
            text.push(b'+');
        } else if self.flags.space {
            text.push(b' ');
        }
        text.reverse();
        self.pad_with_spaces(&text);
    }

    /// The beginning of `text` that the precision allows, in runes.
    fn truncated<'a>(&self, text: &'a [u8]) -> &'a [u8] {
        let Some(precision) = self.precision else { return text };
        let end = unicode::runes(text).take(precision).map(|(_, width)| width).sum();
        text.get(..end).unwrap_or(text)
    }

    pub(super) fn string(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        self.pad(text);
    }

    pub(super) fn hex_string(&mut self, text: &[u8], digits: &[u8; 17]) {
        let text = text.get(..self.precision.unwrap_or(text.len())).unwrap_or(text);
        let mut hex = Vec::with_capacity(text.len() * 2);
        for (i, byte) in text.iter().enumerate() {
            if self.flags.space && i > 0 {
                hex.push(b' ');
            }
            if self.flags.sharp && (self.flags.space || i == 0) {
                hex.extend_from_slice(&[b'0', digits[16]]);
            }
            let digit = |digit: u8| digits.get(usize::from(digit)).copied().unwrap_or(b'0');
            hex.extend_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
        }
        self.pad(&hex);
    }

    pub(super) fn quoted(&mut self, text: &[u8]) {
        let text = self.truncated(text);
        if self.flags.sharp && can_backquote(text) {
            self.pad(&[b"`", text, b"`"].concat());
        } else {
            self.pad(&quote_with(text, self.flags.plus));
        }
    }

    fn rune(bits: u64) -> u32 {
        u32::try_from(bits).ok().filter(|&rune| rune <= 0x10_ffff).unwrap_or(RUNE_ERROR)
    }

    pub(super) fn character(&mut self, bits: u64) {
        let mut text = Vec::new();
        unicode::push(&mut text, Self::rune(bits));
        self.pad(&text);
    }

    pub(super) fn quoted_character(&mut self, bits: u64) {
        let text = quote_rune(Self::rune(bits), self.flags.plus);
        self.pad(&text);
    }

    pub(super) fn float(&mut self, f: f64, verb: char, default: i32) {
        let prec = self.precision.map_or(default, |prec| i32::try_from(prec).unwrap_or(i32::MAX));
        let mut text = format_float(f, u8::try_from(verb).unwrap_or(b'g'), prec).into_bytes();
        if !matches!(text.first(), Some(b'+' | b'-')) {
            text.insert(0, b'+');
        }
        if self.flags.space && text.first() == Some(&b'+') && !self.flags.plus {
            text[0] = b' ';
        }
        if !f.is_finite() {
            // Neither looks like a number, so there are no zeros; only NaN loses its sign.
            let bare = usize::from(f.is_nan() && !self.flags.space && !self.flags.plus);
            let text = text.split_off(bare);
            return self.pad_with_spaces(&text);
        }
        if self.flags.sharp && verb != 'b' {
            text = restore_zeros(&text, verb, prec);
        }
        let signed = self.flags.plus || text.first() != Some(&b'+');
        if !signed {
            let text = text.split_off(1);
            return self.pad(&text);
        }
        // The sign stands before the zeros.
        if let (true, false, Some(width)) = (self.flags.zero, self.flags.minus, self.width)
            && width > text.len()
        {
            let digits = text.split_off(1);
            self.out.extend_from_slice(&text);
            self.padding(width - digits.len() - 1);
            self.out.extend_from_slice(&digits);
            return;
        }
        self.pad(&text);
    }
}

/// The sharp flag: a decimal point always, and the zeros that `%g` left out.
fn restore_zeros(text: &[u8], verb: char, prec: i32) -> Vec<u8> {
    let mut digits = match verb {
        'v' | 'g' | 'G' | 'x' if prec == -1 => 6,
        'v' | 'g' | 'G' | 'x' => prec,
        _ => 0,
    };
    let hex = matches!(verb, 'x' | 'X');
    let tail = text
        .iter()
        .position(|byte| matches!(byte, b'p' | b'P') || !hex && matches!(byte, b'e' | b'E'))
        .unwrap_or(text.len());
    let (number, tail) = text.split_at(tail);
    let mut number = number.to_vec();
    let mut nonzero = false;
    for &byte in number.get(1..).unwrap_or_default() {
        if byte != b'.' {
            nonzero |= byte != b'0';
            digits -= i32::from(nonzero);
        }
    }
    if !number.contains(&b'.') {
        // Go: a leading digit 0 counts once.
        if number.len() == 2 && number.last() == Some(&b'0') {
            digits -= 1;
        }
        number.push(b'.');
    }
    number.extend(std::iter::repeat_n(b'0', usize::try_from(digits).unwrap_or(0)));
    number.extend_from_slice(tail);
    number
}

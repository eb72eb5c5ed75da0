//! Quoted strings and runes: Go's `strconv.Quote` and its relatives.

use crate::unicode::{self, RUNE_ERROR};

/// Go's `strconv.Quote`.
pub fn quote(text: &[u8]) -> Vec<u8> {
    quote_with(text, false)
}

/// Go's `strconv.Quote`, or `QuoteToASCII`.
pub(super) fn quote_with(text: &[u8], ascii: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    out.push(b'"');
    let mut rest = text;
    while let Some(&first) = rest.first() {
        let (rune, width) = unicode::decode(rest);
        if rune == RUNE_ERROR && width == 1 {
            out.extend_from_slice(format!("\\x{first:02x}").as_bytes());
        } else {
            escape(&mut out, rune, b'"', ascii);
        }
        rest = rest.get(width..).unwrap_or_default();
    }
    out.push(b'"');
    out
}

/// Go's `strconv.QuoteRune`, or `QuoteRuneToASCII`.
pub(super) fn quote_rune(rune: u32, ascii: bool) -> Vec<u8> {
    let mut out = vec![b'\''];
    let rune = if char::from_u32(rune).is_some() { rune } else { RUNE_ERROR };
    escape(&mut out, rune, b'\'', ascii);
    out.push(b'\'');
    out
}

fn escape(out: &mut Vec<u8>, rune: u32, quote: u8, ascii: bool) {
    if rune == u32::from(quote) || rune == u32::from(b'\\') {
        out.push(b'\\');
        unicode::push(out, rune);
        return;
    }
    if unicode::is_print(rune) && (!ascii || rune < 0x80) {
        unicode::push(out, rune);
        return;
    }
    let text = match rune {
        0x07 => "\\a".to_owned(),
        0x08 => "\\b".to_owned(),
        0x0c => "\\f".to_owned(),
        0x0a => "\\n".to_owned(),
        0x0d => "\\r".to_owned(),
        0x09 => "\\t".to_owned(),
        0x0b => "\\v".to_owned(),
        0..0x20 | 0x7f => format!("\\x{rune:02x}"),
        0..0x10000 => format!("\\u{rune:04x}"),
        _ => format!("\\U{rune:08x}"),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Go's `strconv.CanBackquote`: whether the text can stand unchanged in a raw string of one line.
pub(super) fn can_backquote(text: &[u8]) -> bool {
    unicode::runes(text).all(|(rune, width)| match rune {
        RUNE_ERROR => width > 1,
        0xfeff | 0x7f | 0x60 => false,
        0x09 => true,
        rune => rune >= 0x20,
    })
}

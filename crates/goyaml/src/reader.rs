//! Turns bytes into text: byte order marks, UTF-16, and the characters that YAML forbids.
//!
//! Go: libyaml decodes 512 bytes at a time, and reports a bad byte as soon as its chunk is needed. A text
//! with such a byte is therefore cut at the start of that chunk, and the scanner reports the fault when it
//! needs more than what is left. Texts without faults, all but a few, are borrowed whole.

use std::borrow::Cow;

/// The size of a chunk.
const CHUNK: usize = 512;

/// A decoded text.
pub(crate) struct Source<'a> {
    pub(crate) text: Cow<'a, str>,
    /// What is wrong with the bytes after the text.
    pub(crate) fault: Option<&'static str>,
    /// How far Go mistakes line starts for byte order marks; see [`misread_marks`].
    pub(crate) marks: usize,
}

/// Decodes `input`.
pub(crate) fn decode(input: &[u8]) -> Source<'_> {
    match input {
        [0xFF, 0xFE, rest @ ..] => decode_utf16(rest, u16::from_le_bytes),
        [0xFE, 0xFF, rest @ ..] => decode_utf16(rest, u16::from_be_bytes),
        [0xEF, 0xBB, 0xBF, rest @ ..] => decode_utf8(rest, 3),
        _ => decode_utf8(input, 0),
    }
}

/// Decodes UTF-8 that starts `skipped` bytes into the first chunk.
fn decode_utf8(bytes: &[u8], skipped: usize) -> Source<'_> {
    if let Ok(text) = std::str::from_utf8(bytes)
        && is_clean(text)
    {
        return Source {
            text: Cow::Borrowed(text),
            fault: None,
            marks: misread_marks(text, CHUNK - skipped),
        };
    }
    let mut chunk_start = 0;
    let mut chunk_end = (CHUNK - skipped).min(bytes.len());
    let mut position = 0;
    let (end, fault) = loop {
        let Some(rest) = bytes.get(position..).filter(|rest| !rest.is_empty()) else {
            break (position, None);
        };
        match first_char(rest) {
            Ok(width) if position + width <= chunk_end => position += width,
            Err(Fault::Incomplete) if chunk_end == bytes.len() => {
                break (position, Some("incomplete UTF-8 octet sequence"));
            }
            Err(Fault::Bad(problem, width)) if position + width <= chunk_end => {
                break (chunk_start, Some(problem));
            }
            // The character goes on in the next chunk, which starts with it.
            _ => {
                chunk_start = position;
                chunk_end = (position + CHUNK).min(bytes.len());
            }
        }
    };
    let text = bytes.get(..end).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or_default();
    Source { text: Cow::Borrowed(text), fault, marks: misread_marks(text, CHUNK - skipped) }
}

/// Why the next bytes are no character.
enum Fault {
    /// The input ends inside of the character.
    Incomplete,
    /// The problem, and how many bytes must be at hand to see it.
    Bad(&'static str, usize),
}

/// Gives the width of the first character.
fn first_char(bytes: &[u8]) -> Result<usize, Fault> {
    let &[lead, ..] = bytes else {
        return Err(Fault::Incomplete);
    };
    let (width, initial) = match lead {
        0x00..=0x7F => (1, u32::from(lead)),
        0xC0..=0xDF => (2, u32::from(lead & 0x1F)),
        0xE0..=0xEF => (3, u32::from(lead & 0x0F)),
        0xF0..=0xF7 => (4, u32::from(lead & 0x07)),
        _ => return Err(Fault::Bad("invalid leading UTF-8 octet", 1)),
    };
    let Some(tail) = bytes.get(1..width) else {
        return Err(Fault::Incomplete);
    };
    let mut value = initial;
    for &byte in tail {
        if byte & 0xC0 != 0x80 {
            return Err(Fault::Bad("invalid trailing UTF-8 octet", width));
        }
        value = value << 6 | u32::from(byte & 0x3F);
    }
    let shortest = match width {
        1 => true,
        2 => value >= 0x80,
        3 => value >= 0x800,
        _ => value >= 0x1_0000,
    };
    if !shortest {
        return Err(Fault::Bad("invalid length of a UTF-8 sequence", width));
    }
    match char::from_u32(value) {
        None => Err(Fault::Bad("invalid Unicode character", width)),
        Some(c) if !is_allowed(c) => Err(Fault::Bad(CONTROL, width)),
        Some(_) => Ok(width),
    }
}

/// The problem of a character outside of YAML's set.
const CONTROL: &str = "control characters are not allowed";

/// Decodes UTF-16 after its byte order mark.
fn decode_utf16<'a>(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Source<'a> {
    let at = |position: usize| match bytes.get(position..position + 2) {
        Some(&[a, b]) => Some(unit([a, b])),
        _ => None,
    };
    let mut text = String::with_capacity(bytes.len() / 2);
    let mut chunk_start = 0;
    let mut chunk_end = (CHUNK - 2).min(bytes.len());
    let mut first = usize::MAX;
    let mut position = 0;
    let fault = loop {
        if position == bytes.len() {
            break None;
        }
        let last = chunk_end == bytes.len();
        let character = match at(position) {
            None => Err(Fault::Incomplete),
            Some(0xDC00..=0xDFFF) => Err(Fault::Bad("unexpected low surrogate area", 2)),
            Some(high @ 0xD800..=0xDBFF) => match at(position + 2) {
                None => Err(Fault::Incomplete),
                Some(low @ 0xDC00..=0xDFFF) => {
                    let value = 0x1_0000 + ((u32::from(high) & 0x3FF) << 10) + (u32::from(low) & 0x3FF);
                    Ok((char::from_u32(value), 4))
                }
                Some(_) => Err(Fault::Bad("expected low surrogate area", 4)),
            },
            Some(value) => Ok((char::from_u32(u32::from(value)), 2)),
        };
        match character {
            Ok((Some(c), width)) if is_allowed(c) && position + width <= chunk_end => {
                text.push(c);
                position += width;
            }
            Ok((_, width)) if position + width <= chunk_end => {
                text.truncate(chunk_start);
                break Some(CONTROL);
            }
            Err(Fault::Incomplete) if last => {
                let pair = bytes.len() - position >= 2;
                break Some(if pair {
                    "incomplete UTF-16 surrogate pair"
                } else {
                    "incomplete UTF-16 character"
                });
            }
            Err(Fault::Bad(problem, width)) if position + width <= chunk_end => {
                text.truncate(chunk_start);
                break Some(problem);
            }
            _ => {
                chunk_start = text.len();
                first = first.min(chunk_start);
                chunk_end = (position + CHUNK).min(bytes.len());
            }
        }
    };
    let marks = misread_marks(&text, first);
    Source { text: Cow::Owned(text), fault, marks }
}

/// Whether YAML allows the character.
fn is_allowed(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='~' | '\u{85}' | '\u{A0}'..='\u{FFFD}' | '\u{1_0000}'..)
}

/// Whether YAML allows every character of the text.
pub(crate) fn is_clean(text: &str) -> bool {
    // Bytes first: only C2 (C1 controls) and EF (the non-characters at its end) need a look at what follows.
    let bytes = text.as_bytes();
    let suspicious =
        |b: u8| (b < 0x20 && !matches!(b, b'\t' | b'\n' | b'\r')) || b == 0x7F || b == 0xC2 || b == 0xEF;
    // Sixteen at a time without a branch between them, which the compiler turns into vector code.
    bytes.chunks(64).all(|chunk| !chunk.iter().fold(false, |bad, &b| bad | suspicious(b)))
        || text.chars().all(is_allowed)
}

/// How far line starts are misread as byte order marks: to the end of the first chunk, `first` bytes.
///
/// Go: `is_bom` ignores its index and looks at the start of the buffer. While a second mark sits there, the
/// first character of every line is skipped.
fn misread_marks(text: &str, first: usize) -> usize {
    if !text.starts_with('\u{FEFF}') {
        return 0;
    }
    (0..=first.min(text.len())).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_cut_the_text_at_their_chunk() {
        for (bytes, text, fault) in [
            (&b"a: 1"[..], "a: 1", None),
            (b"\xEF\xBB\xBFa: 1", "a: 1", None),
            (b"\xFF\xFEa\0:\0 \0\x31\0", "a: 1", None),
            (b"\xFE\xFF\0a\xD8\x3D\xDE\x00", "a\u{1F600}", None),
            (b"a: \x01", "", Some(CONTROL)),
            (b"a: \x7F", "", Some(CONTROL)),
            (b"a: \xC2\x85", "a: \u{85}", None),
            (b"a: \xC2\x84", "", Some(CONTROL)),
            (b"a: \xFF", "", Some("invalid leading UTF-8 octet")),
            (b"a: \xC3(", "", Some("invalid trailing UTF-8 octet")),
            (b"a: \xC0\x80", "", Some("invalid length of a UTF-8 sequence")),
            (b"a: \xED\xA0\x80", "", Some("invalid Unicode character")),
            (b"a: \xE2\x80", "a: ", Some("incomplete UTF-8 octet sequence")),
            (b"\xFF\xFEa\0b", "a", Some("incomplete UTF-16 character")),
        ] {
            let source = decode(bytes);
            assert_eq!((&*source.text, source.fault), (text, fault), "{bytes:?}");
        }
        let mut long = vec![b'x'; 1000];
        long.push(1);
        assert_eq!(decode(&long).text.len(), 512);
    }
}

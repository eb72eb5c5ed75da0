//! Base64 as Go's `base64.StdEncoding` reads and writes it.
//!
//! Go: line breaks are ignored anywhere, padding is not optional, and stray bits before it are.

const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Decodes, or fails as a whole.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let mut bits = 0u32;
    let mut digits = 0;
    let mut padding = 0;
    for &b in text {
        if b == b'\n' || b == b'\r' {
            continue;
        }
        if b == b'=' {
            padding += 1;
            if digits + padding > 4 || digits < 2 {
                return None;
            }
            continue;
        }
        if padding > 0 {
            return None;
        }
        let value = match b {
            b'A'..=b'Z' => b - b'A',
            b'a'..=b'z' => b - b'a' + 26,
            b'0'..=b'9' => b - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        digits += 1;
        if digits == 4 {
            let [_, a, b, c] = bits.to_be_bytes();
            out.extend([a, b, c]);
            bits = 0;
            digits = 0;
        }
    }
    if padding > 0 {
        let [_, a, b, _] = (bits << (6 * padding)).to_be_bytes();
        match (digits, padding) {
            (2, 2) => out.push(a),
            (3, 1) => out.extend([a, b]),
            _ => return None,
        }
    } else if digits > 0 {
        return None;
    }
    Some(out)
}

/// Encodes as go-yaml does: in lines of 70, each with its break, if one is not enough.
pub(crate) fn encode(bytes: &[u8]) -> String {
    let mut plain = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk.iter().fold(0u32, |group, &b| group << 8 | u32::from(b)) << (8 * (3 - chunk.len()));
        for position in 0..4 {
            if position > chunk.len() {
                plain.push('=');
            } else {
                let index = usize::try_from(group >> (18 - 6 * position) & 63).unwrap_or(0);
                plain.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'A')));
            }
        }
    }
    if plain.len() < 70 {
        return plain;
    }
    let mut lines = String::with_capacity(plain.len() + plain.len() / 70 + 1);
    let mut rest = plain.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(70));
        lines.push_str(line);
        lines.push('\n');
        rest = after;
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_what_go_decodes() {
        for (text, expected) in [
            ("", Some(&b""[..])),
            ("aGk=", Some(b"hi")),
            ("aG\nk\r=", Some(b"hi")),
            ("aGl=", Some(b"hi")),
            ("aGk", None),
            ("a===", None),
            ("aGk=a", None),
            ("aGkh", Some(b"hi!")),
            ("a Gk=", None),
        ] {
            assert_eq!(decode(text.as_bytes()).as_deref(), expected, "{text:?}");
        }
    }

    #[test]
    fn encodes_in_lines() {
        assert_eq!(encode(b"hi"), "aGk=");
        assert_eq!(encode(&[0; 60]).lines().map(str::len).collect::<Vec<_>>(), [70, 10]);
    }
}

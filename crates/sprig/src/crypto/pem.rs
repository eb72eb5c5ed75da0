//! PEM as Go's `encoding/pem` writes and reads it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use memchr::memmem;

use crate::encoding::decode_base64;

/// Writes a block.
pub(super) fn encode(kind: &str, data: &[u8]) -> String {
    let text = STANDARD.encode(data);
    let mut out = format!("-----BEGIN {kind}-----\n");
    for line in text.as_bytes().chunks(64) {
        out.push_str(&String::from_utf8_lossy(line));
        out.push('\n');
    }
    out.push_str(&format!("-----END {kind}-----\n"));
    out
}

/// The first block: its type and contents.
pub(super) fn decode(text: &[u8]) -> Option<(String, Vec<u8>)> {
    let mut rest = text;
    loop {
        let start = memmem::find(rest, b"-----BEGIN ")?;
        let at_line = start == 0 || rest.get(start - 1) == Some(&b'\n');
        rest = rest.get(start + 11..)?;
        if !at_line {
            continue;
        }
        let (line, after) = line(rest);
        let Some(kind) = line.strip_suffix(b"-----") else { continue };
        let body = without_headers(after);
        let end = [b"-----END ", kind, b"-----"].concat();
        let Some(length) = memmem::find(body, &end) else { continue };
        let body = body.get(..length)?;
        if let Ok(data) =
            decode_base64(&body.iter().copied().filter(|b| !b" \t".contains(b)).collect::<Vec<_>>())
        {
            return Some((String::from_utf8_lossy(kind).into_owned(), data));
        }
    }
}

/// The first line without its end and trailing blanks, and what follows.
fn line(text: &[u8]) -> (&[u8], &[u8]) {
    let end = memchr::memchr(b'\n', text).unwrap_or(text.len());
    let (line, rest) = text.split_at(end);
    (line.trim_ascii_end(), rest.get(1..).unwrap_or_default())
}

fn without_headers(mut text: &[u8]) -> &[u8] {
    loop {
        let (header, rest) = line(text);
        if !header.contains(&b':') {
            return text;
        }
        text = rest;
    }
}
